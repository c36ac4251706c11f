//! Rules of an upstream that can never apply, whatever is requested.

use super::check::Check;
use super::problem::Setting;
use super::rule_file::Rule;
use super::scope_lists::pattern;
use super::upstream_file::WrittenUpstream;
use crate::oauth::{ClientId, ClientOrigin};
use crate::policy::{Pattern, Rule as Compiled};

/// Reports rules about operations that no scope opens, where scopes say what they open. `has_unknown` is whether there
/// is a scope for methods that MCP does not define.
pub(super) fn unopened(check: &Check<'_>, whole: &WrittenUpstream, opened: &[&Pattern], has_unknown: bool) {
    let kind = whole.upstream.kind.value.into();
    for rule in whole.rules.iter().map(|written| &written.rule) {
        let is_open = |text: &String| {
            // What cannot be read is reported already.
            let read = pattern(kind, text).ok();
            read.is_none_or(|own| {
                (has_unknown && own.may_be_unknown()) || opened.iter().any(|other| own.may_overlap(other))
            })
        };
        if !rule.operations.value.is_empty() && !rule.operations.value.iter().any(is_open) {
            let fault = "no scope of this upstream opens any of these operations, so the rule can never apply";
            check.report.wrong(&rule.operations, fault, "correct them, or remove the rule");
        }
    }
}

/// Reports a rule about callers that there cannot be.
pub(super) fn about_nobody(check: &Check<'_>, whole: &WrittenUpstream, written: &Rule, rule: &Compiled) {
    let who = &rule.who;
    let is_kind = |client: &ClientId| {
        let is_document = |kind: &ClientOrigin| *kind == ClientOrigin::MetadataDocument;
        who.client_kinds.iter().any(|kind| is_document(kind) == client.is_url())
    };
    if !who.clients.is_empty() && !who.client_kinds.is_empty() && !who.clients.iter().any(is_kind) {
        let fault = "none of these clients is of one of the client_kinds, so the rule can never apply";
        check.report.wrong(&written.clients, fault, "remove one of the two keys");
    }
    if who.users.is_empty() {
        return;
    }
    let upstream = &whole.upstream;
    let is_admitted = |user: &&String| may_be_one_of(user, &upstream.allow_users, &upstream.allow_groups);
    let admitted: Vec<&String> = who.users.iter().filter(is_admitted).collect();
    if admitted.is_empty() {
        let fault = "none of these users may hold a token for this upstream, so the rule can never apply";
        check.report.wrong(&written.users, fault, "correct them, or remove the rule");
        return;
    }
    let may_have = |name: &String| {
        let scope = whole.scopes.iter().find(|scope| scope.name.as_ref().is_some_and(|own| own.value == *name));
        scope.is_none_or(|scope| admitted.iter().any(|user| may_be_one_of(user, &scope.users, &scope.groups)))
    };
    if !written.scopes.value.is_empty() && !written.scopes.value.iter().any(may_have) {
        let fault = "none of its users may hold one of these scopes, so the rule can never apply";
        check.report.wrong(&written.scopes, fault, "correct them, or remove the rule");
    }
}

/// Returns whether an account may be one of those that lists of users and groups name; the members of groups are not
/// all in the file. Without any list, everybody is.
fn may_be_one_of(user: &str, users: &Setting<Vec<String>>, groups: &Setting<Vec<String>>) -> bool {
    let is_everybody = users.line.is_none() && groups.line.is_none();
    is_everybody || !groups.value.is_empty() || users.value.iter().any(|other| other.eq_ignore_ascii_case(user))
}
