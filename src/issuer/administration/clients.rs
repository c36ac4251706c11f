//! Clients: adding, listing, disabling, deleting, new secrets.

use super::groups::group_name;
use super::tables::{CHANGE_THERE, ENABLE_THERE, REMOVE_THERE, TableKind};
use super::{Administration, AdministrationError, done, scopes_among};
use crate::issuer::Registered;
use crate::oauth::{
    AuthMethod, Client, ClientDecision, ClientId, ClientLifetimes, ClientMetadata, ClientOrigin, ClientSecret,
    ClientSecretHash, GrantType, GroupSet, OperatorClient, ReadMetadata, RegistrationPolicy, ResourceIndicator,
    ScopeSet, SeenClient, Timestamp, with_acting,
};
use crate::store::{AuditEvent, AuditRow, Insertion, SecretRotation, Update};

/// What an operator specifies for a new client.
#[derive(Debug, Clone)]
pub struct NewClient {
    /// Its display name, which pages show as verified.
    pub name: String,
    /// Where codes may be sent.
    pub redirect_uris: Vec<String>,
    /// The grant types that it may use at the token endpoint.
    pub grant_types: Vec<GrantType>,
    /// How it authenticates; `None` for a public client.
    pub auth_method: AuthMethod,
    /// The keys by which it does so, for `PrivateKeyJwt` (RFC 7591 2, `jwks`).
    pub jwks: Option<serde_json::Value>,
    /// Where they are published instead (`jwks_uri`).
    pub jwks_uri: Option<String>,
    /// The groups for whose members it may act while they are absent; none for most clients. It gets the grant for it.
    pub may_act_for: Vec<String>,
    /// The name of the one upstream that it may use; `None` for any.
    pub upstream: Option<String>,
    /// The scopes that it may be granted at most; all when empty.
    pub scopes: Vec<String>,
    /// How long its tokens live, where that differs from all.
    pub lifetimes: ClientLifetimes,
}

/// What a client may do without a person who is asked.
pub(super) struct Unasked<'a> {
    pub(super) grant_types: &'a [GrantType],
    pub(super) may_act_for: &'a GroupSet,
    pub(super) auth_method: AuthMethod,
}

impl Unasked<'_> {
    /// Refuses a client that is to act for itself without a secret, for people without keys, or without a scope
    /// although there are some.
    pub(super) fn check(&self, limit: &ScopeSet, scopes: &ScopeSet) -> Result<(), AdministrationError> {
        let is_service = self.grant_types.contains(&GrantType::ClientCredentials);
        let acts = self.grant_types.contains(&GrantType::JwtBearer);
        let is_ungranted = limit.is_empty() && !scopes.is_empty();
        if is_service && self.auth_method == AuthMethod::None {
            return Err(AdministrationError::ServiceWithoutSecret);
        }
        if acts && self.may_act_for.is_empty() {
            return Err(AdministrationError::ActingForNobody);
        }
        if acts && self.auth_method != AuthMethod::PrivateKeyJwt {
            return Err(AdministrationError::ActingWithoutKeys);
        }
        if is_service && is_ungranted {
            return Err(AdministrationError::ServiceWithoutScope(scopes.clone()));
        }
        if acts && is_ungranted {
            return Err(AdministrationError::ActingWithoutScope(scopes.clone()));
        }
        Ok(())
    }
}

/// Reads the groups for which a client may act.
pub(super) fn group_set(names: &[String]) -> Result<GroupSet, AdministrationError> {
    names.iter().map(|name| group_name(name)).collect::<Result<Vec<_>, _>>().map(|groups| groups.into_iter().collect())
}

impl Administration {
    /// Adds a client. Its secret, if it has one, is only in the return value; the store keeps a hash. One that acts for
    /// itself or for people is bound to the only upstream, if there is one only, so that it gets nothing at one that is
    /// added later.
    ///
    /// # Errors
    /// `BadClient`, `NoSuchUpstream`, `NoSuchScope`, `ServiceWithoutSecret`, `ServiceWithoutScope`, `BadGroup`,
    /// `ActingForNobody`, `ActingWithoutKeys`, `ActingWithoutScope`, `Lifetimes`, `TooManyClients`, `Store`.
    pub async fn add_client(&self, new: &NewClient) -> Result<Registered, AdministrationError> {
        let may_act_for = group_set(&new.may_act_for)?;
        let grant_types = with_acting(&new.grant_types, &may_act_for);
        // Without a person who is asked, an upstream that is added later gives nothing.
        let is_service = grant_types.iter().any(|grant| grant.is_without_person());
        let bound = match (&new.upstream, is_service) {
            (Some(name), _) => Some(self.upstream(Some(name))?),
            (None, true) => self.audience(None).ok(),
            (None, false) => None,
        };
        let resource = bound.map(|upstream| upstream.resource.clone());
        let scopes = self.config.scopes_at(resource.as_ref());
        let limit = scopes_among(&scopes, &new.scopes)?;
        let asked = Unasked { grant_types: &grant_types, may_act_for: &may_act_for, auth_method: new.auth_method };
        asked.check(&limit, &scopes)?;
        let described = OperatorClient {
            name: &new.name,
            redirect_uris: &new.redirect_uris,
            grant_types: &grant_types,
            auth_method: new.auth_method,
            jwks: new.jwks.as_ref(),
            jwks_uri: new.jwks_uri.as_deref(),
            limit: &limit,
        };
        let read = described.metadata(&RegistrationPolicy { may_act_for, ..self.config.operator_registration(scopes) });
        self.check_lifetimes(&new.lifetimes, resource.as_ref())?;
        self.insert_client(read.map_err(AdministrationError::BadClient)?, resource, new.lifetimes).await
    }

    /// Refuses lifetimes beyond what the configuration allows a client bound to this resource, or to none.
    pub(super) fn check_lifetimes(
        &self,
        lifetimes: &ClientLifetimes,
        bound: Option<&ResourceIndicator>,
    ) -> Result<(), AdministrationError> {
        Ok(lifetimes.check(&self.config.lifetimes_at(bound))?)
    }

    /// Adds the resource server of an upstream, which asks about the tokens for it (RFC 7662) and gets none itself. The
    /// upstream need not be named if it is the only one.
    ///
    /// # Errors
    /// `BadClient`, `NoSuchUpstream`, `WhichUpstream`, `TooManyClients`, `Store`.
    pub async fn add_resource_server(
        &self,
        name: &str,
        upstream: Option<&str>,
    ) -> Result<Registered, AdministrationError> {
        let upstream = self.audience(upstream)?;
        let read = OperatorClient::resource_server(name).map_err(AdministrationError::BadClient)?;
        self.insert_client(read, Some(upstream.resource.clone()), ClientLifetimes::default()).await
    }

    /// Stores a new client of the operator's, with a secret unless it is public or has keys.
    async fn insert_client(
        &self,
        read: ReadMetadata,
        resource: Option<ResourceIndicator>,
        lifetimes: ClientLifetimes,
    ) -> Result<Registered, AdministrationError> {
        let secret = read
            .metadata
            .token_endpoint_auth_method
            .has_secret()
            .then(|| ClientSecret::mint(self.services.entropy.random_32(), self.services.keys.load().brand()));
        let id = ClientId::mint(self.services.entropy.random_32(), self.services.keys.load().brand());
        let mut client = Client { lifetimes, ..self.new_client(id, read.metadata, resource) };
        client.secrets = secret.iter().map(|secret| ClientSecretHash::of(secret.hash(), client.created_at)).collect();
        let row = self.row_of_new(&client);
        match self.services.store.insert_client(client.clone(), u64::MAX, row).await? {
            Insertion::Inserted => Ok(Registered { client, secret, left_out: read.left_out }),
            Insertion::Exists | Insertion::Full | Insertion::Same => Err(AdministrationError::TooManyClients),
        }
    }

    /// Makes a client of the operator's, without a secret.
    pub(super) fn new_client(
        &self,
        id: ClientId,
        metadata: ClientMetadata,
        resource: Option<ResourceIndicator>,
    ) -> Client {
        Client {
            tenant: self.tenant.clone(),
            id,
            origin: ClientOrigin::Manual,
            metadata,
            secrets: Vec::new(),
            resource,
            lifetimes: ClientLifetimes::default(),
            disabled: false,
            created_at: self.services.clock.now(),
            last_token_at: None,
            last_used_at: None,
            document: None,
            decision: None,
        }
    }

    /// Starts the audit row of a new client.
    pub(super) fn row_of_new(&self, client: &Client) -> AuditRow {
        AuditRow {
            resource: client.resource.clone(),
            scopes: client.metadata.scope.clone(),
            ..self.audit_about(AuditEvent::ClientAdded, &client.id)
        }
    }

    /// Lists all clients, oldest first.
    ///
    /// # Errors
    /// `Store`.
    pub async fn clients(&self) -> Result<Vec<Client>, AdministrationError> {
        Ok(self.services.store.list_clients(&self.tenant).await?)
    }

    /// Finds a client.
    ///
    /// # Errors
    /// `NoSuchClient`, `Store`.
    pub async fn client(&self, id: &str) -> Result<Client, AdministrationError> {
        let missing = || AdministrationError::NoSuchClient(id.to_owned());
        let known = ClientId::parse(id).ok_or_else(missing)?;
        self.services.store.find_client(&self.tenant, &known).await?.ok_or_else(missing)
    }

    /// Approves or rejects a client as it is now; with a mark only if it is what that was made of.
    ///
    /// # Errors
    /// `NoSuchClient`, `CannotDecide`, `ClientHasChanged`, `Store`.
    pub async fn decide_client(
        &self,
        id: &str,
        approved: bool,
        mark: Option<&str>,
    ) -> Result<Client, AdministrationError> {
        let client = self.client(id).await?;
        if client.origin == ClientOrigin::Manual {
            let why = "was added by an operator and needs no approval; mcpgate client disable ends its use";
            return Err(AdministrationError::CannotDecide(id.to_owned(), why));
        }
        let seen = SeenClient::of(&client.metadata);
        if mark.is_some_and(|mark| mark.to_ascii_lowercase() != seen.mark()) {
            let why = "has another hash by now; look at it again with mcpgate client show";
            return Err(AdministrationError::CannotDecide(id.to_owned(), why));
        }
        let event = if approved { AuditEvent::ClientApproved } else { AuditEvent::ClientRejected };
        let row = AuditRow { reason: Some(seen.mark()), ..self.audit_about(event, &client.id) };
        let decision = ClientDecision { approved, seen };
        match self.services.store.decide_client(&client.id, decision, row).await? {
            Update::Done => Ok(Client { decision: Some(Box::new(decision)), ..client }),
            Update::NotFound => Err(AdministrationError::ClientHasChanged(id.to_owned())),
        }
    }

    /// Switches a client off, so that its tokens are refused, or on again.
    ///
    /// # Errors
    /// `NoSuchClient`, `InFile` if the file has it switched off, `Store`.
    pub async fn set_client_disabled(&self, id: &str, disabled: bool) -> Result<(), AdministrationError> {
        let client = self.client(id).await?;
        // As with accounts: a running server may have disabled it and not stored that yet.
        if disabled && client.disabled {
            return Ok(());
        }
        if let Some(table) = self.table_of_client(id).filter(|table| !disabled && table.is_disabled()) {
            return Err(self.in_file(TableKind::Client, table, ENABLE_THERE));
        }
        let event = if disabled { AuditEvent::ClientDisabled } else { AuditEvent::ClientEnabled };
        let row = self.audit_about(event, &client.id);
        let update = self.services.store.set_client_disabled(&client.id, disabled, row).await?;
        done(update, || AdministrationError::NoSuchClient(id.to_owned()))
    }

    /// Removes a client with all that was granted to it. Of one that the file describes, that is for its table to say.
    ///
    /// # Errors
    /// `NoSuchClient`, `InFile`, `Store`.
    pub async fn delete_client(&self, id: &str) -> Result<(), AdministrationError> {
        let client = self.client(id).await?;
        self.expect_not_in_file(id, REMOVE_THERE)?;
        let row = self.audit_about(AuditEvent::ClientDeleted, &client.id);
        let update = self.services.store.delete_client(&client.id, row).await?;
        done(update, || AdministrationError::NoSuchClient(id.to_owned()))
    }

    /// Gives a confidential client a new secret; returns it, and until when the old one stays valid.
    ///
    /// # Errors
    /// `NoSuchClient`, `InFile`, `NoSecret`, `Store`.
    pub async fn rotate_client_secret(&self, id: &str) -> Result<(ClientSecret, Timestamp), AdministrationError> {
        let client = self.client(id).await?;
        self.expect_not_in_file(id, CHANGE_THERE)?;
        if !client.metadata.token_endpoint_auth_method.has_secret() {
            return Err(AdministrationError::NoSecret(id.to_owned()));
        }
        let secret = ClientSecret::mint(self.services.entropy.random_32(), self.services.keys.load().brand());
        let now = self.services.clock.now();
        let new = ClientSecretHash::of(secret.hash(), now);
        let until = now.plus(self.config.tokens.secret_overlap);
        let by = SecretRotation { new, previous_until: until };
        let row = self.audit_about(AuditEvent::ClientSecretRotated, &client.id);
        let update = self.services.store.rotate_client_secret(&client.id, by, row).await?;
        done(update, || AdministrationError::NoSuchClient(id.to_owned()))?;
        Ok((secret, until))
    }
}
