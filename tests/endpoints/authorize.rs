//! The authorization endpoint (AZ): which errors are pages, which are redirected, and what every answer to a client
//! contains.

use mcpgate::oauth::Lifetime;
use mcpgate::store::AuditEvent;

use super::http::encoded;
use super::page::Browser;
use super::site::{DOCUMENT, ISSUER, RESOURCE, Site, UNREACHABLE, only};

pub(crate) const REDIRECT: &str = "https://c.example/cb";
/// RFC 7636 Appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// An authorization request with some parameters replaced (an empty value removes one).
pub(crate) fn request(client: &str, changes: &[(&str, &str)]) -> String {
    let usual = [
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", REDIRECT),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("state", "s 1"),
        ("scope", "sales:read sales:write"),
        ("resource", RESOURCE),
    ];
    let kept = usual.into_iter().filter(|(name, _)| changes.iter().all(|(n, _)| n != name));
    let pairs: Vec<_> = kept.chain(changes.iter().copied().filter(|(_, value)| !value.is_empty())).collect();
    format!("/authorize?{}", encoded(&pairs))
}

async fn with_client(redirect: &str) -> (Site, String) {
    let site = Site::start().await;
    let client = site.register(redirect).await;
    (site, client)
}

#[tokio::test]
async fn az_01_an_unknown_client_gets_a_page() {
    let site = Site::start().await;
    for id in ["nobody", "mcp_client_00000000000000000000000000000", "https://"] {
        let answer = site.ask("GET", &request(id, &[]), &[]).await;
        answer.assert_local();
        assert!(!answer.text().contains("c.example"), "the redirect URI is not shown, least of all as a link");
    }
    let bare = site.ask("GET", "/authorize", &[]).await;
    bare.assert_local();
    assert!(bare.text().contains("The parameter client_id"), "{bare:?}");
}

#[tokio::test]
async fn the_page_warns_of_a_program_on_this_computer_whatever_its_port() {
    for (registered, asked) in [
        ("http://localhost/cb", "http://localhost:51763/cb"),
        // TLS to this machine does not identify the program that answers.
        ("https://localhost:51763/cb", "https://localhost:51763/cb"),
    ] {
        let (site, client) = with_client(registered).await;
        let mut browser = Browser::new(&site);
        let login = browser.begin(&request(&client, &[("redirect_uri", asked)])).await;
        let consent = browser.log_in(&login).await;
        assert!(consent.html.contains("Approve only if you have just started this yourself."), "{asked}");
        assert!(!consent.html.contains("Unverified") && !consent.html.contains("notice warn"), "{consent}");
        assert!(consent.html.contains("<strong class=\"host\">localhost"));
        let answer = browser.post("/consent", &consent.approval()).await;
        only(&answer.redirected(asked), "code");
    }
}

#[tokio::test]
async fn an_address_of_the_gateway_itself_is_not_registered() {
    let site = Site::start().await;
    let body =
        serde_json::json!({ "redirect_uris": ["https://gw.example/login"], "token_endpoint_auth_method": "none" });
    site.post_json("/register", &body.to_string()).await.assert_tok(400, "invalid_redirect_uri");
}

#[tokio::test]
async fn the_page_says_which_application_a_private_use_scheme_opens() {
    let uri = "vscode://saoudrizwan.claude-dev/mcp-auth/callback/4f1c";
    let (site, client) = with_client(uri).await;
    let mut browser = Browser::new(&site);
    let login = browser.begin(&request(&client, &[("redirect_uri", uri)])).await;
    let consent = browser.log_in(&login).await;
    assert!(consent.html.contains("opens the application registered for vscode:"), "{}", consent.html);
    assert!(consent.html.contains("the application registered for <strong>vscode:</strong> is opened"));
    let answer = browser.post("/consent", &consent.approval()).await;
    only(&answer.redirected(uri), "code");
}

#[tokio::test]
async fn errors_after_the_redirect_is_verified_travel_with_state_and_one_iss() {
    let site = Site::start().await;
    let client = site.vouched(REDIRECT).await;
    for (changes, error) in [
        (&[("response_type", "code token")][..], "unsupported_response_type"),
        (&[("prompt", "none")], "login_required"),
        (&[("resource", "https://gw.example/mcp/nobody")], "invalid_target"),
        (&[("code_challenge", "")], "invalid_request"),
    ] {
        let answer = site.ask("GET", &request(&client, changes), &[]).await;
        let pairs = answer.redirected(REDIRECT);
        assert_eq!(only(&pairs, "error"), error, "{changes:?}");
        assert_eq!(only(&pairs, "state"), "s 1");
        assert_eq!(only(&pairs, "iss"), ISSUER);
        assert!(pairs.iter().all(|(name, _)| name != "code"));
        assert!(!answer.headers.contains_key("set-cookie"));
    }
    assert_eq!(site.count(AuditEvent::CodeIssued).await, 0);
}

#[tokio::test]
async fn a_client_that_registered_itself_gets_an_error_only_by_a_link_that_its_user_follows() {
    for (redirect, label) in [
        ("https://evil.example/phish?lang=en", "Go to evil.example"),
        ("evil.app:/cb", "Open the application registered for evil.app:"),
    ] {
        let (site, client) = with_client(redirect).await;
        for (error, change) in [("login_required", ("prompt", "none")), ("invalid_request", ("code_challenge", ""))] {
            let answer = site.ask("GET", &request(&client, &[("redirect_uri", redirect), change]), &[]).await;
            answer.assert_local();
            let separator = if redirect.contains('?') { "&#38;" } else { "?" };
            let href = format!("<a class=\"button\" href=\"{redirect}{separator}error={error}&#38;");
            assert!(answer.text().contains(&href), "{href} in {}", answer.text());
            assert!(
                answer.text().contains(&format!(" rel=\"noreferrer\">{label}</a>")),
                "{label} in {}",
                answer.text()
            );
            for carried in ["&#38;state=s%201&#38;", "&#38;iss=https%3A%2F%2Fgw.example\"", "is not verified"] {
                assert!(answer.text().contains(carried), "{carried} in {}", answer.text());
            }
            assert!(!answer.text().contains("http-equiv") && !answer.headers.contains_key("refresh"));
        }
    }
}

#[tokio::test]
async fn a_state_outlives_login_and_consent_byte_for_byte() {
    let (site, client) = with_client(REDIRECT).await;
    let mut browser = Browser::new(&site);
    let long = "x".repeat(1024);
    for state in
        [long.as_str(), "\r\nSet-Cookie:x=1", "\"'<script>", "gr\u{fc}\u{df}e \u{1f511}", "a+b&c=d%20#e", "{\"a\":[1]}"]
    {
        let page = browser.begin(&request(&client, &[("state", state)])).await;
        let consent = if page.at.starts_with("/login") { browser.log_in(&page).await } else { page };
        let answer = browser.post("/consent", &consent.form(&[("decision", "deny")])).await;
        assert!(answer.header("location").bytes().all(|b| b.is_ascii_graphic()));
        assert_eq!(only(&answer.redirected(REDIRECT), "state"), state);
    }
}

#[tokio::test]
async fn az_32_a_transaction_is_one_browsers() {
    let (site, client) = with_client(REDIRECT).await;
    let mut browser = Browser::new(&site);
    let login = browser.begin(&request(&client, &[])).await;
    for at in [login.at.clone(), login.at.replace("/login", "/consent")] {
        Browser::new(&site).get(&at).await.assert_local();
    }
    let stolen = Browser::new(&site).post("/login", &login.form(&[("username", "ada"), ("password", "x")])).await;
    stolen.assert_local();
}

#[tokio::test]
async fn the_page_of_an_expired_sign_in_leads_to_a_new_one() {
    let (site, client) = with_client(REDIRECT).await;
    let mut browser = Browser::new(&site);
    let login = browser.begin(&request(&client, &[])).await;
    site.clock.advance(Lifetime::from_secs(601));
    for expired in [
        browser.get(&login.at).await,
        browser.post("/login", &login.form(&[("username", "ada"), ("password", "x")])).await,
    ] {
        expired.assert_local();
        assert!(expired.text().contains("This sign-in has expired"), "{expired:?}");
        let html = expired.text();
        let again = html.split("<a class=\"button\" href=\"").nth(1).unwrap().split('"').next().unwrap();
        let login = browser.begin(&again.replace("&#38;", "&")).await;
        let consent = browser.log_in(&login).await;
        let answer = browser.post("/consent", &consent.form(&[("decision", "deny")])).await;
        assert_eq!(only(&answer.redirected(REDIRECT), "state"), "s 1");
        browser.cookies.remove(&super::page::cookie("s"));
    }
}

#[tokio::test]
async fn transactions_that_were_left_do_not_fill_the_browser_with_cookies() {
    let (site, client) = with_client(REDIRECT).await;
    let mut browser = Browser::new(&site);
    for _ in 0..40 {
        // A page that starts sign-ins in the user's name.
        assert_eq!(browser.get(&request(&client, &[])).await.status, 303);
        site.clock.advance(Lifetime::from_secs(1));
    }
    assert!(browser.cookies.len() <= 11, "{} cookies", browser.cookies.len());
}

#[tokio::test]
async fn a_client_known_by_its_document_is_shown_with_the_documents_host() {
    let site = Site::start().await;
    let mut browser = Browser::new(&site);
    let login = browser.begin(&request(DOCUMENT, &[("redirect_uri", "http://127.0.0.1:4711/cb")])).await;
    let consent = browser.log_in(&login).await;
    for said in ["Teapot", "<dt>Described at</dt><dd><strong>app.example</strong>", "127.0.0.1", "on this computer"] {
        assert!(consent.html.contains(said), "{said} in {consent}");
    }
}

#[tokio::test]
async fn a_document_that_cannot_be_fetched_now_is_a_fault_of_the_moment() {
    let site = Site::start().await;
    let answer = site.ask("GET", &request(UNREACHABLE, &[]), &[]).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.header("retry-after"), "5");
    assert!(answer.text().contains("Reload this page"));
    assert!(!answer.headers.contains_key("location"));
}

#[tokio::test]
async fn the_request_may_come_as_a_form_of_the_clients_site() {
    let (site, client) = with_client(REDIRECT).await;
    let (_, query) = request(&client, &[]).split_once('?').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let from = [("origin", "https://c.example"), ("sec-fetch-site", "cross-site")];
    let answer = site.submit("/authorize", &pairs, &from).await;
    assert!(answer.header("location").starts_with("/login?t="), "{answer:?}");
    let json = [("content-type", "application/json")];
    assert_eq!(site.ask("POST", "/authorize", &json).await.status, 415);
}

#[tokio::test]
async fn too_many_requests_are_told_when_to_come_again() {
    let site = Site::with("[rates]\nauthorize_per_second = 1\n").await;
    let mut last = site.ask("GET", &request("nobody", &[]), &[]).await;
    for _ in 0..10 {
        last = site.ask("GET", &request("nobody", &[]), &[]).await;
    }
    assert_eq!(last.status, 429);
    assert!(last.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(last.text().contains("One moment, please"));
}
