//! Reads tokens that are not in the cache from the store. There is one read at a time, for many tokens at once, so that
//! even a flood of invalid tokens costs little, and a valid one among them waits for a read or two.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::oneshot;

use super::entry::Key;
use crate::oauth::{AccessTokenRecord, Timestamp};
use crate::sync::lock;

/// The most tokens per read: at the allowed rate of reads that is more than the requests that a process can take.
const TOKENS_PER_READ: usize = 256;
/// The most waiting tokens. No site may have more of them than there is room left.
const MOST_WAITING: usize = 4096;

/// Tokens that are waiting to be read.
#[derive(Debug)]
pub(super) struct ReadQueue {
    waiting: Mutex<WaitingRequests>,
    rate: DefaultDirectRateLimiter,
    /// Whether the last read counts against the rate and its pause has not been made yet.
    is_owed: AtomicBool,
    clock: DefaultClock,
}

#[derive(Debug, Default)]
struct WaitingRequests {
    by_site: HashMap<IpAddr, VecDeque<ReadRequest>>,
    /// The sites of `by_site` in the order of their turns.
    turns: VecDeque<IpAddr>,
    count: usize,
    /// Whether a task is reading for them.
    is_read: bool,
}

#[derive(Debug)]
pub(super) struct ReadRequest {
    pub(super) key: Key,
    pub(super) answer: oneshot::Sender<ReadResult>,
}

/// The outcome of adding a request.
pub(super) enum Added {
    /// Too many are already waiting.
    Refused,
    /// It is waiting, and no task is reading yet.
    First,
    /// It is waiting, and a task is reading.
    Later,
}

/// What the store returned for a token.
#[derive(Debug)]
pub(super) struct ReadResult {
    pub(super) found: Option<AccessTokenRecord>,
    /// The generation of the cache before the read.
    pub(super) generation: u64,
    /// The time that was passed to the store.
    pub(super) now: Timestamp,
}

/// The task that reads. If it ends early, the waiting requests are told so, and the next one starts another task.
pub(super) struct Reader<'a> {
    pub(super) reading: &'a ReadQueue,
    pub(super) is_done: bool,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            *lock(&self.reading.waiting) = WaitingRequests::default();
        }
    }
}

impl WaitingRequests {
    /// Adds a request, unless its site has already used its share of the room.
    fn add(&mut self, site: IpAddr, question: ReadRequest) -> bool {
        let room = MOST_WAITING.saturating_sub(self.count);
        let of_site = self.by_site.get(&site).map_or(0, VecDeque::len);
        if of_site >= room {
            return false;
        }
        if of_site == 0 {
            self.turns.push_back(site);
        }
        self.by_site.entry(site).or_default().push_back(question);
        self.count += 1;
        true
    }

    /// Takes the next requests, one per site in turn.
    fn take(&mut self) -> Vec<ReadRequest> {
        let mut taken = Vec::new();
        while taken.len() < TOKENS_PER_READ
            && let Some(site) = self.turns.pop_front()
        {
            let Some(questions) = self.by_site.get_mut(&site) else { continue };
            taken.extend(questions.pop_front());
            self.count = self.count.saturating_sub(1);
            if questions.is_empty() {
                self.by_site.remove(&site);
            } else {
                self.turns.push_back(site);
            }
        }
        // Drops requests whose client has hung up.
        taken.retain(|question| !question.answer.is_closed());
        taken
    }
}

impl ReadQueue {
    pub(super) fn new(reads_per_second: u32) -> Self {
        let rate = NonZeroU32::new(reads_per_second).unwrap_or(NonZeroU32::MIN);
        Self {
            waiting: Mutex::default(),
            rate: RateLimiter::direct(Quota::per_second(rate)),
            is_owed: AtomicBool::new(false),
            clock: DefaultClock::default(),
        }
    }

    pub(super) fn add(&self, site: IpAddr, question: ReadRequest) -> Added {
        let mut waiting = lock(&self.waiting);
        if !waiting.add(site, question) {
            return Added::Refused;
        }
        if std::mem::replace(&mut waiting.is_read, true) { Added::Later } else { Added::First }
    }

    /// Records whether the last read counts against the rate, so that the next one must wait.
    pub(super) fn count(&self, counts: bool) {
        self.is_owed.store(counts, Relaxed);
    }

    /// Waits until the next read may be made.
    pub(super) async fn pace(&self) {
        if !self.is_owed.swap(false, Relaxed) {
            return;
        }
        while let Err(early) = self.rate.check() {
            tokio::time::sleep(early.wait_time_from(self.clock.now())).await;
        }
    }

    /// Takes the requests for the next read; `None` when none are left, and then the task must end.
    pub(super) fn next(&self) -> Option<Vec<ReadRequest>> {
        let mut waiting = lock(&self.waiting);
        if waiting.count == 0 {
            waiting.is_read = false;
            return None;
        }
        Some(waiting.take())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use tokio::sync::oneshot;

    use super::{Key, MOST_WAITING, ReadRequest, TOKENS_PER_READ, WaitingRequests};
    use crate::oauth::{TenantId, TokenHash};

    fn site(n: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, n, 0).into()
    }

    fn ask(waiting: &mut WaitingRequests, n: u8, token: usize) -> Option<oneshot::Receiver<super::ReadResult>> {
        let (answer, answered) = oneshot::channel();
        let key: Key = (TenantId::default(), TokenHash::of(&token.to_be_bytes()));
        waiting.add(site(n), ReadRequest { key, answer }).then_some(answered)
    }

    #[test]
    fn tv_07_a_flood_of_one_site_delays_nobody_elsewhere_and_leaves_room() {
        let mut waiting = WaitingRequests::default();
        let flood: Vec<_> = (0..MOST_WAITING).filter_map(|n| ask(&mut waiting, 1, n)).collect();
        assert_eq!(flood.len(), MOST_WAITING / 2);
        let _other = ask(&mut waiting, 2, 7).expect("there is room for another site");
        let first = waiting.take();
        assert_eq!(first.len(), TOKENS_PER_READ);
        assert!(first.iter().any(|question| question.key.1 == TokenHash::of(&7_usize.to_be_bytes())));
        assert_eq!(waiting.count, MOST_WAITING / 2 + 1 - TOKENS_PER_READ);
        // Requests that hung up are not read for, and their room is freed.
        drop(flood);
        while waiting.count > 0 {
            assert!(waiting.take().is_empty());
        }
        assert!(waiting.by_site.is_empty() && waiting.turns.is_empty());
    }
}
