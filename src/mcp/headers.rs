//! `Mcp-Method`, `Mcp-Name`, `Mcp-Param-*` and `MCP-Protocol-Version`: reading, decoding, agreement with the body.

use super::Envelope;

/// The routing headers of a modern request, as received.
#[derive(Debug, Clone, Copy, Default)]
pub struct RoutingHeaders<'a> {
    /// `MCP-Protocol-Version`.
    pub version: Option<&'a [u8]>,
    /// `Mcp-Method`.
    pub method: Option<&'a [u8]>,
    /// `Mcp-Name`.
    pub name: Option<&'a [u8]>,
}

/// A header and the body disagree: -32020.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderMismatch {
    /// What disagrees.
    pub message: &'static str,
}

impl RoutingHeaders<'_> {
    /// Checks that the headers agree with the message (2026-07-28 streamable HTTP).
    ///
    /// # Errors
    /// `HeaderMismatch` when a required header is missing or differs.
    pub fn agree_with(&self, _envelope: &Envelope<'_>) -> Result<(), HeaderMismatch> {
        todo!()
    }
}
