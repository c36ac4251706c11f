//! Tools for tests from outside: the gateway as a separate process, a client that trusts its CA, a user with a cookie
//! jar, an application that logs in, and an upstream that records its requests.

pub(crate) mod application;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod free_address;
pub(crate) mod gateway;
pub(crate) mod http;
pub(crate) mod page;
pub(crate) mod password;
pub(crate) mod records;
pub(crate) mod refusing;
pub(crate) mod stock;
pub(crate) mod upstream;
