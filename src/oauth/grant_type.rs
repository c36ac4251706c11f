//! `GrantType`: the grant types that this server knows (RFC 6749 1.3).

/// The grant types of RFC 6749 that this server knows; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GrantType {
    /// RFC 6749 4.1.
    AuthorizationCode,
    /// RFC 6749 6.
    RefreshToken,
}

impl GrantType {
    /// Returns the registered spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
        }
    }
    /// Reads the registered spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::AuthorizationCode, Self::RefreshToken].into_iter().find(|g| g.as_str() == text)
    }
}
