//! Sending to upstreams: connections, requests on them, handling of failures, and the state of each server.
//!
//! For: sending a permitted request and receiving the head of its answer. Not for: checking the caller, or forwarding
//! the answer (`response`). Start with `pool.rs`, then `waiting.rs`.

pub(super) mod breaker;
pub(super) mod connect;
pub(super) mod content;
pub(super) mod health;
pub(super) mod http1;
pub(super) mod http2;
pub(super) mod interim;
pub(super) mod lease;
pub(super) mod listing;
pub(super) mod moved;
pub(super) mod observed;
pub(super) mod origin;
pub(super) mod own_client;
pub(super) mod own_session;
pub(super) mod pool;
pub(super) mod probe;
pub(super) mod received;
pub(super) mod redirect;
pub(super) mod request_body;
pub(super) mod resend;
pub(super) mod sending;
pub(super) mod state;
mod timer;
pub(super) mod title;
pub(super) mod unsent;
pub(super) mod waiting;
