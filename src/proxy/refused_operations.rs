//! `RefusedOperations`: what scopes and rules have refused lately, for the audit trail. Requests only count here; a
//! task of the server takes what is due and writes it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::oauth::{AccountId, ClientId, GrantId, ResourceIndicator, ScopeSet, TenantId};
use crate::sync::lock;

/// How long refusals of the same operation are counted for one row, after the first, which is told at once.
const EVERY: Duration = Duration::from_mins(1);
/// The most operations of one account that are told apart in that time.
const OF_ACCOUNT: usize = 20;
/// The most of all accounts together, and below how many more for the first of each account. With some 500 bytes a row
/// it is at most 300 MB a day, and normally nothing.
const OF_ALL: usize = 300;
const RESERVED: usize = 100;
/// The longest reason, in bytes.
const LONGEST: usize = 1024;

/// An operation that was refused to a grant, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedOperation {
    /// The client that asked.
    pub client: ClientId,
    /// The grant of its token.
    pub grant: GrantId,
    /// The upstream, as the URL that clients call: others may have the same audience.
    pub resource: ResourceIndicator,
    /// What was asked for: a method and perhaps a name, in printable ASCII, at most some 500 bytes.
    pub operation: Box<str>,
    /// Why it was refused: what the token lacks, or the rule and its reason.
    pub why: Box<str>,
    /// The scopes that would have opened it.
    pub scopes: Option<ScopeSet>,
    /// From which address; of several refusals, of the first.
    pub address: IpAddr,
    /// The id of the request, likewise.
    pub request_id: Box<str>,
}

/// Refusals that are told together.
#[derive(Debug, PartialEq, Eq)]
pub struct CountedRefusals {
    /// The tenant of the account.
    pub tenant: TenantId,
    /// Whose requests were refused; `None` if they were of several accounts.
    pub subject: Option<AccountId>,
    /// What was refused; `None` if there was no room to tell it apart.
    pub operation: Option<RefusedOperation>,
    /// How many refusals they are.
    pub count: u64,
}

/// Refusals that are not told yet, and those that were told a short while ago, over all workers.
#[derive(Default)]
pub struct RefusedOperations {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    /// Those without an account are of several, which had no room of their own.
    accounts: HashMap<(TenantId, Option<AccountId>), OfAccount>,
    /// How many operations there are in all.
    operations: usize,
}

#[derive(Default)]
struct OfAccount {
    operations: Vec<(RefusedOperation, RefusalTally)>,
    /// Those for which there was no room.
    others: RefusalTally,
}

/// How many refusals wait to be told.
#[derive(Default)]
struct RefusalTally {
    waiting: u64,
    /// When some were last told.
    told: Option<Instant>,
}

impl RefusedOperation {
    fn is_same_as(&self, other: &Self) -> bool {
        self.grant == other.grant
            && self.resource == other.resource
            && self.operation == other.operation
            && self.why == other.why
    }
}

impl RefusalTally {
    /// Counts refusals; returns whether they can be told at once.
    fn add(&mut self, count: u64) -> bool {
        self.waiting = self.waiting.saturating_add(count);
        self.told.is_none()
    }

    /// Takes what may be told now; all of it without a time.
    fn take(&mut self, now: Option<Instant>) -> Option<u64> {
        if self.waiting == 0 || now.is_some_and(|now| !self.has_passed(now)) {
            return None;
        }
        self.told = now.or(self.told);
        Some(std::mem::take(&mut self.waiting))
    }

    /// Returns whether the time since some were last told is over.
    fn has_passed(&self, now: Instant) -> bool {
        self.told.is_none_or(|told| now.saturating_duration_since(told) >= EVERY)
    }

    /// Returns when it changes by itself.
    fn ends(&self) -> Option<Instant> {
        self.told.map(|told| told + EVERY)
    }
}

impl OfAccount {
    fn find(&mut self, operation: &RefusedOperation) -> Option<&mut (RefusedOperation, RefusalTally)> {
        self.operations.iter_mut().find(|(known, _)| known.is_same_as(operation))
    }

    fn tallies(&self) -> impl Iterator<Item = &RefusalTally> {
        self.operations.iter().map(|(_, tally)| tally).chain([&self.others])
    }
}

impl State {
    /// Counts a refusal; returns whether it can be told at once.
    fn count(&mut self, (tenant, subject): (TenantId, AccountId), operation: RefusedOperation) -> bool {
        let key = (tenant, Some(subject));
        let account = self.accounts.get_mut(&key);
        let own = account.as_ref().map_or(0, |account| account.operations.len());
        if let Some((known, tally)) = account.and_then(|account| account.find(&operation)) {
            if tally.waiting == 0 {
                *known = operation;
            }
            return tally.add(1);
        }
        let most = if own == 0 { OF_ALL + RESERVED } else { OF_ALL };
        if own < OF_ACCOUNT && self.operations < most {
            let mut tally = RefusalTally::default();
            let is_due = tally.add(1);
            self.accounts.entry(key).or_default().operations.push((operation, tally));
            self.operations += 1;
            return is_due;
        }
        let whose = if own == 0 { (key.0, None) } else { key };
        self.accounts.entry(whose).or_default().others.add(1)
    }

    /// Takes what may be told now; all of it without a time.
    fn take(&mut self, now: Option<Instant>) -> Vec<CountedRefusals> {
        let mut taken = Vec::new();
        for ((tenant, subject), account) in &mut self.accounts {
            let tell = |operation, count| CountedRefusals {
                tenant: tenant.clone(),
                subject: subject.clone(),
                operation,
                count,
            };
            for (operation, tally) in &mut account.operations {
                taken.extend(tally.take(now).map(|count| tell(Some(operation.clone()), count)));
            }
            taken.extend(account.others.take(now).map(|count| tell(None, count)));
        }
        taken
    }

    /// Forgets what was told long enough ago.
    fn forget(&mut self, now: Instant) {
        self.accounts.retain(|_, account| {
            account.operations.retain(|(_, tally)| tally.waiting > 0 || !tally.has_passed(now));
            account.tallies().any(|tally| tally.waiting > 0 || !tally.has_passed(now))
        });
        self.operations = self.accounts.values().map(|account| account.operations.len()).sum();
    }
}

impl RefusedOperations {
    /// Counts a refusal of a request of an account.
    pub(super) fn note(&self, (tenant, subject): (&TenantId, &AccountId), operation: RefusedOperation) {
        let mut why = operation.why.into_string();
        why.truncate(why.floor_char_boundary(LONGEST));
        let operation = RefusedOperation { why: why.into(), ..operation };
        let is_due = lock(&self.state).count((tenant.clone(), subject.clone()), operation);
        if is_due {
            self.news.notify_one();
        }
    }

    /// Waits until there is something that can be told at once.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Takes what may be told now, and returns when there may be more, unless something new is refused before.
    #[must_use]
    pub fn take(&self, now: Instant) -> (Vec<CountedRefusals>, Option<Instant>) {
        let mut state = lock(&self.state);
        let taken = state.take(Some(now));
        state.forget(now);
        let next = state.accounts.values().flat_map(OfAccount::tallies).filter_map(RefusalTally::ends).min();
        (taken, next)
    }

    /// Takes everything that was not told, because the process ends.
    #[must_use]
    pub fn take_all(&self) -> Vec<CountedRefusals> {
        lock(&self.state).take(None)
    }

    /// Puts back what could not be told. It comes again when its time is over.
    pub fn put_back(&self, refusals: CountedRefusals) {
        let state = &mut *lock(&self.state);
        let CountedRefusals { tenant, subject, operation, count } = refusals;
        let account = state.accounts.entry((tenant, subject)).or_default();
        match operation {
            None => drop(account.others.add(count)),
            Some(operation) => match account.find(&operation) {
                Some((_, tally)) => drop(tally.add(count)),
                None => {
                    let tally = RefusalTally { waiting: count, told: None };
                    account.operations.push((operation, tally));
                    state.operations += 1;
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(name: &str, why: &str) -> RefusedOperation {
        RefusedOperation {
            client: ClientId::parse("c").unwrap(),
            grant: GrantId([1; 16]),
            resource: ResourceIndicator::parse("https://gw.example/mcp").unwrap(),
            operation: format!("tools/call {name}").into(),
            why: why.into(),
            scopes: None,
            address: [192, 0, 2, 1].into(),
            request_id: "1".into(),
        }
    }

    fn account(name: &str) -> (TenantId, AccountId) {
        (TenantId::default(), AccountId::parse(name).unwrap())
    }

    fn note(refused: &RefusedOperations, name: &str, operation: RefusedOperation) {
        let (tenant, subject) = account(name);
        refused.note((&tenant, &subject), operation);
    }

    fn counts(refusals: &[CountedRefusals]) -> Vec<(Option<&str>, Option<&str>, u64)> {
        let mut counts: Vec<_> = refusals
            .iter()
            .map(|of| {
                let operation = of.operation.as_ref().map(|operation| &*operation.operation);
                (of.subject.as_ref().map(AccountId::as_str), operation, of.count)
            })
            .collect();
        counts.sort_unstable();
        counts
    }

    #[tokio::test]
    async fn the_first_refusal_is_told_at_once_and_the_rest_of_a_minute_with_their_number() {
        let (refused, now) = (RefusedOperations::default(), Instant::now());
        note(&refused, "ada", operation("wipe", "rule 0"));
        refused.news().await;
        let (told, next) = refused.take(now);
        assert_eq!(counts(&told), [(Some("ada"), Some("tools/call wipe"), 1)]);
        assert_eq!(next, Some(now + EVERY));
        for n in 0..1000 {
            note(&refused, "ada", RefusedOperation { request_id: n.to_string().into(), ..operation("wipe", "rule 0") });
        }
        assert_eq!(refused.take(now + EVERY / 2).0, []);
        let (told, next) = refused.take(now + EVERY);
        assert_eq!(counts(&told), [(Some("ada"), Some("tools/call wipe"), 1000)]);
        assert_eq!(&*told[0].operation.as_ref().unwrap().request_id, "0", "the first of them");
        assert_eq!(next, Some(now + 2 * EVERY));
        assert_eq!(refused.take(now + 2 * EVERY), (Vec::new(), None));
        assert!(lock(&refused.state).accounts.is_empty(), "nothing is left of it");
    }

    #[test]
    fn what_differs_is_told_apart() {
        let refused = RefusedOperations::default();
        let other = ResourceIndicator::parse("https://gw.example/other").unwrap();
        for operation in [
            operation("wipe", "rule 0"),
            operation("wipe", "rule 1"),
            operation("drop", "rule 0"),
            RefusedOperation { grant: GrantId([2; 16]), ..operation("wipe", "rule 0") },
            RefusedOperation { resource: other, ..operation("wipe", "rule 0") },
        ] {
            note(&refused, "ada", operation.clone());
            note(&refused, "bob", operation);
        }
        assert_eq!(refused.take(Instant::now()).0.len(), 10);
        assert_eq!(refused.take_all(), []);
    }

    #[test]
    fn of_one_account_twenty_are_told_apart_and_the_rest_counted() {
        let (refused, now) = (RefusedOperations::default(), Instant::now());
        for n in 0..1000 {
            note(&refused, "eve", operation(&format!("tool-{n}"), "no scope opens it"));
        }
        note(&refused, "ada", operation("wipe", "rule 0"));
        let (told, _) = refused.take(now);
        assert_eq!(told.len(), OF_ACCOUNT + 2);
        assert_eq!(counts(&told)[..2], [(Some("ada"), Some("tools/call wipe"), 1), (Some("eve"), None, 980)]);
        note(&refused, "eve", operation("one more", "no scope opens it"));
        assert_eq!(refused.take(now).0, [], "not before the minute is over");
        assert_eq!(counts(&refused.take_all()), [(Some("eve"), None, 1)]);
    }

    #[test]
    fn many_accounts_are_bounded_in_memory_and_rows_and_all_are_counted() {
        let (refused, now) = (RefusedOperations::default(), Instant::now());
        for n in 0..1000 {
            for tool in 0..10 {
                note(&refused, &format!("user-{n}"), operation(&format!("tool-{tool}"), "rule 0"));
            }
        }
        let told = refused.take(now).0;
        assert_eq!(told.iter().filter(|of| of.operation.is_some()).count(), OF_ALL + RESERVED);
        let accounts = OF_ALL / 10 + RESERVED;
        assert_eq!(lock(&refused.state).accounts.len(), accounts + 1);
        assert!(told.len() <= OF_ALL + RESERVED + accounts + 1, "{}", told.len());
        assert_eq!(told.iter().map(|of| of.count).sum::<u64>(), 10_000);
        let others = told.iter().find(|of| of.subject.is_none()).unwrap();
        assert_eq!(others.count, 10_000 - u64::try_from(10 * accounts).unwrap());
    }

    #[test]
    fn what_is_put_back_comes_again_and_nothing_twice() {
        let (refused, now) = (RefusedOperations::default(), Instant::now());
        for tool in 0..30 {
            note(&refused, "ada", operation(&tool.to_string(), "rule 0"));
        }
        let told = refused.take(now).0;
        told.into_iter().for_each(|of| refused.put_back(of));
        assert_eq!(refused.take(now).0, []);
        let told = refused.take(now + EVERY).0;
        assert_eq!((told.len(), told.iter().map(|of| of.count).sum::<u64>()), (OF_ACCOUNT + 1, 30));
        // Even if it was forgotten meanwhile.
        assert_eq!(refused.take(now + 2 * EVERY), (Vec::new(), None));
        told.into_iter().for_each(|of| refused.put_back(of));
        assert_eq!(refused.take_all().iter().map(|of| of.count).sum::<u64>(), 30);
    }

    #[test]
    fn a_long_reason_is_cut() {
        let refused = RefusedOperations::default();
        note(&refused, "ada", operation("wipe", &"ü".repeat(LONGEST)));
        let told = refused.take_all();
        assert_eq!(told[0].operation.as_ref().unwrap().why.chars().count(), LONGEST / 2);
    }
}
