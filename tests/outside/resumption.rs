//! TL: which sessions are resumed, and which get a ticket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rustls::HandshakeKind::{Full, Resumed};
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, NamedGroup};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::life::until_reloads;
use crate::shared;
use crate::support::client::{Client, authorities};
use crate::support::gateway::{Gateway, Home};

/// Stores sessions without regard to the server name, and counts them.
#[derive(Debug)]
struct OneForAll {
    sessions: ClientSessionMemoryCache,
    of_1_2: AtomicUsize,
    of_1_3: AtomicUsize,
}

impl OneForAll {
    fn new() -> Arc<Self> {
        let sessions = ClientSessionMemoryCache::new(8);
        Arc::new(Self { sessions, of_1_2: AtomicUsize::new(0), of_1_3: AtomicUsize::new(0) })
    }

    fn name() -> ServerName<'static> {
        ServerName::try_from("one.example").unwrap()
    }
}

impl ClientSessionStore for OneForAll {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.sessions.set_kx_hint(Self::name(), group);
    }
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.sessions.kx_hint(&Self::name())
    }
    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.of_1_2.fetch_add(1, Relaxed);
        self.sessions.set_tls12_session(Self::name(), value);
    }
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.sessions.tls12_session(&Self::name())
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.sessions.remove_tls12_session(&Self::name());
    }
    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.of_1_3.fetch_add(1, Relaxed);
        self.sessions.insert_tls13_ticket(Self::name(), value);
    }
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.sessions.take_tls13_ticket(&Self::name())
    }
}

/// A client that accepts any certificate and remembers sessions, whatever their name.
fn forgetful_of_names(home: &Home) -> TlsConnector {
    let mut config = ClientConfig::clone(&Client::trusting_anybody(home).config());
    config.resumption = Resumption::store(OneForAll::new());
    TlsConnector::from(Arc::new(config))
}

/// Makes a connection under this name, and one request.
async fn visit(home: &Home, tls: &TlsConnector, name: &'static str) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(home.public).await.unwrap();
    let mut stream = tls.connect(ServerName::try_from(name).unwrap(), tcp).await.unwrap();
    let asked = format!("GET / HTTP/1.1\r\nhost: {name}:{}\r\nconnection: close\r\n\r\n", home.public.port());
    stream.write_all(asked.as_bytes()).await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    stream
}

async fn handshake(home: &Home, tls: &TlsConnector) -> HandshakeKind {
    visit(home, tls, "localhost").await.get_ref().1.handshake_kind().unwrap()
}

#[tokio::test]
async fn tl_05_a_ticket_of_one_name_opens_no_session_under_another() {
    let home = Home::new("", None);
    let config = std::fs::read_to_string(home.config()).unwrap();
    std::fs::write(home.config(), format!("extra_hosts = [\"gw.example\"]\n{config}")).unwrap();
    let gateway = home.start().await;
    // The development certificate does not contain the second host; the name check is not what this test is about.
    let tls = forgetful_of_names(&gateway.home);
    for (name, wanted) in [("localhost", Full), ("localhost", Resumed), ("gw.example", Full), ("localhost", Full)] {
        let stream = visit(&gateway.home, &tls, name).await;
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(wanted), "{name}");
    }
}

#[tokio::test]
async fn tl_04_no_ticket_allows_early_data_and_sessions_are_resumed() {
    let shared = shared::gateway().await;
    let mut config = ClientConfig::clone(&Client::new(&shared.home).config());
    config.enable_early_data = true;
    let tls = TlsConnector::from(Arc::new(config));
    for (round, wanted) in [Full, Resumed].into_iter().enumerate() {
        let stream = visit(&shared.home, &tls, "localhost").await;
        let session = stream.get_ref().1;
        assert!(!session.is_early_data_accepted());
        assert_eq!(session.handshake_kind(), Some(wanted), "round {round}");
    }
}

#[tokio::test]
async fn a_session_of_tls_1_3_gets_one_ticket_and_one_of_tls_1_2_none() {
    let shared = shared::gateway().await;
    // With only TLS 1.2, rustls still names the suites of TLS 1.3.
    for (version, second, stored) in [(&TLS13, Resumed, (0, 2)), (&TLS12, Full, (0, 0))] {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let mut config = config.with_root_certificates(authorities(&shared.home)).with_no_client_auth();
        let sessions = OneForAll::new();
        config.resumption = Resumption::store(Arc::<OneForAll>::clone(&sessions));
        let tls = TlsConnector::from(Arc::new(config));
        let both = (handshake(&shared.home, &tls).await, handshake(&shared.home, &tls).await);
        assert_eq!(both, (Full, second), "{version:?}");
        assert_eq!((sessions.of_1_2.load(Relaxed), sessions.of_1_3.load(Relaxed)), stored, "{version:?}");
    }
}

#[tokio::test]
async fn a_session_is_resumed_after_a_restart_and_by_another_process_with_the_same_key_files() {
    let first = Gateway::start().await;
    let tls = forgetful_of_names(&first.home);
    assert_eq!(handshake(&first.home, &tls).await, Full);
    let first = first.kill().start().await;
    assert_eq!(handshake(&first.home, &tls).await, Resumed);
    // A replica, first with keys of its own.
    let replica = Gateway::start().await.kill();
    let key = |home: &Home| home.data().join("keys/token");
    std::fs::copy(key(&first.home), key(&replica)).unwrap();
    let replica = replica.start().await;
    assert_eq!(handshake(&replica.home, &tls).await, Resumed);
    assert_eq!(handshake(&first.home, &tls).await, Resumed, "with a ticket of the replica");
    let stranger = Gateway::start().await;
    assert_eq!(handshake(&stranger.home, &tls).await, Full);
}

#[tokio::test]
async fn tickets_of_a_token_key_are_accepted_until_a_reload_finds_it_removed() {
    let gateway = Gateway::start().await;
    let tls = forgetful_of_names(&gateway.home);
    let file = gateway.home.data().join("keys/token");
    let old = std::fs::read_to_string(&file).unwrap();
    let new = format!("2 {}\n", "5a".repeat(31) + "01");
    assert_eq!(handshake(&gateway.home, &tls).await, Full);
    for (reload, (lines, wanted)) in [
        // Each resumed session gets a ticket of the first line.
        (new.clone() + &old, Resumed),
        (new.clone(), Resumed),
        (old, Full),
    ]
    .into_iter()
    .enumerate()
    {
        std::fs::write(&file, lines).unwrap();
        gateway.signal("HUP");
        until_reloads(&gateway.home, "reloaded", u64::try_from(reload).unwrap() + 1).await;
        assert_eq!(handshake(&gateway.home, &tls).await, wanted, "reload {reload}");
    }
}
