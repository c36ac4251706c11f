//! `CodeChallenge` and `CodeVerifier` (RFC 7636): S256 and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{OAuthError, Rule};

/// Length of 256 bits in base64url without padding.
const CHALLENGE_LENGTH: usize = 43;

/// base64url(SHA-256(verifier)), exactly 43 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeChallenge(String);

/// The client's secret: 43 to 128 unreserved characters, sent only at redemption.
#[derive(Clone, PartialEq, Eq)]
pub struct CodeVerifier(String);

impl CodeChallenge {
    /// Parses `code_challenge` and `code_challenge_method` of an authorization request.
    ///
    /// # Errors
    /// `invalid_request` when the challenge is absent or not 43 base64url characters, or the method is not `S256`
    /// (absent means `plain`, RFC 7636 4.3, which is refused).
    pub fn parse(challenge: Option<&str>, method: Option<&str>) -> Result<Self, OAuthError> {
        // OAuth 2.1 4.1.1: every client must use PKCE, confidential ones too.
        let Some(challenge) = challenge else {
            let words = "code_challenge is missing: PKCE with S256 is required";
            return Err(OAuthError::new(Rule::ChallengeMissing, words));
        };
        match method {
            Some("S256") => {}
            // RFC 7636 4.3: an absent method means `plain`, which shows the verifier to anyone who sees the request.
            None => {
                let words = "code_challenge_method is missing: send S256";
                return Err(OAuthError::new(Rule::ChallengeMethodMissing, words));
            }
            Some(other) => {
                let error = OAuthError::new(Rule::ChallengeMethodUnsupported, "code_challenge_method must be S256");
                return Err(error.came("code_challenge_method", other));
            }
        }
        Self::from_stored(challenge).ok_or_else(|| {
            let count = challenge.chars().count();
            let words = if count == CHALLENGE_LENGTH {
                "code_challenge has characters other than A to Z, a to z, 0 to 9, - and _".to_owned()
            } else {
                format!("code_challenge has {count} characters: a SHA-256 hash has 43 in base64url without padding")
            };
            OAuthError::new(Rule::ChallengeMalformed, words).came("code_challenge", challenge)
        })
    }
    /// Reads a stored challenge; `None` when it is not one.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        let base64url = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        (text.len() == CHALLENGE_LENGTH && text.bytes().all(base64url)).then(|| Self(text.to_owned()))
    }
    /// Returns the 43 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Returns whether `verifier` hashes to this challenge; constant time (RFC 7636 4.6).
    #[must_use]
    pub fn is_met_by(&self, verifier: &CodeVerifier) -> bool {
        let mut expected = [0; CHALLENGE_LENGTH];
        // RFC 7636 4.6: base64url(SHA-256(ASCII(verifier))) is compared with the challenge.
        let hash = Sha256::digest(verifier.0.as_bytes());
        URL_SAFE_NO_PAD.encode_slice(hash, &mut expected).is_ok() && bool::from(expected.ct_eq(self.0.as_bytes()))
    }
}

impl CodeVerifier {
    /// Reads a verifier; `None` unless it has 43 to 128 unreserved characters (RFC 7636 4.1).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::problem(text).is_none().then(|| Self(text.to_owned()))
    }

    /// Says what keeps a text from being a verifier, as it continues a sentence (RFC 7636 4.1).
    #[must_use]
    pub fn problem(text: &str) -> Option<String> {
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        if !text.bytes().all(unreserved) {
            return Some("has characters other than A to Z, a to z, 0 to 9 and -._~".to_owned());
        }
        let count = text.len();
        (!(43..=128).contains(&count)).then(|| format!("has {count} characters: it needs 43 to 128"))
    }
}

impl std::fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CodeVerifier(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::ErrorCode;

    // The example of RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_rfc_7636_holds() {
        let challenge = CodeChallenge::parse(Some(CHALLENGE), Some("S256")).unwrap();
        assert!(challenge.is_met_by(&CodeVerifier::parse(VERIFIER).unwrap()));
        assert!(!challenge.is_met_by(&CodeVerifier::parse(&VERIFIER.replace('X', "Y")).unwrap()));
    }

    #[test]
    fn pk_01_pk_02_pk_03_no_challenge_no_method_or_another_method_is_refused() {
        for (challenge, method) in [
            (None, Some("S256")),
            (Some(CHALLENGE), None),
            (Some(CHALLENGE), Some("plain")),
            (Some(CHALLENGE), Some("S512")),
            (Some(CHALLENGE), Some("s256")),
            (Some(CHALLENGE), Some("")),
        ] {
            let error = CodeChallenge::parse(challenge, method).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidRequest, "{challenge:?} {method:?}");
        }
    }

    #[test]
    fn pk_04_a_challenge_has_exactly_43_base64url_characters() {
        for bad in
            [&CHALLENGE[1..], &format!("{CHALLENGE}A"), &CHALLENGE.replace('-', "="), &CHALLENGE.replace('-', "+")]
                .into_iter()
                .chain([CHALLENGE.replace('-', " ").as_str()])
        {
            let refused = CodeChallenge::parse(Some(bad), Some("S256")).unwrap_err();
            let wanted =
                if bad.len() == 43 { "has characters other than" } else { "characters: a SHA-256 hash has 43" };
            assert!(refused.description().contains(wanted), "{refused:?}");
        }
    }

    #[test]
    fn pk_07_a_verifier_has_43_to_128_unreserved_characters() {
        assert!(CodeVerifier::parse(&"a".repeat(42)).is_none());
        assert!(CodeVerifier::parse(&"~".repeat(43)).is_some());
        assert!(CodeVerifier::parse(&"a".repeat(128)).is_some());
        assert!(CodeVerifier::parse(&"a".repeat(129)).is_none());
        assert!(CodeVerifier::parse(&VERIFIER.replace('J', "+")).is_none());
        assert_eq!(CodeVerifier::problem(&"a".repeat(40)).unwrap(), "has 40 characters: it needs 43 to 128");
        assert!(CodeVerifier::problem("a+").unwrap().starts_with("has characters other than"));
    }

    #[test]
    fn pk_10_the_challenge_is_no_verifier() {
        let challenge = CodeChallenge::from_stored(CHALLENGE).unwrap();
        assert!(!challenge.is_met_by(&CodeVerifier::parse(CHALLENGE).unwrap()));
    }
}
