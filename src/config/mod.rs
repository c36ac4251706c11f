//! What the operator wishes: checked, typed, immutable.
//!
//! `Config::load` joins a file and the command line, and returns either a configuration in which every rule holds or all
//! problems at once. Nothing here opens a socket or a store, and nothing is global: `server` hands each part to whoever
//! needs it. It knows `oauth` (whose types it fills) and nothing above.
//!
//! Start with `file.rs`, which declares what may be written; `table.rs` and `value.rs` read it, `check.rs` and
//! `upstream.rs` hold the rules.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::oauth::{Brand, Lifetime, RedirectPolicy, ResourceIndicator, ScopeSet, ScopeToken, TenantId};

mod check;
mod default_file;
mod document;
mod field_name;
mod file;
mod file_trust;
mod listener;
mod login;
mod overrides;
mod policy_file;
mod problem;
mod reference;
mod reload;
mod secret_source;
mod table;
mod title;
mod upstream;
mod upstream_headers;
mod value;
mod warnings;
mod well_known;

pub use default_file::{FILE_VARIABLE, SYSTEM_FILE, file_of_environment, file_of_system};
pub use listener::is_loopback;
pub use login::{LoginPolicy, Logo, LogoKind, PageLinks};
pub use overrides::Overrides;
pub use problem::Problem;
pub use reference::{keys, reference};
pub use value::duration;
pub use well_known::StaticAnswer;

/// A whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from, if any.
    pub file: Option<PathBuf>,
    /// The files that its references name.
    pub referenced_files: Vec<PathBuf>,
    /// Where store, keys and certificates live.
    pub data_dir: PathBuf,
    /// The issuer: `https://host[:port]`, no path, no trailing slash, the one string used everywhere.
    pub public_url: String,
    /// Further authorities (`host[:port]`, lower case) accepted in Host besides that of `public_url`.
    pub extra_hosts: Vec<String>,
    /// The public listener.
    pub public: Listener,
    /// The operator listener; plain HTTP, loopback by default.
    pub operator: SocketAddr,
    /// Worker threads, one runtime each.
    pub workers: usize,
    /// The brand of tokens.
    pub brand: Brand,
    /// The upstreams, longest path first.
    pub upstreams: Vec<UpstreamConfig>,
    /// Static answers under `/.well-known/`.
    pub well_known: Vec<StaticAnswer>,
    /// Whether the only upstream is the built-in demo, whose URL is filled in once it listens.
    pub demo: bool,
    /// Token lifetimes.
    pub tokens: TokenPolicy,
    /// Login, sessions, consent.
    pub login: LoginPolicy,
    /// Dynamic client registration.
    pub registration: RegistrationConfig,
    /// Client ID Metadata Documents.
    pub metadata_documents: MetadataDocumentConfig,
    /// What the gateway may fetch on behalf of others.
    pub outbound: OutboundConfig,
    /// Browser origins allowed on `/mcp` besides our own.
    pub allowed_origins: Vec<String>,
    /// Size and count limits.
    pub limits: Limits,
    /// Rates.
    pub rates: Rates,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// How much of the audit trail is kept.
    pub audit: AuditPolicy,
    /// Logging.
    pub log: LogConfig,
    /// Reload when the file or a certificate changes.
    pub watch: bool,
    /// How long cached tokens are trusted while the change log cannot be read.
    pub max_stale: Lifetime,
}

/// The public listener.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Where to listen.
    pub address: SocketAddr,
    /// TLS.
    pub tls: TlsConfig,
    /// Peers whose X-Forwarded-For (and PROXY header) is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections from trusted proxies begin with a PROXY header.
    pub proxy_protocol: bool,
    /// What `Strict-Transport-Security` says; `None` where it is not sent.
    pub hsts: Option<http::HeaderValue>,
    /// Where anybody may ask whether requests should be sent here.
    pub health_path: Option<String>,
}

/// TLS of the public listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsConfig {
    /// Certificate chain and key in PEM files.
    Files {
        /// Chain.
        certificate: PathBuf,
        /// Key.
        key: PathBuf,
    },
    /// The development CA under the data directory, made when missing.
    Development,
    /// A load balancer in front ends TLS.
    Off,
}

/// One upstream MCP server (or plain HTTP service).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Its name in commands, metrics, logs: `a-z0-9-`.
    pub name: String,
    /// Whose.
    pub tenant: TenantId,
    /// The public path: `/mcp`, `/mcp/{server}`, … without trailing slash.
    pub path: String,
    /// MCP or plain HTTP below a prefix.
    pub kind: UpstreamKind,
    /// `public_url` + `path`: the audience of its tokens.
    pub resource: ResourceIndicator,
    /// Where it is.
    pub url: url::Url,
    /// The `Host` of requests to it, if it is not that of `url`.
    pub host: Option<String>,
    /// CA file for its TLS besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Headers added to every request (its own credential, say).
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// Headers of clients that pass besides those that always do.
    pub pass_headers: Vec<http::HeaderName>,
    /// Shown on the consent page and in metadata.
    pub display_name: String,
    /// Whether what the server calls itself takes the place of `display_name`.
    pub takes_title: bool,
    /// Documentation URL for the metadata.
    pub documentation: Option<String>,
    /// The scope catalogue.
    pub scopes: Vec<ScopeConfig>,
    /// Scopes for a client that asks for none; also the minimum in metadata and challenges.
    pub default_scopes: ScopeSet,
    /// Scopes every request to it needs.
    pub required_scopes: ScopeSet,
    /// Access-token lifetime here, if it differs.
    pub access_lifetime: Option<Lifetime>,
    /// Connections in flight at most, per worker.
    pub max_connections: usize,
    /// Connect timeout.
    pub connect_timeout: Duration,
    /// Time to the response head.
    pub first_byte_timeout: Duration,
    /// Longest wait for the head of the answer to a POST.
    pub call_timeout: Duration,
    /// Longest stream.
    pub max_stream: Duration,
    /// Whether header and body of modern requests are compared (the body is read, up to a limit).
    pub check_envelope: bool,
}

/// What speaks behind the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamKind {
    /// Streamable HTTP at exactly one path.
    Mcp,
    /// Any method and any sub-path.
    Http,
}

/// One scope in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeConfig {
    /// The scope.
    pub name: ScopeToken,
    /// A short title for the consent page.
    pub title: String,
    /// What it allows.
    pub description: String,
    /// Whether it can do harm.
    pub sensitive: bool,
}

/// Token lifetimes.
#[derive(Debug, Clone)]
pub struct TokenPolicy {
    /// Access token; default 1 h, 1 min to 24 h.
    pub access: Lifetime,
    /// Code; default 60 s, 10 to 600 s.
    pub code: Lifetime,
    /// Refresh token unused; default 30 d.
    pub refresh_idle: Lifetime,
    /// Refresh family in all; default 90 d.
    pub refresh_absolute: Lifetime,
    /// Retry of the preceding generation; default 30 s, 0 to 120 s.
    pub refresh_grace: Lifetime,
    /// How long the answer to a refresh counts as lost while nobody uses it; default 24 h, 0 to 7 d.
    pub refresh_lost_answer: Lifetime,
    /// Overlap of client secrets after a rotation; default 24 h, 0 to 7 d.
    pub secret_overlap: Lifetime,
}

/// RFC 7591.
#[derive(Debug, Clone)]
pub struct RegistrationConfig {
    /// Whether anybody may register.
    pub enabled: bool,
    /// Private-use schemes that no redirect URI may have, in lower case, beside the reserved ones.
    pub refused_schemes: Vec<String>,
    /// Exact redirect URIs that are taken although `refused_schemes` names their scheme.
    pub extra_redirect_uris: Vec<String>,
    /// Clients per tenant; default 10000.
    pub max_clients: u64,
    /// A registration never used is removed after this; default 24 h.
    pub unused_after: Lifetime,
}

/// Client ID Metadata Documents.
#[derive(Debug, Clone)]
pub struct MetadataDocumentConfig {
    /// Which URLs are fetched.
    pub mode: MetadataDocumentMode,
    /// The exact URLs of the documents whose publishers the operator trusts.
    pub verified_publishers: Vec<String>,
    /// Whether consent to their clients is remembered.
    pub remember_consent: bool,
    /// Bytes read at most; default 5120 (CI-07).
    pub max_bytes: usize,
    /// Cache at least; default 5 min.
    pub min_cache: Lifetime,
    /// Cache at most; default 24 h.
    pub max_cache: Lifetime,
}

/// Which client-id URLs are honoured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataDocumentMode {
    /// None.
    Off,
    /// These exact URLs or hosts.
    Allowlist(Vec<String>),
    /// Any public one.
    Open,
}

/// What may be fetched on behalf of others.
#[derive(Debug, Clone, Default)]
pub struct OutboundConfig {
    /// Addresses allowed although they are not globally routable.
    pub allow_addresses: Vec<IpNet>,
    /// CA file besides the system's.
    pub extra_ca_file: Option<PathBuf>,
    /// The egress proxy.
    pub proxy: Option<url::Url>,
}

/// Size and count limits.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is documented where it is declared, in policy_file.rs")]
pub struct Limits {
    pub request_target: usize,
    pub header_fields: usize,
    pub head_bytes: usize,
    pub oauth_body: usize,
    pub mcp_body: usize,
    pub inspect_body: usize,
    pub sse_event: usize,
    pub connections: usize,
    pub connections_per_address: usize,
    pub connections_per_site: usize,
    pub h2_streams: u32,
    pub streams_per_principal: usize,
    pub tokens_in_memory: usize,
}

/// Rates; a request over one is answered 429 with `Retry-After`.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is documented where it is declared, in policy_file.rs")]
pub struct Rates {
    pub authorize_per_second: u32,
    pub token_per_second: u32,
    pub client_failures_per_minute: u32,
    pub registrations_per_hour: u32,
    /// Under `up`, programs on this computer may register as often as they like.
    pub exempt_loopback: bool,
    pub fetches_per_host_per_minute: u32,
    pub mcp_per_second: u32,
    pub mcp_burst: u32,
    pub store_reads_per_second: u32,
    pub login_free_failures: u32,
    pub login_pause_failures: u32,
}

/// Timeouts.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is documented where it is declared, in policy_file.rs")]
pub struct Timeouts {
    pub tls_handshake: Duration,
    pub request_head: Duration,
    pub oauth_body: Duration,
    pub mcp_body: Duration,
    pub write_stall: Duration,
    pub keep_alive: Duration,
    pub sse_keep_alive: Duration,
    pub expired_stream: Duration,
    pub drain: Duration,
}

/// How much of the audit trail is kept.
#[derive(Debug, Clone)]
pub struct AuditPolicy {
    /// Rows that are older are removed; default 365 d.
    pub keep: Lifetime,
    /// Bytes of rows at most; default 10 GiB.
    pub max_bytes: u64,
}

/// Logging.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Text or JSON lines.
    pub json: bool,
    /// A tracing filter, e.g. `info` or `mcpgate=debug`.
    pub filter: String,
}

impl Config {
    /// Reads and checks a configuration; every problem at once.
    ///
    /// # Errors
    /// All problems, each with file, line, key, fault and remedy.
    pub fn load(file: Option<&std::path::Path>, overrides: &Overrides) -> Result<Self, Vec<Problem>> {
        check::load(file, overrides)
    }

    /// Finds the data folder that a file of `mcpgate serve` names although the file is broken, as `problems` say; `None` when
    /// it cannot be told.
    #[must_use]
    pub fn data_dir_of(file: &std::path::Path, problems: &[Problem]) -> Option<PathBuf> {
        check::data_dir_of(file, problems)
    }

    /// Returns the origins that this gateway answers to.
    #[must_use]
    pub fn own_origins(&self) -> Vec<String> {
        let scheme = self.public_url.split_once("://").map_or("https", |(scheme, _)| scheme);
        let others = self.extra_hosts.iter().map(|host| format!("{scheme}://{host}"));
        std::iter::once(self.public_url.clone()).chain(others).collect()
    }

    /// Returns which redirect URIs may be registered.
    #[must_use]
    pub fn redirect_policy(&self) -> RedirectPolicy {
        RedirectPolicy {
            refused_schemes: self.registration.refused_schemes.clone(),
            allowed_uris: self.registration.extra_redirect_uris.clone(),
            own_origins: self.own_origins(),
        }
    }
}
