//! `GrantAssertion`: a JWT that is presented as a grant (RFC 7523 2.1 and 3).

use super::jose::{Claims, JoseFault, JwkSet, Jws, TimeBounds};
use super::{ClientId, Form, Lifetime, LoginName, OAuthError, Rule, Timestamp};

/// How far clocks may differ, and how long before its end an assertion of a client is accepted at most.
const TIMES: TimeBounds = TimeBounds { skew: Lifetime::from_secs(60), life: Lifetime::from_secs(300) };

/// How long before its end the token of a workload is accepted at most: Kubernetes renews those of a pod each day at
/// the latest.
const WORKLOAD_TIMES: TimeBounds = TimeBounds { skew: Lifetime::from_secs(60), life: Lifetime::from_secs(24 * 3600) };

/// The longest subject of a workload in bytes.
const MAX_SUBJECT: usize = 1024;

/// Claims by which a token is bound to a key (RFC 7800) or to details (RFC 9396). What they demand is not checked here,
/// so a token with one is refused rather than accepted without it.
const UNSUPPORTED: [&str; 2] = ["cnf", "authorization_details"];

/// An assertion whose signature is not checked yet.
#[derive(Clone)]
pub struct GrantAssertion {
    jws: Jws,
}

/// A client's assertion that it may be believed: for whom it wants to act, and its name among used ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActingFor {
    /// The login name of the person; `None` for a text that nobody can have as a name.
    pub person: Option<LoginName>,
    /// The text that no other assertion has while this one is accepted: client and `jti`.
    pub name: String,
    /// From when on it is refused as expired, so that its name may be forgotten.
    pub expires_at: Timestamp,
}

/// Whose token a workload presents: its issuer, and its subject there. Its text is both, separated by a space, which no
/// issuer contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadIdentity {
    issuer: Box<str>,
    subject: Box<str>,
}

impl WorkloadIdentity {
    /// Makes it from both; `None` for an issuer with a space, a subject that is empty, too long or has control
    /// characters.
    #[must_use]
    pub fn new(issuer: &str, subject: &str) -> Option<Self> {
        let is_sound = (1..=MAX_SUBJECT).contains(&subject.len()) && !subject.chars().any(char::is_control);
        (is_sound && !issuer.is_empty() && !issuer.contains(' '))
            .then(|| Self { issuer: issuer.into(), subject: subject.into() })
    }

    /// Parses its text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.split_once(' ').and_then(|(issuer, subject)| Self::new(issuer, subject))
    }

    /// Returns the issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the subject.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl std::fmt::Display for WorkloadIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.issuer, self.subject)
    }
}

impl std::fmt::Debug for GrantAssertion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GrantAssertion(..)")
    }
}

impl GrantAssertion {
    /// Reads the assertion of a token request.
    ///
    /// # Errors
    /// `invalid_request` without one, `invalid_grant` for what is no signed JWT.
    pub(super) fn read(form: &Form) -> Result<Self, OAuthError> {
        // RFC 7521 4.1: exactly one.
        let missing = || OAuthError::new(Rule::GrantAssertionMissing, "assertion is missing");
        let text = form.get("assertion").ok_or_else(missing)?;
        // RFC 7521 4.1.1: whatever is wrong with the assertion, the grant is invalid.
        let jws = Jws::read(text)
            .map_err(|fault| refused(Rule::GrantAssertionMalformed, fault.words()).came("assertion", text))?;
        Ok(Self { jws })
    }

    /// Returns the signed text, by which keys are found.
    #[must_use]
    pub const fn signed(&self) -> &Jws {
        &self.jws
    }

    /// Checks everything but the signature of an assertion by which a client says for whom it acts: that this client
    /// issued it, for this server, and when.
    ///
    /// # Errors
    /// `invalid_grant`. The description says what is wrong, which anybody can see from the assertion.
    pub fn check(&self, client: &ClientId, issuer: &str, now: Timestamp) -> Result<(), OAuthError> {
        let claims = self.jws.unproved();
        check_kind(&self.jws)
            .and_then(|()| check_client(claims, client))
            .and_then(|()| {
                // One string: a list would let another server of the list present it here.
                let is_for_us = claims.is_for(issuer);
                is_for_us.then_some(()).ok_or(JoseFault::new("aud must be the issuer of this server as one string"))
            })
            .and_then(|()| claims.check_times(now, TIMES))
            .and_then(|()| claims.id().map(drop))
            .and_then(|()| claims.subject().map(drop).ok_or(JoseFault::new("sub is missing")))
            .map_err(|fault| {
                let error = refused(Rule::GrantAssertionRefused, fault.words()).came("client_id", client.as_str());
                error.expected(format!(
                    "iss {}, aud {issuer} as one string; exp at most 5 minutes ahead of {}, nbf and iat not ahead; sub \
                     and jti",
                    client.as_str(),
                    now.as_secs()
                ))
            })
    }

    /// Checks everything but issuer, signature and patterns of a workload's token: whom it is for, and when. It may be
    /// presented again, so a `jti` says nothing.
    ///
    /// # Errors
    /// `invalid_grant`.
    pub fn check_workload(&self, audience: &str, now: Timestamp) -> Result<WorkloadIdentity, OAuthError> {
        let claims = self.jws.unproved();
        let kind = self.jws.kind().is_none_or(|kind| kind.eq_ignore_ascii_case("JWT"));
        let identity = claims.issuer().zip(claims.subject());
        let identity = identity.and_then(|(issuer, subject)| WorkloadIdentity::new(issuer, subject));
        let fault = if !kind {
            Some(JoseFault::new("typ is not JWT"))
        } else if !claims.is_only_for(audience) {
            Some(JoseFault::new("aud must be exactly the audience of the workload"))
        } else if UNSUPPORTED.iter().any(|name| claims.has(name)) {
            Some(JoseFault::new("it has cnf or authorization_details, which are not supported"))
        } else {
            claims.check_times(now, WORKLOAD_TIMES).err()
        };
        let refuse = |fault: JoseFault| {
            let error = OAuthError::new(Rule::WorkloadRefused, format!("the token is refused: {}", fault.words()));
            error.came("aud", claims.text("aud").unwrap_or_default()).expected(format!("aud {audience}, alone"))
        };
        match fault {
            Some(fault) => Err(refuse(fault)),
            None => identity.ok_or_else(|| refuse(JoseFault::new("sub is missing or too long"))),
        }
    }

    /// Checks that the client signed it; returns for whom it wants to act.
    ///
    /// # Errors
    /// `invalid_grant`.
    pub fn verify(&self, client: &ClientId, keys: &JwkSet) -> Result<ActingFor, OAuthError> {
        let wrong = || {
            let words = "none of the keys of the client made the signature";
            refused(Rule::GrantAssertionSignature, words).came("client_id", client.as_str())
        };
        let claims = self.jws.verify(keys).map_err(|_| wrong())?;
        let (id, end) = claims.id().ok().zip(claims.expires_at()).ok_or_else(wrong)?;
        Ok(ActingFor {
            person: claims.subject().and_then(LoginName::parse),
            // No client id contains a line feed; the first word tells it from an assertion that authenticates.
            name: format!("grant {}\n{id}", client.as_str()),
            expires_at: end.plus(TIMES.skew),
        })
    }
}

/// Checks what a client's assertion says of the client.
fn check_client(claims: &Claims, client: &ClientId) -> Result<(), JoseFault> {
    // RFC 7523 3 and 3.1: the client issues it, and nobody else.
    if claims.issuer() != Some(client.as_str()) {
        return Err(JoseFault::new("iss must be the client id of the client that presents it"));
    }
    if claims.has("client_id") && claims.text("client_id") != Some(client.as_str()) {
        return Err(JoseFault::new("client_id in it is not the client that presents it"));
    }
    if UNSUPPORTED.iter().any(|name| claims.has(name)) {
        return Err(JoseFault::new("it has cnf or authorization_details, which are not supported"));
    }
    Ok(())
}

/// RFC 8725 3.11: a token of another kind by the same key is no assertion. Few clients send `typ`.
fn check_kind(jws: &Jws) -> Result<(), JoseFault> {
    let kind = jws.kind().map(|kind| kind.strip_prefix("application/").unwrap_or(kind).to_ascii_lowercase());
    let is_of_kind = kind.is_none_or(|kind| matches!(kind.as_str(), "jwt" | "authorization-grant+jwt"));
    is_of_kind.then_some(()).ok_or(JoseFault::new("typ is not JWT"))
}

fn refused(rule: Rule, words: &'static str) -> OAuthError {
    OAuthError::new(rule, format!("the assertion is refused: {words}"))
}
