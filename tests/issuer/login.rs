//! LI: login, and the links that set a password.

use std::sync::Arc;
use std::time::Duration;

use mcpgate::issuer::{AuthorizeRejection, Caller, Handles, LoginOutcome, PasswordRefused, SetupOutcome, Step, View};
use mcpgate::oauth::{LoginNameHash, TenantId};
use mcpgate::store::memory::MemoryStore;
use mcpgate::store::{AccountStatus, AuditEvent, NewPassword, Store};

use super::driver::*;

pub(crate) async fn attempt(
    world: &World,
    browser: &Handles,
    name: &str,
    password: &str,
    from: &Caller,
) -> LoginOutcome {
    world.request(from).log_in(browser, name, password).await.unwrap()
}

pub(crate) fn wait(outcome: &LoginOutcome) -> Option<u64> {
    match outcome {
        LoginOutcome::Throttled(wait) => Some(wait.as_secs()),
        _ => None,
    }
}

#[tokio::test]
async fn a_login_by_a_password_that_is_replaced_meanwhile_begins_nothing() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let world = World::over(Arc::clone(&store), |_| {}).await;
    let subject = world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let browser = world.browser(&client.id, &[]).await;
    let new = NewPassword {
        phc: "$new".to_owned(),
        name: LoginNameHash::of(&TenantId::default(), "ada", &world.keys),
        at: world.now(),
    };
    let row = world.row();
    // After three reads (transaction, client, record of the name): while the hash is computed.
    let change = async move {
        store.set_password(&subject, new, row).await.unwrap();
    };
    *world.store.meanwhile.lock().unwrap() = Some((3, Box::pin(change)));
    let before = world.count(AuditEvent::LoginSucceeded).await;
    let login = world.request(&caller(1)).log_in(&browser, "ada", PASSWORD).await;
    assert!(matches!(login, Ok(LoginOutcome::Refused)), "{login:?}");
    assert_eq!(world.count(AuditEvent::LoginSucceeded).await, before);
}

#[tokio::test]
async fn names_are_compared_without_case_and_a_success_is_recorded() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let browser = world.browser(&client.id, &[]).await;
    let outcome = attempt(&world, &browser, " ADA ", PASSWORD, &caller(1)).await;
    assert!(matches!(outcome, LoginOutcome::LoggedIn { step: Step::Consent, .. }), "{outcome:?}");
    assert_eq!(world.last_event().await, AuditEvent::LoginSucceeded);
}

#[tokio::test]
async fn li_04_unknown_name_wrong_password_and_disabled_account_get_one_answer() {
    let world = World::new().await;
    world.account("ada").await;
    let off = world.account("off").await;
    world.inner().set_account_disabled(&off, true, world.row()).await.unwrap();
    let client = world.public_client(CALLBACK).await;
    let browser = world.browser(&client.id, &[]).await;
    for (name, password) in [("nobody", PASSWORD), ("ada", "wrong"), ("off", PASSWORD), ("", ""), ("ada", "")] {
        let outcome = attempt(&world, &browser, name, password, &caller(1)).await;
        assert!(matches!(outcome, LoginOutcome::Refused), "{name}: {outcome:?}");
        assert_eq!(world.last_event().await, AuditEvent::LoginFailed);
    }
    let rows = world.audit().await;
    assert!(rows.iter().all(|r| !format!("{r:?}").contains("nobody")), "a typed name is not recorded");
}

/// The CPU time used by this thread.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

#[test]
fn li_04_an_unknown_name_takes_as_long_as_a_wrong_password() {
    // Only this thread and one that hashes do the work. CPU time excludes the work of other threads.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    let spent = async || thread_time() + tokio::task::spawn_blocking(thread_time).await.unwrap();
    runtime.block_on(async {
        let world = World::with(|config| {
            config.login.argon2_memory_kib = 19 * 1024;
            config.login.argon2_passes = 2;
            config.rates.login_free_failures = 1000;
        })
        .await;
        world.account("ada").await;
        let client = world.public_client(CALLBACK).await;
        let browser = world.browser(&client.id, &[]).await;
        let timed = async |name: &str, from: u8| {
            let before = spent().await;
            let outcome = attempt(&world, &browser, name, "wrong", &caller(from)).await;
            assert!(matches!(outcome, LoginOutcome::Refused), "{name}: {outcome:?}");
            spent().await - before
        };
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        // Alternating, so that a processor that slows down affects both.
        for n in 0..15 {
            known.push(timed("ada", n).await);
            unknown.push(timed("nobody", n).await);
        }
        known.sort_unstable();
        unknown.sort_unstable();
        let ratio = unknown[7].as_secs_f64() / known[7].as_secs_f64();
        assert!((0.8..1.25).contains(&ratio), "{unknown:?} against {known:?}");
    });
}

#[tokio::test]
async fn li_02_the_owner_is_told_of_the_failures_that_paused_the_login() {
    let world = World::with(|config| config.rates.login_pause_failures = 3).await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let mut browser = world.browser(&client.id, &[]).await;
    let told = async |browser: &Handles| {
        let View::Consent(page) = world.request(&caller(1)).view(browser).await.unwrap() else { panic!("consent") };
        let account = world.request(&caller(1)).account(browser.session.as_deref().unwrap()).await.unwrap().unwrap();
        assert_eq!(page.failed_logins, account.failed_logins);
        account.failed_logins
    };
    for stranger in 2..4 {
        attempt(&world, &browser, "ada", "wrong", &caller(stranger)).await;
    }
    world.log_in(&mut browser, "ada").await;
    assert_eq!(told(&browser).await, None, "two failures may be the user's own mistakes");
    let mut browser = world.browser(&client.id, &[]).await;
    for stranger in 4..8 {
        attempt(&world, &browser, "ada", "wrong", &caller(stranger)).await;
    }
    let last = world.now();
    world.pass(60);
    world.log_in(&mut browser, "ada").await;
    let failed = told(&browser).await.unwrap();
    assert!(failed.count >= 3 && failed.last == last, "{failed:?}");
    let mut browser = world.browser(&client.id, &[]).await;
    world.log_in(&mut browser, "ada").await;
    assert_eq!(told(&browser).await, None, "reported once, at the first login after them");
}

#[tokio::test]
async fn a_hash_with_old_parameters_is_renewed_at_login() {
    let world = World::new().await;
    let subject = world.account("ada").await;
    let before = world.inner().find_account(&TenantId::default(), &subject).await.unwrap().unwrap().password;
    world.reload(|config| config.login.argon2_passes = 2);
    let client = world.public_client(CALLBACK).await;
    let mut browser = world.browser(&client.id, &[]).await;
    let tokens = world.sign_in(&client.id, &[], "ada").await;
    world.log_in(&mut browser, "ada").await;
    let after = world.inner().find_account(&TenantId::default(), &subject).await.unwrap().unwrap().password;
    assert_ne!(before, after);
    assert!(after.unwrap().contains("t=2"));
    assert!(world.is_live(&tokens.access).await, "a rehash revokes nothing");
}

#[tokio::test]
async fn li_07_a_poor_password_is_refused_and_does_not_cost_the_link() {
    let world = World::new().await;
    let subject = world.account("ada").await;
    let link = world.link(&subject, "next").await;
    assert_eq!(world.request(&Caller::default()).find_setup(link.reveal()).await.unwrap().as_deref(), Some("ada"));
    for (password, why) in [("short", PasswordRefused::TooShort(12)), ("Password1234!", PasswordRefused::TooCommon)] {
        match world.request(&caller(1)).redeem_setup(link.reveal(), password, None).await.unwrap() {
            SetupOutcome::Refused(refused) => assert_eq!(refused, why),
            other => panic!("{other:?}"),
        }
    }
    let rows: Vec<_> = world.audit().await.into_iter().filter(|r| r.event == AuditEvent::PasswordRefused).collect();
    assert!(rows.iter().all(|row| row.subject.as_ref() == Some(&subject)), "{rows:?}");
    let reasons: Vec<_> = rows.iter().map(|row| row.reason.as_deref().unwrap()).collect();
    assert_eq!(reasons, ["too_short", "too_common"]);
    let done = world.request(&caller(1)).redeem_setup(link.reveal(), "another-teapot-42", None).await.unwrap();
    assert!(matches!(done, SetupOutcome::Done(Some(_))), "{done:?}");
}

#[tokio::test]
async fn li_08_a_link_works_once_and_for_an_hour() {
    let world = World::new().await;
    let subject = world.account("ada").await;
    let link = world.link(&subject, "once").await;
    world.request(&caller(1)).redeem_setup(link.reveal(), "another-teapot-42", None).await.unwrap();
    let again = world.request(&caller(1)).redeem_setup(link.reveal(), "another-teapot-43", None).await.unwrap();
    assert!(matches!(again, SetupOutcome::Gone), "{again:?}");
    assert_eq!(world.request(&Caller::default()).find_setup(link.reveal()).await.unwrap(), None);

    let older = world.link(&subject, "older").await;
    let newer = world.link(&subject, "newer").await;
    assert_eq!(
        world.request(&Caller::default()).find_setup(older.reveal()).await.unwrap(),
        None,
        "a newer link replaces the older one"
    );
    world.pass(3600);
    assert_eq!(world.request(&Caller::default()).find_setup(newer.reveal()).await.unwrap(), None, "expired");
    let invented =
        world.request(&caller(1)).redeem_setup("mcp_session_invented", "another-teapot-44", None).await.unwrap();
    assert!(matches!(invented, SetupOutcome::Gone), "{invented:?}");
}

#[tokio::test]
async fn the_account_page_has_its_own_transaction() {
    let world = World::new().await;
    world.account("ada").await;
    let started = world.request(&caller(1)).begin_account(None).await.unwrap();
    assert!(matches!(started.step, Step::LogIn));
    let mut browser = handles(started);
    let View::LogIn(page) = world.request(&caller(1)).view(&browser).await.unwrap() else { panic!("login") };
    assert_eq!((page.client_name, page.resource_name), (None, None));
    assert!(matches!(world.log_in(&mut browser, "ada").await, Step::Account));
    let session = browser.session.as_deref();
    assert!(matches!(world.request(&caller(1)).begin_account(session).await.unwrap().step, Step::Account));
    assert!(matches!(world.request(&caller(1)).view(&browser).await, Err(AuthorizeRejection::Finished)));
}

#[tokio::test]
async fn an_account_switched_off_loses_its_session() {
    let world = World::new().await;
    let subject = world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let mut browser = world.browser(&client.id, &[]).await;
    world.log_in(&mut browser, "ada").await;
    world.inner().set_account_disabled(&subject, true, world.row()).await.unwrap();
    let account = world.inner().find_account(&TenantId::default(), &subject).await.unwrap().unwrap();
    assert_eq!(account.status, AccountStatus::Disabled);
    assert!(world.request(&caller(1)).account(browser.session.as_deref().unwrap()).await.unwrap().is_none());
    assert!(matches!(world.request(&caller(1)).view(&browser).await.unwrap(), View::LogIn(_)));
}
