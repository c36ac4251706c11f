//! The use cases of the authorization server: each reads from the store, applies the rule, and commits with one store
//! call.
//!
//! It does not speak HTTP and renders no page: faces pass in what was sent and turn steps, views and rejections into
//! answers. What a face calls is a method of `IssuerRequest`, which is made once per request; background work is a
//! method of `Issuer`. Start with `request.rs`, then `authorization/authorize.rs`, `authorization/interaction.rs`,
//! `login/sign_in.rs` and `authorization/consent.rs`; for the token endpoint with `token/request.rs`, beside which each
//! grant type has a file.

mod account_activity;
mod account_view;
mod administration;
mod api_keys;
mod audit;
mod authorization;
mod built_in;
mod caller;
mod client;
mod clock;
mod diagnosis;
mod face;
mod limits;
mod login;
mod old_secrets;
mod policy;
mod rejection;
mod request;
mod services;
mod sweep;
mod token;
mod tools;
mod view;

pub use account_activity::AccountActivity;
pub use account_view::{
    AccountView, AppSession, ConnectedApp, EndedApp, FailedLogins, KeyMade, KeyOffer, OfferedScope, OwnGrants, OwnKey,
    OwnKeyView, OwnPassword, PasswordChanged, PasswordRefused, SetupOutcome, ToolsOfKind, UsableTools,
};
pub use administration::{
    AcceptedTime, Administration, AdministrationError, AuditQuery, Binding, ClientEdit, ClientOrder, ClientPage,
    ClientQuery, FirstAccount, LifetimeEdit, ListedClient, ListedStanding, ListedTable, NewAccount, NewClient,
    OperatorToken, PlannedEdit, SessionQuery, TableAction, TableChange, TableDifference, TableKind, TableOptions,
    TablePlan, WantedClient, Withdrawal, Withdrawn,
};
pub use api_keys::{KeyLifetime, KeyRefused, MadeKey, WantedKey};
pub use caller::Caller;
pub use clock::ClockWatch;
pub use face::Face;
pub use rejection::{AuthorizeRejection, ClientLink, TokenRejection};
pub use request::IssuerRequest;
pub use services::Services;
pub use tools::{GroupView, OfferedTool, OfferedTools, ShownGroup, Ticked, ToolView, ToolsKnown};
pub use view::{
    AskedScope, ConsentView, Decision, Handles, Identity, LoginOutcome, LoginView, NoAccessView, Registered, Started,
    Step, Transaction, View, WaitingView,
};

pub use crate::store::SessionSecret;

use std::sync::Arc;

use crate::oauth::{TenantId, TokenKeys};
use crate::outbound::Fetch;
use crate::telemetry::Metrics;
use crate::token_cache::TokenCache;

/// The authorization server.
pub struct Issuer {
    pub(crate) services: Services,
    /// The token cache, filled and cleared as tokens are issued and revoked.
    pub(crate) cache: Arc<TokenCache>,
    /// Fetches metadata documents and key sets.
    pub(crate) fetch: Arc<dyn Fetch>,
    /// Counters of what was done and refused.
    pub(crate) metrics: Arc<Metrics>,
    /// The tenant that all reads and writes belong to.
    pub(crate) tenant: TenantId,
    /// Knows the tools of upstreams; without it the consent page shows none.
    offered_tools: Option<Arc<dyn OfferedTools>>,
    throttle: limits::throttle::Throttle,
    login_limits: limits::login_limits::LoginLimits,
    documents: client::documents::Documents,
    key_sets: client::key_sets::KeySets,
    /// The keys of the issuers of workloads, by their URLs.
    issuer_keys: client::key_sets::KeySets,
    refusals: limits::refusals::Refusals,
    arrivals: token::awaited::Arrivals,
    /// Held while token uses are reported to the store.
    reporting: tokio::sync::Mutex<()>,
}

impl Issuer {
    /// Makes the issuer.
    #[must_use]
    pub fn new(services: Services, cache: Arc<TokenCache>, fetch: Arc<dyn Fetch>, metrics: Arc<Metrics>) -> Self {
        let (clock, config) = (&services.clock, services.config.load());
        let throttle = limits::throttle::Throttle::new(clock, &config);
        let login_limits = limits::login_limits::LoginLimits::new(clock, &config);
        let refusals = limits::refusals::Refusals::new(clock);
        Self {
            services,
            cache,
            fetch,
            metrics,
            tenant: TenantId::default(),
            offered_tools: None,
            throttle,
            login_limits,
            documents: client::documents::Documents::default(),
            key_sets: client::key_sets::KeySets::default(),
            issuer_keys: client::key_sets::KeySets::default(),
            refusals,
            arrivals: token::awaited::Arrivals::default(),
            reporting: tokio::sync::Mutex::default(),
        }
    }

    /// Lets the consent page show the tools of upstreams.
    #[must_use]
    pub fn with_tools(self, offered: Arc<dyn OfferedTools>) -> Self {
        Self { offered_tools: Some(offered), ..self }
    }

    /// Replaces the token keys, in the cache too. Tokens made with a key that is not among the new ones are refused
    /// from now on. Returns whether the keys have changed.
    pub fn exchange_keys(&self, keys: &Arc<TokenKeys>) -> bool {
        if keys.is_same(&self.services.keys.load()) {
            return false;
        }
        // The cache first: it must know the key of every token that is issued.
        self.cache.exchange_keys(Arc::clone(keys));
        self.services.keys.store(Arc::clone(keys));
        true
    }
}
