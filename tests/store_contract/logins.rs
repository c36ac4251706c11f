//! Sign-in history: counted failures of every name, and the familiar places of each account.

use std::net::IpAddr;
use std::sync::Arc;

use mcpgate::oauth::{Lifetime, LoginName, TenantId, Timestamp};
use mcpgate::store::{Account, AuditEvent, LoginPlace, SignIn, Store};

use crate::world::*;

crate::on_every_store! {
    failures_are_counted_until_a_success_or_a_new_password,
    failures_of_a_name_that_nobody_has_are_counted_as_long,
    the_last_places_of_an_account_are_remembered,
    one_read_tells_what_an_attempt_is_judged_by,
}

fn host(n: u8) -> LoginPlace {
    LoginPlace::Host(IpAddr::from([198, 51, n, 0]))
}

fn network(n: u8) -> LoginPlace {
    LoginPlace::Network(IpAddr::from([198, 51, n, 0]))
}

/// A failed sign-in as `name`; `exists` says whether an account has this name.
async fn fail(store: &Arc<dyn Store>, name: &str, exists: bool, at: Timestamp) -> u32 {
    let subject = exists.then(|| subject(name));
    store.record_login_failure(sign_in(name, [host(1), network(1)], at), subject).await.unwrap()
}

async fn failures(store: &Arc<dyn Store>, name: &str, at: Timestamp) -> u32 {
    store.find_login(sign_in(name, [host(1), network(1)], at), Some(login_name(name))).await.unwrap().failures
}

async fn last(store: &Arc<dyn Store>, place: LoginPlace) -> Option<Timestamp> {
    let history = store.find_login(sign_in("alice", [place, place], START), Some(login_name("alice"))).await.unwrap();
    assert_eq!(history.last_logins[0], history.last_logins[1]);
    history.last_logins[0]
}

async fn failures_are_counted_until_a_success_or_a_new_password(store: Arc<dyn Store>) {
    settle(&store).await;
    assert_eq!((fail(&store, "alice", true, START).await, fail(&store, "alice", true, START).await), (1, 2));
    let told = store.find_account(&tenant(), &subject("alice")).await.unwrap().unwrap();
    assert_eq!((told.failed_logins, told.last_failed_at), (2, Some(START)));
    assert_eq!(store.find_account(&tenant(), &subject("bob")).await.unwrap().unwrap().failed_logins, 0);
    assert_eq!((failures(&store, "alice", START).await, failures(&store, "bob", START).await), (2, 0));
    let places = [host(1), network(1)];
    store.record_login_success(sign_in("alice", places, START), subject("alice")).await.unwrap();
    assert_eq!(failures(&store, "alice", START).await, 0);
    assert_eq!(fail(&store, "alice", true, START).await, 1);
    let set = row(AuditEvent::PasswordSet, START);
    store.set_password(&subject("alice"), new_password("$new", "alice", START), set).await.unwrap();
    assert_eq!(fail(&store, "alice", true, START).await, 1);
}

async fn failures_of_a_name_that_nobody_has_are_counted_as_long(store: Arc<dyn Store>) {
    settle(&store).await;
    // Sweeps the unused client, so that the sweeps below count names only.
    store.sweep(START.plus(DAY), DAY).await.unwrap();
    let hour = |n: u64| START.plus(Lifetime::from_secs(n * 3600));
    let names = [("alice", true), ("nobody", false)];
    for (name, exists) in names {
        assert_eq!((fail(&store, name, exists, hour(60)).await, fail(&store, name, exists, hour(80)).await), (1, 2));
        let other = TenantId::parse("other").unwrap();
        let elsewhere = store
            .record_login_failure(SignIn { tenant: other, ..sign_in(name, [host(1), network(1)], hour(80)) }, None)
            .await
            .unwrap();
        assert_eq!(elsewhere, 1, "each tenant has its own count");
    }
    let last = Timestamp::from_millis(hour(104).as_millis() - 1);
    store.sweep(last, DAY).await.unwrap();
    for (name, exists) in names {
        assert_eq!(failures(&store, name, last).await, 2, "{name}");
        assert_eq!(failures(&store, name, hour(104)).await, 0, "{name}");
        assert_eq!(fail(&store, name, exists, hour(104)).await, 1, "{name}: the count restarts, swept or not");
        assert_eq!(fail(&store, name, exists, hour(105)).await, 2, "{name}");
    }
    assert_eq!(store.sweep(hour(104), DAY).await.unwrap(), 2, "the counts of the other tenant");
    assert_eq!(store.sweep(hour(129), DAY).await.unwrap(), 2);
}

async fn the_last_places_of_an_account_are_remembered(store: Arc<dyn Store>) {
    settle(&store).await;
    let alice = subject("alice");
    let other = TenantId::parse("other").unwrap();
    for n in 0..25_u8 {
        let at = START.plus(Lifetime::from_secs(n.into()));
        store.record_login_success(sign_in("alice", [host(n), network(n)], at), alice.clone()).await.unwrap();
        // The first is used again and again.
        store.record_login_success(sign_in("alice", [host(0), network(0)], at), alice.clone()).await.unwrap();
    }
    let newest = START.plus(Lifetime::from_secs(24));
    for place in [host, network] {
        assert_eq!(last(&store, place(0)).await, Some(newest));
        assert_eq!((last(&store, place(5)).await, last(&store, place(24)).await), (None, Some(newest)));
    }
    store.forget_login_places(&other, &alice, vec![network(24)]).await.unwrap();
    store.forget_login_places(&tenant(), &subject("bob"), vec![network(24)]).await.unwrap();
    assert_eq!(last(&store, network(24)).await, Some(newest));
    store.forget_login_places(&tenant(), &alice, vec![network(24)]).await.unwrap();
    assert_eq!((last(&store, network(24)).await, last(&store, host(24)).await), (None, Some(newest)), "a host stays");
}

async fn one_read_tells_what_an_attempt_is_judged_by(store: Arc<dyn Store>) {
    settle(&store).await;
    store.record_login_success(sign_in("alice", [host(1), network(1)], START), subject("alice")).await.unwrap();
    fail(&store, "alice", true, START).await;
    let ask = async |tenant: TenantId, name: &str| {
        let attempt = SignIn { tenant, ..sign_in(name, [host(2), network(1)], START) };
        store.find_login(attempt, LoginName::parse(name)).await.unwrap()
    };
    let known = ask(tenant(), "alice").await;
    let told = Account { failed_logins: 1, last_failed_at: Some(START), ..account("alice") };
    assert_eq!((known.account, known.failures, known.last_logins), (Some(told), 1, [None, Some(START)]));
    let elsewhere = ask(TenantId::parse("other").unwrap(), "alice").await;
    assert_eq!((elsewhere.account, elsewhere.failures, elsewhere.last_logins), (None, 0, [None, None]));
    for name in ["nobody", "no name at all"] {
        let nobody = ask(tenant(), name).await;
        assert_eq!((nobody.account, nobody.failures, nobody.last_logins), (None, 0, [None, None]));
    }
}
