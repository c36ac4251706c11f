//! The wiring: keys, store, cache, listeners, snapshot, use cases, workers, in the order of their dependencies.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::build::Builder;
use super::command_socket::{self, CommandHandler, SocketPlace};
use super::connection::admission::Admission;
use super::connection::hand_over::WorkerHandle;
use super::connection::listener;
use super::error::RunError;
use super::fetch::ExchangeableDialer;
use super::in_force::InForce;
use super::offered_tools::ToolsInForce;
use super::operator::{self, Operator};
use super::options::{Ready, RunOptions};
use super::reload::Reloader;
use super::resources::Resources;
use super::service_manager;
use super::supervise::{Alarm, Failures, Supervisor};
use super::switch::Switch;
use super::tls::acceptor::TlsBase;
use super::tls::dev_certs::DevelopmentFiles;
use super::unknown_server::choose_scopes;
use super::upkeep::{self, Records};
use super::worker::Process;
use super::worker_threads;
use crate::config::Config;
use crate::endpoints::Endpoints;
use crate::issuer::{FirstAccount, Issuer, Services};
use crate::proxy::Sessions;
use crate::store::ServerLock;
use crate::telemetry::Metrics;

/// The running parts of a started gateway.
pub(super) struct Gateway {
    pub(super) process: Arc<Process>,
    pub(super) reloader: Arc<Reloader>,
    pub(super) issuer: Arc<Issuer>,
    /// The digest of the files that the running configuration was read from.
    pub(super) loaded: [u8; 32],
    pub(super) workers: Vec<WorkerHandle>,
    pub(super) records: Records,
    pub(super) threads: Vec<std::thread::JoinHandle<()>>,
    /// Ends the public listener and those of upstreams.
    pub(super) closing: CancellationToken,
    pub(super) listening: Vec<JoinHandle<()>>,
    /// Ends everything else.
    pub(super) ended: CancellationToken,
    /// Held for the life of the process: two servers on one store would have two token caches, each a moment late to
    /// learn of the other's changes.
    pub(super) lock: ServerLock,
}

/// The sockets on which connections will be accepted.
struct Sockets {
    /// The public one, then those of upstreams.
    public: Vec<TcpListener>,
    operator: TcpListener,
    /// The socket of the built-in demo upstream, if it runs.
    demo: Option<TcpListener>,
}

impl Sockets {
    async fn bind(config: &Config) -> Result<Self, RunError> {
        let mut public = vec![listen(config.public.address, "listen.address", "--listen")?];
        for own in &config.own_listeners {
            public.push(listen(own.address, "upstream.public_url", "upstream.listen")?);
        }
        let operator = listen(config.operator, "operator.address", "--operator-listen")?;
        let demo = if config.demo {
            Some(TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.map_err(RunError::system)?)
        } else {
            None
        };
        Ok(Self { public, operator, demo })
    }

    fn demo_address(&self) -> Result<Option<SocketAddr>, RunError> {
        self.demo.as_ref().map(TcpListener::local_addr).transpose().map_err(RunError::system)
    }

    /// Returns what is reported once connections are accepted.
    fn ready(
        &self,
        config: &Arc<Config>,
        development: Option<DevelopmentFiles>,
        first: First,
    ) -> Result<Ready, RunError> {
        Ok(Ready {
            config: Arc::clone(config),
            public: self
                .public
                .first()
                .map_or(Ok(config.public.address), TcpListener::local_addr)
                .map_err(RunError::system)?,
            operator: self.operator.local_addr().map_err(RunError::system)?,
            development,
            setup_link: first.setup_link,
            password_ignored: first.password_ignored,
        })
    }
}

fn listen(address: SocketAddr, key: &'static str, option: &'static str) -> Result<TcpListener, RunError> {
    listener::bind(address).map_err(|source| RunError::Listen { key, option, address, source })
}

/// Starts everything; connections are accepted when it returns. Reads and writes files. Also returns the channel on
/// which failures of essential parts are reported.
pub(super) async fn start(config: Config, mut options: RunOptions) -> Result<(Gateway, Failures), RunError> {
    let (lock, resources) = Resources::open(&config).await?;
    let sockets = Sockets::bind(&config).await?;
    let ended = CancellationToken::new();
    let services = &resources.services;
    let builder =
        Builder { tls: tls_base(&resources), clock: Arc::clone(&services.clock), demo: sockets.demo_address()? };
    let metrics = metrics_of(&config);
    let (config, asked) = Box::pin(choose_scopes(config, &mut options.overrides, &metrics, &services.clock)).await?;
    let built = builder.snapshot(config, asked.as_deref())?;
    let snapshot = built.snapshot;
    // The same configuration with the port of the demo upstream, which is known only now.
    services.config.store(Arc::clone(&snapshot.config));
    let dialer = Arc::new(ExchangeableDialer::new(built.dialer));
    let tools = Arc::new(ToolsInForce::new(&snapshot));
    let issuer = resources.issuer(&dialer, &tools, &metrics);
    let first = accounts(&resources, &issuer, &snapshot.config, &options).await?;
    let supervisor = Supervisor { metrics: Arc::clone(&metrics), ended: ended.clone() };
    let process = process(&resources, &issuer, metrics);
    let (alarm, failures) = Alarm::new();
    let (workers, threads) =
        worker_threads::start(&process, &snapshot, services.entropy.as_ref(), &alarm, &supervisor)?;
    let ready = sockets.ready(&snapshot.config, built.development, first)?;
    let loopback = ready.operator.ip().is_loopback();
    let in_force = in_force(services, &workers);
    let upstreams = resources.upstreams(&snapshot.table, &process, &supervisor, &in_force).await?;
    let operator = Arc::new(Operator::new(&process, services, upstreams, loopback, built.certificate_ends));
    let closing = ended.child_token();
    let reloader = Reloader {
        file: options.config_file,
        overrides: options.overrides,
        builder,
        in_force,
        dialer,
        tools,
        operator: Arc::clone(&operator),
        issuer: Arc::clone(&issuer),
    };
    // Taken before readiness is reported, so that every later change of a file is noticed.
    let loaded = reloader.digest();
    operator.upstreams.watch(&snapshot.table);
    let records = Records::new(&workers, &snapshot.table, services);
    upkeep::start(&supervisor, &resources, &issuer, &records, alarm);
    listen_for_commands(&supervisor, &resources);
    ready.announce(options.on_ready);
    // Last, because their tasks run concurrently, and a client that gets an answer may rely on all of the above. Until
    // then connections wait in the sockets' queues.
    let listening = start_listeners(&supervisor, sockets, &workers, operator, &closing)?;
    service_manager::ready();
    let gateway = Gateway {
        process,
        reloader: Arc::new(reloader),
        issuer,
        loaded,
        workers,
        records,
        threads,
        closing,
        listening,
        ended,
        lock,
    };
    Ok((gateway, failures))
}

fn tls_base(resources: &Resources) -> TlsBase {
    let (clock, entropy) = (Arc::clone(&resources.services.clock), Arc::clone(&resources.services.entropy));
    TlsBase::new(clock, entropy, resources.ticket_secrets.clone())
}

fn metrics_of(config: &Config) -> Arc<Metrics> {
    let upstreams: Vec<_> = config.upstreams.iter().map(|upstream| upstream.name.clone()).collect();
    Metrics::new(&upstreams)
}

/// Assembles what all workers share.
fn process(resources: &Resources, issuer: &Arc<Issuer>, metrics: Arc<Metrics>) -> Arc<Process> {
    let clock = &resources.services.clock;
    Arc::new(Process {
        endpoints: Endpoints::new(Arc::clone(issuer)),
        admission: Arc::new(Admission::new(Arc::clone(&metrics))),
        metrics,
        cache: Arc::clone(&resources.cache),
        clock: Arc::clone(clock),
        sessions: Arc::new(Sessions::new(&resources.session_key, clock.now())),
        draining: false.into(),
        switch: Switch::default(),
    })
}

fn in_force(services: &Services, workers: &[WorkerHandle]) -> Arc<InForce> {
    let serving = workers.iter().map(|handle| Arc::clone(&handle.worker)).collect();
    Arc::new(InForce::new(Arc::clone(&services.config), serving))
}

/// Starts accepting on every listener; returns the tasks of the public one and of those of upstreams.
fn start_listeners(
    supervisor: &Supervisor,
    sockets: Sockets,
    workers: &[WorkerHandle],
    operator: Arc<Operator>,
    closing: &CancellationToken,
) -> Result<Vec<JoinHandle<()>>, RunError> {
    let (process, ended) = (Arc::clone(&operator.process), supervisor.ended.clone());
    let for_operator = Arc::new(sockets.operator);
    drop(supervisor.spawn("operator listener", move || {
        operator::run(Arc::clone(&for_operator), Arc::clone(&operator), ended.clone())
    }));
    if let Some(demo) = sockets.demo.map(Arc::new) {
        let ended = supervisor.ended.clone();
        drop(supervisor.spawn_until("demo upstream", CancellationToken::new(), move || {
            crate::demo::serve(Arc::clone(&demo), ended.clone().cancelled_owned())
        }));
    }
    // A single worker accepts its connections itself, so that no other thread has to wake it up for each.
    let accepting = if let [only] = workers { only.runtime.clone() } else { Handle::current() };
    let _entered = accepting.enter();
    let mut listening = Vec::new();
    for (place, socket) in sockets.public.into_iter().enumerate() {
        let socket = Arc::new(socket.into_std().map_err(RunError::system)?);
        let (workers, process, stop) = (workers.to_vec(), Arc::clone(&process), closing.clone());
        let name = if place == 0 { "public listener" } else { "listener of upstreams" };
        listening.push(supervisor.spawn_until(name, closing.clone(), move || {
            listener::run((Arc::clone(&socket), place), workers.clone(), Arc::clone(&process), stop.clone())
        }));
    }
    Ok(listening)
}

/// Starts serving the commands that end access. Without the socket they write to the store themselves.
fn listen_for_commands(supervisor: &Supervisor, resources: &Resources) {
    let place = Arc::new(SocketPlace::new(&resources.services.config.load().data_dir));
    let handler = CommandHandler { services: resources.services.clone(), cache: Arc::clone(&resources.cache) };
    drop(supervisor.spawn("commands", move || command_socket::run(Arc::clone(&place), handler.clone())));
}

/// What was done about the first account of `up`.
#[derive(Default)]
struct First {
    /// The link for setting its password, if one was made.
    setup_link: Option<String>,
    /// Whether a password was given but not needed.
    password_ignored: bool,
}

/// Makes the clients and accounts that the configuration file describes, and the first account of `up` if there is
/// none, with the given password or a link for setting one.
async fn accounts(
    resources: &Resources,
    issuer: &Issuer,
    config: &Arc<Config>,
    options: &RunOptions,
) -> Result<First, RunError> {
    issuer.follow_tables(Arc::clone(config)).await?;
    if !options.up {
        return Ok(First::default());
    }
    let administration = resources.administration();
    let password = options.admin_password.as_deref().map(String::as_str);
    Ok(match administration.first_account(password).await? {
        FirstAccount::Ready => First { password_ignored: password.is_some(), ..First::default() },
        FirstAccount::PasswordSet => First::default(),
        FirstAccount::Link(link) => First { setup_link: Some(link), ..First::default() },
    })
}
