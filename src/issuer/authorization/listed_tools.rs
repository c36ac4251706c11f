//! Which tools stand below which scope of a consent page.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::interaction::AccessRequest;
use crate::config::UpstreamKind;
use crate::issuer::audit::OrUnavailable;
use crate::issuer::rejection::StoreFailed;
use crate::issuer::tools::PATIENCE;
use crate::issuer::{AskedScope, GroupView, IssuerRequest, OfferedTool, ToolView, ToolsKnown};
use crate::oauth::{Exclusions, ScopeSet, Timestamp, ToolKind, ToolNameHash};
use crate::policy::{Item, RuleCaller, Rules};
use crate::store::Account;

/// The most tools that a page lists; it has a field for each, and a form has room for 1024 fields.
const MOST_LISTED: usize = 400;
/// The most bytes of names that a page lists: the form carries them, within the limit of its body.
const MOST_BYTES: usize = 16 * 1024;
/// The longest name that a page lists, in bytes (MCP, tools: names have up to 128 characters).
const LONGEST_NAME: usize = 256;

impl IssuerRequest<'_> {
    /// Puts the tools of the upstreams with a resource below the scopes of a page, made at this moment, that open them.
    /// `before` is what the client's grant leaves out so far. An upstream without a map has none: nothing there could
    /// keep a tool from being called.
    pub(in crate::issuer) async fn list_tools(
        &self,
        asked: &AccessRequest,
        account: &Account,
        scopes: &mut [AskedScope],
        (before, shown_at): (&Exclusions, Timestamp),
    ) -> Result<ToolsKnown, StoreFailed> {
        let resource = asked.request.resource();
        let of_mcp = self.policy.upstreams_of(resource).filter(|upstream| upstream.kind == UpstreamKind::Mcp);
        let asked_ones: Vec<_> = of_mcp.filter_map(|upstream| Some((upstream, upstream.rules.as_deref()?))).collect();
        let Some(offered) = self.offered_tools.as_ref().filter(|_| !asked_ones.is_empty() && !scopes.is_empty()) else {
            return Ok(ToolsKnown::NotAsked);
        };
        let person = account.subject.id();
        let answers = asked_ones.iter().map(|(upstream, _)| offered.tools(&upstream.name, person, shown_at));
        let Ok(answers) = tokio::time::timeout(PATIENCE, join_all(answers)).await else {
            return Ok(ToolsKnown::NoAnswer);
        };
        let (user, none) = (account.name.as_str(), ScopeSet::default());
        let stored = self.services.store.groups_of(&self.tenant, person).await.or_unavailable(self).await?;
        let mut all = OpenedTools { tools: Vec::new(), opened: vec![Vec::new(); scopes.len()] };
        for ((upstream, rules), answer) in asked_ones.into_iter().zip(answers) {
            // A page that lists only some of them would seem complete.
            let Some(tools) = answer else { return Ok(ToolsKnown::NoAnswer) };
            let caller = RuleCaller {
                client: &asked.client.id,
                client_kind: Some(asked.client.origin),
                user,
                groups: &upstream.holders.groups.of(user, &stored),
                scopes: &none,
            };
            let barred = upstream.holders.barred(user, &stored);
            let opened = scopes.iter().map(|scope| opened_by(scope, (rules, &caller, &barred), &tools)).collect();
            all.add(OpenedTools { tools, opened });
        }
        put_below(scopes, &all.opened, &all.tools, before);
        Ok(ToolsKnown::Listed)
    }
}

/// Tools, and for each scope of a page, which of them it opens.
struct OpenedTools {
    tools: Vec<OfferedTool>,
    opened: Vec<Vec<bool>>,
}

impl OpenedTools {
    /// Adds the tools of another upstream. Two of one name are one on the page, and are left out together: it is opened
    /// by whatever opens either, and counts as the more dangerous.
    fn add(&mut self, other: Self) {
        let known: BTreeMap<String, usize> =
            self.tools.iter().enumerate().map(|(at, tool)| (tool.name.clone(), at)).collect();
        for (index, tool) in other.tools.into_iter().enumerate() {
            let opens = other.opened.iter().map(|row| row.get(index).copied().unwrap_or(false));
            let rows = self.opened.iter_mut().zip(opens);
            match known.get(&tool.name).and_then(|at| Some((*at, self.tools.get_mut(*at)?))) {
                Some((at, same)) => {
                    same.annotations = same.annotations.most_dangerous(tool.annotations);
                    rows.for_each(|(row, opens)| row.iter_mut().skip(at).take(1).for_each(|known| *known |= opens));
                }
                None => {
                    rows.for_each(|(row, opens)| row.push(opens));
                    self.tools.push(tool);
                }
            }
        }
    }
}

/// Each tool stands once, below the scope that opens the fewest of them, so that scopes that open more than others are
/// not needed to see it; below one that is not sensitive, if there is one.
fn put_below(scopes: &mut [AskedScope], opened: &[Vec<bool>], tools: &[OfferedTool], before: &Exclusions) {
    let count = |row: &Vec<bool>| row.iter().filter(|opens| **opens).count();
    let opens = |index: usize, tool: usize| opened.get(index).and_then(|row| row.get(tool)).copied().unwrap_or(false);
    let mut groups: BTreeMap<(usize, ToolKind), Vec<usize>> = BTreeMap::new();
    for (tool, offered) in tools.iter().enumerate() {
        let openers = scopes.iter().zip(opened).enumerate().filter(|(index, _)| opens(*index, tool));
        let narrowest = openers.min_by_key(|(index, (scope, row))| (scope.sensitive, count(row), *index));
        if let Some((index, _)) = narrowest {
            groups.entry((index, offered.annotations.kind())).or_default().push(tool);
        }
    }
    let mut room = Room { tools: MOST_LISTED, bytes: MOST_BYTES };
    for ((index, kind), members) in &groups {
        let follows = |other: usize| {
            other != *index && !groups.contains_key(&(other, *kind)) && members.iter().any(|tool| opens(other, *tool))
        };
        let names = scopes.iter().map(|scope| scope.name.clone()).enumerate();
        let followers = names.filter(|(other, _)| follows(*other)).map(|(_, name)| name).collect();
        let members: Vec<_> = members.iter().filter_map(|tool| tools.get(*tool)).collect();
        let (listed, unlisted): (Vec<&&OfferedTool>, Vec<&&OfferedTool>) =
            members.iter().partition(|tool| room.takes(&tool.name));
        let unlisted = unlisted.into_iter().map(|tool| ToolNameHash::of(&tool.name)).collect();
        let Some(scope) = scopes.get_mut(*index) else { continue };
        let is_ticked = !before.groups().any(|(name, of)| *name == scope.name && of == kind);
        let view = |tool: &&&OfferedTool| ToolView {
            name: tool.name.clone(),
            title: tool.shown_title(),
            is_ticked: !before.names(&tool.name),
        };
        let tools = listed.iter().map(view).collect();
        scope.groups.push(GroupView { kind: *kind, is_ticked, tools, unlisted, followers });
    }
    for (index, scope) in scopes.iter_mut().enumerate() {
        let elsewhere = groups.iter().filter(|((below, _), _)| *below != index);
        scope.opens_elsewhere = elsewhere.flat_map(|(_, members)| members).filter(|tool| opens(index, **tool)).count();
    }
}

/// Returns for each tool whether a scope by itself opens it, given the scopes that the person may not hold.
fn opened_by(
    scope: &AskedScope,
    (rules, caller, barred): (&Rules, &RuleCaller<'_>, &ScopeSet),
    tools: &[OfferedTool],
) -> Vec<bool> {
    let alone: ScopeSet = std::iter::once(scope.name.clone()).collect();
    let standing = rules.standing_without(&RuleCaller { scopes: &alone, ..*caller }, barred);
    let opens = |tool: &OfferedTool| rules.shows_annotated(&standing, Item::Tool(&tool.name), tool.annotations);
    tools.iter().map(opens).collect()
}

/// What a page still has room for.
struct Room {
    tools: usize,
    bytes: usize,
}

impl Room {
    fn takes(&mut self, name: &str) -> bool {
        let fits = self.tools > 0 && name.len() <= LONGEST_NAME && name.len() <= self.bytes;
        if fits {
            self.tools -= 1;
            self.bytes -= name.len();
        }
        fits
    }
}
