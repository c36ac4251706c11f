//! `IssuerRequest`: one request to the authorization server, with what stays the same for all of its steps.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use super::Issuer;
use super::caller::Caller;
use super::policy::Policy;
use crate::config::Config;
use crate::oauth::{SignInOrigin, TenantId, Timestamp};
use crate::sync::lock;

/// One request to the authorization server. Made once, where the request begins, and passed to every step, so that all
/// steps see the same configuration and time even if the configuration is reloaded meanwhile.
pub struct IssuerRequest<'a> {
    issuer: &'a Issuer,
    pub(super) caller: &'a Caller,
    pub(super) policy: Policy,
    pub(super) tenant: TenantId,
    now: Mutex<Option<Timestamp>>,
}

impl Issuer {
    /// Begins a request under a configuration: the one by which the face has read what was sent.
    #[must_use]
    pub fn request<'a>(&'a self, caller: &'a Caller, config: Arc<Config>) -> IssuerRequest<'a> {
        let tenant = self.tenant.clone();
        let policy = Policy::new(config, tenant.clone());
        IssuerRequest { issuer: self, caller, policy, tenant, now: Mutex::default() }
    }
}

impl IssuerRequest<'_> {
    /// Returns the configuration under which the request is answered.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.policy.config
    }

    /// Returns who made the request.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        self.caller
    }

    /// Returns where whoever signs in by this request does so from.
    pub(super) fn sign_in_origin(&self) -> Option<SignInOrigin> {
        let Caller { address, user_agent, .. } = self.caller;
        address.map(|address| SignInOrigin::new(address, user_agent.as_deref()))
    }

    /// Returns the time of the request. It is read at the first call, which is after the body has arrived.
    pub(super) fn now(&self) -> Timestamp {
        *lock(&self.now).get_or_insert_with(|| self.services.clock.now())
    }

    /// Advances that time after a wait inside the request, for hashing a password or fetching a document. The wait can
    /// take seconds, and a new password dated before it would not end what was issued during it.
    pub(super) fn advance_now(&self) {
        *lock(&self.now) = Some(self.services.clock.now());
    }
}

/// Gives a request all fields and methods of its issuer.
impl Deref for IssuerRequest<'_> {
    type Target = Issuer;

    fn deref(&self) -> &Issuer {
        self.issuer
    }
}
