//! Counts of uses in memory.

use async_trait::async_trait;

use super::super::{Quota, QuotaStore, Result, limits};
use super::MemoryStore;
use crate::oauth::Timestamp;
use crate::policy::{CountKey, QuotaUse};

#[async_trait]
impl QuotaStore for MemoryStore {
    async fn add_quota_uses(&self, quota: &Quota, uses: &[QuotaUse]) -> Result<Vec<u64>> {
        limits::quota_uses(uses.len())?;
        limits::quota(quota)?;
        let mut state = self.write();
        let mut add = |counted: &QuotaUse| {
            let key = (quota.clone(), counted.day, counted.holder.to_stored());
            let used = state.quotas.entry(key).or_default();
            *used = used.saturating_add(counted.used);
            *used
        };
        Ok(uses.iter().map(&mut add).collect())
    }

    async fn quota_uses(
        &self,
        quota: &Quota,
        day: Timestamp,
        after: Option<CountKey>,
        limit: u32,
    ) -> Result<Vec<QuotaUse>> {
        let state = self.read();
        let after = after.map(|key| key.to_stored()).unwrap_or_default();
        let those = state.quotas.iter().filter(|((q, d, holder), _)| q == quota && *d == day && *holder > after);
        let read = |((_, _, holder), used): (&(Quota, Timestamp, String), &u64)| {
            CountKey::parse(holder).map(|holder| QuotaUse { holder, day, used: *used })
        };
        Ok(those.filter_map(read).take(usize::try_from(limit).unwrap_or(usize::MAX)).collect())
    }
}
