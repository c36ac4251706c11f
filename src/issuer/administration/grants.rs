//! Grants, called sessions on the command line: listing, revoking, and tokens that an operator issues for scripts and
//! probes.

use serde::{Deserialize, Serialize};

use super::{Administration, AdministrationError, done, scopes_among};
use crate::config::UpstreamConfig;
use crate::issuer::built_in::BuiltIn;
use crate::oauth::{
    AccessToken, AccessTokenRecord, AddressRanges, ClientId, ClientOrigin, Exclusions, Grant, GrantId, GroupSet,
    Lifetime, ScopeSet, SingleGrant,
};
use crate::store::{Account, AccountStatus, AuditEvent, AuditRow, EndedActing, GrantFilter};

/// Minimum and maximum lifetime of a token issued by an operator. It cannot be refreshed, and a script may need it for
/// a whole night.
const OPERATOR_TOKEN: (Lifetime, Lifetime) = (Lifetime::from_secs(60), Lifetime::from_secs(86_400));

/// Which grants to list or to revoke: those that meet every condition that is given, or all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionQuery {
    /// The login name or subject of their account; null for any. Every member must be present: a forgotten one must not
    /// mean everybody's.
    #[serde(deserialize_with = "Option::deserialize")]
    pub user: Option<String>,
    /// The id of their client; null for any.
    #[serde(deserialize_with = "Option::deserialize")]
    pub client: Option<String>,
    /// The upstream's name or resource URL; null for any.
    #[serde(deserialize_with = "Option::deserialize")]
    pub upstream: Option<String>,
}

impl SessionQuery {
    /// Selects the grants of a user.
    #[must_use]
    pub fn of_user(name: &str) -> Self {
        Self { user: Some(name.to_owned()), ..Self::default() }
    }

    /// Selects the grants of a client.
    #[must_use]
    pub fn of_client(id: &str) -> Self {
        Self { client: Some(id.to_owned()), ..Self::default() }
    }
}

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
    let single = SingleGrant {
        id: token.grant,
        tenant: token.tenant.clone(),
        client: token.client.clone(),
        subject: token.subject.clone(),
        resource: token.resource.clone(),
        scopes: token.scopes.clone(),
        made_at: token.issued_at,
        expires_at: token.expires_at,
    };
    Grant { exclusions: token.exclusions.clone(), consented_at: token.consented_at, ..single.grant() }
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
        let upstream = self.audience(upstream)?;
        let catalogue: ScopeSet = upstream.scopes.iter().map(|scope| scope.name.clone()).collect();
        let scopes = match scopes {
            [] => upstream.default_scopes.clone(),
            asked => scopes_among(&catalogue, asked)?,
        };
        let scopes = self.held(&account, upstream, &scopes).await?;
        let lifetime = lifetime.or(upstream.access_lifetime).unwrap_or(self.config.tokens.access);
        let lifetime = operator_lifetime(lifetime)?;
        let client = self.built_in(BuiltIn::Operator).await?;
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
            acting: false,
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

    /// Lists active grants, newest first.
    ///
    /// # Errors
    /// `NoSuchAccount`, `NoSuchClient`, `NoSuchUpstream`, `Store`.
    pub async fn grants(&self, which: &SessionQuery) -> Result<Vec<Grant>, AdministrationError> {
        let of = self.grants_of(which).await?;
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
        done(self.services.store.revoke_grant(known, self.revocation_of(found)).await?, missing)
    }

    /// Returns the audit row of revoking a grant.
    pub(super) fn revocation_of(&self, grant: Grant) -> AuditRow {
        let event = if grant.key.is_some() { AuditEvent::KeyRevoked } else { AuditEvent::GrantRevoked };
        let row = self.audit_of(event, grant.subject.id());
        AuditRow {
            client: Some(grant.client),
            resource: Some(grant.resource),
            target: Some(grant.id.to_string()),
            reason: grant.key.map(|key| key.name),
            ..row
        }
    }

    /// Revokes the selected grants; returns how many.
    ///
    /// # Errors
    /// `NoSuchAccount`, `NoSuchClient`, `NoSuchUpstream`, `Store`.
    pub async fn revoke_grants(&self, which: &SessionQuery) -> Result<u64, AdministrationError> {
        let of = self.grants_of(which).await?;
        let (subject, client, resource) = (of.subject.clone(), of.client.clone(), of.resource.clone());
        let row = AuditRow { subject, client, resource, ..self.audit(AuditEvent::GrantRevoked) };
        Ok(self.services.store.revoke_grants(&of, row).await?)
    }

    /// Lists which clients may no longer act for whom, newest first: for a user, of a client, or all.
    ///
    /// # Errors
    /// `NoSuchAccount`, `NoSuchClient`, `Store`.
    pub async fn ended_acting(
        &self,
        user: Option<&str>,
        client: Option<&str>,
    ) -> Result<Vec<EndedActing>, AdministrationError> {
        let [user, client] = [user, client].map(|name| name.map(str::to_owned));
        let which = SessionQuery { user, client, upstream: None };
        let of = self.grants_of(&which).await?;
        Ok(self.services.store.list_ended_acting(&of).await?)
    }

    /// Lets a client act again for people for whom that was ended: for one, or for all; returns for how many.
    ///
    /// # Errors
    /// `NoSuchAccount`, `NoSuchClient`, `Store`.
    pub async fn resume_acting(&self, client: &str, user: Option<&str>) -> Result<u64, AdministrationError> {
        let which = SessionQuery { user: user.map(str::to_owned), ..SessionQuery::of_client(client) };
        let of = self.grants_of(&which).await?;
        let (subject, client) = (of.subject.clone(), of.client.clone());
        let row = AuditRow { subject, client, ..self.audit(AuditEvent::ActingResumed) };
        Ok(self.services.store.resume_acting(&of, row).await?)
    }

    async fn grants_of(&self, which: &SessionQuery) -> Result<GrantFilter, AdministrationError> {
        let subject = match which.user.as_deref() {
            Some(name) => Some(self.account(name).await?.subject.id().clone()),
            None => None,
        };
        let client = match which.client.as_deref() {
            Some(id) => Some(self.client(id).await?.id),
            None => None,
        };
        let upstream = which.upstream.as_deref().map(|name| self.upstream(Some(name))).transpose()?;
        let resource = upstream.map(|upstream| upstream.resource.clone());
        Ok(GrantFilter { tenant: self.tenant.clone(), subject, client, resource })
    }

    /// Returns the ids of the clients that belong to the program: of operators' tokens, of API keys, and of workloads.
    #[must_use]
    pub fn built_in_client_ids(&self) -> [String; 3] {
        let keys = self.services.keys.load();
        [BuiltIn::Operator, BuiltIn::Keys, BuiltIn::Workloads].map(|client| client.id(&keys).as_str().to_owned())
    }

    /// Returns the id of a client that belongs to the program, and adds it when first needed.
    pub(super) async fn built_in(&self, client: BuiltIn) -> Result<ClientId, AdministrationError> {
        let found = client.ensure(&self.services, &self.tenant, self.audit(AuditEvent::ClientAdded)).await?;
        let id = || client.id(&self.services.keys.load()).as_str().to_owned();
        found.ok_or_else(|| AdministrationError::ClientDisabled(id()))
    }

    /// Returns those of the scopes that an account may have at an upstream.
    pub(super) async fn held(
        &self,
        account: &Account,
        upstream: &UpstreamConfig,
        scopes: &ScopeSet,
    ) -> Result<ScopeSet, AdministrationError> {
        let groups = self.services.store.groups_of(&self.tenant, account.subject.id()).await?;
        let held = upstream.holders.narrow(account.name.as_str(), &groups, scopes);
        held.ok_or_else(|| AdministrationError::MayNotHold {
            user: account.name.to_string(),
            upstream: upstream.name.clone(),
        })
    }
}
