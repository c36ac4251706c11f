//! `CachedPrincipal`: a principal with what each of its requests needs, made once per worker: the identity headers, its
//! budget, and whether it has the scopes that its upstream requires.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderValue;

use super::addressed::Addressed;
use super::budget::UserBudget;
use super::rejection::Rejection;
use super::route::{Route, RouteTable};
use crate::oauth::Subject;
use crate::token_cache::Principal;

/// A principal on this worker, with the route that its tokens are for. Made only from an [`Addressed`] token.
pub(super) struct CachedPrincipal {
    principal: Arc<Principal>,
    route: Arc<Route>,
    budget: Arc<UserBudget>,
    has_scopes: bool,
    subject: HeaderValue,
    user: Option<HeaderValue>,
    client: HeaderValue,
    scopes: HeaderValue,
    tenant: HeaderValue,
}

impl CachedPrincipal {
    fn new(token: &Addressed<'_>, table: &RouteTable) -> Result<Self, Rejection> {
        let (principal, route) = (token.token().principal(), token.route());
        // HS-16: the types behind these only allow printable ASCII, so none can fail; if one did, the request would be
        // refused.
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| Rejection::Internal);
        Ok(Self {
            budget: table.budgets.of(principal),
            has_scopes: route.required_scopes.is_subset(principal.scopes()),
            subject: value(principal.subject().as_str())?,
            user: user_of(principal).map(|user| value(&escaped(user))).transpose()?,
            client: value(principal.client().as_str())?,
            scopes: value(&principal.scopes().to_string())?,
            tenant: value(principal.tenant().as_str())?,
            principal: Arc::clone(principal),
            route: Arc::clone(route),
        })
    }

    pub(super) fn principal(&self) -> &Principal {
        &self.principal
    }

    pub(super) fn route(&self) -> &Arc<Route> {
        &self.route
    }

    pub(super) fn budget(&self) -> &Arc<UserBudget> {
        &self.budget
    }

    /// Returns whether it has the scopes that its route requires.
    pub(super) fn has_scopes(&self) -> bool {
        self.has_scopes
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

    pub(super) fn scopes(&self) -> &HeaderValue {
        &self.scopes
    }

    pub(super) fn tenant(&self) -> &HeaderValue {
        &self.tenant
    }
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

/// The most cached callers; beyond that all are dropped at once, and each is made again at its next request.
const MOST_CALLERS: usize = 16_384;

/// The callers of one worker, by the address of their principal, which each entry keeps alive so that the address is
/// not reused.
#[derive(Default)]
pub(super) struct PrincipalCache(HashMap<usize, Arc<CachedPrincipal>>);

impl PrincipalCache {
    /// Returns the caller that a token represents.
    pub(super) fn get(&mut self, token: &Addressed<'_>, table: &RouteTable) -> Result<Arc<CachedPrincipal>, Rejection> {
        let address = Arc::as_ptr(token.token().principal()).addr();
        // A principal has one audience, and a table one route for it. If the routes differed, that would be a bug,
        // which must not give permission for another route.
        if let Some(caller) = self.0.get(&address).filter(|caller| Arc::ptr_eq(&caller.route, token.route())) {
            return Ok(Arc::clone(caller));
        }
        if self.0.len() >= MOST_CALLERS {
            self.0.clear();
        }
        let caller = Arc::new(CachedPrincipal::new(token, table)?);
        self.0.insert(address, Arc::clone(&caller));
        Ok(caller)
    }
}

#[cfg(test)]
mod tests {
    use super::escaped;
    use crate::oauth::{AccountId, ClientId, ScopeSet, TenantId};
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
}
