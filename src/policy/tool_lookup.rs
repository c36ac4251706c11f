//! `ToolLookup`: what requests are judged by that an upstream says of its tools.

use super::annotations::Annotations;

/// What is known of the tools of an upstream, for one caller.
pub trait ToolLookup {
    /// Returns what calls of a tool are judged by.
    fn annotations(&self, tool: &str) -> Annotations;

    /// Returns the tools that name a `ui://` resource, without those that are held.
    fn naming(&self, uri: &str) -> Vec<Box<str>>;
}

/// Tools of which nothing but their annotations is known.
pub(super) struct Annotated<F>(pub(super) F);

impl<F: Fn(&str) -> Annotations> ToolLookup for Annotated<F> {
    fn annotations(&self, tool: &str) -> Annotations {
        (self.0)(tool)
    }

    fn naming(&self, _: &str) -> Vec<Box<str>> {
        Vec::new()
    }
}
