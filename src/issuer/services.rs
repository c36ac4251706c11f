//! `Services`: what every use case needs, in the server and in commands.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::config::Config;
use crate::entropy::Entropy;
use crate::oauth::TokenKeys;
use crate::store::Store;

/// What every use case needs; made once per process and shared.
#[derive(Clone)]
pub struct Services {
    /// The store, which all processes share.
    pub store: Arc<dyn Store>,
    /// The clock that all times are read from.
    pub clock: Arc<dyn Clock>,
    /// The source of random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// The token keys, replaced as a whole on reload.
    pub keys: Arc<ArcSwap<TokenKeys>>,
    /// The configuration in force; replaced as a whole on reload. A request gets its own from the face, once.
    pub config: Arc<ArcSwap<Config>>,
}

impl Services {
    /// Bundles the services with the initial keys and configuration.
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
