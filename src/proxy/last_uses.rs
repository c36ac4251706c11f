//! When grants were last used, as one worker saw it. Each request that is permitted marks its grant; a task of the
//! server takes the marks and writes them to the store. The data path itself writes nothing and does not wait.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Mutex;

use crate::oauth::{GrantId, TenantId, Timestamp};
use crate::sync::lock;
use crate::token_cache::PrefixHasher;

/// When grants were last used.
type Marks = HashMap<GrantId, (TenantId, Timestamp), BuildHasherDefault<PrefixHasher>>;

/// The marks of one worker since they were last taken. Only this worker marks here, so a request does not wait for the
/// lock, except while the marks are being taken.
#[derive(Debug, Default)]
pub struct LastUses(Mutex<Marks>);

impl LastUses {
    /// The most grants that have a mark at a time, which takes some 10 MB. The use of further grants is not marked.
    pub const MOST: usize = 100_000;

    /// Marks that a grant was used at this time.
    pub fn mark(&self, tenant: &TenantId, grant: GrantId, at: Timestamp) {
        let mut marks = lock(&self.0);
        if let Some((_, last)) = marks.get_mut(&grant) {
            *last = at.max(*last);
        } else if marks.len() < Self::MOST {
            marks.insert(grant, (tenant.clone(), at));
        }
    }

    /// Takes the marks.
    #[must_use]
    pub fn take(&self) -> Vec<(TenantId, GrantId, Timestamp)> {
        let taken = std::mem::take(&mut *lock(&self.0));
        taken.into_iter().map(|(grant, (tenant, at))| (tenant, grant, at)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::Lifetime;

    #[test]
    fn a_grant_too_many_is_not_marked_and_others_still_are() {
        let marks = LastUses::default();
        let now = Timestamp::from_secs(1_800_000_000);
        let later = now.plus(Lifetime::from_secs(60));
        for n in 0..=LastUses::MOST {
            let id = GrantId(u128::try_from(n).unwrap().to_le_bytes());
            marks.mark(&TenantId::default(), id, now);
        }
        let first = GrantId([0; 16]);
        marks.mark(&TenantId::default(), first, later);
        let taken = marks.take();
        assert_eq!(taken.len(), LastUses::MOST);
        assert!(taken.contains(&(TenantId::default(), first, later)));
    }
}
