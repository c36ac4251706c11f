//! Clients that authenticate with an assertion (RFC 7523 3): their keys, and that each assertion is used once.

use std::sync::Arc;

use url::Url;

use crate::issuer::audit::OrUnavailable;
use crate::issuer::client::key_sets::KeySetFault;
use crate::issuer::diagnosis::Diagnosis;
use crate::issuer::limits::throttle::source_of;
use crate::issuer::rejection::StoreFailed;
use crate::issuer::{IssuerRequest, TokenRejection};
use crate::oauth::jose::{JwkSet, Jws};
use crate::oauth::{
    AuthenticatedClient, Client, ClientAssertion, ClientAuthentication, ClientKeys, ClientOrigin, CredentialError,
    Digest, Lifetime, OAuthError, Rule, SignedAssertion, Timestamp,
};
use crate::outbound::FetchError;
use crate::store::{
    AuditEvent, AuditRow, Ephemeral, EphemeralKey, EphemeralKind, EphemeralLimits, EphemeralStep, GrantFilter,
    Insertion, StoreError,
};

/// How many used assertions are kept of clients that made themselves known: none of them may be forgotten before it has
/// expired, so the rest is refused. An address has room for 40 a second; all of them together take about 100 MB.
const OF_STRANGERS: EphemeralLimits =
    EphemeralLimits { of_host: 16_000, of_site: 64_000, of_session: 0, in_all: 300_000 };

/// The operator's own clients are bounded by their rates alone, so that nobody else takes the room that they need.
const OF_OPERATOR: EphemeralLimits =
    EphemeralLimits { of_host: u64::MAX, of_site: u64::MAX, of_session: 0, in_all: u64::MAX };

/// The largest set that is fetched in bytes.
const MAX_KEY_SET: usize = 64 << 10;

/// `Retry-After` without room for another assertion: some expire every second.
const FULL: Lifetime = Lifetime::from_secs(10);

/// `Retry-After` while too many fetches are in progress: each takes a few seconds.
const BUSY: Lifetime = Lifetime::from_secs(10);

/// Why an assertion does not authenticate its client.
pub(super) enum Unproved {
    /// It is wrong, which counts as a failure.
    Wrong(CredentialError),
    /// It could not be judged.
    Undecided(TokenRejection),
}

impl From<CredentialError> for Unproved {
    fn from(error: CredentialError) -> Self {
        Self::Wrong(error)
    }
}

impl IssuerRequest<'_> {
    /// Checks what a client presented, whatever it is.
    pub(super) async fn prove(
        &self,
        credentials: &ClientAuthentication,
        client: Option<Client>,
    ) -> Result<AuthenticatedClient, Unproved> {
        // Boxed, because few clients have keys, and the rest needs less space.
        match credentials.assertion() {
            Some(assertion) => Box::pin(self.prove_by_key(credentials, assertion, client)).await,
            None => Ok(credentials.authenticate(client, self.now())?),
        }
    }

    async fn prove_by_key(
        &self,
        credentials: &ClientAuthentication,
        assertion: &ClientAssertion,
        client: Option<Client>,
    ) -> Result<AuthenticatedClient, Unproved> {
        let issuer = &self.policy.config.public_url;
        // The same answer whether or not there is such a client.
        let checked = assertion.check(issuer, self.now());
        checked.map_err(|error| CredentialError { error, basic: false })?;
        let known = client.as_ref().and_then(|client| Some((client, client.metadata.keys.clone()?)));
        let Some((known, keys)) = known else {
            return Ok(credentials.authenticate(client, self.now())?);
        };
        let published;
        let keys = match &*keys {
            ClientKeys::Set(keys) => keys,
            ClientKeys::At(url) => {
                published = self.published_keys(known, url, assertion.signed()).await?;
                &*published
            }
        };
        // Fetching keys may have taken seconds, which `now` includes.
        let signed = credentials.authenticate_by_key(client, keys, (issuer, self.now()))?;
        self.use_once(signed).await
    }

    /// Returns the keys of an authenticated client that signed a text.
    pub(super) async fn keys_of(
        &self,
        client: &AuthenticatedClient,
        signed: &Jws,
    ) -> Result<Arc<JwkSet>, TokenRejection> {
        let found = match client.metadata.keys.as_deref() {
            Some(ClientKeys::Set(keys)) => return Ok(Arc::new(keys.clone())),
            Some(ClientKeys::At(url)) => self.published_keys(client, url, signed).await,
            None => Ok(Arc::default()),
        };
        match found {
            Ok(keys) => Ok(keys),
            Err(Unproved::Undecided(rejection)) => Err(rejection),
            Err(Unproved::Wrong(CredentialError { error, basic })) => {
                let row = AuditRow { client: Some(client.id.clone()), ..self.audit(AuditEvent::TokenRefused) };
                self.refuse(row, Diagnosis::from(&error).of(client)).await;
                Err(TokenRejection::Refused { error, basic })
            }
        }
    }

    /// Returns the keys that a client publishes, fetched again if they are old, or if none of them signed the
    /// text.
    async fn published_keys(&self, client: &Client, url: &Url, signed: &Jws) -> Result<Arc<JwkSet>, Unproved> {
        let throttled = |wait| Unproved::Undecided(TokenRejection::Throttled(wait));
        let shared = self.key_sets.of(&client.id).ok_or_else(|| throttled(FULL))?;
        let mut known = shared.lock().await;
        self.advance_now();
        known.turn_to(url.as_str());
        if let Some(keys) = known.current(signed, self.now()) {
            return Ok(keys);
        }
        if let Some(fault) = known.holds_off(self.now()) {
            return match known.stale(&fault, self.now()) {
                Some(keys) => Ok(keys),
                None => Err(self.no_keys(client, &fault).await),
            };
        }
        let _slot = match self.throttle.begin_fetch(url.host_str().unwrap_or_default(), self.caller) {
            Ok(slot) => slot,
            Err(wait) => return Err(throttled(wait)),
        };
        let fetched = if known.is_known() {
            self.fetch.refetch_json(url.as_str(), MAX_KEY_SET).await
        } else {
            self.fetch.fetch_json(url.as_str(), MAX_KEY_SET).await
        };
        self.advance_now();
        if matches!(fetched, Err(FetchError::Busy)) {
            // A limit of this gateway says nothing about the client's server.
            return Err(throttled(BUSY));
        }
        match known.read(fetched, self.now()) {
            Ok(new) => {
                if known.is_replaced_by(&new) {
                    // If that fails or the client hangs up, the next request fetches and compares again.
                    known.distrust();
                    let ended = self.end_grants_of_old_keys(client).await;
                    ended.map_err(|failed| Unproved::Undecided(failed.into()))?;
                }
                Ok(known.install(new))
            }
            Err(fault) => {
                tracing::info!(client = client.id.as_str(), url = url.as_str(), %fault, "a key set was refused");
                match known.stale(&fault, self.now()) {
                    Some(keys) => Ok(keys),
                    None => Err(self.no_keys(client, &fault).await),
                }
            }
        }
    }

    /// Answers when there are no keys to judge an assertion by.
    async fn no_keys(&self, client: &Client, fault: &KeySetFault) -> Unproved {
        // A public name may lead to an address that `outbound.allow_addresses` opens. What is there is not told to
        // whoever has registered the name.
        let is_told = client.origin == ClientOrigin::Manual || self.policy.config.outbound.allow_addresses.is_empty();
        if !is_told || !fault.may_pass() {
            let error = OAuthError::new(Rule::KeysUnusable, "client authentication failed");
            let error = error
                .came("client_id", client.id.as_str())
                .expected(format!("{}: {fault}", Rule::KeysUnusable.expected()));
            return Unproved::Wrong(CredentialError { error, basic: false });
        }
        let error = OAuthError::new(Rule::KeysUnreachable, "").came("client_id", client.id.as_str());
        let row = AuditRow { client: Some(client.id.clone()), ..self.audit(AuditEvent::TokenRefused) };
        self.refuse(row, Diagnosis::from(&error).of(client).because(Some(&fault.to_string()))).await;
        Unproved::Undecided(TokenRejection::Unavailable)
    }

    /// Ends what was granted to a client whose keys were all replaced: whoever has the new ones may be somebody else. A
    /// set that shares a key with the one before ends nothing. The work has a task of its own, so that a client that
    /// hangs up does not stop it halfway.
    pub(in crate::issuer) async fn end_grants_of_old_keys(&self, client: &Client) -> Result<(), StoreFailed> {
        let (store, cache) = (Arc::clone(&self.services.store), Arc::clone(&self.cache));
        let of = GrantFilter::of_client(&self.tenant, &client.id);
        let row = AuditRow { client: Some(client.id.clone()), ..self.audit(AuditEvent::ClientKeysReplaced) };
        let work = tokio::spawn(async move {
            let theirs = store.list_grants(&of, row.at).await?;
            store.revoke_grants(&of, row).await?;
            theirs.iter().for_each(|grant| cache.forget_grant(&of.tenant, grant.id));
            Ok(())
        });
        let stopped = |error| StoreError::Unavailable(format!("ending the grants of old keys did not finish: {error}"));
        work.await.unwrap_or_else(|error| Err(stopped(error))).or_unavailable(self).await
    }

    /// Uses an assertion up. It stays used whatever becomes of the request: who sees it afterwards gains nothing.
    async fn use_once(&self, signed: SignedAssertion) -> Result<AuthenticatedClient, Unproved> {
        let kept = self.keep_used(signed.client(), (&signed.name(), signed.expires_at())).await;
        Ok(signed.used(kept.map_err(Unproved::Undecided)?)?)
    }

    /// Keeps the name of a used assertion until it has expired; returns whether it was not used before.
    pub(super) async fn keep_used(
        &self,
        client: &Client,
        (name, expires_at): (&str, Timestamp),
    ) -> Result<bool, TokenRejection> {
        let limits = if client.origin == ClientOrigin::Manual { OF_OPERATOR } else { OF_STRANGERS };
        let used = Ephemeral {
            key: EphemeralKey {
                tenant: self.tenant.clone(),
                kind: EphemeralKind::ClientAssertion,
                hash: Digest::of(name.as_bytes()),
            },
            browser: None,
            client: Some(client.id.clone()),
            body: None,
            step: EphemeralStep::Ended,
            session: None,
            source: source_of(self.caller),
            created_at: self.now(),
            expires_at,
        };
        match self.services.store.put_ephemeral(used, limits).await.or_unavailable(self).await? {
            Insertion::Inserted => Ok(true),
            Insertion::Exists | Insertion::Same => Ok(false),
            Insertion::Full => Err(TokenRejection::Throttled(FULL)),
        }
    }
}
