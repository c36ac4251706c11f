//! The part of a store for quotas: how often operations with a limit for each day were used.

use async_trait::async_trait;

use super::Result;
use crate::oauth::{TenantId, Timestamp};
use crate::policy::{CountKey, QuotaUse};

/// A limit of an upstream on the uses of a day. Both are known by their names in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quota {
    /// The tenant of the upstream.
    pub tenant: TenantId,
    /// The name of the upstream.
    pub upstream: String,
    /// The name of the limit.
    pub limit: String,
}

/// Counts of uses. Each is swept when its day has ended.
#[async_trait]
pub trait QuotaStore {
    /// Adds to counts, those of no day and holder twice, and returns what each is then, in the same order. At most
    /// [`QUOTA_USES_AT_ONCE`](super::QUOTA_USES_AT_ONCE). Several processes add what each has counted.
    async fn add_quota_uses(&self, quota: &Quota, uses: &[QuotaUse]) -> Result<Vec<u64>>;
    /// Returns at most `limit` counts of a day, in the order in which the holders are stored, those after `after`.
    async fn quota_uses(
        &self,
        quota: &Quota,
        day: Timestamp,
        after: Option<CountKey>,
        limit: u32,
    ) -> Result<Vec<QuotaUse>>;
}
