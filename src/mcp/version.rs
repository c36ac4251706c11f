//! `ProtocolVersion`: what each dated revision asks of methods, headers, sessions.

/// The era of a request, from its `MCP-Protocol-Version` header. An unknown version is the upstream's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolVersion {
    /// No header: the rules of 2025-03-26.
    Absent,
    /// A date before 2026-07-28.
    Legacy {
        /// Whether it is 2025-03-26 or older, where batches exist.
        batches: bool,
    },
    /// 2026-07-28 or later: POST only, no sessions, routing headers.
    Modern,
    /// Not a date.
    Unreadable,
}

impl ProtocolVersion {
    /// Reads the header's value.
    #[must_use]
    pub fn read(_header: Option<&[u8]>) -> Self {
        todo!()
    }
    /// Returns whether the revision is stateless (2026-07-28 on).
    #[must_use]
    pub fn is_modern(self) -> bool {
        matches!(self, Self::Modern)
    }
    /// Returns whether a JSON-RPC batch may come.
    #[must_use]
    pub fn allows_batch(self) -> bool {
        matches!(self, Self::Absent | Self::Legacy { batches: true })
    }
}
