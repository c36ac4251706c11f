//! The token request and response, and the rules of redemption and rotation. Stores ask the two `judge` functions inside
//! their transaction (`store/redemption.rs`, `store/rotation.rs`), so that the rule and the write are one.

use std::sync::Arc;

use super::authorization::repeated;
use super::{
    AccountId, AuthorizationCode, ClientId, CodeChallenge, CodeHash, CodeVerifier, FirstUse, Form, Grant, GrantId,
    GrantType, Lifetime, OAuthError, RedirectUri, RefreshToken, ResourceIndicator, Rule, ScopeSet, Subject, TenantId,
    Timestamp, TokenHash,
};

/// An access token as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessTokenRecord {
    /// SHA-256 of the token.
    pub hash: TokenHash,
    /// Whose.
    pub tenant: TenantId,
    /// The grant it lives on; it dies with it.
    pub grant: GrantId,
    /// Issued to.
    pub client: ClientId,
    /// On behalf of.
    pub subject: Subject,
    /// The name that its account had when this was read or made; it decides nothing.
    pub user: Arc<str>,
    /// Its one audience.
    pub resource: ResourceIndicator,
    /// What it allows.
    pub scopes: ScopeSet,
    /// The generation of the refresh token that it was issued with; 0 without one.
    pub generation: u32,
    /// Whether the store has to be told when it is used: as far as it knows, nothing of its generation was used yet.
    /// Derived when the record is made or read; not stored.
    pub reports_use: bool,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

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

/// What `/token` presented with a genuine refresh token.
#[derive(Debug, Clone)]
pub struct PresentedRefresh {
    /// The authenticated client.
    pub client: ClientId,
    /// The generation that the token names.
    pub generation: u32,
    /// How long the preceding generation may be retried; zero is strict.
    pub grace: Lifetime,
    /// How long after the rotation the preceding generation may be presented again while nothing of the live one has been
    /// used; zero: never.
    pub lost_answer: Lifetime,
    /// Whether the clock is in doubt, so that the predecessor may be younger than it looks.
    pub clock_in_doubt: bool,
}

/// What the rules say of a presented refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshVerdict {
    /// The live generation: move on to the next.
    Rotate,
    /// The generation before the live one, within the grace: answer with the live one again.
    Retry,
    /// The generation before the live one, after the grace, and nothing of the live one was ever used: its answer was
    /// lost. Answer with the live one again; access tokens given out with it before are void.
    LateRetry,
    /// An older generation, or the preceding one otherwise: revoke the family.
    Reused,
    /// Change nothing.
    Refused(RefreshRefusal),
}

/// Why a presented refresh token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshRefusal {
    /// The preceding generation, and it is not known whether the live one was used, or how long ago the rotation was:
    /// the family is left alone.
    InDoubt,
    /// A generation that was never issued by this store (a restored backup; RT-16).
    Ahead,
    /// Idle too long, past the absolute end, or revoked.
    Dead,
    /// Another client's.
    WrongClient,
    /// The grant does not allow refreshing.
    NotAllowed,
}

/// How far in the future a rotation may lie: a request that waited for the writer carries an earlier `now`.
const EARLY: Lifetime = Lifetime::from_secs(10);

impl Grant {
    /// Judges a presented refresh token.
    #[must_use]
    pub fn judge_refresh(&self, presented: &PresentedRefresh, now: Timestamp) -> RefreshVerdict {
        // Before anything is revoked: another client cannot end a family that it got hold of (RT-06).
        if presented.client != self.client {
            return RefreshVerdict::Refused(RefreshRefusal::WrongClient);
        }
        // Even of a family that has ended: it was issued by a store of which this one is an old copy (RT-16).
        if presented.generation > self.generation {
            return RefreshVerdict::Refused(RefreshRefusal::Ahead);
        }
        if !self.is_active(now) || now >= self.idle_until {
            return RefreshVerdict::Refused(RefreshRefusal::Dead);
        }
        if !self.may_refresh {
            return RefreshVerdict::Refused(RefreshRefusal::NotAllowed);
        }
        match self.generation.saturating_sub(presented.generation) {
            0 => RefreshVerdict::Rotate,
            1 => self.judge_predecessor(presented, now),
            // RFC 9700 4.14.2: a spent token is presented, so two parties hold the family.
            _ => RefreshVerdict::Reused,
        }
    }

    /// Judges the generation before the live one. OAuth 2.1 4.3.1, relaxed: several processes share one token, and answers
    /// are lost; the same successor is no new branch.
    fn judge_predecessor(&self, presented: &PresentedRefresh, now: Timestamp) -> RefreshVerdict {
        // Processes that retry together after a lost answer have the grace again.
        let answered_at = self.retried_at.unwrap_or(self.rotated_at);
        // A clock that was set back since then does not tell how long ago that was, and lengthens nothing.
        let is_known = answered_at.since(now) <= EARLY;
        let is_within = |limit: Lifetime, began: Timestamp| limit > Lifetime::default() && now.since(began) <= limit;
        if is_known && is_within(presented.grace, answered_at) {
            return RefreshVerdict::Retry;
        }
        let is_strict = presented.grace.max(presented.lost_answer) == Lifetime::default();
        let is_doubtful = presented.clock_in_doubt || (!is_known && self.first_use != FirstUse::Used);
        if is_doubtful && !is_strict {
            return RefreshVerdict::Refused(RefreshRefusal::InDoubt);
        }
        if is_within(presented.lost_answer, self.rotated_at) {
            match self.first_use {
                FirstUse::Unused => return RefreshVerdict::LateRetry,
                FirstUse::Unknown => return RefreshVerdict::Refused(RefreshRefusal::InDoubt),
                FirstUse::Used => {}
            }
        }
        RefreshVerdict::Reused
    }
}

/// A token request whose parameters obey the form rules; the grant is not yet judged.
#[derive(Debug)]
pub enum TokenRequest {
    /// RFC 6749 4.1.3.
    AuthorizationCode {
        /// Recognised by format and MAC, without the store; `None` when it is not one of ours.
        code: Option<CodeHash>,
        /// PKCE: `None` when absent or of the wrong shape.
        verifier: Option<CodeVerifier>,
        /// As sent.
        redirect_uri: Option<String>,
        /// As sent.
        resource: Option<ResourceIndicator>,
    },
    /// RFC 6749 6.
    RefreshToken {
        /// Recognised by HMAC; `None` when it is not one of ours.
        claims: Option<super::RefreshClaims>,
        /// Narrower scopes, if asked; a surplus `offline_access` is dropped.
        scopes: Option<ScopeSet>,
        /// As sent.
        resource: Option<ResourceIndicator>,
    },
}

impl TokenRequest {
    /// Reads a token request.
    ///
    /// # Errors
    /// `invalid_request`, `unsupported_grant_type`, `invalid_target`, `invalid_scope`.
    pub fn read(form: &Form, keys: &super::TokenKeys) -> Result<Self, OAuthError> {
        // RFC 6749 3.2: no parameter may come twice.
        if let Some(name) = form.first_repeated() {
            return Err(repeated(name, "a parameter is repeated"));
        }
        let resource = || ResourceIndicator::of_form(form);
        let Some(grant_type) = form.get("grant_type") else {
            return Err(OAuthError::new(Rule::GrantTypeMissing, "grant_type is missing"));
        };
        match GrantType::parse(grant_type) {
            None => {
                let known: Vec<_> = GrantType::names().collect();
                let words = format!("grant_type must be {}", known.join(" or "));
                Err(OAuthError::new(Rule::GrantTypeUnsupported, words).came("grant_type", grant_type))
            }
            Some(GrantType::AuthorizationCode) => {
                let missing = || OAuthError::new(Rule::CodeMissing, "code is missing");
                let code = form.get("code").ok_or_else(missing)?;
                Ok(Self::AuthorizationCode {
                    code: AuthorizationCode::recognise(code.as_bytes(), keys),
                    verifier: form.get("code_verifier").and_then(CodeVerifier::parse),
                    redirect_uri: form.get("redirect_uri").map(str::to_owned),
                    resource: resource()?,
                })
            }
            Some(GrantType::RefreshToken) => {
                let missing = || OAuthError::new(Rule::RefreshTokenMissing, "refresh_token is missing");
                let token = form.get("refresh_token").ok_or_else(missing)?;
                let asked = ScopeSet::of_form(form)?;
                Ok(Self::RefreshToken {
                    claims: RefreshToken::recognise(token, keys),
                    // rmcp adds offline_access to every refresh; alone it asks for nothing narrower.
                    scopes: asked.map(|scopes| scopes.without("offline_access")).filter(|scopes| !scopes.is_empty()),
                    resource: resource()?,
                })
            }
        }
    }
    /// Returns the grant type.
    #[must_use]
    pub fn grant_type(&self) -> GrantType {
        match self {
            Self::AuthorizationCode { .. } => GrantType::AuthorizationCode,
            Self::RefreshToken { .. } => GrantType::RefreshToken,
        }
    }
}

/// A successful token response (RFC 6749 5.1).
#[derive(Debug)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: super::AccessToken,
    /// Seconds it lives.
    pub expires_in: u64,
    /// The refresh token, if one was granted.
    pub refresh_token: Option<RefreshToken>,
    /// What was granted; always stated, unless the resource has no scopes at all.
    pub scopes: ScopeSet,
}

impl TokenResponse {
    /// Returns the JSON body.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(serde::Serialize)]
        struct Members<'a> {
            access_token: &'a str,
            token_type: &'static str,
            expires_in: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            refresh_token: Option<&'a str>,
            // RFC 6749 3.3: a scope value has at least one scope, so that an empty set has no value.
            #[serde(skip_serializing_if = "String::is_empty")]
            scope: String,
        }
        let members = Members {
            access_token: self.access_token.reveal(),
            token_type: "Bearer",
            expires_in: self.expires_in,
            refresh_token: self.refresh_token.as_ref().map(RefreshToken::reveal),
            scope: self.scopes.to_string(),
        };
        // Strings and a number: writing them into memory cannot fail.
        serde_json::to_vec(&members).unwrap_or_default()
    }
}
