//! `CachedPrincipal`: a principal with what each of its requests needs, made once per worker: the identity headers, its
//! budget, and whether it may use its upstream and has the scopes that this requires.

use std::collections::VecDeque;
use std::sync::Arc;

use http::HeaderValue;

use super::addressed::Addressed;
use super::budget::UserBudget;
use super::by_address::ByAddress;
use super::rejection::Rejection;
use super::route::Route;
use super::route_access::RouteAccess;
use super::route_table::RouteTable;
use crate::oauth::{ClientId, ClientOrigin, GroupName, Subject, ToolGroup, ToolNameHash};
use crate::policy::{Annotations, Standing, ToolLookup as _};
use crate::telemetry::AccessLine;
use crate::token_cache::Principal;

/// A principal on this worker, with the route that its tokens are for. Made only from an [`Addressed`] token.
pub(super) struct CachedPrincipal {
    access: Arc<RouteAccess>,
    budget: Arc<UserBudget>,
    subject: HeaderValue,
    user: Option<HeaderValue>,
    client: HeaderValue,
    scopes: HeaderValue,
    tenant: HeaderValue,
    log_fields: Box<str>,
}

impl CachedPrincipal {
    /// Prepares what the requests of a token need.
    pub(super) fn new(token: &Addressed<'_>, table: &RouteTable) -> Result<Self, Rejection> {
        let principal = token.token().principal();
        let (access, held) = RouteAccess::with_scopes(principal, token.route());
        // HS-16: the types behind these only allow printable ASCII, so none can fail; if one did, the request would be
        // refused.
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| Rejection::Internal);
        Ok(Self {
            budget: table.budgets.of(principal),
            subject: value(principal.subject().as_str())?,
            user: user_of(principal).map(|user| value(&escaped(user))).transpose()?,
            client: value(principal.client().as_str())?,
            scopes: value(&held.to_string())?,
            tenant: value(principal.tenant().as_str())?,
            log_fields: AccessLine::caller_fields(
                principal.subject().as_str(),
                Some(principal.user()).filter(|user| !user.is_empty()),
                principal.client().as_str(),
                principal.actor().map(ClientId::as_str),
            ),
            access: Arc::new(access),
        })
    }

    /// Returns what it may use at its route.
    pub(super) fn access(&self) -> &Arc<RouteAccess> {
        &self.access
    }

    pub(super) fn principal(&self) -> &Principal {
        self.access.principal()
    }

    pub(super) fn route(&self) -> &Arc<Route> {
        self.access.route()
    }

    pub(super) fn budget(&self) -> &Arc<UserBudget> {
        &self.budget
    }

    /// Returns the fields that are the same in all its access lines; empty if they cannot be rendered once.
    pub(super) fn log_fields(&self) -> &str {
        &self.log_fields
    }

    /// Returns whether its account may hold a token for its route.
    pub(super) fn is_admitted(&self) -> bool {
        self.access.is_admitted()
    }

    /// Returns whether it has the scopes that its route requires.
    pub(super) fn has_scopes(&self) -> bool {
        self.access.has_scopes()
    }

    /// Returns what its route's map knows of it.
    pub(super) fn standing(&self) -> &Standing {
        self.access.standing()
    }

    /// Returns what its calls of a tool are judged by.
    pub(super) fn annotations(&self, tool: &str) -> Annotations {
        self.access.annotations(tool)
    }

    /// Returns whether its client reads the challenge for further scopes in the result of a refused call.
    pub(super) fn reads_challenges_in_results(&self) -> bool {
        self.route().gives_security_schemes() && is_chatgpt(self.principal())
    }

    /// Returns whether it has no token: then it is nobody whom an upstream could be told of.
    pub(super) fn is_anonymous(&self) -> bool {
        self.access.is_anonymous()
    }

    pub(super) fn subject(&self) -> &HeaderValue {
        &self.subject
    }

    /// Returns the login name, escaped.
    pub(super) fn user(&self) -> Option<&HeaderValue> {
        self.user.as_ref()
    }

    pub(super) fn client(&self) -> &HeaderValue {
        &self.client
    }

    /// Returns whether its client acts for a person who is absent.
    pub(super) fn is_acted_for(&self) -> bool {
        self.principal().actor().is_some()
    }

    pub(super) fn scopes(&self) -> &HeaderValue {
        &self.scopes
    }

    pub(super) fn tenant(&self) -> &HeaderValue {
        &self.tenant
    }

    /// Returns how many bytes it takes, including its entry in the cache, and its principal, of which it may be the
    /// last holder.
    fn size(&self) -> usize {
        let own = [Some(&self.subject), self.user.as_ref(), Some(&self.client), Some(&self.scopes), Some(&self.tenant)];
        let text: usize = own.into_iter().flatten().map(HeaderValue::len).sum();
        let groups = self.principal().groups().iter().map(|group| size_of::<GroupName>() + group.as_str().len());
        let exclusions = self.principal().exclusions();
        let kinds = exclusions.groups().map(|(scope, _)| size_of::<ToolGroup>() + scope.as_str().len());
        let tools = exclusions.tools().map(|tool| size_of::<Box<str>>() + tool.len());
        let hashes = exclusions.hashes().count() * size_of::<ToolNameHash>();
        size_of::<Self>()
            + size_of::<RouteAccess>()
            + size_of::<Principal>()
            + size_of::<CachedCaller>()
            + 2 * text
            + self.principal().resource().as_str().len()
            + self.access.most_text()
            + self.log_fields.len()
            + hashes
            + groups.chain(kinds).chain(tools).sum::<usize>()
    }
}

/// ChatGPT's metadata document. Others of this host are of other programs, such as Codex.
const CHATGPT: &str = "https://chatgpt.com/oauth/client.json";

/// Returns whether a client is ChatGPT, by its metadata document: only those who publish it get codes for its id.
fn is_chatgpt(principal: &Principal) -> bool {
    principal.client_origin() == ClientOrigin::MetadataDocument && principal.client().as_str() == CHATGPT
}

/// Returns the login name of a person; `None` if the account is gone. A service has none, so that an upstream does not
/// mistake a program for a person.
fn user_of(principal: &Principal) -> Option<&str> {
    match principal.subject() {
        Subject::Person(_) => Some(principal.user()).filter(|user| !user.is_empty()),
        Subject::Service(_) => None,
    }
}

/// Encodes a login name for a header: letters, digits and `.-_@+` (all that names contain in this version) stay, and
/// all other bytes of its UTF-8 are percent-encoded (RFC 3986 2.1), `%` included, so that no two names become equal.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'@' | b'+') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// The most bytes of callers that one worker caches: more than ten thousand callers. One that was evicted is made again
/// at its next request.
const MOST_BYTES: usize = 8 << 20;
/// How many callers an eviction looks at before it takes one that is in use.
const LOOKED_AT: usize = 16;

/// What callers are kept by: the address of their principal, which each entry keeps alive so that the address is not
/// reused, and the place of their route in the table. Routes that share a resource are called with the same tokens.
type CallerKey = (usize, usize);

/// The callers of one worker.
#[derive(Default)]
pub(super) struct PrincipalCache {
    callers: ByAddress<CachedCaller, CallerKey>,
    /// The keys, in the order in which eviction looks at them.
    queue: VecDeque<CallerKey>,
    bytes: usize,
}

struct CachedCaller {
    caller: Arc<CachedPrincipal>,
    bytes: usize,
    /// Whether it was used since eviction last looked at it.
    was_used: bool,
}

impl PrincipalCache {
    /// Returns the caller that a token represents.
    pub(super) fn get(&mut self, token: &Addressed<'_>, table: &RouteTable) -> Result<Arc<CachedPrincipal>, Rejection> {
        let key = (Arc::as_ptr(token.token().principal()).addr(), token.route().index);
        // A table has one route at each place. If the routes differed, that would be a bug, which must not give
        // permission for another route.
        let kept = self.callers.get_mut(&key).filter(|kept| Arc::ptr_eq(kept.caller.route(), token.route()));
        if let Some(kept) = kept {
            kept.was_used = true;
            return Ok(Arc::clone(&kept.caller));
        }
        let caller = Arc::new(CachedPrincipal::new(token, table)?);
        self.keep(key, &caller, MOST_BYTES);
        Ok(caller)
    }

    fn keep(&mut self, key: CallerKey, caller: &Arc<CachedPrincipal>, most: usize) {
        let bytes = caller.size();
        while self.bytes.saturating_add(bytes) > most && self.evict_one() {}
        self.bytes = self.bytes.saturating_add(bytes);
        self.queue.push_back(key);
        let before = self.callers.insert(key, CachedCaller { caller: Arc::clone(caller), bytes, was_used: false });
        self.bytes = self.bytes.saturating_sub(before.map_or(0, |before| before.bytes));
    }

    /// Evicts the oldest caller that was not used since it was last looked at. Returns false if there are none.
    fn evict_one(&mut self) -> bool {
        for looked in 0..=LOOKED_AT {
            let Some(key) = self.queue.pop_front() else { return false };
            match self.callers.get_mut(&key) {
                Some(kept) if kept.was_used && looked < LOOKED_AT => {
                    kept.was_used = false;
                    self.queue.push_back(key);
                }
                _ => {
                    let bytes = self.callers.remove(&key).map_or(0, |kept| kept.bytes);
                    self.bytes = self.bytes.saturating_sub(bytes);
                    return true;
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::{CachedPrincipal, LOOKED_AT, PrincipalCache, escaped};
    use crate::clock::SystemClock;
    use crate::config::{Config, Overrides};
    use crate::oauth::{AccessTokenRecord, AccountId, ClientId, Exclusions, GroupName, ScopeSet, TenantId};
    use crate::proxy::budget::tests::{principal, record};
    use crate::proxy::route_access::RouteAccess;
    use crate::proxy::route_table::RouteTable;
    use crate::token_cache::Principal;
    use http::HeaderValue;
    use proptest::prelude::*;

    #[test]
    fn hs_16_what_names_a_caller_can_stand_in_a_header_whoever_chose_it() {
        for c in (0..=0x2fff).filter_map(char::from_u32) {
            let text = format!("a{c}b-0123456789");
            let names = [
                AccountId::parse(&text).map(|name| name.as_str().to_owned()),
                ClientId::parse(&text).map(|name| name.as_str().to_owned()),
                TenantId::parse(&text).map(|name| name.as_str().to_owned()),
                ScopeSet::parse(&text).ok().map(|name| name.to_string()),
            ];
            for name in names.into_iter().flatten() {
                assert!(HeaderValue::from_str(&name).is_ok() && name.is_ascii(), "{name:?}");
            }
        }
    }

    /// Decodes the field as an upstream would.
    fn unescaped(text: &str) -> String {
        let (first, rest) = text.split_once('%').unwrap_or((text, ""));
        let pieces = rest.split('%').filter(|piece| !piece.is_empty());
        let decoded = pieces.flat_map(|piece| {
            let (hex, plain) = piece.split_at(2);
            [u8::from_str_radix(hex, 16).unwrap()].into_iter().chain(plain.bytes())
        });
        String::from_utf8(first.bytes().chain(decoded).collect()).unwrap()
    }

    proptest! {
        #[test]
        fn hs_16_a_login_name_of_any_characters_stands_in_a_header_and_reads_back(name in any::<String>()) {
            let text = escaped(&name);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_@+%".contains(&b)), "{}", text);
            prop_assert_eq!(unescaped(&text), name);
        }
    }

    #[test]
    fn a_login_name_of_today_stands_there_as_it_is() {
        assert_eq!(escaped("ada.l-1_x+mcp@example.com"), "ada.l-1_x+mcp@example.com");
        assert_eq!(escaped("Zoë 100%"), "Zo%C3%AB%20100%25");
    }

    #[test]
    fn callers_are_evicted_one_by_one_unused_ones_first() {
        let folder = tempfile::tempdir().unwrap();
        let upstream = Some("http://127.0.0.1:1/mcp".to_owned());
        let overrides =
            Overrides { data_dir: Some(folder.path().to_owned()), upstream, up: true, ..Overrides::default() };
        let table = RouteTable::build(&Config::load(None, &overrides).unwrap(), Arc::new(SystemClock)).unwrap();
        let value = |text: &str| HeaderValue::from_str(text).unwrap();
        let of = |principal: Principal, scopes: &str| {
            let principal = Arc::new(principal);
            Arc::new(CachedPrincipal {
                access: Arc::new(RouteAccess::new(&principal, &table.routes[0])),
                budget: table.budgets.of(&principal),
                subject: value("user"),
                user: None,
                client: value("client"),
                scopes: value(scopes),
                tenant: value("default"),
                log_fields: Box::default(),
            })
        };
        // Ids of the same length.
        let caller = |n: usize, scopes: &str| of(principal(100 + n), scopes);
        let group = GroupName::parse(&"g".repeat(64)).unwrap();
        let excluded = Exclusions::new(BTreeSet::new(), BTreeSet::from(["t".repeat(1000).into()])).unwrap();
        let large = AccessTokenRecord {
            groups: std::iter::once(group).collect(),
            exclusions: excluded,
            ..record("mcp_client_a", 0)
        };
        assert!(of(Principal::from(&large), "").size() >= caller(0, "").size() + 1064, "groups and exclusions count");
        let mut cache = PrincipalCache::default();
        let small = caller(0, "").size();
        let most = 10 * small;
        for n in 0..10 {
            cache.keep((n, 0), &caller(n, ""), most);
        }
        assert_eq!((cache.callers.len(), cache.bytes), (10, most));
        cache.callers.get_mut(&(0, 0)).unwrap().was_used = true;
        cache.keep((10, 0), &caller(10, ""), most);
        assert!(
            cache.callers.contains_key(&(0, 0)) && !cache.callers.contains_key(&(1, 0)) && cache.callers.len() == 10
        );
        // A large one takes the place of several, and the bound holds whatever comes.
        cache.keep((11, 0), &caller(11, &"s".repeat(small)), most);
        assert!(cache.bytes <= most && cache.callers.len() < 9, "{} bytes", cache.bytes);
        for n in 12..12 + 3 * LOOKED_AT {
            cache.callers.values_mut().for_each(|kept| kept.was_used = true);
            cache.keep((n, 0), &caller(n, ""), most);
            assert!(cache.bytes <= most && cache.callers.contains_key(&(n, 0)));
            assert_eq!(cache.queue.len(), cache.callers.len());
            assert_eq!(cache.bytes, cache.callers.values().map(|kept| kept.bytes).sum::<usize>());
        }
    }
}
