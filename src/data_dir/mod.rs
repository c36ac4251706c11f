//! The data directory: the names of its contents, whether it may be used, and its keys.
//!
//! For: what the server and the commands must agree on. Not for: the store's content (`store`, which also has the lock
//! of a server), or files named in the configuration (`files`). Start with `check.rs`.

mod check;
pub mod keys;

pub use check::{DataFolderError, User, check, check_store};

/// The store's file.
pub const STORE: &str = "mcpgate.db";
/// The folder of the keys.
pub const KEYS: &str = "keys";
/// The folder of the development certificates.
pub const CERTIFICATES: &str = "certs";
/// The file that says how `mcpgate up` was last started.
pub const UP: &str = "up.toml";
/// The socket through which commands reach the running server.
pub const COMMAND_SOCKET: &str = "server.socket";
