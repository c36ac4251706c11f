//! Where the current configuration is read: once at the beginning of a request, and by work outside requests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use syn::visit::{self, Visit};

/// The files that read it, how often, and why. Another reader could see a newer one than the step before it.
const READERS: &[(&str, usize, &str)] = &[
    ("src/issuer/administration/mod.rs", 1, "an operator begins"),
    ("src/server/dispatch.rs", 1, "a request begins, and it is found out whose path it has"),
    ("src/server/connection/listener.rs", 1, "a connection is accepted"),
    ("src/server/connection/serve.rs", 1, "a connection begins"),
    ("src/issuer/mod.rs", 1, "the limits at the start"),
    ("src/issuer/sweep.rs", 2, "upkeep"),
    ("src/issuer/clock.rs", 1, "upkeep"),
    ("src/issuer/old_secrets.rs", 2, "upkeep"),
    ("src/server/start.rs", 1, "the start"),
    ("src/server/run.rs", 2, "watching files, shutting down"),
    ("src/server/reload.rs", 4, "the reload itself"),
    ("src/server/in_force.rs", 4, "puts another one in force"),
];

/// The only file that may ask the clock in a request to the authorization server.
const REQUEST: &str = "src/issuer/request.rs";

/// Returns the faults of the readers of the configuration and the clock.
pub(crate) fn faults(sources: &[(PathBuf, String)]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for (path, text) in sources {
        let file = path.display().to_string();
        let tree = syn::parse_file(text).unwrap_or_else(|fault| panic!("{file}: {fault}"));
        let mut reads = Reads::default();
        reads.visit_file(&tree);
        if reads.configuration > 0 {
            found.insert(file.clone(), reads.configuration);
        }
        if file != REQUEST && reads.by_request > 0 {
            faults.push(format!("{file}: a request has its time by `now`, and its configuration by `policy`"));
        }
    }
    let listed: BTreeMap<String, usize> = READERS.iter().map(|(file, times, _)| ((*file).to_owned(), *times)).collect();
    for file in found.keys().chain(listed.keys()) {
        let (times, expected) = (found.get(file), listed.get(file));
        if times != expected {
            faults.push(format!(
                "{file}: reads the configuration in force {times:?} times, and READERS lists {expected:?}"
            ));
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

/// Counts reads of the current configuration, and calls in a request to the authorization server that read a value
/// again which the request already has.
#[derive(Default)]
struct Reads {
    is_request: bool,
    configuration: usize,
    by_request: usize,
}

/// The last name of `a.b.c`.
fn last_name(expression: &syn::Expr) -> Option<String> {
    if let syn::Expr::Path(path) = expression {
        return path.path.segments.last().map(|segment| segment.ident.to_string());
    }
    let syn::Expr::Field(field) = expression else { return None };
    let syn::Member::Named(name) = &field.member else { return None };
    Some(name.to_string())
}

impl<'a> Visit<'a> for Reads {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !item.attrs.iter().any(crate::imports::is_test) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        let before = self.is_request;
        self.is_request = matches!(&*item.self_ty, syn::Type::Path(own)
            if own.path.segments.last().is_some_and(|name| name.ident == "IssuerRequest"));
        visit::visit_item_impl(self, item);
        self.is_request = before;
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        let (method, of) = (call.method.to_string(), last_name(&call.receiver).unwrap_or_default());
        match (method.as_str(), of.as_str()) {
            ("load" | "load_full", "config" | "snapshot")
            | ("snapshot", "worker" | "in_force")
            | ("config", "in_force") => {
                self.configuration += 1;
                self.by_request += usize::from(self.is_request);
            }
            ("now", "clock") => self.by_request += usize::from(self.is_request),
            _ => {}
        }
        visit::visit_expr_method_call(self, call);
    }
}
