//! The rules for `[[upstream.rule]]`: that each can be read, and can have force.

use super::check::Check;
use super::idle_rules;
use super::rule_file::{Argument, ClientKind, EffectWord, Rule as Written, WrittenRule};
use super::scope_lists::{patterns, subset};
use super::settings::{ScopeConfig, UpstreamKind};
use super::upstream_file::WrittenUpstream;
use crate::oauth::{ClientId, ClientOrigin, GroupName, LoginName};
use crate::policy::{Condition, MOST, Pattern, Pointer, Rule, RuleEffect, Test, TextPattern, Who};

/// The most conditions of a rule: each is looked for in the arguments of a call.
const MOST_CONDITIONS: usize = 16;

/// Checks the rules of an upstream.
pub(super) fn all(check: &Check<'_>, whole: &WrittenUpstream, catalogue: &[ScopeConfig]) -> Vec<Rule> {
    let (upstream, written) = (&whole.upstream, &whole.rules);
    let kind = UpstreamKind::from(upstream.kind.value);
    if !written.is_empty() && kind == UpstreamKind::Mcp && !upstream.check_envelope.value {
        let fault = "without reading messages, the gateway cannot tell what the rules of this upstream match";
        check.report.wrong(&upstream.check_envelope, fault, "remove the key, or the rules");
    }
    if let Some(place) = written.get(MOST).and_then(WrittenRule::place) {
        check.report.wrong(place, "an upstream has at most 128 rules", "remove some");
    }
    let read = |written: &WrittenRule| {
        let rule = one(check, kind, written, catalogue)?;
        idle_rules::about_nobody(check, whole, &written.rule, &rule);
        Some(rule)
    };
    written.iter().filter_map(read).collect()
}

fn one(check: &Check<'_>, kind: UpstreamKind, written: &WrittenRule, catalogue: &[ScopeConfig]) -> Option<Rule> {
    let (report, rule, arguments) = (check.report, &written.rule, &written.arguments);
    let effect = rule.effect.as_ref()?;
    let is_http = kind == UpstreamKind::Http;
    if let Some(pointer) = arguments.first().and_then(|first| first.pointer.as_ref()).filter(|_| is_http) {
        let fault = "an upstream of kind \"http\" has no calls with arguments";
        report.wrong(pointer, fault, "remove the arguments");
    }
    if is_http && !rule.annotations.value.is_empty() {
        report.wrong(&rule.annotations, "an upstream of kind \"http\" has no tools", "remove the key");
    }
    if let Some(pointer) = arguments.get(MOST_CONDITIONS).and_then(|one| one.pointer.as_ref()) {
        report.wrong(pointer, "a rule has at most 16 conditions", "remove some, or write several rules");
    }
    let operations = patterns(check, kind, &rule.operations);
    let arguments: Vec<Condition> = arguments.iter().filter_map(|one| condition(check, one)).collect();
    let has_calls = operations.is_empty() || operations.iter().any(Pattern::has_arguments);
    if !arguments.is_empty() && !is_http && !has_calls {
        let fault = "none of these operations has arguments, so the rule can never match";
        report.wrong(&rule.operations, fault, "name tools or prompts, or remove the arguments");
    }
    let is_tool = operations.is_empty() || operations.iter().any(Pattern::may_be_tool);
    if !rule.annotations.value.is_empty() && !is_http && !is_tool {
        let fault = "none of these operations calls a tool, so the rule can never match";
        report.wrong(&rule.operations, fault, "name tools, or remove the annotations");
    }
    Some(Rule {
        effect: match effect.value {
            EffectWord::Allow => RuleEffect::Allow,
            EffectWord::Deny => RuleEffect::Deny,
        },
        operations,
        annotations: rule.annotations.value.clone(),
        who: who(check, rule, catalogue),
        arguments,
        reason: rule.reason.value.clone(),
    })
}

fn who(check: &Check<'_>, rule: &Written, catalogue: &[ScopeConfig]) -> Who {
    let client = |(index, text): (usize, &String)| {
        let id = ClientId::parse(text);
        if id.is_none() {
            let fault = "this cannot be a client id";
            check.report.wrong_entry(&rule.clients, index, fault, "write what mcpgate client list shows");
        }
        id
    };
    let user = |(index, text): (usize, &String)| {
        let name = LoginName::parse(text);
        if name.is_none() {
            let fault = "this cannot be a login name";
            check.report.wrong_entry(&rule.users, index, fault, "write what mcpgate user list shows");
        }
        name.map(|name| name.as_str().to_owned())
    };
    let group = |(index, text): (usize, &String)| {
        let name = GroupName::parse(text);
        if name.is_none() {
            let fault = "this cannot be the name of a group";
            check.report.wrong_entry(&rule.groups, index, fault, "write what mcpgate group list shows");
        }
        name
    };
    let kind = |kind: &ClientKind| match kind {
        ClientKind::Manual => ClientOrigin::Manual,
        ClientKind::Registered => ClientOrigin::Registered,
        ClientKind::MetadataDocument => ClientOrigin::MetadataDocument,
    };
    Who {
        clients: rule.clients.value.iter().enumerate().filter_map(client).collect(),
        client_kinds: rule.client_kinds.value.iter().map(kind).collect(),
        users: rule.users.value.iter().enumerate().filter_map(user).collect(),
        groups: rule.groups.value.iter().enumerate().filter_map(group).collect(),
        scopes: subset(check, &rule.scopes, catalogue).iter().cloned().collect(),
    }
}

/// Reads a condition, which asks for exactly one thing.
fn condition(check: &Check<'_>, written: &Argument) -> Option<Condition> {
    let report = check.report;
    let pointer = written.pointer.as_ref()?;
    let parsed = Pointer::parse(&pointer.value);
    if parsed.is_none() {
        report.wrong(pointer, "this is not a JSON pointer (RFC 6901)", "write for example /path or /items/0/amount");
    }
    let (least, most) = (written.min.as_ref(), written.max.as_ref());
    let tests: Vec<Test> = [
        written.equals.as_ref().map(|equals| Test::OneOf(vec![equals.value.clone()])),
        written.one_of.as_ref().map(|values| Test::OneOf(values.value.clone())),
        written.pattern.as_ref().map(|pattern| Test::Pattern(TextPattern::new(&pattern.value))),
        (least.is_some() || most.is_some())
            .then(|| Test::Range(least.map(|least| least.value), most.map(|most| most.value))),
        written.present.value.then_some(Test::Present),
        written.absent.value.then_some(Test::Absent),
    ]
    .into_iter()
    .flatten()
    .collect();
    let [test] = <[Test; 1]>::try_from(tests)
        .map_err(|_| {
            let remedy = "write one of equals, one_of, pattern, min and max, present and absent";
            report.wrong(pointer, "a condition asks for exactly one thing", remedy);
        })
        .ok()?;
    let is_void = match &test {
        Test::OneOf(values) => values.is_empty(),
        Test::Range(Some(least), Some(most)) => least.is_above(*most),
        Test::Range(..) | Test::Pattern(_) | Test::Present | Test::Absent => false,
    };
    if is_void {
        report.wrong(pointer, "no value meets this condition, so the rule can never match", "correct it");
    }
    Some(Condition { pointer: parsed?, test })
}
