//! The token endpoint and what it gave: a file for each grant type, revocation, and what is known of the use of tokens.
//!
//! Start with `request.rs`.

pub(super) mod arrivals;
pub(super) mod authorization_code;
pub(super) mod awaited;
pub(super) mod refresh_token;
pub(super) mod request;
pub(super) mod revoke;
pub(super) mod uses;
