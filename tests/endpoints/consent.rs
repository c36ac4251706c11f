//! The consent page: what it shows, and that only the user's own press of the button approves (CN).

use mcpgate::oauth::Lifetime;
use mcpgate::store::AuditEvent;

use super::authorize::{REDIRECT, VERIFIER, request};
use super::page::{Browser, Page, cookie};
use super::site::{ISSUER, NAME, RESOURCE, Site, only};

pub(crate) async fn at_consent(site: &Site) -> (Browser<'_>, Page, String) {
    let client = site.register(REDIRECT).await;
    let mut browser = Browser::new(site);
    let login = browser.begin(&request(&client, &[])).await;
    let consent = browser.log_in(&login).await;
    (browser, consent, client)
}

const APPROVE: [(&str, &str); 3] = [("scope", "sales:read"), ("scope", "sales:write"), ("decision", "approve")];

async fn redeem(site: &Site, client: &str, code: &str) -> super::http::Reply {
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", REDIRECT),
        ("resource", RESOURCE),
    ];
    site.submit("/token", &form, &[]).await
}

#[tokio::test]
async fn approving_leads_to_a_code_that_works_once() {
    let site = Site::start().await;
    let (mut browser, consent, client) = at_consent(&site).await;
    let answer = browser.post("/consent", &consent.form(&APPROVE)).await;
    let pairs = answer.redirected(REDIRECT);
    assert_eq!((only(&pairs, "state"), only(&pairs, "iss")), ("s 1", ISSUER));
    let transactions = browser.cookies.keys().filter(|name| name.starts_with(&cookie("t_")));
    assert_eq!(transactions.count(), 0, "the transaction's cookie is taken back");
    let tokens = redeem(&site, &client, only(&pairs, "code")).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!((tokens.header("cache-control"), tokens.header("pragma")), ("no-store", "no-cache"));
    let body = tokens.json();
    assert_eq!((body["token_type"].as_str(), body["scope"].as_str()), (Some("Bearer"), Some("sales:read sales:write")));
    assert_eq!(body["expires_in"], 3600);
    assert!(body["access_token"].as_str().unwrap().starts_with("mcp_access_"));
    assert!(body["refresh_token"].as_str().unwrap().starts_with("mcp_refresh_"));
    redeem(&site, &client, only(&pairs, "code")).await.assert_tok(400, "invalid_grant");
}

#[tokio::test]
async fn cn_10_cn_17_the_page_says_all_and_runs_nothing() {
    let site = Site::start().await;
    let (_, consent, _) = at_consent(&site).await;
    for said in [
        "Tea &#60;img src=x onerror=alert(1)&#62; {{7*7}}",
        "Unverified",
        "c.example",
        "Acme sales",
        RESOURCE,
        "Read sales data",
        "See customers &#60;b&#62;and&#60;/b&#62; orders.",
        "Change orders",
        "90 days at most",
        &format!("Signed in as <strong>{NAME}</strong>"),
        "Not you?",
        ">Deny<",
        ">Approve<",
    ] {
        assert!(consent.html.contains(said), "{said} in {consent}");
    }
    assert!(!consent.html.contains("<img src=x"));
    assert!(!consent.html.contains("on this computer"), "an https redirect needs no such warning");
    assert!(!consent.html.contains("Is it the application that you think it is?"));
}

#[tokio::test]
async fn a_name_cannot_turn_the_page_round_and_a_borrowed_one_is_warned_of() {
    let site = Site::start().await;
    let body = serde_json::json!({
        "client_name": "C\u{6c}aud\u{435} \u{5e9}\u{5dc}\u{5d5}\u{5dd}", "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "none",
    });
    let client = site.post_json("/register", &body.to_string()).await.json()["client_id"].as_str().unwrap().to_owned();
    let mut browser = Browser::new(&site);
    let login = browser.begin(&request(&client, &[])).await;
    assert!(login.html.contains("<q><bdi>Claud"), "{login}");
    let consent = browser.log_in(&login).await;
    assert!(consent.html.contains("<strong><bdi>Claud"), "{consent}");
    assert!(consent.html.contains("Is it the application that you think it is?"));
    assert!(consent.html.contains("<q><bdi>Claude</bdi></q>"), "the known application that it resembles");
}

#[tokio::test]
async fn cn_10_without_scopes_the_page_says_that_everything_is_asked_for() {
    let site = Site::start().await;
    let client = site.register(REDIRECT).await;
    let mut browser = Browser::new(&site);
    let notes = [("resource", "https://gw.example/mcp/notes"), ("scope", "")];
    let login = browser.begin(&request(&client, &notes)).await;
    let consent = browser.log_in(&login).await;
    assert!(consent.html.contains("It could use everything that notes offers."), "{consent}");
}

#[tokio::test]
async fn the_page_says_when_an_approval_is_remembered() {
    let site = Site::start().await;
    for (client, expected) in [(site.vouched(REDIRECT).await, true), (site.register(REDIRECT).await, false)] {
        let mut browser = Browser::new(&site);
        let login = browser.begin(&request(&client, &[])).await;
        let consent = browser.log_in(&login).await;
        let words = consent.html.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words.contains("you are not asked about the same access again for 90 days."), expected, "{consent}");
    }
}

#[tokio::test]
async fn cn_01_without_this_forms_token_nothing_is_approved() {
    let site = Site::start().await;
    let (mut browser, consent, _) = at_consent(&site).await;
    let (_, other, _) = at_consent(&site).await;
    for token in
        ["", "x", other.hidden("form_token"), consent.hidden("form_token").trim_end_matches(char::is_alphanumeric)]
    {
        let form = [&[("t", consent.transaction()), ("form_token", token)], &APPROVE[..]].concat();
        let answer = browser.post("/consent", &form).await;
        assert_eq!(answer.status, 403, "{token}");
        assert!(!answer.headers.contains_key("location"));
    }
    assert_eq!(site.count(AuditEvent::ConsentGiven).await, 0);
    assert_eq!(site.refused_pages().await, ["form_token"; 4]);
    let answer = browser.post("/consent", &consent.form(&APPROVE)).await;
    assert_eq!(answer.status, 303, "nothing has changed");
}

#[tokio::test]
async fn cn_01_a_form_from_before_a_new_login_is_shown_anew() {
    let site = Site::start().await;
    let (mut browser, consent, client) = at_consent(&site).await;
    site.clock.advance(Lifetime::from_secs(1));
    let second = browser.begin(&request(&client, &[("prompt", "login")])).await;
    browser.log_in(&second).await;
    let answer = browser.post("/consent", &consent.form(&APPROVE)).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("You have signed in again"));
    let anew = Page::new(&consent.at, answer.text());
    only(&browser.post("/consent", &anew.form(&APPROVE)).await.redirected(REDIRECT), "code");
}

#[tokio::test]
async fn cn_16_a_stale_page_keeps_its_ticks_and_grants_nothing() {
    let site = Site::start().await;
    let (mut browser, consent, client) = at_consent(&site).await;
    let one = [("scope", "sales:read"), ("decision", "approve")];
    // The meaning of the boxes has changed since the user ticked them.
    let mut config = mcpgate::config::Config::clone(&site.config.load());
    for scope in config.upstreams.iter_mut().flat_map(|upstream| &mut upstream.scopes) {
        scope.description.push_str(" All of them.");
    }
    site.config.store(config.into());
    let answer = browser.post("/consent", &consent.form(&one)).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    let anew = Page::new(&consent.at, answer.text());
    assert!(anew.html.contains("the request has changed") && anew.html.contains("All of them."), "{anew}");
    assert_eq!(anew.ticked(), ["sales:read"]);
    assert_eq!(site.count(AuditEvent::ConsentGiven).await, 0);
    let pairs = browser.post("/consent", &anew.approval()).await.redirected(REDIRECT);
    let body = redeem(&site, &client, only(&pairs, "code")).await.json();
    assert_eq!(body["scope"], "sales:read");
}

#[tokio::test]
async fn cn_16_going_back_and_unticking_gives_no_code_for_more() {
    let site = Site::start().await;
    let (mut browser, consent, _) = at_consent(&site).await;
    let cookies = browser.cookies.clone();
    browser.post("/consent", &consent.form(&APPROVE)).await.redirected(REDIRECT);
    browser.cookies = cookies;
    let fewer = [("scope", "sales:read"), ("decision", "approve")];
    let answer = browser.post("/consent", &consent.form(&fewer)).await;
    answer.assert_local();
    assert!(answer.text().contains("already complete"), "{answer:?}");
}

#[tokio::test]
async fn cn_04_a_get_approves_nothing() {
    let site = Site::start().await;
    let (mut browser, consent, _) = at_consent(&site).await;
    let form = super::http::encoded(&consent.form(&APPROVE));
    let answer = browser.get(&format!("/consent?{form}")).await;
    assert_eq!(answer.status, 200, "the query does not decide: the form is shown");
    assert_eq!(site.count(AuditEvent::ConsentGiven).await, 0);
}

#[tokio::test]
async fn cn_14_two_tabs_keep_their_transactions_apart() {
    let site = Site::start().await;
    let (mut browser, first, client) = at_consent(&site).await;
    let second = browser.begin(&request(&client, &[("state", "s 2")])).await;
    assert!(second.at.starts_with("/consent"));
    let crossed = [("t", first.transaction()), ("form_token", second.hidden("form_token"))];
    assert_eq!(browser.post("/consent", &[&crossed, &APPROVE[..]].concat()).await.status, 403);
    for (page, state) in [(&second, "s 2"), (&first, "s 1")] {
        let pairs = browser.post("/consent", &page.form(&APPROVE)).await.redirected(REDIRECT);
        assert_eq!(only(&pairs, "state"), state);
    }
}

#[tokio::test]
async fn a_page_from_before_the_application_got_access_is_shown_again_with_what_it_holds() {
    let site = Site::start().await;
    let (mut browser, first, client) = at_consent(&site).await;
    let second = browser.begin(&request(&client, &[("state", "s 2")])).await;
    assert!(!second.html.contains("holds already") && !second.html.contains("access meanwhile"));
    let pairs = browser.post("/consent", &first.form(&APPROVE)).await.redirected(REDIRECT);
    assert_eq!(redeem(&site, &client, only(&pairs, "code")).await.status, 200);
    // Its reader did not see that the application has access by now.
    let read = [("scope", "sales:read"), ("decision", "approve")];
    let answer = browser.post("/consent", &second.form(&read)).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(answer.text().contains("the application has got access meanwhile"), "{answer:?}");
    let anew = Page::new(&second.at, answer.text());
    assert_eq!(anew.ticked(), ["sales:read"], "as the reader left it");
    let pairs = browser.post("/consent", &anew.approval()).await.redirected(REDIRECT);
    assert_eq!(only(&pairs, "state"), "s 2");
    let body = redeem(&site, &client, only(&pairs, "code")).await.json();
    assert_eq!(body["scope"], "sales:read");
}

#[tokio::test]
async fn cn_16_unticked_scopes_are_not_granted() {
    let site = Site::start().await;
    let (mut browser, consent, client) = at_consent(&site).await;
    assert_eq!(consent.ticked(), ["sales:read", "sales:write"]);
    // No box ticked, as a browser sends it, and forms that were tampered with: none approves, and the ticks are kept.
    for nothing in [&[][..], &[("scope", "notes:read")], &[("choice", ""), ("scopes", "sales:read")], &[("scope", "")]]
    {
        let form = [nothing, &[("decision", "approve")]].concat();
        let answer = browser.post("/consent", &consent.form(&form)).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("Tick at least one permission"), "{answer:?}");
        let again = Page::new(&consent.at, answer.text());
        assert!(again.ticked().is_empty(), "{nothing:?}: {again}");
        let once_more = browser.post("/consent", &again.approval()).await;
        assert_eq!(once_more.status, 400, "pressing Approve again grants nothing either");
    }
    assert_eq!(site.count(AuditEvent::ConsentGiven).await, 0);
    let one = [("scope", "sales:read"), ("scope", "admin"), ("decision", "approve")];
    let pairs = browser.post("/consent", &consent.form(&one)).await.redirected(REDIRECT);
    let body = redeem(&site, &client, only(&pairs, "code")).await.json();
    assert_eq!(body["scope"], "sales:read");
}

#[tokio::test]
async fn the_page_of_a_decision_whose_code_was_used_says_that_it_is_complete() {
    let site = Site::start().await;
    let (mut browser, consent, client) = at_consent(&site).await;
    let cookies = browser.cookies.clone();
    let pairs = browser.post("/consent", &consent.form(&APPROVE)).await.redirected(REDIRECT);
    assert_eq!(redeem(&site, &client, only(&pairs, "code")).await.status, 200);
    for decision in ["approve", "deny"] {
        browser.cookies = cookies.clone();
        let page = browser.post("/consent", &consent.form(&[("decision", decision)])).await;
        assert_eq!(page.status, 400);
        assert!(page.text().contains("already complete"), "{}", page.text());
    }
}

#[tokio::test]
async fn neither_button_or_both_are_no_decision() {
    let site = Site::start().await;
    let (mut browser, consent, _) = at_consent(&site).await;
    let both = [("decision", "approve"), ("decision", "deny")];
    for decision in [&[][..], &[("decision", "maybe")], &both, &[both[1], both[0]], &[both[0], both[0]]] {
        browser.post("/consent", &consent.form(decision)).await.assert_local();
    }
    assert_eq!(browser.get(&consent.at).await.status, 200, "it can still be decided");
}

#[tokio::test]
async fn not_you_goes_back_to_the_login_of_the_same_transaction() {
    let site = Site::start().await;
    let (mut browser, consent, _) = at_consent(&site).await;
    let switch = consent.html.split("id=\"switch-account\"").nth(1).unwrap();
    let token = switch.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let wrong = browser.post("/switch-account", &consent.form(&[])).await;
    assert_eq!(wrong.status, 403, "the consent form's token is not the switch's");
    let old = browser.session().unwrap().clone();
    let answer = browser.post("/switch-account", &[("t", consent.transaction()), ("form_token", &token)]).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, format!("/login?t={}", consent.transaction()).as_str())
    );
    assert!(browser.session().is_none());
    let mut thief = Browser::new(&site);
    thief.cookies.insert(cookie("s"), old);
    assert_eq!(thief.get("/account").await.status, 303, "the session has ended; the cookie was not only removed");
    let login = browser.page(answer.header("location")).await;
    assert!(browser.log_in(&login).await.html.contains(">Approve<"));
}

#[tokio::test]
async fn cn_16_what_can_do_harm_is_marked_comes_first_and_is_ticked_by_the_reader_alone() {
    let site = Site::start().await;
    let client = site.register(REDIRECT).await;
    let mut config = mcpgate::config::Config::clone(&site.config.load());
    for scope in config.upstreams.iter_mut().flat_map(|upstream| &mut upstream.scopes) {
        scope.sensitive = scope.name.as_str() == "sales:write";
    }
    site.config.store(config.clone().into());
    let mut browser = Browser::new(&site);
    let login = browser.begin(&request(&client, &[])).await;
    let consent = browser.log_in(&login).await;
    let marked = "Change orders <span class=\"badge bad\">Sensitive</span></label>";
    assert_eq!((consent.html.matches("badge bad").count(), consent.html.contains(marked)), (1, true), "{consent}");
    assert!(consent.html.find("Change orders") < consent.html.find("Read sales data"));
    assert!(consent.html.contains("granted only if you tick them"));
    assert_eq!(consent.ticked(), ["sales:read"]);
    let pairs = browser.post("/consent", &consent.form(&APPROVE)).await.redirected(REDIRECT);
    let body = redeem(&site, &client, only(&pairs, "code")).await.json();
    assert_eq!(body["scope"], "sales:read sales:write", "ticked by the reader");

    // A scope that every request needs is ticked in advance and still marked as sensitive.
    for upstream in &mut config.upstreams {
        upstream.required_scopes = mcpgate::oauth::ScopeSet::parse("sales:write").unwrap();
    }
    site.config.store(config.into());
    let consent = browser.begin(&request(&client, &[])).await;
    assert!(consent.html.contains(marked));
    assert_eq!(consent.ticked(), ["sales:write", "sales:read"]);
}
