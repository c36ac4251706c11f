//! `Face`: where a request came in.

/// Where requests come in that no use case gets to see when they cannot be read.
#[derive(Debug, Clone, Copy)]
pub enum Face {
    /// What browsers open, the authorization endpoint among it.
    Page,
    /// Registration.
    Registration,
    /// The token and revocation endpoints.
    Token,
}
