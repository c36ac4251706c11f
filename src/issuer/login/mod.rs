//! Signing in: passwords, set-password links, and the account page.
//!
//! Start with `sign_in.rs`. How often it may be tried is in `limits`.

pub(super) mod account;
mod applications;
pub(super) mod hash_queue;
pub(super) mod own_keys;
pub(super) mod own_password;
pub(super) mod password;
pub(super) mod setup_link;
pub(super) mod sign_in;
mod usable_tools;
