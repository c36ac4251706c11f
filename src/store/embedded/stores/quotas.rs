//! `QuotaStore`: how often operations with a limit for each day were used.

use crate::oauth::Timestamp;
use crate::policy::{CountKey, QuotaUse};
use crate::store::embedded::rows::quotas;
use crate::store::{Quota, Result};

implement! { QuotaStore:
    write add_quota_uses(quota: &Quota, uses: &[QuotaUse]) -> Vec<u64> = |db| quotas::add(db, &quota, &uses);
    read quota_uses(quota: &Quota, day: Timestamp, after: Option<CountKey>, limit: u32) -> Vec<QuotaUse>
        = |db| quotas::of_day(db, &quota, day, after.as_ref(), limit);
}
