//! The authorization code as stored, and the rule of its redemption. Stores ask `judge` inside their transaction
//! (`store/redemption.rs`), so that the rule and the write are one.

use super::{
    AccountId, ClientId, CodeChallenge, CodeHash, CodeVerifier, GrantId, RedirectUri, ResourceIndicator, ScopeSet,
    TenantId, Timestamp,
};

/// An authorization code as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeRecord {
    /// SHA-256 of the code.
    pub hash: CodeHash,
    /// Whose.
    pub tenant: TenantId,
    /// The grant that its redemption makes.
    pub grant: GrantId,
    /// Bound to this client,
    pub client: ClientId,
    /// this user,
    pub subject: AccountId,
    /// this redirect URI, which was verified,
    pub redirect: RedirectUri,
    /// (whether the authorization request named it)
    pub redirect_was_sent: bool,
    /// this challenge (`None` only in a damaged row: such a code is never honoured),
    pub challenge: Option<CodeChallenge>,
    /// this resource,
    pub resource: ResourceIndicator,
    /// these scopes.
    pub scopes: ScopeSet,
    /// When the user logged in.
    pub authenticated_at: Timestamp,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was redeemed, if it was. The row stays until the grant ends, so that a replay is recognised.
    pub used_at: Option<Timestamp>,
    /// Wrong verifiers so far; the third kills the code (PK-06).
    pub failures: u8,
}

/// What `/token` presented with a code.
#[derive(Debug, Clone)]
pub struct PresentedCode {
    /// The authenticated client.
    pub client: ClientId,
    /// The verifier, if one of the right shape came.
    pub verifier: Option<CodeVerifier>,
    /// The redirect URI, if one came (OAuth 2.1 clients send none).
    pub redirect_uri: Option<String>,
    /// The resource, if one came.
    pub resource: Option<ResourceIndicator>,
}

/// What the rules say of a presented code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeVerdict {
    /// Everything holds: mark it used and issue.
    Redeem,
    /// Everything holds, but it was used before: revoke its grant (OAuth 2.1 4.1.3).
    Replayed,
    /// Issue nothing and revoke nothing.
    Refused(CodeRefusal),
}

/// Why a presented code is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeRefusal {
    /// Expired, or killed by wrong verifiers.
    Dead,
    /// The row is not as it was written: changes nothing.
    Damaged,
    /// The verifier is wrong or absent: count it; the code survives two of them.
    WrongVerifier,
    /// Another client's code: changes nothing.
    WrongClient,
    /// The redirect URI differs: the code is kept.
    WrongRedirect,
    /// The resource is not the granted one: the code is kept; `invalid_target`.
    WrongResource,
}

impl CodeRecord {
    /// Wrong verifiers that kill a code.
    pub const MAX_FAILURES: u8 = 3;

    /// Judges a presented code.
    #[must_use]
    pub fn judge(&self, presented: &PresentedCode, now: Timestamp) -> CodeVerdict {
        // RFC 9700 4.8.2: a row without challenge is a downgrade or damage, never a licence to skip PKCE. Nothing else of
        // it is believed either, not even whose it is.
        let Some(challenge) = &self.challenge else { return CodeVerdict::Refused(CodeRefusal::Damaged) };
        // The client comes before the rest: who is not the code's client can neither count failures nor revoke anything
        // (CR-06).
        if presented.client != self.client {
            return CodeVerdict::Refused(CodeRefusal::WrongClient);
        }
        // A used code stays recognisable after its short life: that is how a late replay is seen (CR-03).
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
        // OAuth 2.1 4.1.3: last of all, so that only a request that would have been honoured revokes (CR-04).
        if self.used_at.is_some() { CodeVerdict::Replayed } else { CodeVerdict::Redeem }
    }
}
