//! Rate limits, kept in memory: requests, fetches, registrations, password attempts, and rows of the audit trail.
//!
//! Start with `throttle.rs`; `login_limits.rs` is for passwords alone.

pub(super) mod fetches;
pub(super) mod keyed_limiter;
pub(super) mod levels;
pub(super) mod login_limits;
pub(super) mod refusals;
pub(super) mod throttle;
