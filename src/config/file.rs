//! The mirror of gateway.toml: every table and key with its purpose, type, default and range; those of listeners, of
//! rules, and of lifetimes and limits are in `listener_file.rs`, `rule_file.rs` and `policy_file.rs`. The reference
//! `docs/configuration.md` is made from these declarations.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeTable;

use super::file_words::{CatalogueMode, ContentKind, Kind, LogFormat, PinMode, ScopePreset};
use super::limit_file::Limit;
use super::listener_file::{Listen, Operator, Tls};
use super::policy_file::{Audit, Documents, Limits, Login, Rates, Registration, Timeouts, Tokens};
use super::problem::Report;
use super::rule_file::{Argument, Rule, WrittenRule};
use super::table::{Section, TableDeclaration, table};
use super::value::Entries;
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
    pub(super) well_known: Vec<WellKnown>,
    pub(super) aliases: Vec<Alias>,
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

/// An upstream with the tables below it.
#[derive(Debug)]
pub(super) struct WrittenUpstream {
    pub(super) upstream: Upstream,
    pub(super) scopes: Vec<Scope>,
    pub(super) rules: Vec<WrittenRule>,
    pub(super) limits: Vec<Limit>,
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
    WellKnown::DECLARATION,
    Alias::DECLARATION,
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
            let mut scopes = Vec::new();
            for mut scope in section.tables("scope") {
                scopes.push(Scope::read(&mut scope)?);
                scope.finish();
            }
            let (rules, limits) = (WrittenRule::all(&mut section)?, Limit::all(&mut section)?);
            upstreams.push(WrittenUpstream { upstream: Upstream::read(&mut section)?, scopes, rules, limits });
            section.finish();
        }
        let file = Self {
            top: Top::read(&mut root)?,
            upstreams,
            groups: read_all!(AccountGroup),
            well_known: read_all!(WellKnown),
            aliases: read_all!(Alias),
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
        /// The issuer: the https origin at which clients reach the gateway. Every URL in metadata, tokens and links is
        /// derived from it, never from the Host header. `serve` requires it; `up` uses `https://localhost` and the port
        /// of its listener. A change needs a restart, and every client must connect again.
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
    /// An upstream: an MCP server, or a plain HTTP service, behind a public path.
    Upstream at "upstream" repeated {
        /// Its name in commands, metrics and logs: `a-z`, `0-9` and `-`.
        name: String = required;
        /// The tenant of the upstream: accounts, clients and tokens of one tenant are not valid in another. In this
        /// version people can sign in to `default` only, and any other tenant is refused.
        tenant: String = "default";
        /// Its public path: `/mcp`, `/mcp/{server}`, `/mcp/{tenant}/{server}` or any other that the gateway does not
        /// use itself, now or in a later version (see the end of this page). `public_url` followed by the path is the
        /// resource (RFC 8707) that its tokens are valid for.
        path: String = required;
        /// `mcp` serves Streamable HTTP at exactly this path. `http` forwards every method to this path and all below,
        /// except OPTIONS, which the gateway answers itself, and TRACE. WebDAV is limited: requests with `Destination`
        /// (COPY, MOVE) or with a URL in `If` are refused, and URLs in answers are not rewritten.
        kind: Kind = "mcp";
        /// The URL of the server: http or https, without user name, password and fragment.
        url: String = required;
        /// The `Host` (`:authority` over HTTP/2) of requests to the upstream, as `host` or `host:port`; by default that
        /// of `url`. The gateway still connects to the host of `url`, and expects that name in the certificate.
        host: String = none;
        /// PEM file with a CA for its certificate, in addition to the system's.
        ca_file: PathBuf = none;
        /// Headers added to every request to the upstream, such as its credential.
        headers: Entries = {};
        /// Headers of clients that are forwarded in addition to those that content and MCP need, for example
        /// `X-Region`. Credentials, headers that programs read as the caller's identity, and those that the gateway
        /// sets itself are not allowed. Web pages of the allowed origins may send them.
        pass_headers: Vec<String> = [];
        /// Its name on the consent page and in metadata; by default `name`.
        display_name: String = none;
        /// The URL of its documentation, which is published in its metadata.
        documentation: String = none;
        /// Scopes for a client that requests none; metadata and challenges recommend them too.
        default_scopes: Vec<String> = [];
        /// Scopes that every request to it requires. Who may not hold one of them has no access.
        required_scopes: Vec<String> = [];
        /// Ready-made scopes, beside those of the tables `[[upstream.scope]]`, which then need `allow` too unless they
        /// name one of these. `mcp`: `mcp:tools:read` lists tools, `mcp:tools:execute` calls them, `mcp:resources:read`
        /// lists and reads resources and prompts, `mcp:server:read` is for the change notifications of 2026-07-28,
        /// `mcp:server:manage` sets the level of log messages. `read_only`: one scope of that name for lists, reads and
        /// tools that say that they only read; for kind `http`, GET and HEAD. `execute`: one scope for everything, with
        /// the upstream's name: `files:execute`. They are also what a client gets that requests none, unless there is a
        /// `default_scopes`.
        scopes: ScopePreset = none;
        /// What `mcp:server:manage` of `scopes = "mcp"` opens besides the level of log messages, written as in `allow`.
        manage: Vec<String> = [];
        /// The scope with which requests pass whose method MCP does not define, such as those of an extension, and no
        /// scope opens. Without it they are refused as soon as scopes say what they open.
        unknown_methods: String = none;
        /// What may be done without a token, each written as in `allow` of a scope: such as `["tools/list",
        /// "tools/call:search_*"]`. Whatever else comes without a token gets 401, and a wrong token always does. Deny
        /// rules about everybody hold. docs/rules.md says which clients never sign in then.
        anonymous: Vec<String> = [];
        /// How many requests without a token are answered per minute for each address (IPv4, or IPv6 /64), and ten
        /// times as many for each network (/24, /48). At the same time, 16 and 64 are, streams included.
        anonymous_per_minute: u32 = 60, 1 to 100000;
        /// The login names of those who may hold a token for it, beside the members of `allow_groups`. If either key is
        /// written, nobody else may: they are told so when they sign in, and their tokens are refused. A service
        /// account counts by its name.
        allow_users: Vec<String> = [];
        /// The groups whose members may hold a token for it: of the tables `[[group]]`, and of `mcpgate group`. Who
        /// leaves them loses access within a second.
        allow_groups: Vec<String> = [];
        /// Lifetime of its access tokens, if it differs from `tokens.access`.
        access_lifetime: Lifetime = none, "1m" to "24h";
        /// The most requests in progress at the upstream for each worker; event streams do not count once they have
        /// begun. One user never holds more of these slots than are left for others, so a single user gets at most half
        /// of them.
        max_connections: usize = 512, 1 to 65536;
        /// Longest wait for a connection.
        connect_timeout: Duration = "5s", "100ms" to "60s";
        /// Longest wait for the head of the answer to a POST (tools may run for minutes), and longest pause within an
        /// answer that is not an event stream. Meanwhile, clients that accept a stream get its head and comments.
        call_timeout: Duration = "10m", "1s" to "24h";
        /// The same for other requests.
        first_byte_timeout: Duration = "60s", "1s" to "1h";
        /// Longest duration of a stream.
        max_stream: Duration = "24h", "1m" to "30d";
        /// Whether the `Mcp-Method` and `Mcp-Name` headers of modern requests are compared with the body.
        check_envelope: bool = true;
        /// Whether mcpgate itself lists what it offers, if scopes have `allow` (docs/upstreams.md): not if `passive`.
        catalogue: CatalogueMode = "active";
        /// Whether its tools are pinned as the first list has them (docs/rules.md). Of a tool that is new or has
        /// changed after that, an audit row says how; with `hold` it is also hidden from lists, and calls of it are
        /// refused as if it did not exist, until `mcpgate tool approve`.
        pin: PinMode = "off";
        /// Whether listed tools say which scopes they need, and calls for want of a scope are refused as ChatGPT reads
        /// it (docs/rules.md). Only for an upstream whose scopes say what they open.
        security_schemes: bool = false;
    }
}

table! {
    /// A scope of the upstream above, which its users are asked to approve. A table that names a ready-made scope
    /// (`scopes` of the upstream) adds to it: operations, who may hold it, whether it can do harm, other words.
    Scope at "upstream.scope" repeated {
        /// The scope as in RFC 6749 3.3, for example `files:read`.
        name: String = required;
        /// A short title for the consent page. Only a ready-made scope has one of its own.
        title: String = none;
        /// What it allows, in a sentence that users understand.
        description: String = "";
        /// Whether it can do harm, such as deleting or paying: the consent page marks it and does not tick its box in
        /// advance, unless `required_scopes` has it.
        sensitive: bool = false;
        /// The operations that it opens. As soon as one scope of an upstream has `allow` or `includes`, a token can do
        /// only what its scopes open, apart from the handshake (`initialize`, `ping`, `server/discover`), which needs
        /// any scope of the upstream. An entry for kind `mcp` is a method (`"tools/list"`, `"resources/*"`, or `"*"`
        /// for all), or one of `tools/call:`, `prompts/get:` and `resources/read:` with a name or URI
        /// (`"tools/call:search_*"`, `"resources/read:file:///public/**"`). For kind `http` it is an HTTP method, or
        /// `*`, and perhaps a path below that of the upstream (`"GET /reports/**"`); GET includes HEAD. `*` is any
        /// characters, in a path or URI those of one segment; `**` is any rest, as the last segment. A URI whose
        /// segments could be read in two ways (`..`, `%2F`) is opened only by its exact text. Lists show what
        /// the token may use (docs/upstreams.md). Without any `allow` and `includes`, every scope opens everything.
        allow: Vec<String> = [];
        /// Scopes of the same upstream whose operations it opens too, so that it is enough where they are needed.
        includes: Vec<String> = [];
        /// The login names of those who may hold it, beside the members of `groups`. If either key is written, others
        /// are not asked to approve it, and it has no force in their tokens, even if another scope includes it.
        users: Vec<String> = [];
        /// The groups whose members may hold it.
        groups: Vec<String> = [];
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
