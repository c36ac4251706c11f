//! SC-14: a reload of the rules, by signal, and the streams that are open.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;

use crate::life::{until_reloads, write_config};
use crate::support::client::Client;
use crate::support::gateway::{Gateway, Home};

/// An upstream that answers every request with a stream of events that never ends.
async fn upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
                let read = stream.read(&mut [0; 4096]).await;
                let begun = stream.write_all(format!("{head}d\r\ndata: begun\n\n\r\n").as_bytes()).await;
                // Until the other side closes.
                let closed = stream.read(&mut [0; 1]).await;
                drop((read, begun, closed));
            });
        }
    });
    url
}

type Reader = BufReader<TlsStream<TcpStream>>;

/// Reads lines until one has this text.
async fn until(reader: &mut Reader, text: &str) {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        let read = tokio::time::timeout(Duration::from_secs(10), reader.read_line(&mut line)).await;
        assert!(read.expect("it comes within ten seconds").unwrap() > 0, "the stream ended before {text:?}");
    }
}

/// Sends a request, and reads how its answer begins.
async fn open(gateway: &Gateway, token: &str, method: &str, body: &str) -> Reader {
    let head = format!(
        "{method} /mcp HTTP/1.1\r\nhost: localhost:{}\r\nauthorization: Bearer {token}\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: 2025-11-25\r\n",
        gateway.home.public.port(),
    );
    let about = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    let about = if body.is_empty() { "" } else { &about };
    let mut stream = Client::new(&gateway.home).raw().await.unwrap();
    stream.write_all(format!("{head}{about}\r\n{body}").as_bytes()).await.unwrap();
    let mut reader = BufReader::new(stream);
    until(&mut reader, "data: begun").await;
    reader
}

#[tokio::test]
async fn sc_14_a_reload_ends_what_new_rules_deny_and_tells_of_the_lists() {
    let url = upstream().await;
    let before = format!(
        "[[upstream]]\nname = \"main\"\npath = \"/mcp\"\nurl = \"{url}\"\ncatalogue = \"passive\"\n\
         [[upstream.scope]]\nname = \"use\"\ntitle = \"Use\"\nallow = [\"*\"]\n"
    );
    let gateway = Home::new(&before, None).start().await;
    let issued = gateway.home.command(&["token", "issue", "--user", "admin", "--scope", "use"]);
    let token = issued["access_token"].as_str().unwrap();
    let call = |tool: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#)
    };
    let mut session = open(&gateway, token, "GET", "").await;
    let mut denied = open(&gateway, token, "POST", &call("delete")).await;
    let mut kept = open(&gateway, token, "POST", &call("add")).await;
    let rule = "[[upstream.rule]]\neffect = \"deny\"\noperations = [\"tools/call:delete\"]\n";
    write_config(&gateway.home, "", &format!("{before}{rule}"));
    gateway.signal("HUP");
    until_reloads(&gateway.home, "reloaded", 1).await;
    until(&mut denied, "the rules of this server have changed").await;
    until(&mut denied, "0\r\n").await;
    until(&mut session, "notifications/tools/list_changed").await;
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_millis(1500), kept.read_to_end(&mut rest)).await;
    assert!(ended.is_err(), "the other call ended: {}", String::from_utf8_lossy(&rest));
}
