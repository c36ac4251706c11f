//! Client authentication at `/token` and `/revoke`: none, `client_secret_post`, `client_secret_basic` (RFC 6749 2.3),
//! `private_key_jwt` (RFC 7523 2.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::{Choice, ConstantTimeEq as _};

use super::authorization::repeated;
use super::client_assertion::ClientAssertion;
use super::jose::JwkSet;
use super::{AuthMethod, Client, ClientId, ClientSecretHash, Digest, Form, OAuthError, Rule, Timestamp, form};

/// What an unknown client's secret is compared with, so that the check takes as long as for a known one.
const NOBODY: [u8; 32] = [0; 32];

/// The credentials in a request, not checked yet.
#[derive(Debug, Clone)]
pub struct ClientAuthentication {
    /// The client it claims to be.
    pub client_id: ClientId,
    presented: Presented,
}

#[derive(Clone)]
enum Presented {
    Nothing,
    Post(String),
    /// The secret as sent and form-decoded: RFC 6749 2.3.1 requires the encoding, but not every client applies it.
    Basic(String, String),
    Assertion(Box<ClientAssertion>),
}

impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Presented(..)")
    }
}

/// Why the credentials could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialError {
    /// `invalid_client` or `invalid_request`.
    pub error: OAuthError,
    /// Whether Basic was attempted, so that the answer carries a Basic challenge (RFC 6749 5.2).
    pub basic: bool,
}

/// Proof that the client is who it claims to be; made only by `authenticate` and by the first use of an assertion.
#[derive(Debug, Clone)]
pub struct AuthenticatedClient {
    client: Client,
    by_assertion: bool,
}

/// An assertion that its client signed. It authenticates once: who keeps the names of used assertions says whether this
/// one is new.
#[derive(Debug, Clone)]
pub struct SignedAssertion {
    client: Client,
    id: String,
    expires_at: Timestamp,
}

impl ClientAuthentication {
    /// Reads the credentials from the `Authorization` header and the form.
    ///
    /// # Errors
    /// `invalid_request` for more than one mechanism, `invalid_client` for a malformed header or none at all.
    pub fn read(authorization: Option<&[u8]>, form: &Form) -> Result<Self, CredentialError> {
        // Clients send the same configured headers everywhere: a Bearer header without a token is a leftover, not an
        // attempt.
        let authorization = authorization.filter(|field| !is_empty_bearer(field));
        let request = |error| CredentialError { error, basic: false };
        let once = ["client_id", "client_secret", "client_assertion", "client_assertion_type"];
        if let Some(name) = once.iter().find(|name| form.is_repeated(name)) {
            return Err(request(repeated(name, "client_id, client_secret or client_assertion is repeated")));
        }
        let (named, secret) = (form.get("client_id"), form.get("client_secret"));
        let assertion = form.get("client_assertion");
        // RFC 6749 2.3: a client must not use more than one method per request. This is checked before the credentials
        // are, so that the answer is the same whichever of them is right.
        if [authorization.is_some(), secret.is_some(), assertion.is_some()].iter().filter(|sent| **sent).count() > 1 {
            let words = "the client authenticates in more than one way: send one of them";
            let ways = [("Authorization", authorization.is_some()), ("client_secret", secret.is_some())];
            let ways = ways.into_iter().chain([("client_assertion", assertion.is_some())]);
            let ways: Vec<_> = ways.filter(|(_, sent)| *sent).map(|(name, _)| name).collect();
            return Err(request(OAuthError::new(Rule::AuthenticatesTwice, words).came("parameter", &ways.join(" "))));
        }
        if let Some(assertion) = assertion {
            let (client_id, assertion) = ClientAssertion::read(assertion, form).map_err(request)?;
            return Ok(Self { client_id, presented: Presented::Assertion(Box::new(assertion)) });
        }
        let Some(header) = authorization else {
            let client_id = named
                .and_then(ClientId::parse)
                .ok_or_else(|| failed(Rule::ClientNotNamed, false, ("client_id", named.unwrap_or_default())))?;
            let presented = secret.map_or(Presented::Nothing, |secret| Presented::Post(secret.to_owned()));
            return Ok(Self { client_id, presented });
        };
        let (client_id, presented) = read_basic(header).ok_or_else(|| {
            let header = String::from_utf8_lossy(header);
            failed(Rule::AuthorizationMalformed, true, ("authorization", &header))
        })?;
        if named.is_some_and(|named| named != client_id.as_str()) {
            let words = "client_id differs from the user name of the Authorization header";
            let error = OAuthError::new(Rule::ClientIdMismatch, words).came("client_id", named.unwrap_or_default());
            return Err(request(error));
        }
        Ok(Self { client_id, presented })
    }
    /// Returns whether HTTP Basic was used.
    #[must_use]
    pub fn used_basic(&self) -> bool {
        matches!(self.presented, Presented::Basic(..))
    }
    /// Returns the assertion, if one was presented.
    #[must_use]
    pub fn assertion(&self) -> Option<&ClientAssertion> {
        match &self.presented {
            Presented::Assertion(assertion) => Some(assertion),
            Presented::Nothing | Presented::Post(_) | Presented::Basic(..) => None,
        }
    }
    /// Checks a presented assertion against the client and its keys. A client that allows other methods as well may use
    /// this one.
    ///
    /// # Errors
    /// `invalid_client`.
    pub fn authenticate_by_key(
        &self,
        client: Option<Client>,
        keys: &JwkSet,
        (issuer, now): (&str, Timestamp),
    ) -> Result<SignedAssertion, CredentialError> {
        let failed = |rule| failed(rule, false, ("client_id", self.client_id.as_str()));
        let client = client.filter(|client| client.id == self.client_id && !client.disabled);
        let (Some(client), Some(assertion)) = (client, self.assertion()) else {
            return Err(failed(Rule::ClientUnknown));
        };
        assertion.check(issuer, now).map_err(|error| failed(error.rule()))?;
        let (id, expires_at) = assertion.verify(keys).map_err(failed)?;
        Ok(SignedAssertion { id: id.to_owned(), expires_at, client })
    }
    /// Checks the credentials against the client in constant time, during a rotation against both secrets. A client may
    /// send its secret in the header or in the body, whichever method it registered. Pass `None` for an unknown client;
    /// that takes the same time.
    ///
    /// # Errors
    /// `invalid_client`, always with the same description.
    pub fn authenticate(&self, client: Option<Client>, now: Timestamp) -> Result<AuthenticatedClient, CredentialError> {
        let (raw, decoded) = match &self.presented {
            Presented::Nothing | Presented::Assertion(_) => ("", ""),
            Presented::Post(secret) => (secret.as_str(), secret.as_str()),
            Presented::Basic(raw, decoded) => (raw.as_str(), decoded.as_str()),
        };
        let presented = [raw, decoded].map(|secret| Digest::<ClientSecretHash>::of(secret.as_bytes()));
        let known = client.iter().flat_map(|client| &client.secrets);
        let honoured = known.filter(|secret| secret.until.is_none_or(|until| now < until)).map(|secret| &secret.hash);
        // Every pair is compared completely, and there is always at least one, so that the time reveals neither which
        // clients exist nor which secret of a rotation matched.
        let mut matches = Choice::from(0);
        for candidate in &presented {
            for hash in honoured.clone() {
                matches |= candidate.as_bytes().ct_eq(hash.as_bytes());
            }
            std::hint::black_box(candidate.as_bytes().ct_eq(&NOBODY));
        }
        let rule = self.rule_broken(client.as_ref());
        let client = client.filter(|client| client.id == self.client_id && !client.disabled).filter(|client| {
            match (client.metadata.token_endpoint_auth_method, &self.presented) {
                (AuthMethod::None, Presented::Nothing) => true,
                // RFC 6749 2.3.1 allows both places for a secret. Clients choose by the server metadata and not by what
                // they registered, and the right secret proves as much in either place.
                (
                    AuthMethod::ClientSecretPost | AuthMethod::ClientSecretBasic,
                    Presented::Post(_) | Presented::Basic(..),
                ) => bool::from(matches),
                (AuthMethod::None, Presented::Post(_) | Presented::Basic(..))
                | (AuthMethod::ClientSecretPost | AuthMethod::ClientSecretBasic, Presented::Nothing)
                | (AuthMethod::PrivateKeyJwt, Presented::Nothing | Presented::Post(_) | Presented::Basic(..))
                // Keys are not looked at here, see `authenticate_by_key`.
                | (_, Presented::Assertion(_)) => false,
            }
        });
        client.map(|client| AuthenticatedClient::proved(client, false)).ok_or_else(|| {
            let secret = match &self.presented {
                Presented::Post(secret) | Presented::Basic(secret, _) => secret.as_str(),
                Presented::Nothing | Presented::Assertion(_) => "",
            };
            let is_unknown = rule == Rule::ClientUnknown;
            let came = if is_unknown { ("client_id", self.client_id.as_str()) } else { ("client_secret", secret) };
            failed(rule, self.used_basic(), came)
        })
    }

    /// Finds which rule a failed authentication broke; for the log, never for the answer.
    fn rule_broken(&self, client: Option<&Client>) -> Rule {
        match (client.map(|client| client.metadata.token_endpoint_auth_method), &self.presented) {
            (None, _) => Rule::ClientUnknown,
            (Some(_), Presented::Assertion(_)) => Rule::AssertionUnexpected,
            (Some(AuthMethod::PrivateKeyJwt), Presented::Nothing) => Rule::AssertionMissing,
            (Some(AuthMethod::None | AuthMethod::PrivateKeyJwt), _) => Rule::SecretUnexpected,
            (Some(AuthMethod::ClientSecretPost | AuthMethod::ClientSecretBasic), Presented::Nothing) => {
                Rule::SecretMissing
            }
            (Some(AuthMethod::ClientSecretPost | AuthMethod::ClientSecretBasic), _) => Rule::SecretWrong,
        }
    }
}

impl SignedAssertion {
    /// Returns the client that signed it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the text that no other assertion has while this one is accepted: client and `jti`.
    #[must_use]
    pub fn name(&self) -> String {
        // No client id contains a line feed.
        format!("{}\n{}", self.client.id.as_str(), self.id)
    }

    /// Returns from when on the assertion is refused as expired, so that its name may be forgotten.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Authenticates the client if this is the first use of the assertion (RFC 7523 3).
    ///
    /// # Errors
    /// `invalid_client`.
    pub fn used(self, is_first: bool) -> Result<AuthenticatedClient, CredentialError> {
        if is_first {
            return Ok(AuthenticatedClient::proved(self.client, true));
        }
        let words = "the client assertion was used before: each needs a jti of its own";
        let error = OAuthError::new(Rule::AssertionReplayed, words).came("client_id", self.client.id.as_str());
        Err(CredentialError { error, basic: false })
    }
}

impl AuthenticatedClient {
    fn proved(client: Client, by_assertion: bool) -> Self {
        Self { client, by_assertion }
    }

    /// Returns whether it signed an assertion.
    #[must_use]
    pub const fn by_assertion(&self) -> bool {
        self.by_assertion
    }
}

/// Makes the answer to every failure, the same for an unknown client as for a wrong secret.
fn failed(rule: Rule, basic: bool, (name, value): (&'static str, &str)) -> CredentialError {
    CredentialError { error: OAuthError::new(rule, "client authentication failed").came(name, value), basic }
}

/// Returns whether an `Authorization` header has the scheme `Bearer` and no token.
fn is_empty_bearer(field: &[u8]) -> bool {
    field.split_at_checked(6).is_some_and(|(scheme, rest)| {
        scheme.eq_ignore_ascii_case(b"bearer") && rest.iter().all(|b| matches!(b, b' ' | b'\t'))
    })
}

/// Reads an `Authorization` header (RFC 7617 2); `None` unless it is well-formed Basic.
fn read_basic(header: &[u8]) -> Option<(ClientId, Presented)> {
    let (scheme, encoded) = std::str::from_utf8(header).ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim_matches(' ')).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    // A value that cannot be decoded was not encoded, so only the raw one is tried.
    let decoded = |text: &str| form::decode(text.as_bytes()).unwrap_or_else(|_| text.to_owned());
    Some((ClientId::parse(&decoded(id))?, Presented::Basic(secret.to_owned(), decoded(secret))))
}

impl std::ops::Deref for AuthenticatedClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
