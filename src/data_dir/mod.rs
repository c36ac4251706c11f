//! The data folder: the names of what is in it, whether it may be used, and the keys that it holds.
//!
//! For: what the server and the commands beside it must agree on. Not for: the store's content (`store`, which also has
//! the lock that a server holds), or files that the configuration names (`files`). Start with `check.rs`.

mod check;
pub mod keys;

pub use check::{DataFolderError, User, check, check_store};

/// The store's file.
pub const STORE: &str = "mcpgate.db";
/// The folder of the keys.
pub const KEYS: &str = "keys";
/// The folder of the development certificates.
pub const CERTIFICATES: &str = "certs";
/// How `mcpgate up` was last started.
pub const UP: &str = "up.toml";
/// The socket by which commands reach the running server.
pub const COMMAND_SOCKET: &str = "server.socket";
