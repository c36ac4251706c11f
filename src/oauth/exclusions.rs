//! `Exclusions`: what a user left unticked below the scopes that they granted: single tools, and kinds of tools.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::json::object;
use super::{ScopeToken, ToolNameHash};

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

/// What a grant leaves out of its scopes. A tool that is named, by its text or by a hash, is left out whatever it does
/// later. A scope does not open the tools of an excluded group, also not those that come later; another scope may open
/// them.
///
/// Cheap to clone; equal ones can be made to share their memory ([`Exclusions::share`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Exclusions(Option<Arc<Excluded>>);

#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Excluded {
    groups: BTreeSet<ToolGroup>,
    tools: BTreeSet<Box<str>>,
    /// Names of further tools.
    hashes: BTreeSet<ToolNameHash>,
}

impl Exclusions {
    /// The most tools and groups together: more than an upstream offers to a person.
    pub const MOST: usize = 8192;
    /// The most bytes of their text.
    pub const MOST_BYTES: usize = 128 * 1024;

    /// Makes exclusions; `None` if they are more than [`Self::MOST`].
    #[must_use]
    pub fn new(groups: BTreeSet<ToolGroup>, tools: BTreeSet<Box<str>>) -> Option<Self> {
        Self::with_hashes(groups, tools, BTreeSet::new())
    }

    /// Makes exclusions, some tools of which are named by a hash; `None` if they are more than [`Self::MOST`]. If their
    /// text is longer than [`Self::MOST_BYTES`], all tools are named so.
    #[must_use]
    pub fn with_hashes(
        groups: BTreeSet<ToolGroup>,
        tools: BTreeSet<Box<str>>,
        mut hashes: BTreeSet<ToolNameHash>,
    ) -> Option<Self> {
        if groups.len() + tools.len() + hashes.len() > Self::MOST {
            return None;
        }
        if groups.is_empty() && tools.is_empty() && hashes.is_empty() {
            return Some(Self::default());
        }
        let made = Excluded { groups, tools, hashes };
        if made.to_stored().len() <= Self::MOST_BYTES {
            return Some(Self(Some(Arc::new(made))));
        }
        let Excluded { groups, tools, hashes: others } = made;
        hashes = tools.iter().map(|name| ToolNameHash::of(name)).chain(others).collect();
        let made = Excluded { groups, tools: BTreeSet::new(), hashes };
        (made.to_stored().len() <= Self::MOST_BYTES).then(|| Self(Some(Arc::new(made))))
    }

    /// Returns what either of two leaves out; `None` if that is more than [`Self::MOST`].
    #[must_use]
    pub fn union(&self, other: &Self) -> Option<Self> {
        let groups = self.groups().chain(other.groups()).cloned().collect();
        let tools = self.tools().chain(other.tools()).map(Box::from).collect();
        Self::with_hashes(groups, tools, self.hashes().chain(other.hashes()).collect())
    }

    /// Returns whether nothing is excluded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns whether a tool is excluded by its name.
    #[must_use]
    pub fn names(&self, tool: &str) -> bool {
        let names = |excluded: &Arc<Excluded>| {
            excluded.tools.contains(tool)
                || (!excluded.hashes.is_empty() && excluded.hashes.contains(&ToolNameHash::of(tool)))
        };
        self.0.as_ref().is_some_and(names)
    }

    /// Returns the groups that are excluded.
    pub fn groups(&self) -> impl Iterator<Item = &ToolGroup> {
        self.0.iter().flat_map(|excluded| &excluded.groups)
    }

    /// Returns the tools that are excluded by the text of their name.
    pub fn tools(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|excluded| &excluded.tools).map(|tool| &**tool)
    }

    /// Returns the tools that are excluded by a hash of their name.
    pub fn hashes(&self) -> impl Iterator<Item = ToolNameHash> {
        self.0.iter().flat_map(|excluded| &excluded.hashes).copied()
    }

    /// Returns the text that stores hold: one for each value. `None` if nothing is excluded.
    #[must_use]
    pub fn to_stored(&self) -> Option<String> {
        self.0.as_ref().map(|excluded| excluded.to_stored())
    }

    /// Reads the text of a store; `None` if it is damaged.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let object = object(text.as_bytes())?;
        let texts = |name| object.get(name).and_then(Value::as_array)?.iter().map(Value::as_str).collect::<Option<_>>();
        let (groups, tools): (Vec<&str>, Vec<&str>) = (texts("groups")?, texts("tools")?);
        let hashes: Option<Vec<&str>> = if object.len() == 2 { Some(Vec::new()) } else { texts("hashes") };
        if object.len() > 3 {
            return None;
        }
        let hashes = hashes?.into_iter().map(ToolNameHash::parse).collect::<Option<_>>()?;
        let group = |text: &&str| {
            let (kind, scope) = text.split_once(' ')?;
            Some((ScopeToken::parse(scope).ok()?, ToolKind::parse(kind)?))
        };
        let groups = groups.iter().map(group).collect::<Option<_>>()?;
        Self::with_hashes(groups, tools.into_iter().map(Box::from).collect(), hashes)
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

impl Excluded {
    /// Without hashes, the text is as it was before there were any.
    fn to_stored(&self) -> String {
        let group = |(scope, kind): &ToolGroup| format!("{} {}", kind.as_str(), scope.as_str());
        let groups: Vec<_> = self.groups.iter().map(group).collect();
        let tools: Vec<_> = self.tools.iter().collect();
        let mut text = json!({ "groups": groups, "tools": tools });
        if let Some(members) = text.as_object_mut().filter(|_| !self.hashes.is_empty()) {
            let hashes: Vec<_> = self.hashes.iter().map(|hash| hash.to_text()).collect();
            members.insert("hashes".to_owned(), json!(hashes));
        }
        text.to_string()
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
        let hashes = [ToolNameHash::of("h"), ToolNameHash::of("i")];
        let hashed = Exclusions::with_hashes(BTreeSet::new(), BTreeSet::new(), hashes.into()).unwrap();
        assert!(hashed.names("h") && !hashed.names("j"));
        let both = hashed.union(&all).unwrap();
        assert!(both.names("h") && both.names("ä") && both.groups().count() == 3);
        for value in [all.clone(), both, hashed, excluded(&[], &["x"]), excluded(&[("s", ToolKind::Reading)], &[])] {
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
            r#"{"groups":[],"tools":[],"hashes":["x"]}"#,
            r#"{"groups":[],"tools":[],"hashes":[],"more":[]}"#,
        ] {
            assert_eq!(Exclusions::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn they_are_bounded() {
        let tools = |count: usize, length: usize| (0..count).map(|n| format!("{n:0length$}").into()).collect();
        assert!(Exclusions::new(BTreeSet::new(), tools(Exclusions::MOST, 8)).is_some());
        assert!(Exclusions::new(BTreeSet::new(), tools(Exclusions::MOST + 1, 8)).is_none());
        let many = Exclusions::new(BTreeSet::new(), tools(Exclusions::MOST, 140)).unwrap();
        assert!(many.to_stored().unwrap().len() <= Exclusions::MOST_BYTES, "names without room are hashed");
        assert!(many.names(&format!("{:0140}", 7)) && !many.names(&format!("{:0141}", 7)));
        assert_eq!(Exclusions::parse(&many.to_stored().unwrap()), Some(many));
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
