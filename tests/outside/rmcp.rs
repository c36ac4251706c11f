//! The official Rust SDK as a client: discovery, registration, login and consent, tool calls, progress, refresh,
//! revocation. By default it starts its own gateway and posts the forms itself. The suite of foreign programs runs it
//! again against its own gateway (`MCPGATE_URL`, `MCPGATE_CA`), where its browser service signs in with Chromium
//! (`MCPGATE_BROWSER_SERVICE`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rmcp::handler::client::ClientHandler;
use rmcp::model::{CallToolRequestParams, ClientConfig, ProgressNotificationParam};
use rmcp::service::{NotificationContext, RoleClient, RunningService, ServiceExt as _};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthClient, AuthorizationRequest, OAuthState};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::support::client::{Client, post_form};
use crate::support::gateway::{Gateway, Home};
use crate::support::page::Browser;

#[derive(Debug, Clone, Default)]
struct Listening(Arc<AtomicUsize>);

impl ClientHandler for Listening {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::default()
    }

    async fn on_progress(&self, _: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Where the gateway is, and how the user signs in.
enum Stage {
    Own(Box<Gateway>),
    Foreign { url: String, ca: String, browser: String },
}

impl Stage {
    async fn new() -> Self {
        let given = |name| std::env::var_os(name).and_then(|value| value.into_string().ok());
        match (given("MCPGATE_URL"), given("MCPGATE_CA"), given("MCPGATE_BROWSER_SERVICE")) {
            (Some(url), Some(ca), Some(browser)) => Self::Foreign { url, ca, browser },
            _ => Self::Own(Box::new(Home::new("[tokens]\naccess = \"1m\"\n", None).start().await)),
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Own(gateway) => format!("{}/mcp", gateway.home.origin()),
            Self::Foreign { url, .. } => url.clone(),
        }
    }

    /// How many tools of the demo the grant opens: the page of the built-in one does not tick what deletes.
    fn tools(&self) -> usize {
        match self {
            Self::Own(_) => 6,
            Self::Foreign { .. } => 7,
        }
    }

    /// The same for another server, if `MCPGATE_OTHER_URL` names one.
    fn other(&self) -> Option<Self> {
        match self {
            Self::Own(_) => None,
            Self::Foreign { ca, browser, .. } => {
                let url = std::env::var_os("MCPGATE_OTHER_URL")?.into_string().ok()?;
                Some(Self::Foreign { url, ca: ca.clone(), browser: browser.clone() })
            }
        }
    }

    fn http(&self) -> reqwest::Client {
        let pem = match self {
            Self::Own(gateway) => std::fs::read(gateway.home.data().join("certs/ca.pem")),
            Self::Foreign { ca, .. } => std::fs::read(ca),
        };
        let ca = reqwest::Certificate::from_pem(&pem.expect("the CA")).expect("a certificate");
        reqwest::Client::builder().tls_certs_only([ca]).build().expect("a client")
    }

    /// Logs in and consents as the user; returns the address to which the browser was redirected.
    async fn browse(&self, target: &str, callback: &TcpListener) -> String {
        match self {
            Self::Own(gateway) => {
                let mut browser = Browser::new(&gateway.home);
                let path = target.strip_prefix(&gateway.home.origin()).expect("the authorization endpoint is ours");
                let page = browser.ask(path).await;
                browser.decide(&page, "approve").await.header("location").to_owned()
            }
            Self::Foreign { browser, .. } => {
                let asked = serde_json::json!({"url": target, "profile": "rmcp"}).to_string();
                let sent = reqwest::Client::new().post(format!("{browser}/browse")).body(asked).send();
                let (sent, line) = tokio::join!(sent, received(callback));
                assert!(sent.is_ok_and(|reply| reply.status().is_success()));
                line
            }
        }
    }
}

/// Answers the single request of a browser and returns its address.
async fn received(callback: &TcpListener) -> String {
    let (stream, _) = callback.accept().await.expect("the browser comes back");
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.expect("a request line");
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    stream.get_mut().write_all(answer).await.expect("an answer");
    let target = line.split(' ').nth(1).expect("a target");
    format!("http://{}{target}", callback.local_addr().expect("an address"))
}

struct Connected {
    service: RunningService<RoleClient, Listening>,
    refresh_token: String,
    client_id: String,
    progress: Arc<AtomicUsize>,
}

async fn connect(stage: &Stage) -> Connected {
    let callback = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    let redirect = format!("http://{}/callback", callback.local_addr().expect("an address"));
    let mut state = OAuthState::new(stage.url(), Some(stage.http())).await.expect("an OAuth client");
    let request = AuthorizationRequest::new(redirect).with_client_name("rmcp");
    state.start_authorization(request).await.expect("discovery and registration");
    let target = state.get_authorization_url().await.expect("an authorization URL");
    let arrived = stage.browse(&target, &callback).await;
    state.handle_callback_url(&arrived).await.expect("the code is exchanged");
    let credentials = serde_json::to_value(state.get_credentials().await.expect("credentials")).expect("JSON");
    let text = credentials.to_string();
    let refresh_token = text.split("\"refresh_token\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let client_id = credentials[0].as_str().expect("a client id").to_owned();
    let manager = state.into_authorization_manager().expect("an authorized manager");
    let config = StreamableHttpClientTransportConfig::with_uri(stage.url());
    let transport = StreamableHttpClientTransport::with_client(AuthClient::new(stage.http(), manager), config);
    let handler = Listening::default();
    let progress = Arc::clone(&handler.0);
    let service = handler.serve(transport).await.expect("an MCP session");
    Connected { service, refresh_token: refresh_token.expect("a refresh token").to_owned(), client_id, progress }
}

async fn call(connected: &Connected, name: &'static str, arguments: serde_json::Value) -> Result<String, String> {
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    let called = connected.service.call_tool(CallToolRequestParams::new(name).with_arguments(arguments)).await;
    called.map(|result| serde_json::to_string(&result).expect("JSON")).map_err(|fault| fault.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rmcp_goes_all_the_way() {
    // This HTTP client has no TLS provider of its own, so one is installed for the whole process here.
    let _already = rustls::crypto::ring::default_provider().install_default();
    let stage = Stage::new().await;
    let connected = connect(&stage).await;
    let tools = connected.service.list_all_tools().await.expect("tools");
    assert_eq!(tools.len(), stage.tools(), "{tools:?}");
    let echoed = call(&connected, "echo", serde_json::json!({"text": "Grüße ✓"})).await;
    assert!(echoed.as_ref().is_ok_and(|text| text.contains("Grüße ✓")), "{echoed:?}");
    call(&connected, "count", serde_json::json!({"to": 4})).await.expect("a count");
    // The client handles each notification in its own task, so the result may overtake the last notifications.
    let all = async {
        while connected.progress.load(Ordering::Relaxed) < 4 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), all).await.expect("progress came as events");
    // The access token lives for a minute, so an answer after that minute proves a refresh.
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    let later = call(&connected, "echo", serde_json::json!({"text": "a minute later"})).await;
    assert!(later.as_ref().is_ok_and(|text| text.contains("a minute later")), "{later:?}");
    revoke(&stage, &connected).await;
    let refused = call(&connected, "echo", serde_json::json!({"text": "revoked"})).await;
    assert!(refused.is_err(), "{refused:?}");
    let again = connect(&stage).await;
    assert!(call(&again, "echo", serde_json::json!({"text": "again"})).await.is_ok());
    if let Some(other) = stage.other() {
        let connected = connect(&other).await;
        let echoed = call(&connected, "echo", serde_json::json!({"message": "another server"})).await;
        assert!(echoed.as_ref().is_ok_and(|text| text.contains("another server")), "{echoed:?}");
    }
}

async fn revoke(stage: &Stage, connected: &Connected) {
    let form = [("token", connected.refresh_token.as_str()), ("client_id", connected.client_id.as_str())];
    let status = match stage {
        Stage::Own(gateway) => {
            let home: &Home = &gateway.home;
            Client::new(home).send(post_form("/revoke", &form)).await.status
        }
        Stage::Foreign { url, .. } => {
            let target = url::Url::parse(url).and_then(|url| url.join("/revoke")).expect("the revocation endpoint");
            let body = crate::support::client::encoded(&form);
            let asked = stage.http().post(target).header("content-type", "application/x-www-form-urlencoded");
            asked.body(body).send().await.expect("an answer").status().as_u16()
        }
    };
    assert_eq!(status, 200);
}
