//! Clients about which an operator decides (`registration.mode = "approval"`): sign-ins that wait, and what goes on.

use mcpgate::config::WhoRegisters;
use mcpgate::issuer::{Administration, AuthorizeRejection, ClientQuery, Decision, Handles, Step, View};
use mcpgate::oauth::{ClientId, Lifetime, Rule, TenantId};
use mcpgate::policy::AccountList;
use mcpgate::store::AuditEvent;
use serde_json::json;

use super::assertions::{claims, rule, send};
use super::config::NOTES;
use super::driver::*;
use super::signing_key::SigningKey;
use super::tokens::Tokens;

const DOCUMENT: &str = "https://app.example/client.json";

/// A gateway whose operator decides about each client, with the account `ada`.
async fn world() -> World {
    let world = World::with(|config| config.registration.who = WhoRegisters::Approved).await;
    world.account("ada").await;
    world
}

/// Approves or rejects a client as it is now.
pub(crate) async fn decide(world: &World, client: &ClientId, approved: bool) {
    world.operator().decide_client(client.as_str(), approved, None).await.unwrap();
}

impl World {
    /// An operator's commands, by the configuration in force.
    fn operator(&self) -> Administration {
        Administration::new(self.services.clone(), TenantId::default())
    }

    /// A browser that has signed in with the client, whose page may wait.
    async fn signed_in(&self, client: &ClientId) -> Handles {
        let mut browser = self.browser(client, &[]).await;
        let step = self.log_in(&mut browser, "ada").await;
        assert!(matches!(step, Step::Consent), "{step:?}");
        browser
    }

    async fn shows(&self, browser: &Handles) -> &'static str {
        match self.request(&caller(1)).view(browser).await {
            Ok(View::Waiting(view)) if view.rest.is_some() => "waiting",
            Ok(View::Waiting(_)) => "rejected",
            Ok(View::Consent(_)) => "consent",
            Ok(View::NoAccess(_)) => "no access",
            other => panic!("{other:?}"),
        }
    }

    async fn waiting(&self) -> Vec<(String, Option<String>)> {
        let query = ClientQuery { waiting: true, ..ClientQuery::default() };
        let page = self.operator().list_clients(&query).await.unwrap();
        let waits = |listed: mcpgate::issuer::ListedClient| {
            let waits = listed.standing.unwrap().waits.unwrap();
            (listed.client.id.as_str().to_owned(), waits.user)
        };
        page.clients.into_iter().map(waits).collect()
    }
}

fn document(world: &World, redirect_uris: &[&str], name: &str) {
    let document = json!({"client_id": DOCUMENT, "client_name": name, "redirect_uris": redirect_uris});
    world.fetch.serve(DOCUMENT, &document, None, false);
}

#[tokio::test]
async fn cn_24_a_sign_in_waits_for_the_operator_and_goes_on_as_it_was_asked_for() {
    let world = world().await;
    let client = world.public_client(CALLBACK).await.id;
    let browser = world.signed_in(&client).await;
    assert_eq!(world.shows(&browser).await, "waiting");
    assert_eq!(world.waiting().await, [(client.as_str().to_owned(), Some("ada".to_owned()))]);
    let refused = world.request(&caller(1)).decide(&browser, all()).await.unwrap_err();
    assert!(matches!(refused, AuthorizeRejection::NotApproved), "{refused:?}");
    assert_eq!(world.count(AuditEvent::ConsentGiven).await, 0);
    assert_eq!(world.shows(&browser).await, "waiting");
    assert_eq!(world.count(AuditEvent::ClientWaits).await, 1, "told once, however often the page is reloaded");
    // The decision and the sign-in are in the store.
    decide(&world, &client, true).await;
    let next = world.next_process().await;
    assert_eq!(next.shows(&browser).await, "consent");
    assert!(next.waiting().await.is_empty());
    let location = next.request(&caller(1)).decide(&browser, all()).await.unwrap();
    assert_eq!(parameter(&location, "state").as_deref(), Some("the state"));
    let tokens = next.redeem(&client, &parameter(&location, "code").unwrap()).await.unwrap();
    assert!(next.is_live(&tokens.access).await);
    let again = next.signed_in(&client).await;
    assert_eq!(next.shows(&again).await, "consent", "nobody waits for what is approved");
}

#[tokio::test]
async fn both_doors_wait_and_a_client_of_the_operators_does_not() {
    let world = world().await;
    document(&world, &[CALLBACK], "App");
    let described = ClientId::parse(DOCUMENT).unwrap();
    let registered = world.public_client(CALLBACK).await.id;
    let added = world.manual_client("added", CALLBACK, None).await.id;
    for (client, shown) in [(&described, "waiting"), (&registered, "waiting"), (&added, "consent")] {
        let browser = world.signed_in(client).await;
        assert_eq!(world.shows(&browser).await, shown, "{client:?}");
    }
    let session = world.signed_in(&described).await.session;
    let silent = world.begin(&described, &[("prompt", "none")], session.as_deref()).await;
    assert_eq!(linked(silent), "access_denied");
    world.reload(|config| config.registration.who = WhoRegisters::Anybody);
    let browser = world.signed_in(&described).await;
    assert_eq!(world.shows(&browser).await, "consent", "decisions count where operators decide");
}

#[tokio::test]
async fn rg_18_a_stranger_who_has_not_signed_in_lists_nothing() {
    let world = world().await;
    let client = world.public_client(CALLBACK).await.id;
    world.browser(&client, &[]).await;
    assert!(world.waiting().await.is_empty());
    world
        .reload(|config| config.upstreams.iter_mut().for_each(|up| up.holders.admitted = Some(AccountList::default())));
    let browser = world.signed_in(&client).await;
    assert_eq!(world.shows(&browser).await, "no access", "nor does somebody who could not use it");
    assert!(world.waiting().await.is_empty());
}

#[tokio::test]
async fn rg_18_a_person_lists_some_clients_and_a_sign_in_that_waits_is_listed_again() {
    let world = world().await;
    world.reload(|config| config.rates.registrations_per_hour = 1000);
    let first = world.public_client(CALLBACK).await.id;
    let browser = world.signed_in(&first).await;
    assert_eq!(world.shows(&browser).await, "waiting");
    for _ in 0..30 {
        world.pass(10);
        let another = world.public_client(CALLBACK).await.id;
        let started = world.begin(&another, &[], browser.session.as_deref()).await.unwrap();
        let page = Handles { session: browser.session.clone(), ..handles(started) };
        assert_eq!(world.shows(&page).await, "waiting");
    }
    let listed = async || world.waiting().await.into_iter().filter(|(id, _)| id == first.as_str()).count();
    assert_eq!((world.waiting().await.len(), listed().await), (20, 0));
    assert_eq!(world.shows(&browser).await, "waiting");
    assert_eq!((world.waiting().await.len(), listed().await), (20, 1));
}

#[tokio::test]
async fn after_ten_minutes_the_page_leads_back_and_lets_ask_again_and_the_client_stays_listed() {
    let world = world().await;
    let client = world.public_client(CALLBACK).await.id;
    let browser = world.signed_in(&client).await;
    assert_eq!(world.shows(&browser).await, "waiting");
    world.pass(600);
    let late = world.request(&caller(1)).view(&browser).await.unwrap_err();
    let AuthorizeRejection::WaitedInVain { again, back, .. } = late else { panic!("{late:?}") };
    assert!(again.starts_with("/authorize?") && again.contains("state=the%20state"), "{again}");
    assert_eq!(back.target, "client.example");
    assert_eq!(redirected(Err(AuthorizeRejection::Redirect(back.location))), "access_denied");
    world.pass(6 * 24 * 3600);
    world.inner().sweep(world.now(), Lifetime::from_secs(3600)).await.unwrap();
    assert_eq!(world.waiting().await.len(), 1, "a client that somebody wants is not removed as unused");
    world.pass(24 * 3600);
    assert!(world.waiting().await.is_empty());
    world.inner().sweep(world.now(), Lifetime::from_secs(3600)).await.unwrap();
    assert!(world.inner().find_client(&TenantId::default(), &client).await.unwrap().is_none());
}

#[tokio::test]
async fn a_rejected_client_is_sent_back_and_asks_nobody_any_more() {
    let world = world().await;
    let client = world.public_client(CALLBACK).await.id;
    let browser = world.signed_in(&client).await;
    assert_eq!(world.shows(&browser).await, "waiting");
    decide(&world, &client, false).await;
    assert_eq!(world.shows(&browser).await, "rejected");
    let location = world.request(&caller(1)).decide(&browser, Decision::Deny).await.unwrap();
    assert_eq!(parameter(&location, "error").as_deref(), Some("access_denied"));
    assert_eq!(linked(world.begin(&client, &[], None).await), "access_denied");
    assert!(world.waiting().await.is_empty());
    decide(&world, &client, true).await;
    let browser = world.signed_in(&client).await;
    assert_eq!(world.shows(&browser).await, "consent", "the operator has changed their mind");
}

#[tokio::test]
async fn ci_21_a_document_that_has_changed_since_its_approval_waits_again_and_sessions_go_on() {
    let world = world().await;
    document(&world, &[CALLBACK], "App");
    let client = ClientId::parse(DOCUMENT).unwrap();
    let browser = world.signed_in(&client).await;
    assert_eq!(world.shows(&browser).await, "waiting");
    decide(&world, &client, true).await;
    let tokens = world.sign_in(&client, &[], "ada").await;
    for (uris, name) in [(&[CALLBACK, LOOPBACK][..], "App"), (&[CALLBACK], "Claude")] {
        document(&world, uris, name);
        world.pass(24 * 3600);
        let browser = world.signed_in(&client).await;
        assert_eq!(world.shows(&browser).await, "waiting", "{name} {uris:?}");
        assert_eq!(world.waiting().await.len(), 1);
    }
    let tokens = world.refresh(&client, &tokens.refresh).await.unwrap();
    assert!(world.is_live(&tokens.access).await, "the session goes on");
    let mark = "0123456789abcdef";
    let stale = world.operator().decide_client(client.as_str(), true, Some(mark)).await;
    assert!(stale.unwrap_err().to_string().contains("has another hash"), "an operator approves what they saw");
    document(&world, &[CALLBACK], "App");
    world.pass(24 * 3600);
    let browser = world.signed_in(&client).await;
    assert_eq!(world.shows(&browser).await, "consent", "it is what was approved again");
}

/// The request is checked again each time: a code for a client that has changed since is not redeemed.
#[tokio::test]
async fn ci_21_a_code_is_worth_nothing_once_its_client_is_not_what_was_approved() {
    let world = world().await;
    document(&world, &[CALLBACK], "App");
    let client = ClientId::parse(DOCUMENT).unwrap();
    world.begin(&client, &[], None).await.unwrap();
    decide(&world, &client, true).await;
    let code = world.code(&client, &[], "ada").await;
    decide(&world, &client, false).await;
    assert_eq!(rule(world.redeem(&client, &code).await), Rule::ClientNotApproved);
    decide(&world, &client, true).await;
    assert!(world.redeem(&client, &code).await.is_ok());
}

#[tokio::test]
async fn rg_19_a_client_that_acts_for_itself_gets_nothing_before_it_is_approved() {
    let world = world().await;
    world.reload(|config| config.registration.client_credentials = true);
    let body = json!({"client_name": "Robot", "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_post"})
    .to_string();
    let robot = world.request(&caller(9)).register(body.as_bytes()).await.unwrap();
    let (id, secret) = (robot.client.id, robot.secret.unwrap());
    let ask = async || {
        let own = [("client_id", id.as_str()), ("client_secret", secret.reveal()), ("resource", NOTES)];
        world.token(&[&own[..], &[("grant_type", "client_credentials")]].concat()).await
    };
    assert_eq!(rule(ask().await), Rule::ClientNotApproved);
    assert_eq!(refused(ask().await), "unauthorized_client");
    assert_eq!(world.waiting().await, [(id.as_str().to_owned(), None)], "an operator sees that it wants something");
    assert_eq!(world.count(AuditEvent::ClientWaits).await, 1);
    decide(&world, &id, true).await;
    assert!(ask().await.is_ok());
    decide(&world, &id, false).await;
    assert_eq!(rule(ask().await), Rule::ClientNotApproved);
    world.reload(|config| config.registration.client_credentials = false);
    assert_eq!(rule(ask().await), Rule::ServicesNotAllowed);
}

#[tokio::test]
async fn rg_19_keys_that_nobody_has_approved_refresh_nothing_and_approved_ones_do() {
    let world = world().await;
    let (old, new) = (SigningKey::p256(), SigningKey::p256());
    let key = |key: &SigningKey, id: &str| key.jwks(id)["keys"][0].clone();
    let publish = |keys: serde_json::Value, name: &str| {
        let document = json!({"client_id": DOCUMENT, "client_name": name, "redirect_uris": [CALLBACK],
            "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": keys}});
        world.fetch.serve(DOCUMENT, &document, None, false);
    };
    publish(json!([key(&old, "old")]), "App");
    let client = ClientId::parse(DOCUMENT).unwrap();
    world.begin(&client, &[], None).await.unwrap();
    decide(&world, &client, true).await;
    let code = world.code(&client, &[], "ada").await;
    let mut used = 0;
    let mut signed = async |key: &SigningKey, id: &str, more: &[(&str, &str)]| {
        used += 1;
        send(&world, &key.sign(id, &claims(&world, &client, &used.to_string())), more, 1).await
    };
    let redeem = [("grant_type", "authorization_code"), ("code", &code), ("code_verifier", VERIFIER)];
    let redeem = [&redeem[..], &[("redirect_uri", CALLBACK)]].concat();
    let tokens: Tokens = signed(&old, "old", &redeem).await.unwrap();
    // Another name: sign-ins wait, the session goes on.
    publish(json!([key(&old, "old")]), "Claude");
    world.pass(24 * 3600);
    world.begin(&client, &[], None).await.unwrap();
    let tokens =
        signed(&old, "old", &[("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh)]).await.unwrap();
    // Another key beside the old one, which ends no grant: it refreshes nothing before it is approved.
    publish(json!([key(&old, "old"), key(&new, "new")]), "Claude");
    world.pass(24 * 3600);
    world.begin(&client, &[], None).await.unwrap();
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())];
    assert_eq!(rule(signed(&new, "new", &refresh).await), Rule::ClientNotApproved);
    assert_eq!(rule(signed(&old, "old", &refresh).await), Rule::ClientNotApproved);
    decide(&world, &client, true).await;
    assert!(signed(&new, "new", &refresh).await.is_ok(), "the refused requests cost the client nothing");
}

#[tokio::test]
async fn who_approves_says_what_they_saw() {
    let world = world().await;
    let client = world.public_client(CALLBACK).await.id;
    let listed = world.operator().listed_client(client.as_str()).await.unwrap();
    let mark = listed.standing.unwrap().mark;
    let operator = world.operator();
    assert!(operator.decide_client(client.as_str(), true, Some(&mark.to_uppercase())).await.is_ok());
    let added = world.manual_client("added", CALLBACK, None).await.id;
    let needless = operator.decide_client(added.as_str(), true, None).await.unwrap_err();
    assert!(needless.to_string().contains("needs no approval"), "{needless}");
    let unknown = operator.decide_client("mcp_client_x", true, None).await.unwrap_err();
    assert!(unknown.to_string().contains("no client"), "{unknown}");
}
