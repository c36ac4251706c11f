//! API keys that an operator makes, renews and revokes.

use super::{Administration, AdministrationError, done, scopes_among};
use crate::issuer::api_keys::{KeyLifetime, KeyParts, MadeKey, WantedKey, end_as_before, renew};
use crate::issuer::built_in::BuiltIn;
use crate::oauth::{Grant, GrantId, Lifetime, ScopeSet};
use crate::store::{AccountStatus, AuditEvent, GrantFilter, KeyAdded};

/// The longest time for which a replaced secret of a key may stay valid.
const LONGEST_GRACE: Lifetime = Lifetime::from_secs(7 * 24 * 3600);

impl Administration {
    /// Makes an API key for a person. The upstream need not be named if it is the only one.
    ///
    /// # Errors
    /// `NoSuchAccount`, `NotAPerson`, `AccountDisabled`, `NoSuchUpstream`, `WhichUpstream`, `NoSuchScope`,
    /// `MayNotHold`, `Key`, `ClientDisabled`, `TooManyKeys`, `Store`.
    pub async fn create_key(&self, user: &str, wanted: &WantedKey<'_>) -> Result<MadeKey, AdministrationError> {
        let account = self.person(user).await?;
        if account.status == AccountStatus::Disabled {
            return Err(AdministrationError::AccountDisabled(account.name.to_string()));
        }
        let upstream = self.audience(wanted.upstream)?;
        let (name, addresses) = wanted.details()?;
        let audit = self.audit_of(AuditEvent::KeyCreated, account.subject.id());
        let expires_at = wanted.lifetime.end(&self.config.tokens, audit.at)?;
        let catalogue: ScopeSet = upstream.scopes.iter().map(|scope| scope.name.clone()).collect();
        let scopes = match wanted.scopes {
            [] => upstream.default_scopes.clone(),
            asked => scopes_among(&catalogue, asked)?,
        };
        let scopes = self.held(&account, upstream, &scopes).await?;
        let client = self.built_in(BuiltIn::Keys).await?;
        let (user, authenticated_at) = (account.name.to_string(), audit.at);
        let tenant = self.tenant.clone();
        let parts = KeyParts { tenant, client, account, scopes, name, addresses, expires_at, authenticated_at, audit };
        let (key, new) = parts.make(&self.services, upstream);
        match self.services.store.insert_key(new).await? {
            KeyAdded::Added(issued) => Ok(MadeKey { key, grant: *issued.grant }),
            KeyAdded::TooMany => Err(AdministrationError::TooManyKeys(user)),
            KeyAdded::NotFound => Err(AdministrationError::AccountDisabled(user)),
        }
    }

    /// Lists the API keys that have not ended, the newest first: those of a user, or all.
    ///
    /// # Errors
    /// `NoSuchAccount`, `Store`.
    pub async fn keys(&self, user: Option<&str>) -> Result<Vec<Grant>, AdministrationError> {
        let subject = match user {
            Some(name) => Some(self.account(name).await?.subject.id().clone()),
            None => None,
        };
        let client = Some(BuiltIn::Keys.id(&self.services.keys.load()));
        let of = GrantFilter { subject, client, ..GrantFilter::of_tenant(&self.tenant) };
        Ok(self.services.store.list_grants(&of, self.services.clock.now()).await?)
    }

    /// Finds an API key that has not ended.
    ///
    /// # Errors
    /// `NoSuchKey`, `Store`.
    pub async fn key(&self, id: &str) -> Result<Grant, AdministrationError> {
        let missing = || AdministrationError::NoSuchKey(id.to_owned());
        let known = GrantId::parse(id).ok_or_else(missing)?;
        let found = self.services.store.find_grant(&self.tenant, known).await?;
        let now = self.services.clock.now();
        found.filter(|grant| grant.key.is_some() && grant.is_active(now)).ok_or_else(missing)
    }

    /// Gives an API key a new secret. The replaced one ends at once, or after `grace`. Unless a lifetime is named, the
    /// key lives as long again as it did before.
    ///
    /// # Errors
    /// `NoSuchKey`, `Key`, `BadGrace`, `Store`.
    pub async fn rotate_key(
        &self,
        id: &str,
        lifetime: Option<KeyLifetime>,
        grace: Option<Lifetime>,
    ) -> Result<MadeKey, AdministrationError> {
        let missing = || AdministrationError::NoSuchKey(id.to_owned());
        let known = self.key(id).await?;
        if grace.is_some_and(|grace| grace > LONGEST_GRACE) {
            return Err(AdministrationError::BadGrace);
        }
        let audit = self.audit_of(AuditEvent::KeyRotated, known.subject.id());
        let expires_at = match lifetime {
            Some(lifetime) => lifetime.end(&self.config.tokens, audit.at)?,
            None => end_as_before(&known, &self.config.tokens, audit.at),
        };
        let until = grace.map(|grace| audit.at.plus(grace));
        let account = self.services.store.find_account(&self.tenant, known.subject.id()).await?.ok_or_else(missing)?;
        let (key, by) = renew(&self.services, (&known, account.name.as_str()), (expires_at, until), audit);
        let issued = self.services.store.rotate_key(by).await?.ok_or_else(missing)?;
        Ok(MadeKey { key, grant: *issued.grant })
    }

    /// Revokes an API key.
    ///
    /// # Errors
    /// `NoSuchKey`, `Store`.
    pub(super) async fn revoke_key(&self, id: &str) -> Result<(), AdministrationError> {
        let missing = || AdministrationError::NoSuchKey(id.to_owned());
        let known = GrantId::parse(id).ok_or_else(missing)?;
        let found = self.services.store.find_grant(&self.tenant, known).await?;
        let found = found.filter(|grant| grant.key.is_some()).ok_or_else(missing)?;
        done(self.services.store.revoke_grant(known, self.revocation_of(found)).await?, missing)
    }
}
