//! What a user left out of a grant, as the rules of an upstream judge it.

use super::annotations::Annotations;
use super::excluded_tools::ExcludedTools;
use super::mask::Mask;
use super::rules::{Rules, Standing};
use crate::oauth::{Exclusions, ScopeSet, ToolKind};

impl Annotations {
    /// Returns what the tool does.
    #[must_use]
    pub const fn kind(self) -> ToolKind {
        match self {
            Self { read_only: true, .. } => ToolKind::Reading,
            Self { destructive: false, .. } => ToolKind::Writing,
            Self { .. } => ToolKind::Destructive,
        }
    }
}

impl Rules {
    /// Returns what the rules know of a caller with these scopes whose grant leaves something out.
    #[must_use]
    pub fn leaving_out(&self, caller: Standing, scopes: &ScopeSet, exclusions: &Exclusions) -> Standing {
        if exclusions.is_empty() {
            return caller;
        }
        let is_open =
            |name: &str, kind: ToolKind| !exclusions.groups().any(|(scope, of)| scope.as_str() == name && *of == kind);
        let held = ToolKind::ALL.map(|kind| {
            self.holds(|name| scopes.contains(name.as_str()) && is_open(name.as_str(), kind)).and(caller.held)
        });
        let has_groups = exclusions.groups().next().is_some();
        Standing {
            left_out: Some(Box::new(ExcludedTools { exclusions: exclusions.clone(), has_groups, held })),
            ..caller
        }
    }

    /// Returns whether a caller's grant leaves out a tool that scopes of `opening` open. Where the tool has no name
    /// that can be read, it may be any; where it is not known what it does, it may belong to any group.
    pub(super) fn leaves_out(
        &self,
        caller: &Standing,
        name: Option<&str>,
        opening: Mask,
        says: impl Fn(&str) -> Annotations,
    ) -> bool {
        let Some(left_out) = &caller.left_out else { return false };
        let Some(name) = name else { return true };
        if left_out.exclusions.names(name) || !left_out.has_groups {
            return left_out.exclusions.names(name);
        }
        let says = says(name);
        let kind = says.is_known.then(|| says.kind());
        let kinds = ToolKind::ALL.into_iter().zip(left_out.held);
        let held = kinds.filter(|(own, _)| kind.is_none_or(|kind| kind == *own));
        let held = held.fold(Mask::ALL, |all, (_, held)| all.and(held));
        // Without a map, each scope opens everything.
        let opening = if self.has_map { opening } else { Mask::ALL };
        !opening.has_any_of(held)
    }
}

#[cfg(test)]
mod tests {
    use crate::oauth::{ClientId, Exclusions, GroupSet, ScopeSet, ScopeToken, ToolKind};
    use crate::policy::{Annotations, Item, Pattern, RuleCaller, Rules, ScopeRule, Standing};

    const READS: Annotations = Annotations::of(Some(true), None, None);
    const WRITES: Annotations = Annotations::of(None, Some(false), None);
    const SILENT: Annotations = Annotations::of(None, None, None);
    const DESTROYS: Annotations = Annotations::of(Some(false), Some(true), Some(false));

    fn token(name: &str) -> ScopeToken {
        ScopeToken::parse(name).unwrap()
    }

    fn rules() -> Rules {
        let scope = |name: &str, allow: &str, includes: &[&str]| ScopeRule {
            name: token(name),
            sensitive: false,
            allow: vec![Pattern::of_mcp(allow).unwrap()],
            includes: includes.iter().map(|name| token(name)).collect(),
        };
        Rules::compile(&[
            scope("files", "tools/call:file_*", &[]),
            scope("mail", "tools/call:mail_*", &[]),
            scope("all", "tools/call", &["files"]),
        ])
    }

    fn standing(rules: &Rules, scopes: &str, groups: &[(&str, ToolKind)], tools: &[&str]) -> Standing {
        let groups = groups.iter().map(|(name, kind)| (token(name), *kind)).collect();
        let exclusions = Exclusions::new(groups, tools.iter().map(|tool| Box::from(*tool)).collect()).unwrap();
        let (client, scopes) = (ClientId::parse("c").unwrap(), ScopeSet::parse(scopes).unwrap());
        let groups = GroupSet::default();
        let caller = RuleCaller { client: &client, client_kind: None, user: "ada", groups: &groups, scopes: &scopes };
        rules.leaving_out(rules.standing(&caller), &scopes, &exclusions)
    }

    #[test]
    fn a_tool_that_was_left_out_is_neither_shown_nor_opened_whatever_it_says() {
        let rules = rules();
        let caller = standing(&rules, "files all", &[], &["file_drop"]);
        for says in [READS, WRITES, DESTROYS, Annotations::UNKNOWN] {
            assert!(!rules.shows_annotated(&caller, Item::Tool("file_drop"), says), "{says:?}");
            assert!(rules.shows_annotated(&caller, Item::Tool("file_read"), says), "{says:?}");
        }
    }

    #[test]
    fn a_group_that_was_left_out_covers_what_comes_later_below_its_scope_alone() {
        let rules = rules();
        let caller = standing(&rules, "files mail", &[("files", ToolKind::Writing)], &[]);
        for (name, says, expected) in [
            ("file_new", WRITES, false),
            ("file_new", READS, true),
            ("file_new", DESTROYS, true),
            // Nobody knows whether it belongs to the group.
            ("file_new", Annotations::UNKNOWN, false),
            ("mail_new", WRITES, true),
            ("mail_new", Annotations::UNKNOWN, true),
            // It says nothing of itself, which is known.
            ("file_new", SILENT, true),
        ] {
            assert_eq!(rules.shows_annotated(&caller, Item::Tool(name), says), expected, "{name} {says:?}");
        }
        let caller = standing(&rules, "files mail", &[("files", ToolKind::Destructive)], &[]);
        assert!(!rules.shows_annotated(&caller, Item::Tool("file_new"), SILENT), "it may destroy");
        // Another scope opens it.
        let caller = standing(&rules, "files all", &[("files", ToolKind::Writing)], &[]);
        assert!(rules.shows_annotated(&caller, Item::Tool("file_new"), WRITES));
        let both = [("files", ToolKind::Writing), ("all", ToolKind::Writing)];
        let caller = standing(&rules, "files all", &both, &[]);
        assert!(!rules.shows_annotated(&caller, Item::Tool("file_new"), WRITES));
    }
}
