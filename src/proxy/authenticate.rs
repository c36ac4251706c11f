//! Authenticates a request: from the `Authorization` header to a principal.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Uri};
use tokio::time::Instant;

use super::rejection::Rejection;
use crate::network::site;
use crate::oauth::{GrantId, TenantId, Timestamp, TokenHash};
use crate::token_cache::{Load, Lookup, Principal, TokenCache};

/// A token that was valid when it was looked up, or a caller without one. Made only by [`LookedUp::authenticate`] and
/// [`Authenticated::anonymous`].
pub(super) struct Authenticated {
    principal: Arc<Principal>,
    grant: GrantId,
    hash: TokenHash,
    expires: Timestamp,
    at: Timestamp,
}

impl Authenticated {
    /// Takes a caller without a token, which is for the upstream of its request alone, and never ends.
    pub(super) fn anonymous(principal: Principal, at: Timestamp) -> Self {
        let never = Timestamp::from_secs(u64::MAX);
        Self::new((Arc::new(principal), GrantId([0; 16]), never), TokenHash::of(&[]), at)
    }

    fn new((principal, grant, expires): (Arc<Principal>, GrantId, Timestamp), hash: TokenHash, at: Timestamp) -> Self {
        Self { principal, grant, hash, expires, at }
    }

    /// Returns whether there is no token, and so nothing that could be revoked.
    pub(super) fn is_anonymous(&self) -> bool {
        self.principal.is_anonymous()
    }

    pub(super) fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    pub(super) fn grant(&self) -> GrantId {
        self.grant
    }

    pub(super) fn hash(&self) -> &TokenHash {
        &self.hash
    }

    pub(super) fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Returns when it was presented.
    pub(super) fn at(&self) -> Timestamp {
        self.at
    }
}

/// Returns whether a request shows nothing that somebody could have taken for credentials.
pub(super) fn shows_nothing(headers: &HeaderMap, uri: &Uri) -> bool {
    !headers.contains_key(AUTHORIZATION) && !has_token_in_query(uri)
}

/// The bearer token of a request, not checked yet.
pub(super) struct Bearer<'a> {
    token: &'a [u8],
    hash: TokenHash,
    at: Timestamp,
}

/// The token, and what the cache says about it.
pub(super) struct LookedUp<'a> {
    bearer: Bearer<'a>,
    found: Lookup,
}

impl<'a> Bearer<'a> {
    /// Reads the token from the head of a request that came at `at`.
    pub(super) fn read(headers: &'a HeaderMap, uri: &Uri, at: Timestamp) -> Result<Self, Rejection> {
        let token = presented(headers, uri)?;
        Ok(Self { token, hash: TokenHash::of(token), at })
    }

    /// Looks the token up in the cache. `now` is the current time by the monotonic clock.
    pub(super) fn look_up(self, cache: &TokenCache, now: Instant) -> Result<LookedUp<'a>, Rejection> {
        let found = cache.lookup_presented(self.token, &self.hash, self.at, now);
        // RFC 6750 2.1: what the cache knows is a token, so only the rest needs to be read.
        if matches!(found, Lookup::Absent) && !is_token68(self.token) {
            return Err(Rejection::MalformedCredentials);
        }
        Ok(LookedUp { found, bearer: self })
    }
}

impl LookedUp<'_> {
    /// Returns whether the cache knows the token.
    pub(super) fn is_hit(&self) -> bool {
        !matches!(self.found, Lookup::Absent)
    }

    /// Checks the result of the lookup; loads the token from the store if it was absent. `tenant` is the upstream's,
    /// `address` the client's.
    pub(super) async fn authenticate(
        self,
        cache: &Arc<TokenCache>,
        tenant: &TenantId,
        address: IpAddr,
    ) -> Result<Authenticated, Rejection> {
        let Bearer { token, hash, at } = self.bearer;
        let found = match self.found {
            Lookup::Hit(principal, grant, expires) => (principal, grant, expires),
            Lookup::Expired => return Err(Rejection::InvalidToken),
            Lookup::Stale => return Err(Rejection::Unprovable),
            // Boxed, so that a request with a cached token does not need the space for a load.
            Lookup::Absent => match Box::pin(cache.load(tenant, token, hash, site(address))).await {
                Load::Active(principal, grant, expires) => (principal, grant, expires),
                Load::Inactive => return Err(Rejection::InvalidToken),
                Load::Unknown => return Err(Rejection::Unprovable),
            },
        };
        Ok(Authenticated::new(found, hash, at))
    }
}

/// Returns what a request presents as its token: in one Authorization field and nowhere else (OAuth 2.1 5.1).
fn presented<'a>(headers: &'a HeaderMap, uri: &Uri) -> Result<&'a [u8], Rejection> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let Some(field) = fields.next() else { return Err(Rejection::NoCredentials) };
    if fields.next().is_some() {
        return Err(Rejection::MalformedCredentials);
    }
    let field = field.as_bytes();
    let end = field.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(field.len());
    let (scheme, rest) = field.split_at_checked(end).unwrap_or((field, &[]));
    // RFC 9110 11.1: schemes are case-insensitive. Another scheme does not count as an attempt.
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(Rejection::NoCredentials);
    }
    // RFC 6750 3.1: a scheme without a token is no authentication information. Clients send it when a variable is not
    // set; a challenge without an error starts their login, one with an error would stop them.
    if rest.iter().all(|b| matches!(b, b' ' | b'\t')) {
        return Err(Rejection::NoCredentials);
    }
    // RFC 6750 2: a request that uses two methods at once is refused, so that it does not matter which one we would
    // read.
    if has_token_in_query(uri) {
        return Err(Rejection::MalformedCredentials);
    }
    // RFC 6750 2.1: `"Bearer" 1*SP b64token`.
    let spaces = rest.iter().take_while(|b| **b == b' ').count();
    rest.get(spaces..).filter(|_| spaces > 0).ok_or(Rejection::MalformedCredentials)
}

/// RFC 9110 11.2: `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_token68(token: &[u8]) -> bool {
    let is_letter =
        |b: &u8| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    let padding = token.iter().rev().take_while(|b| **b == b'=').count();
    let letters = token.get(..token.len() - padding).unwrap_or_default();
    !letters.is_empty() && letters.iter().all(is_letter)
}

fn has_token_in_query(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| {
        url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name.eq_ignore_ascii_case("access_token"))
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Uri};

    use super::{is_token68, presented};
    use crate::proxy::rejection::Rejection;
    use crate::telemetry::Outcome;

    fn outcome(fields: &[&[u8]], uri: &'static str) -> Result<Vec<u8>, Outcome> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append("authorization", HeaderValue::from_bytes(field).unwrap());
        }
        let token = presented(&headers, &Uri::from_static(uri));
        let token = token
            .and_then(|token| Some(token).filter(|token| is_token68(token)).ok_or(Rejection::MalformedCredentials));
        token.map(<[u8]>::to_vec).map_err(|r| r.row().outcome)
    }

    #[test]
    fn tv_01_tv_02_absent_and_other_schemes_are_no_credentials() {
        assert_eq!(outcome(&[], "/mcp"), Err(Outcome::NoCredentials));
        for field in ["Basic Zm9v", "Token abc", "BearerX abc", ""] {
            assert_eq!(outcome(&[field.as_bytes()], "/mcp"), Err(Outcome::NoCredentials), "{field:?}");
        }
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert_eq!(outcome(&[format!("{scheme} a.b-c_d~e+f/0==").as_bytes()], "/mcp").unwrap(), b"a.b-c_d~e+f/0==");
        }
    }

    #[test]
    fn tv_03_no_token_is_no_credentials_and_spaces_are_allowed_before_one() {
        for field in ["Bearer", "Bearer ", "bearer   ", "Bearer\t"] {
            assert_eq!(outcome(&[field.as_bytes()], "/mcp"), Err(Outcome::NoCredentials), "{field:?}");
            assert_eq!(outcome(&[field.as_bytes()], "/mcp?access_token=a"), Err(Outcome::NoCredentials), "{field:?}");
        }
        assert_eq!(outcome(&[b"Bearer   abc"], "/mcp").unwrap(), b"abc");
        assert_eq!(outcome(&[b"Bearer", b"Bearer abc"], "/mcp"), Err(Outcome::MalformedCredentials));
    }

    #[test]
    fn tv_03_tv_04_what_is_not_one_token_is_malformed() {
        for field in [
            &b"Bearer\tabc"[..],
            b"Bearer \tabc",
            b"Bearer abc,",
            b"Bearer \"abc\"",
            b"Bearer a b",
            b"Bearer a, Bearer b",
            b"Bearer ab\xff",
            b"Bearer ===",
            b"Bearer a=b",
        ] {
            assert_eq!(outcome(&[field], "/mcp"), Err(Outcome::MalformedCredentials), "{field:?}");
        }
        assert_eq!(outcome(&[b"Bearer a", b"Bearer a"], "/mcp"), Err(Outcome::MalformedCredentials));
    }

    #[test]
    fn tv_05_a_token_in_the_query_is_never_taken() {
        assert_eq!(outcome(&[], "/mcp?access_token=a"), Err(Outcome::NoCredentials));
        for uri in ["/mcp?access_token=a", "/mcp?x=1&access%5Ftoken=a", "/mcp?access_token"] {
            assert_eq!(outcome(&[b"Bearer a"], uri), Err(Outcome::MalformedCredentials), "{uri}");
        }
        assert!(outcome(&[b"Bearer a"], "/mcp?token=a").is_ok());
    }
}
