//! `World`: the proxy behind a loopback socket, a store that can fail, a clock that stands still, three upstreams.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mcpgate::clock::{Clock, ManualClock};
use mcpgate::config::{Config, Overrides, UpstreamConfig};
use mcpgate::oauth::{
    AccessToken, AccessTokenRecord, AccountId, Client as OAuthClient, ClientId, ClientMetadata, ClientOrigin, Grant,
    GrantId, Lifetime, ResourceIndicator, Subject, TenantId, Timestamp, TokenKeys,
};
use mcpgate::proxy::{Destination, Peer, Proxy, RouteTable, Sessions, UpstreamState};
use mcpgate::store::memory::MemoryStore;
use mcpgate::store::{Account, AuditEvent, AuditRow};
use mcpgate::telemetry::{Exposition, Metrics};
use mcpgate::token_cache::{Follower, TokenCache};
use tokio::net::{TcpListener, TcpStream};

use super::client::{Client, RawRequest, Reply};
use super::failing_store::FailingStore;
use super::records;
use super::upstream::{Upstream, soon};

/// The JSON-RPC id of every request.
pub(crate) const REQUEST_ID: &str = "01010101010101010101010101010101";
pub(crate) const MCP: &str = "https://gw.example/mcp";
pub(crate) const ALPHA: &str = "https://gw.example/mcp/alpha";
pub(crate) const API: &str = "https://gw.example/api";
pub(crate) const ADA: &str = "ada-lovelace-0001";

pub(crate) struct World {
    pub(crate) mcp: Upstream,
    pub(crate) alpha: Upstream,
    pub(crate) api: Upstream,
    pub(crate) store: Arc<FailingStore>,
    pub(crate) cache: Arc<TokenCache>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) keys: Arc<TokenKeys>,
    metrics: Arc<Metrics>,
    proxy: Arc<Proxy>,
    served: Served,
    address: SocketAddr,
    http2: SocketAddr,
    made: AtomicU64,
}

/// The configuration in use, and the values derived from it.
type Served = Arc<Mutex<(Arc<Config>, Arc<RouteTable>)>>;

/// A token, and its record.
pub(crate) struct Made {
    pub(crate) text: String,
    pub(crate) record: AccessTokenRecord,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// A world with a changed configuration.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let (mcp, alpha, api) = (Upstream::start().await, Upstream::start().await, Upstream::start().await);
        let mut config = configuration(mcp.address, alpha.address, api.address);
        change(&mut config);
        let config = Arc::new(config);
        let store = Arc::new(FailingStore::new(Arc::new(MemoryStore::new())));
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let keys = Arc::new(records::keys());
        let cache = TokenCache::new(store.clone(), keys.clone(), clock.clone(), &config);
        let table = Arc::new(RouteTable::build(&config, clock.clone()).unwrap());
        let metrics = Metrics::new(&config.upstreams.iter().map(|u| u.name.clone()).collect::<Vec<_>>());
        let proxy = Arc::new(Proxy::new(
            cache.clone(),
            clock.clone(),
            metrics.worker(),
            Arc::new(Sessions::new(&[9; 32], clock.now())),
        ));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let second = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, http2) = (listener.local_addr().unwrap(), second.local_addr().unwrap());
        let served = Arc::new(Mutex::new((config, table)));
        tokio::spawn(listen(listener, false, proxy.clone(), served.clone()));
        tokio::spawn(listen(second, true, proxy.clone(), served.clone()));
        let world = Self {
            mcp,
            alpha,
            api,
            store,
            cache,
            clock,
            keys,
            metrics,
            proxy,
            served,
            address,
            http2,
            made: AtomicU64::new(0),
        };
        world.populate().await;
        world
    }

    /// Serves a changed configuration from now on.
    pub(crate) fn reload(&self, change: impl FnOnce(&mut Config)) {
        let mut served = self.served.lock().unwrap();
        let mut config = Config::clone(&served.0);
        change(&mut config);
        let table = served.1.rebuild(&config).unwrap();
        *served = (Arc::new(config), Arc::new(table));
    }

    /// Tries all upstreams once, as the server does, and returns their states.
    pub(crate) async fn probe(&self) -> Vec<UpstreamState> {
        self.titles().await;
        self.states()
    }

    /// Tries all upstreams once, and returns the names that they give themselves.
    pub(crate) async fn titles(&self) -> Vec<String> {
        let table = self.served.lock().unwrap().1.clone();
        let titles = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&titles);
        let learnt = move |upstream: &str, title: &str| heard.lock().unwrap().push(format!("{upstream}: {title}"));
        table.probe_upstreams(&self.metrics.worker(), &learnt).await;
        titles.lock().unwrap().clone()
    }

    /// Lists once what upstreams offer, where that is wanted.
    pub(crate) async fn list(&self) {
        self.table().list_upstreams(&self.metrics.worker()).await;
    }

    /// Watches the upstreams, as the server does.
    pub(crate) fn watch(&self) -> tokio::task::JoinHandle<()> {
        let (table, metrics) = (self.table(), self.metrics.worker());
        tokio::spawn(async move { table.watch_upstreams(&metrics, &|_, _| ()).await })
    }

    pub(crate) fn table(&self) -> Arc<RouteTable> {
        self.served.lock().unwrap().1.clone()
    }

    /// Adopts a changed configuration, as the server does.
    pub(crate) fn adopt(&self, change: impl FnOnce(&mut Config)) {
        self.reload(change);
        self.proxy.adopt(&self.served.lock().unwrap().1);
    }

    /// Takes the last uses of grants.
    pub(crate) fn last_uses(&self) -> Vec<(GrantId, Timestamp)> {
        self.proxy.last_uses().take().into_iter().map(|(_, grant, at)| (grant, at)).collect()
    }

    /// Ends the standing streams, as the server does when it shuts down.
    pub(crate) fn drain(&self) {
        self.proxy.drain();
    }

    /// Ends the requests in progress, as the server does when the drain time is over.
    pub(crate) fn close(&self) {
        self.proxy.close();
    }

    /// Returns the states of the upstreams.
    pub(crate) fn states(&self) -> Vec<UpstreamState> {
        self.served.lock().unwrap().1.states()
    }

    /// Fills memory from the store, as the server does after its start.
    pub(crate) async fn fill(&self) {
        self.cache.begin().await.unwrap();
        self.cache.fill().await;
    }

    /// Follows the change log, as the server does.
    pub(crate) fn follow(&self) {
        tokio::spawn(Follower::run(self.cache.clone()));
    }

    async fn populate(&self) {
        let now = self.clock.now();
        let account = Account {
            subject: Subject::Person(AccountId::parse(ADA).unwrap()),
            password: None,
            password_set_at: None,
            created_at: now,
            ..records::account("ada")
        };
        self.store.inner.insert_account(account, self.audit(AuditEvent::AccountAdded)).await.unwrap();
        let client = OAuthClient { id: client(),            metadata: ClientMetadata::from_stored(r#"{"redirect_uris":["https://app.example/cb"],"grant_types":["authorization_code"],"response_types":["code"],"token_endpoint_auth_method":"none"}"#).unwrap(),
 created_at: now, ..records::client("app", ClientOrigin::Registered) };
        self.store.inner.insert_client(client, 10, self.audit(AuditEvent::ClientAdded)).await.unwrap();
    }

    pub(crate) fn audit(&self, event: AuditEvent) -> AuditRow {
        AuditRow::new(self.clock.now(), TenantId::default(), event)
    }

    /// Makes a token that lives an hour, and stores it nowhere.
    pub(crate) fn make(&self, resource: &str, scopes: &str) -> Made {
        self.make_for(resource, scopes, ADA)
    }

    pub(crate) fn make_for(&self, resource: &str, scopes: &str, subject: &str) -> Made {
        let n = self.made.fetch_add(1, Ordering::Relaxed);
        let mut random = [0; 32];
        random[..8].copy_from_slice(&n.to_be_bytes());
        let token = AccessToken::mint(random, &self.keys);
        let mut grant = [0; 16];
        grant[..8].copy_from_slice(&n.to_be_bytes());
        let of_grant = Grant {
            id: GrantId(grant),
            client: client(),
            subject: Subject::Person(AccountId::parse(subject).unwrap()),
            resource: ResourceIndicator::parse(resource).unwrap(),
            scopes: records::scopes(scopes),
            ..records::grant_of("ada", self.clock.now())
        };
        let record = AccessTokenRecord { user: "ada".into(), ..records::token_of(&of_grant, token.hash()) };
        Made { text: token.reveal().to_owned(), record }
    }

    /// Makes a token and puts it into memory only.
    pub(crate) fn token(&self, resource: &str) -> Made {
        let made = self.make(resource, "use");
        self.cache.insert(&made.record);
        made
    }

    /// Makes a token of a user and a client that became known in this way, and puts it into memory only.
    pub(crate) fn token_by(&self, subject: &str, client: &str, origin: ClientOrigin) -> String {
        let mut made = self.make_for(MCP, "use", subject);
        made.record.client = ClientId::parse(client).unwrap();
        made.record.client_origin = origin;
        self.cache.insert(&made.record);
        made.text
    }

    /// Makes a token of a user and a client and puts it into memory only.
    pub(crate) fn token_of(&self, resource: &str, subject: &str, client: &str) -> String {
        let mut made = self.make_for(resource, "use", subject);
        made.record.client = ClientId::parse(client).unwrap();
        self.cache.insert(&made.record);
        made.text
    }

    /// Makes a token and puts it into the store only.
    pub(crate) async fn stored(&self, resource: &str) -> Made {
        let made = self.make(resource, "use");
        let record = made.record.clone();
        let grant = Grant {
            id: record.grant,
            client: record.client.clone(),
            subject: record.subject.clone(),
            resource: record.resource.clone(),
            scopes: record.scopes.clone(),
            exclusions: record.exclusions.clone(),
            ..records::grant_of("ada", record.issued_at)
        };
        self.store
            .inner
            .insert_operator_token(grant, record, self.audit(AuditEvent::OperatorTokenIssued))
            .await
            .unwrap();
        made
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// Waits until the metrics have this line.
    pub(crate) async fn metric(&self, line: &str) {
        let is_there = || {
            let mut out = Exposition::default();
            self.metrics.expose(&mut out);
            out.finish().lines().any(|l| l == line)
        };
        soon(async {
            while !is_there() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Opens an HTTP/2 connection.
    pub(crate) async fn connect_http2(&self) -> TcpStream {
        TcpStream::connect(self.http2).await.unwrap()
    }

    /// Sends the request over its own connection.
    pub(crate) async fn ask(&self, ask: &RawRequest) -> Reply {
        self.connect().await.ask(ask).await
    }

    /// Sends raw bytes over their own connection.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Reply {
        let mut client = self.connect().await;
        client.send(bytes).await;
        client.reply().await
    }
}

pub(crate) fn client() -> ClientId {
    ClientId::parse("mcp_client_test").unwrap()
}

pub(crate) const PING: &str = r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;

/// An upstream with these keys and tables.
pub(crate) fn upstream(keys: &str) -> UpstreamConfig {
    let head = "public_url = \"https://gw.example\"\n[listen]\ntls = \"development\"\n\
                [[upstream]]\nname = \"a\"\npath = \"/mcp\"\nurl = \"http://127.0.0.1:1/mcp\"\n";
    records::config(&format!("{head}{keys}"), Overrides::default()).upstreams.remove(0)
}

fn configuration(mcp: SocketAddr, alpha: SocketAddr, api: SocketAddr) -> Config {
    let text = format!(
        r#"
public_url = "https://gw.example"
data_dir = "."

[listen]
tls = "development"

[[upstream]]
name = "main"
path = "/mcp"
url = "http://{mcp}/upstream"
default_scopes = ["use"]

[upstream.headers]
x-upstream-key = "s3cret"

[[upstream.scope]]
name = "use"
title = "Use"
description = "Use it."

[[upstream]]
name = "alpha"
path = "/mcp/alpha"
url = "http://{alpha}/a"
required_scopes = ["admin"]

[[upstream.scope]]
name = "admin"
title = "Admin"
description = "Administer it."

[[upstream]]
name = "api"
path = "/api"
kind = "http"
url = "http://{api}/base"
"#
    );
    let mut config = records::config(&text, Overrides::default());
    config.rates.mcp_per_second = 100_000;
    config.rates.mcp_burst = 100_000;
    config.max_stale = Lifetime::from_secs(3600);
    config.timeouts.mcp_body = Duration::from_secs(5);
    config
}

async fn listen(listener: TcpListener, is_http2: bool, proxy: Arc<Proxy>, served: Served) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (proxy, served) = (proxy.clone(), served.clone());
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let proxy = proxy.clone();
            let (config, table) = served.lock().unwrap().clone();
            async move {
                let mut peer = Peer {
                    address: std::net::Ipv4Addr::LOCALHOST.into(),
                    forwarded_for: http::HeaderValue::from_static("192.0.2.7"),
                    request_id: mcpgate::web::RequestId::new([1; 16]),
                    has_good_token: false,
                };
                let (mut head, mut body) = mcpgate::web::RequestBody::of(request).into_parts();
                Ok::<_, std::convert::Infallible>(match table.find(head.uri.path()) {
                    Some(route) => {
                        let to = Destination { table: &table, route, config: &config };
                        proxy.serve(to, &mut head, &mut body, &mut peer).await
                    }
                    None => mcpgate::web::reply::empty(http::StatusCode::NOT_FOUND),
                })
            }
        });
        tokio::spawn(async move {
            let io = TokioIo::new(stream);
            if is_http2 {
                drop(http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await);
            } else {
                drop(http1::Builder::new().serve_connection(io, service).await);
            }
        });
    }
}
