//! Legacy MCP sessions, bound to upstream, tenant, user and client. The client gets the upstream's id with a MAC, so
//! that any replica can check it and a stolen id is useless to others. Each process also remembers who got an id last,
//! because an upstream with sequential ids gives the same ids to other users after a restart.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use http::header::GetAll;
use ring::hmac;
use subtle::ConstantTimeEq;

use super::fault::{Cause, Fault};
use super::rejection::Rejection;
use super::route::Route;
use super::session_owners::{SessionOwner, SessionOwners};
use crate::oauth::Timestamp;
use crate::sync::lock;
use crate::token_cache::Principal;

/// Length of the truncated MAC in bytes (128 bits).
const TAG: usize = 16;
/// What the ids of clients without a token begin with, before a name of 32 hexadecimal digits.
pub(super) const ANONYMOUS_CLIENT: &str = "anonymous_";
/// What the ids of their sessions begin with; no MAC in base64url does.
const ANONYMOUS_ID: &str = "~";
/// The longest id of an upstream, in bytes.
const MAX_ID: usize = 1024;
/// Minimum length in bytes of an id that cannot be guessed, if it is random. A shorter one is likely to be reused.
const LEAST_UNIQUE: usize = 16;
/// Minimum number of changes between letters and digits, or between upper and lower case, in a random id. 32 random
/// hexadecimal digits have fewer in one of a thousand cases, 22 base64 digits in one of thirty.
const LEAST_CHANGES: usize = 6;
/// The number of shards, so that workers rarely wait for each other.
const SHARDS: usize = 16;

/// Binds upstreams' session ids to users; shared by all workers of a process.
pub struct Sessions {
    key: ArcSwap<hmac::Key>,
    hasher: RandomState,
    begun: u64,
    shards: [Mutex<SessionOwners>; SHARDS],
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    /// Makes an empty table at `now` with the key for the MACs, which is the same on every replica.
    #[must_use]
    pub fn new(key: &[u8; 32], now: Timestamp) -> Self {
        Self {
            key: ArcSwap::from_pointee(hmac::Key::new(hmac::HMAC_SHA256, key)),
            hasher: RandomState::new(),
            begun: now.as_millis(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Replaces the key, which ends all sessions made with the previous one. Returns whether the key has changed.
    pub fn exchange_key(&self, key: &[u8; 32]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let mark = |key: &hmac::Key| hmac::sign(key, b"mark");
        let is_other = mark(&key).as_ref() != mark(&self.key.load()).as_ref();
        if is_other {
            self.key.store(Arc::new(key));
        }
        is_other
    }

    /// Reads the session id of an answer in the upstream's own form; `None` if there is none.
    ///
    /// # Errors
    /// A fault when it is not an id (2025-06-18, session management: visible ASCII only), or too long for the header
    /// that the client has to send back.
    pub(super) fn read(values: GetAll<'_, HeaderValue>) -> Result<Option<String>, Fault> {
        let mut read = None;
        for value in values {
            let length = value.len();
            if length > MAX_ID {
                let detail = format!("its Mcp-Session-Id has {length} bytes; at most {MAX_ID} are allowed");
                return Err(Fault::new(Cause::SessionId, detail));
            }
            let Some(text) = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic())) else {
                let detail = "its Mcp-Session-Id has characters other than visible ASCII";
                return Err(Fault::new(Cause::SessionId, detail));
            };
            if read.as_deref().is_some_and(|first| first != text) {
                return Err(Fault::new(Cause::SessionId, "it has two different Mcp-Session-Id"));
            }
            read = (!text.is_empty()).then(|| text.to_owned());
        }
        Ok(read)
    }

    /// Binds an upstream's new id to the caller who has just got it.
    pub(super) fn wrap(&self, route: &Route, caller: &Principal, id: &str, now: Timestamp) -> Option<HeaderValue> {
        let (key, owner) = self.hashes(route, caller, id);
        let since = lock(self.shard(key)).give(key, owner, now.as_millis());
        let tag = URL_SAFE_NO_PAD.encode(self.tag(route, caller, since, id.as_bytes()));
        // Without a token, the id also says which of all principals it belongs to.
        let name = caller.client().as_str().strip_prefix(ANONYMOUS_CLIENT).filter(|_| caller.is_anonymous());
        let whose = name.map(|name| format!("{ANONYMOUS_ID}{name}.")).unwrap_or_default();
        HeaderValue::try_from(format!("{whose}{tag}.{since:x}.{id}")).ok()
    }

    /// Checks an id that a client sent and returns the upstream's own id.
    pub(super) fn unwrap(
        &self,
        route: &Route,
        caller: &Principal,
        wrapped: &HeaderValue,
    ) -> Result<HeaderValue, Rejection> {
        let (since, id) = self.made_for(route, caller, wrapped).ok_or(Rejection::UnknownSession)?;
        let (key, owner) = self.hashes(route, caller, id);
        // Nobody knows who has taken over one that was given before this process started.
        let least = if caller.is_anonymous() { self.begun } else { self.least(id) };
        if !lock(self.shard(key)).confirm_owner(key, owner, since, least) {
            return Err(Rejection::UnknownSession);
        }
        HeaderValue::from_str(id).map_err(|_| Rejection::UnknownSession)
    }

    /// Checks an id that a client got without a token and sends with one, because it has signed in since.
    pub(super) fn may_take_over(
        &self,
        route: &Route,
        from_to: (&Principal, &Principal),
        wrapped: &HeaderValue,
    ) -> Result<HeaderValue, Rejection> {
        let id = self.taking_over(route, from_to, wrapped, None)?;
        HeaderValue::from_str(id).map_err(|_| Rejection::UnknownSession)
    }

    /// Gives the session of such an id to its user: it belongs to nobody without a token from now on.
    pub(super) fn take_over(
        &self,
        route: &Route,
        from_to: (&Principal, &Principal),
        wrapped: &HeaderValue,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        self.taking_over(route, from_to, wrapped, Some(now)).map(drop)
    }

    fn taking_over<'w>(
        &self,
        route: &Route,
        (anonymous, caller): (&Principal, &Principal),
        wrapped: &'w HeaderValue,
        given_at: Option<Timestamp>,
    ) -> Result<&'w str, Rejection> {
        let (since, id) = self.made_for(route, anonymous, wrapped).ok_or(Rejection::UnknownSession)?;
        let ((key, before), (_, owner)) = (self.hashes(route, anonymous, id), self.hashes(route, caller, id));
        let mut owners = lock(self.shard(key));
        if owners.owner(key) != Some(owner) && !owners.confirm_owner(key, before, since, self.least(id)) {
            return Err(Rejection::UnknownSession);
        }
        if let Some(now) = given_at {
            owners.give(key, owner, now.as_millis());
        }
        Ok(id)
    }

    /// Returns whether the session of an id that was made for a principal is somebody else's now, as far as this
    /// process knows. Counts as a use.
    pub(super) fn is_taken(&self, route: &Route, from: &Principal, wrapped: &HeaderValue) -> bool {
        let Some(id) = upstreams_own(wrapped) else { return false };
        let (key, owner) = self.hashes(route, from, id);
        lock(self.shard(key)).owner(key).is_some_and(|other| other != owner)
    }

    /// Returns since when the session of an id belongs to a principal, and the upstream's own id, if the id was made
    /// for that principal.
    fn made_for<'w>(&self, route: &Route, caller: &Principal, wrapped: &'w HeaderValue) -> Option<(u64, &'w str)> {
        let (tag, since, id) = parts(wrapped)?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        bool::from(self.tag(route, caller, since, id.as_bytes()).ct_eq(&tag)).then_some((since, id))
    }

    /// Returns the earliest time since when an id may belong to somebody that this process does not know.
    fn least(&self, id: &str) -> u64 {
        if looks_random(id) { 0 } else { self.begun }
    }

    /// Returns a hash of the id at its upstream, and one of its owner; both are only valid in this process.
    fn hashes(&self, route: &Route, caller: &Principal, id: &str) -> (u64, SessionOwner) {
        let (tenant, subject, client) = (caller.tenant().as_str(), caller.subject().as_str(), caller.client().as_str());
        let owner = SessionOwner::new(self.hasher.hash_one((tenant, subject, client)), caller.is_anonymous());
        (self.hasher.hash_one((&*route.name, tenant, id)), owner)
    }

    fn shard(&self, key: u64) -> &Mutex<SessionOwners> {
        let place = usize::try_from(key).unwrap_or(0) % SHARDS;
        let [first, ..] = &self.shards;
        self.shards.get(place).unwrap_or(first)
    }

    fn tag(&self, route: &Route, caller: &Principal, since: u64, id: &[u8]) -> Vec<u8> {
        let mut mac = hmac::Context::with_key(&self.key.load());
        let (tenant, subject, client) = (caller.tenant().as_str(), caller.subject().as_str(), caller.client().as_str());
        let since = since.to_be_bytes();
        for part in [route.name.as_bytes(), tenant.as_bytes(), subject.as_bytes(), client.as_bytes(), &since, id] {
            // Each part with its length, so that no two lists of parts give the same bytes.
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        mac.sign().as_ref().iter().copied().take(TAG).collect()
    }
}

/// Returns whether an id is unlikely to be reused. A counter is short, or padded with words and zeros
/// (`session-00000001`). In doubt an id is not random: its session then ends with the process, and the client starts
/// another.
fn looks_random(id: &str) -> bool {
    let changes = id.as_bytes().windows(2).filter(|pair| match pair {
        [a, b] if a.is_ascii_alphabetic() => b.is_ascii_digit() || (a.is_ascii_lowercase() && b.is_ascii_uppercase()),
        [a, b] if a.is_ascii_digit() => b.is_ascii_alphabetic(),
        _ => false,
    });
    id.len() >= LEAST_UNIQUE && changes.count() >= LEAST_CHANGES
}

/// Returns the upstream's own id from one that a client sent, unchecked.
pub(super) fn upstreams_own(wrapped: &HeaderValue) -> Option<&str> {
    parts(wrapped).map(|(_, _, id)| id)
}

/// Returns whether an id says that its session began without a token.
pub(super) fn is_anonymous(wrapped: &HeaderValue) -> bool {
    wrapped.as_bytes().starts_with(ANONYMOUS_ID.as_bytes())
}

/// Returns the name of the principal without a token that a session belongs to; `None` if its principal has one.
pub(super) fn anonymous_name(wrapped: &HeaderValue) -> Option<&str> {
    let (name, _) = wrapped.to_str().ok()?.strip_prefix(ANONYMOUS_ID)?.split_once('.')?;
    (name.len() == 32 && name.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))).then_some(name)
}

fn parts(wrapped: &HeaderValue) -> Option<(&str, u64, &str)> {
    let text = wrapped.to_str().ok()?;
    let own = if text.starts_with(ANONYMOUS_ID) { text.split_once('.')?.1 } else { text };
    let (tag, rest) = own.split_once('.')?;
    let (since, id) = rest.split_once('.')?;
    Some((tag, u64::from_str_radix(since, 16).ok()?, id))
}

#[cfg(test)]
mod tests {
    use super::{Sessions, looks_random};
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn hd_12_ids_that_count_do_not_look_random_however_long_they_are() {
        for counts in [
            "1",
            "0f3c9a71b2e4d58",
            "session-00000001",
            "user-42-session-0000000000000a1f",
            "00000000-0000-0000-0000-000000000001",
            "2026-11-29T10:00:00Z-000001",
            "1764410400000000001",
            "streamable-http-transport-session",
            "McpServerSessionNumber000000001",
        ] {
            assert!(!looks_random(counts), "{counts}");
        }
        for random in [
            "1868a90c-7d5e-4b8f-9c3a-52f0e6d1b7a4",
            "01939f5c-8a7b-7cde-9f01-23456789abcd",
            "9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d",
            "V1StGXR8_Z5jdHi6B-myT",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "mcp-session-4f9a1c7e2b8d6035a1f4",
            "kJ8sD2mQ0xZ7vB4nT6yR1w",
        ] {
            assert!(looks_random(random), "{random}");
        }
    }

    #[test]
    fn an_id_that_cannot_come_back_is_a_fault() {
        let read = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("mcp-session-id", HeaderValue::from_bytes(value).unwrap());
            }
            Sessions::read(headers.get_all("mcp-session-id")).map_err(|fault| fault.detail)
        };
        let longest = [b'a'; 1024];
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b""]), Ok(None));
        assert_eq!(read(&[b"a.b", b"a.b"]), Ok(Some("a.b".to_owned())));
        assert_eq!(read(&[&longest]).unwrap().unwrap().len(), 1024);
        let long = [b'a'; 1025];
        for (values, says) in [
            (&[&long[..]][..], "1025 bytes"),
            (&[b"a b"], "visible ASCII"),
            (&[b"a\tb"], "visible ASCII"),
            (&["ä".as_bytes()], "visible ASCII"),
            (&[b"a", b"b"], "two different"),
        ] {
            assert!(read(values).unwrap_err().contains(says), "{values:?}");
        }
    }
}
