//! `UiNames`: which tools name which `ui://` resources, within bounds.

use std::collections::{BTreeSet, HashMap};

/// The most names that are kept, of one person or of the gateway's own client.
pub(super) const MOST_NAMES: usize = 512;
/// The longest URI that is kept, in bytes.
const LONGEST: usize = 1024;
/// The bytes of a name besides its texts, about.
const OF_A_NAME: usize = 96;

/// Tools by the resources that they name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct UiNames {
    tools: HashMap<Box<str>, BTreeSet<Box<str>>>,
    count: usize,
    bytes: usize,
}

impl UiNames {
    /// Takes the resources that a tool names, in the place of those that it named before.
    pub(super) fn set(&mut self, tool: &str, uris: &[String]) {
        let Self { tools, count, bytes } = self;
        tools.retain(|uri, tools| {
            if !uris.iter().any(|own| **own == **uri) && tools.remove(tool) {
                *count -= 1;
                *bytes -= bytes_of(uri, tool);
            }
            !tools.is_empty()
        });
        for uri in uris.iter().filter(|uri| uri.len() <= LONGEST) {
            if *count < MOST_NAMES && tools.entry(uri.as_str().into()).or_default().insert(tool.into()) {
                *count += 1;
                *bytes += bytes_of(uri, tool);
            }
        }
    }

    /// Returns the tools that name a resource.
    pub(super) fn tools(&self, uri: &str) -> impl Iterator<Item = &str> {
        self.tools.get(uri).into_iter().flatten().map(|tool| &**tool)
    }

    /// Returns whether a tool names all of these resources.
    pub(super) fn names_all(&self, tool: &str, uris: &[String]) -> bool {
        uris.iter().all(|uri| self.tools.get(uri.as_str()).is_some_and(|tools| tools.contains(tool)))
    }

    /// Returns the resources that tools name.
    pub(super) fn uris(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(|uri| &**uri)
    }

    /// Returns how many bytes it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn bytes_of(uri: &str, tool: &str) -> usize {
    uri.len() + tool.len() + OF_A_NAME
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, MOST_NAMES, UiNames};

    fn uris(all: &[&str]) -> Vec<String> {
        all.iter().map(|uri| (*uri).to_owned()).collect()
    }

    #[test]
    fn the_latest_that_a_tool_named_counts() {
        let mut names = UiNames::default();
        names.set("add", &uris(&["ui://a", "ui://b"]));
        names.set("sub", &uris(&["ui://a"]));
        assert_eq!(names.tools("ui://a").collect::<Vec<_>>(), ["add", "sub"]);
        assert!(names.names_all("add", &uris(&["ui://b"])) && !names.names_all("sub", &uris(&["ui://a", "ui://b"])));
        names.set("add", &uris(&["ui://c"]));
        assert_eq!(names.tools("ui://a").collect::<Vec<_>>(), ["sub"]);
        assert_eq!((names.tools("ui://b").count(), names.tools("ui://c").count(), names.count), (0, 1, 2));
        names.set("add", &[]);
        names.set("sub", &[]);
        assert_eq!(names, UiNames::default());
    }

    #[test]
    fn it_is_bounded() {
        let mut names = UiNames::default();
        names.set("add", &["x".repeat(LONGEST + 1)]);
        assert_eq!(names.bytes(), 0);
        for n in 0..2 * MOST_NAMES {
            names.set(&n.to_string(), &uris(&["ui://a"]));
        }
        assert_eq!(names.tools("ui://a").count(), MOST_NAMES);
    }
}
