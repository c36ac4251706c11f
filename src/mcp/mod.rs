//! What the gateway knows of MCP: versions, routing headers, the envelope of a JSON-RPC message. Pure.

mod envelope;
mod headers;
mod refusal;
mod version;

pub use envelope::{Envelope, EnvelopeError, MessageKind};
pub use headers::{HeaderMismatch, RoutingHeaders};
pub use refusal::Refusal;
pub use version::ProtocolVersion;
