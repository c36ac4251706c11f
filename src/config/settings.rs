//! The whole configuration: typed, checked, immutable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::declared::{DeclaredAccount, DeclaredClient, RecordTable};
use super::policy::{
    AuditPolicy, Limits, LogConfig, LoginPolicy, MetadataDocumentConfig, OutboundConfig, Rates, RegistrationConfig,
    Timeouts, TokenPolicy,
};
use super::workload_policy::WorkloadConfig;
use crate::oauth::{Brand, Lifetime, ResourceIndicator, ScopeSet, ScopeToken, TenantId};
use crate::policy::{CallLimits, ConfiguredGroups, Holders, Pattern, Rules};

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from, if any.
    pub file: Option<PathBuf>,
    /// The files named in references.
    pub referenced_files: Vec<PathBuf>,
    /// The folder of the store, keys and development certificates.
    pub data_dir: PathBuf,
    /// The issuer: `https://host[:port]` and perhaps a path, without trailing slash; the same string is used
    /// everywhere.
    pub public_url: String,
    /// The path of `public_url`; empty if it has none.
    pub public_path: String,
    /// Further authorities (`host[:port]`, lower case) accepted in Host besides that of `public_url`.
    pub extra_hosts: Vec<String>,
    /// The public listener.
    pub public: Listener,
    /// The listeners of upstreams with an origin of their own.
    pub own_listeners: Vec<OwnListener>,
    /// The operator listener; plain HTTP, loopback by default.
    pub operator: SocketAddr,
    /// The least length of a cipher's key, for TLS of every connection: of clients, to upstreams, for fetches.
    pub minimum_key_bits: MinimumKeyBits,
    /// Worker threads, one runtime each.
    pub workers: usize,
    /// The prefix of tokens and client ids.
    pub brand: Brand,
    /// The resource of requests that name none, if there are several.
    pub default_resource: Option<ResourceIndicator>,
    /// The upstreams, longest path first.
    pub upstreams: Vec<UpstreamConfig>,
    /// The patterns of the file that name tools, prompts or resources.
    pub patterns: Vec<WrittenPattern>,
    /// The groups of the file.
    pub groups: Arc<ConfiguredGroups>,
    /// The clients that tables of the file describe, in its order.
    pub clients: Vec<RecordTable<DeclaredClient>>,
    /// The accounts that tables of the file describe, in its order.
    pub accounts: Vec<RecordTable<DeclaredAccount>>,
    /// Static answers under `/.well-known/`.
    pub well_known: Vec<StaticAnswer>,
    /// Further paths of the gateway's endpoints.
    pub aliases: Vec<PathAlias>,
    /// Whether the only upstream is the built-in demo, whose URL is filled in once it listens.
    pub demo: bool,
    /// Lifetimes of tokens and codes.
    pub tokens: TokenPolicy,
    /// Settings for login, sessions and the pages.
    pub login: LoginPolicy,
    /// Dynamic client registration.
    pub registration: RegistrationConfig,
    /// Client ID Metadata Documents.
    pub metadata_documents: MetadataDocumentConfig,
    /// What the gateway may fetch on behalf of others.
    pub outbound: OutboundConfig,
    /// Workloads whose tokens are exchanged.
    pub workloads: Vec<WorkloadConfig>,
    /// Browser origins allowed on `/mcp` besides our own.
    pub allowed_origins: Vec<String>,
    /// Limits on sizes and numbers.
    pub limits: Limits,
    /// Rate limits per second, minute or hour.
    pub rates: Rates,
    /// Time limits of connections, requests and streams.
    pub timeouts: Timeouts,
    /// How much of the audit trail is kept.
    pub audit: AuditPolicy,
    /// Settings of the log.
    pub log: LogConfig,
    /// Whether to reload when the file or a certificate changes.
    pub watch: bool,
    /// How long cached tokens are trusted while the change log cannot be read.
    pub max_stale: Lifetime,
}

/// A further path of one of the gateway's endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathAlias {
    /// The path, which nothing else has.
    pub from: String,
    /// The path of the endpoint.
    pub to: &'static str,
    /// Whether metadata names it instead of the endpoint's own path.
    pub in_metadata: bool,
}

/// The public listener.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Where to listen.
    pub address: SocketAddr,
    /// TLS of this listener.
    pub tls: TlsConfig,
    /// Peers whose X-Forwarded-For (and PROXY header) is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections from trusted proxies begin with a PROXY header.
    pub proxy_protocol: bool,
    /// The value of `Strict-Transport-Security`; `None` if it is not sent.
    pub hsts: Option<http::HeaderValue>,
    /// The path for health checks of load balancers.
    pub health_path: Option<String>,
}

/// A listener that serves the upstreams with an origin of their own, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnListener {
    /// The origin of its upstreams.
    pub public_url: String,
    /// Where to listen.
    pub address: SocketAddr,
}

/// TLS of the public listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsConfig {
    /// Certificate chain and key in PEM files.
    Files {
        /// The certificate chain.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// The development CA under the data directory, made when missing.
    Development,
    /// A load balancer in front terminates TLS.
    Off,
}

/// The least length of the key of a TLS cipher, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinimumKeyBits {
    /// 128: AES-128 is allowed.
    Bits128,
    /// 256: AES-128 is refused.
    Bits256,
}

/// One upstream MCP server (or plain HTTP service).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Its name in commands, metrics, logs: `a-z0-9-`.
    pub name: String,
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// The public path: `/mcp`, `/mcp/{server}`, … without trailing slash.
    pub path: String,
    /// MCP or plain HTTP below a prefix.
    pub kind: UpstreamKind,
    /// What `path` follows: the public URL, or an origin of its own.
    pub public_url: String,
    /// The audience of its tokens: `public_url` + `path`, or what it shares with others.
    pub resource: ResourceIndicator,
    /// The URL that it is reached at.
    pub url: url::Url,
    /// The `Host` of requests to it, if it differs from that of `url`.
    pub host: Option<String>,
    /// A CA file for its TLS, in addition to the system's roots.
    pub ca_file: Option<PathBuf>,
    /// Headers added to every request, such as its own credential.
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// Client headers that are passed in addition to those that always are.
    pub pass_headers: Vec<http::HeaderName>,
    /// Shown on the consent page and in metadata.
    pub display_name: String,
    /// Whether the name that the server gives itself replaces `display_name`.
    pub takes_title: bool,
    /// Documentation URL for the metadata.
    pub documentation: Option<String>,
    /// The scope catalogue.
    pub scopes: Vec<ScopeConfig>,
    /// Scopes for a client that requests none; also the ones in metadata and challenges.
    pub default_scopes: ScopeSet,
    /// Scopes that every request to it needs.
    pub required_scopes: ScopeSet,
    /// Which operations each scope opens; `None` if every scope opens all.
    pub rules: Option<Arc<Rules>>,
    /// How often its operations may be used; `None` if that is not limited.
    pub limits: Option<Arc<CallLimits>>,
    /// How often it may be used without a token; `None` if it may not.
    pub anonymous_limits: Option<Arc<CallLimits>>,
    /// Who may hold a token for it, and which of its scopes.
    pub holders: Holders,
    /// Lifetime of its access tokens, if it differs.
    pub access_lifetime: Option<Lifetime>,
    /// Maximum number of requests in progress, per worker.
    pub max_connections: usize,
    /// Time limit for connecting.
    pub connect_timeout: Duration,
    /// Time limit for the response head.
    pub first_byte_timeout: Duration,
    /// Longest wait for the head of the answer to a POST.
    pub call_timeout: Duration,
    /// Maximum duration of a stream.
    pub max_stream: Duration,
    /// Whether headers and body of modern requests are compared, for which the body is read up to a limit.
    pub check_envelope: bool,
    /// Whether the gateway lists what it offers with a client of its own, where it has rules.
    pub is_listed: bool,
    /// What is done about tools that are not as they were pinned.
    pub pin: PinMode,
    /// Whether listed tools say which scopes they need, and refused calls say so to ChatGPT.
    pub security_schemes: bool,
}

/// What is done about tools of an upstream that are not as they were pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinMode {
    /// Nothing is pinned.
    Off,
    /// They are reported.
    Warn,
    /// They are reported, hidden from lists and refused to callers.
    Hold,
}

/// What speaks behind the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamKind {
    /// Streamable HTTP at exactly one path.
    Mcp,
    /// Any method and any sub-path.
    Http,
}

/// A scope as users see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeConfig {
    /// The scope's token, as in requests.
    pub name: ScopeToken,
    /// A short title for the consent page.
    pub title: String,
    /// What the scope allows.
    pub description: String,
    /// Whether it can do harm.
    pub sensitive: bool,
}

/// A pattern that names tools, prompts or resources, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenPattern {
    /// The name of the upstream.
    pub upstream: String,
    /// The key, with its tables and the place in the list: `upstream[0].scope[1].allow[2]`.
    pub key: String,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The pattern as it is written.
    pub text: String,
    /// What it names.
    pub pattern: Pattern,
}

/// One static answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticAnswer {
    /// Its whole path.
    pub path: String,
    /// The content, at most 64 KiB.
    pub content: Vec<u8>,
    /// The `Content-Type` of the content.
    pub content_type: &'static str,
    /// The file that the content is from, if any.
    pub file: Option<PathBuf>,
}
