//! `CodeChallenge` and `CodeVerifier` (RFC 7636): S256 and nothing else.

use super::OAuthError;

/// base64url(SHA-256(verifier)), exactly 43 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeChallenge(String);

/// 43 to 128 unreserved characters, kept only by the client until redemption.
#[derive(Clone, PartialEq, Eq)]
pub struct CodeVerifier(String);

impl CodeChallenge {
    /// Reads `code_challenge` and `code_challenge_method` of an authorization request.
    ///
    /// # Errors
    /// `invalid_request` when the challenge is absent or not 43 base64url characters, or the method is not `S256`
    /// (absent means `plain`, RFC 7636 4.3, which is refused).
    pub fn parse(_challenge: Option<&str>, _method: Option<&str>) -> Result<Self, OAuthError> {
        todo!()
    }
    /// Reads a challenge that was stored; `None` when it is not one.
    #[must_use]
    pub fn from_stored(_text: &str) -> Option<Self> {
        todo!()
    }
    /// Returns the 43 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Returns whether `verifier` hashes to this challenge; constant time (RFC 7636 4.6).
    #[must_use]
    pub fn is_met_by(&self, _verifier: &CodeVerifier) -> bool {
        todo!()
    }
}

impl CodeVerifier {
    /// Reads a verifier; `None` unless it has 43 to 128 unreserved characters (RFC 7636 4.1).
    #[must_use]
    pub fn parse(_text: &str) -> Option<Self> {
        todo!()
    }
}

impl std::fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CodeVerifier(..)")
    }
}
