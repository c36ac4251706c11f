//! The socket in the data folder by which commands reach the running server to take access away: it is in force there at
//! once, on a full disk too, where a command by itself could do nothing.
//!
//! One line of JSON is asked and one answered, then the connection ends. Only the user of the server and root are heard,
//! though nobody else should get past the mode of the folder and of the socket. `docs/decisions/0022-command-socket.md`.
//!
//! Start with `message.rs`; `ask.rs` is the side of a command, `place.rs` and `serve.rs` that of the server.

mod ask;
mod message;
mod place;
mod serve;

pub use ask::{CommandOutcome, ask};
pub(super) use place::SocketPlace;
pub(super) use serve::{CommandHandler, run};
