//! The boxes of tools below a scope of the consent page, and tools in words on the account page.

use crate::issuer::{AskedScope, ConsentView, GroupView, Ticked, ToolsOfKind};
use crate::oauth::{ScopeToken, ToolKind};

/// How many tools of a group are shown unfolded.
const SHOWN: usize = 3;
/// How many titles a folded group names.
const NAMED: usize = 4;

/// The tools of one kind below a scope, with a box for all of them.
pub(super) struct GroupBox<'a> {
    /// Its index among all groups of the page, which is the value of its box.
    pub(super) index: usize,
    pub(super) is_ticked: bool,
    /// What its tools do.
    pub(super) words: &'static str,
    pub(super) is_destructive: bool,
    /// How many tools it has, listed or not.
    pub(super) count: usize,
    pub(super) unlisted: usize,
    pub(super) tools: Vec<ToolBox<'a>>,
    pub(super) is_folded: bool,
    /// The titles of its first tools.
    pub(super) titles: String,
}

/// A tool with its box.
pub(super) struct ToolBox<'a> {
    /// Its index among all tools of the page, which is the value of its box.
    pub(super) index: usize,
    pub(super) title: &'a str,
    /// The name that calls use, if the title does not say it.
    pub(super) name: Option<&'a str>,
    pub(super) is_ticked: bool,
}

/// Returns the boxes below a scope, ticked as `ticked` has them, or as they are when the page is first shown.
pub(super) fn below<'a>(view: &'a ConsentView, scope: &'a AskedScope, ticked: Option<&Ticked>) -> Vec<GroupBox<'a>> {
    let before = view.scopes.iter().take_while(|other| other.name != scope.name).flat_map(|other| &other.groups);
    let (mut group_index, mut tool_index) = (0, 0);
    for group in before {
        group_index += 1;
        tool_index += group.tools.len();
    }
    scope
        .groups
        .iter()
        .map(|group| {
            let made = group_box(&scope.name, group, (group_index, tool_index), ticked);
            group_index += 1;
            tool_index += group.tools.len();
            made
        })
        .collect()
}

fn group_box<'a>(
    scope: &ScopeToken,
    group: &'a GroupView,
    (index, first_tool): (usize, usize),
    ticked: Option<&Ticked>,
) -> GroupBox<'a> {
    let tool = |(offset, tool): (usize, &'a crate::issuer::ToolView)| ToolBox {
        index: first_tool + offset,
        title: &tool.title,
        name: (tool.title != tool.name).then_some(tool.name.as_str()),
        is_ticked: ticked.and_then(|ticked| ticked.tool(&tool.name)).unwrap_or(tool.is_ticked),
    };
    let titles: Vec<&str> = group.tools.iter().take(NAMED).map(|tool| tool.title.as_str()).collect();
    let count = group.tools.len() + group.unlisted.len();
    GroupBox {
        index,
        is_ticked: ticked.and_then(|ticked| ticked.group(scope, group.kind)).unwrap_or(group.is_ticked),
        words: kind_in_words(group.kind),
        is_destructive: group.kind == ToolKind::Destructive,
        count,
        unlisted: group.unlisted.len(),
        tools: group.tools.iter().enumerate().map(tool).collect(),
        is_folded: group.tools.len() > SHOWN,
        titles: titles.join(", ") + if count > titles.len() { ", …" } else { "" },
    }
}

/// Returns what tools of a kind do, as a heading.
pub(super) const fn kind_in_words(kind: ToolKind) -> &'static str {
    match kind {
        ToolKind::Reading => "Tools that only read",
        ToolKind::Writing => "Tools that add or change",
        ToolKind::Destructive => "Tools that may delete or overwrite",
    }
}

/// Returns how many tools an application can use, as a sentence.
pub(super) fn usable_in_words(kinds: &[ToolsOfKind]) -> String {
    match kinds.iter().map(|of_kind| of_kind.count).sum::<usize>() {
        1 => "It can use 1 tool".to_owned(),
        count => format!("It can use {count} tools"),
    }
}

/// Returns how many of them do what.
pub(super) fn kinds_in_words(kinds: &[ToolsOfKind]) -> String {
    let words = |of_kind: &ToolsOfKind| {
        let does = kind_in_words(of_kind.kind).strip_prefix("Tools ").unwrap_or_default();
        // In the singular: "1 that only reads".
        let does = match (of_kind.count, of_kind.kind) {
            (1, ToolKind::Reading) => "that only reads",
            (1, ToolKind::Writing) => "that adds or changes",
            (_, ToolKind::Reading | ToolKind::Writing | ToolKind::Destructive) => does,
        };
        format!("{} {does}", of_kind.count)
    };
    kinds.iter().map(words).collect::<Vec<_>>().join(", ")
}

impl GroupBox<'_> {
    /// Returns how many of its listed tools are not ticked.
    pub(super) fn unticked(&self) -> usize {
        self.tools.iter().filter(|tool| !tool.is_ticked).count()
    }
}
