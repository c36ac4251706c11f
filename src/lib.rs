//! mcpgate: an auth gateway in front of MCP servers.

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
