//! Step-up: what the consent page offers to a client that holds something already, and what an approval grants. Real
//! clients ask for the union, ask only for what is new, or register anew.

use mcpgate::issuer::{AuthorizeRejection, Decision, Handles, Step, View};
use mcpgate::oauth::{Client, ScopeSet};

use super::driver::*;

const BOTH: &str = "sales:read sales:write";
const SCHEME: &str = "com.example.app:/callback";

/// A client that registered itself, with its secret if it has one.
struct Registered {
    client: Client,
    redirect: &'static str,
    secret: Option<String>,
}

impl Registered {
    async fn new(world: &World, redirect: &'static str, method: &str) -> Self {
        let body = serde_json::json!({
            "client_name": "Some client", "redirect_uris": [redirect], "token_endpoint_auth_method": method,
            "grant_types": ["authorization_code", "refresh_token"],
        });
        let registered = world.request(&caller(9)).register(body.to_string().as_bytes()).await.unwrap();
        let secret = registered.secret.map(|secret| secret.reveal().to_owned());
        Self { client: registered.client, redirect, secret }
    }

    async fn at_consent(&self, world: &World, scope: &str) -> Handles {
        let asked = [("redirect_uri", self.redirect), ("scope", scope)];
        let mut browser = world.browser(&self.client.id, &asked).await;
        assert!(matches!(world.log_in(&mut browser, "ada").await, Step::Consent));
        browser
    }

    /// Approves with these ticks and redeems the code. Returns the scopes of the token.
    async fn approve(&self, world: &World, browser: &Handles, ticks: &str) -> String {
        let location = world.request(&caller(1)).decide(browser, ticked(ticks)).await.unwrap();
        let code = parameter(&location, "code").unwrap();
        let secret = self.secret.as_deref().unwrap_or_default();
        let extra = [("redirect_uri", self.redirect), ("client_secret", secret)];
        let tokens = world.redeem_with(&self.client.id, &code, &extra).await.unwrap();
        world.pass(1);
        tokens.scopes
    }

    /// Connects with `sales:read`.
    async fn connect(&self, world: &World) {
        let browser = self.at_consent(world, "sales:read").await;
        assert_eq!(page(world, &browser).await, ["[x] sales:read asked"]);
        assert_eq!(self.approve(world, &browser, BOTH).await, "sales:read", "AZ-28: a form adds nothing");
    }
}

fn ticked(scopes: &str) -> Decision {
    Decision::Approve(ScopeSet::parse(scopes).unwrap().into())
}

/// What the page shows: each scope with its tick, and whether the client asks for it and holds it.
async fn page(world: &World, browser: &Handles) -> Vec<String> {
    let View::Consent(page) = world.request(&caller(1)).view(browser).await.unwrap() else { panic!("consent") };
    let words = page.scopes.iter().map(|scope| {
        let ticked = if scope.preticked { "[x]" } else { "[ ]" };
        let mark = |is, text| if is { text } else { "" };
        let (asked, held) = (mark(scope.is_requested, " asked"), mark(scope.is_held, " held"));
        format!("{ticked} {}{asked}{held}", scope.name.as_str())
    });
    words.collect()
}

#[tokio::test]
async fn a_client_that_asks_for_the_union_gets_what_is_ticked_of_it() {
    for redirect in [CALLBACK, LOOPBACK, SCHEME] {
        let world = World::new().await;
        world.account("ada").await;
        let client = Registered::new(&world, redirect, "none").await;
        client.connect(&world).await;
        let browser = client.at_consent(&world, BOTH).await;
        assert_eq!(page(&world, &browser).await, ["[x] sales:read asked held", "[x] sales:write asked"], "{redirect}");
        assert_eq!(client.approve(&world, &browser, BOTH).await, BOTH);
        let browser = client.at_consent(&world, "sales:read").await;
        assert_eq!(client.approve(&world, &browser, "sales:read").await, "sales:read");
        // The newest grant is what it holds.
        let browser = client.at_consent(&world, "sales:write").await;
        assert_eq!(page(&world, &browser).await[1], "[x] sales:write asked");
    }
}

#[tokio::test]
async fn a_client_that_asks_only_for_what_is_new_keeps_what_it_holds_where_nobody_can_pass_for_it() {
    for (redirect, method, tick) in [
        (CALLBACK, "none", "[x]"),
        (LOOPBACK, "client_secret_post", "[x]"),
        (LOOPBACK, "none", "[ ]"),
        (SCHEME, "none", "[ ]"),
        ("https://localhost:9999/callback", "none", "[ ]"),
    ] {
        let world = World::new().await;
        world.account("ada").await;
        let client = Registered::new(&world, redirect, method).await;
        client.connect(&world).await;
        let browser = client.at_consent(&world, "sales:write").await;
        let held = format!("{tick} sales:read held");
        assert_eq!(page(&world, &browser).await, [held.as_str(), "[x] sales:write asked"], "{redirect} {method}");
        // The person decides, whatever was ticked at first.
        assert_eq!(client.approve(&world, &browser, "sales:write").await, "sales:write");
        let browser = client.at_consent(&world, "sales:read").await;
        assert_eq!(client.approve(&world, &browser, BOTH).await, BOTH);
    }
}

#[tokio::test]
async fn a_client_that_registers_anew_holds_nothing() {
    let world = World::new().await;
    world.account("ada").await;
    Registered::new(&world, CALLBACK, "none").await.connect(&world).await;
    let again = Registered::new(&world, "https://client.example/other", "none").await;
    let browser = again.at_consent(&world, "sales:write").await;
    assert_eq!(page(&world, &browser).await, ["[x] sales:write asked"]);
    assert_eq!(again.approve(&world, &browser, BOTH).await, "sales:write");
}

#[tokio::test]
async fn a_sensitive_scope_is_ticked_by_the_reader_alone_even_if_it_is_held() {
    let world = World::new().await;
    world.account("ada").await;
    world.reload(|config| config.upstreams[0].scopes[1].sensitive = true);
    let client = Registered::new(&world, CALLBACK, "none").await;
    let browser = client.at_consent(&world, BOTH).await;
    assert_eq!(page(&world, &browser).await, ["[x] sales:read asked", "[ ] sales:write asked"]);
    client.approve(&world, &browser, BOTH).await;
    let browser = client.at_consent(&world, "sales:read").await;
    assert_eq!(page(&world, &browser).await, ["[x] sales:read asked held", "[ ] sales:write held"]);
}

#[tokio::test]
async fn what_was_disconnected_or_is_no_longer_allowed_is_not_offered() {
    let world = World::new().await;
    let subject = world.account("ada").await;
    let client = Registered::new(&world, CALLBACK, "none").await;
    let browser = client.at_consent(&world, BOTH).await;
    client.approve(&world, &browser, BOTH).await;
    let browser = client.at_consent(&world, "sales:read").await;
    world.reload(|config| drop(config.upstreams[0].scopes.remove(1)));
    assert_eq!(page(&world, &browser).await, ["[x] sales:read asked held"]);
    let (filter, row) = (super::records::grants_of(Some(&subject), Some(&client.client.id)), world.row());
    world.inner().revoke_grants(&filter, row).await.unwrap();
    assert_eq!(page(&world, &browser).await, ["[x] sales:read asked"]);
    let outcome = world.request(&caller(1)).decide(&browser, ticked("sales:write")).await;
    assert!(matches!(outcome, Err(AuthorizeRejection::NothingApproved)), "{outcome:?}");
}
