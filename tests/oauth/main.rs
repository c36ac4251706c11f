//! The OAuth rules, one by one; names carry the case ids of the threat model. Small rules are tested beside their code.

#![cfg(test)]

mod assertion;
mod authorization;
mod client_auth;
mod client_decision;
mod grant_assertion;
mod jose;
mod lookalike;
#[path = "../support/records.rs"]
mod records;
mod registration;
#[path = "../support/signing_key.rs"]
mod signing_key;
mod token;
