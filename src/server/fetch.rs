//! The outbound dialer that the issuer uses, replaced as a whole when the configuration changes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;

use crate::outbound::{Dialer, Fetch, FetchError, Fetched};

/// A dialer that can be replaced.
#[derive(Debug)]
pub(super) struct ExchangeableDialer(ArcSwap<Dialer>);

impl ExchangeableDialer {
    /// Starts with the given dialer.
    pub(super) fn new(dialer: Dialer) -> Self {
        Self(ArcSwap::from_pointee(dialer))
    }

    /// Uses the given dialer from now on; fetches in progress finish with the previous one.
    pub(super) fn exchange(&self, dialer: Dialer) {
        self.0.store(Arc::new(dialer));
    }
}

#[async_trait]
impl Fetch for ExchangeableDialer {
    async fn fetch_json(&self, url: &str, max_bytes: usize) -> Result<Fetched, FetchError> {
        self.0.load_full().fetch_json(url, max_bytes).await
    }

    async fn refetch_json(&self, url: &str, max_bytes: usize) -> Result<Fetched, FetchError> {
        self.0.load_full().refetch_json(url, max_bytes).await
    }

    async fn fetch_own(&self, url: &str, max_bytes: usize) -> Result<Fetched, FetchError> {
        self.0.load_full().fetch_own(url, max_bytes).await
    }
}
