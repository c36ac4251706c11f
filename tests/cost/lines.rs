//! The loader: connections to the gateway on which a known number of requests is made, and idle streams.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinSet;

use crate::support::client::Client;
use crate::support::gateway::Home;
use crate::support::http::{open, request};
use crate::upstream::Ask;

/// A gateway as a user of it sees it.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) home: &'a Home,
    pub(crate) token: &'a str,
    /// The public path of the upstream.
    pub(crate) path: &'static str,
}

/// What carries one request at a time: a connection of HTTP/1.1, or a stream at a time of one of HTTP/2.
enum Line {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// Open lines to one gateway.
pub(crate) struct Lines {
    lines: Vec<Line>,
    authority: String,
    path: &'static str,
    token: String,
}

impl Lines {
    /// Opens connections of HTTP/1.1.
    pub(crate) async fn http1(target: Target<'_>, connections: usize) -> Self {
        let client = Client::new(target.home);
        let mut lines = Vec::new();
        for _ in 0..connections {
            lines.push(Line::Http1(open(client.raw().await.unwrap()).await.unwrap()));
        }
        Self::of(target, lines)
    }

    /// Opens connections of HTTP/2, each for so many streams at a time.
    pub(crate) async fn http2(target: Target<'_>, connections: usize, streams: usize) -> Self {
        let client = Client::new(target.home);
        let mut lines = Vec::new();
        for _ in 0..connections {
            let stream = TokioIo::new(client.raw_with(&[b"h2"]).await.unwrap());
            let (line, driver) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
            tokio::spawn(driver);
            lines.extend((0..streams).map(|_| Line::Http2(line.clone())));
        }
        Self::of(target, lines)
    }

    fn of(target: Target<'_>, lines: Vec<Line>) -> Self {
        let authority = format!("localhost:{}", target.home.public.port());
        Self { lines, authority, path: target.path, token: target.token.to_owned() }
    }

    /// Makes a request on each line at once, and so on for so many rounds.
    pub(crate) async fn ask(&mut self, rounds: usize, ask: Ask) {
        for _ in 0..rounds {
            if let Ask::Together(_, round) | Ask::Tools(round) = ask {
                round.stand_still();
            }
            let mut busy = JoinSet::new();
            for mut line in self.lines.drain(..) {
                let url = (&*self.authority, self.path);
                let request = line.request(Method::POST, url, &self.token, ask.message());
                busy.spawn(async move {
                    let body = line.exchange(request).await.into_body().collect().await.unwrap();
                    ask.expect_answer(&body.to_bytes());
                    line
                });
            }
            self.lines = busy.join_all().await;
            if let Ask::Bytes(_, pause) = ask {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Makes a request on the first line and returns its answer.
    pub(crate) async fn answer(&mut self, ask: Ask) -> Bytes {
        let line = &mut self.lines[0];
        let request = line.request(Method::POST, (&self.authority, self.path), &self.token, ask.message());
        line.exchange(request).await.into_body().collect().await.unwrap().to_bytes()
    }

    /// Opens an event stream on each line and waits for its first event.
    pub(crate) async fn open_streams(&mut self) -> Vec<Incoming> {
        let mut streams = Vec::new();
        for line in &mut self.lines {
            let request = line.request(Method::GET, (&self.authority, self.path), &self.token, String::new());
            let mut body = line.exchange(request).await.into_body();
            body.frame().await.unwrap().unwrap();
            streams.push(body);
        }
        streams
    }
}

impl Line {
    fn request(
        &self,
        method: Method,
        (authority, path): (&str, &str),
        token: &str,
        message: String,
    ) -> Request<Full<Bytes>> {
        let authorization = format!("Bearer {token}");
        let mut headers = vec![
            ("accept", "application/json, text/event-stream"),
            ("authorization", authorization.as_str()),
            ("mcp-protocol-version", "2025-06-18"),
            ("user-agent", "cost/1"),
        ];
        if !message.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        match self {
            Self::Http1(_) => {
                headers.push(("host", authority));
                request(method, path, &headers, message)
            }
            Self::Http2(_) => request(method, &format!("https://{authority}{path}"), &headers, message),
        }
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let answer = match self {
            Self::Http1(line) => {
                line.ready().await.unwrap();
                line.send_request(request).await
            }
            Self::Http2(line) => line.send_request(request).await,
        };
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 200, "{answer:?}");
        answer
    }
}
