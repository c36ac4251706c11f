//! The patterns of a file that name tools, prompts or resources of an upstream, so that they can be compared with what
//! it offers.

use super::problem::Setting;
use super::scope_lists::pattern;
use super::settings::{UpstreamKind, WrittenPattern};
use super::upstream_file::WrittenUpstream;

/// Returns the patterns of upstreams in their scopes, rules and limits, and of what needs no token.
pub(super) fn all(upstreams: &[WrittenUpstream]) -> Vec<WrittenPattern> {
    upstreams.iter().flat_map(of).collect()
}

fn of(whole: &WrittenUpstream) -> Vec<WrittenPattern> {
    let kind = UpstreamKind::from(whole.upstream.kind.value);
    let Some(upstream) = &whole.upstream.name else { return Vec::new() };
    let own = [&whole.upstream.manage, &whole.upstream.anonymous];
    let lists = own
        .into_iter()
        .chain(whole.scopes.iter().map(|scope| &scope.allow))
        .chain(whole.rules.iter().map(|written| &written.rule.operations))
        .chain(whole.limits.iter().map(|limit| &limit.operations));
    let read = |list: &Setting<Vec<String>>, (index, text): (usize, &String)| {
        let pattern = pattern(kind, text).ok()?;
        pattern.named_kind()?;
        Some(WrittenPattern {
            upstream: upstream.value.clone(),
            key: format!("{}[{index}]", list.key),
            line: list.entries.get(index).copied().or(list.line),
            text: text.clone(),
            pattern,
        })
    };
    lists.flat_map(|list| list.value.iter().enumerate().filter_map(move |entry| read(list, entry))).collect()
}
