//! The authorization code as stored, and the rule for redeeming it. Stores call `judge` inside their transaction
//! (`store/redemption.rs`), so that check and write are atomic.

use super::{
    AccountId, ClientId, CodeChallenge, CodeHash, CodeVerifier, Exclusions, GrantId, RedirectUri, ResourceIndicator,
    ScopeSet, SignInOrigin, TenantId, Timestamp,
};

/// An authorization code as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeRecord {
    /// SHA-256 of the code.
    pub hash: CodeHash,
    /// The tenant that the code belongs to.
    pub tenant: TenantId,
    /// The grant that redeeming it creates.
    pub grant: GrantId,
    /// The client that it was issued to.
    pub client: ClientId,
    /// The user who consented.
    pub subject: AccountId,
    /// The verified redirect URI that it was sent to.
    pub redirect: RedirectUri,
    /// Whether the authorization request named that URI.
    pub redirect_was_sent: bool,
    /// The code challenge; `None` only in a damaged row, and such a code is never accepted.
    pub challenge: Option<CodeChallenge>,
    /// The resource that it is for.
    pub resource: ResourceIndicator,
    /// The scopes that the user approved.
    pub scopes: ScopeSet,
    /// What the user left out of them.
    pub exclusions: Exclusions,
    /// When the user logged in.
    pub authenticated_at: Timestamp,
    /// When the user was shown what they consented to, now or before; 0 if it is not known.
    pub consented_at: Timestamp,
    /// Where the user consented from, if that is known.
    pub signed_in_from: Option<Box<SignInOrigin>>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// When it was redeemed, if it was. The row stays until the grant ends, so that a replay is recognised.
    pub used_at: Option<Timestamp>,
    /// Wrong verifiers so far; the third one invalidates the code (PK-06).
    pub failures: u8,
}

/// What `/token` presented with a code.
#[derive(Debug, Clone)]
pub struct PresentedCode {
    /// The authenticated client.
    pub client: ClientId,
    /// The verifier, if a well-formed one was sent.
    pub verifier: Option<CodeVerifier>,
    /// The redirect URI, if one was sent (OAuth 2.1 clients send none).
    pub redirect_uri: Option<String>,
    /// The resource, if one was sent.
    pub resource: Option<ResourceIndicator>,
}

/// What the rules say about a presented code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeVerdict {
    /// The code is valid: mark it used and issue tokens.
    Redeem,
    /// The request is valid, but the code was used before: revoke its grant (OAuth 2.1 4.1.3).
    Replayed,
    /// Issue nothing and revoke nothing.
    Refused(CodeRefusal),
}

/// Why a presented code is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeRefusal {
    /// Expired, or invalidated by wrong verifiers.
    Dead,
    /// The stored row is damaged: changes nothing.
    Damaged,
    /// The verifier is wrong or absent: count it; the code survives two of them.
    WrongVerifier,
    /// Another client's code: changes nothing.
    WrongClient,
    /// The redirect URI differs: the code is kept.
    WrongRedirect,
    /// The resource is not the granted one: the code is kept, and the error is `invalid_target`.
    WrongResource,
}

impl CodeRecord {
    /// How many wrong verifiers invalidate a code.
    pub const MAX_FAILURES: u8 = 3;

    /// Decides what a presented code is answered with.
    #[must_use]
    pub fn judge(&self, presented: &PresentedCode, now: Timestamp) -> CodeVerdict {
        // RFC 9700 4.8.2: a row without a challenge is a downgrade or damage, and never a reason to skip PKCE. Nothing
        // else in it is trusted either, not even the client.
        let Some(challenge) = &self.challenge else { return CodeVerdict::Refused(CodeRefusal::Damaged) };
        // The client is checked first: another client can neither add failures nor revoke anything (CR-06).
        if presented.client != self.client {
            return CodeVerdict::Refused(CodeRefusal::WrongClient);
        }
        // A used code stays recognisable after it expires, so that a late replay is detected (CR-03).
        if self.used_at.is_none() && (now >= self.expires_at || self.failures >= Self::MAX_FAILURES) {
            return CodeVerdict::Refused(CodeRefusal::Dead);
        }
        if !presented.verifier.as_ref().is_some_and(|verifier| challenge.is_met_by(verifier)) {
            return CodeVerdict::Refused(CodeRefusal::WrongVerifier);
        }
        // RFC 6749 4.1.3: the values must be identical, port included. OAuth 2.1 10.2: absent is fine.
        if presented.redirect_uri.as_ref().is_some_and(|uri| uri != self.redirect.as_str()) {
            return CodeVerdict::Refused(CodeRefusal::WrongRedirect);
        }
        if presented.resource.as_ref().is_some_and(|resource| *resource != self.resource) {
            return CodeVerdict::Refused(CodeRefusal::WrongResource);
        }
        // OAuth 2.1 4.1.3: checked last, so that only an otherwise valid request revokes the grant (CR-04).
        if self.used_at.is_some() { CodeVerdict::Replayed } else { CodeVerdict::Redeem }
    }
}
