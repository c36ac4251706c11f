//! The wiring: keys, store, cache, listeners, snapshot, use cases, workers, in the order in which each needs the one
//! before.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::build::Builder;
use super::data_folder;
use super::error::RunError;
use super::fetch::ExchangeableDialer;
use super::keys::{self, Keys};
use super::listener::{self, Accepted, Desk};
use super::operator::{self, Operator};
use super::reload::Reloader;
use super::run::{Ready, RunOptions};
use super::tls::TlsBase;
use super::upstreams::Upstreams;
use super::worker::{self, Process, Snapshot, Worker};
use crate::clock::{CheckedClock, Clock, SystemClock};
use crate::config::Config;
use crate::endpoints::Endpoints;
use crate::entropy::{Entropy, SystemEntropy};
use crate::issuer::{Administration, FirstAccount, Issuer};
use crate::oauth::{TenantId, TokenKeys};
use crate::outbound::Fetch;
use crate::proxy::Sessions;
use crate::store::embedded::ServerLock;
use crate::store::{self, Store};
use crate::telemetry::Metrics;
use crate::token_cache::{Follower, TokenCache};

/// What is there after the start.
pub(super) struct Gateway {
    pub(super) process: Arc<Process>,
    pub(super) reloader: Arc<Reloader>,
    pub(super) issuer: Arc<Issuer>,
    /// The digest of the files that the running configuration was read from.
    pub(super) loaded: [u8; 32],
    pub(super) desks: Vec<Desk>,
    pub(super) threads: Vec<std::thread::JoinHandle<()>>,
    /// Ends the public listener.
    pub(super) closing: CancellationToken,
    pub(super) listening: JoinHandle<()>,
    /// Ends everything else.
    pub(super) ended: CancellationToken,
    /// Held while the process lives: two servers would keep two token caches over one store, each deaf to the other for
    /// a moment.
    pub(super) lock: ServerLock,
}

/// What everything stands on.
struct Ground {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    keys: Arc<TokenKeys>,
    session_key: [u8; 32],
    store: Arc<dyn Store>,
    cache: Arc<TokenCache>,
    live_tokens: usize,
}

impl Ground {
    async fn prepare(config: &Config) -> Result<(ServerLock, Self), RunError> {
        data_folder::check(&config.data_dir, data_folder::User::Server)?;
        data_folder::check_store(&config.data_dir)?;
        let lock = ServerLock::acquire(&config.data_dir)?;
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::new());
        let Keys { token, session } = keys::load_or_make(&config.data_dir, &config.brand, entropy.as_ref())?;
        let keys = Arc::new(token);
        let store = store::open(&config.data_dir, Some(&lock), SystemClock.now())?;
        let noted = store.clock_note().await?.map(|note| note.seen_at);
        let clock: Arc<dyn Clock> = Arc::new(CheckedClock::new(SystemClock, noted));
        let cache = TokenCache::new(Arc::clone(&store), Arc::clone(&keys), Arc::clone(&clock), config);
        // Before listening: no good token must be asked of the store because we have just started.
        let live_tokens = cache.fill().await?;
        Ok((lock, Self { clock, entropy, keys, session_key: session, store, cache, live_tokens }))
    }

    fn issuer(
        &self,
        config: &Arc<ArcSwap<Config>>,
        dialer: &Arc<ExchangeableDialer>,
        metrics: &Arc<Metrics>,
    ) -> Arc<Issuer> {
        let fetch: Arc<dyn Fetch> = Arc::<ExchangeableDialer>::clone(dialer);
        Arc::new(Issuer::new(
            Arc::clone(&self.store),
            Some(Arc::clone(&self.cache)),
            Arc::clone(&self.clock),
            Arc::clone(&self.entropy),
            Arc::clone(&self.keys),
            fetch,
            Arc::clone(config),
            Arc::clone(metrics),
        ))
    }

    fn administration(&self, config: &Arc<Config>) -> Administration {
        Administration::new(
            Arc::clone(&self.store),
            Arc::clone(&self.clock),
            Arc::clone(&self.entropy),
            Arc::clone(&self.keys),
            Arc::clone(config),
            TenantId::default(),
        )
    }
}

/// Starts everything; connections are accepted when it returns.
pub(super) async fn start(config: Config, mut options: RunOptions) -> Result<Gateway, RunError> {
    let (lock, ground) = Ground::prepare(&config).await?;
    let public = listen(config.public.address, "listen.address", "--listen")?;
    let for_operator = listen(config.operator, "operator.address", "--operator-listen")?;
    let ended = CancellationToken::new();
    let demo = if config.demo { Some(start_demo(&ended).await?) } else { None };
    let builder = Builder { tls: TlsBase::new().map_err(system)?, clock: Arc::clone(&ground.clock), demo };
    let built = builder.snapshot(config, None)?;
    let snapshot = built.snapshot;
    let config = Arc::new(ArcSwap::new(Arc::clone(&snapshot.config)));
    let upstreams: Vec<_> = snapshot.config.upstreams.iter().map(|upstream| upstream.name.clone()).collect();
    let metrics = Metrics::new(&upstreams);
    let dialer = Arc::new(ExchangeableDialer::new(built.dialer));
    let issuer = ground.issuer(&config, &dialer, &metrics);
    let administration = ground.administration(&snapshot.config);
    let setup_link = if options.up {
        first_account(&administration, options.admin_password.as_deref().map(String::as_str)).await?
    } else {
        None
    };
    let process = Arc::new(Process {
        endpoints: Endpoints::new(Arc::clone(&issuer)),
        admission: Arc::new(Admission::new(Arc::clone(&metrics))),
        metrics,
        cache: Arc::clone(&ground.cache),
        clock: Arc::clone(&ground.clock),
        sessions: Arc::new(Sessions::new(&ground.session_key, ground.clock.now())),
        draining: false.into(),
    });
    let (desks, threads) = start_workers(&process, &snapshot, ground.entropy.as_ref())?;
    let ready = Ready {
        config: snapshot.config,
        public: public.local_addr().map_err(system)?,
        operator: for_operator.local_addr().map_err(system)?,
        development: built.development,
        setup_link,
    };
    let operator = Arc::new(Operator {
        process: Arc::clone(&process),
        store: ground.store,
        started: ground.clock.now(),
        loopback: ready.operator.ip().is_loopback(),
        certificate_ends: built.certificate_ends.into(),
        upstreams: Upstreams::new(process.metrics.worker()),
    });
    let closing = ended.child_token();
    let workers = desks.iter().map(|desk| Arc::clone(&desk.worker)).collect();
    let reloader = Reloader {
        file: options.config_file,
        overrides: options.overrides,
        builder,
        config,
        dialer,
        workers,
        operator: Arc::clone(&operator),
    };
    // Before anybody can be told that we are ready: a file that changes from now on is seen to have changed.
    let loaded = reloader.digest();
    tokio::spawn(Follower::run(ground.cache));
    operator.upstreams.watch(&snapshot.table);
    start_upkeep(&issuer);
    tokio::spawn(operator::run(for_operator, Arc::clone(&operator), ended.clone()));
    let listening = tokio::spawn(listener::run(public, desks.clone(), Arc::clone(&process), closing.clone()));
    let tokens = ground.live_tokens;
    tracing::info!(public = %ready.public, operator = %ready.operator, tokens, "accepting connections");
    if let Some(tell) = options.on_ready.take() {
        tell(&ready);
    }
    Ok(Gateway {
        process,
        reloader: Arc::new(reloader),
        issuer,
        loaded,
        desks,
        threads,
        closing,
        listening,
        ended,
        lock,
    })
}

pub(super) fn system(error: impl std::fmt::Display) -> RunError {
    RunError::System(error.to_string())
}

fn listen(address: SocketAddr, key: &'static str, option: &'static str) -> Result<TcpListener, RunError> {
    listener::bind(address).map_err(|source| RunError::Listen { key, option, address, source })
}

fn start_workers(
    process: &Arc<Process>,
    snapshot: &Snapshot,
    entropy: &dyn Entropy,
) -> Result<(Vec<Desk>, Vec<std::thread::JoinHandle<()>>), RunError> {
    let mut desks = Vec::new();
    let mut threads = Vec::new();
    for number in 0..snapshot.config.workers {
        let worker = Arc::new(Worker::new(Arc::clone(process), snapshot.clone(), entropy));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
        let (hand_over, accepted) = mpsc::channel::<Accepted>(listener::HAND_OVER);
        let body = move || {
            runtime.block_on(worker::run(accepted));
            runtime.shutdown_background();
        };
        threads.push(std::thread::Builder::new().name(format!("worker-{number}")).spawn(body).map_err(system)?);
        desks.push(Desk { worker, hand_over });
    }
    Ok((desks, threads))
}

/// Starts the issuer's own tasks.
fn start_upkeep(issuer: &Arc<Issuer>) {
    let sweeper = Arc::clone(issuer);
    tokio::spawn(async move { sweeper.sweep_forever().await });
    let reporter = Arc::clone(issuer);
    tokio::spawn(async move { reporter.report_uses_forever().await });
}

/// Starts the built-in demo upstream.
async fn start_demo(ended: &CancellationToken) -> Result<SocketAddr, RunError> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.map_err(system)?;
    let address = listener.local_addr().map_err(system)?;
    let ended = ended.clone();
    tokio::spawn(async move {
        crate::demo::serve(listener, ended.cancelled_owned()).await;
    });
    Ok(address)
}

/// Makes the first account when there is none; returns the link by which its password is set, unless a file has it.
async fn first_account(operator: &Administration, password: Option<&str>) -> Result<Option<String>, RunError> {
    match operator.first_account(password).await? {
        FirstAccount::Ready | FirstAccount::PasswordSet => Ok(None),
        FirstAccount::Link(link) => Ok(Some(link)),
    }
}
