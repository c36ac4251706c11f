//! Counts of uses: they add up, each day for itself, and go when their day has ended.

use std::sync::Arc;

use mcpgate::oauth::{AccountId, Lifetime, TenantId, Timestamp};
use mcpgate::policy::{CountKey, QuotaUse};
use mcpgate::store::{QUOTA_USES_AT_ONCE, Quota, Store, StoreError};

use crate::world::*;

crate::on_every_store! {
    uses_are_added_and_the_sums_are_told,
    each_quota_day_and_holder_has_a_count_of_its_own,
    the_counts_of_a_day_are_read_page_by_page,
    no_more_are_added_at_once_than_allowed,
    a_count_goes_when_its_day_has_ended,
    a_day_that_only_a_clock_that_was_ahead_has_seen_is_forgotten,
}

pub(crate) fn quota(limit: &str) -> Quota {
    Quota { tenant: tenant(), upstream: "files".to_owned(), limit: limit.to_owned() }
}

fn user(name: &str) -> CountKey {
    CountKey::User(AccountId::parse(name).unwrap())
}

pub(crate) fn uses(of: &str, day: Timestamp, used: u64) -> QuotaUse {
    QuotaUse { holder: user(of), day: day.midnight(), used }
}

async fn add(store: &Arc<dyn Store>, limit: &str, counted: &[QuotaUse]) -> Vec<u64> {
    store.add_quota_uses(&quota(limit), counted).await.unwrap()
}

async fn read(store: &Arc<dyn Store>, quota: &Quota, day: Timestamp) -> Vec<QuotaUse> {
    store.quota_uses(quota, day.midnight(), None, 1000).await.unwrap()
}

async fn uses_are_added_and_the_sums_are_told(store: Arc<dyn Store>) {
    assert_eq!(add(&store, "a", &[]).await, Vec::<u64>::new());
    assert_eq!(add(&store, "a", &[uses("ada", START, 2), uses("bob", START, 1)]).await, [2, 1]);
    assert_eq!(add(&store, "a", &[uses("bob", START, 4), uses("ada", START, 3)]).await, [5, 5]);
    assert_eq!(add(&store, "a", &[uses("ada", START, 0)]).await, [5], "nothing more");
    assert_eq!(read(&store, &quota("a"), START).await, [uses("ada", START, 5), uses("bob", START, 5)]);
}

async fn each_quota_day_and_holder_has_a_count_of_its_own(store: Arc<dyn Store>) {
    let other = Quota { tenant: TenantId::parse("other").unwrap(), ..quota("a") };
    let elsewhere = Quota { upstream: "other".to_owned(), ..quota("a") };
    let tomorrow = START.plus(DAY);
    let holders = [user("ada"), user("grant"), CountKey::Grant(grant_id("ada")), CountKey::Upstream, CountKey::Surplus];
    for (place, of) in [quota("a"), quota("b"), other.clone(), elsewhere.clone()].iter().enumerate() {
        for day in [START, tomorrow] {
            for holder in &holders {
                let one = QuotaUse { holder: holder.clone(), day: day.midnight(), used: place as u64 + 1 };
                assert_eq!(store.add_quota_uses(of, &[one]).await.unwrap(), [place as u64 + 1]);
            }
        }
    }
    for (of, used) in [(quota("a"), 1), (quota("b"), 2), (other, 3), (elsewhere, 4)] {
        let found = read(&store, &of, tomorrow).await;
        assert!(found.iter().all(|found| found.used == used && found.day == tomorrow.midnight()), "{found:?}");
        assert_eq!(found.len(), holders.len());
        assert!(holders.iter().all(|holder| found.iter().any(|found| found.holder == *holder)), "{found:?}");
    }
    assert_eq!(read(&store, &quota("a"), tomorrow.plus(DAY)).await, []);
}

async fn the_counts_of_a_day_are_read_page_by_page(store: Arc<dyn Store>) {
    let all: Vec<QuotaUse> = (10..35).map(|n| uses(&format!("user{n}"), START, n)).collect();
    add(&store, "a", &all).await;
    let mut found = Vec::new();
    loop {
        let after = found.last().map(|last: &QuotaUse| last.holder.clone());
        let page = store.quota_uses(&quota("a"), START.midnight(), after, 10).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 10);
        found.extend(page);
    }
    assert_eq!(found, all);
}

async fn no_more_are_added_at_once_than_allowed(store: Arc<dyn Store>) {
    let mut many: Vec<QuotaUse> = (0..=QUOTA_USES_AT_ONCE).map(|n| uses(&format!("user{n}"), START, 1)).collect();
    let refused = store.add_quota_uses(&quota("a"), &many).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    let long = Quota { limit: "x".repeat(257), ..quota("a") };
    let refused = store.add_quota_uses(&long, &many[..1]).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    assert_eq!(read(&store, &quota("a"), START).await, []);
    many.pop();
    assert_eq!(add(&store, "a", &many).await, vec![1; QUOTA_USES_AT_ONCE]);
}

async fn a_count_goes_when_its_day_has_ended(store: Arc<dyn Store>) {
    add(&store, "a", &[uses("ada", START, 1), uses("ada", START.plus(DAY), 2)]).await;
    let end = START.midnight().plus(DAY);
    let sweep = async |at| store.sweep(at, DAY).await.unwrap();
    assert_eq!(sweep(Timestamp::from_millis(end.as_millis() - 1)).await, 0);
    assert_eq!(sweep(end).await, 1);
    assert_eq!(read(&store, &quota("a"), START).await, []);
    assert_eq!(read(&store, &quota("a"), end).await, [uses("ada", end, 2)]);
    assert_eq!(sweep(end.plus(DAY)).await, 1);
}

async fn a_day_that_only_a_clock_that_was_ahead_has_seen_is_forgotten(store: Arc<dyn Store>) {
    let ahead = START.plus(Lifetime::from_secs(200 * 86_400));
    add(&store, "a", &[uses("ada", START, 1), uses("ada", ahead, 2)]).await;
    assert_eq!(store.turn_back(START, START).await.unwrap(), 1);
    assert_eq!(read(&store, &quota("a"), START).await, [uses("ada", START, 1)]);
    assert_eq!(read(&store, &quota("a"), ahead).await, []);
}
