//! `MessageMember`: the members of a message that the gateway reads, and where they are.

use crate::strict_json::{JsonFault, differs_in_case};

/// The innermost open object or array that is relevant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    Outside,
    Batch,
    Message,
    Params,
    Meta,
    Ref,
}

/// The member whose value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MessageMember {
    JsonRpc,
    Id,
    Method,
    Params,
    Name,
    Uri,
    Task,
    Meta,
    Version,
    Ref,
    RefType,
    RefName,
    RefUri,
    /// The arguments of a call, which rules read.
    Arguments,
    /// One of `result` and `error`.
    Answer,
    /// An irrelevant member, or none.
    Other,
}

impl Within {
    /// The names that are read here.
    const fn names(self) -> &'static [(&'static str, MessageMember)] {
        match self {
            Self::Message => &[
                ("jsonrpc", MessageMember::JsonRpc),
                ("id", MessageMember::Id),
                ("method", MessageMember::Method),
                ("params", MessageMember::Params),
                ("result", MessageMember::Answer),
                ("error", MessageMember::Answer),
            ],
            Self::Params => &[
                ("name", MessageMember::Name),
                ("arguments", MessageMember::Arguments),
                ("uri", MessageMember::Uri),
                ("taskId", MessageMember::Task),
                ("_meta", MessageMember::Meta),
                ("ref", MessageMember::Ref),
            ],
            Self::Ref => {
                &[("type", MessageMember::RefType), ("name", MessageMember::RefName), ("uri", MessageMember::RefUri)]
            }
            Self::Meta => &[("io.modelcontextprotocol/protocolVersion", MessageMember::Version)],
            Self::Outside | Self::Batch => &[],
        }
    }

    /// Returns which member has this name.
    ///
    /// # Errors
    /// A reader that ignores case would take it for one that is read.
    pub(super) fn member(self, name: &[u8]) -> Result<MessageMember, JsonFault> {
        let names = self.names();
        match names.iter().find(|(known, _)| known.as_bytes() == name) {
            Some((_, member)) => Ok(*member),
            None if names.iter().any(|(known, _)| differs_in_case(name, known)) => Err(OTHER_CASE),
            None => Ok(MessageMember::Other),
        }
    }
}

const OTHER_CASE: JsonFault =
    JsonFault::Rule("a member name differs in case from one of JSON-RPC or MCP: write it as the specification does");
