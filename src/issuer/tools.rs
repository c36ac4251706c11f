//! The tools of an upstream on the consent page: what is offered, what was shown, and what was left unticked.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::oauth::{
    AccountId, Exclusions, ScopeSet, ScopeToken, Timestamp, ToolGroup, ToolKind, ToolNameHash, clean_name,
};
use crate::policy::Annotations;

/// A tool, as its upstream describes it. None of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedTool {
    /// The name that calls use.
    pub name: String,
    /// The name for people, if it has one.
    pub title: Option<String>,
    /// What it says of itself, as calls are judged by it after this consent.
    pub annotations: Annotations,
}

impl OfferedTool {
    /// MC-15: returns what pages call it: one line without hidden characters, at most 100 characters.
    pub(super) fn shown_title(&self) -> String {
        let shown = |text: &str| clean_name(text).filter(|text| !text.is_empty());
        let own = self.title.as_deref().and_then(shown).or_else(|| shown(&self.name));
        own.unwrap_or_else(|| "A tool whose name cannot be shown".to_owned())
    }
}

/// How long a page waits for an upstream's tools.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Knows which tools upstreams offer.
#[async_trait]
pub trait OfferedTools: Send + Sync {
    /// Returns the tools that the upstream of this name offers to a person who consents at this moment; `None` if
    /// it does not say. The caller waits no longer than a second.
    async fn tools(&self, upstream: &str, person: &AccountId, consented_at: Timestamp) -> Option<Vec<OfferedTool>>;
}

/// What the consent page knows of an upstream's tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolsKnown {
    /// Nobody here can tell which tools it has.
    NotAsked,
    /// It did not answer.
    NoAnswer,
    /// They are below the scopes that open them.
    Listed,
}

/// The tools of one kind that stand below a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    /// What they do.
    pub kind: ToolKind,
    /// Whether its box is ticked when the page is first shown.
    pub is_ticked: bool,
    /// The tools, in the order of the upstream.
    pub tools: Vec<ToolView>,
    /// Further tools of it that are not listed, because there are too many or their names are too long.
    pub unlisted: Vec<ToolNameHash>,
    /// Scopes that open some of these tools too and have no such group of their own; they follow this one.
    pub followers: Vec<ScopeToken>,
}

/// A tool on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolView {
    /// The name that calls use.
    pub name: String,
    /// What the page calls it: its title, or else its name, cleaned and of bounded length.
    pub title: String,
    /// Whether its box is ticked when the page is first shown.
    pub is_ticked: bool,
}

/// What a page showed of one group. It travels in the form, because what the upstream offers may have changed by the
/// time that the form comes back; the form's token covers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownGroup {
    scope: ScopeToken,
    kind: ToolKind,
    followers: Vec<ScopeToken>,
    tools: Vec<String>,
    unlisted: Vec<ToolNameHash>,
}

/// A group as its field has it: scope, kind, followers, tools, and how many of the hashes after it are its own.
type GroupField = (String, String, Vec<String>, Vec<String>, usize);

impl ShownGroup {
    /// Returns what a page shows of a group below a scope.
    #[must_use]
    pub fn of(scope: &ScopeToken, group: &GroupView) -> Self {
        Self {
            scope: scope.clone(),
            kind: group.kind,
            followers: group.followers.clone(),
            tools: group.tools.iter().map(|tool| tool.name.clone()).collect(),
            unlisted: group.unlisted.clone(),
        }
    }

    /// Returns the text of a form's field for the groups of a page; empty for none.
    #[must_use]
    pub fn to_field(groups: &[Self]) -> String {
        if groups.is_empty() {
            return String::new();
        }
        let json = |group: &Self| {
            let followers: Vec<&str> = group.followers.iter().map(ScopeToken::as_str).collect();
            let (scope, kind, count) = (group.scope.as_str(), group.kind.as_str(), group.unlisted.len());
            let tools = &group.tools;
            serde_json::json!([scope, kind, followers, tools, count])
        };
        let json = serde_json::Value::Array(groups.iter().map(json).collect()).to_string();
        // The hashes of thousands of tools would not fit into the form if they were encoded again.
        let hashes = groups.iter().flat_map(|group| &group.unlisted).map(|hash| hash.to_text());
        std::iter::once(URL_SAFE_NO_PAD.encode(json) + ".").chain(hashes).collect()
    }

    /// Reads the field of a form; nothing if it is damaged.
    #[must_use]
    pub fn parse_field(field: &str) -> Vec<Self> {
        Self::read_field(field).unwrap_or_default()
    }

    fn read_field(field: &str) -> Option<Vec<Self>> {
        let (json, mut hashes) = field.split_once('.')?;
        let read: Vec<GroupField> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(json).ok()?).ok()?;
        let scope = |name: &String| ScopeToken::parse(name).ok();
        let mut next_hash = || {
            let (first, rest) = hashes.split_at_checked(ToolNameHash::TEXT)?;
            hashes = rest;
            ToolNameHash::parse(first)
        };
        let group = |(name, kind, followers, tools, count): GroupField| {
            let followers = followers.iter().map(scope).collect::<Option<_>>()?;
            let unlisted = (0..count).map(|_| next_hash()).collect::<Option<_>>()?;
            Some(Self { scope: scope(&name)?, kind: ToolKind::parse(&kind)?, followers, tools, unlisted })
        };
        read.into_iter().map(group).collect()
    }

    fn group(&self) -> ToolGroup {
        (self.scope.clone(), self.kind)
    }

    /// Returns the groups that its tick decides about: its own, and those of its followers.
    fn decides(&self) -> impl Iterator<Item = ToolGroup> {
        let followers = self.followers.iter().map(|scope| (scope.clone(), self.kind));
        std::iter::once(self.group()).chain(followers)
    }
}

/// What was ticked on a consent page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ticked {
    /// The scopes that were ticked, among those that the page showed.
    pub scopes: ScopeSet,
    /// When the page was made; 0 if the form does not say.
    pub shown_at: Timestamp,
    shown: Vec<ShownGroup>,
    /// The groups and tools that were shown and not ticked.
    unticked_groups: BTreeSet<ToolGroup>,
    unticked_tools: BTreeSet<Box<str>>,
}

impl From<ScopeSet> for Ticked {
    /// Scopes on a page that showed no tools.
    fn from(scopes: ScopeSet) -> Self {
        Self { scopes, ..Self::default() }
    }
}

impl Ticked {
    /// Reads the ticks of a form: the scopes; the groups by their index among those shown, and the tools by theirs
    /// among all of the groups' tools.
    #[must_use]
    pub fn new(scopes: ScopeSet, shown: Vec<ShownGroup>, groups: &BTreeSet<usize>, tools: &BTreeSet<usize>) -> Self {
        let off = |ticked: &BTreeSet<usize>, index: &usize| !ticked.contains(index);
        let unticked_groups = shown.iter().enumerate().filter(|(index, _)| off(groups, index));
        let unticked_groups = unticked_groups.map(|(_, group)| group.group()).collect();
        let names = shown.iter().flat_map(|group| &group.tools).enumerate();
        let unticked_tools =
            names.filter(|(index, _)| off(tools, index)).map(|(_, name)| name.as_str().into()).collect();
        Self { scopes, shown_at: Timestamp::default(), shown, unticked_groups, unticked_tools }
    }

    /// Says when the page was made.
    #[must_use]
    pub fn shown_at(self, shown_at: Timestamp) -> Self {
        Self { shown_at, ..self }
    }

    /// Returns whether a group was ticked; `None` if it was not shown.
    #[must_use]
    pub fn group(&self, scope: &ScopeToken, kind: ToolKind) -> Option<bool> {
        let group = (scope.clone(), kind);
        self.shown.iter().any(|shown| shown.group() == group).then(|| !self.unticked_groups.contains(&group))
    }

    /// Returns whether a tool was ticked; `None` if it was not shown.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<bool> {
        let mut shown = self.shown.iter().flat_map(|group| &group.tools);
        shown.any(|tool| tool == name).then(|| !self.unticked_tools.contains(name))
    }

    /// Returns what a grant leaves out after this decision. What the page did not show stays as it was `before`. `None`
    /// if that is too much.
    pub(super) fn exclusions(&self, before: &Exclusions) -> Option<Exclusions> {
        let decided: BTreeSet<ToolGroup> = self.shown.iter().flat_map(ShownGroup::decides).collect();
        let shown: BTreeSet<&str> = self.shown.iter().flat_map(|group| &group.tools).map(String::as_str).collect();
        let mut groups: BTreeSet<_> = before.groups().filter(|group| !decided.contains(group)).cloned().collect();
        let mut tools: BTreeSet<Box<str>> =
            before.tools().filter(|name| !shown.contains(name)).map(Box::from).collect();
        let allowed_again = self.shown.iter().filter(|group| {
            let group = group.group();
            !self.unticked_groups.contains(&group) && before.groups().any(|other| *other == group)
        });
        let allowed_again = allowed_again.flat_map(|group| group.unlisted.iter().copied());
        let decided: BTreeSet<_> = shown.iter().map(|name| ToolNameHash::of(name)).chain(allowed_again).collect();
        let mut hashes: BTreeSet<_> = before.hashes().filter(|hash| !decided.contains(hash)).collect();
        for group in self.shown.iter().filter(|group| self.unticked_groups.contains(&group.group())) {
            groups.extend(group.decides());
            // The names too: a tool that becomes one of another kind stays left out.
            tools.extend(group.tools.iter().map(|name| Box::from(name.as_str())));
            hashes.extend(&group.unlisted);
        }
        tools.extend(self.unticked_tools.iter().cloned());
        Exclusions::with_hashes(groups, tools, hashes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(name: &str) -> ScopeToken {
        ScopeToken::parse(name).unwrap()
    }

    fn shown() -> Vec<ShownGroup> {
        let group = |name: &str, kind, followers: &[&str], tools: &[&str]| ShownGroup {
            scope: scope(name),
            kind,
            followers: followers.iter().map(|name| scope(name)).collect(),
            tools: tools.iter().map(|tool| (*tool).to_owned()).collect(),
            unlisted: Vec::new(),
        };
        vec![
            group("read", ToolKind::Reading, &["all"], &["list", "get \"one\""]),
            group("write", ToolKind::Writing, &[], &["add"]),
            group("write", ToolKind::Destructive, &["all"], &["drop"]),
        ]
    }

    /// As `shown`, with tools for whose names the page has no room.
    fn with_unlisted() -> Vec<ShownGroup> {
        let mut shown = shown();
        shown[0].unlisted = vec![ToolNameHash::of("far"), ToolNameHash::of("farther")];
        shown[2].unlisted = vec![ToolNameHash::of("wide")];
        shown
    }

    #[test]
    fn a_group_takes_the_tools_with_it_that_are_not_listed() {
        let tools: BTreeSet<usize> = (0..4).collect();
        let decide = |groups: &[usize], before: &Exclusions| {
            let groups = groups.iter().copied().collect();
            Ticked::new(ScopeSet::default(), with_unlisted(), &groups, &tools).exclusions(before).unwrap()
        };
        let names = |of: &Exclusions| ["far", "farther", "wide", "add"].map(|name| of.names(name));
        let left_out = decide(&[1, 2], &Exclusions::default());
        assert_eq!(names(&left_out), [true, true, false, false]);
        // One that moved to a ticked group, or that is shown no more, stays left out until its own group is ticked.
        assert_eq!(names(&decide(&[1], &left_out)), [true, true, true, false]);
        assert_eq!(names(&decide(&[0, 1, 2], &left_out)), [false; 4]);
        let other =
            Exclusions::with_hashes(BTreeSet::new(), BTreeSet::new(), [ToolNameHash::of("far")].into()).unwrap();
        assert_eq!(names(&decide(&[0, 1, 2], &other)), [true, false, false, false], "its group was not left out");
        // By its own tick, once it is listed.
        let moved =
            Exclusions::with_hashes(BTreeSet::new(), BTreeSet::new(), [ToolNameHash::of("add")].into()).unwrap();
        assert_eq!(names(&decide(&[0, 1, 2], &moved)), [false; 4]);
    }

    fn ticked(groups: &[usize], tools: &[usize]) -> Ticked {
        Ticked::new(ScopeSet::default(), shown(), &groups.iter().copied().collect(), &tools.iter().copied().collect())
    }

    fn text(exclusions: &Exclusions) -> String {
        let groups = exclusions.groups().map(|(scope, kind)| format!("{} {}", kind.as_str(), scope.as_str()));
        groups.chain(exclusions.tools().map(str::to_owned)).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_a_page_shows_comes_back_with_its_form() {
        let field = ShownGroup::to_field(&shown());
        assert!(field.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{field}");
        assert_eq!(ShownGroup::parse_field(&field), shown());
        let long = ShownGroup::to_field(&with_unlisted());
        assert_eq!(ShownGroup::parse_field(&long), with_unlisted());
        assert!(ShownGroup::parse_field(&long[..long.len() - 1]).is_empty(), "a hash is not whole");
        assert_eq!(ShownGroup::to_field(&[]), "");
        for damaged in ["", "x", "W10", &field[1..]] {
            assert!(ShownGroup::parse_field(damaged).is_empty(), "{damaged}");
        }
    }

    #[test]
    fn what_is_unticked_is_left_out() {
        let of = |groups: &[usize], tools: &[usize]| {
            text(&ticked(groups, tools).exclusions(&Exclusions::default()).unwrap())
        };
        assert_eq!(of(&[0, 1, 2], &[0, 1, 2, 3]), "");
        assert_eq!(of(&[0, 1, 2], &[0, 2]), "drop, get \"one\"");
        // A group takes its names with it, and the scopes that follow it.
        assert_eq!(of(&[0, 1], &[0, 1, 2, 3]), "destructive all, destructive write, drop");
        assert_eq!(of(&[], &[]).matches(", ").count(), 8);
        // Indices that nobody was shown mean nothing.
        assert_eq!(of(&[0, 1, 2, 99], &[0, 1, 2, 3, 99]), "");
    }

    #[test]
    fn what_a_page_does_not_show_stays_as_it_was_and_what_is_ticked_anew_is_allowed_again() {
        let groups = [("read", ToolKind::Writing), ("write", ToolKind::Writing), ("all", ToolKind::Reading)];
        let groups = groups.map(|(name, kind)| (scope(name), kind)).into();
        let before = Exclusions::new(groups, ["gone".into(), "add".into()].into()).unwrap();
        let after = ticked(&[0, 1, 2], &[0, 1, 2, 3]).exclusions(&before).unwrap();
        assert_eq!(text(&after), "writing read, gone");
        assert_eq!(Ticked::default().exclusions(&before), Some(before));
    }

    #[test]
    fn a_page_shown_again_has_the_same_ticks() {
        let ticked = ticked(&[0, 2], &[0, 2]);
        assert_eq!(ticked.group(&scope("read"), ToolKind::Reading), Some(true));
        assert_eq!(ticked.group(&scope("write"), ToolKind::Writing), Some(false));
        assert_eq!(ticked.group(&scope("read"), ToolKind::Writing), None);
        assert_eq!(["list", "drop", "new"].map(|tool| ticked.tool(tool)), [Some(true), Some(false), None]);
    }
}
