//! The tables: how a row is read, sealed and written, a file for each subject.
//!
//! For: SQL, in a transaction that the caller has begun. Not for: when it is committed (`file`), or whether it is a read
//! or a write (`stores`). Start with `row.rs`, then `codes.rs`.

pub(super) mod accounts;
pub(super) mod audit;
pub(super) mod clients;
pub(super) mod clock;
pub(super) mod codes;
pub(super) mod ephemeral;
pub(super) mod grants;
pub(super) mod logins;
pub(super) mod names;
pub(super) mod refresh;
pub(super) mod registrations;
pub(super) mod retention;
pub(super) mod row;
pub(super) mod seal;
pub(super) mod sessions;
pub(super) mod tokens;
pub(super) mod uses;
pub(super) mod words;
