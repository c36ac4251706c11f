//! `IssuerRequest`: one request on its way through the use cases, with all that holds for the whole of it.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use super::Issuer;
use super::caller::Caller;
use super::policy::Policy;
use crate::config::Config;
use crate::oauth::{TenantId, Timestamp};
use crate::sync::lock;

/// One request to the authorization server: made once, where it begins, and handed down to every step, so that none sees
/// another configuration or another time than the step before, whatever is reloaded meanwhile.
pub struct IssuerRequest<'a> {
    issuer: &'a Issuer,
    pub(super) caller: &'a Caller,
    pub(super) policy: Policy,
    pub(super) tenant: TenantId,
    now: Mutex<Option<Timestamp>>,
}

impl Issuer {
    /// Begins a request, under the configuration that is in force now.
    #[must_use]
    pub fn request<'a>(&'a self, caller: &'a Caller) -> IssuerRequest<'a> {
        let tenant = self.tenant.clone();
        let policy = Policy::new(self.services.config.load_full(), tenant.clone());
        IssuerRequest { issuer: self, caller, policy, tenant, now: Mutex::default() }
    }
}

impl IssuerRequest<'_> {
    /// Returns the configuration under which the request is answered.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.policy.config
    }

    /// Returns who asks.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        self.caller
    }

    /// Returns the time of the request: that at which its first step asked, which is after its body has come.
    pub(super) fn now(&self) -> Timestamp {
        *lock(&self.now).get_or_insert_with(|| self.services.clock.now())
    }

    /// Moves that time on after a wait inside the request, for a password that was hashed or a document that was fetched: it
    /// can have taken seconds, and a new password that is dated before them would not end what was issued during them.
    pub(super) fn has_waited(&self) {
        *lock(&self.now) = Some(self.services.clock.now());
    }
}

/// A request has all that its issuer has.
impl Deref for IssuerRequest<'_> {
    type Target = Issuer;

    fn deref(&self) -> &Issuer {
        self.issuer
    }
}
