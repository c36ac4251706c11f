//! The socket in the data folder by which commands reach the running server to take access away: it is in force there at
//! once, on a full disk too, where a command by itself could do nothing.
//!
//! One line of JSON is the request and one the reply, then the connection ends. Only root and the user that runs the server
//! are accepted, though the mode of the folder and of the socket should keep everybody else out. `docs/decisions/0022-command-socket.md`.
//!
//! Start with `message.rs`; `ask.rs` is the side of a command, `place.rs` and `serve.rs` that of the server.

mod ask;
mod message;
mod place;
mod serve;

pub use ask::{CommandOutcome, ask};
pub(super) use place::SocketPlace;
pub(super) use serve::{CommandHandler, run};
