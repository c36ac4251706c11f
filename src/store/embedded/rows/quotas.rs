//! How often operations with a limit for each day were used.

use rusqlite::{Connection, params};

use super::row::{self, Columns, execute_once, storable};
use super::seal::{Sealed, StoredUse, opened};
use crate::oauth::Timestamp;
use crate::policy::{CountKey, QuotaUse};
use crate::store::{Quota, Result, StoreError, limits};

const SELECT: &str = "SELECT tenant, upstream, name, day, holder, used, seal FROM quota";

fn read(c: &mut Columns<'_>) -> Result<QuotaUse> {
    let quota = Quota { tenant: c.tenant()?, upstream: c.text()?.to_owned(), limit: c.text()?.to_owned() };
    let day = c.moment()?;
    let found = QuotaUse { holder: c.word(CountKey::parse)?, day, used: c.number()? };
    opened(StoredUse { quota: &quota, counted: &found }, c.number()?, "a count of uses")?;
    Ok(found)
}

/// Adds to counts; returns what each is then. A damaged one begins anew.
pub(crate) fn add(db: &Connection, quota: &Quota, uses: &[QuotaUse]) -> Result<Vec<u64>> {
    limits::quota_uses(uses.len())?;
    limits::quota(quota)?;
    uses.iter().map(|counted| add_one(db, quota, counted)).collect()
}

fn add_one(db: &Connection, quota: &Quota, counted: &QuotaUse) -> Result<u64> {
    let sql = format!("{SELECT} WHERE tenant = ?1 AND upstream = ?2 AND name = ?3 AND day = ?4 AND holder = ?5");
    let holder = counted.holder.to_stored();
    let of = params![quota.tenant, quota.upstream, quota.limit, counted.day, holder];
    let before = row::one(db, &sql, of, |c| readable(read(c)))?.flatten();
    let used = before.map_or(0, |before| before.used).saturating_add(counted.used);
    let sum = QuotaUse { used, ..counted.clone() };
    let sql = "INSERT OR REPLACE INTO quota (tenant, upstream, name, day, holder, used, seal)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let seal = StoredUse { quota, counted: &sum }.seal();
    let of = params![quota.tenant, quota.upstream, quota.limit, counted.day, holder, storable(used), seal];
    execute_once(db, sql, of)?;
    Ok(used)
}

/// Returns counts of a day, by holder. Damaged ones are left out.
pub(crate) fn of_day(
    db: &Connection,
    quota: &Quota,
    day: Timestamp,
    after: Option<&CountKey>,
    limit: u32,
) -> Result<Vec<QuotaUse>> {
    let sql = format!(
        "{SELECT} WHERE tenant = ?1 AND upstream = ?2 AND name = ?3 AND day = ?4 AND holder > ?5
            ORDER BY holder LIMIT ?6"
    );
    let after = after.map(CountKey::to_stored).unwrap_or_default();
    let of = params![quota.tenant, quota.upstream, quota.limit, day, after, limit];
    Ok(row::all(db, &sql, of, |c| readable(read(c)))?.into_iter().flatten().collect())
}

/// Turns a damaged row into `None`: it counts too little, which is better than that nothing is counted any more.
fn readable(outcome: Result<QuotaUse>) -> Result<Option<QuotaUse>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::Corrupt(what)) => {
            tracing::error!(what, "a count of uses is damaged and begins anew");
            Ok(None)
        }
        Err(error @ (StoreError::Unavailable(_) | StoreError::Conflict(_) | StoreError::NotStored)) => Err(error),
    }
}

/// Reads every row, and reports those that cannot be read.
pub(crate) fn check(db: &Connection) -> Result<Vec<String>> {
    row::unreadable(db, SELECT, "count of uses", |c| read(c).map(drop))
}
