//! Constructors without a check, for values that were checked before they were stored or by the calling line: who may
//! call them, and why.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use crate::sources;

/// The file, the constructor, and why the call is allowed there. A path that ends with a slash is a folder.
const MAY: &[(&str, &str, &str)] = &[
    ("src/store/embedded/rows/", "CodeChallenge::from_stored", "reads rows"),
    ("src/store/embedded/rows/", "ClientMetadata::from_stored", "reads rows"),
    ("src/store/embedded/rows/", "Digest::from_stored", "reads rows"),
    ("src/store/embedded/rows/", "RedirectUri::from_stored", "reads rows"),
    ("src/store/embedded/rows/", "ResourceIndicator::from_stored", "reads rows"),
    ("src/store/embedded/rows/", "ScopeSet::from_stored", "reads rows"),
    ("src/store/embedded/rows/", "SignInOrigin::from_stored", "reads rows"),
    ("src/store/embedded/rows/", "ToolDefinition::from_stored", "reads rows"),
    ("src/store/change.rs", "TokenHash::from_stored", "reads the key of a row of the change log"),
    ("src/oauth/client_metadata.rs", "RegisteredRedirects::from_stored", "reads what `to_stored` wrote"),
    ("src/oauth/validated_request.rs", "CodeChallenge::from_stored", "reads what `to_stored` wrote"),
    ("src/oauth/validated_request.rs", "ResourceIndicator::from_stored", "reads what `to_stored` wrote"),
    ("src/oauth/validated_request.rs", "ScopeSet::from_stored", "reads what `to_stored` wrote"),
    ("src/oauth/validated_request.rs", "ValidatedRequest::new_unchecked", "reads what `to_stored` wrote"),
    ("src/oauth/authorization.rs", "ValidatedRequest::new_unchecked", "the check itself"),
    ("src/oauth/redirect.rs", "RedirectUri::from_stored", "of a stored list, and of what equals one of it"),
    (
        "src/oauth/pkce.rs",
        "CodeChallenge::from_stored",
        "the check itself, to which a parser adds the words of a refusal",
    ),
    ("src/oauth/digest.rs", "Digest::from_stored", "what was hashed in the same line"),
    ("src/issuer/built_in.rs", "RegisteredRedirects::from_stored", "a constant, which leads nowhere"),
    // A caller that hashes by itself asserts what the digest is of, and nothing checks it.
    ("src/oauth/api_key.rs", "Digest::of", "the digest of an API key is that of an access token"),
    ("src/oauth/secret.rs", "Digest::of", "the digest of a secret is of its kind"),
    ("src/oauth/token_keys.rs", "Digest::of", "of a secret whose kind was recognised"),
    ("src/oauth/client_auth.rs", "Digest::of", "what a client presents, to be compared with its secret"),
    ("src/oauth/client_decision.rs", "Digest::of", "what an operator sees of a client, to be compared later"),
    ("src/issuer/client/approval.rs", "Digest::of", "a client that waits, to be listed once"),
    ("src/oauth/client_metadata.rs", "Digest::of", "the same metadata again is the same client"),
    ("src/oauth/tool_name_hash.rs", "Digest::of", "the name of a tool, to be compared with others"),
    ("src/proxy/authenticate.rs", "TokenHash::of", "what a request presents, to be looked up as an access token"),
    ("src/issuer/limits/fetches.rs", "Digest::of", "a host, to be counted"),
    ("src/issuer/limits/throttle.rs", "Digest::of", "a client, to be counted"),
    ("src/issuer/token/assertion.rs", "Digest::of", "the name of an assertion whose signature was checked"),
    ("src/issuer/authorization/remembered.rs", "Digest::of", "what a client was when consent was given"),
    ("src/issuer/authorization/consent.rs", "Digest::of", "random bits of a code, derived from those of a transaction"),
    // Of the crate `rusqlite`: whether a transaction is open.
    ("src/store/embedded/file/connection.rs", "unchecked_transaction", "the first of a connection"),
    ("src/store/embedded/file/readers.rs", "unchecked_transaction", "autocommit shows that none is open"),
    // Of the crate `ring`: that no other ticket of the key has this nonce.
    ("src/server/tls/session_tickets.rs", "Nonce::assume_unique_for_key", "random, or of a ticket to be opened"),
    // Of the crate `time`: the zone of a time.
    ("src/server/tls/certificate.rs", "assume_utc", "RFC 5280 4.1.2.5: certificates write UTC"),
    ("src/cli/when.rs", "assume_offset", "a day without a time begins at midnight UTC"),
];

/// Types and aliases whose `of` states what a digest is of.
const DIGESTS: &[&str] = &["CodeHash", "Digest", "EphemeralHash", "LinkHash", "SessionHash", "TokenHash"];

/// Returns whether a name alone says that nothing is checked.
fn is_unchecked(name: &str) -> bool {
    name == "from_stored" || name == "from_row" || name.contains("unchecked") || name.starts_with("assume_")
}

#[test]
fn what_checks_nothing_is_called_by_few() {
    let mut faults = BTreeSet::new();
    let mut used = BTreeSet::new();
    for (path, text) in sources("src") {
        let file = path.display().to_string();
        let tree = syn::parse_file(&text).unwrap_or_else(|fault| panic!("{file}: {fault}"));
        let mut calls = Calls::default();
        calls.visit_file(&tree);
        for maker in calls.found {
            let is_place = |place: &str| file == place || (place.ends_with('/') && file.starts_with(place));
            match MAY.iter().position(|(place, known, _)| is_place(place) && *known == maker) {
                Some(row) => drop(used.insert(row)),
                None => drop(
                    faults.insert(format!("{file}: calls {maker}, which checks nothing: parse instead, or say why")),
                ),
            }
        }
    }
    let listed = MAY.iter().enumerate();
    let gone = listed.filter(|(row, _)| !used.contains(row));
    faults.extend(
        gone.map(|(_, (place, maker, _))| format!("{place}: does not call {maker} any more; take it from MAY")),
    );
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Finds the constructors, called or passed as a function, outside of tests.
#[derive(Default)]
struct Calls {
    /// The type of this `impl` block.
    own: String,
    found: Vec<String>,
}

impl Calls {
    fn see(&mut self, of: Option<String>, name: &str) {
        let of = of.map(|of| if of == "Self" { self.own.clone() } else { of });
        if is_unchecked(name) || name == "of" && of.as_ref().is_some_and(|of| DIGESTS.contains(&of.as_str())) {
            self.found.push(of.map_or_else(|| name.to_owned(), |of| format!("{of}::{name}")));
        }
    }

    /// The tokens of a macro call have no syntax tree.
    fn see_all(&mut self, tokens: TokenStream) {
        let mut last: Option<String> = None;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    self.see(last.take(), &name.to_string());
                    last = Some(name.to_string());
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => {}
                TokenTree::Group(group) => self.see_all(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => last = None,
            }
        }
    }
}

impl<'a> Visit<'a> for Calls {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !item.attrs.iter().any(crate::imports::is_test) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        let before = self.own.clone();
        if let syn::Type::Path(own) = &*item.self_ty {
            self.own = own.path.segments.last().map(|name| name.ident.to_string()).unwrap_or_default();
        }
        visit::visit_item_impl(self, item);
        self.own = before;
    }

    fn visit_expr_path(&mut self, path: &'a syn::ExprPath) {
        let mut names = path.path.segments.iter().rev().map(|segment| segment.ident.to_string());
        if let Some(name) = names.next() {
            self.see(names.next(), &name);
        }
        visit::visit_expr_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        self.see(None, &call.method.to_string());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        self.see_all(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}
