//! Rewrites answers for their caller, where the upstream has a map: lists show what the caller may use (`mcp::answer`).
//! The stage is between the upstream's body and the relay, in memory of limited size; other upstreams have none.
//!
//! Start with `rewriter.rs`, then `stage`.

pub(in crate::proxy) mod event;
pub(super) mod rewriter;
pub(super) mod stage;
