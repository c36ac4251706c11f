//! TV: which tokens are accepted. For every refusal, the test also checks that the upstream received nothing.

use mcpgate::clock::Clock as _;
use mcpgate::oauth::{AccessToken, Brand, Lifetime, Subject, Timestamp, TokenKeys};
use mcpgate::store::{AuditEvent, SessionSecret};

use super::client::{RawRequest, Reply};
use super::failing_store::State;
use super::upstream::soon;
use super::world::{ALPHA, MCP, PING, World, client};

const METADATA: &str = "https://gw.example/.well-known/oauth-protected-resource/mcp";

fn assert_401b(reply: &Reply) {
    assert_eq!(reply.status, 401, "{reply:?}");
    let challenge = format!("Bearer resource_metadata=\"{METADATA}\", scope=\"use\"");
    assert_eq!(reply.field("www-authenticate"), Some(&*challenge));
    assert_eq!(reply.field("cache-control"), Some("no-store"));
    assert_eq!(reply.field("content-type"), Some("application/json"));
}

fn assert_401t(reply: &Reply) {
    assert_eq!(reply.status, 401, "{reply:?}");
    let challenge = reply.field("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer error=\"invalid_token\", error_description="), "{challenge}");
    assert!(challenge.ends_with(&format!("resource_metadata=\"{METADATA}\", scope=\"use\"")), "{challenge}");
    assert_eq!(reply.json()["error"], "invalid_token");
    assert_eq!(reply.field("cache-control"), Some("no-store"));
}

fn assert_400(reply: &Reply) {
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(reply.field("www-authenticate").unwrap().starts_with("Bearer error=\"invalid_request\""), "{reply:?}");
    assert_eq!(reply.json()["error"], "invalid_request");
}

#[tokio::test]
async fn tv_01_no_token_is_challenged_without_an_error_whatever_is_asked() {
    let world = World::new().await;
    for method in ["POST", "GET", "DELETE", "HEAD", "PUT", "PATCH", "BREW"] {
        let mut client = world.connect().await;
        client.send(&RawRequest::new(method, "/mcp").field("Accept", "*/*").bytes()).await;
        assert_401b(&if method == "HEAD" { client.head().await } else { client.reply().await });
    }
    for body in ["", "not json", PING] {
        assert_401b(&world.ask(&RawRequest::new("POST", "/mcp").field("Content-Type", "text/plain").body(body)).await);
    }
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn a_trailing_slash_is_the_same_resource_and_its_metadata_carry_it() {
    let world = World::new().await;
    let reply = world.ask(&RawRequest::new("GET", "/mcp/")).await;
    assert!(reply.field("www-authenticate").unwrap().contains(&format!("resource_metadata=\"{METADATA}/\"")));
    let token = world.token(MCP).text;
    let ask = RawRequest::new("POST", "/mcp/").field("Content-Type", "application/json").body(PING).bearer(&token);
    assert_eq!(world.ask(&ask).await.status, 200);
    assert_eq!(world.mcp.last().line, "POST /upstream HTTP/1.1");
}

#[tokio::test]
async fn tv_02_other_schemes_are_no_credentials_and_bearer_has_no_case() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    for field in ["Basic Zm9vOmJhcg==".to_owned(), format!("Token {token}"), format!("MAC {token}")] {
        assert_401b(&world.ask(&RawRequest::post(PING).field("Authorization", &field)).await);
    }
    world.mcp.assert_nothing();
    for scheme in ["bearer", "Bearer", "BEARER"] {
        let reply = world.ask(&RawRequest::post(PING).field("Authorization", &format!("{scheme} {token}"))).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

#[tokio::test]
async fn tv_03_tv_04_malformed_credentials_are_a_bad_request() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    for field in [
        format!("Bearer\t{token}"),
        format!("Bearer \t{token}"),
        format!("Bearer {token},"),
        format!("Bearer \"{token}\""),
        format!("Bearer {token} {token}"),
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearer {token}é"),
    ] {
        assert_400(&world.ask(&RawRequest::post(PING).field("Authorization", &field)).await);
    }
    assert_400(&world.ask(&RawRequest::post(PING).bearer(&token).bearer(&token)).await);
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn tv_03_an_empty_bearer_is_no_token_and_spaces_before_one_are_allowed() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    for field in ["Bearer", "Bearer ", "bearer   "] {
        assert_401b(&world.ask(&RawRequest::post(PING).field("Authorization", field)).await);
        assert_401b(&world.ask(&RawRequest::new("GET", "/mcp").field("Authorization", field)).await);
    }
    assert_400(&world.ask(&RawRequest::post(PING).field("Authorization", "Bearer").bearer(&token)).await);
    world.mcp.assert_nothing();
    for field in [format!("Bearer  {token}"), format!("bearer    {token}")] {
        assert_eq!(world.ask(&RawRequest::post(PING).field("Authorization", &field)).await.status, 200, "{field}");
    }
}

#[tokio::test]
async fn tv_05_a_token_elsewhere_than_in_the_header_does_not_count() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    let in_query =
        |ask: &str| RawRequest::new("POST", &format!("/mcp?{ask}={token}")).field("Content-Type", "application/json");
    assert_401b(&world.ask(&in_query("access_token").body(PING)).await);
    assert_400(&world.ask(&in_query("access_token").body(PING).bearer(&token)).await);
    assert_400(&world.ask(&in_query("access%5Ftoken").body(PING).bearer(&token)).await);
    let form = RawRequest::new("POST", "/mcp").field("Content-Type", "application/x-www-form-urlencoded");
    assert_401b(&world.ask(&form.body(format!("access_token={token}"))).await);
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn tv_06_an_invented_token_costs_no_read() {
    let world = World::new().await;
    let made = world.make(MCP, "use").text;
    let broken = format!("{}A", &made[..made.len() - 1]);
    let broken = if broken == made { format!("{}B", &made[..made.len() - 1]) } else { broken };
    let foreign = TokenKeys::new(vec![(1, [8; 32])], Brand::parse("mcp").unwrap()).unwrap();
    let forged = AccessToken::mint([3; 32], &foreign).reveal().to_owned();
    for token in [broken.as_str(), forged.as_str(), "x", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"] {
        assert_401t(&world.ask(&RawRequest::post(PING).bearer(token)).await);
    }
    assert_eq!(world.store.calls("find_access_tokens"), 0);
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn tv_07_reads_for_unknown_tokens_are_few_and_no_is_remembered() {
    let world = World::with(|config| config.rates.store_reads_per_second = 5).await;
    let gone = world.make(MCP, "use").text;
    for _ in 0..20 {
        assert_401t(&world.ask(&RawRequest::post(PING).bearer(&gone)).await);
    }
    assert_eq!(world.store.calls("find_access_tokens"), 1);
    world.mcp.assert_nothing();
    // Many invalid tokens, and a valid one last: each gets the correct answer, and one read serves many.
    let good = world.stored(MCP).await.text;
    let mut tokens: Vec<_> = (0..100).map(|_| world.make(MCP, "use").text).collect();
    tokens.push(good);
    let asks: Vec<_> = tokens.iter().map(|token| RawRequest::post(PING).bearer(token)).collect();
    let replies = futures_util::future::join_all(asks.iter().map(|ask| world.ask(ask))).await;
    let (good, gone) = replies.split_last().unwrap();
    gone.iter().for_each(assert_401t);
    assert_eq!(good.status, 200);
    let reads = world.store.calls("find_access_tokens");
    assert!(reads < 15, "{reads} reads");
    assert_eq!(world.mcp.seen().len(), 1);
}

#[tokio::test]
async fn tv_08_a_token_is_good_to_its_last_millisecond_and_no_longer() {
    let world = World::new().await;
    let token = world.token(MCP).text;
    world.clock.advance(Lifetime::from_millis(3_599_999));
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&token)).await.status, 200);
    world.clock.advance(Lifetime::from_millis(1));
    assert_401t(&world.ask(&RawRequest::post(PING).bearer(&token)).await);
}

#[tokio::test]
async fn tv_09_a_revoked_token_is_refused_on_the_next_request() {
    let world = World::new().await;
    let made = world.token(MCP);
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&made.text)).await.status, 200);
    world.cache.forget_grant(&made.record.tenant, made.record.grant);
    assert_401t(&world.ask(&RawRequest::post(PING).bearer(&made.text)).await);
    let other = world.token(MCP);
    world.cache.forget_token(&other.record.hash);
    assert_401t(&world.ask(&RawRequest::post(PING).bearer(&other.text)).await);
    assert_eq!(world.mcp.seen().len(), 1);
}

#[tokio::test]
async fn tv_09_a_revocation_by_another_process_is_in_force_within_a_second() {
    let world = World::new().await;
    let made = world.stored(MCP).await;
    world.follow();
    let ask = RawRequest::post(PING).bearer(&made.text);
    assert_eq!(world.ask(&ask).await.status, 200);
    let audit = world.audit(AuditEvent::GrantRevoked);
    world.store.inner.revoke_grant(made.record.grant, audit).await.unwrap();
    let begun = std::time::Instant::now();
    let reply = soon(async {
        loop {
            let reply = world.ask(&ask).await;
            if reply.status != 200 {
                return reply;
            }
        }
    });
    assert_401t(&reply.await);
    assert!(begun.elapsed().as_millis() < 1000, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn tv_10_tv_11_another_audience_gets_the_same_bytes_as_an_unknown_token() {
    let world = World::new().await;
    let unknown = world.ask(&RawRequest::post(PING).bearer(&world.make(MCP, "use").text)).await.timeless();
    assert_401t(&unknown);
    for audience in [ALPHA, "https://gw.example", "https://gw.example/mcp/main", "https://other.example/mcp"] {
        let reply = world.ask(&RawRequest::post(PING).bearer(&world.token(audience).text)).await;
        assert_eq!(reply.timeless(), unknown, "{audience}");
    }
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn tv_12_another_tenant_gets_the_same_bytes() {
    let world = World::new().await;
    let mut made = world.make(MCP, "use");
    made.record.tenant = mcpgate::oauth::TenantId::parse("other").unwrap();
    world.cache.insert(&made.record);
    assert_401t(&world.ask(&RawRequest::post(PING).bearer(&made.text)).await);
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn tv_13_tv_18_secrets_of_another_kind_or_maker_are_no_access_tokens() {
    let world = World::new().await;
    let session = SessionSecret::mint([1; 32], &world.keys);
    for token in [session.reveal(), "ya29.a0AfH6SMBx", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"] {
        assert_401t(&world.ask(&RawRequest::post(PING).bearer(token)).await);
    }
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn tv_14_a_disabled_client_or_account_ends_its_tokens_until_it_is_enabled() {
    let world = World::new().await;
    let made = world.stored(MCP).await;
    let ask = RawRequest::post(PING).bearer(&made.text);
    assert_eq!(world.ask(&ask).await.status, 200);
    let set = async |disabled| {
        let audit = world.audit(AuditEvent::ClientDisabled);
        world.store.inner.set_client_disabled(&client(), disabled, audit).await.unwrap();
    };
    set(true).await;
    world.cache.forget_client(&made.record.tenant, &client());
    assert_401t(&world.ask(&ask).await);
    set(false).await;
    world.clock.advance(Lifetime::from_secs(11));
    assert_eq!(world.ask(&ask).await.status, 200);
    let audit = world.audit(AuditEvent::AccountDisabled);
    let (tenant, subject) = (&made.record.tenant, made.record.subject.id());
    world.store.inner.set_account_disabled(subject, true, audit).await.unwrap();
    world.cache.forget_subject(tenant, subject);
    assert_401t(&world.ask(&ask).await);
}

#[tokio::test]
async fn mc_01_extensions_and_desktop_applications_call_by_their_exact_origin() {
    let origins = ["chrome-extension://abcdefghijklmnop", "app://obsidian.md", "tauri://localhost"];
    let world = World::with(|config| config.allowed_origins = origins.map(str::to_owned).into()).await;
    let token = world.token(MCP).text;
    for origin in origins {
        let reply = world.ask(&RawRequest::post(PING).bearer(&token).field("Origin", origin)).await;
        assert_eq!((reply.status, reply.field("access-control-allow-origin")), (200, Some(origin)));
        for other in [format!("{origin}x"), format!("{origin}/"), origin.to_uppercase(), "null".to_owned()] {
            assert_eq!(
                world.ask(&RawRequest::post(PING).bearer(&token).field("Origin", &other)).await.status,
                403,
                "{other}"
            );
        }
    }
}

#[tokio::test]
async fn tv_19_a_preflight_needs_no_token_and_reaches_nobody() {
    let world = World::with(|config| config.allowed_origins = vec!["https://page.example".to_owned()]).await;
    let ask = RawRequest::new("OPTIONS", "/mcp")
        .field("Origin", "https://page.example")
        .field("Access-Control-Request-Method", "POST")
        .field("Access-Control-Request-Headers", "authorization, mcp-param-region, mcp-param-b@d, x-evil");
    let reply = world.ask(&ask).await;
    assert_eq!((reply.status, reply.field("access-control-allow-origin")), (204, Some("https://page.example")));
    let allowed = reply.field("access-control-allow-headers").unwrap();
    assert!(
        allowed.starts_with("Authorization, Content-Type,") && allowed.ends_with("DPoP, mcp-param-region"),
        "{allowed}"
    );
    assert_eq!(reply.field("access-control-allow-methods"), Some("GET, POST, DELETE, OPTIONS"));
    assert_eq!(reply.field("access-control-allow-credentials"), None);
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn tv_21_fields_that_look_like_routing_change_nothing() {
    let world = World::new().await;
    let mut ask = RawRequest::new("GET", "/mcp")
        .field("User-Agent", "kube-probe/1.30")
        .field("X-HTTP-Method-Override", "OPTIONS");
    for name in ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri"] {
        ask = ask.field(name, "/healthz");
    }
    assert_401b(&world.ask(&ask).await);
    world.mcp.assert_nothing();
}

#[tokio::test]
async fn tv_23_what_cannot_be_proven_is_neither_granted_nor_denied() {
    let world = World::new().await;
    let made = world.stored(MCP).await;
    let ask = RawRequest::post(PING).bearer(&made.text);
    world.store.set(State::Down);
    let reply = world.ask(&ask).await;
    reply.assert_rpc(503, -32603, serde_json::Value::Null);
    assert_eq!(reply.field("retry-after"), Some("5"));
    world.mcp.assert_nothing();
    world.store.set(State::Open);
    assert_eq!(world.ask(&ask).await.status, 200);
}

#[tokio::test]
async fn a_request_that_is_let_through_marks_the_last_use_of_its_grant_and_a_refused_one_does_not() {
    let world = World::new().await;
    let (made, other) = (world.token(MCP), world.token(MCP));
    let ask = RawRequest::post(PING).bearer(&made.text);
    assert_eq!(world.ask(&ask).await.status, 200);
    assert_eq!(world.last_uses(), [(made.record.grant, world.clock.now())]);
    assert!(world.last_uses().is_empty(), "what was taken");

    // Per grant, the last value counts.
    for text in [&made.text, &other.text, &made.text] {
        world.clock.advance(Lifetime::from_secs(1));
        assert_eq!(world.ask(&RawRequest::post(PING).bearer(text)).await.status, 200);
    }
    let (now, before) = (world.clock.now(), Timestamp::from_secs(world.clock.now().as_secs() - 1));
    let mut marked = world.last_uses();
    marked.sort_unstable();
    assert_eq!(marked, [(made.record.grant, now), (other.record.grant, before)]);

    // Wrong upstream, method, message or session; missing scopes; revoked, expired.
    let lacking = world.token(ALPHA);
    let to_alpha =
        |text: &str| RawRequest::new("POST", "/mcp/alpha").field("Content-Type", "application/json").bearer(text);
    let session = RawRequest::post(PING).field("MCP-Protocol-Version", "2025-06-18").field("Mcp-Session-Id", "unknown");
    for (ask, status) in [
        (to_alpha(&made.text).body(PING), 401),
        (RawRequest::new("PUT", "/mcp").bearer(&made.text), 405),
        (RawRequest::post("{").bearer(&made.text), 400),
        (session.bearer(&made.text), 404),
        (to_alpha(&lacking.text).body(PING), 403),
    ] {
        assert_eq!(world.ask(&ask).await.status, status);
    }
    world.cache.forget_grant(&other.record.tenant, other.record.grant);
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&other.text)).await.status, 401);
    world.clock.advance(Lifetime::from_secs(3600));
    assert_eq!(world.ask(&ask).await.status, 401);
    assert!(world.last_uses().is_empty());

    // First read from the store, and of a service.
    let stored = world.stored(MCP).await;
    let mut service = world.make(MCP, "use");
    service.record.subject = Subject::Service(service.record.subject.id().clone());
    world.cache.insert(&service.record);
    for made in [stored, service] {
        assert_eq!(world.ask(&RawRequest::post(PING).bearer(&made.text)).await.status, 200);
        assert_eq!(world.last_uses(), [(made.record.grant, world.clock.now())]);
    }
}

#[tokio::test]
async fn sc_01_a_missing_scope_is_named_in_the_challenge() {
    let world = World::new().await;
    let poor = world.token(ALPHA).text;
    let ask = |token: &str| {
        RawRequest::new("POST", "/mcp/alpha").field("Content-Type", "application/json").body(PING).bearer(token)
    };
    let reply = world.ask(&ask(&poor)).await;
    assert_eq!(reply.status, 403, "{reply:?}");
    let challenge = reply.field("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer error=\"insufficient_scope\""), "{challenge}");
    assert!(challenge.contains("scope=\"admin\"") && challenge.contains("/oauth-protected-resource/mcp/alpha\""));
    assert_eq!(reply.json()["error"], "insufficient_scope");
    world.alpha.assert_nothing();
    let rich = world.make(ALPHA, "admin other");
    world.cache.insert(&rich.record);
    assert_eq!(world.ask(&ask(&rich.text)).await.status, 200);
}

#[tokio::test]
async fn too_many_requests_of_one_user_are_told_when_to_come_again() {
    let world = World::with(|config| (config.rates.mcp_per_second, config.rates.mcp_burst) = (1, 3)).await;
    let ask = |n| RawRequest::post(PING).bearer(&world.token_of(MCP, "ada-lovelace-0001", &format!("mcp_client_{n}")));
    for n in 0..3 {
        assert_eq!(world.ask(&ask(n)).await.status, 200);
    }
    let reply = world.ask(&ask(4)).await;
    assert_eq!((reply.status, reply.json()["error"].as_str()), (429, Some("slow_down")));
    assert!(reply.field("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    let made = world.make_for(MCP, "use", "somebody-else");
    world.cache.insert(&made.record);
    assert_eq!(world.ask(&RawRequest::post(PING).bearer(&made.text)).await.status, 200);
}
