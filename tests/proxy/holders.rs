//! Who may hold a token, asked for every request. A refused request does not reach the upstream.

use std::collections::BTreeSet;
use std::sync::Arc;

use mcpgate::config::Config;
use mcpgate::oauth::{AccessTokenRecord, AccountId, GroupName, GroupSet, LoginName, ScopeSet, ScopeToken, TenantId};
use mcpgate::policy::{AccountList, ConfiguredGroups, Pattern, Rules, ScopeRule};

use super::client::{Client, RawRequest, Reply};
use super::rules::rules;
use super::upstream::{Act, EVENTS, chunk, send};
use super::world::{MCP, World};

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

fn groups(names: &[&str]) -> GroupSet {
    names.iter().map(|name| GroupName::parse(name).unwrap()).collect()
}

/// Staff may hold a token, and admins the scope `harm`; the file has `of_file` as staff.
pub(crate) fn limit(config: &mut Config, of_file: &[&str]) {
    let staff =
        (GroupName::parse("staff").unwrap(), of_file.iter().filter_map(|name| LoginName::parse(name)).collect());
    let list = |names: &[&str]| AccountList { groups: groups(names), users: BTreeSet::new() };
    for upstream in &mut config.upstreams {
        upstream.holders.admitted = Some(list(&["staff"]));
        upstream.holders.limited = vec![(ScopeToken::parse("harm").unwrap(), list(&["admins"]))];
        upstream.holders.groups = Arc::new(ConfiguredGroups::new(std::slice::from_ref(&staff)));
    }
}

fn token(world: &World, scopes: &str, of: &[&str]) -> String {
    let made = world.make(MCP, scopes);
    world.cache.insert(&AccessTokenRecord { groups: groups(of), ..made.record.clone() });
    made.text
}

async fn ask(world: &World, token: &str) -> Reply {
    world.ask(&RawRequest::post(LIST).bearer(token)).await
}

#[tokio::test]
async fn who_is_not_admitted_is_told_whom_to_ask_and_the_upstream_gets_nothing() {
    let world = World::with(|config| limit(config, &[])).await;
    for (scopes, of) in [("use", &[][..]), ("use harm", &["admins"]), ("harm", &["staff"])] {
        let reply = ask(&world, &token(&world, scopes, of)).await;
        assert_eq!(reply.status, 403, "{scopes} {of:?}: {reply:?}");
        assert_eq!(reply.field("www-authenticate"), None, "a new login would not help");
        assert_eq!(reply.json()["error"], "access_denied");
        let text = reply.json()["error_description"].as_str().unwrap().to_owned();
        assert!(text.contains("no access to this server") && text.contains("administrator"), "{text}");
    }
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn an_upstream_sees_only_the_scopes_that_the_account_may_hold() {
    let world = World::with(|config| limit(config, &[])).await;
    for (of, seen) in [(&["staff"][..], "use"), (&["staff", "admins"], "harm use")] {
        let reply = ask(&world, &token(&world, "use harm", of)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(world.mcp.last().field("x-mcpgate-scopes"), Some(seen));
    }
}

#[tokio::test]
async fn a_reload_of_the_files_groups_counts_at_once() {
    let world = World::with(|config| limit(config, &["ada"])).await;
    let token = token(&world, "use", &[]);
    assert_eq!(ask(&world, &token).await.status, 200);
    world.reload(|config| limit(config, &["grace"]));
    assert_eq!(ask(&world, &token).await.status, 403);
    world.reload(|config| limit(config, &["ada", "grace"]));
    assert_eq!(ask(&world, &token).await.status, 200);
}

#[tokio::test]
async fn a_scope_that_includes_one_that_the_account_may_not_hold_does_not_open_it() {
    let world = World::with(|config| {
        limit(config, &[]);
        let rule = |name: &str, method: &str, includes: &[&str]| ScopeRule {
            name: ScopeToken::parse(name).unwrap(),
            sensitive: false,
            allow: vec![Pattern::of_mcp(method).unwrap()],
            includes: includes.iter().map(|name| ScopeToken::parse(name).unwrap()).collect(),
        };
        let map = [rule("use", "prompts/list", &["harm"]), rule("harm", "tools/list", &[])];
        config.upstreams.iter_mut().for_each(|upstream| upstream.rules = Some(Arc::new(Rules::compile(&map))));
    })
    .await;
    let refused = ask(&world, &token(&world, "use", &["staff"])).await;
    assert_eq!((refused.status, refused.json()["error"]["code"].as_i64()), (200, Some(-32601)), "{refused:?}");
    assert_eq!(refused.field("www-authenticate"), None, "a new login would not help");
    world.mcp.assert_nothing();
    assert_eq!(ask(&world, &token(&world, "use", &["staff", "admins"])).await.status, 200);
}

#[tokio::test]
async fn a_challenge_names_only_scopes_that_the_account_may_hold() {
    let world = World::with(|config| {
        limit(config, &[]);
        let rule = |name: &str, method: &str| ScopeRule {
            name: ScopeToken::parse(name).unwrap(),
            sensitive: false,
            allow: vec![Pattern::of_mcp(method).unwrap()],
            includes: Vec::new(),
        };
        // Both of the last two open the list; only admins may hold the first of them.
        let map = [rule("use", "prompts/list"), rule("harm", "tools/list"), rule("see", "tools/list")];
        config.upstreams.iter_mut().for_each(|upstream| upstream.rules = Some(Arc::new(Rules::compile(&map))));
    })
    .await;
    for (of, asked) in [(&["staff"][..], "see use"), (&["staff", "admins"], "harm use")] {
        let refused = ask(&world, &token(&world, "use", of)).await;
        assert_eq!(refused.status, 403);
        let challenge = refused.field("www-authenticate").unwrap();
        assert!(challenge.contains(&format!("scope=\"{asked}\"")), "{challenge}");
    }
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn who_may_not_hold_a_required_scope_is_not_told_to_ask_for_it() {
    let world = World::with(|config| {
        limit(config, &[]);
        for upstream in &mut config.upstreams {
            upstream.required_scopes = ScopeSet::parse("harm").unwrap();
            upstream.holders.required = upstream.required_scopes.clone();
        }
    })
    .await;
    for (of, error, has_challenge) in
        [(&["staff"][..], "access_denied", false), (&["staff", "admins"], "insufficient_scope", true)]
    {
        let refused = ask(&world, &token(&world, "use", of)).await;
        assert_eq!(refused.status, 403);
        assert_eq!(refused.json()["error"], error, "{of:?}");
        assert_eq!(refused.field("www-authenticate").is_some(), has_challenge, "{of:?}");
    }
}

/// A rule about the members of a group.
const INTERNS: &str = r#"
[[upstream.rule]]
effect = "deny"
operations = ["tools/call"]
groups = ["interns"]
"#;

#[tokio::test]
async fn a_rule_about_a_group_means_the_members_in_the_file_and_those_in_the_store() {
    let interns = rules(INTERNS);
    let of_file = |config: &mut Config, names: &[&str]| {
        let members = names.iter().filter_map(|name| LoginName::parse(name)).collect();
        let groups = Arc::new(ConfiguredGroups::new(&[(GroupName::parse("interns").unwrap(), members)]));
        for upstream in &mut config.upstreams {
            upstream.rules.clone_from(&interns);
            upstream.holders.groups = Arc::clone(&groups);
        }
    };
    let world = World::with(|config| of_file(config, &["grace"])).await;
    let call = async |token: &str| {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add"}}"#;
        let reply = world.ask(&RawRequest::post(body).bearer(token)).await;
        assert_eq!(reply.status, 200);
        reply.json()["error"]["code"] == -32602
    };
    let (of_none, of_interns) = (token(&world, "use", &[]), token(&world, "use", &["interns"]));
    assert_eq!((call(&of_none).await, call(&of_interns).await), (false, true));
    world.reload(|config| of_file(config, &["ada"]));
    assert_eq!((call(&of_none).await, call(&of_interns).await), (true, true));
    world.reload(|config| of_file(config, &[]));
    assert_eq!((call(&of_none).await, call(&of_interns).await), (false, true));
}

/// Opens the standing stream, and reads what it begins with.
async fn stream(world: &World, token: &str) -> Client {
    world.mcp.then([send(EVENTS), chunk("data: a\n\n"), Act::Hang]);
    let mut client = world.connect().await;
    client.send(&RawRequest::new("GET", "/mcp").bearer(token).field("Accept", "text/event-stream").bytes()).await;
    client.head().await;
    client.chunks_until("a\n\n").await;
    client
}

#[tokio::test]
async fn a_reload_ends_the_open_streams_of_those_who_lose_a_scope_and_no_others() {
    let admins_of_file = |config: &mut Config, names: &[&str]| {
        limit(config, &["ada"]);
        let list = AccountList {
            users: names.iter().filter_map(|name| LoginName::parse(name)).collect(),
            ..AccountList::default()
        };
        let harm = (ScopeToken::parse("harm").unwrap(), list);
        config.upstreams.iter_mut().for_each(|upstream| upstream.holders.limited = vec![harm.clone()]);
    };
    let world = World::with(|config| admins_of_file(config, &["ada"])).await;
    let mut losing = stream(&world, &token(&world, "use harm", &[])).await;
    let mut keeping = stream(&world, &token(&world, "use", &[])).await;
    world.adopt(|config| admins_of_file(config, &["grace"]));
    assert_eq!(losing.chunks_until("ended\n\n").await, ": the access token has ended\n\n");
    world.mcp.wait_for_closed(1).await;
    // The other one goes on until its scope is gone from a map.
    world.adopt(|config| {
        let map = rules("[[upstream.scope]]\nname = \"see\"\ntitle = \"T\"\nallow = [\"*\"]\n");
        config.upstreams.iter_mut().for_each(|upstream| upstream.rules.clone_from(&map));
    });
    assert_eq!(keeping.chunks_until("ended\n\n").await, ": the access token has ended\n\n");
    world.mcp.wait_for_closed(2).await;
}

#[tokio::test]
async fn a_change_of_groups_in_the_store_ends_the_open_streams_of_the_account() {
    let world = World::with(|config| limit(config, &[])).await;
    let mut client = stream(&world, &token(&world, "use", &["staff"])).await;
    // Memory forgets the account's tokens at `Change::AccountGroupsChanged`; the next request reads them again.
    world.cache.forget_subject(&TenantId::default(), &AccountId::parse("ada-lovelace-0001").unwrap());
    assert_eq!(client.chunks_until("ended\n\n").await, ": the access token has ended\n\n");
}

#[tokio::test]
async fn a_reload_ends_the_open_streams_of_those_who_are_no_longer_admitted() {
    let world = World::with(|config| limit(config, &["ada"])).await;
    let token = token(&world, "use", &[]);
    let mut client = stream(&world, &token).await;
    world.adopt(|config| limit(config, &["grace"]));
    assert_eq!(client.chunks_until("ended\n\n").await, ": the access token has ended\n\n");
    world.mcp.wait_for_closed(1).await;
}
