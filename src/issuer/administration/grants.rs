//! Grants, called sessions on the command line: listing, revoking, and tokens that an operator issues for scripts and
//! probes.

use super::{Administration, AdministrationError, done, scopes_among};
use crate::oauth::{
    AccessToken, AccessTokenRecord, AddressRanges, AuthMethod, Client, ClientId, ClientMetadata, ClientOrigin,
    Exclusions, FirstUse, Grant, GrantId, GroupSet, Lifetime, RegisteredRedirects, ScopeSet,
};
use crate::store::{AccountStatus, AuditEvent, AuditRow, GrantFilter};

/// Minimum and maximum lifetime of a token issued by an operator. It cannot be refreshed, and a script may need it for
/// a whole night.
const OPERATOR_TOKEN: (Lifetime, Lifetime) = (Lifetime::from_secs(60), Lifetime::from_secs(86_400));

/// A token that an operator issued.
#[derive(Debug)]
pub struct OperatorToken {
    /// The token's text, which is kept nowhere else.
    pub token: AccessToken,
    /// What the token allows, and for how long.
    pub record: AccessTokenRecord,
}

fn operator_lifetime(lifetime: Lifetime) -> Result<Lifetime, AdministrationError> {
    let (least, most) = OPERATOR_TOKEN;
    if lifetime < least || lifetime > most { Err(AdministrationError::BadLifetime) } else { Ok(lifetime) }
}

/// Returns the grant of a token that cannot be refreshed.
fn grant_of(token: &AccessTokenRecord) -> Grant {
    Grant {
        id: token.grant,
        tenant: token.tenant.clone(),
        client: token.client.clone(),
        subject: token.subject.clone(),
        resource: token.resource.clone(),
        scopes: token.scopes.clone(),
        exclusions: token.exclusions.clone(),
        authenticated_at: token.issued_at,
        consented_at: token.consented_at,
        created_at: token.issued_at,
        expires_at: token.expires_at,
        idle_until: token.expires_at,
        may_refresh: false,
        generation: 0,
        rotated_at: token.issued_at,
        first_use: FirstUse::Unknown,
        retried_at: None,
        revoked_at: None,
        last_used_at: None,
        key: None,
    }
}

impl Administration {
    /// Issues an access token for a user at an upstream, without a refresh token. The upstream need not be named if it
    /// is the only one. Scopes default to the upstream's default scopes, the lifetime to that of its other tokens.
    ///
    /// # Errors
    /// `NoSuchAccount`, `NotAPerson`, `NoSuchUpstream`, `WhichUpstream`, `NoSuchScope`, `AccountDisabled`,
    /// `MayNotHold`, `ClientDisabled`, `BadLifetime`, `Store`.
    pub async fn issue_token(
        &self,
        user: &str,
        upstream: Option<&str>,
        scopes: &[String],
        lifetime: Option<Lifetime>,
    ) -> Result<OperatorToken, AdministrationError> {
        let account = self.person(user).await?;
        if account.status == AccountStatus::Disabled {
            return Err(AdministrationError::AccountDisabled(account.name.to_string()));
        }
        let upstream = self.upstream(upstream)?;
        let catalogue: ScopeSet = upstream.scopes.iter().map(|scope| scope.name.clone()).collect();
        let scopes = match scopes {
            [] => upstream.default_scopes.clone(),
            asked => scopes_among(&catalogue, asked)?,
        };
        let groups = self.services.store.groups_of(&self.tenant, account.subject.id()).await?;
        let scopes = upstream.holders.narrow(account.name.as_str(), &groups, &scopes);
        let scopes = scopes.ok_or_else(|| AdministrationError::MayNotHold {
            user: account.name.to_string(),
            upstream: upstream.name.clone(),
        })?;
        let lifetime = lifetime.or(upstream.access_lifetime).unwrap_or(self.config.tokens.access);
        let lifetime = operator_lifetime(lifetime)?;
        let client = self.operator_client().await?;
        let now = self.services.clock.now();
        let token = AccessToken::mint(self.services.entropy.random_32(), &self.services.keys.load());
        let record = AccessTokenRecord {
            hash: token.hash(),
            tenant: self.tenant.clone(),
            grant: GrantId(self.services.entropy.random_16()),
            client: client.clone(),
            client_origin: ClientOrigin::Manual,
            client_limit: None,
            subject: account.subject,
            user: account.name.as_str().into(),
            groups: GroupSet::default(),
            resource: upstream.resource.clone(),
            scopes,
            exclusions: Exclusions::default(),
            consented_at: now,
            addresses: AddressRanges::default(),
            generation: 0,
            reports_use: false,
            issued_at: now,
            expires_at: now.plus(lifetime),
        };
        let row = AuditRow {
            client: Some(client),
            resource: Some(record.resource.clone()),
            scopes: Some(record.scopes.clone()),
            target: Some(record.grant.to_string()),
            ..self.audit_of(AuditEvent::OperatorTokenIssued, record.subject.id())
        };
        self.services.store.insert_operator_token(grant_of(&record), record.clone(), row).await?;
        Ok(OperatorToken { token, record })
    }

    /// Lists active grants, newest first: those of a user, of a client, or all.
    ///
    /// # Errors
    /// `NoSuchAccount`, `NoSuchClient`, `Store`.
    pub async fn grants(&self, user: Option<&str>, client: Option<&str>) -> Result<Vec<Grant>, AdministrationError> {
        let of = self.grants_of(user, client).await?;
        Ok(self.services.store.list_grants(&of, self.services.clock.now()).await?)
    }

    /// Revokes one grant with all its tokens.
    ///
    /// # Errors
    /// `NoSuchGrant`, `Store`.
    pub async fn revoke_grant(&self, id: &str) -> Result<(), AdministrationError> {
        let missing = || AdministrationError::NoSuchGrant(id.to_owned());
        let known = GrantId::parse(id).ok_or_else(missing)?;
        let found = self.services.store.find_grant(&self.tenant, known).await?.ok_or_else(missing)?;
        let row = AuditRow {
            client: Some(found.client),
            resource: Some(found.resource),
            target: Some(known.to_string()),
            ..self.audit_of(AuditEvent::GrantRevoked, found.subject.id())
        };
        done(self.services.store.revoke_grant(known, row).await?, missing)
    }

    /// Revokes all grants of a user, a client, or of both together; returns how many.
    ///
    /// # Errors
    /// `NoSuchAccount`, `NoSuchClient`, `Store`.
    pub async fn revoke_grants(&self, user: Option<&str>, client: Option<&str>) -> Result<u64, AdministrationError> {
        let of = self.grants_of(user, client).await?;
        let (subject, client) = (of.subject.clone(), of.client.clone());
        let row = AuditRow { subject, client, ..self.audit(AuditEvent::GrantRevoked) };
        Ok(self.services.store.revoke_grants(&of, row).await?)
    }

    async fn grants_of(&self, user: Option<&str>, client: Option<&str>) -> Result<GrantFilter, AdministrationError> {
        let subject = match user {
            Some(name) => Some(self.account(name).await?.subject.id().clone()),
            None => None,
        };
        let client = match client {
            Some(id) => Some(self.client(id).await?.id),
            None => None,
        };
        Ok(GrantFilter { tenant: self.tenant.clone(), subject, client })
    }

    /// Returns the id of the client that operators' tokens belong to.
    #[must_use]
    pub fn operator_client_id(&self) -> String {
        format!("{}_client_operator", self.services.keys.load().brand().as_str())
    }

    /// Returns the client that operators' tokens belong to, and creates it when first needed. Nobody can authorize as
    /// this client: it has no grant type, and its redirect URI is in a domain that never resolves (RFC 2606 2).
    async fn operator_client(&self) -> Result<ClientId, AdministrationError> {
        let id = self.operator_client_id();
        let id = ClientId::parse(&id).ok_or(AdministrationError::NoSuchClient(id))?;
        let client = Client {
            tenant: self.tenant.clone(),
            id: id.clone(),
            origin: ClientOrigin::Manual,
            metadata: ClientMetadata {
                client_name: Some("Tokens issued by an operator".to_owned()),
                redirect_uris: RegisteredRedirects::from_stored(vec!["https://operator.invalid/".to_owned()]),
                grant_types: Vec::new(),
                token_endpoint_auth_method: AuthMethod::None,
                keys: None,
                scope: None,
                application_type: None,
                client_uri: None,
                logo_uri: None,
                tos_uri: None,
                policy_uri: None,
                software_id: None,
                software_version: None,
            },
            secrets: Vec::new(),
            resource: None,
            disabled: false,
            created_at: self.services.clock.now(),
            last_token_at: None,
            last_used_at: None,
            document: None,
        };
        match self.services.store.find_client(&self.tenant, &id).await? {
            Some(known) if known.disabled => return Err(AdministrationError::ClientDisabled(id.as_str().to_owned())),
            Some(_) => {}
            None => {
                let row = self.audit_about(AuditEvent::ClientAdded, &id);
                // Another command may have inserted it first, which does no harm.
                self.services.store.insert_client(client, u64::MAX, row).await?;
            }
        }
        Ok(id)
    }
}
