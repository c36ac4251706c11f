//! A whole configuration: typed, every rule checked, immutable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::policy::{
    AuditPolicy, Limits, LogConfig, LoginPolicy, MetadataDocumentConfig, OutboundConfig, Rates, RegistrationConfig,
    Timeouts, TokenPolicy,
};
use crate::oauth::{Brand, Lifetime, RedirectPolicy, ResourceIndicator, ScopeSet, ScopeToken, TenantId};

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

/// One static answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticAnswer {
    /// Its whole path.
    pub path: String,
    /// What is answered, at most 64 KiB.
    pub content: Vec<u8>,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The file that the content is from, if any.
    pub file: Option<PathBuf>,
}

impl Config {
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
