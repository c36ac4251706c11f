//! Applications that act for people who are absent, on the account page.

use mcpgate::clock::Clock as _;
use mcpgate::oauth::{
    AccountId, ClientId, ClientOrigin, Grant, GrantId, Lifetime, ResourceIndicator, ScopeSet, SingleGrant, Subject,
    TenantId, TokenHash,
};
use mcpgate::store::{AuditEvent, AuditRow, GrantStore as _, IssueFor, IssueToClient, NewAccessToken};

use super::account::at_account;
use super::authorize::REDIRECT;
use super::site::{NAME, RESOURCE, Site};

/// Lets a client ask for a token for the person of these tests, as at the token endpoint.
async fn acts(site: &Site, client: &str, n: u8) -> bool {
    let now = site.clock.now();
    let single = SingleGrant {
        id: GrantId([n; 16]),
        tenant: TenantId::default(),
        client: ClientId::parse(client).unwrap(),
        subject: Subject::Person(AccountId::parse(&format!("user-{NAME}")).unwrap()),
        resource: ResourceIndicator::parse(RESOURCE).unwrap(),
        scopes: ScopeSet::parse("sales:read").unwrap(),
        made_at: now,
        expires_at: now.plus(Lifetime::from_secs(86_400)),
    };
    let request = IssueToClient {
        subject: IssueFor::Person,
        grant: Grant { acting: true, by_assertion: true, ..single.grant() },
        access: NewAccessToken {
            hash: TokenHash::of(&[n]),
            lifetime: Lifetime::from_secs(3600),
            scopes: None,
            included: ScopeSet::default(),
            user: NAME.into(),
            client_origin: ClientOrigin::Manual,
            client_limit: None,
        },
        now,
        record_success: true,
        audit: AuditRow::new(now, TenantId::default(), AuditEvent::ActingTokenIssued),
    };
    site.store.issue_to_client(request).await.unwrap().is_some()
}

#[tokio::test]
async fn an_application_that_acts_is_named_and_what_was_ended_is_allowed_again_by_the_form_alone() {
    let site = Site::start().await;
    let (mut browser, _) = at_account(&site).await;
    let client = site.vouched(REDIRECT).await;
    assert!(acts(&site, &client, 1).await);
    let page = browser.page("/account").await;
    assert!(page.html.contains("Wiki") && page.html.contains("It acts for you without asking you"), "{page}");
    assert!(!page.html.contains("Applications that may not act for you"), "{page}");
    let form = ["form_token", "client", "resource"].map(|name| (name, page.hidden(name)));
    let answer = browser.post("/account/revoke", &form).await;
    assert_eq!(answer.header("location"), "/account?done=disconnected");
    assert!(!acts(&site, &client, 2).await, "it stays ended");

    let page = browser.page("/account").await;
    assert!(page.html.contains("Applications that may not act for you") && page.html.contains("Wiki"), "{page}");
    let (token, named) = (page.hidden("form_token"), page.hidden("client"));
    assert_eq!(named, client);
    assert_eq!(browser.post("/account/resume", &[("client", named)]).await.status, 403);
    let nothing = browser.post("/account/resume", &[("form_token", token), ("client", "mcp_client_other")]).await;
    assert_eq!((nothing.status, nothing.header("location")), (303, "/account"));
    assert!(!acts(&site, &client, 3).await);

    let answer = browser.post("/account/resume", &[("form_token", token), ("client", named)]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/account?done=resumed"));
    let page = browser.page(answer.header("location")).await;
    assert!(page.html.contains("may act for you again"), "{page}");
    assert!(!page.html.contains("Applications that may not act for you"), "{page}");
    assert!(acts(&site, &client, 4).await);
    assert_eq!(site.count(AuditEvent::ActingResumed).await, 1);
}
