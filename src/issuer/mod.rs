//! The use cases of the authorization server: each loads from the store, asks the rule, commits with one store call.
//!
//! It does not speak HTTP and renders no page: faces hand in what was sent and turn steps, views and rejections into
//! answers. Start with `authorization/authorize.rs`, then `authorization/interaction.rs`, `login/sign_in.rs` and
//! `authorization/consent.rs`; for the token endpoint with `token/request.rs`, beside which each grant type has a file.

mod administration;
mod audit;
mod authorization;
mod caller;
mod client;
mod clock;
mod diagnosis;
mod face;
mod limits;
mod login;
mod policy;
mod rejection;
mod sweep;
mod token;
mod view;

pub use administration::{
    AcceptedTime, Administration, AdministrationError, AuditQuery, FirstAccount, NewAccount, NewClient, OperatorToken,
    Withdrawal, Withdrawn,
};
pub use caller::Caller;
pub use clock::ClockWatch;
pub use face::Face;
pub use rejection::{AuthorizeRejection, TokenRejection};
pub use view::{
    AccountView, AskedScope, ConnectedApp, ConsentView, Decision, FailedLogins, Handles, Identity, LoginOutcome,
    LoginView, OwnPassword, PasswordChanged, PasswordRefused, Registered, SetupOutcome, Started, Step, Transaction,
    View,
};

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::config::Config;
use crate::entropy::Entropy;
use crate::oauth::{TenantId, TokenKeys};
use crate::outbound::Fetch;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::token_cache::TokenCache;

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
    pub(crate) keys: ArcSwap<TokenKeys>,
    /// Fetches metadata documents.
    pub(crate) fetch: Arc<dyn Fetch>,
    /// The policy; swapped whole on reload.
    pub(crate) config: Arc<ArcSwap<Config>>,
    /// Counts what is done and refused.
    pub(crate) metrics: Arc<Metrics>,
    /// Whose issuer this is; all that it reads and writes is this tenant's.
    pub(crate) tenant: TenantId,
    throttle: limits::throttle::Throttle,
    login_limits: limits::login_limits::LoginLimits,
    documents: client::documents::Documents,
    refusals: limits::refusals::Refusals,
    arrivals: token::awaited::Arrivals,
    /// Held while the uses of tokens are reported to the store.
    reporting: tokio::sync::Mutex<()>,
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
        let throttle = limits::throttle::Throttle::new(&clock, &config.load());
        let login_limits = limits::login_limits::LoginLimits::new(&clock, &config.load());
        let refusals = limits::refusals::Refusals::new(&clock);
        Self {
            store,
            cache,
            clock,
            entropy,
            keys: ArcSwap::new(keys),
            fetch,
            config,
            metrics,
            tenant: TenantId::default(),
            throttle,
            login_limits,
            documents: client::documents::Documents::default(),
            refusals,
            arrivals: token::awaited::Arrivals::default(),
            reporting: tokio::sync::Mutex::default(),
        }
    }

    /// Puts other token keys in force; tells the cache too. What was made with a key that is not among them is refused from
    /// now on. Returns whether they are others.
    pub fn exchange_keys(&self, keys: &Arc<TokenKeys>) -> bool {
        if keys.is_same(&self.keys.load()) {
            return false;
        }
        // The cache first: it must know the key of whatever is made.
        if let Some(cache) = &self.cache {
            cache.exchange_keys(Arc::clone(keys));
        }
        self.keys.store(Arc::clone(keys));
        true
    }
}
