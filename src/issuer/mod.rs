//! The use cases of the authorization server: each loads from the store, asks the rule, commits with one store call.
//! Free of hyper.

mod rejection;
mod view;

pub use rejection::{AuthorizeRejection, TokenRejection};
pub use view::{
    AccountView, ConnectedApp, ConsentView, Decision, Handles, LoginOutcome, LoginView, PasswordRefused, Registered,
    SetupOutcome, Started, Step, Transaction, View,
};

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::config::Config;
use crate::entropy::Entropy;
use crate::oauth::{Form, GrantId, TokenKeys, TokenResponse};
use crate::outbound::Fetch;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::token_cache::TokenCache;

mod administration;
mod password;

/// Everything the use cases need.
pub struct Issuer {
    /// The store.
    pub(crate) store: Arc<dyn Store>,
    /// The cache to fill and to make forget; `None` on the command line (the change log tells the server).
    pub(crate) cache: Option<Arc<TokenCache>>,
    /// The clock.
    pub(crate) clock: Arc<dyn Clock>,
    /// Randomness.
    pub(crate) entropy: Arc<dyn Entropy>,
    /// The token keys.
    pub(crate) keys: Arc<TokenKeys>,
    /// Fetches metadata documents.
    pub(crate) fetch: Arc<dyn Fetch>,
    /// The policy; swapped whole on reload.
    pub(crate) config: Arc<ArcSwap<Config>>,
    /// Counts what is done and refused.
    pub(crate) metrics: Arc<Metrics>,
}

/// Who asks: for audit, throttling and logs.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The peer's address, behind trusted proxies.
    pub address: Option<IpAddr>,
    /// The request id.
    pub request_id: Option<String>,
}

impl Issuer {
    /// Makes the issuer.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        cache: Option<Arc<TokenCache>>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        keys: Arc<TokenKeys>,
        fetch: Arc<dyn Fetch>,
        config: Arc<ArcSwap<Config>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { store, cache, clock, entropy, keys, fetch, config, metrics }
    }
}

#[expect(clippy::todo, reason = "contract stage")]
#[expect(unused_variables, reason = "contract stage")]
#[expect(missing_docs, reason = "contract stage: each moves to its own file and gets its docs there")]
#[expect(clippy::missing_errors_doc, reason = "contract stage")]
impl Issuer {
    // authorize.rs, interaction.rs
    pub async fn begin_authorization(
        &self,
        query: Form,
        session: Option<&str>,
        caller: &Caller,
    ) -> Result<Started, AuthorizeRejection> {
        todo!()
    }
    pub async fn begin_account(&self, session: Option<&str>, caller: &Caller) -> Result<Started, AuthorizeRejection> {
        todo!()
    }
    pub async fn view(&self, handles: &Handles, caller: &Caller) -> Result<View, AuthorizeRejection> {
        todo!()
    }
    // login.rs
    pub async fn log_in(
        &self,
        handles: &Handles,
        name: &str,
        password: &str,
        caller: &Caller,
    ) -> Result<LoginOutcome, AuthorizeRejection> {
        todo!()
    }
    /// "Not you?": ends the session and moves the transaction back to the login step.
    pub async fn switch_account(&self, handles: &Handles, caller: &Caller) -> Result<(), AuthorizeRejection> {
        todo!()
    }
    pub async fn log_out(&self, session: &str, caller: &Caller) -> Result<(), AuthorizeRejection> {
        todo!()
    }
    pub async fn find_setup(&self, link: &str) -> Result<Option<String>, AuthorizeRejection> {
        todo!()
    }
    pub async fn redeem_setup(
        &self,
        link: &str,
        password: &str,
        caller: &Caller,
    ) -> Result<SetupOutcome, AuthorizeRejection> {
        todo!()
    }
    // consent.rs
    pub async fn decide(
        &self,
        handles: &Handles,
        decision: Decision,
        caller: &Caller,
    ) -> Result<String, AuthorizeRejection> {
        todo!()
    }
    // account.rs
    pub async fn account(&self, session: &str, caller: &Caller) -> Result<Option<AccountView>, AuthorizeRejection> {
        todo!()
    }
    pub async fn revoke_own_grant(
        &self,
        session: &str,
        grant: GrantId,
        caller: &Caller,
    ) -> Result<bool, AuthorizeRejection> {
        todo!()
    }
    // register.rs
    pub async fn register(&self, body: &[u8], caller: &Caller) -> Result<Registered, TokenRejection> {
        todo!()
    }
    // token.rs
    pub async fn token(
        &self,
        authorization: Option<&[u8]>,
        form: &Form,
        caller: &Caller,
    ) -> Result<TokenResponse, TokenRejection> {
        todo!()
    }
    // revoke.rs
    pub async fn revoke(
        &self,
        authorization: Option<&[u8]>,
        form: &Form,
        caller: &Caller,
    ) -> Result<(), TokenRejection> {
        todo!()
    }
    // sweep.rs
    /// Removes what has expired, now and then, until the process ends.
    pub async fn sweep_forever(&self) {
        todo!()
    }
}
