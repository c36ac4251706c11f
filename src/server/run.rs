//! The one place where all is wired, and the life of the process: start, serve, reload, drain.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::build::Builder;
use super::error::RunError;
use super::keys;
use super::listener::{self, Accepted, Desk};
use super::operator::{self, Operator};
use super::reload::{Reloader, Watch};
use super::tls::TlsBase;
use super::worker::{self, Process, Snapshot, Worker};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Overrides};
use crate::endpoints::Endpoints;
use crate::entropy::{Entropy, SystemEntropy};
use crate::issuer::Issuer;
use crate::outbound::Dialer;
use crate::store;
use crate::telemetry::{self, Metrics};
use crate::token_cache::{Follower, TokenCache};

/// How to run, besides the configuration.
#[derive(Default)]
pub struct RunOptions {
    /// `up`: make the first account when there is none.
    pub up: bool,
    /// Where the first account's password is read from; without it a one-time link is made.
    pub admin_password_file: Option<PathBuf>,
    /// The file that a reload reads again.
    pub config_file: Option<PathBuf>,
    /// What the command line put over the file, for reloads.
    pub overrides: Overrides,
    /// Called once, when connections are accepted.
    pub on_ready: Option<Box<dyn FnOnce(&Ready) + Send>>,
}

/// What can be told once connections are accepted.
#[derive(Debug)]
pub struct Ready {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// Where the public listener is.
    pub public: SocketAddr,
    /// Where the operator listener is.
    pub operator: SocketAddr,
    /// The CA file that clients must trust, when the certificate is a development one.
    pub ca: Option<PathBuf>,
    /// Where the first account sets its password, when it was made just now.
    pub setup_link: Option<String>,
}

/// Runs the gateway until SIGTERM or SIGINT.
///
/// # Errors
/// `RunError` when it cannot start.
pub fn run(config: Config, options: RunOptions) -> Result<(), RunError> {
    telemetry::init(&config.log);
    super::harden::harden();
    // The control path of the process itself: accepting, signals, the change log, the operator listener. Requests are
    // served by the workers' own runtimes.
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
    let result = control.block_on(Gateway::run(config, options));
    telemetry::flush();
    result
}

fn system(error: impl std::fmt::Display) -> RunError {
    RunError::System(error.to_string())
}

/// What is there after the start.
struct Gateway {
    process: Arc<Process>,
    reloader: Arc<Reloader>,
    desks: Vec<Desk>,
    threads: Vec<std::thread::JoinHandle<()>>,
    /// Ends the public listener.
    closing: CancellationToken,
    listening: tokio::task::JoinHandle<()>,
    /// Ends everything else.
    ended: CancellationToken,
    /// Kept locked while the process lives.
    _lock: std::fs::File,
}

impl Gateway {
    async fn run(config: Config, options: RunOptions) -> Result<(), RunError> {
        // First of all: a signal that comes while we start must not kill us half way.
        let mut signals = Signals::new().map_err(system)?;
        let gateway = Self::start(config, options).await?;
        gateway.serve(&mut signals).await;
        gateway.drain(&mut signals).await;
        Ok(())
    }

    async fn start(config: Config, mut options: RunOptions) -> Result<Self, RunError> {
        for warning in config.warnings() {
            tracing::warn!(warning, "the configuration allows something dangerous");
        }
        let lock = occupy(&config.data_dir)?;
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::new());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let started = clock.now();
        let keys = keys::load_or_make(&config.data_dir, &config.brand, entropy.as_ref())?;
        let token_keys = Arc::new(keys.token);
        let store = store::open(&config.data_dir)?;
        let cache = TokenCache::new(Arc::clone(&store), Arc::clone(&token_keys), Arc::clone(&clock), &config);
        // Before listening: a token that is good must never be asked for again because we have just started.
        let tokens = cache.fill().await?;
        tracing::info!(tokens, "live tokens are in memory");

        let public = listen(config.public.address, "listen.address", "--listen")?;
        let operator_listener = listen(config.operator, "operator.address", "--operator-listen")?;
        let ended = CancellationToken::new();
        let builder = Builder {
            tls: TlsBase::new().map_err(system)?,
            clock: Arc::clone(&clock),
            demo: start_demo(&config, &ended).await?,
        };
        let (snapshot, ca, certificate_ends) = builder.snapshot(config)?;
        let config = Arc::new(ArcSwap::new(Arc::clone(&snapshot.config)));
        let metrics = Metrics::new(&worker::upstream_names(&snapshot.config));
        let fetch = Dialer::new(&snapshot.config.outbound, &snapshot.config.rates).map_err(RunError::Roots)?;
        let issuer = Arc::new(Issuer::new(
            Arc::clone(&store),
            Some(Arc::clone(&cache)),
            Arc::clone(&clock),
            Arc::clone(&entropy),
            token_keys,
            Arc::new(fetch),
            Arc::clone(&config),
            Arc::clone(&metrics),
        ));
        let setup_link =
            if options.up { first_account(&issuer, options.admin_password_file.as_deref()).await? } else { None };
        let process = Arc::new(Process {
            endpoints: Endpoints::new(Arc::clone(&issuer)),
            metrics,
            admission: Arc::new(Admission::default()),
            cache: Arc::clone(&cache),
            clock,
            session_key: keys.session,
            draining: false.into(),
        });
        let (desks, threads) = start_workers(&process, &snapshot, entropy.as_ref())?;
        let operator = Arc::new(Operator {
            process: Arc::clone(&process),
            store,
            started,
            loopback: snapshot.config.operator.ip().is_loopback(),
            certificate_ends: certificate_ends.into(),
        });
        let ready = Ready {
            config: snapshot.config,
            public: public.local_addr().map_err(system)?,
            operator: operator_listener.local_addr().map_err(system)?,
            ca,
            setup_link,
        };
        let closing = ended.child_token();
        tokio::spawn(Follower::run(cache));
        tokio::spawn(async move { issuer.sweep_forever().await });
        tokio::spawn(operator::run(operator_listener, Arc::clone(&operator), ended.clone()));
        let accepting = listener::run(public, desks.clone(), Arc::clone(&process), closing.clone());
        let listening = tokio::spawn(accepting);
        tracing::info!(public = %ready.public, operator = %ready.operator, "accepting connections");
        if let Some(tell) = options.on_ready.take() {
            tell(&ready);
        }
        let workers = desks.iter().map(|desk| Arc::clone(&desk.worker)).collect();
        let reloader =
            Reloader { file: options.config_file, overrides: options.overrides, builder, config, workers, operator };
        Ok(Self { process, reloader: Arc::new(reloader), desks, threads, closing, listening, ended, _lock: lock })
    }

    /// Serves, and reloads when asked or when files have changed, until the process shall end.
    async fn serve(&self, signals: &mut Signals) {
        let mut digest = self.reloader.digest();
        let mut watch = self.watch();
        loop {
            let asked = tokio::select! {
                wish = signals.next() => match wish {
                    Wish::End => return,
                    Wish::Reload => true,
                },
                () = settled(&mut watch) => false,
            };
            let now = self.reloader.digest();
            if asked || now != digest {
                digest = now;
                let reloader = Arc::clone(&self.reloader);
                // It reads files: not on the runtime that accepts connections.
                if let Err(error) = tokio::task::spawn_blocking(move || reloader.reload()).await {
                    tracing::error!(%error, "reloading failed");
                }
                watch = self.watch();
            }
        }
    }

    fn watch(&self) -> Option<Watch> {
        if !self.reloader.config.load().watch {
            return None;
        }
        let watch = Watch::start(&self.reloader);
        watch.inspect_err(|error| tracing::warn!(%error, "files are not watched; send SIGHUP after a change")).ok()
    }

    /// Lets what is under way end, for the configured time. A second signal ends it at once.
    async fn drain(self, signals: &mut Signals) {
        let limit = self.reloader.config.load().timeouts.drain;
        tracing::info!(connections = self.process.admission.open(), "going down");
        self.process.draining.store(true, SeqCst);
        self.closing.cancel();
        if let Err(error) = self.listening.await {
            tracing::error!(%error, "the public listener ended badly");
        }
        for desk in &self.desks {
            desk.worker.wind_down();
        }
        tokio::select! {
            () = self.process.admission.empty() => tracing::info!("every connection has ended"),
            () = tokio::time::sleep(limit) => {
                tracing::warn!(connections = self.process.admission.open(), "the time to drain is up: the rest is cut");
            }
            () = signals.end() => tracing::warn!("a second signal: not waiting any longer"),
        }
        self.ended.cancel();
        // Without anybody to hand connections over, the workers' runtimes end.
        drop(self.desks);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
    }
}

async fn settled(watch: &mut Option<Watch>) {
    match watch {
        Some(watch) => watch.settled().await,
        None => std::future::pending().await,
    }
}

/// What a signal wishes.
enum Wish {
    End,
    Reload,
}

/// The signals that the process knows.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::End,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.reload.recv() => Wish::Reload,
        }
    }

    async fn end(&mut self) {
        while matches!(self.next().await, Wish::Reload) {}
    }
}

/// Makes the data directory and takes it for this process: two servers would keep two token caches over one store,
/// each deaf to the other for a moment.
fn occupy(folder: &Path) -> Result<std::fs::File, RunError> {
    let wrap = |error| RunError::DataDirectory(folder.to_owned(), error);
    std::fs::create_dir_all(folder).map_err(wrap)?;
    let lock = std::fs::File::create(folder.join("server.lock")).map_err(wrap)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(RunError::Occupied(folder.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(wrap(error)),
    }
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
        let serving = Arc::clone(&worker);
        let body = move || runtime.block_on(worker::run(serving, accepted));
        threads.push(std::thread::Builder::new().name(format!("worker-{number}")).spawn(body).map_err(system)?);
        desks.push(Desk { worker, hand_over });
    }
    Ok((desks, threads))
}

/// Starts the built-in demo upstream when the configuration asks for it.
async fn start_demo(config: &Config, ended: &CancellationToken) -> Result<Option<SocketAddr>, RunError> {
    if !config.demo {
        return Ok(None);
    }
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.map_err(system)?;
    let address = listener.local_addr().map_err(system)?;
    let ended = ended.clone();
    tokio::spawn(async move {
        if let Err(error) = crate::demo::serve(listener, ended.cancelled_owned()).await {
            tracing::error!(%error, "the demo upstream ended");
        }
    });
    Ok(Some(address))
}

/// Makes the first account when there is none; returns the link by which its password is set, unless a file has it.
async fn first_account(issuer: &Issuer, password_file: Option<&Path>) -> Result<Option<String>, RunError> {
    let _ = (issuer, password_file);
    Ok(None)
}
