//! `Claims`: what a signed token says, and the rules for its times (RFC 7519 4.1).

use serde_json::{Map, Number, Value};

use super::JoseFault;
use crate::oauth::{Lifetime, Timestamp};

/// The longest id of a token in bytes.
const MAX_ID: usize = 256;

/// The claims of a token.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    members: Map<String, Value>,
    expires_at: Option<Timestamp>,
    not_before: Option<Timestamp>,
    issued_at: Option<Timestamp>,
}

/// How far the times of a token may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeBounds {
    /// How much the clocks may differ.
    pub skew: Lifetime,
    /// How long after now, and after it was issued, it may at most be valid.
    pub life: Lifetime,
}

impl Claims {
    /// Takes the claims of a token. Times are whole seconds; a fraction is dropped (RFC 7519 2, NumericDate).
    pub(super) fn read(members: Map<String, Value>) -> Result<Self, JoseFault> {
        let time = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(value) => {
                let secs = value.as_number().and_then(whole).ok_or(JoseFault("a time is not a number of seconds"))?;
                Ok(Some(Timestamp::from_secs(secs)))
            }
        };
        let (expires_at, not_before, issued_at) = (time("exp")?, time("nbf")?, time("iat")?);
        Ok(Self { members, expires_at, not_before, issued_at })
    }

    /// Returns whether there is such a claim.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Returns a claim that is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }

    /// Returns who issued the token (`iss`).
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// Returns whom the token is about (`sub`).
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.text("sub")
    }

    /// Returns whether the token is for this issuer and no other (`aud`): one string, not a list.
    #[must_use]
    pub fn is_for(&self, issuer: &str) -> bool {
        // RFC 3986 6.2.3: an empty path is the path `/`, with which the SDK for Python 1.30 writes every origin.
        let audience = self.text("aud");
        audience == Some(issuer) || audience.and_then(|audience| audience.strip_suffix('/')) == Some(issuer)
    }

    /// Returns whether the token is for exactly this audience (`aud`): one string, or a list of it alone (RFC 7519
    /// 4.1.3).
    #[must_use]
    pub fn is_only_for(&self, audience: &str) -> bool {
        match self.members.get("aud") {
            Some(Value::Array(list)) => matches!(&list[..], [only] if only.as_str() == Some(audience)),
            one => one.and_then(Value::as_str) == Some(audience),
        }
    }

    /// Returns when the token expires (`exp`).
    #[must_use]
    pub const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Returns the token's id (`jti`).
    ///
    /// # Errors
    /// There is none, or it is not a string of 1 to 256 bytes.
    pub fn id(&self) -> Result<&str, JoseFault> {
        self.text("jti").filter(|id| (1..=MAX_ID).contains(&id.len())).ok_or(JoseFault("jti is missing or too long"))
    }

    /// Checks the times of a token.
    ///
    /// # Errors
    /// It has no end, has ended, ends too late, was issued too long before its end, or is not valid yet.
    pub fn check_times(&self, now: Timestamp, bounds: TimeBounds) -> Result<(), JoseFault> {
        let expires_at = self.expires_at.ok_or(JoseFault("exp is missing"))?;
        // RFC 7519 4.1.4: not accepted on or after that time, but for clocks that differ.
        if expires_at.plus(bounds.skew) <= now {
            return Err(JoseFault("it has expired"));
        }
        if expires_at > now.plus(bounds.life).plus(bounds.skew) {
            return Err(JoseFault("exp is too far ahead"));
        }
        if self.issued_at.is_some_and(|issued_at| expires_at > issued_at.plus(bounds.life).plus(bounds.skew)) {
            return Err(JoseFault("exp is too far after iat"));
        }
        if [self.not_before, self.issued_at].into_iter().flatten().any(|start| start > now.plus(bounds.skew)) {
            return Err(JoseFault("it is not valid yet: nbf or iat is ahead"));
        }
        Ok(())
    }
}

/// Returns the whole part of a number that is neither negative nor too large for `u64`.
fn whole(number: &Number) -> Option<u64> {
    let text = number.to_string();
    let (whole, _) = text.split_once('.').filter(|_| !text.contains('e')).unwrap_or((&text, ""));
    whole.parse().ok()
}
