//! The use cases in one process: store and cache in memory, a manual clock, seeded randomness, and a scripted network.
//! A failure means that a rule of the authorization server does not hold, independent of the faces.

#![expect(
    clippy::clone_on_ref_ptr,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::type_complexity,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that panics has failed, which is what it is for; tables and worlds are read, not exported"
)]

mod acting;
mod approval;
mod assertions;
mod audit;
mod authorize;
mod client_auth;
mod client_credentials;
mod client_lifetimes;
mod clock;
mod codes;
mod config;
mod consent;
mod diagnosis;
mod documents;
mod driver;
#[path = "../support/failing_store.rs"]
mod failing_store;
mod holders;
mod hosts;
mod introspect;
mod key_sets;
#[path = "../support/log.rs"]
mod log;
mod login;
mod login_limits;
mod lost_answers;
mod old_secrets;
#[path = "../support/password.rs"]
mod password;
mod publishers;
mod races;
#[path = "../support/records.rs"]
mod records;
mod refresh;
mod register;
mod reload;
mod remembered;
mod revoke;
#[path = "../support/scripted_fetch.rs"]
mod scripted_fetch;
#[path = "../support/services.rs"]
mod services;
#[path = "../support/signing_key.rs"]
mod signing_key;
mod step_up;
mod stories;
mod tokens;
mod workloads;
