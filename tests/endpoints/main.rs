//! The endpoints over real sockets, with a browser's cookies but not its leniency. A failure means that a client or a
//! person gets HTTP other than documented. Names carry the ids of the cases.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test may stop at the first surprise"
)]

mod account;
mod account_keys;
mod acting;
mod applications;
mod approval;
mod authorize;
#[path = "../support/browser.rs"]
mod browser;
mod budget;
mod clients;
mod consent;
mod diagnosis;
#[path = "../support/failing_store.rs"]
mod failing_store;
#[path = "../support/http.rs"]
mod http;
mod hygiene;
mod identity;
mod login;
mod metadata;
mod no_access;
mod page;
#[path = "../support/password.rs"]
mod password;
#[path = "../support/records.rs"]
mod records;
#[path = "../support/scripted_fetch.rs"]
mod scripted_fetch;
#[path = "../support/services.rs"]
mod services;
mod setup;
mod shared_resource;
mod site;
mod tools;
