//! What the gateway knows of MCP: versions, routing headers, the envelope of a JSON-RPC message. Pure.
//!
//! It reads as little as a gateway needs to be sure that it and the upstream understand the same bytes in the same
//! way. It does not know tools, results or sessions, and it never translates between revisions: an upstream speaks for
//! itself. It knows `strict_json` alone. Start at [`ProtocolVersion`], then [`Envelope::read`].

mod envelope;
mod envelope_reader;
mod headers;
mod reads;
mod refusal;
mod version;

pub use envelope::{Envelope, EnvelopeError, MessageKind};
pub use envelope_reader::EnvelopeReader;
pub use headers::{HeaderMismatch, RoutingHeaders};
pub use reads::SUBSCRIBE;
pub use refusal::{ErrorResponse, UnsupportedVersion};
pub use version::{ProtocolVersion, STATELESS_VERSIONS};
