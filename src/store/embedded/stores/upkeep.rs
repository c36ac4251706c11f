//! `Upkeep`: sweeps, copies and checks of the store.

use std::path::Path;

use async_trait::async_trait;

use crate::oauth::{Lifetime, Timestamp};
use crate::store::embedded::EmbeddedStore;
use crate::store::embedded::file::{check, sweep};
use crate::store::{Result, StoreStats, Upkeep};

#[async_trait]
impl Upkeep for EmbeddedStore {
    async fn sweep(&self, now: Timestamp, unused_client_after: Lifetime) -> Result<u64> {
        sweep::sweep(&self.writer, now, unused_client_after).await
    }

    async fn backup(&self, to: &Path) -> Result<()> {
        let to = to.to_owned();
        check::on_own_thread(&self.file, move |db| check::backup(db, &to)).await
    }

    fn stats(&self) -> StoreStats {
        let stats = self.writer.stats();
        StoreStats { dead: stats.dead || self.readers.is_dead(), ..stats }
    }

    async fn check(&self) -> Result<Vec<String>> {
        check::on_own_thread(&self.file, check::check).await
    }
}
