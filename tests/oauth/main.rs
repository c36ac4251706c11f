//! The OAuth rules, one by one; names carry the case ids of the threat model. Small rules are tested beside their code.

#![cfg(test)]

mod authorization;
mod client_auth;
mod lookalike;
#[path = "../support/records.rs"]
mod records;
mod registration;
mod token;
