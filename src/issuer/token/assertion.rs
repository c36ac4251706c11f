//! Clients that authenticate with an assertion (RFC 7523 3): their keys, and that each assertion is used once.

use crate::issuer::audit::OrUnavailable;
use crate::issuer::limits::throttle::source_of;
use crate::issuer::{IssuerRequest, TokenRejection};
use crate::oauth::{
    AuthenticatedClient, Client, ClientAssertion, ClientAuthentication, ClientKeys, ClientOrigin, CredentialError,
    Digest, Lifetime, SignedAssertion,
};
use crate::store::{Ephemeral, EphemeralKey, EphemeralKind, EphemeralLimits, EphemeralStep, Insertion};

/// How many used assertions are kept of clients that made themselves known: none of them may be forgotten before it has
/// expired, so the rest is refused. An address has room for 40 a second; all of them together take about 100 MB.
const OF_STRANGERS: EphemeralLimits =
    EphemeralLimits { of_host: 16_000, of_site: 64_000, of_session: 0, in_all: 300_000 };

/// The operator's own clients are bounded by their rates alone, so that nobody else takes the room that they need.
const OF_OPERATOR: EphemeralLimits =
    EphemeralLimits { of_host: u64::MAX, of_site: u64::MAX, of_session: 0, in_all: u64::MAX };

/// `Retry-After` without room for another assertion: some expire every second.
const FULL: Lifetime = Lifetime::from_secs(10);

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
        let Some(keys) = client.as_ref().and_then(|client| client.metadata.keys.clone()) else {
            return Ok(credentials.authenticate(client, self.now())?);
        };
        let ClientKeys::Set(keys) = &*keys;
        let signed = credentials.authenticate_by_key(client, keys, (issuer, self.now()))?;
        self.use_once(signed).await
    }

    /// Uses an assertion up. It stays used whatever becomes of the request: who sees it afterwards gains nothing.
    async fn use_once(&self, signed: SignedAssertion) -> Result<AuthenticatedClient, Unproved> {
        let client = signed.client();
        let limits = if client.origin == ClientOrigin::Manual { OF_OPERATOR } else { OF_STRANGERS };
        let used = Ephemeral {
            key: EphemeralKey {
                tenant: self.tenant.clone(),
                kind: EphemeralKind::ClientAssertion,
                hash: Digest::of(signed.name().as_bytes()),
            },
            browser: None,
            client: Some(client.id.clone()),
            body: None,
            step: EphemeralStep::Ended,
            session: None,
            source: source_of(self.caller),
            created_at: self.now(),
            expires_at: signed.expires_at(),
        };
        let kept = self.services.store.put_ephemeral(used, limits).await.or_unavailable(self).await;
        match kept.map_err(|failed| Unproved::Undecided(failed.into()))? {
            Insertion::Inserted => Ok(signed.used(true)?),
            Insertion::Exists | Insertion::Same => Ok(signed.used(false)?),
            Insertion::Full => Err(Unproved::Undecided(TokenRejection::Throttled(FULL))),
        }
    }
}
