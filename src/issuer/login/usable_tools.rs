//! Which tools a connected application may call, as far as its upstream has said which tools there are.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use crate::config::{UpstreamConfig, UpstreamKind};
use crate::issuer::account_view::{ToolsOfKind, UsableTools};
use crate::issuer::tools::PATIENCE;
use crate::issuer::{IssuerRequest, OfferedTool};
use crate::oauth::{Client, Grant, GroupSet, ResourceIndicator, ScopeSet, ToolKind};
use crate::policy::{Item, RuleCaller, Rules, Standing};
use crate::store::Account;

/// The most sessions that a page judges; those of one application with the same scopes and exclusions count once.
const MOST_JUDGED: usize = 64;
/// The most tools that a page names.
const MOST_NAMED: usize = 400;
/// The most tools of one kind that a page names for an application.
const MOST_OF_KIND: usize = 40;

/// What one client was granted at one upstream.
pub(super) struct Application {
    /// Its record; `None` if it is being deleted.
    pub(super) client: Option<Client>,
    pub(super) resource: ResourceIndicator,
    /// Newest first; never empty.
    pub(super) grants: Vec<Grant>,
}

/// Whose applications are judged.
#[derive(Clone, Copy)]
pub(super) struct Person<'a> {
    pub(super) account: &'a Account,
    /// The groups of the account that the store has.
    pub(super) groups: &'a GroupSet,
}

impl IssuerRequest<'_> {
    /// Returns what each of a person's applications may call, in their order. All upstreams are asked at once.
    pub(super) async fn usable_tools(&self, person: Person<'_>, apps: &[Application]) -> Vec<UsableTools> {
        let mut room = MOST_JUDGED;
        let judged = apps.iter().map(|app| {
            let grants = distinct(&app.grants);
            let fits = grants.len() <= room;
            room = room.saturating_sub(grants.len());
            async move {
                let waited = async { self.usable_by(person, app, grants).await };
                if fits {
                    tokio::time::timeout(PATIENCE, waited).await.unwrap_or(UsableTools::Unknown)
                } else {
                    UsableTools::Unknown
                }
            }
        });
        let mut names = MOST_NAMED;
        join_all(judged).await.into_iter().map(|tools| tools.named_within(&mut names)).collect()
    }

    /// Returns what an application may call with these grants at all upstreams that share their resource.
    async fn usable_by(&self, person: Person<'_>, app: &Application, grants: Vec<&Grant>) -> UsableTools {
        let Some(client) = app.client.as_ref().filter(|client| !client.disabled) else { return UsableTools::Nothing };
        let upstreams = self.policy.upstreams_of(&app.resource);
        let usable = join_all(upstreams.map(|upstream| self.usable_at(person, upstream, client, &grants))).await;
        usable.into_iter().fold(Usable::Nothing, Usable::with).into()
    }

    async fn usable_at(
        &self,
        person: Person<'_>,
        upstream: &UpstreamConfig,
        client: &Client,
        grants: &[&Grant],
    ) -> Usable {
        let held = |grant: &&'_ Grant| person.held(upstream, grant);
        let Some(rules) = upstream.rules.as_deref() else {
            let has_required = grants.iter().filter_map(held).any(|held| upstream.required_scopes.is_subset(&held));
            return if has_required { Usable::Everything } else { Usable::Nothing };
        };
        let standing = |grant: &&Grant| person.standing((upstream, rules), client, (grant, &held(grant)?));
        let standing: Vec<_> = grants.iter().filter_map(|grant| Some((grant.consented_at, standing(grant)?))).collect();
        if standing.is_empty() {
            return Usable::Nothing;
        }
        if upstream.kind != UpstreamKind::Mcp {
            return Usable::NoTools;
        }
        let Some(offered) = &self.offered_tools else { return Usable::Unknown };
        let mut usable = BTreeMap::new();
        for (consented_at, standing) in &standing {
            let tools = offered.tools(&upstream.name, person.account.subject.id(), *consented_at).await;
            let Some(tools) = tools else { return Usable::Unknown };
            let may_call =
                |tool: &OfferedTool| rules.shows_annotated(standing, Item::Tool(&tool.name), tool.annotations);
            tools.into_iter().filter(may_call).for_each(|tool| add(&mut usable, tool));
        }
        Usable::Tools(usable)
    }
}

/// What an application may call at an upstream.
enum Usable {
    Nothing,
    /// It is no MCP server.
    NoTools,
    /// These tools, by their names.
    Tools(BTreeMap<String, OfferedTool>),
    /// The upstream did not say which tools it has.
    Unknown,
    Everything,
}

impl Usable {
    /// Returns what may be called at two upstreams of one resource.
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Everything, _) | (_, Self::Everything) => Self::Everything,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Tools(mut tools), Self::Tools(others)) => {
                others.into_values().for_each(|tool| add(&mut tools, tool));
                Self::Tools(tools)
            }
            (tools @ Self::Tools(_), _) | (_, tools @ Self::Tools(_)) => tools,
            (Self::NoTools, _) | (_, Self::NoTools) => Self::NoTools,
            (Self::Nothing, Self::Nothing) => Self::Nothing,
        }
    }
}

/// Adds a tool; of two of one name the more dangerous counts.
fn add(tools: &mut BTreeMap<String, OfferedTool>, tool: OfferedTool) {
    match tools.get_mut(&tool.name) {
        Some(known) => known.annotations = known.annotations.most_dangerous(tool.annotations),
        None => drop(tools.insert(tool.name.clone(), tool)),
    }
}

impl From<Usable> for UsableTools {
    fn from(usable: Usable) -> Self {
        match usable {
            Usable::Nothing => Self::Nothing,
            Usable::NoTools => Self::None,
            Usable::Tools(tools) => Self::of(tools.into_values()),
            Usable::Unknown => Self::Unknown,
            Usable::Everything => Self::Everything,
        }
    }
}

impl Person<'_> {
    /// Returns those of a grant's scopes that the person may hold now; `None` if its tokens are refused.
    fn held(&self, upstream: &UpstreamConfig, grant: &Grant) -> Option<ScopeSet> {
        upstream.holders.narrow(self.account.name.as_str(), self.groups, &grant.scopes)
    }

    /// Returns what the rules know of tokens of a grant; `None` if no request with them passes.
    fn standing(
        &self,
        (upstream, rules): (&UpstreamConfig, &Rules),
        client: &Client,
        (grant, held): (&Grant, &ScopeSet),
    ) -> Option<Standing> {
        let user = self.account.name.as_str();
        let groups = upstream.holders.groups.of(user, self.groups);
        let caller =
            RuleCaller { client: &client.id, client_kind: Some(client.origin), user, groups: &groups, scopes: held };
        let standing = rules.standing_without(&caller, &upstream.holders.barred(user, self.groups));
        let standing = rules.leaving_out(standing, held, &grant.exclusions);
        rules.missing(&standing, &upstream.required_scopes).is_empty().then_some(standing)
    }
}

impl UsableTools {
    fn of(tools: impl Iterator<Item = OfferedTool>) -> Self {
        let mut kinds: BTreeMap<ToolKind, BTreeSet<String>> = BTreeMap::new();
        let mut counts: BTreeMap<ToolKind, usize> = BTreeMap::new();
        for tool in tools {
            let kind = tool.annotations.kind();
            kinds.entry(kind).or_default().insert(tool.shown_title());
            *counts.entry(kind).or_default() += 1;
        }
        let of_kind = |(kind, titles): (ToolKind, BTreeSet<String>)| ToolsOfKind {
            kind,
            count: counts.get(&kind).copied().unwrap_or_default(),
            titles: titles.into_iter().collect(),
        };
        Self::Listed(kinds.into_iter().map(of_kind).collect())
    }

    /// Returns it with as many titles as a page has room for.
    fn named_within(self, room: &mut usize) -> Self {
        let Self::Listed(mut kinds) = self else { return self };
        for of_kind in &mut kinds {
            of_kind.titles.truncate(MOST_OF_KIND.min(*room));
            *room -= of_kind.titles.len();
        }
        Self::Listed(kinds)
    }
}

/// Returns one grant for each set of scopes and exclusions: the newest, since what a tool says more mildly of itself
/// counts for those who consented later.
fn distinct(grants: &[Grant]) -> Vec<&Grant> {
    let mut found: Vec<&Grant> = Vec::new();
    for grant in grants {
        let is_same = |other: &&Grant| other.scopes == grant.scopes && other.exclusions == grant.exclusions;
        if !found.iter().any(is_same) {
            found.push(grant);
        }
    }
    found
}
