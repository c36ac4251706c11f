//! Whether a pattern names anything that an upstream is known to offer.

use super::annotations::Annotations;
use super::pattern::{Operations, Pattern};

/// What an upstream is known to offer.
#[derive(Debug, Clone, Copy)]
pub struct KnownItems<'a> {
    /// The names of its tools, and what each says of itself.
    pub tools: &'a [(&'a str, Annotations)],
}

/// What a pattern of names is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedKind {
    /// Tools, by name or annotation.
    Tools,
    /// Prompts, by name.
    Prompts,
    /// Resources, by URI.
    Resources,
}

impl NamedKind {
    /// Returns the plural noun.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
        }
    }
}

impl Pattern {
    /// Returns what the names in it are about; `None` if it has no names.
    #[must_use]
    pub fn named_kind(&self) -> Option<NamedKind> {
        match &self.0 {
            Operations::Tools(_) | Operations::Annotated(_) => Some(NamedKind::Tools),
            Operations::Prompts(_) => Some(NamedKind::Prompts),
            Operations::Resources(_) => Some(NamedKind::Resources),
            Operations::Methods(_) | Operations::Http { .. } => None,
        }
    }

    /// Returns whether it names one of these. `None` if it has no names, or names what is not known.
    #[must_use]
    pub fn names_any(&self, known: KnownItems<'_>) -> Option<bool> {
        match &self.0 {
            Operations::Tools(glob) => Some(known.tools.iter().any(|(name, _)| glob.matches(name))),
            Operations::Annotated(own) => Some(known.tools.iter().any(|(_, says)| says.has(*own))),
            Operations::Prompts(_) | Operations::Resources(_) => None,
            Operations::Methods(_) | Operations::Http { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KnownItems;
    use crate::policy::{Annotations, Pattern};

    #[test]
    fn a_pattern_names_what_there_is() {
        let tools = [("search_web", Annotations::of(Some(true), None, Some(false))), ("add", Annotations::UNKNOWN)];
        for (text, expected) in [
            ("tools/call:search_*", Some(true)),
            ("tools/call:serch_*", Some(false)),
            ("tools/call:add", Some(true)),
            ("tools/call@readOnly", Some(true)),
            ("tools/call@openWorld", Some(true)),
            ("tools/call", None),
            ("*", None),
            ("x/y", None),
        ] {
            let known = KnownItems { tools: &tools };
            assert_eq!(Pattern::of_mcp(text).unwrap().names_any(known), expected, "{text}");
        }
        let silent = KnownItems { tools: &tools[1..] };
        assert_eq!(Pattern::of_mcp("tools/call@readOnly").unwrap().names_any(silent), Some(false));
    }
}
