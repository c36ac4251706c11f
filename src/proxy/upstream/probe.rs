//! Probes: each upstream is tried once when it is configured, so that the operator learns of a wrong URL before the
//! first user does. One that is down is tried again until it can be reached.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{CONTENT_TYPE, LOCATION};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::sync::watch;
use tokio::time::timeout;

use super::connect;
use super::own_client::{OwnClient, PATIENCE, read};
use super::redirect;
use crate::catalogue::{Catalogue, Listed, Offers};
use crate::config::{PinMode, UpstreamKind};
use crate::oauth::{ResourceIndicator, TenantId};
use crate::proxy::fault::{Cause, Fault};
use crate::proxy::field::MCP_SESSION_ID;
use crate::proxy::response::head;
use crate::proxy::response::head::BodyKind;
use crate::proxy::route::Route;
use crate::proxy::route_table::RouteTable;
use crate::telemetry::WorkerMetrics;

/// How often an upstream that is down is tried again.
const AGAIN: Duration = Duration::from_secs(15);
/// How long to wait for the events of an answer.
const FIRST_EVENTS: Duration = Duration::from_secs(1);
/// A request that all revisions support and that changes nothing.
const PING: &str = r#"{"jsonrpc":"2.0","id":"mcpgate","method":"ping"}"#;

/// Receives the title that an upstream (given by its configured name) gives itself.
pub type OnTitle = dyn Fn(&str, &str) + Send + Sync;

/// The catalogue of an upstream, and whose it is.
#[derive(Debug, Clone)]
pub struct KeptCatalogue {
    /// The tenant of the upstream.
    pub tenant: TenantId,
    /// Its name in the configuration.
    pub name: String,
    /// The URL that its clients call.
    pub resource: ResourceIndicator,
    /// Whether tools are pinned.
    pub is_pinned: bool,
    /// What it offers.
    pub catalogue: Arc<Catalogue>,
}

impl RouteTable {
    /// Returns the catalogues of all upstreams that have one.
    #[must_use]
    pub fn catalogues(&self) -> Vec<KeptCatalogue> {
        let has_one = self.routes.iter().filter(|route| route.kind == UpstreamKind::Mcp && route.rules.is_some());
        let kept = has_one.map(|route| KeptCatalogue {
            tenant: route.tenant.clone(),
            name: route.name.clone(),
            resource: route.address(),
            is_pinned: route.pin() != PinMode::Off,
            catalogue: Arc::clone(&route.catalogue),
        });
        kept.collect()
    }

    /// Tries every upstream once, and then those that are down until they can be reached. Never ends. Upstreams without
    /// a configured display name are asked for their title.
    pub async fn watch_upstreams(&self, metrics: &WorkerMetrics, learnt: &OnTitle) {
        join_all(self.probes(metrics, learnt).map(Probe::watch)).await;
    }

    /// Says that lists of what upstreams offer are on their way, so that whoever needs them waits for them.
    pub fn await_lists(&self) {
        self.routes.iter().filter(|route| route.is_listed_here()).for_each(|route| route.catalogue.await_lists());
    }

    /// Lists once what each upstream offers, where that is wanted.
    pub async fn list_upstreams(&self, metrics: &WorkerMetrics) {
        join_all(self.probes(metrics, &|_, _| ()).map(async |probe| probe.client.list_once(&probe.target).await)).await;
    }

    /// Asks the upstream with this name once what it offers.
    ///
    /// # Errors
    /// It does not let the gateway list that, with the reason.
    pub async fn ask_for_offers(&self, upstream: &str, metrics: &WorkerMetrics) -> Result<Arc<Offers>, String> {
        let probe = self.probes(metrics, &|_, _| ()).find(|probe| *probe.route.name == *upstream);
        let mut probe = probe.ok_or_else(|| "it is not configured".to_owned())?;
        if let Err(why) = probe.client.list(&probe.target).await {
            let Ok(PingReply::Moved(to)) = probe.ping(&probe.target).await else { return Err(why) };
            probe.target = to;
            probe.client.list(&probe.target).await?;
        }
        match probe.route.catalogue.listed() {
            Listed::Known(offers) => Ok(offers),
            Listed::NotAsked | Listed::Awaited | Listed::Refused => Err("it did not answer".to_owned()),
        }
    }

    /// Tries every upstream once.
    pub async fn probe_upstreams(&self, metrics: &WorkerMetrics, learnt: &OnTitle) {
        join_all(self.probes(metrics, learnt).map(async |mut probe| probe.run().await)).await;
    }

    fn probes<'a>(&self, metrics: &WorkerMetrics, learnt: &'a OnTitle) -> impl Iterator<Item = Probe<'a>> {
        let names: Vec<String> = self.routes.iter().map(|route| route.name.clone()).collect();
        let metrics = metrics.for_upstreams(&names);
        self.routes.iter().map(move |route| Probe {
            route: Arc::clone(route),
            client: OwnClient::new(route, &metrics),
            target: route.configured_target().clone(),
            was_asked: false,
            learnt,
        })
    }
}

impl Route {
    /// Returns whether the gateway lists what the upstream offers: where rules and the consent page use it.
    pub(super) fn is_listed_here(&self) -> bool {
        self.kind == UpstreamKind::Mcp && self.rules.is_some() && self.is_listed
    }
}

/// How an upstream answers a ping.
pub(in crate::proxy) enum PingReply {
    /// The answer of an MCP server.
    Mcp,
    /// A redirect that is followed.
    Moved(PathAndQuery),
    /// Any other answer, described for the log.
    Other(String),
}

/// Probes one upstream.
pub(in crate::proxy) struct Probe<'a> {
    route: Arc<Route>,
    client: OwnClient,
    /// Where it answers, after a redirect that was followed.
    target: PathAndQuery,
    /// Whether it was reached and asked already.
    was_asked: bool,
    learnt: &'a OnTitle,
}

impl Probe<'_> {
    async fn watch(mut self) {
        self.run().await;
        let route = Arc::clone(&self.route);
        let (found_at, target) = watch::channel(self.target.clone());
        let listing = self.client.clone().keep_listed(target);
        let watching = async {
            loop {
                let has_recovered = timeout(AGAIN, route.health.recovered()).await.is_ok();
                if !has_recovered && !route.health.is_down() {
                    continue;
                }
                self.run().await;
                if !route.health.is_down() {
                    found_at.send_replace(self.target.clone());
                }
            }
        };
        tokio::join!(listing, watching);
    }

    /// Tries to connect, and asks what it is unless that was done before.
    async fn run(&mut self) {
        let name = &*self.route.name;
        let dialled = connect::dial(&self.route.origin).await;
        let before = self.route.health.tried(dialled.as_ref().map(drop).map_err(|fault| fault.cause));
        match (dialled, before) {
            (Ok(_), Some(Err(_))) => tracing::info!(upstream = name, "the upstream is reachable again"),
            (Ok(_), Some(Ok(())) | None) | (Err(_), Some(Err(_))) => {}
            (Err(Fault { cause, detail, .. }), Some(Ok(())) | None) => tracing::warn!(
                upstream = name,
                cause = cause.row().reason,
                detail = &*detail,
                "the upstream cannot be reached, and requests to it fail: {}",
                remedy(cause)
            ),
        }
        if !self.route.health.is_down() && !std::mem::replace(&mut self.was_asked, true) {
            self.ask_what_it_is().await;
        }
    }

    /// Sends a ping, and logs if the answer is not from an MCP server.
    async fn ask_what_it_is(&mut self) {
        let route = &*self.route;
        if route.kind != UpstreamKind::Mcp {
            return;
        }
        let _session = route.catalogue.session.lock().await;
        let mut heard = self.ping(&self.target).await;
        if let Ok(PingReply::Moved(to)) = heard {
            self.target = to;
            heard = self.ping(&self.target).await;
        }
        let other = match heard {
            Ok(PingReply::Mcp) => {
                route.health.doubt(None);
                if route.takes_title
                    && let Some(title) = self.title(&self.target).await
                {
                    (self.learnt)(&route.name, &title);
                }
                return;
            }
            Ok(PingReply::Moved(_)) => "it redirects in a loop".to_owned(),
            Ok(PingReply::Other(what)) => what,
            Err(what) => what,
        };
        let cure = self.cure().await;
        tracing::warn!(
            upstream = &*route.name,
            "this does not seem to be an MCP server: a ping to {} failed, {other}; {cure}",
            route.url_with(route.configured_target().path())
        );
        route.health.doubt(Some(other));
    }

    /// Returns what to configure instead of the URL.
    async fn cure(&self) -> String {
        let route = &*self.route;
        let path = &*route.base;
        let is_sse = path.ends_with("/sse");
        let above = path.strip_suffix("/sse").unwrap_or(path);
        if above.ends_with("/mcp") {
            return "look up the path of its MCP endpoint in the server's documentation".to_owned();
        }
        let candidate = format!("{above}/mcp");
        let is_there = match candidate.parse() {
            Ok(target) => matches!(self.ping(&target).await, Ok(PingReply::Mcp)),
            Err(_) => false,
        };
        let url = route.url_with(&candidate);
        let transport = if is_sse { "its /sse uses the transport of 2024-11-05, which is not supported; " } else { "" };
        let found = if is_there { " An MCP server answers there" } else { "" };
        format!("{transport}did you mean url = \"{url}\"?{found}")
    }

    /// Sends a ping to this path; returns the reply, or why there was none.
    async fn ping(&self, target: &PathAndQuery) -> Result<PingReply, String> {
        self.send(target, PING, &[]).await.map(|(heard, _)| heard)
    }

    /// Sends a message to this path; returns the head and the beginning of the reply, or why there was none.
    pub(in crate::proxy) async fn send(
        &self,
        target: &PathAndQuery,
        message: &'static str,
        more: &[(HeaderName, HeaderValue)],
    ) -> Result<(PingReply, Bytes), String> {
        let mut headers = HeaderMap::new();
        headers.extend(more.iter().cloned());
        let asked = async {
            let (response, lease) =
                self.client.post(target, Bytes::from_static(message.as_bytes()), None, headers).await?;
            let (head, body) = response.into_parts();
            if redirect::repeats(head.status)
                && let Some(target) = self.route.follow(target, head.status, &head.headers)
            {
                return Ok((PingReply::Moved(target), Bytes::new()));
            }
            let content = match head::form(&head.headers) {
                BodyKind::Json => read(body, lease, PATIENCE).await,
                // A stream of events may never end; its head is enough to recognise it.
                BodyKind::Events if message != PING => read(body, lease, FIRST_EVENTS).await,
                BodyKind::Events | BodyKind::Other => Bytes::new(),
            };
            if let Some(session) = head.headers.get(MCP_SESSION_ID) {
                self.client.end_session(target, session).await;
            }
            Ok((judge(head.status, &head.headers, &content), content))
        };
        timeout(PATIENCE, Box::pin(asked))
            .await
            .unwrap_or_else(|_| Err(format!("there was no answer within {PATIENCE:?}")))
    }
}

/// Decides whether an answer to a ping comes from an MCP server: a JSON-RPC message, even an error, or a stream of
/// events.
fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> PingReply {
    let is_rpc = || body.windows(9).any(|part| part == b"\"jsonrpc\"");
    let text = |name: &HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    match (status, head::form(headers)) {
        (StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED, _) => PingReply::Other(format!(
            "it answered {status}: it requires a credential in upstream.headers, or a different one"
        )),
        (status, _) if status.is_redirection() => {
            let to = text(&LOCATION).unwrap_or_else(|| "nowhere".into());
            PingReply::Other(format!("it answered {status}, to {}", to.split(['?', '#']).next().unwrap_or_default()))
        }
        (_, BodyKind::Events) => PingReply::Mcp,
        (_, BodyKind::Json) if is_rpc() => PingReply::Mcp,
        (_, BodyKind::Json) => PingReply::Other(format!("it answered {status} with JSON that is not JSON-RPC")),
        (_, BodyKind::Other) => match text(&CONTENT_TYPE) {
            Some(kind) => PingReply::Other(format!("it answered {status} with {kind}")),
            None => PingReply::Other(format!("it answered {status}")),
        },
    }
}

/// Returns what to do when no connection can be made.
fn remedy(cause: Cause) -> &'static str {
    match cause {
        Cause::ConnectionRefused => "start it, or correct host and port in upstream.url",
        Cause::UnknownHost => "correct the host in upstream.url, or this machine's resolver",
        Cause::Tls => "see `tls` in docs/errors.md: upstream.ca_file, the name in upstream.url, or http://",
        Cause::Unreachable
        | Cause::Resting
        | Cause::ClosedEarly
        | Cause::TooSlow
        | Cause::TooLarge
        | Cause::NotHttp
        | Cause::NotMcp
        | Cause::Redirect
        | Cause::CompressedStream
        | Cause::CredentialRefused
        | Cause::SessionId
        | Cause::Unreadable => "check the network in between, and upstream.url",
    }
}
