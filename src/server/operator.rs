//! The operator listener: health, readiness and metrics over plain HTTP, on loopback unless configured otherwise.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use http::header::HOST;
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::host;
use super::process_metrics;
use super::reload_status::ReloadStatus;
use super::upstreams::Upstreams;
use super::worker::Process;
use crate::issuer::Services;
use crate::store::Store;
use crate::telemetry::{Exposition, Histogram, Kind};
use crate::web::{Response, is_cross_site, reply};

/// The most concurrent connections: a scraper, a probe, a person.
const CONNECTIONS: usize = 32;
/// Time limit for a request head, and for the store's answer to a readiness check.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What the operator listener reports on.
pub(super) struct Operator {
    pub(super) process: Arc<Process>,
    store: Arc<dyn Store>,
    /// Whether it listens on loopback only.
    loopback: bool,
    /// When the certificate ends, in seconds of the epoch; 0 without TLS.
    pub(super) certificate_ends: AtomicI64,
    pub(super) upstreams: Upstreams,
    pub(super) reloads: ReloadStatus,
}

/// Serves requests until `stop`.
pub(super) async fn run(listener: Arc<TcpListener>, operator: Arc<Operator>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // A spare file descriptor, closed when there are no others left, so that a probe is still answered.
    let mut reserve = open_reserve();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "the operator listener cannot accept");
                drop(reserve.take());
                match tokio::time::timeout(TIMEOUT, listener.accept()).await {
                    // Served one at a time, so that the spare descriptor can be reopened.
                    Ok(Ok((stream, _))) => serve(stream, Arc::clone(&operator), false).await,
                    Ok(Err(_)) | Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
                reserve = open_reserve();
                continue;
            }
        };
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let operator = Arc::clone(&operator);
            tokio::spawn(async move {
                serve(stream, operator, true).await;
                drop(place);
            });
        }
    }
}

fn open_reserve() -> Option<std::fs::File> {
    std::fs::File::open("/dev/null").ok()
}

async fn serve(stream: TcpStream, operator: Arc<Operator>, keep_alive: bool) {
    let service = service_fn(move |request| {
        let operator = Arc::clone(&operator);
        async move { Ok::<_, Infallible>(operator.answer(&request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(TIMEOUT).max_buf_size(16 << 10).keep_alive(keep_alive);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection to the operator listener failed");
    }
}

/// Returns whether a request names this machine. Otherwise an attacker's name that resolves to loopback (DNS rebinding)
/// would make the attacker's page same-origin.
fn names_this_machine(request: &Request<Incoming>) -> bool {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    host::split(host).is_some_and(|(name, _)| {
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
    })
}

impl Operator {
    /// `loopback` says whether it listens on loopback only; `certificate_ends` is in seconds of the epoch, 0 without
    /// TLS.
    pub(super) fn new(
        process: &Arc<Process>,
        services: &Services,
        upstreams: Upstreams,
        loopback: bool,
        certificate_ends: i64,
    ) -> Self {
        Self {
            process: Arc::clone(process),
            store: Arc::clone(&services.store),
            loopback,
            certificate_ends: certificate_ends.into(),
            upstreams,
            reloads: ReloadStatus::new(services.clock.now()),
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response {
        // A page in the operator's browser must not be able to read this through the browser.
        if is_cross_site(request.headers(), |_| false) {
            return reply::uncached(StatusCode::FORBIDDEN, "text/plain", "not available to other sites\n");
        }
        if self.loopback && !names_this_machine(request) {
            return reply::uncached(StatusCode::MISDIRECTED_REQUEST, "text/plain", "use localhost or the address\n");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return reply::method_not_allowed("GET, HEAD");
        }
        let mut response = match request.uri().path() {
            "/healthz" => reply::uncached(StatusCode::OK, "text/plain", "ok\n"),
            "/readyz" => match self.readiness().await {
                // Still ready: cached tokens are served, and only writes can show when writing works again.
                Ok(()) if self.store.stats().failing => {
                    self.ready("ready, but the store cannot be written at the moment")
                }
                Ok(()) if self.process.cache.is_filling() => {
                    self.ready("ready; tokens are still being read into memory")
                }
                Ok(()) => self.ready("ready"),
                Err(reason) => reply::uncached(StatusCode::SERVICE_UNAVAILABLE, "text/plain", format!("{reason}\n")),
            },
            "/metrics" => reply::uncached(StatusCode::OK, Exposition::CONTENT_TYPE, self.metrics()),
            _ => reply::uncached(StatusCode::NOT_FOUND, "text/plain", "/healthz, /readyz, /metrics\n"),
        };
        response.headers_mut().insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    /// Answers that requests should be sent here, with the state of the upstreams: one that is down must not make the
    /// others unavailable.
    fn ready(&self, how: &str) -> Response {
        let upstreams = self.upstreams.states();
        let lines: String =
            upstreams.iter().map(|upstream| format!("upstream {}: {}\n", upstream.name, upstream.detail)).collect();
        reply::uncached(StatusCode::OK, "text/plain", format!("{how}\n{lines}"))
    }

    /// Returns whether requests should be sent here; the error says why not.
    async fn readiness(&self) -> Result<(), &'static str> {
        if self.process.draining.load(Relaxed) {
            return Err("shutting down");
        }
        if self.store.stats().halted {
            return Err("the store cannot be written until a restart");
        }
        match tokio::time::timeout(TIMEOUT, self.store.newest_change()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready");
                return Err("the store cannot be read");
            }
            Err(_) => return Err("the store does not answer"),
        }
        if self.process.cache.is_current() {
            Ok(())
        } else {
            Err("the change log is too old to trust tokens in memory")
        }
    }

    fn metrics(&self) -> String {
        let mut out = Exposition::default();
        self.process.metrics.expose(&mut out);
        let tokens = self.process.cache.len();
        out.single("mcpgate_token_cache_entries", Kind::Gauge, "Access tokens in memory.", tokens);
        let filling = u8::from(self.process.cache.is_filling());
        let help = "1 after a start, while the tokens of the store are read into memory.";
        out.single("mcpgate_token_cache_filling", Kind::Gauge, help, filling);
        let open = self.process.admission.open();
        out.single("mcpgate_connections", Kind::Gauge, "Open connections on the public listener.", open);
        self.upstreams.expose(&mut out);
        let ends = self.certificate_ends.load(Relaxed);
        if ends > 0 {
            out.single(
                "mcpgate_certificate_not_after_seconds",
                Kind::Gauge,
                "When the certificate expires, in seconds since the epoch.",
                ends,
            );
        }
        let in_doubt = u8::from(self.process.clock.is_in_doubt());
        let help = "1 while the clock is in doubt, during which nothing is removed from the store.";
        out.single("mcpgate_clock_in_doubt", Kind::Gauge, help, in_doubt);
        self.expose_store(&mut out);
        out.family("mcpgate_build_info", Kind::Gauge, "Always 1, with the version as a label.");
        out.sample("mcpgate_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        self.reloads.expose(&mut out);
        process_metrics::expose(&mut out, self.reloads.started);
        out.finish()
    }

    fn expose_store(&self, out: &mut Exposition) {
        /// The upper bounds of `StoreStats::commit_buckets`, in seconds.
        const BOUNDS: [f64; 5] = [0.001, 0.005, 0.025, 0.1, 0.5];
        let stats = self.store.stats();
        let name = "mcpgate_store_commit_duration_seconds";
        out.family(name, Kind::Histogram, "Time until store transactions were durable.");
        let sum = Duration::from_micros(stats.commit_micros).as_secs_f64();
        out.histogram(name, &[], Histogram { bounds: &BOUNDS, counts: &stats.commit_buckets, sum });
        let help = "Write operations of the store. A transaction has many.";
        out.single("mcpgate_store_operations_total", Kind::Counter, help, stats.operations);
        let failing = u8::from(stats.failing);
        out.single("mcpgate_store_failing", Kind::Gauge, "1 while the store cannot be written.", failing);
        let halted = u8::from(stats.halted);
        out.single("mcpgate_store_halted", Kind::Gauge, "1 if the store cannot be written until a restart.", halted);
        let help = "Revocations that are in force but not yet stored; a restart loses them.";
        out.single("mcpgate_store_unstored_revocations", Kind::Gauge, help, stats.unstored);
        let help = "Write operations of the store that failed.";
        out.single("mcpgate_store_failures_total", Kind::Counter, help, stats.failures);
    }
}
