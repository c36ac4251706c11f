//! Answers of a server, rewritten for one caller: lists without the entries that it may not use, capabilities without
//! those of which it may use no method, completions without what it may not read, what does not exist in one form,
//! tools with the scopes that they need; no notifications of changes of what it may not read.
//!
//! Decided by the shape of an answer and not by what was asked: a resumed stream carries answers to earlier requests,
//! and a server may mix up two requests with the same id. Everything else stays byte for byte. Start at
//! [`AnswerReader`].

mod completed;
mod cut;
mod likely;
mod place;
mod reader;
mod scan;
mod schemes;

pub use reader::{AnswerFault, AnswerReader, Rewritten, ToldUnknown};
pub use scan::{LONGEST_SIGN, may_change, may_list, says_list_changed};
pub use schemes::SecuritySchemes;

/// What a tool says of itself (MCP, ToolAnnotations); `None` where it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToolHints {
    /// `readOnlyHint`: it does not change anything.
    pub read_only: Option<bool>,
    /// `destructiveHint`: it may delete or overwrite.
    pub destructive: Option<bool>,
    /// `openWorldHint`: it deals with things outside of its server.
    pub open_world: Option<bool>,
    /// Whether its entry has a `_meta`, which may name resources.
    pub has_meta: bool,
}

/// What an answer offers to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer<'a> {
    /// A tool, by its name, with what it says of itself, and the JSON of its entry.
    Tool(&'a str, ToolHints, &'a str),
    /// A prompt, by its name.
    Prompt(&'a str),
    /// A resource, by its URI.
    Resource(&'a str),
    /// A template of resources, by its URI template.
    Template(&'a str),
    /// A change of a resource, by its URI.
    Update(&'a str),
    /// A capability of the server, by its name.
    Capability(&'a str),
    /// A value of an argument that is completed, with the id of the request as raw JSON. Without a value if it is no
    /// string, or is beyond the first hundred.
    Completion(Option<&'a str>, Option<&'a str>),
}

/// What a caller gets to see of something that an answer offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// It does not see it.
    Nothing,
    /// The entry as it is.
    AsItIs,
    /// The entry of a tool with these security schemes, which take the place of its own.
    With(SecuritySchemes),
}

impl From<bool> for Shown {
    fn from(is_shown: bool) -> Self {
        if is_shown { Self::AsItIs } else { Self::Nothing }
    }
}

#[cfg(test)]
mod tests;
