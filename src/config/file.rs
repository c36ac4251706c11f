//! The mirror of gateway.toml: every table and key with its purpose, type, default and range; those of listeners, of
//! upstreams, of rules, and of lifetimes and limits are in `listener_file.rs`, `upstream_file.rs`, `rule_file.rs` and
//! `policy_file.rs`. The reference `docs/configuration.md` is made from these declarations.

use std::path::PathBuf;

use ipnet::IpNet;
use toml::de::DeTable;

use super::client_file::{WrittenAccount, WrittenClient};
use super::file_words::{ContentKind, LogFormat};
use super::limit_file::Limit;
use super::listener_file::{Listen, Operator, Tls};
use super::policy_file::{Audit, Documents, Limits, Login, Rates, Registration, Timeouts, Tokens};
use super::problem::Report;
use super::rule_file::{Argument, Rule};
use super::table::{Section, TableDeclaration, table};
use super::upstream_file::{Scope, Upstream, WrittenUpstream};
use super::workload_file::Workload;
use crate::oauth::Lifetime;

/// A whole file as written.
#[derive(Debug)]
pub(super) struct File {
    pub(super) top: Top,
    pub(super) listen: Listen,
    /// Where the table of the public listener begins.
    pub(super) listen_line: Option<usize>,
    pub(super) operator: Operator,
    pub(super) tls: Tls,
    pub(super) upstreams: Vec<WrittenUpstream>,
    pub(super) groups: Vec<AccountGroup>,
    pub(super) clients: Vec<WrittenClient>,
    pub(super) accounts: Vec<WrittenAccount>,
    pub(super) well_known: Vec<WellKnown>,
    pub(super) aliases: Vec<Alias>,
    pub(super) workloads: Vec<Workload>,
    pub(super) tokens: Tokens,
    pub(super) login: Login,
    pub(super) registration: Registration,
    pub(super) documents: Documents,
    pub(super) outbound: Outbound,
    pub(super) cors: Cors,
    pub(super) limits: Limits,
    pub(super) rates: Rates,
    pub(super) timeouts: Timeouts,
    pub(super) audit: Audit,
    pub(super) log: Log,
    pub(super) reload: Reload,
}

/// All tables, in the order of the reference.
pub(super) const TABLES: &[TableDeclaration] = &[
    Top::DECLARATION,
    Listen::DECLARATION,
    Tls::DECLARATION,
    Operator::DECLARATION,
    Upstream::DECLARATION,
    Scope::DECLARATION,
    Rule::DECLARATION,
    Argument::DECLARATION,
    Limit::DECLARATION,
    AccountGroup::DECLARATION,
    WrittenClient::DECLARATION,
    WrittenAccount::DECLARATION,
    WellKnown::DECLARATION,
    Alias::DECLARATION,
    Workload::DECLARATION,
    Tokens::DECLARATION,
    Login::DECLARATION,
    Registration::DECLARATION,
    Documents::DECLARATION,
    Outbound::DECLARATION,
    Cors::DECLARATION,
    Limits::DECLARATION,
    Rates::DECLARATION,
    Timeouts::DECLARATION,
    Audit::DECLARATION,
    Log::DECLARATION,
    Reload::DECLARATION,
];

impl File {
    /// Reads a parsed file; `None` only when a default is declared wrongly, which a test excludes.
    pub(super) fn read(root: DeTable<'_>, report: &Report) -> Option<Self> {
        let mut root = Section::root(root, TABLES, report);
        macro_rules! read {
            ($table:ident) => {{
                let mut section = root.table($table::DECLARATION.path);
                let read = $table::read(&mut section)?;
                section.finish();
                read
            }};
        }
        macro_rules! read_all {
            ($table:ident) => {{
                let mut all = Vec::new();
                for mut section in root.tables($table::DECLARATION.path) {
                    all.push($table::read(&mut section)?);
                    section.finish();
                }
                all
            }};
        }
        let listen_line = root.line_of(Listen::DECLARATION.path);
        let mut upstreams = Vec::new();
        for mut section in root.tables(Upstream::DECLARATION.path) {
            upstreams.push(WrittenUpstream::read(&mut section)?);
            section.finish();
        }
        let file = Self {
            top: Top::read(&mut root)?,
            upstreams,
            groups: read_all!(AccountGroup),
            clients: read_all!(WrittenClient),
            accounts: read_all!(WrittenAccount),
            well_known: read_all!(WellKnown),
            aliases: read_all!(Alias),
            workloads: read_all!(Workload),
            listen: read!(Listen),
            listen_line,
            operator: read!(Operator),
            tls: read!(Tls),
            tokens: read!(Tokens),
            login: read!(Login),
            registration: read!(Registration),
            documents: read!(Documents),
            outbound: read!(Outbound),
            cors: read!(Cors),
            limits: read!(Limits),
            rates: read!(Rates),
            timeouts: read!(Timeouts),
            audit: read!(Audit),
            log: read!(Log),
            reload: read!(Reload),
        };
        root.finish();
        Some(file)
    }
}

table! {
    /// Keys at the top of the file, before any table.
    Top at "" {
        /// The issuer: the https origin at which clients reach the gateway, or a path of an origin that other
        /// applications share (docs/proxies.md). Every URL in metadata, tokens and links is derived from it, never from
        /// the Host header. `serve` requires it; `up` uses `https://localhost` and the port of its listener. A change
        /// needs a restart, and every client must connect again.
        public_url: String = none;
        /// Further authorities (`host` or `host:port`) accepted in Host, for example for health checks. With a loopback
        /// `public_url`, `localhost`, `127.0.0.1` and `[::1]` at its port are always accepted.
        extra_hosts: Vec<String> = [];
        /// The directory of the store, the keys and the development certificates. `serve` uses `/var/lib/mcpgate`, `up`
        /// uses `mcpgate` in the user's data home. A change needs a restart.
        data_dir: PathBuf = none;
        /// Where accounts, clients and tokens are stored: `embedded`, in a file in `data_dir`, is the only store so
        /// far.
        store: String = "embedded";
        /// Number of worker threads, by default one for each core. A change needs a restart.
        workers: usize = none, 1 to 1024;
        /// The prefix of all tokens, codes, client ids and client secrets: 2 to 8 lower-case letters. A change needs a
        /// restart and invalidates all earlier ones.
        brand: String = "mcp";
        /// The name of the upstream that is meant by clients that send no `resource`, as those of 2025-03-26 and many
        /// hand-written ones do. Only needed with several upstreams; a client bound to an upstream gets that one.
        default_upstream: String = none;
    }
}

table! {
    /// A group of accounts, which upstreams and their scopes name. Those whom `mcpgate group add` has added to a group
    /// of the same name are members too.
    AccountGroup at "group" repeated {
        /// Its name: `a-z`, `0-9` and `.-_`.
        name: String = required;
        /// The login names of its members.
        members: Vec<String> = [];
    }
}

table! {
    /// A static answer below `/.well-known/`, with which stores and vendors verify who controls a host. Everybody may
    /// read it. Browsers are told to treat it as data only (`nosniff`, and a `sandbox`).
    WellKnown at "well_known" repeated {
        /// Its path, for example `/.well-known/openai-apps-challenge`. It cannot be one that the gateway answers
        /// itself, nor be below `acme-challenge`, which is for the ACME client that renews the certificate.
        path: String = required;
        /// The content of the answer.
        content: String = none;
        /// A file with the content, instead of `content`: at most 64 KiB. Reloaded with the configuration.
        file: PathBuf = none;
        /// The type of the content: `text` (UTF-8), `json`, or `octets` for anything else.
        kind: ContentKind = "text";
    }
}

table! {
    /// A further path of one of the gateway's endpoints, for clients that were written for another server. Both paths
    /// are answered alike. The log has the endpoint's own path.
    Alias at "alias" repeated {
        /// The further path, for example `/oauth/authorize`. It cannot be one that the gateway or an upstream answers.
        from: String = required;
        /// The endpoint: `/authorize`, `/token`, `/register`, `/revoke`, `/introspect` or `/account`.
        to: String = required;
        /// Whether the metadata names it instead of the endpoint's own path; not for `/account`, and once for each
        /// endpoint.
        in_metadata: bool = false;
    }
}

table! {
    /// Fetches of URLs that others choose. Addresses that are not public are refused.
    Outbound at "outbound" {
        /// Addresses or networks that are allowed although they are not public, for your own hosts with metadata
        /// documents, the key sets at these hosts, and the key sets of clients that you add.
        allow_addresses: Vec<IpNet> = [];
        /// PEM file with a CA, in addition to the system's.
        extra_ca_file: PathBuf = none;
        /// The egress proxy for every fetch (`http://proxy.internal:3128`), with CONNECT and without credentials. The
        /// proxy then resolves the names, and must refuse addresses that are not public. Variables such as
        /// `HTTPS_PROXY` are not read.
        proxy: String = none;
    }
}

table! {
    /// Web pages that call upstreams from a browser.
    Cors at "cors" {
        /// Exact origins of web pages (`https://inspector.example.com`), browser extensions (`chrome-extension://ID`)
        /// and desktop applications (`app://obsidian.md`). Metadata, token, registration and revocation endpoints are
        /// always open to all origins, without credentials.
        allowed_origins: Vec<String> = [];
    }
}

table! {
    /// Logs, on standard error. They never contain a secret.
    Log at "log" {
        /// Log lines for people (`text`) or for machines (`json`). A change needs a restart.
        format: LogFormat = "text";
        /// A filter in the syntax of tracing: `info`, `warn`, `mcpgate=debug`. A change needs a restart.
        filter: String = "info";
    }
}

table! {
    /// Changes while the gateway runs.
    Reload at "reload" {
        /// Whether the gateway reloads a changed configuration, certificate or key file by itself; SIGHUP always
        /// reloads them.
        watch: bool = false;
        /// How long tokens in memory are trusted while the store's change log cannot be read; after that, requests get
        /// 503. A change needs a restart.
        max_stale: Lifetime = "10s", "1s" to "300s";
    }
}
