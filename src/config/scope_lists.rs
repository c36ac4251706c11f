//! Lists of patterns and of scopes, as tables of an upstream have them.

use super::check::Check;
use super::problem::Setting;
use super::settings::{ScopeConfig, UpstreamKind};
use crate::oauth::ScopeSet;
use crate::policy::Pattern;

/// Reads a pattern of operations, as upstreams of a kind have them.
pub(super) fn pattern(kind: UpstreamKind, text: &str) -> Result<Pattern, (&'static str, &'static str)> {
    match kind {
        UpstreamKind::Mcp => Pattern::of_mcp(text),
        UpstreamKind::Http => Pattern::of_http(text),
    }
}

/// Reads a list of patterns.
pub(super) fn patterns(check: &Check<'_>, kind: UpstreamKind, list: &Setting<Vec<String>>) -> Vec<Pattern> {
    let read = |(index, text): (usize, &String)| {
        let fault = |(fault, remedy)| check.report.wrong_entry(list, index, fault, remedy);
        pattern(kind, text).map_err(fault).ok()
    };
    list.value.iter().enumerate().filter_map(read).collect()
}

/// Returns the scopes of a list, each of which the catalogue must have.
pub(super) fn subset(check: &Check<'_>, names: &Setting<Vec<String>>, catalogue: &[ScopeConfig]) -> ScopeSet {
    let find = |(index, name): (usize, &String)| {
        let found = catalogue.iter().find(|scope| scope.name.as_str() == name).map(|scope| scope.name.clone());
        if found.is_none() {
            let fault = "this is not among the upstream's scopes";
            check.report.wrong_entry(names, index, fault, "add an [[upstream.scope]]");
        }
        found
    };
    names.value.iter().enumerate().filter_map(find).collect()
}
