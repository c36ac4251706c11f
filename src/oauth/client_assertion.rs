//! `ClientAssertion`: a JWT by which a client authenticates (RFC 7523 2.2 and 3).

use super::jose::{JoseFault, JwkSet, Jws, TimeBounds};
use super::{ClientId, Form, Lifetime, OAuthError, Rule, Timestamp};

/// The only value of `client_assertion_type` (RFC 7523 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How far clocks may differ, and how long before its end an assertion is accepted at most.
const TIMES: TimeBounds = TimeBounds { skew: Lifetime::from_secs(60), life: Lifetime::from_secs(300) };

/// An assertion whose signature is not checked yet.
#[derive(Clone)]
pub struct ClientAssertion {
    jws: Jws,
    client: ClientId,
}

impl std::fmt::Debug for ClientAssertion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientAssertion(..)")
    }
}

impl ClientAssertion {
    /// Reads an assertion, and the client that it names. `client_id` may be left out (RFC 7521 4.2).
    ///
    /// # Errors
    /// `invalid_client`: another type, not a signed JWT, or `iss`, `sub` and `client_id` that differ.
    pub(super) fn read(text: &str, form: &Form) -> Result<(ClientId, Self), OAuthError> {
        let came = |error: OAuthError| error.came("client_assertion", text);
        if form.get("client_assertion_type") != Some(JWT_BEARER) {
            let words = format!("client_assertion_type must be {JWT_BEARER}");
            return Err(came(OAuthError::new(Rule::AssertionMalformed, words)));
        }
        let jws = Jws::read(text).map_err(|fault| came(refused(Rule::AssertionMalformed, fault.words())))?;
        let claims = jws.unproved();
        let client = claims.subject().and_then(ClientId::parse).filter(|id| {
            claims.issuer() == Some(id.as_str()) && form.get("client_id").is_none_or(|named| named == id.as_str())
        });
        let Some(client) = client else {
            let words = "iss and sub must both be the client id, and the same as client_id";
            return Err(came(refused(Rule::AssertionRefused, words)));
        };
        Ok((client.clone(), Self { jws, client }))
    }

    /// Checks what does not depend on the client: whom the assertion is for, and when.
    ///
    /// # Errors
    /// `invalid_client`. The description says what is wrong, which anybody can see from the assertion.
    pub fn check(&self, issuer: &str, now: Timestamp) -> Result<(), OAuthError> {
        let claims = self.jws.unproved();
        // RFC 8725 3.11: a token of another kind by the same key is no assertion. Few clients send `typ`.
        let kind = self.jws.kind().map(|kind| kind.strip_prefix("application/").unwrap_or(kind).to_ascii_lowercase());
        let is_of_kind = kind.is_none_or(|kind| matches!(kind.as_str(), "jwt" | "client-authentication+jwt"));
        let checked = if !is_of_kind {
            Err(JoseFault::new("typ is not JWT"))
        } else if !claims.is_for(issuer) {
            // One string: a list would let another server of the list present it here.
            Err(JoseFault::new("aud must be the issuer of this server as one string"))
        } else {
            claims.check_times(now, TIMES).and_then(|()| claims.id().map(drop))
        };
        checked.map_err(|fault| {
            refused(Rule::AssertionRefused, fault.words()).came("client_id", self.client.as_str()).expected(format!(
                "aud {issuer} as one string; exp at most 5 minutes ahead of {}, nbf and iat not ahead; a jti",
                now.as_secs()
            ))
        })
    }

    /// Returns the signed text, by which keys are found.
    #[must_use]
    pub const fn signed(&self) -> &Jws {
        &self.jws
    }

    /// Checks the signature; returns the `jti`, and from when on the assertion counts as expired.
    pub(super) fn verify(&self, keys: &JwkSet) -> Result<(&str, Timestamp), Rule> {
        let claims = self.jws.verify(keys).map_err(|_| Rule::AssertionSignature)?;
        let expires_at = claims.expires_at().map(|end| end.plus(TIMES.skew));
        claims.id().ok().zip(expires_at).ok_or(Rule::AssertionRefused)
    }
}

fn refused(rule: Rule, words: &'static str) -> OAuthError {
    OAuthError::new(rule, format!("the client assertion is refused: {words}"))
}
