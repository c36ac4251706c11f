//! The wiring: keys, store, cache, listeners, snapshot, use cases, workers, in the order in which each needs the one
//! before.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::build::Builder;
use super::command_socket::{self, CommandDesk, CommandSocket};
use super::data_folder;
use super::error::RunError;
use super::fetch::ExchangeableDialer;
use super::keys::{self, Keys};
use super::listener::{self, Accepted, Desk};
use super::operator::{self, Operator};
use super::reload::{Reloader, Reloads};
use super::run::{Ready, RunOptions};
use super::service_manager::{self, Watchdog};
use super::supervise::{Alarm, Failures, Supervisor};
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

/// How often the threads of the store are looked after.
const STORE_WATCH: Duration = Duration::from_secs(1);

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

/// Starts everything; connections are accepted when it returns. It reads and writes files. Also returns what tells of parts that have failed.
pub(super) async fn start(config: Config, mut options: RunOptions) -> Result<(Gateway, Failures), RunError> {
    let (lock, ground) = Ground::prepare(&config).await?;
    let public = listen(config.public.address, "listen.address", "--listen")?;
    let for_operator = listen(config.operator, "operator.address", "--operator-listen")?;
    let ended = CancellationToken::new();
    let demo = if config.demo { Some(demo_listener().await?) } else { None };
    let at = demo.as_ref().map(|demo| demo.local_addr()).transpose().map_err(system)?;
    let builder = Builder { tls: TlsBase::new().map_err(system)?, clock: Arc::clone(&ground.clock), demo: at };
    let built = builder.snapshot(config, None)?;
    let snapshot = built.snapshot;
    let config = Arc::new(ArcSwap::new(Arc::clone(&snapshot.config)));
    let upstreams: Vec<_> = snapshot.config.upstreams.iter().map(|upstream| upstream.name.clone()).collect();
    let metrics = Metrics::new(&upstreams);
    let dialer = Arc::new(ExchangeableDialer::new(built.dialer));
    let issuer = ground.issuer(&config, &dialer, &metrics);
    let administration = ground.administration(&snapshot.config);
    let (setup_link, password_ignored) = first_account(&administration, &options).await?;
    let supervisor = Supervisor { metrics: Arc::clone(&metrics), ended: ended.clone() };
    let process = Arc::new(Process {
        endpoints: Endpoints::new(Arc::clone(&issuer)),
        admission: Arc::new(Admission::new(Arc::clone(&metrics))),
        metrics,
        cache: Arc::clone(&ground.cache),
        clock: Arc::clone(&ground.clock),
        sessions: Arc::new(Sessions::new(&ground.session_key, ground.clock.now())),
        draining: false.into(),
    });
    let (alarm, failures) = Alarm::new();
    let (desks, threads) = start_workers(&process, &snapshot, ground.entropy.as_ref(), &alarm, &supervisor)?;
    let ready = Ready {
        config: snapshot.config,
        public: public.local_addr().map_err(system)?,
        operator: for_operator.local_addr().map_err(system)?,
        development: built.development,
        setup_link,
        password_ignored,
    };
    let operator = Arc::new(Operator {
        process: Arc::clone(&process),
        store: Arc::clone(&ground.store),
        loopback: ready.operator.ip().is_loopback(),
        certificate_ends: built.certificate_ends.into(),
        upstreams: Upstreams::new(process.metrics.worker(), supervisor.clone(), Arc::clone(&config)),
        reloads: Reloads::new(ground.clock.now()),
    });
    let closing = ended.child_token();
    let reloader = Reloader {
        file: options.config_file,
        overrides: options.overrides,
        builder,
        config,
        dialer,
        workers: desks.iter().map(|desk| Arc::clone(&desk.worker)).collect(),
        operator: Arc::clone(&operator),
        issuer: Arc::clone(&issuer),
    };
    // Before anybody can be told that we are ready: a file that changes from now on is seen to have changed.
    let loaded = reloader.digest();
    operator.upstreams.watch(&snapshot.table);
    start_upkeep(&supervisor, &ground, &issuer, alarm);
    listen_for_commands(&supervisor, &ground, &reloader.config);
    ready.announce(ground.live_tokens);
    if let Some(tell) = options.on_ready.take() {
        tell(&ready);
    }
    // Last: their tasks run beside this function, and whoever gets an answer may rely on all of the above. Until then
    // connections wait in the queues of the sockets.
    let listening = start_listeners(&supervisor, &desks, &closing, (public, operator, for_operator, demo));
    service_manager::ready();
    let gateway = Gateway {
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
    };
    Ok((gateway, failures))
}

/// Starts what follows the store, removes what has ended, and looks whether the store's threads live.
fn start_upkeep(supervisor: &Supervisor, ground: &Ground, issuer: &Arc<Issuer>, alarm: Alarm) {
    let cache = Arc::clone(&ground.cache);
    drop(supervisor.spawn("follower", move || Follower::run(Arc::clone(&cache))));
    let sweeper = Arc::clone(issuer);
    drop(supervisor.spawn("sweep", move || {
        let issuer = Arc::clone(&sweeper);
        async move { issuer.sweep_forever().await }
    }));
    let reporter = Arc::clone(issuer);
    drop(supervisor.spawn("report of first uses", move || {
        let issuer = Arc::clone(&reporter);
        async move { issuer.report_uses_forever().await }
    }));
    let waiting = Arc::clone(issuer);
    drop(supervisor.spawn("watch for tokens that do not come", move || {
        let issuer = Arc::clone(&waiting);
        async move { issuer.watch_arrivals_forever().await }
    }));
    let store = Arc::clone(&ground.store);
    drop(supervisor.spawn("store watch", move || {
        let store = Arc::clone(&store);
        watch_store(move || store.stats().dead, alarm.clone())
    }));
}

/// Raises the alarm when a thread of the store has died: without it nothing is written, or read, until a restart.
async fn watch_store(is_dead: impl Fn() -> bool, alarm: Alarm) {
    let mut ticks = tokio::time::interval(STORE_WATCH);
    loop {
        ticks.tick().await;
        if is_dead() {
            alarm.raise("a thread of the store panicked".to_owned());
        }
    }
}

/// Starts accepting on every listener; returns the task of the public one.
fn start_listeners(
    supervisor: &Supervisor,
    desks: &[Desk],
    closing: &CancellationToken,
    (public, operator, for_operator, demo): (TcpListener, Arc<Operator>, TcpListener, Option<TcpListener>),
) -> JoinHandle<()> {
    let (process, ended) = (Arc::clone(&operator.process), supervisor.ended.clone());
    let for_operator = Arc::new(for_operator);
    drop(supervisor.spawn("operator listener", move || {
        operator::run(Arc::clone(&for_operator), Arc::clone(&operator), ended.clone())
    }));
    if let Some(demo) = demo.map(Arc::new) {
        let ended = supervisor.ended.clone();
        drop(supervisor.spawn_until("demo upstream", CancellationToken::new(), move || {
            crate::demo::serve(Arc::clone(&demo), ended.clone().cancelled_owned())
        }));
    }
    let (public, desks, stop) = (Arc::new(public), desks.to_vec(), closing.clone());
    supervisor.spawn_until("public listener", closing.clone(), move || {
        listener::run(Arc::clone(&public), desks.clone(), Arc::clone(&process), stop.clone())
    })
}

/// Starts serving the commands that take access away. Without the socket they write to the store themselves.
fn listen_for_commands(supervisor: &Supervisor, ground: &Ground, config: &Arc<ArcSwap<Config>>) {
    let socket = match CommandSocket::bind(&config.load().data_dir) {
        Ok(socket) => Arc::new(socket),
        Err(error) => {
            tracing::warn!(%error, "there is no socket for commands: on a full disk they cannot take access away");
            return;
        }
    };
    let desk = CommandDesk {
        store: Arc::clone(&ground.store),
        clock: Arc::clone(&ground.clock),
        entropy: Arc::clone(&ground.entropy),
        keys: Arc::clone(&ground.keys),
        config: Arc::clone(config),
    };
    drop(supervisor.spawn("commands", move || command_socket::run(Arc::clone(&socket), desk.clone())));
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
    alarm: &Alarm,
    supervisor: &Supervisor,
) -> Result<(Vec<Desk>, Vec<std::thread::JoinHandle<()>>), RunError> {
    let watchdog = Watchdog::asked_for(snapshot.config.workers);
    if let Some(watchdog) = watchdog.clone() {
        drop(supervisor.spawn("watchdog", move || watchdog.clone().run()));
    }
    let mut desks = Vec::new();
    let mut threads = Vec::new();
    for number in 0..snapshot.config.workers {
        let worker = Arc::new(Worker::new(Arc::clone(process), snapshot.clone(), entropy));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
        let (hand_over, accepted) = mpsc::channel::<Accepted>(listener::HAND_OVER);
        let name = format!("worker-{number}");
        let (alarm, beat) = (alarm.of_thread(name.clone()), watchdog.clone().map(|watchdog| watchdog.beat(number)));
        let body = move || {
            let _alarm = alarm;
            runtime.block_on(worker::run(accepted, beat));
            runtime.shutdown_background();
        };
        threads.push(std::thread::Builder::new().name(name).spawn(body).map_err(system)?);
        desks.push(Desk { worker, hand_over });
    }
    Ok((desks, threads))
}

/// Returns where the built-in demo upstream will be served.
async fn demo_listener() -> Result<TcpListener, RunError> {
    TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.map_err(system)
}

/// Makes the first account of `up` when there is none; returns the link by which its password is set, unless a file has
/// it, and whether that file was not needed.
async fn first_account(operator: &Administration, options: &RunOptions) -> Result<(Option<String>, bool), RunError> {
    if !options.up {
        return Ok((None, false));
    }
    let password = options.admin_password.as_deref().map(String::as_str);
    Ok(match operator.first_account(password).await? {
        FirstAccount::Ready => (None, password.is_some()),
        FirstAccount::PasswordSet => (None, false),
        FirstAccount::Link(link) => (Some(link), false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dead_thread_of_the_store_raises_the_alarm() {
        let (alarm, mut failures) = Alarm::new();
        let looks = std::sync::atomic::AtomicU32::new(0);
        let is_dead = move || looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0;
        let watch = tokio::spawn(watch_store(is_dead, alarm));
        assert_eq!(failures.recv().await.unwrap(), "a thread of the store panicked");
        watch.abort();
    }
}
