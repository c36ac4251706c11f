//! Follows the change log of the store and applies it; when it cannot be read for `max_stale`, the cache stops vouching.

use std::sync::Arc;

use super::TokenCache;

/// The task that follows the change log.
#[derive(Debug)]
pub struct Follower;

impl Follower {
    /// Runs until the process ends. Call from one runtime.
    pub async fn run(_cache: Arc<TokenCache>) {
        todo!()
    }
}
