//! Known clients as data (`tests/profiles`), each replayed from its first request to its last: how it finds the
//! metadata, gets a client id, asks for scopes, refreshes, asks for more, and recovers. docs/clients.md has the table.

#[path = "../../support/golden.rs"]
mod golden;
mod profile;
mod replay;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::edge::edge;
use crate::support::free_address::free_address;
use crate::support::gateway::{Gateway, Home};
use crate::support::upstream::Upstream;
use profile::{Profile, StepUp};
use replay::Replay;

/// The gateway before which all profiles are replayed, and the web site that publishes their documents.
pub(crate) struct Stage {
    gateway: Gateway,
    /// Where the server is.
    server: SocketAddr,
    site: u16,
    documents: Arc<Mutex<BTreeMap<String, Value>>>,
}

impl Stage {
    /// Starts with a public URL that has this path, and an upstream with these keys, perhaps at an address of its own,
    /// or beside others.
    async fn new(path: &'static str, own: Option<SocketAddr>, (keys, others): (&str, &str)) -> Self {
        let documents: Arc<Mutex<BTreeMap<String, Value>>> = Arc::default();
        let published = Arc::clone(&documents);
        let (site, authority) = edge(move |path| {
            let document =
                published.lock().expect("the documents").get(path).map_or_else(String::new, Value::to_string);
            let head = format!("content-type: application/json\r\ncontent-length: {}", document.len());
            format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{document}").into_bytes()
        })
        .await;
        let folder = tempfile::tempdir().expect("a folder");
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, authority).expect("the authority");
        let upstream = Upstream::with(|method| match method {
            "tools/list" => json!({"tools": [{"name": "look"}, {"name": "write"}]}),
            _ => json!({"content": []}),
        });
        let config = format!(
            r#"
[outbound]
allow_addresses = ["127.0.0.0/8", "::1"]
extra_ca_file = "{ca}"

[[upstream]]
name = "tools"
path = "/mcp"
url = "{url}"
default_scopes = ["read"]
{keys}

[[upstream.scope]]
name = "read"
title = "Look"
allow = ["tools/list", "tools/call:look"]

[[upstream.scope]]
name = "write"
title = "Write"
allow = ["tools/call:write"]
{others}
"#,
            ca = ca.display(),
            url = upstream.url,
        );
        let mut home = Home::new(&config, None);
        home.path = path;
        let server = own.unwrap_or(home.public);
        // One host publishes what are many in life.
        let written = std::fs::read_to_string(home.config()).expect("the configuration");
        let raised = written.replace("[rates]\n", "[rates]\nfetches_per_host_per_minute = 1000\n");
        std::fs::write(home.config(), raised).expect("the configuration");
        Self { gateway: home.start().await, server, site, documents }
    }

    pub(crate) fn home(&self) -> &Home {
        &self.gateway.home
    }

    /// Publishes the document of a client; returns its URL, the client id.
    pub(crate) fn publish(&self, name: &str, document: &Value) -> String {
        let path = format!("/{name}.json");
        let url = format!("https://localhost:{}{path}", self.site);
        let mut document = document.clone();
        document["client_id"] = json!(url);
        self.documents.lock().expect("the documents").insert(path, document);
        url
    }
}

// The site answers while a command runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_profile_of_a_client_goes_all_the_way() {
    replay_all("", None, ("", "")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_profile_goes_all_the_way_where_the_server_has_a_port_of_its_own() {
    let own = free_address();
    replay_all("", Some(own), (&format!("public_url = \"https://localhost:{}\"", own.port()), "")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_profile_goes_all_the_way_where_upstreams_share_a_resource() {
    let rest = r#"
[[upstream]]
name = "rest"
path = "/api"
resource = "/"
kind = "http"
url = "http://127.0.0.1:1/"

[[upstream.scope]]
name = "read"
allow = ["GET"]
"#;
    replay_all("", None, ("resource = \"/\"", rest)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_profile_goes_all_the_way_below_a_path_of_a_shared_host() {
    replay_all("/apps/gw", None, ("", "")).await;
}

async fn replay_all(path: &'static str, own: Option<SocketAddr>, upstreams: (&str, &str)) {
    let stage = Stage::new(path, own, upstreams).await;
    for ((name, profile), site) in Profile::all().iter().zip(1..) {
        println!("{name}: {} ({})", profile.client, profile.flavour);
        Replay::begin(name, profile, &stage, site).await.run().await;
    }
}

#[test]
fn docs_clients_md_has_the_profiles() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/clients.md");
    let page = std::fs::read_to_string(&file).expect("docs/clients.md");
    let (start, end) = ("<!-- From tests/profiles -->\n", "<!-- Until here -->\n");
    let (before, rest) = page.split_once(start).expect("the start of the table");
    let (_, after) = rest.split_once(end).expect("the end of the table");
    golden::check(&file, &format!("{before}{start}{}{end}{after}", table()));
}

fn table() -> String {
    let mut table =
        "| client | its id by | asks for | if a call needs another scope | known from |\n| --- | --- | --- | --- | --- |\n"
            .to_owned();
    for (_, profile) in Profile::all() {
        let asks = profile.authorization.scope.as_str();
        let (asks, offline) =
            asks.strip_suffix(" offline_access").map_or((asks, ""), |asks| (asks, ", `offline_access`"));
        let scope = match asks {
            "challenge" => "the scopes of the challenge".to_owned(),
            "resource" => "the scopes in the metadata of the server".to_owned(),
            "server" => "the scopes in the metadata of the gateway".to_owned(),
            "none" => "no scope".to_owned(),
            "read" => "the scope that the user typed".to_owned(),
            literal => format!("`{literal}`"),
        };
        let more = match profile.step_up {
            StepUp::Union => "asks for that one and those it has",
            StepUp::Challenge => "asks for the scopes of the challenge alone",
        };
        let Profile { client, flavour, source, .. } = &profile;
        writeln!(table, "| {client} | {flavour} | {scope}{offline} | {more} | {source} |").expect("a string");
    }
    table
}
