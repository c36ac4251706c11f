//! `Permit`: the proof that a caller has the scopes that an upstream asks for. Sending takes one.

use std::sync::Arc;

use super::caller::Caller;
use super::rejection::Rejection;

/// Made only by [`Permit::grant`].
pub(super) struct Permit {
    caller: Arc<Caller>,
}

impl Permit {
    /// Permits a caller (who can be made from an `Addressed` only), if it has the scopes.
    pub(super) fn grant(caller: Arc<Caller>) -> Result<Self, Rejection> {
        if caller.has_scopes { Ok(Self { caller }) } else { Err(Rejection::InsufficientScope) }
    }

    pub(super) fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }
}
