//! `HashQueue`: whose password is hashed next. A hash takes some 64 MiB and a core for a tenth of a second, so only a
//! few are computed at once, and strangers must not delay known users.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::oauth::{Lifetime, LoginNameHash};
use crate::sync::lock;

/// How long a request waits for a slot before it is told to try again.
const WAIT: Duration = Duration::from_secs(10);

/// The most requests waiting in each class. One more replaces the newest of the requester with the most waiting.
const WAITING: usize = 512;

/// Who needs a hash. Each of the two classes has its own queue, in which different requesters take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::issuer) enum HashRequester {
    /// A known person: an attempt from where the name's owner signed in before, or the holder of a session or one-time
    /// link of the account. Turns go by name, since a person has one account and many addresses.
    Known(LoginNameHash),
    /// Anybody else. Turns go by site, since names cost an attacker nothing and sites do.
    Stranger(IpAddr),
}

/// A few slots with two queues. With two slots or more, strangers hold at most all but one, so that known people need
/// not wait for them; with one slot the two classes take turns.
pub(in crate::issuer) struct HashQueue {
    slots: usize,
    /// How long a request waits for a slot.
    wait: Duration,
    state: Mutex<State>,
}

/// Permission to compute one hash; dropping it passes the slot to the next in the queue.
pub(in crate::issuer) struct HashSlot {
    /// The queue that it returns to; `None` when nobody received it.
    queue: Option<Arc<HashQueue>>,
    is_known: bool,
}

#[derive(Default)]
struct State {
    known: Class,
    strangers: Class,
    /// Whether the last slot went to a known person.
    last_was_known: bool,
}

type Waiter = oneshot::Sender<HashSlot>;

#[derive(Default)]
struct Class {
    /// How many slots are in use.
    busy: usize,
    waiting: usize,
    /// The requesters in the order of their turns.
    turns: VecDeque<HashRequester>,
    queues: HashMap<HashRequester, VecDeque<Waiter>>,
}

impl HashQueue {
    /// Makes a queue for this many hashes at once.
    pub(in crate::issuer) fn new(slots: usize) -> Arc<Self> {
        Arc::new(Self { slots: slots.max(1), wait: WAIT, state: Mutex::default() })
    }

    /// Waits for a free slot.
    ///
    /// # Errors
    /// How long to wait before trying again, when no slot became free in time or too many are waiting.
    pub(in crate::issuer) async fn acquire(self: &Arc<Self>, requester: HashRequester) -> Result<HashSlot, Lifetime> {
        let is_known = matches!(requester, HashRequester::Known(_));
        let turn = {
            let mut state = self.lock();
            if state.is_free_for(is_known, self.slots) {
                state.take(is_known);
                return Ok(HashSlot { queue: Some(Arc::clone(self)), is_known });
            }
            state.class(is_known).wait(requester)
        };
        match tokio::time::timeout(self.wait, turn).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) | Err(_) => Err(Lifetime::from_secs(self.wait.as_secs().max(1))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Takes a slot back and passes it to the next waiter.
    fn release(self: Arc<Self>, was_known: bool) {
        let mut class = was_known;
        loop {
            let next = {
                let mut state = self.lock();
                state.give_back(class);
                state.next(self.slots)
            };
            let Some((waiter, is_known)) = next else { return };
            let Err(mut unclaimed) = waiter.send(HashSlot { queue: Some(Arc::clone(&self)), is_known }) else { return };
            // The waiter has just given up.
            unclaimed.queue = None;
            class = is_known;
        }
    }
}

impl Drop for HashSlot {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.release(self.is_known);
        }
    }
}

impl State {
    fn class(&mut self, is_known: bool) -> &mut Class {
        if is_known { &mut self.known } else { &mut self.strangers }
    }

    fn is_free_for(&self, is_known: bool, slots: usize) -> bool {
        // With several slots, strangers never get the last one.
        let for_strangers = slots.saturating_sub(1).max(1);
        self.known.busy + self.strangers.busy < slots && (is_known || self.strangers.busy < for_strangers)
    }

    fn take(&mut self, is_known: bool) {
        self.class(is_known).busy += 1;
        self.last_was_known = is_known;
    }

    fn give_back(&mut self, is_known: bool) {
        let class = self.class(is_known);
        class.busy = class.busy.saturating_sub(1);
    }

    /// Takes a free slot, if there is one, for the next in turn.
    fn next(&mut self, slots: usize) -> Option<(Waiter, bool)> {
        loop {
            let may = |class: &Class, is_known| class.waiting > 0 && self.is_free_for(is_known, slots);
            let is_known = match (may(&self.known, true), may(&self.strangers, false)) {
                (false, false) => return None,
                (is_known, false) => is_known,
                (false, true) => false,
                // With several slots, strangers may use one and known people the others.
                (true, true) if slots > 1 => self.strangers.busy > 0,
                (true, true) => !self.last_was_known,
            };
            if let Some(waiter) = self.class(is_known).next() {
                self.take(is_known);
                return Some((waiter, is_known));
            }
        }
    }
}

impl Class {
    /// Queues a waiter behind the others of the same requester.
    fn wait(&mut self, requester: HashRequester) -> oneshot::Receiver<HashSlot> {
        if self.waiting >= WAITING {
            self.make_room();
        }
        let (waiter, turn) = oneshot::channel();
        let queue = self.queues.entry(requester).or_default();
        if queue.is_empty() {
            self.turns.push_back(requester);
        }
        queue.push_back(waiter);
        self.waiting += 1;
        turn
    }

    /// Removes waiters who gave up, or if there are none, the newest of the requester with the most waiting.
    fn make_room(&mut self) {
        self.queues.retain(|_, queue| {
            queue.retain(|waiter| !waiter.is_closed());
            !queue.is_empty()
        });
        self.waiting = self.queues.values().map(VecDeque::len).sum();
        if self.waiting >= WAITING
            && let Some(longest) = self.queues.values_mut().max_by_key(|queue| queue.len())
            && longest.len() > 1
        {
            longest.pop_back();
            self.waiting -= 1;
        }
        self.turns.retain(|requester| self.queues.contains_key(requester));
    }

    /// Takes the first waiter of the requester whose turn it is, skipping those who gave up.
    fn next(&mut self) -> Option<Waiter> {
        while let Some(requester) = self.turns.pop_front() {
            let Some(queue) = self.queues.get_mut(&requester) else { continue };
            let mut waiter = None;
            while let Some(first) = queue.pop_front() {
                self.waiting = self.waiting.saturating_sub(1);
                if !first.is_closed() {
                    waiter = Some(first);
                    break;
                }
            }
            if queue.is_empty() {
                self.queues.remove(&requester);
            } else {
                self.turns.push_back(requester);
            }
            if waiter.is_some() {
                return waiter;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::oauth::{Brand, TenantId, TokenKeys};

    fn known(n: u8) -> HashRequester {
        let keys = TokenKeys::new(vec![(1, [7; 32])], Brand::parse("mcp").unwrap()).unwrap();
        HashRequester::Known(LoginNameHash::of(&TenantId::default(), &n.to_string(), &keys))
    }

    fn stranger(n: u8) -> HashRequester {
        HashRequester::Stranger(IpAddr::from([198, 51, n, 0]))
    }

    /// Takes a slot that must be free now.
    async fn now(queue: &Arc<HashQueue>, requester: HashRequester) -> HashSlot {
        queue.acquire(requester).await.expect("a free slot")
    }

    /// Queues requesters behind those that hold the slots; returns the order in which they are served.
    async fn served(slots: usize, held: &[HashRequester], waiting: &[HashRequester]) -> Vec<HashRequester> {
        let queue = HashQueue::new(slots);
        let mut holding = Vec::new();
        for requester in held {
            holding.push(now(&queue, *requester).await);
        }
        let order = Arc::new(Mutex::new(Vec::new()));
        let all = waiting.iter().map(|requester| {
            let (queue, order) = (Arc::clone(&queue), Arc::clone(&order));
            async move {
                let _slot = queue.acquire(*requester).await.expect("a turn");
                order.lock().unwrap().push(*requester);
            }
        });
        let mut all = Box::pin(futures_util::future::join_all(all));
        assert!(all.as_mut().now_or_never().is_none(), "all wait");
        assert!(order.lock().unwrap().is_empty());
        holding.pop();
        all.await;
        let order = order.lock().unwrap();
        order.clone()
    }

    #[tokio::test]
    async fn strangers_are_served_site_by_site() {
        let many = [stranger(1), stranger(1), stranger(1), stranger(1), stranger(2), stranger(3)];
        let order = served(2, &[stranger(9)], &many).await;
        assert_eq!(order, [1, 2, 3, 1, 1, 1].map(stranger));
    }

    #[tokio::test]
    async fn one_slot_of_two_is_never_a_strangers() {
        let queue = HashQueue::new(2);
        let held = now(&queue, stranger(1)).await;
        assert!(queue.acquire(stranger(2)).now_or_never().is_none());
        let mine = now(&queue, known(1)).await;
        assert!(queue.acquire(known(2)).now_or_never().is_none(), "both are taken");
        drop((held, mine));
        // While known people hold both slots, strangers get neither.
        let both = (now(&queue, known(1)).await, now(&queue, known(2)).await);
        let mut waiting = Box::pin(queue.acquire(stranger(1)));
        let mut behind = Box::pin(queue.acquire(known(3)));
        assert!(waiting.as_mut().now_or_never().is_none() && behind.as_mut().now_or_never().is_none());
        drop(both.0);
        assert!(behind.as_mut().now_or_never().is_none(), "strangers have one slot of two when they want it");
        assert!(waiting.as_mut().now_or_never().is_some_and(|slot| slot.is_ok()));
        drop(both.1);
        assert!(behind.now_or_never().is_some_and(|slot| slot.is_ok()));
    }

    #[tokio::test]
    async fn with_one_slot_known_people_and_strangers_take_turns() {
        let waiting = [stranger(1), stranger(2), known(1), known(1), known(2)];
        let order = served(1, &[stranger(9)], &waiting).await;
        assert_eq!(order, [known(1), stranger(1), known(2), stranger(2), known(1)]);
    }

    #[tokio::test]
    async fn who_leaves_the_queue_holds_nobody_up() {
        let queue = HashQueue::new(1);
        let held = now(&queue, stranger(1)).await;
        let mut leaves = Box::pin(queue.acquire(stranger(2)));
        let mut late = Box::pin(queue.acquire(stranger(3)));
        let mut stays = Box::pin(queue.acquire(stranger(4)));
        assert!(leaves.as_mut().now_or_never().is_none());
        assert!(late.as_mut().now_or_never().is_none() && stays.as_mut().now_or_never().is_none());
        drop(leaves);
        drop(held);
        // This waiter was given the slot, and is dropped before it sees it.
        drop(late);
        assert!(stays.now_or_never().is_some_and(|slot| slot.is_ok()));
        now(&queue, known(1)).await;
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let wait = Duration::from_millis(20);
        let queue = Arc::new(HashQueue { slots: 1, wait, state: Mutex::default() });
        let held = now(&queue, stranger(1)).await;
        assert!(queue.acquire(known(1)).await.is_err());
        drop(held);
        now(&queue, known(1)).await;
    }

    #[tokio::test]
    async fn a_full_queue_makes_room_at_the_expense_of_whoever_fills_it() {
        let queue = HashQueue::new(1);
        let held = now(&queue, stranger(0)).await;
        let mut crowd: Vec<_> = (0..WAITING).map(|_| Box::pin(queue.acquire(stranger(1)))).collect();
        crowd.iter_mut().for_each(|waiting| assert!(waiting.as_mut().now_or_never().is_none()));
        let mut other = Box::pin(queue.acquire(stranger(2)));
        assert!(other.as_mut().now_or_never().is_none());
        let refused = crowd.pop().and_then(|last| last.now_or_never());
        assert!(refused.is_some_and(|slot| slot.is_err()), "the last of the crowd");
        drop(held);
        drop(crowd.remove(0).await);
        assert!(other.now_or_never().is_some_and(|slot| slot.is_ok()), "then it is the other's turn");
    }
}
