//! The data path in one process: a raw client, the proxy behind a loopback socket, a raw upstream that records every
//! byte. A failure means that something reached an upstream or a client that must not reach it, or that an invalid
//! token was accepted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::clone_on_ref_ptr,
    reason = "a test may stop at the first surprise, and its wiring need not say which clone is cheap"
)]

mod again;
mod agreement;
mod anonymous;
mod api_keys;
mod batches;
mod cache;
mod calls;
mod catalogue;
mod chatgpt;
mod client;
mod completions;
mod early_answers;
mod endings;
#[path = "../support/failing_store.rs"]
mod failing_store;
mod faults;
mod fields;
mod filling;
#[path = "../support/free_address.rs"]
mod free_address;
#[path = "../support/hello.rs"]
mod hello;
mod holders;
mod http2;
mod http2_upstreams;
mod identity;
mod keys;
mod left_out;
mod limits;
mod lists;
#[path = "../support/log.rs"]
mod log;
mod messages;
#[path = "../support/never_forwarded.rs"]
mod never_forwarded;
mod notices;
mod passed;
mod paths;
mod pins;
mod probes;
#[path = "../support/records.rs"]
mod records;
mod redirects;
mod refusals;
#[path = "../support/refusing.rs"]
mod refusing;
mod reloads;
mod rules;
mod scopes;
mod secure;
mod sessions;
mod shared_resource;
mod slow;
mod slow_readers;
mod streams;
mod subscriptions;
mod tokens;
mod ui;
mod upstream;
mod upstreams;
mod webdav;
mod world;
