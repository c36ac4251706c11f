//! `Exclusions`: what a user left unticked below the scopes that they granted: single tools, and kinds of tools.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::ScopeToken;
use super::json::object;

/// What a tool does, as its annotations say (MCP, ToolAnnotations).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ToolKind {
    /// It changes nothing.
    Reading,
    /// It adds something, and neither deletes nor overwrites anything.
    Writing,
    /// It may delete or overwrite something; so may a tool that says nothing of itself.
    Destructive,
}

impl ToolKind {
    /// All kinds, the harmless first.
    pub const ALL: [Self; 3] = [Self::Reading, Self::Writing, Self::Destructive];

    /// Returns its word in the store and in forms.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Writing => "writing",
            Self::Destructive => "destructive",
        }
    }

    /// Parses the word of a kind.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A kind of tools that one scope opens.
pub type ToolGroup = (ScopeToken, ToolKind);

/// What a grant leaves out of its scopes. A tool that is named is left out whatever it does later. A scope does not
/// open the tools of an excluded group, also not those that come later; another scope may open them.
///
/// Cheap to clone; equal ones can be made to share their memory ([`Exclusions::share`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Exclusions(Option<Arc<Excluded>>);

#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Excluded {
    groups: BTreeSet<ToolGroup>,
    tools: BTreeSet<Box<str>>,
}

impl Exclusions {
    /// The most tools and groups together: several times what one page shows.
    pub const MOST: usize = 4096;
    /// The most bytes of their text.
    pub const MOST_BYTES: usize = 128 * 1024;

    /// Makes exclusions; `None` if they are more than [`Self::MOST`], or their text longer than [`Self::MOST_BYTES`].
    #[must_use]
    pub fn new(groups: BTreeSet<ToolGroup>, tools: BTreeSet<Box<str>>) -> Option<Self> {
        if groups.is_empty() && tools.is_empty() {
            return Some(Self::default());
        }
        let fits = groups.len() + tools.len() <= Self::MOST;
        let made = fits.then(|| Self(Some(Arc::new(Excluded { groups, tools }))))?;
        let is_short = made.to_stored().is_none_or(|text| text.len() <= Self::MOST_BYTES);
        is_short.then_some(made)
    }

    /// Returns whether nothing is excluded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns whether a tool is excluded by its name.
    #[must_use]
    pub fn names(&self, tool: &str) -> bool {
        self.0.as_ref().is_some_and(|excluded| excluded.tools.contains(tool))
    }

    /// Returns the groups that are excluded.
    pub fn groups(&self) -> impl Iterator<Item = &ToolGroup> {
        self.0.iter().flat_map(|excluded| &excluded.groups)
    }

    /// Returns the tools that are excluded by name.
    pub fn tools(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|excluded| &excluded.tools).map(|tool| &**tool)
    }

    /// Returns the text that stores hold: one for each value. `None` if nothing is excluded.
    #[must_use]
    pub fn to_stored(&self) -> Option<String> {
        let excluded = self.0.as_ref()?;
        let group = |(scope, kind): &ToolGroup| format!("{} {}", kind.as_str(), scope.as_str());
        let groups: Vec<_> = excluded.groups.iter().map(group).collect();
        let tools: Vec<_> = excluded.tools.iter().collect();
        Some(json!({ "groups": groups, "tools": tools }).to_string())
    }

    /// Reads the text of a store; `None` if it is damaged.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let object = object(text.as_bytes()).filter(|object| object.len() == 2)?;
        let texts = |name| object.get(name).and_then(Value::as_array)?.iter().map(Value::as_str).collect::<Option<_>>();
        let (groups, tools): (Vec<&str>, Vec<&str>) = (texts("groups")?, texts("tools")?);
        let group = |text: &&str| {
            let (kind, scope) = text.split_once(' ')?;
            Some((ScopeToken::parse(scope).ok()?, ToolKind::parse(kind)?))
        };
        let groups = groups.iter().map(group).collect::<Option<_>>()?;
        Self::new(groups, tools.into_iter().map(Box::from).collect())
    }

    /// Makes it use the memory of its equal in `known`, or adds it there.
    pub fn share(&mut self, known: &mut BTreeSet<Self>) {
        if self.is_empty() {
            return;
        }
        match known.get(self) {
            Some(equal) => *self = equal.clone(),
            None => drop(known.insert(self.clone())),
        }
    }

    /// Returns whether nothing else uses its memory.
    #[must_use]
    pub fn is_unshared(&self) -> bool {
        self.0.as_ref().is_none_or(|excluded| Arc::strong_count(excluded) == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(groups: &[(&str, ToolKind)], tools: &[&str]) -> Exclusions {
        let groups = groups.iter().map(|(scope, kind)| (ScopeToken::parse(scope).unwrap(), *kind)).collect();
        Exclusions::new(groups, tools.iter().map(|tool| Box::from(*tool)).collect()).unwrap()
    }

    #[test]
    fn the_text_of_a_store_reads_back() {
        let all = excluded(
            &[("mcp:read", ToolKind::Reading), ("a", ToolKind::Writing), ("a", ToolKind::Destructive)],
            &["b", "a \"b\"\n\0", "ä", ""],
        );
        for value in [all.clone(), excluded(&[], &["x"]), excluded(&[("s", ToolKind::Reading)], &[])] {
            let text = value.to_stored().unwrap();
            assert!(!text.contains(['\0', '\n']), "{text}");
            assert_eq!(Exclusions::parse(&text), Some(value));
        }
        assert!(all.names("ä") && all.names("") && !all.names("A") && !Exclusions::default().names("b"));
        assert_eq!((all.groups().count(), all.tools().count()), (3, 4));
        assert_eq!(Exclusions::default().to_stored(), None);
        assert!(excluded(&[], &[]).is_empty());
    }

    #[test]
    fn a_damaged_text_is_no_exclusion() {
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"groups":[],"tools":[1]}"#,
            r#"{"groups":["reading"],"tools":[]}"#,
            r#"{"groups":["killing a"],"tools":[]}"#,
            r#"{"groups":["reading a b"],"tools":[]}"#,
            r#"{"groups":[]}"#,
            r#"{"groups":[],"tools":[],"more":[]}"#,
        ] {
            assert_eq!(Exclusions::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn they_are_bounded() {
        let tools = |count: usize, length: usize| (0..count).map(|n| format!("{n:0length$}").into()).collect();
        assert!(Exclusions::new(BTreeSet::new(), tools(Exclusions::MOST, 8)).is_some());
        assert!(Exclusions::new(BTreeSet::new(), tools(Exclusions::MOST + 1, 8)).is_none());
        assert!(Exclusions::new(BTreeSet::new(), tools(1000, 140)).is_none());
    }

    #[test]
    fn equal_ones_can_share_their_memory() {
        let mut known = BTreeSet::new();
        let [mut first, mut second] = [(); 2].map(|()| excluded(&[], &["x"]));
        first.share(&mut known);
        second.share(&mut known);
        Exclusions::default().share(&mut known);
        assert_eq!(known.len(), 1);
        drop(first);
        assert!(!known.first().unwrap().is_unshared());
        drop(second);
        assert!(known.first().unwrap().is_unshared());
    }
}
