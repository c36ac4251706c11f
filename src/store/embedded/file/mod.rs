//! The database file: opening it, the threads that write and read, and operations on the whole file.
//!
//! For: connections, transactions, full disks, backup, check and restore. It uses `rows`, which do not use it. Start
//! with `connection.rs`, then `writer.rs` and `worker.rs`.

pub(super) mod backup_mark;
pub(super) mod check;
pub(super) mod commit_mark;
pub(super) mod connection;
pub(super) mod creation;
pub(super) mod disk;
pub(super) mod fault;
pub(super) mod figures;
mod folder_lock;
pub(super) mod header;
pub(super) mod in_force;
pub(super) mod operation;
mod paths;
pub(super) mod readers;
#[cfg(test)]
mod rebuilding;
pub(super) mod restore;
pub(super) mod server_lock;
pub(super) mod sweep;
pub(super) mod unstored;
pub(super) mod worker;
pub(super) mod writer;
