//! The tables: how rows are read, sealed and written, with a file for each subject.
//!
//! For: SQL inside a transaction that the caller has begun. Not for: committing (`file`), or choosing between read and
//! write (`stores`). Start with `row.rs`, then `codes.rs`.

pub(super) mod accounts;
pub(super) mod acting;
pub(super) mod audit;
pub(super) mod catalogue;
pub(super) mod client_changes;
pub(super) mod client_tokens;
pub(super) mod clients;
pub(super) mod clock;
pub(super) mod codes;
pub(super) mod ephemeral;
pub(super) mod grants;
pub(super) mod groups;
pub(super) mod key_columns;
pub(super) mod keys;
pub(super) mod left_out;
pub(super) mod logins;
pub(super) mod names;
pub(super) mod parties;
pub(super) mod quotas;
pub(super) mod refresh;
pub(super) mod registrations;
pub(super) mod retention;
pub(super) mod row;
pub(super) mod seal;
pub(super) mod seal_fields;
pub(super) mod sessions;
pub(super) mod sign_in_columns;
pub(super) mod table_marks;
pub(super) mod tokens;
pub(super) mod uses;
pub(super) mod words;
