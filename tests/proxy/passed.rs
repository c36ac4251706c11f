//! `pass_headers` and `host`: which additional fields an operator forwards to an upstream, and the name by which
//! requests address it.

use mcpgate::config::{Config, Overrides};

use super::client::RawRequest;
use super::upstream::answer;
use super::world::{ALPHA, API, MCP, PING, World};

/// A world that forwards `X-Region` to the MCP server and the plain interface, not to the third upstream.
async fn passing() -> World {
    World::with(|config| {
        for upstream in config.upstreams.iter_mut().filter(|upstream| upstream.name != "alpha") {
            upstream.pass_headers = vec!["x-region".parse().unwrap()];
        }
        config.allowed_origins = vec!["https://page.example".to_owned()];
    })
    .await
}

/// Sends a request with these fields to each upstream, and returns the values of `X-Region` that each received.
async fn regions(world: &World, fields: &[(&str, &str)]) -> [Vec<String>; 3] {
    let alpha = world.make(ALPHA, "admin");
    world.cache.insert(&alpha.record);
    let post = |target: &str| RawRequest::new("POST", target).field("Content-Type", "application/json").body(PING);
    let mut arrived = Vec::new();
    for (target, token, upstream) in [
        ("/mcp", world.token(MCP).text, &world.mcp),
        ("/api/a", world.token(API).text, &world.api),
        ("/mcp/alpha", alpha.text, &world.alpha),
    ] {
        let ask = fields.iter().fold(post(target).bearer(&token), |ask, (name, value)| ask.field(name, value));
        let reply = world.ask(&ask).await;
        assert_eq!(reply.status, 200, "{target}: {reply:?}");
        let seen = upstream.last();
        let is_one = |name: &str| name.replace(['_', '.'], "-").eq_ignore_ascii_case("x-region");
        arrived.push(seen.fields.into_iter().filter(|(name, _)| is_one(name)).map(|(_, value)| value).collect());
    }
    arrived.try_into().unwrap()
}

#[tokio::test]
async fn a_chosen_header_passes_with_all_its_values_and_under_its_name_alone() {
    let world = passing().await;
    let none: Vec<String> = Vec::new();
    let both = vec!["eu".to_owned(), "us, ap".to_owned()];
    let sent = [("X-Region", "eu"), ("x-REGION", "us, ap"), ("X-Other", "gone")];
    assert_eq!(regions(&world, &sent).await, [both.clone(), both, none.clone()]);
    let disguised = [("X_Region", "a"), ("X.Region", "b"), ("x-region-", "c"), ("XRegion", "d")];
    assert_eq!(regions(&world, &disguised).await, [none.clone(), none.clone(), none]);
}

#[tokio::test]
async fn hd_02_a_chosen_header_that_belongs_to_the_connection_ends_here() {
    let world = passing().await;
    let none: Vec<String> = Vec::new();
    for list in ["X-Region", "close, x-region", "keep-alive,,X-REGION ,", "\tx-Region"] {
        let sent = [("X-Region", "eu"), ("Connection", list)];
        assert_eq!(regions(&world, &sent).await, [none.clone(), none.clone(), none.clone()], "{list}");
    }
    let twice = [("Connection", "close"), ("X-Region", "eu"), ("Connection", "x-region")];
    assert_eq!(regions(&world, &twice).await[0], none);
    let other = [("Connection", "close, X-Regional, region"), ("X-Region", "eu")];
    assert_eq!(regions(&world, &other).await[..2], [["eu"], ["eu"]]);
}

#[tokio::test]
async fn what_passes_anyway_is_not_doubled_and_a_reload_changes_what_passes() {
    let world = World::new().await;
    let sent = [("X-Region", "eu"), ("Accept-Language", "de")];
    assert!(regions(&world, &sent).await.iter().all(Vec::is_empty));
    world.reload(|config| {
        let names = ["x-region", "accept-language", "user-agent"];
        let names = names.map(|name| name.parse().unwrap());
        config.upstreams.iter_mut().for_each(|upstream| upstream.pass_headers = names.to_vec());
    });
    assert_eq!(regions(&world, &sent).await, [["eu"], ["eu"], ["eu"]]);
    for upstream in [&world.mcp, &world.api] {
        assert_eq!(upstream.last().field("accept-language"), Some("de"));
    }
}

#[tokio::test]
async fn a_page_may_send_what_passes_to_the_upstream_that_it_calls() {
    let world = passing().await;
    for (target, is_allowed) in [("/mcp", true), ("/api/a", true), ("/mcp/alpha", false)] {
        let ask = RawRequest::new("OPTIONS", target).field("Origin", "https://page.example");
        let ask = ask.field("Access-Control-Request-Method", "POST");
        let reply = world.ask(&ask.field("Access-Control-Request-Headers", "authorization, x-region")).await;
        let allowed = reply.field("access-control-allow-headers").expect("a list").to_owned();
        assert_eq!(allowed.split(", ").any(|name| name == "x-region"), is_allowed, "{target}: {allowed}");
        assert!(allowed.starts_with("Authorization, "), "{allowed}");
    }
}

/// HD-03: a field that the gateway writes into requests is refused in `pass_headers`.
#[tokio::test]
async fn hd_03_nothing_that_the_gateway_emits_can_be_passed() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&token)).await.status, 200);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let mut emitted = 0;
    for (name, _) in world.mcp.last().fields {
        // The operator's own credential cannot be in both `headers` and `pass_headers`, which another test shows.
        if name.eq_ignore_ascii_case("x-upstream-key") {
            continue;
        }
        let upstream =
            format!("name = \"a\"\npath = \"/mcp\"\nurl = \"http://127.0.0.1:1/\"\npass_headers = [{name:?}]\n");
        let text =
            format!("public_url = \"https://gw.example\"\n[listen]\ntls = \"development\"\n[[upstream]]\n{upstream}");
        std::fs::write(&file, text).unwrap();
        let problems = Config::load(Some(&file), &Overrides::default()).expect_err(&name);
        assert!(problems.iter().any(|problem| problem.key == "upstream[0].pass_headers[0]"), "{name}: {problems:?}");
        emitted += 1;
    }
    assert!(emitted > 12, "{emitted}");
}

#[tokio::test]
async fn an_upstream_is_asked_by_the_host_that_is_configured() {
    let world = World::with(|config| {
        config.upstreams.iter_mut().for_each(|upstream| upstream.host = Some("internal.example:8443".to_owned()));
    })
    .await;
    assert!(world.probe().await.iter().all(|state| state.is_up == Some(true)));
    assert_eq!(world.mcp.last().field("host"), Some("internal.example:8443"), "the gateway's own request too");
    let (mcp, api) = (world.token(MCP).text, world.token(API).text);
    // A server builds its redirects from the host that the request names.
    for host in ["internal.example:8443".to_owned(), world.mcp.address.to_string()] {
        world.mcp.then([answer(&format!("307 Temporary Redirect\r\nLocation: http://{host}/upstream/"), "")]);
        assert_eq!(world.ask(&RawRequest::post(PING).bearer(&mcp)).await.status, 200, "{host}");
        let seen = world.mcp.last();
        assert_eq!((&*seen.line, seen.field("host")), ("POST /upstream/ HTTP/1.1", Some("internal.example:8443")));
        assert_eq!(seen.field("x-forwarded-host"), Some("gw.example"));
    }
    world.mcp.then([answer("307 Temporary Redirect\r\nLocation: http://internal.example/upstream/", "")]);
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&mcp)).await.status, 502, "another port");
    for (to, mapped) in [
        ("http://internal.example:8443/base/y", Some("/api/y")),
        ("https://internal.example:8443/base/y", Some("/api/y")),
        ("http://internal.example/base/y", None),
        ("http://evil.example:8443/base/y", None),
    ] {
        world.api.then([answer(&format!("201 Created\r\nLocation: {to}"), "")]);
        let reply = world.ask(&RawRequest::new("POST", "/api/x").bearer(&api).body("{}")).await;
        assert_eq!((reply.status, reply.field("location")), (201, mapped), "{to}");
        assert_eq!(world.api.last().field("host"), Some("internal.example:8443"));
    }
}
