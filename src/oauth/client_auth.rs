//! Client authentication at `/token` and `/revoke`: none, `client_secret_post`, `client_secret_basic` (RFC 6749 2.3).

use super::{Client, ClientId, Form, OAuthError, Timestamp};

/// What the request presented; not yet believed.
#[derive(Debug, Clone)]
pub struct ClientCredentials {
    /// The client it claims to be.
    pub client_id: ClientId,
    presented: Presented,
}

#[derive(Clone)]
#[expect(dead_code, reason = "contract stage")]
enum Presented {
    Nothing,
    Post(String),
    /// The raw value and, where it differs, the form-decoded one.
    Basic(String, String),
}

impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Presented(..)")
    }
}

/// Why the credentials could not even be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialError {
    /// `invalid_client` or `invalid_request`.
    pub error: OAuthError,
    /// Whether Basic was attempted, so that the answer carries a Basic challenge (RFC 6749 5.2).
    pub basic: bool,
}

/// Proof that the client is who it claims to be; made only by `authenticate`.
#[derive(Debug, Clone)]
pub struct AuthenticatedClient {
    client: Client,
}

impl ClientCredentials {
    /// Reads the credentials from the Authorization header and the form.
    ///
    /// # Errors
    /// `invalid_request` for more than one mechanism, `invalid_client` for a malformed header or none at all.
    pub fn read(_authorization: Option<&[u8]>, _form: &Form) -> Result<Self, CredentialError> {
        todo!()
    }
    /// Returns whether HTTP Basic was used.
    #[must_use]
    pub fn used_basic(&self) -> bool {
        matches!(self.presented, Presented::Basic(..))
    }
    /// Checks the credentials against the client: the registered method only, constant time, both secrets of a
    /// rotation. `None` for an unknown client costs the same work.
    ///
    /// # Errors
    /// `invalid_client`, always with the same words.
    pub fn authenticate(
        &self,
        _client: Option<Client>,
        _now: Timestamp,
    ) -> Result<AuthenticatedClient, CredentialError> {
        todo!()
    }
}

impl AuthenticatedClient {
    /// Returns the client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }
}
