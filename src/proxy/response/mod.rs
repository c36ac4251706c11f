//! Forwards answers to the client: the head is checked and rebuilt, the body sent whole or as a stream that ends with
//! the token.
//!
//! Not for: answers of the gateway's own (`refuse.rs`). Start with `deliver.rs`, then `relay.rs`.

mod break_off;
pub(super) mod caching;
pub(super) mod deliver;
pub(super) mod early;
pub(super) mod ending;
pub(super) mod events;
pub(super) mod gather;
pub(super) mod head;
pub(super) mod open_stream;
pub(super) mod open_streams;
pub(super) mod pending_answer;
pub(super) mod refusals;
pub(super) mod refused_part;
pub(super) mod relay;
pub(super) mod rewrite;
pub(super) mod stream_handle;
