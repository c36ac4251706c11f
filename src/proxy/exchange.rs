//! A worker's state for serving requests, and one request on its way through the stages.

use std::sync::{Arc, Mutex};

use http::HeaderMap;
use http::request::Parts;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::addressed::Addressed;
use super::authenticate::Bearer;
use super::budget::UserSlot;
use super::cached_principal::{CachedPrincipal, PrincipalCache};
use super::fair_slots::FairSlots;
use super::last_uses::LastUses;
use super::opening::Opening;
use super::peer::Peer;
use super::record::Record;
use super::refuse::RefusalContext;
use super::rejection::Rejection;
use super::response::ending::Ids;
use super::response::open_streams::OpenStreams;
use super::response::stream_handle::TokenCheck;
use super::route::Route;
use super::route_table::RouteTable;
use super::session::Sessions;
use super::table_in_force::TableInForce;
use super::upstream::pool::Pool;
use crate::clock::Clock;
use crate::config::Config;
use crate::mcp::ProtocolVersion;
use crate::sync::lock;
use crate::telemetry::WorkerMetrics;
use crate::token_cache::TokenCache;
use crate::web::Response;

/// The most bodies beyond `limits.inspect_body` that one worker holds until they are sent: 64 MiB at 4 MiB each.
const LARGE_BODIES: usize = 16;
/// How many more may wait for a slot, each with the part that was already read; by default as many bytes again.
const LARGE_BODIES_WAITING: usize = 256;

/// The most answers beyond 64 KiB that one worker holds until it knows what its caller may see of them: 64 MiB at 4 MiB
/// each.
const LONG_ANSWERS: usize = 16;
/// How many more may wait for a slot, each with the part that was already read.
const LONG_ANSWERS_WAITING: usize = 256;

/// The most spare header maps, of some 3 KB each: one for each request that is being answered at the same time.
const SPARE_MAPS: usize = 64;

/// One worker's proxy with its own upstream connections.
pub struct Proxy {
    pub(super) cache: Arc<TokenCache>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: WorkerMetrics,
    pub(super) sessions: Arc<Sessions>,
    pub(super) table: Arc<TableInForce>,
    pub(super) open_streams: Arc<OpenStreams>,
    pub(super) large_bodies: Arc<FairSlots>,
    pub(super) long_answers: Arc<FairSlots>,
    last_uses: Arc<LastUses>,
    pub(super) worker: Mutex<Option<Arc<WorkerState>>>,
    pub(super) closing: CancellationToken,
}

/// The upstream that a request is for, and the configuration under which it is served.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// The table of all upstreams.
    pub table: &'a Arc<RouteTable>,
    /// The index of the upstream in `table`, see [`RouteTable::find`].
    pub route: usize,
    /// The configuration that `table` was made from.
    pub config: &'a Arc<Config>,
}

/// A worker's state for one route table; made again when the configuration is reloaded.
pub(super) struct WorkerState {
    pub(super) table: Arc<RouteTable>,
    pub(super) pools: Vec<Arc<Pool>>,
    pub(super) callers: Mutex<PrincipalCache>,
    pub(super) metrics: WorkerMetrics,
    /// Emptied header maps whose memory is reused.
    spare: Mutex<Vec<HeaderMap>>,
}

/// A request on its way through the stages.
pub(super) struct Exchange<'a> {
    pub(super) worker: &'a WorkerState,
    pub(super) route: &'a Arc<Route>,
    pub(super) config: &'a Config,
    pub(super) parts: &'a mut Parts,
    pub(super) peer: &'a Peer,
    pub(super) has_good_token: bool,
    /// Whether it has no token, and is not permitted yet.
    pub(super) is_anonymous: bool,
    /// The token cache's generation before the token was looked up.
    pub(super) generation: u64,
    pub(super) version: ProtocolVersion,
    /// Ends with the answer's body: here, or in the stream that it is moved to.
    pub(super) record: Option<Record>,
    /// Counts the request against its user; moved along like `record`.
    pub(super) user_slot: Option<UserSlot>,
    /// The ids of the requests in the message, once it was read.
    pub(super) ids: Ids,
    /// What is kept of the message, once it was read; moved along like `record`.
    pub(super) opening: Option<Opening>,
}

impl Proxy {
    /// Makes a worker's proxy. `sessions` binds legacy MCP session ids to their users, and is shared by all workers.
    #[must_use]
    pub fn new(cache: Arc<TokenCache>, clock: Arc<dyn Clock>, metrics: WorkerMetrics, sessions: Arc<Sessions>) -> Self {
        let (table, tokens) = (Arc::default(), Arc::new(TokenCheck::new(Arc::clone(&cache), Arc::clone(&clock))));
        Self {
            open_streams: OpenStreams::new(tokens, Arc::clone(&sessions), Arc::clone(&table)),
            table,
            cache,
            clock,
            metrics,
            sessions,
            large_bodies: FairSlots::new(LARGE_BODIES, LARGE_BODIES_WAITING),
            long_answers: FairSlots::new(LONG_ANSWERS, LONG_ANSWERS_WAITING),
            last_uses: Arc::default(),
            worker: Mutex::default(),
            closing: CancellationToken::new(),
        }
    }

    /// Returns the marks that the requests of this worker leave on their grants.
    #[must_use]
    pub fn last_uses(&self) -> &Arc<LastUses> {
        &self.last_uses
    }

    /// Adopts another table: it counts for open answers too, and ends those of upstreams that are no longer in it.
    pub fn adopt(&self, table: &Arc<RouteTable>) {
        self.table.replace(table);
        self.open_streams.look_soon();
    }

    /// Ends the streams that never end by themselves, because the process is shutting down.
    pub fn drain(&self) {
        self.open_streams.drain();
    }

    /// Ends all answers in progress, each with the reason, because the process ends now.
    pub fn close(&self) {
        self.closing.cancel();
        self.open_streams.close();
    }

    /// Returns this worker's state for `table`; makes it when the table is new.
    pub(super) fn worker(&self, table: &Arc<RouteTable>) -> Arc<WorkerState> {
        let mut worker = lock(&self.worker);
        match &*worker {
            Some(current) if Arc::ptr_eq(&current.table, table) => Arc::clone(current),
            before => {
                let new = WorkerState::new(table, &self.metrics, &self.closing, before.as_deref());
                Arc::clone(worker.insert(Arc::new(new)))
            }
        }
    }

    /// Authenticates the bearer token of a request. `now` is the current time by the monotonic clock.
    pub(super) async fn authenticated<'r>(
        &self,
        exchange: &Exchange<'r>,
        now: Instant,
    ) -> Result<Addressed<'r>, Rejection> {
        let Exchange { worker, route, ref parts, peer, .. } = *exchange;
        let found = Bearer::read(&parts.headers, &parts.uri, self.clock.now())?.look_up(&self.cache, now)?;
        worker.metrics.cache(found.is_hit());
        let token = found.authenticate(&self.cache, &route.tenant, peer.address).await?;
        Addressed::check(token, route, peer.address)
    }

    /// Marks that the grant of a token was used, because a request with it is permitted.
    pub(super) fn mark_use(&self, token: &Addressed<'_>) {
        let token = token.token();
        if token.is_anonymous() {
            return;
        }
        self.last_uses.mark(token.principal().tenant(), token.grant(), token.at());
    }

    /// Checks a token again if something was revoked while the request waited: a request with a revoked token, or of an
    /// account that may no longer hold one, is not answered.
    pub(super) async fn check_again(&self, exchange: &Exchange<'_>, token: &Addressed<'_>) -> Result<(), Rejection> {
        // One that has expired meanwhile is still in the cache (TV-15).
        if self.cache.generation() != exchange.generation
            && !token.token().is_anonymous()
            && self.cache.is_forgotten(token.token().hash(), self.clock.now())
        {
            // Boxed because it is rare. The token may have been evicted, which is not a revocation.
            let token = Box::pin(self.authenticated(exchange, Instant::now())).await?;
            if !exchange.worker.caller(&token)?.is_admitted() {
                return Err(Rejection::NotAdmitted);
            }
        }
        Ok(())
    }
}

impl WorkerState {
    /// Makes the state, and keeps the previous connections for routes that have not changed.
    fn new(
        table: &Arc<RouteTable>,
        metrics: &WorkerMetrics,
        closing: &CancellationToken,
        before: Option<&Self>,
    ) -> Self {
        let names: Vec<String> = table.routes.iter().map(|route| route.name.clone()).collect();
        let metrics = metrics.for_upstreams(&names);
        let kept = before.map(|before| before.pools.as_slice()).unwrap_or_default();
        let pool = |route| match kept.iter().find(|pool| pool.is_for(route)) {
            Some(pool) => Arc::clone(pool),
            None => Pool::new(route, metrics.clone(), closing.clone()),
        };
        let pools = table.routes.iter().map(pool).collect();
        Self { table: Arc::clone(table), pools, callers: Mutex::default(), metrics, spare: Mutex::default() }
    }

    /// Returns an empty map, with memory if there is a spare one.
    pub(super) fn take_map(&self) -> HeaderMap {
        lock(&self.spare).pop().unwrap_or_default()
    }

    /// Keeps an emptied map, so that its memory is reused.
    pub(super) fn keep_map(&self, map: HeaderMap) {
        let mut spare = lock(&self.spare);
        if spare.len() < SPARE_MAPS {
            spare.push(map);
        }
    }

    pub(super) fn caller(&self, token: &Addressed<'_>) -> Result<Arc<CachedPrincipal>, Rejection> {
        lock(&self.callers).get(token, &self.table)
    }
}

impl Exchange<'_> {
    pub(super) fn reject(&self, rejection: &Rejection) -> Response {
        let refused = RefusalContext {
            route: self.route,
            slash: self.parts.uri.path().strip_prefix(&*self.route.path) == Some("/"),
            version: self.parts.version,
            is_modern: self.version.is_modern(),
            request_id: self.peer.request_id,
        };
        rejection.respond(&refused, self.ids.one())
    }
}
