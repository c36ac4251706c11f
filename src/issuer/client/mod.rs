//! Clients: finding, registering and describing them by a document.
//!
//! Start with `lookup.rs`, then `metadata_document.rs` and `register.rs`.

pub(super) mod approval;
pub(super) mod documents;
pub(super) mod identity;
pub(super) mod key_sets;
pub(super) mod lookup;
pub(super) mod lookup_failure;
pub(super) mod metadata_document;
pub(super) mod register;
pub(super) mod shipped;
