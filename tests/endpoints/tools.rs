//! The tools on the consent page: what stands where, and what unticking them leaves out of the grant.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use mcpgate::clock::Clock as _;
use mcpgate::issuer::{OfferedTool, OfferedTools};
use mcpgate::oauth::{AccountId, Exclusions, Grant, Lifetime, TenantId, Timestamp, ToolKind};
use mcpgate::policy::Annotations;
use mcpgate::store::{AuditEvent, AuditRow, GrantFilter, GrantStore};

use super::authorize::{REDIRECT, VERIFIER, request};
use super::page::{Browser, Page};
use super::site::{RESOURCE, Site, only};

/// What an upstream offers; `None` if it takes longer than anybody waits.
pub(crate) struct Scripted(pub(crate) Option<Vec<OfferedTool>>);

#[async_trait]
impl OfferedTools for Scripted {
    async fn tools(&self, _: &str, _: &AccountId, _: Timestamp) -> Option<Vec<OfferedTool>> {
        if self.0.is_none() {
            std::future::pending::<()>().await;
        }
        self.0.clone()
    }
}

fn tool(name: &str, kind: ToolKind) -> OfferedTool {
    let annotations = match kind {
        ToolKind::Reading => Annotations::of(Some(true), None, None),
        ToolKind::Writing => Annotations::of(Some(false), Some(false), None),
        ToolKind::Destructive => Annotations::UNKNOWN,
    };
    OfferedTool { name: name.to_owned(), title: None, annotations }
}

/// A site whose upstream has this map: `files:read` opens what begins with `get_`, `files:all` everything.
pub(crate) async fn site(tools: Option<Vec<OfferedTool>>) -> Site {
    let upstream = r#"
[[upstream]]
name = "files"
path = "/mcp/files"
url = "http://127.0.0.1:1/mcp"
display_name = "Files"
default_scopes = ["files:read", "files:all"]
scope = [
    { name = "files:read", title = "Read files", allow = ["tools/list", "tools/call:get_*"] },
    { name = "files:all", title = "Change files", allow = ["tools/call"] },
]
"#;
    Site::offering(upstream, Arc::new(Scripted(tools))).await
}

pub(crate) const FILES: &str = "https://gw.example/mcp/files";

pub(crate) fn four() -> Option<Vec<OfferedTool>> {
    let title = "\u{202e}Drop <b>all</b>".to_owned();
    Some(vec![
        tool("get_one", ToolKind::Reading),
        tool("get_all", ToolKind::Reading),
        tool("add", ToolKind::Writing),
        OfferedTool { title: Some(title), ..tool("drop", ToolKind::Destructive) },
    ])
}

pub(crate) async fn consent<'a>(site: &'a Site, client: &str) -> (Browser<'a>, Page) {
    let mut browser = Browser::new(site);
    let login = browser.begin(&request(client, &[("resource", FILES), ("scope", "")])).await;
    let consent = browser.log_in(&login).await;
    (browser, consent)
}

/// Sends the form with only these groups and tools ticked, redeems the code, and returns what the grant leaves out.
pub(crate) async fn approve(
    site: &Site,
    (browser, page): (&mut Browser<'_>, &Page),
    client: &str,
    ticks: [&[&str]; 2],
) -> String {
    let [groups, tools] = ticks;
    let mut form = page.form(&[("listed", page.hidden("listed")), ("decision", "approve")]);
    form.extend([("scope", "files:read"), ("scope", "files:all")]);
    form.extend(groups.iter().map(|index| ("group", *index)).chain(tools.iter().map(|index| ("tool", *index))));
    let pairs = browser.post("/consent", &form).await.redirected(REDIRECT);
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", only(&pairs, "code")),
        ("code_verifier", VERIFIER),
        ("redirect_uri", REDIRECT),
        ("resource", FILES),
    ];
    let answer = site.submit("/token", &form, &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    text(&newest_exclusions(site).await)
}

async fn newest_exclusions(site: &Site) -> Exclusions {
    newest_grant(site).await.exclusions
}

async fn newest_grant(site: &Site) -> Grant {
    let all = GrantFilter::of_tenant(&TenantId::default());
    let grants = site.store.list_grants(&all, site.clock.now()).await.unwrap();
    grants.into_iter().next().unwrap()
}

fn text(exclusions: &Exclusions) -> String {
    let groups = exclusions.groups().map(|(scope, kind)| format!("{} {}", kind.as_str(), scope.as_str()));
    groups.chain(exclusions.tools().map(str::to_owned)).collect::<Vec<_>>().join(", ")
}

pub(crate) fn words(page: &Page) -> String {
    page.html.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn each_tool_stands_once_below_the_scope_that_opens_the_fewest() {
    let site = site(four()).await;
    let client = site.register(REDIRECT).await;
    let (_, page) = consent(&site, &client).await;
    let said = words(&page);
    let places = ["Read files", "Tools that only read (2)", "get_one", "get_all", "Change files"];
    let more = ["Tools that add or change (1)", ">add<", "Tools that may delete or overwrite (1)"];
    let places: Vec<_> = places.iter().chain(&more).map(|text| said.find(text).expect(text)).collect();
    assert!(places.is_sorted(), "{places:?}\n{page}");
    assert_eq!(said.matches("<bdi>get_one</bdi>").count(), 1);
    assert!(said.contains("It also opens 2 of the tools"), "{page}");
    assert!(!page.html.contains("<details"));
    assert_eq!(page.html.matches("type=\"checkbox\"").count(), 2 + 3 + 4);
    assert_eq!(page.html.matches(" checked>").count() + page.html.matches(" checked ").count(), 9, "{page}");
}

#[tokio::test]
async fn mc_15_what_an_upstream_calls_its_tools_is_text_without_marks_that_turn_it_round() {
    let site = site(four()).await;
    let client = site.register(REDIRECT).await;
    let (_, page) = consent(&site, &client).await;
    let said = words(&page);
    assert!(said.contains("<bdi>Drop &#60;b&#62;all&#60;/b&#62;</bdi> <code><bdi>drop</bdi></code>"), "{page}");
    assert!(!page.html.contains('\u{202e}') && !page.html.contains("<b>"));
}

#[tokio::test]
async fn many_tools_are_folded_and_the_form_can_carry_what_is_listed() {
    let tools: Vec<_> = (0..1000).map(|n| tool(&format!("get_{n:060}"), ToolKind::Reading)).collect();
    let site = site(Some(tools)).await;
    let client = site.register(REDIRECT).await;
    let (mut browser, page) = consent(&site, &client).await;
    let listed = page.html.matches("name=\"tool\"").count();
    assert!((200..=400).contains(&listed), "{listed}");
    let said = words(&page);
    assert!(
        said.contains("Tools that only read (1000)")
            && said.contains(&format!("{} more are not listed", 1000 - listed))
    );
    assert!(said.contains("<details class=\"fold\">"));
    let indices: Vec<String> = (1..listed).map(|index| index.to_string()).collect();
    let indices: Vec<&str> = indices.iter().map(String::as_str).collect();
    let left_out = approve(&site, (&mut browser, &page), &client, [&["0"], &indices]).await;
    assert_eq!(left_out, format!("get_{:060}", 0));
}

#[tokio::test]
async fn cn_16_what_is_unticked_is_left_out_of_the_grant_and_stays_so_until_it_is_ticked_again() {
    let site = site(four()).await;
    let client = site.register(REDIRECT).await;
    let (mut browser, page) = consent(&site, &client).await;
    // Groups: 0 reading, 1 writing, 2 destructive. Tools: 0 get_one, 1 get_all, 2 add, 3 drop.
    let left_out = approve(&site, (&mut browser, &page), &client, [&["0", "1"], &["0", "2", "3"]]).await;
    assert_eq!(left_out, "destructive files:all, drop, get_all");
    site.clock.advance(Lifetime::from_secs(1));
    let (mut browser, page) = consent(&site, &client).await;
    let boxes = |page: &Page, kind: &str| -> BTreeSet<String> {
        let pattern = format!("name=\"{kind}\"");
        let boxes = page.html.split("<input ").filter(|text| text.contains(&pattern));
        let ticked = boxes.filter(|text| text.split('>').next().unwrap().contains(" checked"));
        ticked.map(|text| text.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()).collect()
    };
    let set = |indices: &[&str]| indices.iter().map(|index| (*index).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!((boxes(&page, "group"), boxes(&page, "tool")), (set(&["0", "1"]), set(&["0", "2"])));
    let left_out = approve(&site, (&mut browser, &page), &client, [&["0", "1", "2"], &["0", "2", "3"]]).await;
    assert_eq!(left_out, "get_all");
}

#[tokio::test]
async fn a_form_counts_for_the_tools_that_its_reader_saw() {
    let site = site(four()).await;
    let client = site.register(REDIRECT).await;
    let (mut browser, page) = consent(&site, &client).await;
    let forged = "W1siZmlsZXM6cmVhZCIsInJlYWRpbmciLFtdLFtdXV0";
    for listed in ["", forged] {
        let form = page.form(&[("listed", listed), ("scope", "files:read"), ("decision", "approve")]);
        assert_eq!(browser.post("/consent", &form).await.status, 403, "{listed}");
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_within_a_second_holds_up_nobody() {
    let site = site(None).await;
    let client = site.register(REDIRECT).await;
    let (_, page) = consent(&site, &client).await;
    assert!(words(&page).contains("Files did not say which tools it has"), "{page}");
    assert!(!page.html.contains("name=\"listed\"") && page.html.contains(">Approve<"));
}

#[tokio::test]
async fn the_page_shows_only_what_this_person_may_use() {
    let upstream = r#"
[[upstream]]
name = "files"
path = "/mcp/files"
url = "http://127.0.0.1:1/mcp"
default_scopes = ["files:read", "files:most"]
scope = [
    { name = "files:read", title = "Read files", allow = ["tools/call:get_*"] },
    { name = "files:most", title = "Change files", allow = ["tools/call:add"], includes = ["files:drop"] },
    { name = "files:drop", title = "Drop files", allow = ["tools/call:drop"], users = ["grace"] },
]

[[upstream.rule]]
effect = "deny"
operations = ["tools/call:get_all"]
"#;
    let site = Site::offering(upstream, Arc::new(Scripted(four()))).await;
    let client = site.register(REDIRECT).await;
    let (_, page) = consent(&site, &client).await;
    assert!(page.html.contains("<bdi>get_one</bdi>") && page.html.contains("<bdi>add</bdi>"), "{page}");
    // A rule denies the one, and the other is opened by a scope that this person may not hold.
    assert!(!page.html.contains("get_all") && !page.html.contains("<bdi>drop</bdi>"), "{page}");
}

#[tokio::test]
async fn where_nobody_knows_the_tools_the_page_says_nothing_of_them() {
    let site = Site::start().await;
    let client = site.register(REDIRECT).await;
    let mut browser = Browser::new(&site);
    let login = browser.begin(&request(&client, &[("resource", RESOURCE)])).await;
    let page = browser.log_in(&login).await;
    assert!(!page.html.contains("which tools") && !page.html.contains("name=\"listed\""), "{page}");
}

#[tokio::test]
async fn what_is_new_stands_apart_from_what_the_client_has() {
    let site = site(four()).await;
    let client = site.register(REDIRECT).await;
    let (mut browser, page) = consent(&site, &client).await;
    assert!(!page.html.contains("<h3>"), "nothing is held yet: {page}");
    let mut form = page.form(&[("listed", page.hidden("listed")), ("decision", "approve")]);
    form.extend([("scope", "files:read"), ("group", "0"), ("tool", "0"), ("tool", "1")]);
    let pairs = browser.post("/consent", &form).await.redirected(REDIRECT);
    let code = only(&pairs, "code");
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &*client),
        ("code", code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", REDIRECT),
        ("resource", FILES),
    ];
    assert_eq!(site.submit("/token", &form, &[]).await.status, 200);
    site.clock.advance(Lifetime::from_secs(1));
    let mut browser = Browser::new(&site);
    let login = browser.begin(&request(&client, &[("resource", FILES), ("scope", "files:all")])).await;
    let said = words(&browser.log_in(&login).await);
    let places =
        ["<h3>New</h3>", "Change files", "<h3>It already has</h3>", "Read files", "It does not ask for this now."];
    let places: Vec<_> = places.iter().map(|text| said.find(text).expect(text)).collect();
    assert!(places.is_sorted(), "{places:?}\n{said}");
    assert!(said.contains("1 permission, 1 new"), "{said}");
}

/// The values of the boxes of a kind that are ticked.
fn ticked(page: &Page, kind: &str) -> BTreeSet<String> {
    let pattern = format!("name=\"{kind}\"");
    let boxes = page.html.split("<input ").filter(|text| text.contains(&pattern));
    let ticked = boxes.filter(|text| text.split('>').next().unwrap().contains(" checked"));
    ticked.map(|text| text.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()).collect()
}

async fn grants(site: &Site) -> Vec<Grant> {
    let all = GrantFilter::of_tenant(&TenantId::default());
    site.store.list_grants(&all, mcpgate::clock::Clock::now(&*site.clock)).await.unwrap()
}

#[tokio::test]
async fn cn_22_what_was_left_out_is_shown_unticked_however_the_grant_ended() {
    let site = site(four()).await;
    let client = site.register(REDIRECT).await;
    let (mut browser, page) = consent(&site, &client).await;
    let left_out = approve(&site, (&mut browser, &page), &client, [&["0", "1"], &["0", "2", "3"]]).await;
    assert_eq!(left_out, "destructive files:all, drop, get_all");
    let grant = grants(&site).await.remove(0).id;
    site.store
        .revoke_grant(grant, AuditRow::new(Timestamp::default(), TenantId::default(), AuditEvent::GrantRevoked))
        .await
        .unwrap();
    assert!(grants(&site).await.is_empty());
    site.clock.advance(Lifetime::from_secs(1));
    let (mut browser, page) = consent(&site, &client).await;
    let boxes =
        |page: &Page| ["group", "tool"].map(|kind| ticked(page, kind).into_iter().collect::<Vec<_>>().join(" "));
    assert_eq!(boxes(&page), ["0 1", "0 2"], "{page}");
    // A mere click gives nothing back.
    let left_out = approve(&site, (&mut browser, &page), &client, [&["0", "1"], &["0", "2"]]).await;
    assert_eq!(left_out, "destructive files:all, drop, get_all");
    site.clock.advance(Lifetime::from_secs(1));
    let (mut browser, page) = consent(&site, &client).await;
    assert_eq!(approve(&site, (&mut browser, &page), &client, [&["0", "1", "2"], &["0", "1", "2", "3"]]).await, "");
    site.clock.advance(Lifetime::from_secs(1));
    let (_, page) = consent(&site, &client).await;
    assert_eq!(boxes(&page), ["0 1 2", "0 1 2 3"], "until it is ticked again");
}

#[tokio::test]
async fn what_is_unticked_has_force_for_what_the_client_holds_already() {
    let site = site(four()).await;
    let client = site.register(REDIRECT).await;
    let (mut browser, page) = consent(&site, &client).await;
    assert_eq!(approve(&site, (&mut browser, &page), &client, [&["0", "1", "2"], &["0", "1", "2", "3"]]).await, "");
    site.clock.advance(Lifetime::from_secs(1));
    let (mut browser, page) = consent(&site, &client).await;
    assert!(words(&page).contains("A tool that you leave unticked can no longer be used by either."), "{page}");
    let left_out = approve(&site, (&mut browser, &page), &client, [&["0", "1", "2"], &["0", "2", "3"]]).await;
    let all: Vec<_> = grants(&site).await.iter().map(|grant| text(&grant.exclusions)).collect();
    assert_eq!((&*left_out, all), ("get_all", vec!["get_all".to_owned(), "get_all".to_owned()]));
}

#[tokio::test]
async fn cn_16_a_kind_takes_the_tools_with_it_that_the_page_does_not_list() {
    let names: Vec<_> = (0..1000).map(|n| format!("get_{n:060}")).chain([format!("get_{}", "x".repeat(500))]).collect();
    let site = site(Some(names.iter().map(|name| tool(name, ToolKind::Reading)).collect())).await;
    let client = site.register(REDIRECT).await;
    let (mut browser, page) = consent(&site, &client).await;
    approve(&site, (&mut browser, &page), &client, [&[], &[]]).await;
    let exclusions = newest_exclusions(&site).await;
    assert!(names.iter().all(|name| exclusions.names(name)) && !exclusions.names("get_other"));
}

#[tokio::test]
async fn a_grant_says_when_its_page_was_shown_and_no_form_can_say_otherwise() {
    let site = site(four()).await;
    let client = site.register(REDIRECT).await;
    let (mut browser, page) = consent(&site, &client).await;
    let shown_at = site.clock.now();
    site.clock.advance(Lifetime::from_secs(60));
    let later = site.clock.now().as_millis().to_string();
    for forged in [&*later, "", "x"] {
        let mut form = page.form(&[("listed", page.hidden("listed")), ("decision", "approve"), ("scope", "files:all")]);
        form.iter_mut().filter(|(name, _)| *name == "shown_at").for_each(|field| field.1 = forged);
        assert_eq!(browser.post("/consent", &form).await.status, 403, "{forged:?}");
    }
    approve(&site, (&mut browser, &page), &client, [&["0"], &["0"]]).await;
    let grant = newest_grant(&site).await;
    assert_eq!((grant.consented_at, grant.created_at), (shown_at, site.clock.now()));
}

#[tokio::test]
async fn what_a_scope_includes_is_named_held_with_it_and_not_left_out_in_silence() {
    let upstream = r#"
[[upstream]]
name = "files"
path = "/mcp/files"
url = "http://127.0.0.1:1/mcp"
scope = [
    { name = "list", title = "See files", allow = ["tools/list"] },
    { name = "search", title = "Search files", allow = ["tools/call:get_*"], includes = ["list"] },
    { name = "all", title = "Do everything", allow = ["tools/call"], includes = ["search", "danger"] },
    { name = "danger", title = "Destroy files", allow = ["tools/call:drop"], sensitive = true },
]
"#;
    let site = Site::offering(upstream, Arc::new(Scripted(Some(vec![])))).await;
    let client = site.register(REDIRECT).await;
    let page_for = async |scope: &str| {
        let mut browser = Browser::new(&site);
        let login = browser.begin(&request(&client, &[("resource", FILES), ("scope", scope)])).await;
        let page = browser.log_in(&login).await;
        (browser, page)
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let (_, page) = page_for("list search all danger").await;
    assert!(words(&page).contains("It includes “See files”, “Search files” and “Destroy files”."), "{page}");
    assert_eq!(ticked(&page, "scope"), set(&["list", "search"]), "what includes a sensitive scope is one");
    let (mut browser, page) = page_for("list search").await;
    let again = browser.post("/consent", &page.form(&[("scope", "search"), ("decision", "approve")])).await;
    assert_eq!(again.status, 400);
    let again = Page::new("/consent", again.text());
    assert!(words(&again).contains("is part of another one that you ticked"), "{again}");
    assert_eq!(ticked(&again, "scope"), set(&["search"]), "as the reader left it");
    let (mut browser, page) = page_for("search").await;
    let form = page.form(&[("scope", "search"), ("decision", "approve")]);
    let pairs = browser.post("/consent", &form).await.redirected(REDIRECT);
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &*client),
        ("code", only(&pairs, "code")),
        ("code_verifier", VERIFIER),
        ("redirect_uri", REDIRECT),
        ("resource", FILES),
    ];
    assert_eq!(site.submit("/token", &form, &[]).await.status, 200);
    site.clock.advance(Lifetime::from_secs(1));
    let (_, page) = page_for("list").await;
    assert!(!page.html.contains("<h3>New</h3>") && page.html.contains("See files"), "it has both: {page}");
}
