//! The rules for aliases: further paths of the gateway's own endpoints.

use super::check::Check;
use super::file::{Alias, File};
use super::problem::Setting;
use super::reserved_path::path_fault;
use super::settings::PathAlias;
use super::taken_paths::TakenPaths;

/// The endpoints that metadata names.
const IN_METADATA: [&str; 5] = ["/authorize", "/introspect", "/register", "/revoke", "/token"];
/// The endpoints that can have an alias: where clients and users begin. The pages of a sign-in follow from each other.
const TARGETS: [&str; 6] = ["/account", "/authorize", "/introspect", "/register", "/revoke", "/token"];
/// The most aliases: each unknown path is compared with all.
const MOST: usize = 32;
/// Where an upstream's authorization server will send users back to; everything else below `/oauth/` is free.
const KEPT: [&str; 2] = ["/oauth", "/oauth/callback"];

/// Checks all aliases.
pub(super) fn all(check: &Check<'_>, file: &File) -> Vec<PathAlias> {
    if let Some(from) = file.aliases.get(MOST).and_then(|alias| alias.from.as_ref()) {
        check.report.wrong(from, format!("there are more than {MOST} of these"), "remove those that nobody uses");
    }
    let mut taken = TakenPaths::of_upstreams(check, file);
    let mut in_metadata: Vec<(&str, &Setting<bool>)> = Vec::new();
    let mut found = Vec::new();
    for alias in file.aliases.iter().take(MOST) {
        if let Some(from) = &alias.from {
            judge_path(check, from);
        }
        taken.add_alias(check, alias);
        let to = alias.to.as_ref().and_then(|to| target(check, to));
        if let Some(to) = to.filter(|_| alias.in_metadata.value) {
            judge_metadata(check, &alias.in_metadata, to, &in_metadata);
            in_metadata.push((to, &alias.in_metadata));
        }
        found.extend(made(alias, to));
    }
    found
}

fn made(alias: &Alias, to: Option<&'static str>) -> Option<PathAlias> {
    Some(PathAlias { from: alias.from.as_ref()?.value.clone(), to: to?, in_metadata: alias.in_metadata.value })
}

fn judge_path(check: &Check<'_>, from: &Setting<String>) {
    let remedy = "write a path such as \"/oauth/authorize\"";
    let is_kept = KEPT.iter().any(|kept| from.value.eq_ignore_ascii_case(kept));
    if is_kept {
        check.report.wrong(from, "this path is reserved for a later version of the gateway", remedy);
    } else if let Some((fault, _)) = path_fault(&from.value, &["oauth"]) {
        check.report.wrong(from, fault, remedy);
    }
}

fn target(check: &Check<'_>, to: &Setting<String>) -> Option<&'static str> {
    let found = TARGETS.into_iter().find(|target| *target == to.value);
    if found.is_none() {
        let remedy = format!("write one of: {}", TARGETS.join(", "));
        check.report.wrong(to, "no endpoint with this path can have an alias", remedy);
    }
    found
}

/// Reports a name for metadata that it cannot have.
fn judge_metadata(check: &Check<'_>, setting: &Setting<bool>, to: &str, others: &[(&str, &Setting<bool>)]) {
    if !IN_METADATA.contains(&to) {
        check.report.wrong(setting, format!("metadata does not name {to}"), "remove it");
    }
    if let Some((_, other)) = others.iter().find(|(other, _)| *other == to) {
        let line = other.line.unwrap_or_default();
        check.report.wrong(setting, format!("metadata already names the alias of line {line}"), "keep one");
    }
}
