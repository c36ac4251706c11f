//! `AuthMethod`: how a client authenticates (RFC 7591 2).

/// How a client authenticates at the token endpoint (RFC 7591 2, `token_endpoint_auth_method`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// No authentication: a public client.
    None,
    /// HTTP Basic (RFC 6749 2.3.1).
    ClientSecretBasic,
    /// The secret in the form body.
    ClientSecretPost,
    /// An assertion that the client signs with a key of its own (RFC 7523 2.2).
    PrivateKeyJwt,
}

impl AuthMethod {
    /// All methods, in the order of the metadata.
    pub const ALL: [Self; 4] = [Self::None, Self::ClientSecretBasic, Self::ClientSecretPost, Self::PrivateKeyJwt];

    /// Returns the registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    /// Returns whether a client with this method has a secret that the gateway issues.
    #[must_use]
    pub const fn has_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }

    /// Parses the registered name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.as_str() == text)
    }
}
