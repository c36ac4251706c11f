//! The law book, rule by rule; names carry the case ids of the threat model. What is small is tested beside its code.

#![cfg(test)]

mod authorization;
mod client_auth;
mod lookalike;
#[path = "../support/records.rs"]
mod records;
mod registration;
mod token;
