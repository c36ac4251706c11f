//! The places in an answer that are relevant, and their members.

use super::{Offer, ToolHints};

/// The innermost open object or array that is relevant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerPlace {
    Outside,
    Batch,
    Message,
    Error,
    /// Of an error.
    Data,
    /// Of a notification.
    Params,
    Result,
    Capabilities,
    List(List),
    Entry(List),
    /// Of a tool.
    Annotations,
    Content,
    Block,
    /// Of a result.
    Completion,
    /// Of a completion.
    Values,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Tools,
    Prompts,
    Resources,
    Templates,
}

/// The member whose value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerMember {
    Method,
    Params,
    Result,
    Error,
    Data,
    /// What a notification or an error is about.
    Uri,
    List(List),
    Capabilities,
    /// Which only the answers to `initialize` and `server/discover` have.
    Versions,
    CacheScope,
    IsError,
    Content,
    /// Of a message.
    Id,
    Completion,
    Values,
    Total,
    /// What an entry is called by.
    Name,
    Annotations,
    /// Where a tool names the resources that show its results.
    Meta,
    ReadOnly,
    Destructive,
    OpenWorld,
    /// The words of an error or of a block of content.
    Words,
    /// An irrelevant member, or none.
    Other,
}

impl List {
    pub(super) fn offer<'a>(self, name: &'a str, hints: ToolHints, entry: &'a str) -> Offer<'a> {
        match self {
            Self::Tools => Offer::Tool(name, hints, entry),
            Self::Prompts => Offer::Prompt(name),
            Self::Resources => Offer::Resource(name),
            Self::Templates => Offer::Template(name),
        }
    }
}

impl ToolHints {
    pub(super) fn take(&mut self, member: AnswerMember, scalar: Option<&str>) {
        let hint = match scalar {
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) | None => None,
        };
        match member {
            AnswerMember::ReadOnly => self.read_only = hint,
            AnswerMember::Destructive => self.destructive = hint,
            AnswerMember::OpenWorld => self.open_world = hint,
            AnswerMember::Method
            | AnswerMember::Params
            | AnswerMember::Result
            | AnswerMember::Error
            | AnswerMember::Data
            | AnswerMember::Uri
            | AnswerMember::List(_)
            | AnswerMember::Capabilities
            | AnswerMember::Versions
            | AnswerMember::CacheScope
            | AnswerMember::IsError
            | AnswerMember::Content
            | AnswerMember::Id
            | AnswerMember::Completion
            | AnswerMember::Values
            | AnswerMember::Total
            | AnswerMember::Name
            | AnswerMember::Annotations
            | AnswerMember::Meta
            | AnswerMember::Words
            | AnswerMember::Other => {}
        }
    }
}

impl AnswerPlace {
    pub(super) fn member(self, name: &[u8]) -> AnswerMember {
        match (self, name) {
            (Self::Message, b"method") => AnswerMember::Method,
            (Self::Message, b"params") => AnswerMember::Params,
            (Self::Message, b"result") => AnswerMember::Result,
            (Self::Message, b"error") => AnswerMember::Error,
            (Self::Error, b"data") => AnswerMember::Data,
            (Self::Params | Self::Data, b"uri") => AnswerMember::Uri,
            (Self::Result, b"tools") => AnswerMember::List(List::Tools),
            (Self::Result, b"prompts") => AnswerMember::List(List::Prompts),
            (Self::Result, b"resources") => AnswerMember::List(List::Resources),
            (Self::Result, b"resourceTemplates") => AnswerMember::List(List::Templates),
            (Self::Result, b"capabilities") => AnswerMember::Capabilities,
            (Self::Result, b"protocolVersion" | b"supportedVersions") => AnswerMember::Versions,
            (Self::Result, b"cacheScope") => AnswerMember::CacheScope,
            (Self::Result, b"isError") => AnswerMember::IsError,
            (Self::Result, b"content") => AnswerMember::Content,
            (Self::Message, b"id") => AnswerMember::Id,
            (Self::Result, b"completion") => AnswerMember::Completion,
            (Self::Completion, b"values") => AnswerMember::Values,
            (Self::Completion, b"total") => AnswerMember::Total,
            (Self::Entry(List::Tools | List::Prompts), b"name")
            | (Self::Entry(List::Resources), b"uri")
            | (Self::Entry(List::Templates), b"uriTemplate") => AnswerMember::Name,
            (Self::Entry(List::Tools), b"annotations") => AnswerMember::Annotations,
            (Self::Entry(List::Tools), b"_meta") => AnswerMember::Meta,
            (Self::Annotations, b"readOnlyHint") => AnswerMember::ReadOnly,
            (Self::Annotations, b"destructiveHint") => AnswerMember::Destructive,
            (Self::Annotations, b"openWorldHint") => AnswerMember::OpenWorld,
            (Self::Error, b"message") | (Self::Block, b"text") => AnswerMember::Words,
            _ => AnswerMember::Other,
        }
    }
}
