//! The rules for upstreams with one resource (`resource`): what belongs to the resource is written in any of them, is
//! read in all, and is not written otherwise in another. What each upstream opens stays its own.

use std::collections::{BTreeMap, BTreeSet};

use super::check::Check;
use super::own_listener::origin_of;
use super::problem::Setting;
use super::reserved_path::path_fault;
use super::scopes;
use super::settings::{ScopeConfig, UpstreamConfig, UpstreamKind};
use super::upstream_file::{Scope, Upstream, WrittenUpstream};
use crate::oauth::ResourceIndicator;

/// The path of the upstream of the command line and of its resource.
pub(super) const OF_COMMAND_LINE: &str = "/mcp";

/// The path of the resource of an upstream, as it is written; `/` for the origin.
pub(super) fn of(upstream: &Upstream) -> Option<&str> {
    upstream.resource.as_ref().or(upstream.path.as_ref()).map(|path| path.value.as_str())
}

/// Checks the resources of all upstreams, and takes over what those with the same one share.
pub(super) fn share(check: &Check<'_>, upstreams: &mut [WrittenUpstream]) {
    for whole in &*upstreams {
        judge(check, &whole.upstream, upstreams);
    }
    let mut by_resource: BTreeMap<(Option<String>, String), Vec<&mut WrittenUpstream>> = BTreeMap::new();
    for whole in upstreams {
        if let Some(resource) = of(&whole.upstream).map(str::to_owned) {
            by_resource.entry((origin_of(check, &whole.upstream), resource)).or_default().push(whole);
        }
    }
    let is_shared = |group: &Vec<&mut WrittenUpstream>| {
        group.len() > 1 && group.iter().any(|whole| whole.upstream.resource.is_some())
    };
    for mut group in by_resource.into_values().filter(is_shared) {
        own_keys(check, &mut group);
        opening(check, &group);
        all_scopes(check, &mut group);
    }
}

/// Reports a resource that cannot be this upstream's.
fn judge(check: &Check<'_>, upstream: &Upstream, all: &[WrittenUpstream]) {
    let (Some(resource), Some(path)) = (&upstream.resource, &upstream.path) else { return };
    let remedy = "write \"/\" for the whole origin, or a path that this upstream's own path lies below";
    let lies_below = |rest: &str| rest.is_empty() || rest.starts_with('/');
    if resource.value != "/" {
        if let Some((fault, _)) = path_fault(&resource.value, &[]) {
            check.report.wrong(resource, fault, remedy);
            return;
        }
        if !path.value.strip_prefix(&resource.value).is_some_and(lies_below) {
            check.report.wrong(resource, "the path of this upstream is not below it", remedy);
        }
    }
    // What opens what would be written for the one and not for the other.
    let is_at_main = upstream.public_url.is_none();
    if check.overrides.upstream.is_some() && is_at_main && resource.value == OF_COMMAND_LINE {
        let fault = "this is the resource of the upstream of the command line, which shares none";
        check.report.wrong(resource, fault, "choose another one, or write that upstream into the file, too");
        return;
    }
    // A client may name the URL that it calls, which must not be another upstream's resource.
    let takes = |other: &&Upstream| {
        let is_other = of(other) == Some(&path.value) && of(upstream) != Some(&path.value);
        is_other && origin_of(check, other) == origin_of(check, upstream)
    };
    if let Some(other) = all.iter().map(|whole| &whole.upstream).find(takes) {
        let line = line_of(other.resource.as_ref().or(other.path.as_ref()));
        let fault = format!("the path of this upstream is the resource of line {line}, which is another one");
        check.report.wrong(resource, fault, "choose another path, or write the same resource in both");
    }
}

fn line_of(setting: Option<&Setting<String>>) -> usize {
    setting.and_then(|setting| setting.line).unwrap_or_default()
}

/// Keys of tables that share a resource, as they are written. A key has the same value wherever it is written, and gets
/// that value where it is not.
fn agree<K: Clone, T>(
    check: &Check<'_>,
    keys: Vec<&mut K>,
    written: impl Fn(&K) -> Option<&Setting<T>>,
    is_same: impl Fn(&T, &T) -> bool,
) {
    let Some(first) = keys.iter().find(|key| written(key).is_some()).map(|key| K::clone(key)) else { return };
    let Some(told) = written(&first) else { return };
    for key in keys {
        match written(key) {
            None => *key = first.clone(),
            Some(own) if is_same(&own.value, &told.value) => {}
            Some(own) => {
                let line = told.line.unwrap_or_default();
                let fault = format!("line {line} says otherwise, for an upstream with the same resource");
                check.report.wrong(own, fault, "write the same, or write it once");
            }
        }
    }
}

/// Pairs of lists of tables that share a resource: of users and of groups, which together say who is admitted. A pair
/// is one value, because each of its lists alone would admit others than the two do.
fn admit(check: &Check<'_>, pairs: Vec<[&mut Setting<Vec<String>>; 2]>) {
    let is_written = |list: &&mut Setting<Vec<String>>| list.line.is_some();
    let Some(first) = pairs.iter().find(|pair| pair.iter().any(is_written)) else { return };
    let told = first.each_ref().map(|list| Setting::clone(list));
    for pair in pairs {
        let Some(written) = pair.iter().position(|list| list.line.is_some()) else {
            for (list, told) in pair.into_iter().zip(&told) {
                list.clone_from(told);
            }
            continue;
        };
        let differs = |at: &usize| {
            pair.get(*at).zip(told.get(*at)).is_some_and(|(own, told)| !same_list(&own.value, &told.value))
        };
        let Some(at) = (0..pair.len()).find(differs) else { continue };
        let line = told.get(at).and_then(|list| list.line).or_else(|| told.iter().find_map(|list| list.line));
        let own = pair.get(at).filter(|own| own.line.is_some()).or_else(|| pair.get(written));
        if let Some(own) = own {
            let line = line.unwrap_or_default();
            let fault = format!("line {line} says otherwise, for an upstream with the same resource");
            check.report.wrong(own, fault, "write the same users and the same groups, or write them once");
        }
    }
}

fn optional<T>(key: &Option<Setting<T>>) -> Option<&Setting<T>> {
    key.as_ref()
}

fn with_default<T>(key: &Setting<T>) -> Option<&Setting<T>> {
    Some(key).filter(|key| key.line.is_some())
}

fn same_list<L: AsRef<[String]>>(one: &L, other: &L) -> bool {
    let names = |list: &L| list.as_ref().iter().cloned().collect::<BTreeSet<String>>();
    names(one) == names(other)
}

/// Shares the keys of the upstreams themselves.
fn own_keys(check: &Check<'_>, group: &mut [&mut WrittenUpstream]) {
    macro_rules! each {
        ($key:ident) => {
            group.iter_mut().map(|whole| &mut whole.upstream.$key).collect()
        };
    }
    agree(check, each!(display_name), optional, PartialEq::eq);
    agree(check, each!(documentation), optional, PartialEq::eq);
    agree(check, each!(access_lifetime), optional, PartialEq::eq);
    agree(check, each!(default_scopes), with_default, same_list);
    agree(check, each!(required_scopes), with_default, same_list);
    admit(check, group.iter_mut().map(|w| [&mut w.upstream.allow_users, &mut w.upstream.allow_groups]).collect());
    let first_name = group.first().and_then(|first| first.upstream.name.clone());
    for whole in &mut *group {
        if whole.upstream.display_name.is_none() {
            whole.upstream.display_name.clone_from(&first_name);
        }
    }
}

/// Reports upstreams that open everything to every token, where others say what tokens may do.
fn opening(check: &Check<'_>, group: &[&mut WrittenUpstream]) {
    let says = |whole: &&&mut WrittenUpstream| scopes::says_what_opens(&whole.upstream, &whole.scopes);
    let Some(told) = group.iter().find(says) else { return };
    let line = line_of(told.upstream.name.as_ref());
    for whole in group.iter().filter(|whole| !says(whole)) {
        let Some(name) = &whole.upstream.name else { continue };
        let fault = format!(
            "the scopes of line {line}, which has the same resource, say what they open: here every one of them would \
             open everything"
        );
        check.report.wrong(name, fault, "write scopes, or allow in its scopes (`allow = [\"*\"]` opens everything)");
    }
}

/// Puts every scope of the resource into each upstream.
fn all_scopes(check: &Check<'_>, group: &mut [&mut WrittenUpstream]) {
    let ready_made: Vec<Vec<ScopeConfig>> =
        group.iter().map(|whole| scopes::preset(check, &whole.upstream).0).collect();
    let presets = group.iter().map(|whole| whole.upstream.scopes.as_ref().and_then(|preset| preset.line));
    let presets: Vec<Option<usize>> = presets.collect();
    let mut names: Vec<Setting<String>> = Vec::new();
    for ((whole, own), line) in group.iter().zip(&ready_made).zip(&presets) {
        let own = own
            .iter()
            .map(|scope| Setting { line: *line, ..Setting::unwritten(scope.name.as_str().to_owned(), "scopes") });
        for name in own.chain(whole.scopes.iter().filter_map(|scope| scope.name.clone())) {
            if !names.iter().any(|other| other.value == name.value) {
                names.push(name);
            }
        }
    }
    for name in &names {
        one_scope(check, group, name, (&ready_made, &presets));
    }
    let ready_made: BTreeSet<String> =
        ready_made.iter().flatten().map(|scope| scope.name.as_str().to_owned()).collect();
    let line = presets.iter().flatten().next().copied();
    for whole in group.iter_mut().filter(|whole| whole.upstream.default_scopes.line.is_none()) {
        whole.upstream.default_scopes.value = ready_made.iter().cloned().collect();
        whole.upstream.default_scopes.line = line;
    }
}

/// Puts a scope into each upstream of a group, and shares what users see of it and who may hold it.
fn one_scope(
    check: &Check<'_>,
    group: &mut [&mut WrittenUpstream],
    name: &Setting<String>,
    (ready_made, presets): (&[Vec<ScopeConfig>], &[Option<usize>]),
) {
    let is_it = |scope: &Scope| scope.name.as_ref().is_some_and(|own| own.value == name.value);
    let own = ready_made.iter().map(|own| own.iter().find(|scope| scope.name.as_str() == name.value));
    let own: Vec<Option<&ScopeConfig>> = own.collect();
    let opens = |(whole, own): (&&mut WrittenUpstream, &Option<&ScopeConfig>)| {
        let table = whole.scopes.iter().find(|scope| is_it(scope));
        own.is_some() || table.is_some_and(|t| !t.allow.value.is_empty() || !t.includes.value.is_empty())
    };
    let openers: Vec<bool> = group.iter().zip(&own).map(opens).collect();
    for (whole, opens) in group.iter_mut().zip(&openers) {
        let is_written = whole.scopes.iter().any(is_it);
        if !opens && (!is_written || openers.contains(&true)) {
            whole.opened_elsewhere.push(name.value.clone());
        }
        if !is_written {
            whole.scopes.push(blank(name.clone()));
        }
    }
    let kinds: Vec<UpstreamKind> = group.iter().map(|whole| whole.upstream.kind.value.into()).collect();
    let mut tables: Vec<&mut Scope> =
        group.iter_mut().filter_map(|whole| whole.scopes.iter_mut().find(|scope| is_it(scope))).collect();
    // The one for MCP says more: what is there only to be read, and tools that change nothing.
    let mut ready: Vec<_> =
        kinds.iter().zip(&own).zip(presets).filter_map(|((kind, own), line)| Some((*kind, (*own)?, *line))).collect();
    ready.sort_by_key(|(kind, ..)| *kind != UpstreamKind::Mcp);
    macro_rules! each {
        ($key:ident) => {
            tables.iter_mut().map(|scope| &mut scope.$key).collect()
        };
    }
    agree(check, each!(title), optional, PartialEq::eq);
    agree(check, each!(description), with_default, PartialEq::eq);
    agree(check, each!(sensitive), with_default, PartialEq::eq);
    agree(check, each!(includes), with_default, same_list);
    admit(check, tables.iter_mut().map(|scope| [&mut scope.users, &mut scope.groups]).collect());
    if let Some((_, shown, line)) = ready.first() {
        let text = |text: &str| Setting { line: *line, ..Setting::unwritten(text.to_owned(), "scopes") };
        for scope in tables {
            scope.title.get_or_insert_with(|| text(&shown.title));
            if scope.description.line.is_none() {
                scope.description = text(&shown.description);
            }
        }
    }
}

/// A table that says nothing of a scope.
fn blank(name: Setting<String>) -> Scope {
    let list = || Setting::unwritten(Vec::new(), &name.key);
    Scope {
        title: None,
        description: Setting::unwritten(String::new(), &name.key),
        sensitive: Setting::unwritten(false, &name.key),
        allow: list(),
        includes: list(),
        users: list(),
        groups: list(),
        name: Some(name),
    }
}

impl UpstreamConfig {
    /// Returns the URL that clients call.
    #[must_use]
    pub fn called_at(&self) -> String {
        format!("{}{}", self.public_url, self.path)
    }

    /// Returns that URL as a resource, which names this upstream alone even where it shares its own.
    #[must_use]
    pub fn address(&self) -> ResourceIndicator {
        ResourceIndicator::parse(&self.called_at()).unwrap_or_else(|_| self.resource.clone())
    }

    /// Returns whether its resource is another URL than the one that clients call.
    #[must_use]
    pub fn shares_resource(&self) -> bool {
        self.resource.as_str().strip_prefix(&*self.public_url) != Some(&*self.path)
    }
}
