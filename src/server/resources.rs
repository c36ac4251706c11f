//! What is opened before serving: clock, randomness, keys, store, token cache.

use std::sync::Arc;

use ring::hkdf::Prk;

use super::catalogue_keeper::{AlarmLimit, CatalogueKeeper};
use super::error::RunError;
use super::fetch::ExchangeableDialer;
use super::in_force::InForce;
use super::offered_tools::ToolsInForce;
use super::quota_keeper::QuotaKeeper;
use super::supervise::Supervisor;
use super::upstreams::Upstreams;
use super::worker::Process;
use crate::clock::{CheckedClock, Clock, SystemClock};
use crate::config::Config;
use crate::data_dir::keys::{self, Keys};
use crate::data_dir::{self, User};
use crate::entropy::{Entropy, SystemEntropy};
use crate::issuer::{Administration, Issuer, OfferedTools, Services};
use crate::oauth::TenantId;
use crate::outbound::Fetch;
use crate::proxy::RouteTable;
use crate::store;
use crate::store::ServerLock;
use crate::telemetry::Metrics;
use crate::token_cache::TokenCache;

/// What is opened first and used by everything else.
pub(super) struct Resources {
    pub(super) services: Services,
    pub(super) session_key: [u8; 32],
    pub(super) ticket_secrets: Vec<Prk>,
    pub(super) cache: Arc<TokenCache>,
}

impl Resources {
    /// Opens the resources, and returns them with the lock of the data directory.
    ///
    /// # Errors
    /// `RunError` when the folder, its keys or its store cannot be used.
    pub(super) async fn open(config: &Config) -> Result<(ServerLock, Self), RunError> {
        data_dir::check(&config.data_dir, User::Server)?;
        data_dir::check_store(&config.data_dir)?;
        let lock = ServerLock::acquire(&config.data_dir)?;
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::new());
        let Keys { token, session, ticket_secrets } =
            keys::load_or_make(&config.data_dir, &config.brand, entropy.as_ref())?;
        let keys = Arc::new(token);
        let store = store::open(&config.data_dir, Some(&lock), SystemClock.now())?;
        let noted = store.clock_note().await?.map(|note| note.seen_at);
        let clock: Arc<dyn Clock> = Arc::new(CheckedClock::new(SystemClock, noted));
        let cache = TokenCache::new(Arc::clone(&store), Arc::clone(&keys), Arc::clone(&clock), config);
        // Before listening. The cache is filled in the background: a million tokens take seconds.
        cache.begin().await?;
        let services = Services::new(store, clock, entropy, keys, Arc::new(config.clone()));
        Ok((lock, Self { services, session_key: session, ticket_secrets, cache }))
    }

    /// Makes the authorization server.
    pub(super) fn issuer(
        &self,
        dialer: &Arc<ExchangeableDialer>,
        tools: &Arc<ToolsInForce>,
        metrics: &Arc<Metrics>,
    ) -> Arc<Issuer> {
        let fetch: Arc<dyn Fetch> = Arc::<ExchangeableDialer>::clone(dialer);
        let tools: Arc<dyn OfferedTools> = Arc::<ToolsInForce>::clone(tools);
        let issuer = Issuer::new(self.services.clone(), Arc::clone(&self.cache), fetch, Arc::clone(metrics));
        Arc::new(issuer.with_tools(tools))
    }

    /// Makes the monitor of the upstreams, after catalogues and quotas were given what is stored: from the first
    /// request on, what is pinned counts, and what was used today.
    ///
    /// # Errors
    /// `RunError` when the store cannot be read.
    pub(super) async fn upstreams(
        &self,
        table: &RouteTable,
        process: &Process,
        supervisor: &Supervisor,
        in_force: &Arc<InForce>,
    ) -> Result<Upstreams, RunError> {
        let (store, clock) = (Arc::clone(&self.services.store), Arc::clone(&self.services.clock));
        let quotas = Arc::new(QuotaKeeper::new(Arc::clone(&store), Arc::clone(&clock)));
        let (changes, limit) = (self.cache.tool_changes(), AlarmLimit::OF_AN_UPSTREAM);
        let keeper = Arc::new(CatalogueKeeper { store, clock, changes, limit });
        keeper.load(&table.catalogues()).await?;
        quotas.watch(table.quotas());
        quotas.read().await?;
        Ok(Upstreams::new(process.metrics.worker(), supervisor.clone(), Arc::clone(in_force), keeper, quotas))
    }

    /// Makes the operators' side of the authorization server.
    pub(super) fn administration(&self) -> Administration {
        Administration::new(self.services.clone(), TenantId::default())
    }
}
