//! `FairSlots`: a limited number of slots, shared fairly between users. No user holds more slots than are left for the
//! others, and waiting users take turns. A quarter is kept for callers with a token.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::budget::UserBudget;
use super::by_address::ByAddress;
use super::rejection::Rejection;
use crate::sync::lock;

/// The part of the slots and of the queue that is kept for callers with a token.
const KEPT: usize = 4;

/// The slots of one worker.
pub(super) struct FairSlots {
    state: Mutex<State>,
}

/// A slot, released when this is dropped.
pub(super) struct FairSlot {
    slots: Arc<FairSlots>,
    user: usize,
}

struct State {
    free: usize,
    /// How many more requests may wait.
    room: usize,
    /// What callers without a token leave free of both.
    kept: KeptSlots,
    next_ticket: u64,
    /// Users who hold slots or wait for one, by the address of their budget, which each entry keeps alive.
    users: ByAddress<Tally>,
    /// Waiting users, in the order of their turns.
    turns: VecDeque<usize>,
}

/// What is kept for callers with a token: however many others there are, they do not wait for those.
#[derive(Debug, Clone, Copy)]
struct KeptSlots {
    slots: usize,
    room: usize,
}

/// How many slots one user holds, and which requests are waiting.
struct Tally {
    held: usize,
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
    budget: Arc<UserBudget>,
}

impl Tally {
    fn is_idle(&self) -> bool {
        self.held == 0 && self.waiting.is_empty()
    }
}

/// A waiting request. Dropping it leaves the queue, or returns the slot if it was granted meanwhile.
struct Ticket {
    slots: Arc<FairSlots>,
    user: usize,
    number: u64,
    granted: oneshot::Receiver<()>,
    taken: bool,
}

impl FairSlots {
    /// Makes `total` slots, with a queue of at most `waiting` requests.
    pub(super) fn new(total: usize, waiting: usize) -> Arc<Self> {
        let state = State {
            free: total,
            room: waiting,
            kept: KeptSlots { slots: total / KEPT, room: waiting / KEPT },
            next_ticket: 0,
            users: ByAddress::default(),
            turns: VecDeque::default(),
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// Takes a slot for a request of the user with this budget; waits if none is free or the user has used up their
    /// share.
    ///
    /// # Errors
    /// `Overloaded` when no slot became free within `patience`, or the queue is full; `TooManyAtOnce` when slots are
    /// free but the user already holds as many as are left for others.
    pub(super) async fn take(
        self: &Arc<Self>,
        budget: &Arc<UserBudget>,
        patience: Duration,
    ) -> Result<FairSlot, Rejection> {
        let user = Arc::as_ptr(budget).addr();
        if self.lock().try_take(user, budget) {
            return Ok(FairSlot { slots: Arc::clone(self), user });
        }
        // Boxed, so that a request that need not wait does not need the space for it.
        Box::pin(self.wait(user, budget, patience)).await
    }

    async fn wait(
        self: &Arc<Self>,
        user: usize,
        budget: &Arc<UserBudget>,
        patience: Duration,
    ) -> Result<FairSlot, Rejection> {
        let (number, granted) = self.lock().join(user, budget)?;
        let mut ticket = Ticket { slots: Arc::clone(self), user, number, granted, taken: false };
        match timeout(patience, &mut ticket.granted).await {
            Ok(Ok(())) => {
                ticket.taken = true;
                Ok(FairSlot { slots: Arc::clone(self), user })
            }
            Ok(Err(_)) => Err(Rejection::Internal),
            Err(_) => Err(self.lock().refusal(budget)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for FairSlot {
    fn drop(&mut self) {
        self.slots.lock().give_back(self.user);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.slots.lock();
        if !state.leave(self.user, self.number) && !self.taken {
            state.give_back(self.user);
        }
    }
}

impl State {
    fn tally(&mut self, user: usize, budget: &Arc<UserBudget>) -> &mut Tally {
        let new = || Tally { held: 0, waiting: VecDeque::new(), budget: Arc::clone(budget) };
        self.users.entry(user).or_insert_with(new)
    }

    /// Returns how many slots are left for a user.
    fn left_for(&self, budget: &UserBudget) -> usize {
        if budget.is_anonymous() { self.free.saturating_sub(self.kept.slots) } else { self.free }
    }

    /// Takes a slot, unless the user has used up their share. A waiting user has, or would have been served.
    fn try_take(&mut self, user: usize, budget: &Arc<UserBudget>) -> bool {
        let left = self.left_for(budget);
        if left == 0 {
            return false;
        }
        let tally = self.tally(user, budget);
        if tally.held >= left {
            return false;
        }
        tally.held += 1;
        self.free -= 1;
        true
    }

    fn join(&mut self, user: usize, budget: &Arc<UserBudget>) -> Result<(u64, oneshot::Receiver<()>), Rejection> {
        let kept = if budget.is_anonymous() { self.kept.room } else { 0 };
        let (room, number) = (self.room.saturating_sub(kept), self.next_ticket);
        let waiting = self.users.get(&user).map_or(0, |tally| tally.waiting.len());
        if waiting >= room {
            return Err(self.refusal(budget));
        }
        let (grant, granted) = oneshot::channel();
        self.tally(user, budget).waiting.push_back((number, grant));
        if waiting == 0 {
            self.turns.push_back(user);
        }
        self.room -= 1;
        self.next_ticket = number.wrapping_add(1);
        Ok((number, granted))
    }

    /// Leaves the queue; false if the request is no longer waiting because it was granted a slot.
    fn leave(&mut self, user: usize, number: u64) -> bool {
        let Some(tally) = self.users.get_mut(&user) else { return false };
        let Some(at) = tally.waiting.iter().position(|(other, _)| *other == number) else { return false };
        tally.waiting.remove(at);
        self.room += 1;
        if tally.waiting.is_empty() {
            self.turns.retain(|waiting| *waiting != user);
        }
        if tally.is_idle() {
            self.users.remove(&user);
        }
        true
    }

    fn give_back(&mut self, user: usize) {
        self.free += 1;
        if let Entry::Occupied(mut entry) = self.users.entry(user) {
            let tally = entry.get_mut();
            tally.held = tally.held.saturating_sub(1);
            if tally.is_idle() {
                entry.remove();
            }
        }
        while self.grant_next() {}
    }

    /// Grants a slot to the next user in turn whose share is not used up.
    fn grant_next(&mut self) -> bool {
        let is_next =
            |user: &usize| self.users.get(user).is_some_and(|tally| tally.held < self.left_for(&tally.budget));
        let Some(user) = self.turns.iter().position(is_next).and_then(|at| self.turns.remove(at)) else { return false };
        let Some(tally) = self.users.get_mut(&user) else { return false };
        let Some((_, grant)) = tally.waiting.pop_front() else { return false };
        tally.held += 1;
        if !tally.waiting.is_empty() {
            self.turns.push_back(user);
        }
        self.free -= 1;
        self.room += 1;
        // A request that is just leaving finds that it was granted the slot, and returns it.
        let _left = grant.send(());
        true
    }

    fn refusal(&self, budget: &UserBudget) -> Rejection {
        if self.left_for(budget) == 0 { Rejection::Overloaded } else { Rejection::TooManyAtOnce }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use futures_util::future::{FutureExt, select_all};

    use super::super::budget::{UserBudget, UserBudgets};
    use super::{FairSlot, FairSlots};
    use crate::proxy::rejection::Rejection;

    const AT_ONCE: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(3600);

    fn users<const N: usize>() -> [Arc<UserBudget>; N] {
        let budgets = UserBudgets::new(&crate::proxy::budget::tests::rates());
        std::array::from_fn(|n| budgets.of(&crate::proxy::budget::tests::principal(n)))
    }

    /// Returns how many slots are free, how many more requests may wait, and how many users are known.
    fn counts(slots: &FairSlots) -> (usize, usize, usize) {
        let state = slots.lock();
        assert_eq!(state.turns.len(), state.users.values().filter(|tally| !tally.waiting.is_empty()).count());
        (state.free, state.room, state.users.len())
    }

    /// Takes slots until one is refused; returns the slots and the refusal.
    async fn fill(slots: &Arc<FairSlots>, user: &Arc<UserBudget>) -> (Vec<FairSlot>, Rejection) {
        let mut held = Vec::new();
        loop {
            match slots.take(user, AT_ONCE).await {
                Ok(slot) => held.push(slot),
                Err(rejection) => return (held, rejection),
            }
        }
    }

    #[tokio::test]
    async fn no_user_holds_more_slots_than_are_left_for_others() {
        for (total, shares) in [(1, [1, 0, 0]), (2, [1, 1, 0]), (3, [2, 1, 0]), (16, [8, 4, 2]), (512, [256, 128, 64])]
        {
            let slots = FairSlots::new(total, 4 * total);
            let users = users::<3>();
            let mut held = Vec::new();
            for (user, share) in users.iter().zip(shares) {
                let (taken, rejection) = fill(&slots, user).await;
                assert_eq!(taken.len(), share, "of {total}");
                let left = slots.lock().free;
                assert_eq!(matches!(rejection, Rejection::TooManyAtOnce), left > 0, "{rejection:?}, {left} left");
                held.push(taken);
            }
            drop(held);
            assert_eq!(counts(&slots), (total, 4 * total, 0));
        }
    }

    #[tokio::test]
    async fn an_04_callers_without_a_token_leave_slots_and_room_to_wait_to_those_with_one() {
        let slots = FairSlots::new(16, 64);
        let budgets = UserBudgets::new(&crate::proxy::budget::tests::rates());
        let strangers: Vec<_> = (0..32).map(|n| budgets.of(&crate::proxy::budget::tests::anonymous(n))).collect();
        let mut held = Vec::new();
        for stranger in &strangers {
            held.extend(fill(&slots, stranger).await.0);
        }
        assert_eq!(held.len(), 12);
        assert!(matches!(slots.take(&strangers[0], AT_ONCE).await, Err(Rejection::Overloaded)));
        let [user, other] = users();
        held.extend(slots.take(&user, AT_ONCE).await);
        assert_eq!(held.len(), 13);
        held.extend(fill(&slots, &user).await.0);
        held.extend(fill(&slots, &other).await.0);
        let waiting = |who: &Arc<UserBudget>| {
            let (slots, who) = (Arc::clone(&slots), Arc::clone(who));
            let mut request = Box::pin(async move { slots.take(&who, LONG).await });
            (&mut request).now_or_never().is_none().then_some(request)
        };
        let queue: Vec<_> = strangers.iter().flat_map(|who| std::iter::repeat_with(|| waiting(who)).take(8)).collect();
        assert_eq!(queue.iter().flatten().count(), 48);
        assert!(waiting(&other).is_some(), "there is room to wait");
        drop((queue, held));
        assert_eq!(counts(&slots), (16, 64, 0));
    }

    #[tokio::test]
    async fn users_who_wait_are_served_in_turns() {
        let slots = FairSlots::new(1, 100);
        let [greedy, other, third] = users();
        let first = slots.take(&third, LONG).await.unwrap();
        let asked = [("g1", &greedy), ("g2", &greedy), ("g3", &greedy), ("o1", &other), ("o2", &other)];
        let mut waiting: Vec<_> = asked.iter().map(|(name, user)| (*name, Box::pin(slots.take(user, LONG)))).collect();
        for (name, request) in &mut waiting {
            assert!(request.now_or_never().is_none(), "{name}");
        }
        drop(first);
        let mut served = Vec::new();
        while !waiting.is_empty() {
            let (name, slot) = select_all(waiting.iter_mut().map(|(name, r)| r.map(|slot| (*name, slot)))).await.0;
            waiting.retain(|(other, _)| *other != name);
            served.push(name);
            drop(slot.unwrap());
        }
        assert_eq!(served, ["g1", "o1", "g2", "o2", "g3"]);
        assert_eq!(counts(&slots), (1, 100, 0));
    }

    #[tokio::test]
    async fn no_user_fills_the_queue_for_slots() {
        let slots = FairSlots::new(1, 8);
        let [holder, greedy, other] = users();
        let _held = slots.take(&holder, LONG).await.unwrap();
        let mut waiting: Vec<_> = (0..8).map(|_| Box::pin(slots.take(&greedy, LONG))).collect();
        let mut refused = 0;
        for request in &mut waiting {
            refused += usize::from(matches!(request.now_or_never(), Some(Err(Rejection::Overloaded))));
        }
        assert_eq!(refused, 4);
        let mut late = Box::pin(slots.take(&other, LONG));
        assert!((&mut late).now_or_never().is_none(), "there is room to wait");
        drop((waiting, late));
        assert_eq!(counts(&slots), (0, 8, 1));
    }

    #[tokio::test]
    async fn a_request_that_leaves_gives_up_its_turn_or_its_slot() {
        let slots = FairSlots::new(1, 8);
        let [holder, leaver, stayer] = users();
        let held = slots.take(&holder, LONG).await.unwrap();
        let mut leaving = Box::pin(slots.take(&leaver, LONG));
        let mut staying = Box::pin(slots.take(&stayer, LONG));
        assert!((&mut leaving).now_or_never().is_none() && (&mut staying).now_or_never().is_none());
        // Granted to the first, which is dropped before it sees that.
        drop(held);
        drop(leaving);
        let slot = staying.await.unwrap();
        let mut leaving = Box::pin(slots.take(&leaver, LONG));
        assert!((&mut leaving).now_or_never().is_none());
        drop(leaving);
        assert_eq!(counts(&slots), (0, 8, 1));
        drop(slot);
        assert_eq!(counts(&slots), (1, 8, 0));
    }
}
