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
}

impl AuthMethod {
    /// Returns the registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
        }
    }
    /// Parses the registered name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::ClientSecretBasic, Self::ClientSecretPost].into_iter().find(|m| m.as_str() == text)
    }
}
