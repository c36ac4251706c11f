//! The rules for the scopes of an upstream, and the map of what they open.

use std::sync::Arc;

use super::check::Check;
use super::file_words::{Kind, PinMode, ScopePreset};
use super::idle_rules;
use super::rules;
use super::scope_lists::{pattern, patterns, subset};
use super::settings::{ScopeConfig, UpstreamKind};
use super::upstream_file::{Scope, Upstream, WrittenUpstream};
use crate::oauth::{ScopeSet, ScopeToken};
use crate::policy::{
    EVERYTHING, MANAGE, MCP_SCOPES, MOST, Pattern, PresetScope, READ_ONLY, READ_ONLY_HTTP, Rules, ScopeRule,
};

/// The scopes of an upstream.
pub(super) struct UpstreamScopes {
    pub(super) catalogue: Vec<ScopeConfig>,
    /// Those of the catalogue that are ready-made.
    pub(super) ready_made: ScopeSet,
    /// What each of them opens; `None` if each opens everything.
    pub(super) rules: Option<Arc<Rules>>,
}

/// Checks the scopes and rules of an upstream.
pub(super) fn all(check: &Check<'_>, whole: &WrittenUpstream) -> UpstreamScopes {
    let (upstream, written) = (&whole.upstream, &whole.scopes);
    let (mut catalogue, mut map) = preset(check, upstream);
    manage(check, upstream, &mut map);
    let ready_made = catalogue.iter().map(|scope| scope.name.clone()).collect();
    let has_map = has_map(check, upstream, written);
    for (index, scope) in written.iter().enumerate() {
        let Some(name) = &scope.name else { continue };
        let Ok(token) = ScopeToken::parse(&name.value) else {
            check.report.wrong(name, "this cannot be a scope (RFC 6749 3.3)", "write printable ASCII without spaces");
            continue;
        };
        if token.as_str() == "offline_access" || token.as_str().contains(',') {
            let fault = "this scope has a predefined meaning, or contains a comma, which clients use as a separator";
            check.report.wrong(name, fault, "choose another name");
        }
        let names_same = |other: &Scope| other.name.as_ref().is_some_and(|other| other.value == name.value);
        if written.iter().take(index).any(names_same) {
            check.report.wrong(name, "this scope is listed twice", "keep one");
        }
        let own = ScopeRule {
            name: token.clone(),
            sensitive: scope.sensitive.value,
            allow: patterns(check, upstream.kind.value.into(), &scope.allow),
            includes: scope.includes.value.iter().filter_map(|name| ScopeToken::parse(name).ok()).collect(),
        };
        let place = catalogue.iter().position(|other| other.name == token);
        if let Some((shown, rule)) = place.and_then(|at| catalogue.get_mut(at).zip(map.get_mut(at))) {
            add_to(shown, rule, (scope, own));
            continue;
        }
        let Some(title) = &scope.title else {
            check.report.wrong(name, "this scope has no title", "write one, for the consent page");
            continue;
        };
        map.push(own);
        let (title, description) = (title.value.clone(), scope.description.value.clone());
        catalogue.push(ScopeConfig { name: token, title, description, sensitive: scope.sensitive.value });
    }
    let narrowing = rules::all(check, whole, &catalogue);
    let anonymous = anonymous(check, upstream, map.len());
    let is_compiled = is_pinned(check, upstream) || has_map || !narrowing.is_empty() || !anonymous.is_empty();
    if let Some(name) = written.last().and_then(|scope| scope.name.as_ref()).filter(|_| is_compiled && map.len() > MOST)
    {
        check.report.wrong(
            name,
            "an upstream with rules, or with allow or includes, has at most 128 scopes",
            "remove some",
        );
    }
    let unknown = unknown_methods(check, upstream, &map, has_map);
    let compile = || Rules::narrowed(&map, has_map, &narrowing).with_unknown_methods(unknown.as_ref());
    let rules = is_compiled.then(|| compile().with_anonymous(&anonymous));
    if let Some(rules) = rules.as_ref().filter(|_| has_map) {
        let opened: Vec<&Pattern> = map.iter().flat_map(|scope| &scope.allow).chain(&anonymous).collect();
        idle_rules::unopened(check, whole, &opened, unknown.is_some());
        inclusions(check, written, &map);
        force(check, whole, (&map, rules));
    }
    UpstreamScopes { catalogue, ready_made, rules: rules.map(Arc::new) }
}

/// Returns whether tools of an upstream are pinned, which needs an upstream that has tools and messages that are read.
fn is_pinned(check: &Check<'_>, upstream: &Upstream) -> bool {
    if upstream.pin.value == PinMode::Off {
        return false;
    }
    if upstream.kind.value == Kind::Http {
        check.report.wrong(&upstream.pin, "an upstream of kind \"http\" has no tools", "remove the key");
    } else if !upstream.check_envelope.value {
        let fault = "without check_envelope the gateway does not know which tool is called";
        check.report.wrong(&upstream.pin, fault, "remove check_envelope = false");
    }
    true
}

/// Returns whether scopes say what they open, without which tools cannot say what they need.
fn has_map(check: &Check<'_>, upstream: &Upstream, written: &[Scope]) -> bool {
    let has_map = says_what_opens(upstream, written);
    let setting = &upstream.security_schemes;
    if setting.value && upstream.kind.value == Kind::Http {
        check.report.wrong(setting, "an upstream of kind \"http\" has no tools", "remove the key");
    } else if setting.value && !has_map {
        let fault = "no scope of this upstream says what it opens, so its tools cannot say which they need";
        check.report.wrong(setting, fault, "write scopes, or allow in the scopes, or remove the key");
    }
    has_map
}

/// Returns whether scopes of an upstream say what they open.
pub(super) fn says_what_opens(upstream: &Upstream, written: &[Scope]) -> bool {
    let opens = |scope: &Scope| scope.allow.line.is_some() || !scope.includes.value.is_empty();
    upstream.scopes.is_some() || written.iter().any(opens)
}

/// Adds to a ready-made scope what a table says of it.
fn add_to(shown: &mut ScopeConfig, rule: &mut ScopeRule, (written, own): (&Scope, ScopeRule)) {
    if let Some(title) = &written.title {
        shown.title.clone_from(&title.value);
    }
    if written.description.line.is_some() {
        shown.description.clone_from(&written.description.value);
    }
    shown.sensitive = own.sensitive;
    rule.sensitive = own.sensitive;
    rule.allow.extend(own.allow);
    rule.includes.extend(own.includes);
}

/// Returns the ready-made scopes.
pub(super) fn preset(check: &Check<'_>, upstream: &Upstream) -> (Vec<ScopeConfig>, Vec<ScopeRule>) {
    let Some(preset) = &upstream.scopes else { return (Vec::new(), Vec::new()) };
    let kind = upstream.kind.value.into();
    match preset.value {
        ScopePreset::Mcp if kind == UpstreamKind::Http => {
            let remedy = "write scopes = \"read_only\" or \"execute\"";
            check.report.wrong(preset, "these scopes are for upstreams of kind \"mcp\"", remedy);
            (Vec::new(), Vec::new())
        }
        ScopePreset::Mcp => MCP_SCOPES.iter().filter_map(|own| ready_made(kind, own)).unzip(),
        ScopePreset::ReadOnly => {
            let own = if kind == UpstreamKind::Http { READ_ONLY_HTTP } else { READ_ONLY };
            ready_made(kind, &own).into_iter().unzip()
        }
        ScopePreset::Execute => {
            let name = upstream.name.as_ref().map(|name| format!("{}:execute", name.value)).unwrap_or_default();
            let own = PresetScope {
                name: &name,
                title: "Use everything that it offers",
                description: "Use everything that it offers on your behalf, to read as well as to change.",
                allow: &[EVERYTHING],
            };
            ready_made(kind, &own).into_iter().unzip()
        }
    }
}

/// Reads what may be done without a token, beside `scopes` of a map.
fn anonymous(check: &Check<'_>, upstream: &Upstream, scopes: usize) -> Vec<Pattern> {
    let listed = &upstream.anonymous;
    if !listed.value.is_empty() && scopes >= MOST {
        check.report.wrong(listed, "an upstream with this key has at most 127 scopes", "remove the key, or a scope");
    }
    let kind = upstream.kind.value.into();
    if !listed.value.is_empty() && kind == UpstreamKind::Mcp && !upstream.check_envelope.value {
        let fault = "without reading messages, the gateway cannot tell what may be done without a token";
        check.report.wrong(&upstream.check_envelope, fault, "remove the key, or anonymous");
    }
    if listed.value.is_empty() && upstream.anonymous_per_minute.line.is_some() {
        let fault = "without anonymous, nothing is answered without a token";
        check.report.wrong(&upstream.anonymous_per_minute, fault, "remove the key, or write anonymous");
    }
    patterns(check, kind, listed)
}

/// Adds what `manage` lists to the scope for it.
fn manage(check: &Check<'_>, upstream: &Upstream, map: &mut [ScopeRule]) {
    if upstream.manage.value.is_empty() {
        return;
    }
    let own = patterns(check, upstream.kind.value.into(), &upstream.manage);
    match map.iter_mut().find(|scope| scope.name.as_str() == MANAGE) {
        Some(scope) => scope.allow.extend(own),
        None => check.report.wrong(&upstream.manage, "only scopes = \"mcp\" has a scope for this", "remove the key"),
    }
}

/// Returns the scope that opens methods which MCP does not define.
fn unknown_methods(check: &Check<'_>, upstream: &Upstream, map: &[ScopeRule], has_map: bool) -> Option<ScopeToken> {
    let setting = upstream.unknown_methods.as_ref()?;
    let found = map.iter().find(|scope| scope.name.as_str() == setting.value).map(|scope| scope.name.clone());
    if UpstreamKind::from(upstream.kind.value) == UpstreamKind::Http {
        check.report.wrong(setting, "an upstream of kind \"http\" has no methods of MCP", "remove the key");
    } else if !has_map {
        let fault = "no scope of this upstream says what it allows, so each allows unknown methods already";
        check.report.wrong(setting, fault, "remove the key, or write allow");
    } else if found.is_none() {
        check.report.wrong(setting, "this is not among the upstream's scopes", "add an [[upstream.scope]]");
    }
    found
}

/// Returns the scopes of the demo server, by what its tools do. Deleting is sensitive.
pub(super) fn of_demo() -> UpstreamScopes {
    let read = PresetScope {
        name: "mcp:read",
        title: "Read from it",
        description: "See your notes, its resource and its prompt, and use tools that change nothing.",
        allow: &[
            "tools/list",
            "tools/call:echo",
            "tools/call:add",
            "tools/call:count",
            "tools/call:whoami",
            "tools/call:list_notes",
            "resources/*",
            "prompts/*",
        ],
    };
    let write = PresetScope {
        name: "mcp:write",
        title: "Add notes",
        description: "Add notes to yours, without changing or deleting any.",
        allow: &["tools/call:add_note"],
    };
    let delete = PresetScope {
        name: "mcp:delete",
        title: "Delete notes",
        description: "Delete your notes.",
        allow: &["tools/call:delete_note"],
    };
    let scopes = [(read, false), (write, false), (delete, true)].into_iter().filter_map(|(own, sensitive)| {
        let (scope, rule) = ready_made(UpstreamKind::Mcp, &own)?;
        Some((ScopeConfig { sensitive, ..scope }, ScopeRule { sensitive, ..rule }))
    });
    let (catalogue, map): (Vec<_>, Vec<_>) = scopes.unzip();
    let ready_made = catalogue.iter().map(|scope| scope.name.clone()).collect();
    UpstreamScopes { catalogue, ready_made, rules: Some(Arc::new(Rules::compile(&map))) }
}

/// Returns a ready-made scope, and what it opens.
pub(super) fn ready_made(kind: UpstreamKind, own: &PresetScope<'_>) -> Option<(ScopeConfig, ScopeRule)> {
    let name = ScopeToken::parse(own.name).ok()?;
    let (title, description) = (own.title.to_owned(), own.description.to_owned());
    let allow = own.allow.iter().filter_map(|text| pattern(kind, text).ok()).collect();
    let rule = ScopeRule { name: name.clone(), sensitive: false, allow, includes: Vec::new() };
    Some((ScopeConfig { name, title, description, sensitive: false }, rule))
}

/// Checks `includes`: each name is a scope of the upstream, and none includes itself, directly or not.
fn inclusions(check: &Check<'_>, written: &[Scope], map: &[ScopeRule]) {
    for scope in written {
        let Some(own) = scope.name.as_ref() else { continue };
        for (index, name) in scope.includes.value.iter().enumerate() {
            let wrong = |fault, remedy| check.report.wrong_entry(&scope.includes, index, fault, remedy);
            if !map.iter().any(|other| other.name.as_str() == name) {
                wrong("this is not among the upstream's scopes", "add an [[upstream.scope]]");
            } else if reaches(map, name, &own.value) {
                wrong("this scope includes the one that includes it", "remove one of the two");
            }
        }
    }
}

/// Returns whether a scope is another one or includes it, directly or not.
fn reaches(map: &[ScopeRule], from: &str, to: &str) -> bool {
    let mut seen = vec![from];
    let mut next = 0;
    while let Some(name) = seen.get(next) {
        let included = map.iter().filter(|scope| scope.name.as_str() == *name).flat_map(|scope| &scope.includes);
        let new: Vec<&str> = included.map(ScopeToken::as_str).filter(|name| !seen.contains(name)).collect();
        seen.extend(new);
        next += 1;
    }
    seen.contains(&to)
}

/// Checks that a map has force, and every scope in it.
fn force(check: &Check<'_>, whole: &WrittenUpstream, (map, rules): (&[ScopeRule], &Rules)) {
    let (upstream, written) = (&whole.upstream, &whole.scopes);
    if !upstream.check_envelope.value && UpstreamKind::from(upstream.kind.value) == UpstreamKind::Mcp {
        let fault = "without reading messages, the gateway cannot tell what the scopes of this upstream allow";
        check.report.wrong(&upstream.check_envelope, fault, "remove the key, or allow and includes of its scopes");
    }
    for scope in written {
        let Some(name) = &scope.name else { continue };
        let Some(rule) = map.iter().find(|rule| rule.name.as_str() == name.value) else { continue };
        let is_read = rule.allow.len() == scope.allow.value.len();
        if is_read && !whole.opened_elsewhere.contains(&name.value) && !rules.opens_anything(&rule.name) {
            let fault = "this scope allows nothing, while others of this upstream say what they allow";
            check.report.wrong(name, fault, "write allow or includes, or remove it");
        }
    }
}

/// Returns the scopes of a client that requests none: by default the ready-made ones, if there are any.
pub(super) fn defaults(check: &Check<'_>, upstream: &Upstream, scopes: &UpstreamScopes) -> ScopeSet {
    match upstream.default_scopes.line {
        None => scopes.ready_made.clone(),
        Some(_) => subset(check, &upstream.default_scopes, &scopes.catalogue),
    }
}
