//! The way to an upstream: connections, what goes over them, what is done when one fails, and what is known of the server.
//!
//! For: sending a request that is permitted and bringing the head of its answer. Not for: judging the caller, or passing the
//! answer on (`response`). Start with `pool.rs`, then `waiting.rs`.

pub(super) mod breaker;
pub(super) mod connect;
pub(super) mod content;
pub(super) mod health;
pub(super) mod http1;
pub(super) mod http2;
pub(super) mod interim;
pub(super) mod lease;
pub(super) mod moved;
pub(super) mod observed;
pub(super) mod origin;
pub(super) mod pool;
pub(super) mod probe;
pub(super) mod received;
pub(super) mod redirect;
pub(super) mod request_body;
pub(super) mod resend;
pub(super) mod sending;
pub(super) mod state;
pub(super) mod title;
pub(super) mod unsent;
pub(super) mod waiting;
