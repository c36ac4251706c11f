//! The operator's settings for tokens, sign-in, registration, fetching, and limits.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use ipnet::IpNet;
use url::Url;

use crate::oauth::{Lifetime, LifetimePolicy, RedirectHosts, ResourceIndicator};

/// Lifetimes of codes, tokens and secrets.
#[derive(Debug, Clone)]
pub struct TokenPolicy {
    /// Lifetime of an access token; default 1 h, 1 min to 24 h.
    pub access: Lifetime,
    /// Lifetime of a code; default 60 s, 10 to 600 s.
    pub code: Lifetime,
    /// Lifetime of an unused refresh token; default 30 d.
    pub refresh_idle: Lifetime,
    /// Lifetime of a refresh token family; default 90 d.
    pub refresh_absolute: Lifetime,
    /// How long the preceding generation may be retried; default 30 s, 0 to 120 s.
    pub refresh_grace: Lifetime,
    /// How long an unused answer to a refresh may count as lost; default 24 h, 0 to 7 d.
    pub refresh_lost_answer: Lifetime,
    /// Overlap of client secrets after a rotation; default 24 h, 0 to 7 d.
    pub secret_overlap: Lifetime,
    /// From which age on a client secret counts as old; default 90 d, 0 to 3650 d; 0 for never.
    pub secret_age_warning: Lifetime,
    /// Longest life of an access token that a single client may be given; default: that of all.
    pub access_longest: Lifetime,
    /// Longest life of a refresh token family that a single client may be given; default: that of all.
    pub refresh_longest: Lifetime,
    /// Longest life of an API key; `None` for no limit.
    pub key_longest: Option<Lifetime>,
}

impl TokenPolicy {
    /// Returns how long tokens for an upstream live, given its `access_lifetime`.
    #[must_use]
    pub fn lifetimes(&self, of_upstream: Option<Lifetime>) -> LifetimePolicy {
        LifetimePolicy {
            access: of_upstream.unwrap_or(self.access),
            access_longest: of_upstream.unwrap_or(self.access_longest),
            refresh_idle: self.refresh_idle,
            refresh_absolute: self.refresh_absolute,
            refresh_longest: self.refresh_longest,
        }
    }
}

/// Settings for login, sessions and the pages.
#[derive(Debug, Clone)]
pub struct LoginPolicy {
    /// Lifetime of an unused session; default 1 h.
    pub session_idle: Lifetime,
    /// Maximum lifetime of a session; default 24 h.
    pub session_absolute: Lifetime,
    /// Lifetime of a pending authorization; default 10 min.
    pub interaction: Lifetime,
    /// Lifetime of a link to set the first password; default 1 h.
    pub setup_link: Lifetime,
    /// Lifetime of a link to reset a password; default 10 min.
    pub reset_link: Lifetime,
    /// Minimum length of a password in characters; default 12.
    pub min_password: usize,
    /// Concurrent argon2 computations; default 2.
    pub hash_slots: usize,
    /// argon2 memory in KiB; default 65536.
    pub argon2_memory_kib: u32,
    /// argon2 passes; default 3.
    pub argon2_passes: u32,
    /// Name shown on the pages.
    pub product_name: String,
    /// The operator's logo on the pages.
    pub logo: Option<Logo>,
    /// The operator's pages that every page links to.
    pub links: PageLinks,
}

/// The operator's own pages, each an https URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageLinks {
    /// Where people get help.
    pub support: Option<String>,
    /// The privacy statement.
    pub privacy: Option<String>,
    /// The terms of use.
    pub terms: Option<String>,
}

/// A logo, as read with the configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct Logo {
    /// The file that it was read from.
    pub file: PathBuf,
    /// The content of the file.
    pub content: Bytes,
    /// The format of the content.
    pub kind: LogoKind,
    /// 16 characters of the content's hash, for its URL.
    pub tag: String,
}

impl std::fmt::Debug for Logo {
    /// Leaves out the content.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logo").field("file", &self.file).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The formats that a logo may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogoKind {
    /// Portable Network Graphics.
    Png,
    /// Scalable Vector Graphics.
    Svg,
}

/// Who becomes a client without the operator, by registration or by a metadata document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhoRegisters {
    /// Anybody becomes a client.
    Anybody,
    /// Whoever's codes go to a listed host or application.
    Listed(RedirectHosts),
    /// Whom the operator approves.
    Approved,
    /// Nobody becomes a client any more.
    Nobody,
}

/// Settings for dynamic client registration (RFC 7591).
#[derive(Debug, Clone)]
pub struct RegistrationConfig {
    /// Who becomes a client without the operator.
    pub who: WhoRegisters,
    /// Whether there is registration.
    pub enabled: bool,
    /// The only resource for which clients that registered themselves get tokens; any if `None`.
    pub resource: Option<ResourceIndicator>,
    /// Private-use schemes, in lower case, that no redirect URI may have, in addition to the reserved ones.
    pub refused_schemes: Vec<String>,
    /// Exact redirect URIs that are accepted although `refused_schemes` names their scheme.
    pub extra_redirect_uris: Vec<String>,
    /// Maximum number of clients per tenant; default 10000.
    pub max_clients: u64,
    /// Whether a client with a secret may register to act for itself (RFC 6749 4.4).
    pub client_credentials: bool,
    /// After how long an unused registration is removed; default 24 h.
    pub unused_after: Lifetime,
}

/// Settings for Client ID Metadata Documents.
#[derive(Debug, Clone)]
pub struct MetadataDocumentConfig {
    /// Which document URLs are accepted.
    pub mode: MetadataDocumentMode,
    /// The exact URLs of the documents whose publishers the operator trusts.
    pub verified_publishers: Vec<String>,
    /// Whether consent to their clients is remembered.
    pub remember_consent: bool,
    /// Maximum size of a document in bytes; default 5120 (CI-07).
    pub max_bytes: usize,
    /// Minimum time that a document is cached; default 5 min.
    pub min_cache: Lifetime,
    /// Maximum time that a document is cached; default 24 h.
    pub max_cache: Lifetime,
}

/// Which client id URLs are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataDocumentMode {
    /// No documents are accepted.
    Off,
    /// Only these exact URLs or hosts.
    Allowlist(Vec<String>),
    /// Any public one.
    Open,
}

/// What may be fetched on behalf of others.
#[derive(Debug, Clone, Default)]
pub struct OutboundConfig {
    /// Addresses allowed although they are not globally routable.
    pub allow_addresses: Vec<IpNet>,
    /// A CA file in addition to the system's roots.
    pub extra_ca_file: Option<PathBuf>,
    /// The egress proxy for all fetches.
    pub proxy: Option<Url>,
}

/// Limits on sizes and numbers.
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
    /// Whether programs on this computer may register without limit, as under `up`.
    pub exempt_loopback: bool,
    pub fetches_per_host_per_minute: u32,
    pub mcp_per_second: u32,
    pub mcp_burst: u32,
    pub store_reads_per_second: u32,
    pub login_free_failures: u32,
    pub login_pause_failures: u32,
}

/// Time limits of connections, requests and streams.
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
    /// Older rows are removed; default 365 d.
    pub keep: Lifetime,
    /// Maximum size of all rows in bytes; default 10 GiB.
    pub max_bytes: u64,
}

/// Settings of the log.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Whether lines are JSON instead of text.
    pub json: bool,
    /// A tracing filter, e.g. `info` or `mcpgate=debug`.
    pub filter: String,
}
