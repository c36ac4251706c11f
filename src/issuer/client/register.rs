//! Dynamic client registration (RFC 7591): if the operator enables it; limited per address and in total.

use crate::config::WhoRegisters;
use crate::issuer::audit::OrUnavailable;
use crate::issuer::diagnosis::Diagnosis;
use crate::issuer::limits::throttle::source_of;
use crate::issuer::{IssuerRequest, Registered, TokenRejection};
use crate::oauth::{
    Client, ClientId, ClientLifetimes, ClientMetadata, ClientOrigin, ClientSecret, ClientSecretHash, LeftOut, Lifetime,
    ReadMetadata, Rule,
};
use crate::store::{AuditEvent, AuditRow, Insertion};
use crate::telemetry::ControlEvent;

/// `Retry-After` when there are too many clients: unused registrations are removed as they age.
const FULL: Lifetime = Lifetime::from_secs(3600);

impl IssuerRequest<'_> {
    /// Registers a client from the body of an RFC 7591 3.1 request.
    ///
    /// # Errors
    /// `NotOpen` while registration is disabled, `Refused` in the words of RFC 7591 3.2.2, `Throttled` for too many
    /// from one address or in total, `Unavailable`.
    pub async fn register(&self, body: &[u8]) -> Result<Registered, TokenRejection> {
        let policy = &self.policy;
        let (registration, rates) = (&policy.config.registration, &policy.config.rates);
        if !registration.enabled {
            return Err(self.registration_is_closed().await);
        }
        let ReadMetadata { metadata, left_out } = self.read_registration(body).await?;
        if let Some(client) = self.same_client(&metadata).await? {
            return Ok(Registered { client, secret: None, left_out });
        }
        self.expect_room_to_register().await?;
        if let Err(wait) = self.throttle.charge_registration(ClientOrigin::Registered, self.caller, rates) {
            return Err(self.too_many_registrations(wait).await);
        }
        let secret = metadata
            .token_endpoint_auth_method
            .has_secret()
            .then(|| ClientSecret::mint(self.services.entropy.random_32(), self.services.keys.load().brand()));
        let client = Client {
            tenant: self.tenant.clone(),
            // RG-09: the id is ours, whatever the request says, and never looks like the URL of a document.
            id: ClientId::mint(self.services.entropy.random_32(), self.services.keys.load().brand()),
            origin: ClientOrigin::Registered,
            metadata,
            secrets: secret.iter().map(|secret| ClientSecretHash::of(secret.hash(), self.now())).collect(),
            resource: None,
            lifetimes: ClientLifetimes::default(),
            disabled: false,
            created_at: self.now(),
            last_token_at: None,
            last_used_at: None,
            document: None,
            decision: None,
        };
        let row = AuditRow {
            client: Some(client.id.clone()),
            reason: left_out_reason(&left_out),
            ..self.audit(AuditEvent::ClientRegistered)
        };
        let (site, cap) = (source_of(self.caller).site, registration.max_clients);
        let inserted = self.services.store.register_client(client.clone(), site, cap, row).await;
        match inserted.or_unavailable(self).await? {
            Insertion::Inserted => {
                self.metrics.control(ControlEvent::ClientRegistered);
                Ok(Registered { client, secret, left_out })
            }
            Insertion::Full => Err(TokenRejection::Throttled(self.client_cap_reached(None).await)),
            // The same metadata was registered since the check above.
            Insertion::Same => match self.same_client(&client.metadata).await? {
                Some(client) => Ok(Registered { client, secret: None, left_out }),
                None => Err(TokenRejection::Unavailable),
            },
            Insertion::Exists => {
                tracing::error!(
                    "a new client id of 172 random bits is already in use: is the random number generator broken?"
                );
                Err(TokenRejection::Unavailable)
            }
        }
    }

    async fn expect_room_to_register(&self) -> Result<(), TokenRejection> {
        let Err(failed) = self.expect_room() else { return Ok(()) };
        self.refuse_registration(Rule::DiskNearlyFull.into()).await;
        Err(failed.into())
    }

    async fn registration_is_closed(&self) -> TokenRejection {
        let closed = self.policy.config.registration.who == WhoRegisters::Nobody;
        let key = if closed { "registration.mode" } else { "registration.enabled" };
        self.refuse_registration(Diagnosis::from(Rule::RegistrationClosed).by(key)).await;
        TokenRejection::NotOpen
    }

    async fn read_registration(&self, body: &[u8]) -> Result<ReadMetadata, TokenRejection> {
        let error = match ClientMetadata::from_registration(body, &self.policy.registration()) {
            Ok(read) => return Ok(read),
            Err(error) => error,
        };
        // A separate budget, so that a program that keeps sending malformed requests does not block its neighbours.
        if let Err(wait) = self.throttle.charge_malformed_registration(self.caller, &self.policy.config.rates) {
            return Err(self.too_many_registrations(wait).await);
        }
        self.refuse_registration(Diagnosis::from(&error)).await;
        Err(TokenRejection::Refused { error, basic: false })
    }

    /// Finds the public client that registered the same metadata. RFC 7591 leaves it to the server when to issue a new
    /// id; since a public client has no secret, one id serves all of its installations. No row is written, so nothing
    /// is charged.
    async fn same_client(&self, metadata: &ClientMetadata) -> Result<Option<Client>, TokenRejection> {
        let found = self.services.store.find_registered(&self.tenant, metadata, self.now()).await;
        Ok(found.or_unavailable(self).await?)
    }

    async fn too_many_registrations(&self, wait: Lifetime) -> TokenRejection {
        self.refuse_registration(Diagnosis::from(Rule::RateLimited).by("rates.registrations_per_hour")).await;
        TokenRejection::Throttled(wait)
    }

    /// Records that there is no room for another client of this kind; returns after how long to try again.
    pub(in crate::issuer) async fn client_cap_reached(&self, id: Option<&ClientId>) -> Lifetime {
        let row = self.audit(AuditEvent::ClientCapReached);
        self.refuse(AuditRow { client: id.cloned(), ..row }, Rule::TooManyClients.into()).await;
        FULL
    }

    async fn refuse_registration(&self, why: Diagnosis<'_>) {
        self.refuse(self.audit(AuditEvent::ClientRegistrationRefused), why).await;
    }
}

/// Returns the audit row's reason for a registration: which members of the metadata were left out. Logs what the
/// operator can admit.
pub(in crate::issuer) fn left_out_reason(left_out: &[LeftOut]) -> Option<String> {
    for (member, remedy) in left_out.iter().filter_map(|out| Some((out, out.remedy.as_ref()?))) {
        tracing::info!(%member, expected = remedy, "a redirect URI was left out");
    }
    let members: Vec<_> = left_out.iter().map(ToString::to_string).collect();
    (!members.is_empty()).then(|| format!("left out: {}", members.join(", ")))
}
