//! Whether a pattern names anything that an upstream is known to offer.

use super::annotations::Annotations;
use super::pattern::{Operations, Pattern};

/// What an upstream is known to offer.
#[derive(Debug, Clone, Copy)]
pub struct KnownItems<'a> {
    /// The names of its tools, and what each says of itself.
    pub tools: &'a [(&'a str, Annotations)],
    /// The names of its prompts; none if these are not known.
    pub prompts: &'a [String],
    /// The URIs of its resources; none if these are not known.
    pub resources: &'a [String],
    /// The URI templates (RFC 6570) of its resources; none if these are not known.
    pub templates: &'a [String],
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
            Operations::Prompts(glob) => {
                let prompts = known.prompts;
                (!prompts.is_empty()).then(|| prompts.iter().any(|name| glob.matches(name)))
            }
            Operations::Resources(glob) => {
                let (resources, templates) = (known.resources, known.templates);
                let is_one = || resources.iter().any(|uri| glob.matches(uri));
                let may_be_one = || templates.iter().any(|template| begins_alike(&glob.beginning(), template));
                (!resources.is_empty() || !templates.is_empty()).then(|| is_one() || may_be_one())
            }
            Operations::Methods(_) | Operations::Http { .. } => None,
        }
    }
}

/// Returns whether a URI that begins with a text may be one of a template.
fn begins_alike(beginning: &str, template: &str) -> bool {
    let literal = template.split('{').next().unwrap_or_default();
    literal.starts_with(beginning) || beginning.starts_with(literal)
}

#[cfg(test)]
mod tests {
    use super::KnownItems;
    use crate::policy::{Annotations, Pattern};

    const RESOURCE: &str = "resources/read:file:///public/**";

    #[test]
    fn a_pattern_names_what_there_is() {
        let tools = [("search_web", Annotations::of(Some(true), None, Some(false))), ("add", Annotations::UNKNOWN)];
        let (prompts, resources) = (["greet".to_owned()], ["file:///public/a".to_owned()]);
        let templates = ["db://main/{table}".to_owned()];
        let known = KnownItems { tools: &tools, prompts: &prompts, resources: &resources, templates: &templates };
        for (text, expected) in [
            ("tools/call:search_*", Some(true)),
            ("tools/call:serch_*", Some(false)),
            ("tools/call:add", Some(true)),
            ("tools/call@readOnly", Some(true)),
            ("tools/call@openWorld", Some(true)),
            ("prompts/get:gr*", Some(true)),
            ("prompts/get:great", Some(false)),
            (RESOURCE, Some(true)),
            ("resources/read:file:///secret/**", Some(false)),
            ("resources/read:db://main/*", Some(true)),
            ("resources/read:db://other/*", Some(false)),
            ("resources/read:**", Some(true)),
            ("tools/call", None),
            ("*", None),
            ("x/y", None),
        ] {
            assert_eq!(Pattern::of_mcp(text).unwrap().names_any(known), expected, "{text}");
        }
        let silent = KnownItems { tools: &tools[1..], ..known };
        assert_eq!(Pattern::of_mcp("tools/call@readOnly").unwrap().names_any(silent), Some(false));
        let nothing = KnownItems { tools: &[], prompts: &[], resources: &[], templates: &[] };
        for (text, expected) in [("tools/call:add", Some(false)), ("prompts/get:greet", None), (RESOURCE, None)] {
            assert_eq!(Pattern::of_mcp(text).unwrap().names_any(nothing), expected, "{text}");
        }
    }
}
