//! An authorization in progress: from the request to the code (RFC 6749 4.1).
//!
//! Start with `authorize.rs`, then `interaction.rs` and `consent.rs`. Signing in is in `login`.

pub(super) mod asked_scopes;
pub(super) mod authorize;
pub(super) mod consent;
mod holding;
pub(super) mod interaction;
pub(super) mod listed_tools;
pub(super) mod remembered;
mod waiting;
