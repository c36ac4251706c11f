//! The database file: who may open it, the threads that write and read, and what is done to it as a whole.
//!
//! For: connections, transactions, a disk that is full, backup, check and restore. It knows `rows`, which do not know it.
//! Start with `connection.rs`, then `writer.rs` and `worker.rs`.

pub(super) mod backup_mark;
pub(super) mod check;
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
