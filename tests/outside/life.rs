//! The lifecycle of the process: start, reload (CF), drain and the operator listener.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::support::client::{Client, Reply, ask_operator, call, request};
use crate::support::gateway::{Gateway, Home};
use crate::support::upstream::{Upstream, is_trial};

pub(crate) const SERVER: &str = "/.well-known/oauth-authorization-server";

/// Sends a request to the operator listener.
pub(crate) async fn operator(home: &Home, target: &str, headers: &[(&str, &str)]) -> Reply {
    ask_operator(home.operator, target, headers).await.unwrap()
}

/// Reads one sample of the metrics.
pub(crate) async fn metric(home: &Home, sample: &str) -> u64 {
    let text = operator(home, "/metrics", &[]).await.text();
    let line = text.lines().find(|line| line.starts_with(sample)).unwrap_or_else(|| panic!("{sample} in {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

async fn reloads(home: &Home, kind: &str) -> u64 {
    metric(home, &format!("mcpgate_server_events_total{{event=\"configuration_{kind}\"}}")).await
}

/// Waits until `count` reloads with this result have happened in total.
pub(crate) async fn until_reloads(home: &Home, kind: &str, count: u64) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while reloads(home, kind).await < count {
        assert!(Instant::now() < deadline, "no reload: {}", std::fs::read_to_string(home.log()).unwrap());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until the log contains a text: the gateway writes lines a moment after the event.
pub(crate) async fn until_said(home: &Home, word: &str) {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let said = std::fs::read_to_string(home.log()).unwrap();
        if said.contains(word) {
            return;
        }
        assert!(Instant::now() < deadline, "{word} is not in {said}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// In one step, as editors do: a gateway that watches the file never finds it half written.
pub(crate) fn write_config(home: &Home, top: &str, rest: &str) {
    let new = home.config().with_extension("new");
    std::fs::write(&new, format!("{top}\n{}\n{rest}", crate::support::gateway::QUICK)).unwrap();
    std::fs::rename(new, home.config()).unwrap();
}

async fn status_for_host(gateway: &Gateway, host: &str) -> u16 {
    let asked = request(hyper::Method::GET, SERVER, &[("host", host)], "");
    // Without a server name, because the certificate does not contain the name in Host.
    let mut client = Client::new(&gateway.home);
    client.without_name();
    client.send(asked).await.status
}

#[tokio::test]
async fn an_empty_store_is_served_within_a_second_and_the_second_start_keeps_everything() {
    let home = Home::new("", None);
    let began = Instant::now();
    let gateway = home.start().await;
    // A debug build hashes the first password slowly, so the second start is measured.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let ca = std::fs::read(gateway.home.data().join("certs/ca.pem")).unwrap();
    let issued = gateway.home.command(&["token", "issue", "--user", "admin", "--upstream", "mcp"]);
    let token = issued["access_token"].as_str().unwrap().to_owned();
    let gateway = gateway.kill().start().await;
    assert!(gateway.fine_cpu_time() < Duration::from_secs(1), "{:?} of CPU time", gateway.fine_cpu_time());
    assert_eq!(std::fs::read(gateway.home.data().join("certs/ca.pem")).unwrap(), ca);
    assert_ne!(Client::new(&gateway.home).call("/mcp", &token, "again").await.status, 401);
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused_with_its_reason() {
    let gateway = Gateway::start().await;
    let mut second = gateway.home.spawn();
    assert_eq!(second.wait().unwrap().code(), Some(1));
    until_said(&gateway.home, "another mcpgate (process").await;
}

#[tokio::test]
async fn cf_01_cf_02_a_bad_configuration_is_refused_whole_and_said_so() {
    let gateway = Gateway::start().await;
    let home = &gateway.home;
    let mut kept = Client::new(home);
    assert_eq!(kept.get(SERVER).await.status, 200);
    for (n, (top, rest, word)) in [
        ("extra_hosts = [\"new.example\"", "", "gateway.toml:"),
        ("extra_hosts = [\"new.example\"]\nunknown_key = 1", "", "unknown_key"),
        ("extra_hosts = [\"new.example\"]\nworkers = \"many\"", "", "workers"),
        (
            "extra_hosts = [\"new.example\"]",
            "[limits]\ntokens_in_memory = 5000\n",
            "limits.tokens_in_memory: only a restart",
        ),
        ("extra_hosts = [\"new.example\"]\nbrand = \"other\"", "", "brand: only a restart"),
        (
            "extra_hosts = [\"new.example\"]",
            "[[upstream]]\nname = \"a\"\npath = \"/a\"\nurl = \"http://127.0.0.1:1\"\nca_file = \"none.pem\"\n",
            "ca_file",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        write_config(home, top, rest);
        gateway.signal("HUP");
        until_reloads(home, "rejected", u64::try_from(n).unwrap() + 1).await;
        assert_eq!(status_for_host(&gateway, "new.example").await, 421, "{top}{rest}");
        until_said(home, word).await;
    }
    write_config(home, "extra_hosts = [\"new.example\"]", "[outbound]\nproxy = \"http://127.0.0.1:9\"\n");
    gateway.signal("HUP");
    until_reloads(home, "reloaded", 1).await;
    until_said(home, "outbound.proxy: the proxy resolves").await;
    assert_eq!(status_for_host(&gateway, "new.example").await, 200);
    assert_eq!(kept.get(SERVER).await.status, 200, "the connection from before the reloads");
}

#[tokio::test]
async fn a_changed_file_is_loaded_by_itself_when_watched() {
    let gateway = Home::new("[reload]\nwatch = true\n", None).start().await;
    write_config(&gateway.home, "extra_hosts = [\"new.example\"]", "[reload]\nwatch = true\n");
    until_reloads(&gateway.home, "reloaded", 1).await;
    assert_eq!(status_for_host(&gateway, "new.example").await, 200);
}

#[tokio::test]
async fn a_changed_file_that_a_reference_names_is_loaded_when_watched() {
    let elsewhere = tempfile::tempdir().unwrap();
    let name = elsewhere.path().join("name");
    std::fs::write(&name, "old.example").unwrap();
    let gateway = Home::new("[reload]\nwatch = true\n", None).start().await;
    let top = format!("extra_hosts = [\"${{file:{}}}\"]", name.display());
    write_config(&gateway.home, &top, "[reload]\nwatch = true\n");
    until_served(&gateway, "old.example").await;
    std::fs::write(&name, "new.example").unwrap();
    until_served(&gateway, "new.example").await;
}

/// Waits until the gateway serves this host.
async fn until_served(gateway: &Gateway, host: &str) {
    let began = Instant::now();
    while status_for_host(gateway, host).await != 200 {
        assert!(began.elapsed() < Duration::from_secs(20), "{host} is not served");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn cf_03_reloads_under_load_drop_no_request() {
    let upstream = Upstream::start();
    let gateway = Home::new("", Some(upstream.url.clone())).start().await;
    let issued = gateway.home.command(&["token", "issue", "--user", "admin", "--upstream", "mcp"]);
    let token = issued["access_token"].as_str().unwrap().to_owned();
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (mut client, token, over) = (Client::new(&gateway.home), token.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let mut calls = 0_u32;
                while !over.load(Ordering::SeqCst) {
                    assert_eq!(client.send(call("/mcp", &token, "cf-03")).await.status, 200);
                    assert_eq!(client.get(SERVER).await.status, 200);
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    for n in 1..=40 {
        write_config(&gateway.home, &format!("extra_hosts = [\"h{n}.example\"]"), "");
        gateway.signal("HUP");
        until_reloads(&gateway.home, "reloaded", n).await;
    }
    over.store(true, Ordering::SeqCst);
    for caller in callers {
        assert!(caller.await.unwrap() > 40);
    }
}

/// Writes a self-signed certificate for localhost; its DER.
fn write_certificate(folder: &Path) -> Vec<u8> {
    let key = rcgen::KeyPair::generate().unwrap();
    let made = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.join("own.pem"), made.pem()).unwrap();
    std::fs::write(folder.join("own-key.pem"), key.serialize_pem()).unwrap();
    std::fs::set_permissions(folder.join("own-key.pem"), std::fs::Permissions::from_mode(0o600)).unwrap();
    made.der().to_vec()
}

#[tokio::test]
async fn tl_07_a_certificate_is_changed_without_dropping_a_connection_and_a_bad_one_is_not_taken() {
    let tls = "[listen]\ntls = \"files\"\ncertificate = \"own.pem\"\nkey = \"own-key.pem\"\n";
    let home = Home::new(tls, None);
    let folder = home.config().parent().unwrap().to_owned();
    let first = write_certificate(&folder);
    let gateway = home.start().await;
    let mut old = Client::trusting_anybody(&gateway.home);
    assert_eq!(old.get(SERVER).await.status, 200);
    assert_eq!(Client::trusting_anybody(&gateway.home).certificate().await, first);

    let second = write_certificate(&folder);
    let whole = std::fs::read(folder.join("own.pem")).unwrap();
    std::fs::write(folder.join("own.pem"), &whole[..whole.len() / 2]).unwrap();
    gateway.signal("HUP");
    until_reloads(&gateway.home, "rejected", 1).await;
    assert_eq!(Client::trusting_anybody(&gateway.home).certificate().await, first);

    std::fs::write(folder.join("own.pem"), &whole).unwrap();
    gateway.signal("HUP");
    until_reloads(&gateway.home, "reloaded", 1).await;
    assert_eq!(Client::trusting_anybody(&gateway.home).certificate().await, second);
    assert_eq!(old.get(SERVER).await.status, 200, "the connection from before the reload");
}

/// An upstream that sends one event at once and a second one on a signal; then its stream ends.
async fn slow_upstream() -> (String, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let (tell, told) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let mut stream = loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            if !is_trial(&head[..read]) {
                break stream;
            }
        };
        let event = |n: u8| format!("19\r\ndata: {{\"jsonrpc\":\"{n}.0\"}}\n\n\r\n");
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(format!("{answer}{}", event(1)).as_bytes()).await.unwrap();
        // If the test drops the sender without a signal, the stream stays open.
        if told.await.is_ok() {
            stream.write_all(format!("{}0\r\n\r\n", event(2)).as_bytes()).await.unwrap();
        } else {
            std::future::pending::<()>().await;
        }
    });
    (url, tell)
}

/// Opens the stream; returns a reader that has read the first event.
async fn open_stream(gateway: &Gateway) -> BufReader<tokio_rustls::client::TlsStream<TcpStream>> {
    open_stream_of(gateway, "mcp").await
}

async fn open_stream_of(gateway: &Gateway, upstream: &str) -> BufReader<tokio_rustls::client::TlsStream<TcpStream>> {
    let issued = gateway.home.command(&["token", "issue", "--user", "admin", "--upstream", upstream]);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let head = format!(
        "POST /{upstream} HTTP/1.1\r\nhost: localhost:{}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: 2025-11-25\r\ncontent-length: {}\r\n\r\n{body}",
        gateway.home.public.port(),
        issued["access_token"].as_str().unwrap(),
        body.len(),
    );
    let mut stream = Client::new(&gateway.home).raw().await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while !line.contains("1.0") {
        line.clear();
        assert!(reader.read_line(&mut line).await.unwrap() > 0, "the stream ended before its first event");
    }
    reader
}

#[tokio::test]
async fn a_stream_under_way_ends_by_itself_while_the_gateway_drains() {
    let (url, tell) = slow_upstream().await;
    let mut gateway = Home::new("", Some(url)).start().await;
    let mut idle = Client::new(&gateway.home).raw().await.unwrap();
    idle.write_all(format!("GET / HTTP/1.1\r\nhost: localhost:{}\r\n\r\n", gateway.home.public.port()).as_bytes())
        .await
        .unwrap();
    let mut reader = open_stream(&gateway).await;
    gateway.signal("TERM");
    // The gateway closes the idle connection, refuses new ones, and the probe says why; the stream stays open.
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(TcpStream::connect(gateway.home.public).await.is_err());
    let probe = operator(&gateway.home, "/readyz", &[]).await;
    assert_eq!((probe.status, probe.text().as_str()), (503, "shutting down\n"));
    tell.send(()).unwrap();
    let mut rest = String::new();
    reader.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("2.0"), "{rest}");
    assert_eq!(gateway.ended().await, Some(0));
}

#[tokio::test]
async fn a_call_that_does_not_end_is_answered_with_the_reason_when_the_time_to_drain_is_up() {
    let (url, _never) = slow_upstream().await;
    let mut gateway = Home::new("[timeouts]\ndrain = \"1s\"\n", Some(url)).start().await;
    let mut reader = open_stream(&gateway).await;
    let began = Instant::now();
    gateway.signal("TERM");
    let mut rest = String::new();
    reader.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains(r#""id":1,"error":{"code":-32603,"message":"the gateway is shutting down"}"#), "{rest}");
    assert!(rest.ends_with("0\r\n\r\n"), "the stream has no proper end: {rest:?}");
    assert_eq!(gateway.ended().await, Some(0));
    assert!((Duration::from_millis(900)..Duration::from_secs(4)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_stream_that_never_ends_by_itself_does_not_hold_up_the_end() {
    let (url, _never) = slow_upstream().await;
    let mut gateway = Home::new("[timeouts]\ndrain = \"1m\"\n", Some(url)).start().await;
    let issued = gateway.home.command(&["token", "issue", "--user", "admin", "--upstream", "mcp"]);
    let head = format!(
        "GET /mcp HTTP/1.1\r\nhost: localhost:{}\r\nauthorization: Bearer {}\r\naccept: text/event-stream\r\n\r\n",
        gateway.home.public.port(),
        issued["access_token"].as_str().unwrap(),
    );
    let mut stream = Client::new(&gateway.home).raw().await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while !line.contains("1.0") {
        line.clear();
        assert!(reader.read_line(&mut line).await.unwrap() > 0, "the stream ended before its first event");
    }
    gateway.signal("TERM");
    let mut rest = String::new();
    reader.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains(": the gateway is shutting down") && rest.ends_with("0\r\n\r\n"), "{rest:?}");
    assert_eq!(gateway.ended().await, Some(0), "the gateway ends within ten seconds");
}

#[tokio::test]
async fn a_second_signal_ends_the_waiting() {
    let (url, _never) = slow_upstream().await;
    let mut gateway = Home::new("", Some(url)).start().await;
    let reader = open_stream(&gateway).await;
    gateway.signal("TERM");
    until_said(&gateway.home, "shutting down").await;
    gateway.signal("INT");
    assert_eq!(gateway.ended().await, Some(0));
    drop(reader);
}

#[tokio::test]
async fn the_operator_listener_answers_this_machine_and_no_page() {
    let gateway = Gateway::start().await;
    let home = &gateway.home;
    for (target, status) in [("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/", 404), ("/mcp", 404)] {
        assert_eq!(operator(home, target, &[]).await.status, status, "{target}");
    }
    let metrics = operator(home, "/metrics", &[]).await;
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    for (name, value, status) in [
        ("sec-fetch-site", "cross-site", 403),
        ("origin", "https://evil.example", 403),
        ("host", "evil.example", 421),
        ("host", "127.0.0.1:9090", 200),
        ("host", "[::1]:9090", 200),
    ] {
        assert_eq!(operator(home, "/metrics", &[(name, value)]).await.status, status, "{name}: {value}");
    }
    // The public listener serves none of these paths, and this listener serves none of the public ones.
    for target in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(Client::new(home).get(target).await.status, 404, "{target}");
    }
}

#[tokio::test]
async fn an_upstream_that_a_reload_removes_ends_its_open_streams() {
    let (to_go, to_stay) = (slow_upstream().await, slow_upstream().await);
    let table =
        |name: &str, url: &str| format!("[[upstream]]\nname = \"{name}\"\npath = \"/{name}\"\nurl = \"{url}\"\n");
    let both = format!("{}{}", table("gone", &to_go.0), table("kept", &to_stay.0));
    let gateway = Home::new(&both, None).start().await;
    let mut gone = open_stream_of(&gateway, "gone").await;
    let mut kept = open_stream_of(&gateway, "kept").await;
    // Two reloads: the first keeps both upstreams; the second must still find the open streams of the removed one.
    for (n, upstreams) in [(1, both.as_str()), (2, &table("kept", &to_stay.0))] {
        write_config(&gateway.home, "", upstreams);
        gateway.signal("HUP");
        until_reloads(&gateway.home, "reloaded", n).await;
    }
    let (mut line, mut said) = (String::new(), false);
    while line.trim_end() != "0" {
        line.clear();
        let read = tokio::time::timeout(Duration::from_secs(5), gone.read_line(&mut line)).await;
        assert!(
            read.expect("the stream ends within five seconds").unwrap() > 0,
            "the stream ended without a last chunk"
        );
        said |= line.contains("the resource has been removed");
    }
    assert!(said, "the stream did not say why it ends");
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_millis(1500), kept.read_to_end(&mut rest)).await;
    assert!(ended.is_err(), "the other stream ended: {}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn an_end_that_was_asked_for_is_no_error() {
    for upstream in [None, Some(slow_upstream().await.0)] {
        let mut gateway = Home::new("", upstream).start().await;
        assert_eq!(Client::new(&gateway.home).get("/").await.status, 200);
        gateway.signal("TERM");
        assert_eq!(gateway.ended().await, Some(0));
        let log = gateway.log();
        assert!(!log.contains("ERROR"), "{log}");
    }
}
