//! `Services` as every test of a use case has them: the keys of `records`, and randomness that repeats.

use std::sync::Arc;

use mcpgate::clock::Clock;
use mcpgate::config::Config;
use mcpgate::entropy::SeededEntropy;
use mcpgate::issuer::Services;
use mcpgate::store::Store;

use super::records;

pub(crate) fn services(store: Arc<dyn Store>, clock: Arc<dyn Clock>, config: Config) -> Services {
    let (keys, entropy) = (Arc::new(records::keys()), Arc::new(SeededEntropy::new(7)));
    Services::new(store, clock, entropy, keys, Arc::new(config))
}
