//! `CatalogueKeeper`: writes what upstreams offer to the store, with an audit row for each tool that is not as it was
//! pinned, and gives what is stored to the catalogues in memory.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::catalogue::{KnownTool, ListedTool, Offers};
use crate::clock::Clock;
use crate::proxy::KeptCatalogue;
use crate::store::{AuditEvent, AuditRow, Listing, SeenTool, Store, StoreError, StoredCatalogue};
use crate::token_cache::TokenCache;

/// How long to wait after a failure of the store.
const AGAIN: Duration = Duration::from_secs(10);
/// The most audit rows about tools of an upstream, and for how long.
const MOST_ALARMS: usize = 100;
const PERIOD: Duration = Duration::from_hours(1);

/// Keeps what upstreams offer in the store, as long as a table of routes is in force.
pub(super) struct CatalogueKeeper {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) cache: Arc<TokenCache>,
}

/// What has happened to a catalogue.
enum News {
    /// The gateway listed what the upstream offers.
    Listed(Arc<Offers>),
    /// Somebody was shown tools that are not pinned as they are.
    Shown(Vec<ListedTool>),
    /// What is stored may have changed.
    Stored,
}

/// How many more audit rows may be written.
struct AlarmBudget {
    left: usize,
    since: Instant,
}

impl CatalogueKeeper {
    /// Gives catalogues what is stored.
    ///
    /// # Errors
    /// `StoreError` when the store cannot be read.
    pub(super) async fn load(&self, catalogues: &[KeptCatalogue]) -> Result<(), StoreError> {
        for of in catalogues {
            self.read(of).await?;
        }
        Ok(())
    }

    /// Keeps what the catalogues learn. Never ends.
    pub(super) async fn keep(&self, catalogues: Vec<KeptCatalogue>) {
        join_all(catalogues.into_iter().map(|of| self.keep_one(of))).await;
        std::future::pending().await
    }

    async fn keep_one(&self, of: KeptCatalogue) {
        let (mut listings, mut changes) = (of.catalogue.listings(), self.cache.tool_changes());
        let mut budget = AlarmBudget { left: MOST_ALARMS, since: Instant::now() };
        // What was stored or listed before counts too.
        changes.mark_changed();
        let mut is_read = false;
        loop {
            let news = tokio::select! {
                // Reading comes first, because until then nothing counts as pinned.
                biased;
                Ok(()) = changes.changed() => News::Stored,
                offers = of.catalogue.next_offers(&mut listings), if is_read => News::Listed(offers),
                shown = of.catalogue.shown(), if is_read => News::Shown(shown),
            };
            is_read = true;
            while let Err(error) = self.take(&of, &news, &mut budget).await {
                tracing::warn!(upstream = &*of.name, %error, "what the upstream offers cannot be kept in the store");
                sleep(AGAIN).await;
            }
        }
    }

    async fn take(&self, of: &KeptCatalogue, news: &News, budget: &mut AlarmBudget) -> Result<(), StoreError> {
        let (tools, is_whole) = match news {
            News::Stored => return self.read(of).await,
            News::Listed(offers) => (&offers.tools, true),
            News::Shown(tools) => (tools, false),
        };
        let alarms = of.is_pinned.then(|| budget.left());
        let tools = tools.iter().filter_map(seen).collect();
        let listing = Listing { tools, is_whole, alarms };
        let row = AuditRow::new(self.clock.now(), of.tenant.clone(), AuditEvent::ToolChanged);
        let row = AuditRow { resource: Some(of.resource.clone()), ..row };
        let kept = self.store.keep_listing(&of.name, listing, row).await?;
        budget.left = budget.left.saturating_sub(kept.alarms.len());
        if !kept.alarms.is_empty() {
            tracing::warn!(
                upstream = &*of.name,
                event = AuditEvent::ToolChanged.as_str(),
                tools = kept.alarms.len(),
                "the upstream lists tools that are not as they were pinned; see mcpgate tool diff"
            );
        }
        of.catalogue.adopt(&stored(kept.catalogue));
        Ok(())
    }

    async fn read(&self, of: &KeptCatalogue) -> Result<(), StoreError> {
        of.catalogue.adopt(&stored(self.store.catalogue(&of.tenant, &of.name).await?));
        Ok(())
    }
}

impl AlarmBudget {
    /// Returns how many rows may be written now.
    fn left(&mut self) -> usize {
        if self.since.elapsed() >= PERIOD {
            *self = Self { left: MOST_ALARMS, since: Instant::now() };
        }
        self.left
    }
}

fn seen(tool: &ListedTool) -> Option<SeenTool> {
    Some(SeenTool {
        name: tool.name.clone(),
        title: tool.title.clone(),
        annotations: tool.annotations,
        definition: tool.definition.clone()?,
    })
}

fn stored(catalogue: StoredCatalogue) -> Vec<KnownTool> {
    let tool = |tool: crate::store::ToolRecord| KnownTool {
        name: tool.name,
        most_dangerous: tool.most_dangerous,
        pinned: tool.pinned,
    };
    catalogue.tools.into_iter().map(tool).collect()
}
