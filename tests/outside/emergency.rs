//! Access can be revoked while the configuration is broken or missing, and by removing a key.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::expect;
use crate::life::until_said;
use crate::shared::CALLBACK;
use crate::streams::fountain;
use crate::support::application::{Application, Tokens};
use crate::support::client::{Client, request};
use crate::support::gateway::{Home, binary};
use crate::support::page::Browser;
use crate::support::upstream::Upstream;

/// Runs a command of mcpgate; returns its exit code and what it printed on both streams.
pub(crate) fn run(words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(binary()).args(words).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said.into_owned())
}

/// Waits until a token is refused, for at most the time that a revocation may take.
pub(crate) async fn until_refused(home: &Home, token: &str) {
    let deadline = Instant::now() + Duration::from_secs(2);
    let mut client = Client::new(home);
    while client.call("/mcp", token, "refused").await.status != 401 {
        assert!(
            Instant::now() < deadline,
            "the token is still accepted: {}",
            std::fs::read_to_string(home.log()).unwrap()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn access_is_ended_while_the_configuration_is_broken_or_gone() {
    let gateway = Home::new("", Some(Upstream::start().url)).start().await;
    let home = &gateway.home;
    let (data, config) = (home.data(), home.config());
    let (data, config) = (data.to_str().unwrap(), config.to_str().unwrap());
    let whole = std::fs::read_to_string(config).unwrap();
    let whole = format!("data_dir = \"{data}\"\n{whole}");
    for (written, named) in [
        (Some("data_dir = [\nbroken"), ["--data", data]),
        (None, ["--data", data]),
        (Some(&*format!("{whole}[listen]\ntls = \"files\"\nunknown = 1\n")), ["--config", config]),
        (Some(&*format!("{whole}broken = [")), ["--config", config]),
    ] {
        std::fs::write(config, &whole).unwrap();
        let application = Application::register(home, CALLBACK).await;
        let tokens = application.tokens(home).await;
        match written {
            Some(text) => std::fs::write(config, text).unwrap(),
            None => std::fs::remove_file(config).unwrap(),
        }
        let done = |words: &[&str]| {
            let (code, said) = run(&[words, &named].concat());
            assert_eq!(code, Some(0), "{words:?} {named:?}: {said}");
            assert!(said.contains(&format!("the command still runs on {data}")), "{said}");
        };
        assert_eq!(Client::new(home).call("/mcp", &tokens.access, "before").await.status, 200);
        done(&["session", "list"]);
        done(&["session", "revoke", "--user", "admin"]);
        until_refused(home, &tokens.access).await;
        let again = application.tokens(home).await;
        done(&["client", "disable", &application.client_id]);
        until_refused(home, &again.access).await;
        let other = Application::register(home, CALLBACK).await.tokens(home).await;
        done(&["user", "disable", "admin"]);
        until_refused(home, &other.access).await;
        assert!(
            run(&["user", "enable", "admin", "--data", data]).0 != Some(0),
            "a command that gives access must fail"
        );
        std::fs::write(config, &whole).unwrap();
        home.command(&["user", "enable", "admin"]);
    }
    // If the configuration does not show the data directory, `--data` is required.
    let twice = format!("data_dir = \"{data}\"\ndata_dir = \"/elsewhere\"\n");
    let misplaced = format!("[tokens]\ndata_dir = \"{data}\"\n");
    let misspelt = format!("datadir = \"{data}\"\n");
    for text in [Some("data_dir = "), Some(&twice), Some(&misplaced), Some(&misspelt), None] {
        let _gone = std::fs::remove_file(config);
        if let Some(text) = text {
            std::fs::write(config, text).unwrap();
        }
        let (code, said) = run(&["session", "revoke", "--all", "--config", config]);
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains("--data: this command needs only the data directory") && said.contains(config), "{said}");
    }
}

#[tokio::test]
async fn access_is_ended_while_the_keys_are_broken() {
    let gateway = Home::new("", Some(Upstream::start().url)).start().await;
    let home = &gateway.home;
    let tokens = Application::register(home, CALLBACK).await.tokens(home).await;
    std::fs::write(home.data().join("keys/token"), "1 broken\n").unwrap();
    home.command(&["user", "disable", "admin"]);
    until_refused(home, &tokens.access).await;
}

/// A line of a key file.
fn line(number: u8) -> String {
    format!("{number} {}\n", format!("{number:02x}5a").repeat(16))
}

fn write_keys(file: &Path, text: &str) {
    std::fs::File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
}

#[tokio::test]
async fn what_a_key_vouched_for_is_refused_once_it_is_taken_away() {
    let (upstream, _open) = fountain().await;
    let mut gateway = Home::new("", Some(upstream)).start().await;
    let key = gateway.home.data().join("keys/token");
    let first = std::fs::read_to_string(&key).unwrap();
    for by_restart in [false, true] {
        let home = &gateway.home;
        let application = Application::register(home, CALLBACK).await;
        let mut browser = Browser::new(home);
        let authorized = application.authorize(&mut browser).await;
        let tokens = Tokens::from(&application.redeem(&mut Client::new(home), &authorized).await);
        let other = application.authorize(&mut browser).await;
        let link = home.command(&["user", "set-password", "admin", "--link"])["link"].as_str().unwrap().to_owned();
        let link = link.strip_prefix(&home.origin()).unwrap().to_owned();
        let mut stream = open_stream(home, &tokens.access).await;
        // Adding a key beside the old one revokes nothing.
        write_keys(&key, &(line(7) + &first));
        gateway.signal("HUP");
        until_said(home, "the keys have changed").await;
        std::fs::write(home.log(), "").unwrap();
        assert!(is_open(&mut stream).await, "no key was removed, so the stream stays open");
        assert_eq!(Client::new(home).get(&link).await.status, 200);
        let newer = Tokens::from(&application.refresh(&mut Client::new(home), &tokens.refresh).await);
        // The configuration is broken at the same time.
        let whole = std::fs::read_to_string(home.config()).unwrap();
        if by_restart {
            write_keys(&key, &line(7));
            gateway = gateway.kill().start().await;
        } else {
            std::fs::write(home.config(), format!("{whole}broken = [")).unwrap();
            write_keys(&key, &line(7));
            gateway.signal("HUP");
            until_said(home, "the keys have changed").await;
        }
        let home = &gateway.home;
        let mut client = Client::new(home);
        until_refused(home, &tokens.access).await;
        if !by_restart {
            assert!(!is_open(&mut stream).await, "the stream outlived its token: {}", gateway.log());
        }
        expect::refused(&application.redeem(&mut client, &other).await, "invalid_grant");
        expect::refused(&application.refresh(&mut client, &tokens.refresh).await, "invalid_grant");
        assert_ne!(client.get(&link).await.status, 200, "a link to set a password");
        let page = browser.open(&application.request("x".repeat(43).as_str(), &[])).await;
        assert!(page.text().contains("password"), "the browser is signed out: {}", page.text());
        // Tokens that the other key made stay valid.
        drop(open_stream(home, &newer.access).await);
        Tokens::from(&application.refresh(&mut client, &newer.refresh).await);
        std::fs::write(home.config(), &whole).unwrap();
        write_keys(&key, &first);
        gateway.signal("HUP");
        until_said(&gateway.home, "the keys have changed").await;
        std::fs::write(gateway.home.log(), "").unwrap();
        until_refused(&gateway.home, &newer.access).await;
    }
}

/// Opens an event stream of the upstream; returns the connection once the head of the answer has arrived.
async fn open_stream(home: &Home, token: &str) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let text = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost:{}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: {}\r\n\r\n{body}",
        home.public.port(),
        body.len()
    );
    let mut stream = Client::new(home).raw().await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    stream
}

/// Reads for two seconds; returns whether the stream still delivers bytes at the end.
async fn is_open(stream: &mut tokio_rustls::client::TlsStream<tokio::net::TcpStream>) -> bool {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(2);
    let (mut bytes, mut heard) = (vec![0; 64 * 1024], tokio::time::Instant::now());
    while let Ok(read) = tokio::time::timeout_at(deadline, stream.read(&mut bytes)).await {
        match read {
            Ok(0) | Err(_) => return false,
            Ok(_) if tokio::time::Instant::now() >= deadline => return true,
            Ok(_) => heard = tokio::time::Instant::now(),
        }
    }
    deadline - heard < Duration::from_millis(300)
}

#[tokio::test]
async fn the_files_of_the_keys_are_watched_and_a_broken_one_changes_nothing() {
    let gateway = Home::new("[reload]\nwatch = true", None).start().await;
    let home = &gateway.home;
    let (session, token) = (home.data().join("keys/session"), home.data().join("keys/token"));
    let tokens = Application::register(home, CALLBACK).await.tokens(home).await;
    let mut client = Client::new(home);
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",
        "capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
    let bearer = format!("Bearer {}", tokens.access);
    let usual = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let begun = client.send(request(hyper::Method::POST, "/mcp", &usual, initialize)).await;
    let id = begun.header("mcp-session-id").to_owned();
    assert!(begun.status == 200 && !id.is_empty(), "{begun:?}");
    let in_session = [&usual[..], &[("mcp-session-id", &id), ("mcp-protocol-version", "2025-06-18")]].concat();
    let ping = r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#;
    let ask = || request(hyper::Method::POST, "/mcp", &in_session, ping);
    assert_eq!(client.send(ask()).await.status, 200);
    let whole = std::fs::read_to_string(&token).unwrap();
    write_keys(&token, "1 broken\n");
    until_said(home, "keeping the current keys").await;
    assert_eq!(client.send(ask()).await.status, 200);
    write_keys(&session, &(line(9) + &std::fs::read_to_string(&session).unwrap()));
    write_keys(&token, &whole);
    until_said(home, "the keys have changed").await;
    assert_eq!(client.send(ask()).await.status, 404, "MCP sessions are bound to the first key of the file");
    std::fs::write(home.log(), "").unwrap();
    write_keys(&token, &line(8));
    until_said(home, "the keys have changed").await;
    until_refused(home, &tokens.access).await;
    home.command(&["token", "issue", "--user", "admin", "--upstream", "mcp"]);
}
