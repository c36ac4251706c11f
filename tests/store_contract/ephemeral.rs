//! Short-lived records and their limits: they are used once, each kind has its own limits, and the source with the most
//! records is evicted first, so that nobody loses one to a caller that begins many.

use std::net::IpAddr;
use std::sync::Arc;

use mcpgate::oauth::{ClientOrigin, Lifetime, TenantId};
use mcpgate::store::memory::MemoryStore;
use mcpgate::store::{
    Advance, AuditEvent, Ephemeral, EphemeralKey, EphemeralKind, EphemeralLimits, EphemeralStep, Insertion,
    SessionHash, Source, Store, Update,
};
use proptest::prelude::*;

use crate::world::*;

crate::on_every_store! {
    a_host_that_has_no_room_loses_what_has_ended_and_then_its_oldest,
    at_a_full_site_the_host_with_the_most_makes_room,
    when_all_room_is_taken_the_site_with_the_most_makes_room,
    among_equals_the_one_that_has_begun_none_for_the_longest_makes_room,
    many_that_come_and_go_push_nobody_out,
    a_long_request_takes_more_room,
    strangers_do_not_push_out_what_somebody_has_signed_in_to,
    a_session_pushes_out_its_own,
    what_is_gone_gives_its_room_back,
    each_kind_has_keys_and_room_of_its_own,
    a_key_is_taken_once_in_a_tenant,
    ca_09_a_used_assertion_stays_until_it_has_expired,
    one_of_several_who_end_it_does_so_and_says_what_it_is_about_now,
}

const LIMITS: EphemeralLimits = EphemeralLimits { of_host: 4, of_site: 8, of_session: 3, in_all: 20 };

/// Host `host` of the site `site`.
fn source(site: u8, host: u8) -> Source {
    Source { site: IpAddr::from([198, 51, site, 0]), host: IpAddr::from([198, 51, site, host]) }
}

fn page(name: &str, source: Source) -> Ephemeral {
    Ephemeral { source, step: EphemeralStep::LogIn, ..interaction(name, START) }
}

async fn begin(store: &Arc<dyn Store>, source: Source, name: &str) {
    store.put_ephemeral(page(name, source), LIMITS).await.unwrap();
}

async fn step(
    store: &Arc<dyn Store>,
    name: &str,
    from: EphemeralStep,
    to: EphemeralStep,
    session: Option<SessionHash>,
) -> Update {
    let key = interaction(name, START).key;
    store.advance_ephemeral(&key, Advance { from, to, session, body: None }, LIMITS, START).await.unwrap()
}

async fn is_pending(store: &Arc<dyn Store>, name: &str) -> bool {
    store.find_ephemeral(&interaction(name, START).key, START).await.unwrap().is_some()
}

/// The names that are still pending.
async fn left(store: &Arc<dyn Store>, names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut left = Vec::new();
    for name in names {
        if is_pending(store, &name).await {
            left.push(name);
        }
    }
    left
}

async fn a_host_that_has_no_room_loses_what_has_ended_and_then_its_oldest(store: Arc<dyn Store>) {
    settle(&store).await;
    for name in ["a", "b", "c", "d"] {
        begin(&store, source(1, 1), name).await;
    }
    assert_eq!(step(&store, "c", EphemeralStep::LogIn, EphemeralStep::Ended, None).await, Update::Done);
    let names = || ["a", "b", "c", "d", "e", "f"].map(str::to_owned);
    begin(&store, source(1, 1), "e").await;
    assert_eq!(left(&store, names()).await, ["a", "b", "d", "e"]);
    begin(&store, source(1, 1), "f").await;
    assert_eq!(left(&store, names()).await, ["b", "d", "e", "f"]);
}

async fn at_a_full_site_the_host_with_the_most_makes_room(store: Arc<dyn Store>) {
    settle(&store).await;
    begin(&store, source(1, 1), "a person's").await;
    for (host, name) in [(2, "a"), (2, "b"), (3, "c"), (3, "d"), (3, "e"), (4, "f"), (4, "g")] {
        begin(&store, source(1, host), name).await;
    }
    begin(&store, source(1, 5), "h").await;
    assert!(!is_pending(&store, "c").await, "the oldest of the host with the most is evicted");
    for n in 0..100 {
        begin(&store, source(1, 2 + n % 4), &format!("{n}")).await;
    }
    assert!(is_pending(&store, "a person's").await);
    assert_eq!(left(&store, (0..100).map(|n| n.to_string())).await.len(), 7);
}

async fn when_all_room_is_taken_the_site_with_the_most_makes_room(store: Arc<dyn Store>) {
    settle(&store).await;
    begin(&store, source(1, 1), "a person's").await;
    for n in 0..200_u8 {
        begin(&store, source(2 + n % 4, n), &format!("{n}")).await;
    }
    assert!(is_pending(&store, "a person's").await);
    assert_eq!(left(&store, (0..200).map(|n| n.to_string())).await.len(), 19);
    // A new site evicts a record of a site with the most.
    begin(&store, source(9, 1), "another person's").await;
    assert!(is_pending(&store, "a person's").await && is_pending(&store, "another person's").await);
    assert_eq!(left(&store, (0..200).map(|n| n.to_string())).await.len(), 18);
}

async fn among_equals_the_one_that_has_begun_none_for_the_longest_makes_room(store: Arc<dyn Store>) {
    settle(&store).await;
    for n in 0..30_u8 {
        begin(&store, source(n, 1), &format!("{n}")).await;
    }
    assert_eq!(left(&store, (0..30).map(|n| n.to_string())).await, (10..30).map(|n| n.to_string()).collect::<Vec<_>>());
}

async fn many_that_come_and_go_push_nobody_out(store: Arc<dyn Store>) {
    settle(&store).await;
    begin(&store, source(1, 1), "a person's").await;
    for n in 0..500 {
        begin(&store, source(2, 1), &format!("{n}")).await;
    }
    assert!(is_pending(&store, "a person's").await, "five records do not exceed the limit of twenty");
    assert_eq!(left(&store, (0..500).map(|n| n.to_string())).await, ["496", "497", "498", "499"]);
}

async fn a_long_request_takes_more_room(store: Arc<dyn Store>) {
    settle(&store).await;
    for name in ["a", "b", "c"] {
        begin(&store, source(1, 1), name).await;
    }
    let long = |length, name| Ephemeral { body: Some("x".repeat(length)), ..page(name, source(1, 1)) };
    store.put_ephemeral(long(1023, "short"), LIMITS).await.unwrap();
    assert!(is_pending(&store, "a").await);
    store.put_ephemeral(long(2 * 1024, "long"), LIMITS).await.unwrap();
    let names = ["a", "b", "c", "short", "long"].map(str::to_owned);
    assert_eq!(left(&store, names.clone()).await, ["short", "long"]);
    // A record larger than the limit evicts all others of its host.
    store.put_ephemeral(long(60 * 1024, "huge"), LIMITS).await.unwrap();
    assert_eq!(left(&store, names).await, [""; 0]);
    assert!(is_pending(&store, "huge").await);
}

async fn strangers_do_not_push_out_what_somebody_has_signed_in_to(store: Arc<dyn Store>) {
    settle(&store).await;
    begin(&store, source(1, 1), "a person's").await;
    let (log_in, consent) = (EphemeralStep::LogIn, EphemeralStep::Consent);
    assert_eq!(step(&store, "a person's", log_in, consent, Some(hash("s"))).await, Update::Done);
    for n in 0..100_u8 {
        begin(&store, source(1, 1 + n % 2), &format!("neighbour {n}")).await;
    }
    for n in 0..100_u8 {
        begin(&store, source(n, 1), &format!("stranger {n}")).await;
    }
    assert!(is_pending(&store, "a person's").await);
}

async fn a_session_pushes_out_its_own(store: Arc<dyn Store>) {
    settle(&store).await;
    let (log_in, consent) = (EphemeralStep::LogIn, EphemeralStep::Consent);
    let of = |session, name| Ephemeral {
        session: Some(hash(session)),
        step: EphemeralStep::Consent,
        ..page(name, source(1, 1))
    };
    store.put_ephemeral(of("other", "another's"), LIMITS).await.unwrap();
    for name in ["a", "b", "c", "d"] {
        store.put_ephemeral(of("s", name), LIMITS).await.unwrap();
    }
    begin(&store, source(1, 1), "e").await;
    assert_eq!(step(&store, "e", log_in, consent, Some(hash("s"))).await, Update::Done);
    let names = ["another's", "a", "b", "c", "d", "e"].map(str::to_owned);
    assert_eq!(left(&store, names.clone()).await, ["another's", "c", "d", "e"]);
    // Showing the same page again does not count twice.
    assert_eq!(step(&store, "e", consent, consent, Some(hash("s"))).await, Update::Done);
    assert_eq!(left(&store, names).await, ["another's", "c", "d", "e"]);
}

async fn what_is_gone_gives_its_room_back(store: Arc<dyn Store>) {
    settle(&store).await;
    let later = |name: &str, seconds| Ephemeral {
        expires_at: START.plus(Lifetime::from_secs(seconds)),
        ..page(name, source(1, 1))
    };
    for name in ["a", "b", "c", "d"] {
        store.put_ephemeral(later(name, if name == "a" { 10 } else { 20 }), LIMITS).await.unwrap();
    }
    assert_eq!(store.sweep(START.plus(Lifetime::from_secs(15)), DAY).await.unwrap(), 1);
    begin(&store, source(1, 1), "e").await;
    let names = || ["b", "c", "d", "e", "f"].map(str::to_owned);
    assert_eq!(left(&store, names()).await, ["b", "c", "d", "e"]);
    // Deleting a client deletes its records.
    store.delete_client(&client_id("app"), row(AuditEvent::ClientDeleted, START)).await.unwrap();
    assert_eq!(left(&store, names()).await, [""; 0]);
    let again = client("app", ClientOrigin::Registered);
    store.insert_client(again, 100, row(AuditEvent::ClientRegistered, START)).await.unwrap();
    for name in ["b", "c", "d", "e"] {
        begin(&store, source(1, 1), name).await;
    }
    assert_eq!(left(&store, names()).await, ["b", "c", "d", "e"]);
}

/// The same record as another kind.
fn pushed(one: Ephemeral) -> Ephemeral {
    Ephemeral { key: EphemeralKey { kind: EphemeralKind::PushedRequest, ..one.key }, ..one }
}

async fn each_kind_has_keys_and_room_of_its_own(store: Arc<dyn Store>) {
    settle(&store).await;
    begin(&store, source(1, 1), "a person's").await;
    for n in 0..100_u8 {
        let one = pushed(page(&n.to_string(), source(1 + n % 8, 1)));
        assert_eq!(store.put_ephemeral(one, LIMITS).await.unwrap(), Insertion::Inserted);
    }
    assert!(is_pending(&store, "a person's").await);
    assert_eq!(left(&store, (0..100).map(|n| n.to_string())).await, [""; 0], "records of another kind are not found");
    let kept = async |n: u8| {
        let key = pushed(page(&n.to_string(), source(1, 1))).key;
        store.find_ephemeral(&key, START).await.unwrap().is_some()
    };
    let mut count = 0;
    for n in 0..100 {
        count += u32::from(kept(n).await);
    }
    assert_eq!(count, 20, "as many as the overall limit");
    let same = pushed(page("a person's", source(1, 1)));
    assert_eq!(store.put_ephemeral(same.clone(), LIMITS).await.unwrap(), Insertion::Inserted);
    let end = Advance { from: EphemeralStep::LogIn, to: EphemeralStep::Ended, session: None, body: None };
    assert_eq!(store.advance_ephemeral(&same.key, end, LIMITS, START).await.unwrap(), Update::Done);
    let other = store.find_ephemeral(&page("a person's", source(1, 1)).key, START).await.unwrap().unwrap();
    assert_eq!(other.step, EphemeralStep::LogIn);
}

fn assertion(name: &str, source: Source) -> Ephemeral {
    let one = page(name, source);
    let key = EphemeralKey { kind: EphemeralKind::ClientAssertion, ..one.key };
    Ephemeral { key, step: EphemeralStep::Ended, browser: None, body: None, ..one }
}

/// Nothing may push it out, or it could be used a second time: what finds no room is refused.
async fn ca_09_a_used_assertion_stays_until_it_has_expired(store: Arc<dyn Store>) {
    settle(&store).await;
    let put = async |name: &str, source| store.put_ephemeral(assertion(name, source), LIMITS).await.unwrap();
    for name in ["a", "b", "c", "d"] {
        assert_eq!(put(name, source(1, 1)).await, Insertion::Inserted);
    }
    assert_eq!(put("a", source(2, 1)).await, Insertion::Exists, "from wherever it comes");
    assert_eq!(put("e", source(1, 1)).await, Insertion::Full, "of the host");
    assert_eq!(put("a", source(1, 1)).await, Insertion::Exists, "which is told apart from a full store");
    for name in ["e", "f", "g", "h"] {
        assert_eq!(put(name, source(1, 2)).await, Insertion::Inserted);
    }
    assert_eq!(put("i", source(1, 3)).await, Insertion::Full, "of the site");
    for n in 0..12_u8 {
        assert_eq!(put(&format!("{n}"), source(2 + n, 1)).await, Insertion::Inserted);
    }
    assert_eq!(put("j", source(99, 1)).await, Insertion::Full, "in all");
    let roomy = EphemeralLimits { of_host: u64::MAX, of_site: u64::MAX, in_all: u64::MAX, ..LIMITS };
    let own = assertion("k", source(99, 1));
    assert_eq!(
        store.put_ephemeral(own, roomy).await.unwrap(),
        Insertion::Inserted,
        "each caller says what is too much"
    );
    begin(&store, source(1, 1), "a person's").await;
    assert!(is_pending(&store, "a person's").await, "another kind has room of its own");
    for name in ["a", "h", "11", "k"] {
        let key = assertion(name, source(1, 1)).key;
        assert!(store.find_ephemeral(&key, START).await.unwrap().is_some(), "{name}");
    }
    let end = assertion("a", source(1, 1)).expires_at;
    store.sweep(end, Lifetime::from_secs(86_400)).await.unwrap();
    assert_eq!(put("a", source(1, 1)).await, Insertion::Inserted, "after that it would be refused as expired");
}

async fn a_key_is_taken_once_in_a_tenant(store: Arc<dyn Store>) {
    settle(&store).await;
    let first = page("a", source(1, 1));
    assert_eq!(store.put_ephemeral(first.clone(), LIMITS).await.unwrap(), Insertion::Inserted);
    let second = Ephemeral { body: Some("other".to_owned()), ..first.clone() };
    assert_eq!(store.put_ephemeral(second.clone(), LIMITS).await.unwrap(), Insertion::Exists);
    assert_eq!(store.find_ephemeral(&first.key, START).await.unwrap(), Some(first.clone()));
    assert_eq!(step(&store, "a", EphemeralStep::LogIn, EphemeralStep::Ended, None).await, Update::Done);
    assert_eq!(
        store.put_ephemeral(second.clone(), LIMITS).await.unwrap(),
        Insertion::Exists,
        "an ended record keeps its key"
    );
    let key = EphemeralKey { tenant: TenantId::parse("other").unwrap(), ..first.key };
    let elsewhere = Ephemeral { key, client: None, ..second };
    assert_eq!(store.put_ephemeral(elsewhere.clone(), LIMITS).await.unwrap(), Insertion::Inserted);
    assert_eq!(store.find_ephemeral(&elsewhere.key, START).await.unwrap(), Some(elsewhere));
}

async fn one_of_several_who_end_it_does_so_and_says_what_it_is_about_now(store: Arc<dyn Store>) {
    settle(&store).await;
    let one = page("a", source(1, 1));
    store.put_ephemeral(one.clone(), LIMITS).await.unwrap();
    let end = |body: &str| Advance {
        from: EphemeralStep::LogIn,
        to: EphemeralStep::Ended,
        session: None,
        body: Some(body.to_owned()),
    };
    assert_eq!(
        store.advance_ephemeral(&one.key, end("first"), LIMITS, one.expires_at).await.unwrap(),
        Update::NotFound
    );
    assert_eq!(store.advance_ephemeral(&one.key, end("first"), LIMITS, START).await.unwrap(), Update::Done);
    assert_eq!(store.advance_ephemeral(&one.key, end("second"), LIMITS, START).await.unwrap(), Update::NotFound);
    let found = store.find_ephemeral(&one.key, START).await.unwrap().unwrap();
    assert_eq!((found.step, found.body.as_deref()), (EphemeralStep::Ended, Some("first")));
    let monster = store.advance_ephemeral(&one.key, end(&"x".repeat(70_000)), LIMITS, START).await;
    assert!(monster.is_err(), "{monster:?}");
}

/// One operation on pending authorizations.
#[derive(Debug, Clone)]
enum Operation {
    Begin { site: u8, host: u8, length: usize },
    Bind { nth: usize, session: u8 },
    Back { nth: usize },
    End { nth: usize },
}

fn operation() -> impl Strategy<Value = Operation> {
    let begin = (0..4_u8, 0..3_u8, prop_oneof![9 => Just(10_usize), 1 => 0..6000_usize]);
    prop_oneof![
        6 => begin.prop_map(|(site, host, length)| Operation::Begin { site, host, length }),
        2 => (0..60_usize, 0..3_u8).prop_map(|(nth, session)| Operation::Bind { nth, session }),
        1 => (0..60_usize).prop_map(|nth| Operation::Back { nth }),
        1 => (0..60_usize).prop_map(|nth| Operation::End { nth }),
    ]
}

/// Runs all operations; returns the remaining records.
async fn carry_out(store: &Arc<dyn Store>, operations: &[Operation]) -> Vec<(String, EphemeralStep)> {
    settle(store).await;
    let (log_in, consent, ended) = (EphemeralStep::LogIn, EphemeralStep::Consent, EphemeralStep::Ended);
    for (n, operation) in operations.iter().enumerate() {
        match operation {
            Operation::Begin { site, host, length } => {
                let begun = page(&n.to_string(), source(*site, *host));
                let begun = Ephemeral { body: Some("x".repeat(*length)), ..begun };
                store.put_ephemeral(begun, LIMITS).await.unwrap();
            }
            Operation::Bind { nth, session } => {
                let session = Some(hash(&session.to_string()));
                if step(store, &nth.to_string(), log_in, consent, session).await == Update::NotFound {
                    step(store, &nth.to_string(), consent, consent, session).await;
                }
            }
            Operation::Back { nth } => drop(step(store, &nth.to_string(), consent, log_in, None).await),
            Operation::End { nth } => {
                if step(store, &nth.to_string(), log_in, ended, None).await == Update::NotFound {
                    step(store, &nth.to_string(), consent, ended, None).await;
                }
            }
        }
    }
    let mut left = Vec::new();
    for n in 0..operations.len() {
        let key = interaction(&n.to_string(), START).key;
        let found = store.find_ephemeral(&key, START).await.unwrap();
        left.extend(found.map(|found| (n.to_string(), found.step)));
    }
    left
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_make_room_alike(operations in prop::collection::vec(operation(), 1..60)) {
        let model: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let expected = crate::wait(carry_out(&model, &operations));
        crate::run_on_embedded(|store| async move {
            assert_eq!(carry_out(&store, &operations).await, expected);
        });
    }
}
