//! The token endpoint: a file for each grant type, assertions of clients, revocation, introspection, and tracking the
//! use of issued tokens.
//!
//! Start with `request.rs`.

pub(super) mod acting;
pub(super) mod arrivals;
pub(super) mod assertion;
pub(super) mod authorization_code;
pub(super) mod awaited;
pub(super) mod client_credentials;
pub(super) mod introspect;
pub(super) mod refresh_token;
pub(super) mod request;
pub(super) mod revoke;
pub(super) mod uses;
pub(super) mod workload;
