//! What the gateway knows of MCP: versions, routing headers, the envelope of a JSON-RPC message. Pure.
//!
//! It reads just enough to be sure that the gateway and the upstream interpret the same bytes in the same way. Of
//! tools it knows only how they are defined (`tool`). It does not know results or sessions, and never translates
//! between revisions: that is up to the upstream. It uses only `strict_json`. Start at [`ProtocolVersion`], then
//! [`Envelope::read`].

mod answer;
mod batch;
mod changed_lists;
mod completion;
mod envelope;
mod envelope_reader;
mod headers;
mod message_member;
mod reads;
mod refusal;
mod tool;
mod unknown_name;
mod uri_template;
mod version;

pub use answer::{
    AnswerFault, AnswerReader, LONGEST_SIGN, Offer, Rewritten, SecuritySchemes, Shown, ToldUnknown, ToolHints,
    may_change, may_list, says_list_changed,
};
pub use batch::BatchReader;
pub use changed_lists::ChangedLists;
pub use completion::AskedCompletion;
pub use envelope::{Completes, Envelope, EnvelopeError, MessageKind};
pub use envelope_reader::EnvelopeReader;
pub use headers::{HeaderMismatch, RoutingHeaders};
pub use reads::SUBSCRIBE;
pub use refusal::{ErrorResponse, RefusedCall, UnsupportedVersion};
pub use tool::{
    Difference, ToolDefinition, differences, in_words, is_ui, suspicions, ui_resources, ui_resources_as_sent,
};
pub use unknown_name::UnknownName;
pub use version::{ProtocolVersion, STATELESS_VERSIONS};
