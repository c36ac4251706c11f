//! SS: event streams whose readers do not read.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::support::client::Client;
use crate::support::gateway::Home;
use crate::support::upstream::is_trial;

/// Clients that read the head of an answer and then nothing more.
const READERS: usize = 150;

/// An upstream that answers every request with an endless event stream, written as fast as it is read; its URL, and how
/// many streams are open.
pub(crate) async fn fountain() -> (String, watch::Receiver<usize>) {
    let (count, open) = watch::channel(0);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let event = format!("data: {}\n\n", "x".repeat(16 * 1024));
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        while let Ok((mut stream, _)) = listener.accept().await {
            let (chunk, count) = (chunk.clone(), count.clone());
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let asked = stream.read(&mut request).await.unwrap_or(0);
                if is_trial(&request[..asked]) {
                    return;
                }
                count.send_modify(|n| *n += 1);
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
                let mut goes_on = stream.write_all(head.as_bytes()).await.is_ok();
                while goes_on {
                    goes_on = stream.write_all(chunk.as_bytes()).await.is_ok();
                }
                count.send_modify(|n| *n -= 1);
            });
        }
    });
    (format!("http://{address}/mcp"), open)
}

#[tokio::test]
async fn ss_01_readers_that_stop_cost_little_memory_and_are_closed() {
    let (upstream, mut open) = fountain().await;
    let config = "[timeouts]\nwrite_stall = \"5s\"\n";
    let gateway = Home::new(config, Some(upstream)).start().await;
    let issued = gateway.home.command(&["token", "issue", "--user", "admin", "--upstream", "mcp"]);
    let token = issued["access_token"].as_str().expect("a token");
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let request = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost:{}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: {}\r\n\r\n{body}",
        gateway.home.public.port(),
        body.len()
    );
    let client = Client::new(&gateway.home);
    let before = gateway.resident_bytes();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut stream = client.raw().await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.expect("a head");
        assert_eq!(&head, b"HTTP/1.1 200");
        readers.push(stream);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let grown = gateway.resident_bytes().saturating_sub(before);
    // The buffer of bytes from the upstream, the write buffers of hyper and rustls, and two tasks.
    let each = grown / u64::try_from(READERS).expect("a number");
    assert!(each < 448 << 10, "{} KiB for each of {READERS} readers", each >> 10);
    // The readers have stopped for longer than the stall timeout: the rest is the data already sent, then the end.
    tokio::time::sleep(Duration::from_secs(6)).await;
    for mut stream in readers {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "a stalled reader is still served after {} bytes", rest.len());
    }
    let left = tokio::time::timeout(Duration::from_secs(5), open.wait_for(|open| *open == 0)).await;
    assert!(left.is_ok(), "unread streams are still open at the upstream");
}
