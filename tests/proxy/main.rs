//! The data path in one process: a raw client, the proxy behind a loopback socket, a raw upstream that remembers every
//! byte. A failure means that something reached an upstream, or a client, that must not; or that a token was honoured
//! that must not be.

mod cache;
mod client;
mod fields;
mod gate;
mod messages;
mod paths;
mod sessions;
mod streams;
mod tokens;
mod upstream;
mod upstreams;
mod world;
