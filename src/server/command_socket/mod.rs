//! The socket in the data directory through which commands ask the running server to end access. It takes effect there
//! at once, even on a full disk, where a command on its own could do nothing.
//!
//! The request is one line of JSON and so is the reply; then the connection ends. Only root and the user that runs the
//! server are accepted, in addition to the modes of folder and socket. `docs/decisions/0022-command-socket.md`.
//!
//! Start with `message.rs`; `ask.rs` is the side of a command, `place.rs` and `serve.rs` that of the server.

mod ask;
mod message;
mod place;
mod serve;

pub use ask::{CommandOutcome, ask};
pub(super) use place::SocketPlace;
pub(super) use serve::{CommandHandler, run};
