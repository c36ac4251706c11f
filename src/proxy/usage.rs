//! `LimitUsage`: how much of one limit each user, grant or client has used, over all workers.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::rooms::{RoomTime, Rooms};
use crate::oauth::{AccountId, Lifetime, Timestamp};
use crate::policy::{CallLimit, CountKey, LimitRate, QuotaUse};
use crate::sync::lock;

/// How far a limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// The rate: the next is allowed after this time.
    Rate(Duration),
    /// The rate, by one request with more messages than can ever come at once.
    Burst,
    /// As many as may run at once are running.
    AtOnce,
    /// The uses of the day: this is how long it still lasts.
    Day(Lifetime),
    /// The uses of a day, by one request with more messages than a day allows.
    WholeDay,
}

/// When something is counted, by the monotonic clock and by that of the day.
#[derive(Debug, Clone, Copy)]
pub(super) struct CountedAt {
    pub(super) now: Instant,
    pub(super) at: Timestamp,
}

/// The counts of one limit.
pub(super) struct LimitUsage {
    begun: Instant,
    rooms: Rooms,
    /// Whose uses of the day have to be written to the store.
    listed: Mutex<Vec<CountKey>>,
    /// Wakes whoever writes them.
    writer: OnceLock<Arc<Notify>>,
}

/// Messages that count until their answer has ended, which is when this is dropped.
pub(super) struct RunningCall {
    usage: Arc<LimitUsage>,
    key: CountKey,
    number: u32,
    /// How many of them count as running.
    running: u32,
}

/// The messages of a request that count as running until this is dropped.
pub(super) struct RunningCalls(Vec<RunningCall>);

impl RunningCalls {
    /// Keeps calls that are counted as running.
    pub(super) fn new(calls: Vec<RunningCall>) -> Self {
        Self(calls)
    }

    /// Keeps those of other limits too.
    pub(super) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }
}

impl LimitUsage {
    /// Begins to count.
    pub(super) fn new(now: Instant) -> Arc<Self> {
        let (rooms, listed, writer) = (Rooms::default(), Mutex::default(), OnceLock::new());
        Arc::new(Self { begun: now, rooms, listed, writer })
    }

    /// Counts messages of a user, all or none of them.
    pub(super) fn take(
        self: &Arc<Self>,
        (key, user): (CountKey, &AccountId),
        number: u32,
        limit: &CallLimit,
        CountedAt { now, at }: CountedAt,
    ) -> Result<RunningCall, Reached> {
        let now = nanos(now.saturating_duration_since(self.begun));
        let key = self.rooms.place(key, user, RoomTime { nanos: now, today: at.midnight() });
        let mut count = self.rooms.count(&key);
        if limit.at_once.is_some_and(|most| count.running.saturating_add(number) > most) {
            return Err(Reached::AtOnce);
        }
        if let Some(most) = limit.per_day {
            let reached = |left| if number > most { Reached::WholeDay } else { Reached::Day(left) };
            count.day.check(number, most, at).map_err(reached)?;
        }
        if let Some(rate) = &limit.rate {
            count.full_at = full_after(rate, number, count.full_at, now)?;
        }
        let is_to_list = limit.per_day.is_some() && count.day.add(number, at);
        let running = if limit.at_once.is_some() { number } else { 0 };
        count.running = count.running.saturating_add(running);
        drop(count);
        if is_to_list {
            self.list(key.clone());
        }
        Ok(RunningCall { usage: Arc::clone(self), key, number, running })
    }

    /// Wakes this writer from now on when there is something to write.
    pub(super) fn tell(&self, writer: &Arc<Notify>) {
        if self.writer.set(Arc::clone(writer)).is_ok() && !lock(&self.listed).is_empty() {
            writer.notify_one();
        }
    }

    /// Takes at most this many uses that the store does not have yet.
    pub(super) fn take_unwritten(&self, most: usize) -> Vec<QuotaUse> {
        let mut uses = Vec::new();
        while uses.len() < most
            && let Some(holder) = lock(&self.listed).pop()
        {
            let unwritten = self.rooms.find(&holder).and_then(|mut count| count.day.take_unwritten());
            uses.extend(unwritten.map(|(day, used)| QuotaUse { holder, day, used }));
        }
        uses
    }

    /// Notes that uses were written, and the sum of each in the store; without sums, that they were not.
    pub(super) fn wrote(&self, uses: Vec<QuotaUse>, sums: Option<&[u64]>) {
        for (nth, QuotaUse { holder, day, used }) in uses.into_iter().enumerate() {
            let Some(mut count) = self.rooms.find(&holder) else { continue };
            let sum = sums.and_then(|sums| sums.get(nth));
            if let Some(sum) = sum {
                count.day.wrote(day, used, *sum);
            }
            let is_to_list = sum.is_none() && count.day.list();
            drop(count);
            if is_to_list {
                self.list(holder);
            }
        }
    }

    /// Learns how much of a day was used before.
    pub(super) fn learn(&self, QuotaUse { holder, day, used }: QuotaUse, now: Instant) {
        let nanos = nanos(now.saturating_duration_since(self.begun));
        if self.rooms.has_room_for(&holder, RoomTime { nanos, today: day }) {
            self.rooms.count(&holder).day.learn(day, used);
        }
    }

    /// Returns how many counts there are, and how often there was no room for one.
    pub(super) fn figures(&self) -> (usize, u64) {
        self.rooms.figures()
    }

    fn list(&self, key: CountKey) {
        let mut listed = lock(&self.listed);
        listed.push(key);
        if let (1, Some(writer)) = (listed.len(), self.writer.get()) {
            writer.notify_one();
        }
    }
}

impl RunningCall {
    /// Takes the messages back, because another limit refused them.
    pub(super) fn undo(self, limit: &CallLimit) {
        let Some(mut count) = self.usage.rooms.find(&self.key) else { return };
        if let Some(rate) = &limit.rate {
            count.full_at = count.full_at.saturating_sub(cost(rate, self.number));
        }
        if limit.per_day.is_some() {
            count.day.take_back(self.number);
        }
    }

    /// Returns whether it counts as running.
    pub(super) fn is_held(&self) -> bool {
        self.running > 0
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        if self.running > 0
            && let Some(mut count) = self.usage.rooms.find(&self.key)
        {
            count.running = count.running.saturating_sub(self.running);
        }
    }
}

const NANOS: u64 = 1_000_000_000;

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns for how long messages use a bucket.
fn cost(rate: &LimitRate, number: u32) -> u64 {
    (60 * NANOS).saturating_mul(number.into()) / u64::from(rate.per_minute.max(1))
}

/// Returns when the bucket will be full again after these messages, if it has room for them.
fn full_after(rate: &LimitRate, number: u32, full_at: u64, now: u64) -> Result<u64, Reached> {
    if number > rate.burst {
        return Err(Reached::Burst);
    }
    let after = full_at.max(now).saturating_add(cost(rate, number));
    let wait = after.saturating_sub(now.saturating_add(cost(rate, rate.burst)));
    if wait > 0 { Err(Reached::Rate(Duration::from_nanos(wait))) } else { Ok(after) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::GrantId;
    use crate::policy::LimitPer;
    use crate::proxy::rooms::MOST;

    /// Noon of a day.
    const NOON: Timestamp = Timestamp::from_secs(1_795_262_400);

    fn limit(rate: Option<(u32, u32)>, at_once: Option<u32>) -> CallLimit {
        let rate = rate.map(|(per_minute, burst)| LimitRate { per_minute, burst });
        CallLimit { name: "a".to_owned(), operations: Vec::new(), per: LimitPer::User, rate, per_day: None, at_once }
    }

    fn a_day(per_day: u32) -> CallLimit {
        CallLimit { per_day: Some(per_day), ..limit(None, None) }
    }

    fn account(n: usize) -> AccountId {
        AccountId::parse(&format!("user-{n}")).unwrap()
    }

    fn user(n: usize) -> CountKey {
        CountKey::User(account(n))
    }

    fn grant(n: usize) -> CountKey {
        CountKey::Grant(GrantId(u128::try_from(n).unwrap().to_le_bytes()))
    }

    /// Counts something of user 0.
    fn take(
        usage: &Arc<LimitUsage>,
        key: CountKey,
        number: u32,
        limit: &CallLimit,
        after: Duration,
    ) -> Result<RunningCall, Reached> {
        let at = NOON.plus(Lifetime::from_millis(u64::try_from(after.as_millis()).unwrap()));
        usage.take((key, &account(0)), number, limit, CountedAt { now: usage.begun + after, at })
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_bucket_allows_a_burst_says_when_and_refills() {
        let (usage, limit) = (LimitUsage::new(Instant::now()), limit(Some((30, 3)), None));
        let take = |key, number, at: u64| take(&usage, key, number, &limit, seconds(at)).map(drop);
        for _ in 0..3 {
            assert_eq!(take(user(1), 1, 0), Ok(()));
        }
        assert_eq!(take(user(1), 1, 0), Err(Reached::Rate(seconds(2))));
        assert_eq!(take(user(1), 1, 1), Err(Reached::Rate(seconds(1))), "a refused one is not counted");
        assert_eq!(take(user(2), 1, 1), Ok(()), "another has a count of its own");
        assert_eq!(take(user(1), 1, 2), Ok(()));
        assert_eq!(take(user(1), 3, 2), Err(Reached::Rate(seconds(6))), "all of a batch, or nothing");
        assert_eq!(take(user(1), 3, 8), Ok(()));
        assert_eq!(take(user(1), 4, 1000), Err(Reached::Burst));
        assert_eq!(take(user(1), 3, 1000), Ok(()), "a pause saves up no more than a burst");
        assert_eq!(take(user(1), 1, 1000), Err(Reached::Rate(seconds(2))));
        assert_eq!(take(user(1), u32::MAX, 1000), Err(Reached::Burst));
    }

    #[test]
    fn a_call_counts_as_running_until_it_is_dropped() {
        let (usage, limit) = (LimitUsage::new(Instant::now()), limit(None, Some(2)));
        let take = |number| take(&usage, user(1), number, &limit, Duration::ZERO);
        let first = take(1).ok().unwrap();
        assert_eq!(take(2).map(drop), Err(Reached::AtOnce));
        let second = take(1).ok().unwrap();
        assert_eq!(take(1).map(drop), Err(Reached::AtOnce));
        drop(first);
        assert_eq!(take(1).map(drop), Ok(()));
        drop(second);
        assert_eq!(take(2).map(drop), Ok(()));
        assert_eq!(take(3).map(drop), Err(Reached::AtOnce));
    }

    #[test]
    fn what_another_limit_refuses_is_taken_back() {
        let limit = CallLimit { per_day: Some(1), ..limit(Some((1, 1)), Some(1)) };
        let usage = LimitUsage::new(Instant::now());
        let take = || take(&usage, user(1), 1, &limit, Duration::ZERO);
        take().ok().unwrap().undo(&limit);
        assert_eq!(usage.take_unwritten(9), [], "nothing to write");
        assert_eq!(take().map(drop), Ok(()));
        assert_eq!(take().map(drop), Err(Reached::Day(Lifetime::from_secs(12 * 3600))));
        assert_eq!(usage.take_unwritten(9).len(), 1);
    }

    #[test]
    fn a_full_room_shuts_nobody_out_and_lifts_the_limit_for_nobody() {
        let (usage, limit) = (LimitUsage::new(Instant::now()), limit(Some((1, 1)), None));
        let take = |n, at: u64| take(&usage, user(n), 1, &limit, seconds(at)).map(drop);
        for n in 0..MOST {
            assert_eq!(take(n, 0), Ok(()));
        }
        assert!(take(0, 1).is_err(), "who has a count keeps it");
        assert_eq!(take(MOST, 1), Ok(()), "the surplus has one count together");
        assert!(take(MOST + 1, 1).is_err());
        assert_eq!(usage.figures(), (MOST + 1, 2));
        assert_eq!(take(MOST + 1, 61), Ok(()), "unused counts make room");
        assert_eq!(take(MOST + 2, 61), Ok(()));
        assert!(usage.figures().0 < 10, "{:?}", usage.figures());
    }

    #[test]
    fn grants_and_callers_without_a_token_take_no_room_from_users() {
        let (usage, limit) = (LimitUsage::new(Instant::now()), a_day(1));
        let take = |key, after| take(&usage, key, 1, &limit, after).map(drop);
        let network = |n| CountKey::Anonymous(account(n));
        for n in 0..MOST {
            assert_eq!((take(grant(n), seconds(0)), take(network(n), seconds(0))), (Ok(()), Ok(())));
        }
        assert_eq!(take(user(1), seconds(1)), Ok(()));
        assert_eq!(take(grant(MOST), seconds(1)), Ok(()), "a grant too many counts as its user, user 0");
        assert!(take(grant(MOST + 1), seconds(1)).is_err() && take(user(0), seconds(1)).is_err());
        assert_eq!(take(user(2), seconds(1)), Ok(()));
        assert_eq!(take(network(MOST), seconds(1)), Ok(()), "networks too many have one count together");
        assert!(take(network(MOST + 1), seconds(1)).is_err());
        assert_eq!(usage.figures(), (2 * MOST + 4, 4));
        // A day keeps what it has counted, and the next one makes room.
        assert!(take(grant(MOST), seconds(3600)).is_err());
        assert_eq!(take(grant(MOST), seconds(13 * 3600)), Ok(()));
        assert_eq!(take(grant(MOST + 1), seconds(13 * 3600)), Ok(()));
    }

    #[test]
    fn a_batch_that_no_day_could_hold_is_told_so() {
        let usage = LimitUsage::new(Instant::now());
        let take = |number| take(&usage, user(1), number, &a_day(3), Duration::ZERO).map(drop);
        assert_eq!(take(4), Err(Reached::WholeDay));
        assert_eq!((take(2), take(1)), (Ok(()), Ok(())));
        assert_eq!(take(1), Err(Reached::Day(Lifetime::from_secs(12 * 3600))));
    }

    #[tokio::test]
    async fn the_uses_of_a_day_are_told_to_whoever_writes_them_and_learnt_from_the_store() {
        let (usage, writer) = (LimitUsage::new(Instant::now()), Arc::new(Notify::new()));
        let take = |n| take(&usage, user(n), 1, &a_day(3), Duration::ZERO).map(drop);
        let day = NOON.midnight();
        assert_eq!(take(1), Ok(()));
        usage.tell(&writer);
        writer.notified().await;
        let uses = usage.take_unwritten(9);
        assert_eq!(uses, [QuotaUse { holder: user(1), day, used: 1 }]);
        assert_eq!(take(1), Ok(()));
        writer.notified().await;
        // Nothing was written, so both are left to write.
        usage.wrote(uses, None);
        let uses = usage.take_unwritten(9);
        assert_eq!(uses, [QuotaUse { holder: user(1), day, used: 2 }]);
        // Another process has used the third.
        usage.wrote(uses, Some(&[3]));
        assert!(take(1).is_err());
        usage.learn(QuotaUse { holder: user(2), day, used: 2 }, usage.begun);
        assert_eq!(take(2), Ok(()));
        assert!(take(2).is_err());
        assert_eq!(usage.take_unwritten(9), [QuotaUse { holder: user(2), day, used: 1 }]);
        for n in 10..15 {
            assert_eq!(take(n), Ok(()));
        }
        assert_eq!((usage.take_unwritten(2).len(), usage.take_unwritten(9).len()), (2, 3));
    }
}
