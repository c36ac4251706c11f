//! What a test needs to stand outside: the gateway as a separate process, a client that trusts its CA, a person with a
//! cookie jar, an application that logs in, and an upstream that remembers what reached it.

pub mod application;
pub mod client;
pub mod gateway;
pub mod page;
pub mod upstream;
