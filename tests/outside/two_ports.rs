//! Upstreams with an origin of their own: each at its listener and nowhere else, and nothing else there.

use std::net::SocketAddr;

use hyper::Method;
use serde_json::json;

use crate::expect;
use crate::life::{until_reloads, until_said, write_config};
use crate::support::client::{Client, Reply, post_message, request};
use crate::support::free_address::free_address;
use crate::support::gateway::{Gateway, Home};
use crate::support::upstream::Upstream;

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

fn origin(address: SocketAddr) -> String {
    format!("https://localhost:{}", address.port())
}

fn table(name: &str, path: &str, upstream: &Upstream, keys: &str) -> String {
    format!("[[upstream]]\nname = \"{name}\"\npath = \"{path}\"\nurl = \"{}\"\n{keys}\n", upstream.url)
}

fn own(address: SocketAddr) -> String {
    format!("public_url = \"{}\"", origin(address))
}

struct TwoPorts {
    gateway: Gateway,
    here: Upstream,
    there: Upstream,
    address: SocketAddr,
}

impl TwoPorts {
    /// The same path at both origins, before different servers.
    async fn start() -> Self {
        let (here, there, address) = (Upstream::start(), Upstream::start(), free_address());
        let alias = "[[alias]]\nfrom = \"/oauth/token\"\nto = \"/token\"\n";
        let tables = table("here", "/mcp", &here, "") + &table("there", "/mcp", &there, &own(address)) + alias;
        let home = Home::new("", None);
        write_config(&home, "", &tables);
        Self { gateway: home.start().await, here, there, address }
    }

    fn home(&self) -> &Home {
        &self.gateway.home
    }

    fn token(&self, upstream: &str) -> String {
        let issued = self.home().command(&["token", "issue", "--user", "admin", "--upstream", upstream]);
        issued["access_token"].as_str().expect("a token").to_owned()
    }

    async fn there(&self, method: Method, target: &str, headers: &[(&str, &str)]) -> Reply {
        Client::at(self.home(), self.address).send(request(method, target, headers, "")).await
    }
}

#[tokio::test]
async fn each_is_served_at_its_own_origin_with_tokens_of_its_own() {
    let world = TwoPorts::start().await;
    let (mut main, mut own) = (Client::new(world.home()), Client::at(world.home(), world.address));
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "look"}});
    let (here, there) = (world.token("here"), world.token("there"));
    for (token, at_main, at_own) in [(&here, 200, 401), (&there, 401, 200)] {
        assert_eq!(main.send(post_message("/mcp", token, &message)).await.status, at_main);
        assert_eq!(own.send(post_message("/mcp", token, &message)).await.status, at_own);
    }
    assert_eq!((world.here.seen("look").len(), world.there.seen("look").len()), (1, 1));
    let seen = world.there.seen("look");
    assert_eq!(seen[0].headers["x-forwarded-host"], format!("localhost:{}", world.address.port()));
    assert_eq!(seen[0].headers["x-forwarded-proto"], "https");
}

#[tokio::test]
async fn resource_metadata_and_challenge_bear_the_origin_and_the_issuer_stays() {
    let world = TwoPorts::start().await;
    let (issuer, own) = (world.home().origin(), origin(world.address));
    for (origin, mut client) in [(&issuer, Client::new(world.home())), (&own, Client::at(world.home(), world.address))]
    {
        let challenged =
            client.send(request(Method::POST, "/mcp", &[("content-type", "application/json")], "{}")).await;
        expect::challenged(&challenged, origin, "/mcp", None);
        let document = client.get(&format!("{WELL_KNOWN}/mcp")).await.json();
        assert_eq!(document["resource"], json!(format!("{origin}/mcp")));
        assert_eq!(document["authorization_servers"], json!([issuer]));
    }
    let preflight = world.there(Method::OPTIONS, &format!("{WELL_KNOWN}/mcp"), &[]).await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, "*"));
    assert_eq!(world.there(Method::POST, &format!("{WELL_KNOWN}/mcp"), &[]).await.status, 405);
}

#[tokio::test]
async fn no_page_no_endpoint_and_no_cookie_is_there() {
    let world = TwoPorts::start().await;
    let cookie = format!("{}=x", world.home().cookie("session"));
    for path in [
        "/",
        "/account",
        "/authorize",
        "/consent",
        "/login",
        "/setup",
        "/token",
        "/register",
        "/revoke",
        "/introspect",
        "/oauth/token",
        "/assets/page.css",
        "/favicon.ico",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        WELL_KNOWN,
        "/mcp/x",
        "/nothing",
    ] {
        for method in [Method::GET, Method::POST] {
            let reply = world.there(method.clone(), path, &[("cookie", &cookie)]).await;
            let expected = if path == WELL_KNOWN && method == Method::POST { 405 } else { 404 };
            assert!(
                matches!(reply.status, 404 | 405) && (reply.status == expected || path.starts_with("/.well")),
                "{method} {path}: {reply:?}"
            );
            assert!(reply.text().is_empty() && reply.header("set-cookie").is_empty(), "{path}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn any_other_host_is_misdirected_at_either() {
    let world = TwoPorts::start().await;
    let (main, own) = (world.home().public.port(), world.address.port());
    for host in
        [format!("localhost:{main}"), format!("127.0.0.1:{own}"), "localhost".to_owned(), "evil.example".to_owned()]
    {
        for target in ["/mcp", "/.well-known/oauth-protected-resource/mcp", "/account"] {
            let reply = world.there(Method::GET, target, &[("host", &host)]).await;
            assert_eq!(reply.status, 421, "{host} {target}: {reply:?}");
        }
    }
    let at_main = request(Method::GET, "/mcp", &[("host", &format!("localhost:{own}"))], "");
    assert_eq!(Client::new(world.home()).send(at_main).await.status, 421);
}

#[tokio::test]
async fn a_reload_changes_what_is_served_there_and_only_a_restart_adds_an_origin() {
    let world = TwoPorts::start().await;
    let home = world.home();
    let here = table("here", "/mcp", &world.here, "");
    let more = table("more", "/mcp/more", &world.there, &own(world.address));
    write_config(home, "", &format!("{here}{more}"));
    world.gateway.signal("HUP");
    until_reloads(home, "reloaded", 1).await;
    assert_eq!(world.there(Method::GET, "/mcp", &[]).await.status, 404);
    assert_eq!(world.there(Method::POST, "/mcp/more", &[]).await.status, 401);
    for (rejected, tables) in
        [&here, &(here.clone() + &table("new", "/mcp", &world.there, &own(free_address())))].iter().enumerate()
    {
        write_config(home, "", tables);
        world.gateway.signal("HUP");
        until_reloads(home, "rejected", u64::try_from(rejected).unwrap() + 1).await;
        until_said(home, "upstream.public_url: only a restart can change it").await;
        assert_eq!(world.there(Method::POST, "/mcp/more", &[]).await.status, 401);
    }
}
