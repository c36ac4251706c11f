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

/// Finds the member of a name, given those that are read here. Each comparison is with a constant, so that it takes a
/// few instructions.
macro_rules! member {
    ($name:expr, $($known:literal => $member:ident),*) => {
        match $name {
            $($known => Ok(MessageMember::$member),)*
            other => irrelevant(other, &[$($known),*]),
        }
    };
}

impl Within {
    /// Returns which member has this name.
    ///
    /// # Errors
    /// A reader that ignores case would take it for one that is read.
    pub(super) fn member(self, name: &[u8]) -> Result<MessageMember, JsonFault> {
        match self {
            Self::Message => member!(name, b"jsonrpc" => JsonRpc, b"id" => Id, b"method" => Method,
                b"params" => Params, b"result" => Answer, b"error" => Answer),
            Self::Params => member!(name, b"name" => Name, b"arguments" => Arguments, b"uri" => Uri, b"taskId" => Task,
                b"_meta" => Meta, b"ref" => Ref),
            Self::Ref => member!(name, b"type" => RefType, b"name" => RefName, b"uri" => RefUri),
            Self::Meta => member!(name, b"io.modelcontextprotocol/protocolVersion" => Version),
            Self::Outside | Self::Batch => Ok(MessageMember::Other),
        }
    }
}

/// Takes the name of a member that is not read, unless it is one of `names` but for case.
fn irrelevant(name: &[u8], names: &[&[u8]]) -> Result<MessageMember, JsonFault> {
    if names.iter().any(|known| differs_in_case(name, known)) { Err(OTHER_CASE) } else { Ok(MessageMember::Other) }
}

const OTHER_CASE: JsonFault =
    JsonFault::Rule("a member name differs in case from one of JSON-RPC or MCP: write it as the specification does");
