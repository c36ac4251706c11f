//! Legacy MCP sessions, bound to upstream, tenant, user and client: the client holds the upstream's id behind a MAC, so
//! nothing is stored, any replica can check it, and another's id is of no use.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use ring::hmac;
use subtle::ConstantTimeEq;

use super::rejection::Rejection;
use super::route::Route;
use crate::token_cache::Principal;

/// Bytes of the MAC that are kept: 128 bits.
const TAG: usize = 16;
/// The longest id of an upstream that is passed on.
const MAX_ID: usize = 1024;

/// The key of the binding, the same on every replica.
pub(super) struct SessionKey(hmac::Key);

impl SessionKey {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Binds an upstream's id to its caller; `None` when it is not an id (2025-06-18, session management: visible
    /// ASCII only).
    pub(super) fn wrap(&self, route: &Route, caller: &Principal, id: &HeaderValue) -> Option<HeaderValue> {
        let id = id.to_str().ok().filter(|id| !id.is_empty() && id.len() <= MAX_ID && !id.contains([' ', '\t']))?;
        let tag = URL_SAFE_NO_PAD.encode(self.tag(route, caller, id.as_bytes()));
        HeaderValue::try_from(format!("{tag}.{id}")).ok()
    }

    /// Checks an id that a client sent and returns the upstream's own.
    pub(super) fn unwrap(
        &self,
        route: &Route,
        caller: &Principal,
        wrapped: &HeaderValue,
    ) -> Result<HeaderValue, Rejection> {
        let (tag, id) = wrapped.to_str().ok().and_then(|text| text.split_once('.')).ok_or(Rejection::UnknownSession)?;
        let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| Rejection::UnknownSession)?;
        if bool::from(self.tag(route, caller, id.as_bytes()).ct_eq(&tag)) {
            HeaderValue::from_str(id).map_err(|_| Rejection::UnknownSession)
        } else {
            Err(Rejection::UnknownSession)
        }
    }

    fn tag(&self, route: &Route, caller: &Principal, id: &[u8]) -> Vec<u8> {
        let mut mac = hmac::Context::with_key(&self.0);
        let (tenant, subject, client) = (caller.tenant.as_str(), caller.subject.as_str(), caller.client.as_str());
        for part in [route.name.as_bytes(), tenant.as_bytes(), subject.as_bytes(), client.as_bytes(), id] {
            // Lengths first, so that no two lists of parts give the same bytes.
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        mac.sign().as_ref().iter().copied().take(TAG).collect()
    }
}
