//! A small HTTP client that trusts the gateway's development CA and does nothing by itself: no redirects, no retries.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HeaderValue;
use hyper::{Method, Request};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::gateway::Home;
use super::http::{Connection, exchange, open};
pub(crate) use super::http::{Fault, Reply, encoded, post_form, request};

/// How long to wait for a reply; the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client; it keeps one connection alive.
pub(crate) struct Client {
    address: SocketAddr,
    authority: String,
    tls: TlsConnector,
    /// The path of the gateway's public URL, below which everything is that the client asks for.
    below: &'static str,
    /// The local address to connect from; any, unless a test sets it.
    from: Option<Ipv4Addr>,
    connection: Option<Connection>,
}

/// Puts a request below a path: a page or endpoint at the end of it, and the path of a document of metadata between its
/// suffix and what follows (RFC 8414 3.1, RFC 9728 3.1).
fn put_below(path: &str, request: &mut Request<Full<Bytes>>) {
    let target = request.uri().to_string();
    let suffix = target.strip_prefix("/.well-known/").map(|rest| rest.find('/').unwrap_or(rest.len()));
    let target = match suffix {
        _ if target.contains(&format!("{path}/")) || target.ends_with(path) => target,
        Some(length) => format!("{}{path}{}", &target[..13 + length], &target[13 + length..]),
        None => format!("{path}{target}"),
    };
    *request.uri_mut() = target.parse().expect("a target");
    if let Some(cookies) = request.headers_mut().get_mut("cookie") {
        let named = cookies.to_str().expect("cookies").replace("__Host-mcp_", "__Secure-mcp_");
        *cookies = named.parse().expect("cookies");
    }
}

/// Checks that everything in a reply leads below a path, and takes the path away.
fn take_from_below(path: &str, reply: &mut Reply) {
    if let Some(location) = reply.headers.get_mut("location") {
        let text = location.to_str().expect("a location");
        let inner = text.strip_prefix(path).unwrap_or(text).to_owned();
        assert!(!text.starts_with('/') || inner.len() < text.len(), "{text} leads out of {path}");
        *location = inner.parse().expect("a location");
    }
    let set: Vec<String> =
        reply.headers.get_all("set-cookie").iter().map(|set| set.to_str().unwrap().to_owned()).collect();
    reply.headers.remove("set-cookie");
    for cookie in set {
        // CN-06: `__Host-` needs the path `/`.
        assert!(cookie.starts_with("__Secure-mcp_") && cookie.contains(&format!("; Path={path}; Secure;")), "{cookie}");
        let plain = cookie.replace("__Secure-", "__Host-").replace(&format!("Path={path};"), "Path=/;");
        reply.headers.append("set-cookie", plain.parse().expect("a cookie"));
    }
    if reply.header("content-type").starts_with("text/html") {
        let html = reply.text();
        for mark in ["action=\"/", "href=\"/", "src=\"/"] {
            let inside = format!("{}{path}/", &mark[..mark.len() - 1]);
            assert_eq!(html.matches(mark).count(), html.matches(&inside).count(), "{mark} leads out of {path}: {html}");
        }
        reply.body = html.replace(&format!("=\"{path}/"), "=\"/").into();
    }
}

/// The gateway's development CA.
pub(crate) fn authorities(home: &Home) -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(home.data().join("certs/ca.pem")).expect("the CA file") {
        roots.add(certificate.expect("a certificate")).expect("a CA certificate");
    }
    roots
}

fn trusting(roots: rustls::RootCertStore) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

impl Client {
    pub(crate) fn new(home: &Home) -> Self {
        Self {
            address: home.public,
            authority: format!("localhost:{}", home.public.port()),
            tls: trusting(authorities(home)),
            below: home.path,
            from: None,
            connection: None,
        }
    }

    /// A client that asks for exactly what it is told, below the path of the public URL or beside it.
    #[allow(dead_code, reason = "`tests/outside` uses it")]
    pub(crate) fn beside(home: &Home) -> Self {
        Self { below: "", ..Self::new(home) }
    }

    /// A client of another listener of the gateway.
    #[allow(dead_code, reason = "`tests/outside` uses it")]
    pub(crate) fn at(home: &Home, address: SocketAddr) -> Self {
        Self::new(home).moved_to(address)
    }

    /// The same client, of another listener of the gateway.
    pub(crate) fn moved_to(self, address: SocketAddr) -> Self {
        Self { address, authority: format!("localhost:{}", address.port()), connection: None, ..self }
    }

    /// A client that calls from this address of the loopback network.
    pub(crate) fn from(home: &Home, address: Ipv4Addr) -> Self {
        Self { from: Some(address), ..Self::new(home) }
    }

    async fn dial(&self) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(from) = self.from {
            socket.bind((from, 0).into())?;
        }
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// A separate TLS connection, for bytes that a well-behaved client would not send.
    pub(crate) async fn raw(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let tcp = self.dial().await?;
        self.tls.connect(ServerName::try_from("localhost").expect("a name"), tcp).await
    }

    /// A client that accepts any certificate, in order to inspect it.
    pub(crate) fn trusting_anybody(home: &Home) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        let authority = format!("localhost:{}", home.public.port());
        Self {
            address: home.public,
            authority,
            tls: TlsConnector::from(Arc::new(config)),
            below: home.path,
            from: None,
            connection: None,
        }
    }

    /// Sends no server name (SNI) in the handshake from now on.
    pub(crate) fn without_name(&mut self) {
        let mut config = rustls::ClientConfig::clone(self.tls.config());
        config.enable_sni = false;
        self.tls = TlsConnector::from(Arc::new(config));
    }

    /// The gateway's certificate, in DER.
    pub(crate) async fn certificate(&self) -> Vec<u8> {
        let stream = self.raw().await.expect("a TLS connection");
        let chain = stream.get_ref().1.peer_certificates().expect("a certificate");
        chain[0].to_vec()
    }

    /// The TLS configuration.
    pub(crate) fn config(&self) -> Arc<rustls::ClientConfig> {
        Arc::clone(self.tls.config())
    }

    /// As [`Self::raw`], offering these protocols (ALPN).
    pub(crate) async fn raw_with(&self, protocols: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = rustls::ClientConfig::clone(self.tls.config());
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let tcp = self.dial().await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").expect("a name"), tcp).await
    }

    /// Sends bytes on a separate connection and reads until the gateway closes it, for at most five seconds.
    pub(crate) async fn raw_exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.raw().await.expect("a TLS connection");
        stream.write_all(bytes).await.expect("the bytes can be sent");
        let mut answer = Vec::new();
        // The answer is what arrived before the timeout or a reset.
        let _ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Sends a request whose target is a path, on the connection that is kept.
    ///
    /// # Errors
    /// Any error of the connection; the next request opens another. A timeout fails the test.
    pub(crate) async fn try_send(&mut self, request: Request<Full<Bytes>>) -> Result<Reply, Fault> {
        let what = format!("{} {}", request.method(), request.uri());
        let answer = tokio::time::timeout(PATIENCE, self.exchange(request)).await;
        answer.unwrap_or_else(|_| panic!("{what}: no answer within {PATIENCE:?}"))
    }

    async fn exchange(&mut self, mut request: Request<Full<Bytes>>) -> Result<Reply, Fault> {
        let mut kept = self.connection.take();
        // The gateway may have closed it after its last answer.
        if let Some(connection) = &mut kept
            && connection.ready().await.is_err()
        {
            kept = None;
        }
        let mut connection = match kept {
            Some(connection) => connection,
            None => open(self.raw().await?).await?,
        };
        if !request.headers().contains_key("host") {
            request.headers_mut().insert("host", self.authority.parse()?);
        }
        if !self.below.is_empty() {
            put_below(self.below, &mut request);
        }
        let mut reply = exchange(&mut connection, request).await?;
        if !self.below.is_empty() {
            take_from_below(self.below, &mut reply);
        }
        self.connection = Some(connection);
        Ok(reply)
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Reply {
        let what = format!("{} {}", request.method(), request.uri());
        self.try_send(request).await.unwrap_or_else(|fault| panic!("{what}: {fault}"))
    }

    /// Posts a form.
    ///
    /// # Errors
    /// As [`Self::try_send`].
    pub(crate) async fn try_post_form(&mut self, target: &str, form: &[(&str, &str)]) -> Result<Reply, Fault> {
        self.try_send(post_form(target, form)).await
    }

    /// Whether the gateway still answers.
    pub(crate) async fn is_alive(&mut self) -> bool {
        self.try_send(request(Method::GET, "/.well-known/oauth-authorization-server", &[], "")).await.is_ok()
    }

    pub(crate) async fn get(&mut self, target: &str) -> Reply {
        self.send(request(Method::GET, target, &[], Bytes::new())).await
    }

    pub(crate) async fn post_form(&mut self, target: &str, form: &[(&str, &str)]) -> Reply {
        self.send(post_form(target, form)).await
    }

    pub(crate) async fn post_json(&mut self, target: &str, body: &serde_json::Value) -> Reply {
        let headers = [("content-type", "application/json")];
        self.send(request(Method::POST, target, &headers, body.to_string())).await
    }

    /// Calls the upstream at `path` as a client of revision 2025-11-25 does; `marker` is the JSON-RPC id.
    pub(crate) async fn call(&mut self, path: &str, token: &str, marker: &str) -> Reply {
        self.send(call(path, token, marker)).await
    }
}

/// Accepts any certificate.
#[derive(Debug)]
struct Anybody(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

pub(crate) fn call(path: &str, token: &str, marker: &str) -> Request<Full<Bytes>> {
    post_message(path, token, &serde_json::json!({"jsonrpc": "2.0", "id": marker, "method": "ping"}))
}

/// A request of MCP to `/mcp`.
pub(crate) fn mcp_request(token: &str, method: &str, params: &serde_json::Value) -> Request<Full<Bytes>> {
    post_message("/mcp", token, &serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
}

/// A message of MCP to a path, as a client of revision 2025-11-25 sends it.
pub(crate) fn post_message(path: &str, token: &str, message: &serde_json::Value) -> Request<Full<Bytes>> {
    let authorization = format!("Bearer {token}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2025-11-25"),
    ];
    request(Method::POST, path, &headers, message.to_string())
}

/// Asks the operator listener, which speaks plain HTTP, as `localhost` unless `headers` names another host.
///
/// # Errors
/// Any error of the connection.
pub(crate) async fn ask_operator(operator: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Result<Reply, Fault> {
    let mut asked = request(Method::GET, target, headers, Bytes::new());
    asked.headers_mut().entry("host").or_insert(HeaderValue::from_static("localhost"));
    let asking = async {
        let mut connection = open(TcpStream::connect(operator).await?).await?;
        exchange(&mut connection, asked).await
    };
    // Before it listens, another process may hold its port and never answer.
    tokio::time::timeout(Duration::from_secs(5), asking).await?
}

/// Whether the operator listener answers `/healthz` with 200.
pub(crate) async fn is_healthy(operator: SocketAddr) -> bool {
    ask_operator(operator, "/healthz", &[]).await.is_ok_and(|reply| reply.status == 200)
}
