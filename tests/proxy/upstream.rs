//! An upstream made of a bare socket: it records every request byte for byte, and answers as a test tells it to,
//! correctly or not.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// A request as it was received.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) connection: usize,
    pub(crate) line: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} more than once in {self:?}");
        all.first().copied()
    }
}

/// What the upstream does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Send(Vec<u8>),
    Wait(Duration),
    /// Waits until it is told to go on.
    Gate(Arc<Notify>),
    /// Waits until the other side closes.
    Hang,
    Close,
}

pub(crate) fn send(text: impl AsRef<[u8]>) -> Act {
    Act::Send(text.as_ref().to_vec())
}

/// A plain answer with a body of the correct length.
pub(crate) fn answer(head: &str, body: &str) -> Act {
    send(format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

pub(crate) const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

pub(crate) fn chunk(text: &str) -> Act {
    send(format!("{:x}\r\n{text}\r\n", text.len()))
}

#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    seen: watch::Sender<Vec<Seen>>,
    script: Mutex<VecDeque<Vec<Act>>>,
    /// The number of connections that were opened, and of those that the other side has closed.
    opened: watch::Sender<usize>,
    closed: watch::Sender<usize>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn start_on(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            seen: watch::Sender::default(),
            script: Mutex::default(),
            opened: watch::Sender::default(),
            closed: watch::Sender::default(),
        });
        let to_connections = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = *to_connections.opened.borrow();
                to_connections.opened.send_modify(|n| *n += 1);
                tokio::spawn(serve(stream, number, Arc::clone(&to_connections)));
            }
        });
        Self { address, shared }
    }

    /// Sets what happens to the next requests that have no action yet. Without one, the upstream echoes the id.
    pub(crate) fn then(&self, acts: impl IntoIterator<Item = Act>) {
        self.shared.script.lock().unwrap().push_back(acts.into_iter().collect());
    }

    /// Sets what happens to the next request, before those for which actions were set.
    pub(crate) fn then_first(&self, acts: impl IntoIterator<Item = Act>) {
        self.shared.script.lock().unwrap().push_front(acts.into_iter().collect());
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.borrow().clone()
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().expect("something has reached the upstream")
    }

    /// Asserts that the upstream received nothing.
    pub(crate) fn assert_nothing(&self) {
        assert!(self.seen().is_empty(), "something has reached the upstream: {:?}", self.seen());
    }

    pub(crate) async fn wait_for_requests(&self, count: usize) {
        soon(self.shared.seen.subscribe().wait_for(|seen| seen.len() >= count)).await.unwrap();
    }

    pub(crate) async fn wait_for_closed(&self, count: usize) {
        soon(self.shared.closed.subscribe().wait_for(|closed| *closed >= count)).await.unwrap();
    }

    pub(crate) fn connections(&self) -> usize {
        *self.shared.opened.borrow()
    }
}

/// Time limit of every step in these tests; only a hang takes longer.
pub(crate) async fn soon<T>(wish: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), wish).await.expect("it happens soon")
}

async fn serve(mut stream: TcpStream, connection: usize, shared: Arc<Shared>) {
    let mut buffer = Vec::new();
    while let Some(seen) = read_request(&mut stream, &mut buffer, connection).await {
        let acts = shared.script.lock().unwrap().pop_front().unwrap_or_else(|| vec![echo(&seen)]);
        shared.seen.send_modify(|all| all.push(seen));
        for act in acts {
            let ok = match act {
                Act::Send(bytes) => stream.write_all(&bytes).await.is_ok(),
                Act::Wait(time) => {
                    tokio::time::sleep(time).await;
                    true
                }
                Act::Gate(gate) => {
                    gate.notified().await;
                    true
                }
                Act::Hang => {
                    drop(stream.read(&mut [0; 1]).await);
                    false
                }
                Act::Close => false,
            };
            if !ok {
                shared.closed.send_modify(|n| *n += 1);
                return;
            }
        }
    }
    shared.closed.send_modify(|n| *n += 1);
}

fn echo(seen: &Seen) -> Act {
    let asked: serde_json::Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    let body = serde_json::json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"line": seen.line}}).to_string();
    answer("200 OK\r\nContent-Type: application/json", &body)
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>, connection: usize) -> Option<Seen> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..end].to_vec()).expect("the head is text");
    buffer.drain(..end + 4);
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let fields: Vec<(String, String)> = lines
        .map(|l| l.split_once(": ").unwrap_or_else(|| panic!("a field line: {l:?}")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut seen = Seen { connection, line, fields, body: Vec::new() };
    assert!(seen.field("content-length").is_none() || seen.field("transfer-encoding").is_none(), "{seen:?}");
    if let Some(length) = seen.field("content-length") {
        let length: usize = length.parse().unwrap();
        seen.body = take(stream, buffer, length).await?;
    } else if seen.field("transfer-encoding").is_some() {
        loop {
            let line = take_line(stream, buffer).await?;
            let size = usize::from_str_radix(line.trim(), 16).expect("a chunk size");
            let data = take(stream, buffer, size + 2).await?;
            seen.body.extend_from_slice(&data[..size]);
            if size == 0 {
                break;
            }
        }
    }
    Some(seen)
}

async fn take(stream: &mut TcpStream, buffer: &mut Vec<u8>, count: usize) -> Option<Vec<u8>> {
    while buffer.len() < count {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    Some(buffer.drain(..count).collect())
}

async fn take_line(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(at) = buffer.windows(2).position(|w| w == b"\r\n") {
            let line: Vec<u8> = buffer.drain(..at + 2).collect();
            return Some(String::from_utf8(line).unwrap());
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
