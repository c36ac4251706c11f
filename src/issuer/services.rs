//! `Services`: what every use case stands on, the server's and the command line's alike.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::config::Config;
use crate::entropy::Entropy;
use crate::oauth::TokenKeys;
use crate::store::Store;

/// What every use case stands on: made once for a process, and shared.
#[derive(Clone)]
pub struct Services {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The keys of tokens; exchanged whole on reload.
    pub keys: Arc<ArcSwap<TokenKeys>>,
    /// The configuration; exchanged whole on reload. A request reads it once, where it begins.
    pub config: Arc<ArcSwap<Config>>,
}

impl Services {
    /// Puts them together, with the keys and the configuration that are in force to begin with.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        keys: Arc<TokenKeys>,
        config: Arc<Config>,
    ) -> Self {
        let (keys, config) = (Arc::new(ArcSwap::new(keys)), Arc::new(ArcSwap::new(config)));
        Self { store, clock, entropy, keys, config }
    }
}
