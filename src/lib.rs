//! mcpgate: an auth gateway in front of MCP servers.
//!
//! The map, from the ground up. A module names only what stands before it or beside it in this list; `tests/tidy.rs` has the
//! exact table, and `docs/architecture.md` the reasons.
//!
//! - Rules, pure: `oauth` (OAuth 2.1), `mcp` (the messages of MCP).
//! - Ground: `config`, `clock`, `entropy`, `files`, `network`, `trust`, `web` (HTTP vocabulary), `telemetry`.
//! - State and IO: `store` (what outlives the process), `outbound` (fetching documents), `token_cache` (what a warm request
//!   needs).
//! - Use cases: `issuer`, the authorization server without HTTP.
//! - Faces: `proxy` (requests to upstreams) and `endpoints` (OAuth for browsers and clients). Neither knows the other.
//! - Assembly: `server` wires all of it; `cli` is the command line, `demo` the built-in upstream.
//!
//! A request to an upstream begins at `server/dispatch.rs` and goes on in `proxy/mod.rs`; one of a browser or of `/token`
//! goes on in `endpoints/mod.rs`.

// The unit tests of the store share records with `tests/store_contract`, which name the crate.
#[cfg(test)]
extern crate self as mcpgate;

pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod endpoints;
pub mod entropy;
pub mod files;
pub mod issuer;
pub mod mcp;
pub mod network;
pub mod oauth;
pub mod outbound;
pub mod proxy;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod token_cache;
pub mod trust;
pub mod web;
