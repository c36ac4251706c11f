//! `OwnClient`: requests that the gateway sends to an upstream for itself, with the upstream's configured headers and
//! without a user.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::content::Content;
use super::lease::{Lease, LeasedResponse};
use super::pool::{Pool, UpstreamRequest};
use super::request_body::Outgoing;
use super::waiting::{Patience, Unanswered};
use crate::proxy::field::MCP_SESSION_ID;
use crate::proxy::headers::{BOTH_TYPES, IDENTITY};
use crate::proxy::rejection::Rejection;
use crate::proxy::response::gather::{BufferedBody, Stop};
use crate::proxy::route::Route;
use crate::telemetry::WorkerMetrics;

/// How long to wait for an answer.
pub(in crate::proxy) const PATIENCE: Duration = Duration::from_secs(5);
const WAIT: Patience = Patience::new(None, PATIENCE);
/// Below how much of an answer is read that is not needed.
const ENOUGH: usize = 16 * 1024;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("mcpgate/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Sends requests of the gateway itself to one upstream.
#[derive(Clone)]
pub(in crate::proxy) struct OwnClient {
    pub(in crate::proxy) route: Arc<Route>,
    pool: Arc<Pool>,
}

impl OwnClient {
    pub(in crate::proxy) fn new(route: &Arc<Route>, metrics: &WorkerMetrics) -> Self {
        let pool = Pool::new(route, metrics.clone(), CancellationToken::new());
        Self { route: Arc::clone(route), pool }
    }

    /// Sends a message to this path, within a session if there is one; returns why there is no answer, in words.
    pub(in crate::proxy) async fn post(
        &self,
        target: &PathAndQuery,
        message: Bytes,
        session: Option<&HeaderValue>,
        more: HeaderMap,
    ) -> Result<LeasedResponse, String> {
        let mut headers = self.head(session);
        headers.insert(CONTENT_TYPE, JSON);
        headers.extend(more);
        let body = Outgoing::Whole(Some(message.into()));
        let ask = UpstreamRequest::new(Method::POST, target.clone(), headers, body, WAIT.since(Instant::now()));
        self.pool.send_our_own(ask).await.map_err(words)
    }

    /// Ends a session that will not be used any more.
    pub(in crate::proxy) async fn end_session(&self, target: &PathAndQuery, session: &HeaderValue) {
        let headers = self.head(Some(session));
        let (target, wait) = (target.clone(), WAIT.since(Instant::now()));
        let ask = UpstreamRequest::new(Method::DELETE, target, headers, Outgoing::Empty, wait);
        if let Ok((response, lease)) = self.pool.send_our_own(ask).await {
            read(response.into_body(), lease, PATIENCE).await;
        }
    }

    fn head(&self, session: Option<&HeaderValue>) -> HeaderMap {
        let mut head = HeaderMap::new();
        head.insert(HOST, self.route.origin.host_header.clone());
        head.insert(USER_AGENT, AGENT);
        head.insert(ACCEPT, BOTH_TYPES);
        head.insert(ACCEPT_ENCODING, IDENTITY);
        if let Some(session) = session {
            head.insert(MCP_SESSION_ID, session.clone());
        }
        for (name, value) in &self.route.static_headers {
            head.insert(HeaderName::clone(name), value.clone());
        }
        head
    }
}

/// Returns why there is no answer, in words.
fn words(why: Unanswered) -> String {
    let rejection = Rejection::from(why);
    if let Rejection::Upstream(fault) = &rejection {
        format!("{} ({})", fault.cause.row().text, fault.detail)
    } else {
        rejection.row().outcome.label().to_owned()
    }
}

/// Reads the beginning of an answer within the time limit; the connection is reused if that was all.
pub(in crate::proxy) async fn read(mut body: Content, lease: Lease, limit: Duration) -> Bytes {
    let mut read = BufferedBody::default();
    if let Ok(Stop::End) = timeout(limit, poll_fn(|cx| read.poll_read(&mut body, ENOUGH, cx))).await {
        lease.finish(Instant::now());
    }
    read.take()
}
