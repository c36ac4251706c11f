//! Replays a profile against a running gateway, from the first request to the last.

use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde_json::{Value, json};

use super::Stage;
use super::profile::{Authentication, Profile, StepUp};
use crate::support::application::{challenge, parameter, random};
use crate::support::client::{Client, Reply, encoded, request};
use crate::support::page::Browser;

/// The port of a registered loopback redirect URI, and the one on which the client then listens.
const PORTS: (&str, &str) = ("40001", "40002");

/// What the client found out.
struct Discovered {
    /// The scopes of the challenge.
    challenge: String,
    /// The metadata of the resource, if it asks for it.
    resource: Option<Value>,
    server: Value,
}

/// The client's identity.
struct Identity {
    id: String,
    secret: Option<String>,
}

/// What the client holds after a sign-in.
struct Grant {
    access: String,
    refresh: String,
    scope: String,
}

pub(crate) struct Replay<'a> {
    /// The file of the profile.
    name: &'a str,
    profile: &'a Profile,
    stage: &'a Stage,
    /// Its connection to the issuer.
    client: Client,
    /// Its connection to the server.
    server: Client,
    browser: Browser,
    found: Discovered,
    identity: Identity,
}

impl<'a> Replay<'a> {
    /// Asks without a token, finds the metadata, and gets a client id.
    pub(crate) async fn begin(name: &'a str, profile: &'a Profile, stage: &'a Stage, site: u8) -> Self {
        // Each from a site of its own: the limits are by address.
        let address = Ipv4Addr::new(127, 0, site, 1);
        let mut client = Client::from(stage.home(), address);
        let browser = Browser::by(Client::from(stage.home(), address), stage.home().origin());
        let mut server = Client::from(stage.home(), address).moved_to(stage.server);
        let challenge = probe(profile, &mut server).await;
        let found = discover(profile, (&mut server, &mut client), &challenge).await;
        let identity = identify(name, profile, stage, &mut client, &found.server).await;
        Self { name, profile, stage, client, server, browser, found, identity }
    }

    /// Does everything that the profile describes.
    pub(crate) async fn run(mut self) {
        let grant = self.sign_in(&self.first_scope()).await;
        self.open_session(&grant).await;
        let grant = self.refresh(grant).await;
        let grant = self.step_up(grant).await;
        self.lose_the_session(&grant).await;
        self.lose_the_client().await;
        let grant = self.sign_in(&self.first_scope()).await;
        self.sign_out(&grant).await;
    }

    fn endpoint(&self, name: &str) -> String {
        let url = self.found.server[name].as_str().unwrap_or_else(|| panic!("no {name}"));
        url.strip_prefix(&self.stage.home().origin()).expect("an endpoint of the issuer").to_owned()
    }

    /// The value of `resource`, if the client sends it.
    fn resource(&self, sends: bool) -> Option<String> {
        let typed = || format!("https://localhost:{}{}/mcp", self.stage.server.port(), self.stage.home().path);
        let published = self.found.resource.as_ref().and_then(|found| found["resource"].as_str().map(str::to_owned));
        sends.then(|| published.unwrap_or_else(typed))
    }

    fn first_scope(&self) -> String {
        let all = |metadata: &Value| {
            let scopes = metadata["scopes_supported"].as_array().expect("scopes_supported");
            scopes.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        };
        let wish = self.profile.authorization.scope.as_str();
        let named = match wish.strip_suffix(" offline_access").unwrap_or(wish) {
            "challenge" => self.found.challenge.clone(),
            "resource" => all(self.found.resource.as_ref().expect("it reads the metadata of the resource")),
            "server" => all(&self.found.server),
            "none" => String::new(),
            literal => literal.to_owned(),
        };
        if wish.ends_with(" offline_access") { format!("{named} offline_access").trim().to_owned() } else { named }
    }

    fn redirect_uri(&self) -> String {
        self.profile.authorization.redirect_uri.replace("{port}", PORTS.1)
    }

    /// Sends the user through the browser, and redeems the code.
    async fn sign_in(&mut self, scope: &str) -> Grant {
        let asks = &self.profile.authorization;
        let (verifier, redirect_uri) = (random(), self.redirect_uri());
        let state = if asks.state.is_empty() { random() } else { asks.state.clone() };
        let code_challenge = challenge(&verifier);
        let resource = self.resource(asks.resource);
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", &self.identity.id),
            ("redirect_uri", &redirect_uri),
            ("code_challenge", &code_challenge),
            ("code_challenge_method", "S256"),
            ("state", &state),
        ];
        query.extend((!scope.is_empty()).then_some(("scope", scope)));
        query.extend(resource.as_deref().map(|resource| ("resource", resource)));
        query.extend(asks.others.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let target = format!("{}?{}", self.endpoint("authorization_endpoint"), encoded(&query));
        let page = self.browser.ask(&target).await;
        let back = self.browser.decide(&page, "approve").await;
        assert!(back.header("location").starts_with(&redirect_uri), "{back:?}");
        assert_eq!(parameter(&back, "state"), state, "the state comes back as it was");
        assert_eq!(parameter(&back, "iss"), self.stage.home().origin(), "RFC 9207 2");
        let code = parameter(&back, "code");
        let resource = self.resource(self.profile.tokens.resource);
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", &redirect_uri),
            ("code_verifier", &verifier),
        ];
        form.extend(resource.as_deref().map(|resource| ("resource", resource)));
        let reply = self.ask("token_endpoint", &form).await;
        Grant::from(&reply)
    }

    /// Sends a form to an endpoint with the client's id and secret, as the client sends them.
    async fn ask(&mut self, endpoint: &str, form: &[(&str, &str)]) -> Reply {
        let mut form = form.to_vec();
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
        let basic;
        match (self.profile.tokens.authentication, self.identity.secret.as_deref()) {
            (Authentication::Basic, Some(secret)) => {
                basic = format!("Basic {}", STANDARD.encode(format!("{}:{secret}", self.identity.id)));
                headers.push(("authorization", &basic));
            }
            (Authentication::Body, Some(secret)) => {
                form.extend([("client_id", self.identity.id.as_str()), ("client_secret", secret)]);
            }
            (Authentication::None, _) => form.push(("client_id", &self.identity.id)),
            (how, None) => panic!("{how:?} without a secret"),
        }
        let target = self.endpoint(endpoint);
        self.client.send(request(Method::POST, &target, &headers, encoded(&form))).await
    }

    async fn open_session(&mut self, grant: &Grant) {
        for method in &self.profile.session.first {
            let reply = self.message(&grant.access, method, json!({})).await;
            assert_eq!(reply.status, 200, "{method}: {reply:?}");
        }
        self.assert_status(&grant.access, "look", 200).await;
    }

    async fn message(&mut self, token: &str, method: &str, params: Value) -> Reply {
        let authorization = format!("Bearer {token}");
        let session = &self.profile.session;
        // Only a client of the newest revision asks for this.
        let version = if method == "server/discover" { "2026-07-28" } else { session.version.as_str() };
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut headers = vec![
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", version),
        ];
        headers.extend((version == "2026-07-28").then_some(("mcp-method", method)));
        headers.extend((!session.user_agent.is_empty()).then_some(("user-agent", session.user_agent.as_str())));
        self.server.send(request(Method::POST, "/mcp", &headers, message.to_string())).await
    }

    async fn assert_status(&mut self, token: &str, tool: &str, status: u16) -> Reply {
        let reply = self.message(token, "tools/call", json!({"name": tool, "arguments": {}})).await;
        assert_eq!(reply.status, status, "{tool}: {reply:?}");
        reply
    }

    /// Refreshes as its processes do, and calls with each answer.
    async fn refresh(&mut self, grant: Grant) -> Grant {
        let refresh = &self.profile.tokens.refresh;
        let resource = self.resource(refresh.resource);
        let scope = refresh.scope.as_ref().map(|others| format!("{} {others}", grant.scope));
        let mut last = grant;
        let presented = last.refresh.clone();
        for _ in 0..refresh.at_once {
            let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", presented.as_str())];
            form.extend(resource.as_deref().map(|resource| ("resource", resource)));
            form.extend(scope.as_deref().map(|scope| ("scope", scope.trim())));
            let renewed = Grant::from(&self.ask("token_endpoint", &form).await);
            assert_eq!(renewed.scope, last.scope, "a refresh keeps the scopes");
            self.assert_status(&renewed.access, "look", 200).await;
            last = renewed;
        }
        last
    }

    async fn step_up(&mut self, grant: Grant) -> Grant {
        let kind = self.profile.step_up;
        let reply = self.assert_status(&grant.access, "write", 403).await;
        let field = reply.header("www-authenticate").to_owned();
        assert!(field.contains("error=\"insufficient_scope\""), "{field}");
        let named = quoted(&field, "scope").expect("the challenge names scopes");
        let scope = match kind {
            StepUp::Union => {
                let mut all: Vec<&str> = grant.scope.split(' ').chain(named.split(' ')).collect();
                all.sort_unstable();
                all.dedup();
                all.join(" ")
            }
            StepUp::Challenge => named.to_owned(),
        };
        let grant = self.sign_in(&scope).await;
        self.assert_status(&grant.access, "write", 200).await;
        self.assert_status(&grant.access, "look", 200).await;
        grant
    }

    /// The operator ends the session: the client is told by 401, then by `invalid_grant`, and signs in again.
    async fn lose_the_session(&mut self, grant: &Grant) {
        self.stage.home().command(&["session", "revoke", "--client", &self.identity.id]);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let refused = loop {
            let reply = self.message(&grant.access, "tools/call", json!({"name": "look", "arguments": {}})).await;
            if reply.status != 200 || std::time::Instant::now() > deadline {
                break reply;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        assert_eq!(refused.status, 401, "{refused:?}");
        assert!(refused.header("www-authenticate").contains("error=\"invalid_token\""), "{refused:?}");
        let form = [("grant_type", "refresh_token"), ("refresh_token", grant.refresh.as_str())];
        let reply = self.ask("token_endpoint", &form).await;
        assert_eq!((reply.status, reply.member("error").as_str()), (400, "invalid_grant"), "{reply:?}");
    }

    /// The operator deletes a registration: the client is told by `invalid_client`, and registers again.
    async fn lose_the_client(&mut self) {
        if self.profile.registration.is_none() {
            return;
        }
        let old = self.identity.id.clone();
        self.stage.home().command(&["client", "delete", &old]);
        let form = [("grant_type", "refresh_token"), ("refresh_token", "mcp_rt_gone")];
        let reply = self.ask("token_endpoint", &form).await;
        assert_eq!((reply.status, reply.member("error").as_str()), (401, "invalid_client"), "{reply:?}");
        self.identity = identify(self.name, self.profile, self.stage, &mut self.client, &self.found.server).await;
    }

    async fn sign_out(&mut self, grant: &Grant) {
        let reply = self.ask("revocation_endpoint", &[("token", grant.refresh.as_str())]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        self.assert_status(&grant.access, "look", 401).await;
    }
}

impl Grant {
    fn from(reply: &Reply) -> Self {
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.json()["token_type"], "Bearer");
        assert!(reply.json()["expires_in"].as_u64().is_some_and(|seconds| seconds >= 60), "{reply:?}");
        let member = |name| reply.member(name);
        Self { access: member("access_token"), refresh: member("refresh_token"), scope: member("scope") }
    }
}

/// A quoted parameter of a challenge.
fn quoted<'a>(field: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = field.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

/// Sends the first requests; each gets the same challenge, which is returned.
async fn probe(profile: &Profile, client: &mut Client) -> String {
    let mut last: Option<String> = None;
    for probe in &profile.probes {
        let method: Method = probe.method.parse().expect("a method");
        let body = probe.message.as_ref().map(|name| json!({"jsonrpc": "2.0", "id": 0, "method": name, "params": {}}));
        let mut headers: Vec<_> = probe.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        headers.extend(body.as_ref().map(|_| ("content-type", "application/json")));
        let text = body.map_or_else(String::new, |body| body.to_string());
        let reply = client.send(request(method, "/mcp", &headers, text)).await;
        assert_eq!(reply.status, 401, "{probe:?}: {reply:?}");
        let field = reply.header("www-authenticate").to_owned();
        assert!(field.starts_with("Bearer ") && quoted(&field, "resource_metadata").is_some(), "{field}");
        assert!(last.as_ref().is_none_or(|last| *last == field), "{probe:?}: {field}");
        last = Some(field);
    }
    last.expect("a client asks before it has a token")
}

async fn discover(profile: &Profile, (at_server, client): (&mut Client, &mut Client), challenge: &str) -> Discovered {
    let asks = &profile.discovery;
    let published = quoted(challenge, "resource_metadata").expect("an address");
    let path = &published[published.find("/.well-known").expect("a well-known path")..];
    let paths: Vec<&str> = asks.resource.iter().map(|at| if at == "challenge" { path } else { at.as_str() }).collect();
    let resource = if paths.is_empty() { None } else { Some(first(profile, at_server, &paths).await) };
    let server = first(profile, client, &asks.server.iter().map(String::as_str).collect::<Vec<_>>()).await;
    if let Some(resource) = &resource {
        assert_eq!(resource["authorization_servers"][0], server["issuer"], "the issuer is the one that is named");
    }
    for path in &asks.also {
        let reply = get(profile, client, path).await;
        assert!(matches!(reply.status, 200 | 404), "{path}: {reply:?}");
    }
    Discovered { challenge: quoted(challenge, "scope").unwrap_or_default().to_owned(), resource, server }
}

async fn get(profile: &Profile, client: &mut Client, path: &str) -> Reply {
    let headers: Vec<_> =
        profile.discovery.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    client.send(request(Method::GET, path, &headers, String::new())).await
}

/// The first answer with 200. What comes before must be 404: some clients give up on any other status.
async fn first(profile: &Profile, client: &mut Client, paths: &[&str]) -> Value {
    for path in paths {
        let reply = get(profile, client, path).await;
        if reply.status == 200 {
            return reply.json();
        }
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
    }
    panic!("none of {paths:?} has metadata");
}

/// Registers, publishes its document, or is added by the operator.
async fn identify(name: &str, profile: &Profile, stage: &Stage, client: &mut Client, server: &Value) -> Identity {
    if let Some(document) = &profile.document {
        assert_eq!(server["client_id_metadata_document_supported"], true);
        return Identity { id: stage.publish(name, document), secret: None };
    }
    if let Some(words) = &profile.added {
        let words: Vec<&str> = ["client", "add"].into_iter().chain(words.iter().map(String::as_str)).collect();
        let added = stage.home().command(&words);
        return Identity::from(&added);
    }
    let body = profile.registration.as_ref().expect("one of three ways").to_string().replace("{port}", PORTS.0);
    let url = server["registration_endpoint"].as_str().expect("a registration endpoint");
    let target = url.strip_prefix(&stage.home().origin()).expect("an endpoint of the issuer");
    let reply = client.send(request(Method::POST, target, &[("content-type", "application/json")], body.clone())).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let sent: Value = serde_json::from_str(&body).expect("JSON");
    let registered = reply.json();
    assert_eq!(registered["redirect_uris"], sent["redirect_uris"], "all redirect URIs are registered");
    Identity::from(&registered)
}

impl Identity {
    fn from(answer: &Value) -> Self {
        let member = |name: &str| answer[name].as_str().map(str::to_owned);
        Self { id: member("client_id").expect("a client id"), secret: member("client_secret") }
    }
}
