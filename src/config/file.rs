//! The mirror of gateway.toml: every table and key with its purpose, type, default and range; those of
//! lifetimes and limits are in `policy_file.rs`. The reference `docs/configuration.md` is made from these declarations.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeTable;

use super::policy_file::{Audit, Documents, Limits, Login, Rates, Registration, Timeouts, Tokens};
use super::problem::Report;
use super::table::{Section, TableDeclaration, table};
use super::value::{Entries, words};
use crate::oauth::Lifetime;

/// A whole file as written.
#[derive(Debug)]
pub(super) struct File {
    pub(super) top: Top,
    pub(super) listen: Listen,
    /// Where the table of the public listener begins.
    pub(super) listen_line: Option<usize>,
    pub(super) operator: Operator,
    pub(super) upstreams: Vec<(Upstream, Vec<Scope>)>,
    pub(super) well_known: Vec<WellKnown>,
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
    Operator::DECLARATION,
    Upstream::DECLARATION,
    Scope::DECLARATION,
    WellKnown::DECLARATION,
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
        let listen_line = root.line_of(Listen::DECLARATION.path);
        let mut upstreams = Vec::new();
        for mut section in root.tables(Upstream::DECLARATION.path) {
            let mut scopes = Vec::new();
            for mut scope in section.tables("scope") {
                scopes.push(Scope::read(&mut scope)?);
                scope.finish();
            }
            upstreams.push((Upstream::read(&mut section)?, scopes));
            section.finish();
        }
        let mut well_known = Vec::new();
        for mut section in root.tables(WellKnown::DECLARATION.path) {
            well_known.push(WellKnown::read(&mut section)?);
            section.finish();
        }
        let file = Self {
            top: Top::read(&mut root)?,
            upstreams,
            well_known,
            listen: read!(Listen),
            listen_line,
            operator: read!(Operator),
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
    /// The top of the file, before any table.
    Top at "" {
        /// The issuer: the one https origin under which clients reach the gateway. Every URL in metadata, tokens and
        /// links is made from it; the Host header never is. `serve` needs it; `up` takes `https://localhost` and the
        /// port of its listener. A change needs a restart, and every client must connect again.
        public_url: String = none;
        /// Further authorities (`host` or `host:port`) accepted in Host, for health checks say. With a loopback
        /// `public_url`, `localhost`, `127.0.0.1` and `[::1]` at its port are accepted in any case.
        extra_hosts: Vec<String> = [];
        /// The folder of the store, the keys and the development certificates. `serve` takes `/var/lib/mcpgate`, `up`
        /// takes `mcpgate` in the user's data home. A change needs a restart.
        data_dir: PathBuf = none;
        /// Where accounts, clients and tokens are kept: `embedded`, in a file below `data_dir`. It is the only store so
        /// far.
        store: String = "embedded";
        /// Worker threads; by default one for each core. A change needs a restart.
        workers: usize = none, 1 to 1024;
        /// What all tokens, codes, client ids and client secrets begin with: 2 to 8 lower-case letters. A change
        /// needs a restart and makes all earlier ones worthless.
        brand: String = "mcp";
    }
}

table! {
    /// The public listener: OAuth, metadata and the upstreams' paths.
    Listen at "listen" {
        /// Where to listen. `serve` takes `0.0.0.0:8443`, `up` takes `127.0.0.1:8443`. A change needs a restart.
        address: SocketAddr = none;
        /// Who ends TLS: we, with a certificate from `files` (the choice of `serve`) or one of the `development` CA
        /// below the data directory (the choice of `up`); or, with `off`, a load balancer in front, which must be
        /// named in `trusted_proxies` beside an explicit `public_url`. A change to or from `off` needs a restart.
        tls: TlsMode = none;
        /// The certificate chain, PEM, the server's own certificate first. Reloaded with the configuration.
        certificate: PathBuf = none;
        /// The key of the certificate, PEM, readable by nobody but its owner and group. Reloaded with the configuration.
        key: PathBuf = none;
        /// Addresses or networks whose `X-Forwarded-For` (or PROXY header) is believed.
        trusted_proxies: Vec<IpNet> = [];
        /// Whether connections from trusted proxies begin with a PROXY header, version 1 or 2; then they must. A
        /// change needs a restart.
        proxy_protocol: bool = false;
        /// A path such as `/healthz` where the health checks of load balancers are answered, whatever host they name:
        /// 200, or 503 while the gateway is going down or cannot check tokens. By default there is none; the operator
        /// listener has a path that tells more.
        health_path: String = none;
        /// For what `Strict-Transport-Security` tells browsers to use https alone (RFC 6797): the `host` of `public_url`
        /// with all its ports, its `subdomains` too, or `off`. It is never sent for a host of this machine.
        hsts: Hsts = "host";
        /// How long browsers remember that; `"0s"` makes them forget it.
        hsts_max_age: Lifetime = "730d", "0s" to "3650d";
    }
}

table! {
    /// The operator listener: health, readiness and metrics, in plain HTTP and without login.
    Operator at "operator" {
        /// Where to listen. A change needs a restart.
        address: SocketAddr = "127.0.0.1:9090";
        /// Allows an address that is not loopback. Whoever reaches it reads the metrics: keep others away by other
        /// means.
        danger_open_to_network: bool = false;
    }
}

table! {
    /// An upstream: an MCP server, or a plain HTTP service, behind a public path.
    Upstream at "upstream" repeated {
        /// Its name in commands, metrics and logs: `a-z`, `0-9` and `-`.
        name: String = required;
        /// Whose it is: accounts, clients and tokens of one tenant mean nothing to another. In this version people can
        /// sign in to `default` only, and any other is refused.
        tenant: String = "default";
        /// Its public path: `/mcp`, `/mcp/{server}`, `/mcp/{tenant}/{server}` or any other that is not one of ours, now
        /// or in a later version (see the end of this page). `public_url` and path together are the resource (RFC 8707)
        /// that its tokens are good for.
        path: String = required;
        /// `mcp` serves Streamable HTTP at exactly this path; `http` passes every method and every path below it, but for
        /// OPTIONS, which the gateway answers itself, and TRACE. Of WebDAV, requests with `Destination` (COPY, MOVE), or
        /// with an address in `If`, are refused, and addresses in the content of answers stay those of the upstream.
        kind: Kind = "mcp";
        /// Where it is: http or https, without user name, password and fragment.
        url: String = required;
        /// What requests to it name in `Host` (`:authority` over HTTP/2), `host` or `host:port`; by default what `url` says.
        /// The connection, and the name in its certificate, go by `url` all the same.
        host: String = none;
        /// PEM file with the CA of its certificate, besides the system's.
        ca_file: PathBuf = none;
        /// Headers added to every request towards it, its own credential above all.
        headers: Entries = {};
        /// Headers of clients that pass to it, besides those that content and MCP need: `X-Region` say. Credentials,
        /// names by which programs tell who is calling, and what the gateway sets itself cannot be among them. Web
        /// pages that may call may send them.
        pass_headers: Vec<String> = [];
        /// What people call it, on the consent page and in metadata; by default its name.
        display_name: String = none;
        /// Where its documentation is; named in its metadata.
        documentation: String = none;
        /// Scopes for a client that asks for none; also what metadata and challenges recommend.
        default_scopes: Vec<String> = [];
        /// Scopes that every request to it needs.
        required_scopes: Vec<String> = [];
        /// Lifetime of its access tokens, if it differs from `tokens.access`.
        access_lifetime: Lifetime = none, "1m" to "24h";
        /// Requests under way to it at most, for each worker; event streams do not count once they have begun. One user
        /// never holds more of these places than are left for others, alone at most half of them.
        max_connections: usize = 512, 1 to 65536;
        /// Longest wait for a connection.
        connect_timeout: Duration = "5s", "100ms" to "60s";
        /// Longest wait for the head of the answer to a POST (tools may work for minutes), and longest pause in one that is
        /// no stream of events. Clients that accept a stream get its head and signs of life meanwhile.
        call_timeout: Duration = "10m", "1s" to "24h";
        /// The same for other requests.
        first_byte_timeout: Duration = "60s", "1s" to "1h";
        /// Maximum duration of a stream.
        max_stream: Duration = "24h", "1m" to "30d";
        /// Whether the `Mcp-Method` and `Mcp-Name` headers of modern requests are compared with the body.
        check_envelope: bool = true;
    }
}

table! {
    /// One scope of the upstream above: what its users are asked to agree to.
    Scope at "upstream.scope" repeated {
        /// The scope as in RFC 6749 3.3, `files:read` say.
        name: String = required;
        /// A short title for the consent page.
        title: String = required;
        /// What it allows, in a sentence that its users understand.
        description: String = "";
        /// Whether it can do harm, as deleting or paying does: the consent page marks it, and its box is not ticked
        /// beforehand, unless `required_scopes` names it.
        sensitive: bool = false;
    }
}

table! {
    /// A static answer to everybody below `/.well-known/`, for what stores and vendors ask for to see whose a host is.
    /// Browsers are told to take it for nothing but data (`nosniff`, and a `sandbox`).
    WellKnown at "well_known" repeated {
        /// Its path, `/.well-known/openai-apps-challenge` say. It cannot be one that the gateway answers itself, nor be
        /// below `acme-challenge`, which is for the ACME client that renews the certificate.
        path: String = required;
        /// What is answered.
        content: String = none;
        /// The file with what is answered, instead of `content`: at most 64 KiB. Reloaded with the configuration.
        file: PathBuf = none;
        /// What it is: `text` (UTF-8), `json`, or `octets` for anything else.
        kind: ContentKind = "text";
    }
}

table! {
    /// What may be fetched on behalf of others. Addresses that are not public are refused.
    Outbound at "outbound" {
        /// Addresses or networks that are allowed although they are not public: your own hosts with metadata
        /// documents.
        allow_addresses: Vec<IpNet> = [];
        /// PEM file with a CA, besides the system's.
        extra_ca_file: PathBuf = none;
        /// The egress proxy that every fetch goes through (`http://proxy.internal:3128`), with CONNECT and without
        /// credentials. Names are then resolved by the proxy, and it must refuse addresses that are not public. The
        /// variables `HTTPS_PROXY` and the like are not read.
        proxy: String = none;
    }
}

table! {
    /// Web pages that call the upstreams from a browser.
    Cors at "cors" {
        /// Their exact origins: of pages (`https://inspector.example.com`), of browser extensions
        /// (`chrome-extension://ID`), of desktop applications (`app://obsidian.md`). Metadata, token, registration and
        /// revocation are open to all origins, without credentials, in any case.
        allowed_origins: Vec<String> = [];
    }
}

table! {
    /// Logs, on standard error. They never hold a secret.
    Log at "log" {
        /// Lines for people (`text`) or for machines (`json`). A change needs a restart.
        format: LogFormat = "text";
        /// A filter in the syntax of tracing: `info`, `warn`, `mcpgate=debug`. A change needs a restart.
        filter: String = "info";
    }
}

table! {
    /// What happens when the world changes under a running gateway.
    Reload at "reload" {
        /// Whether a changed configuration, certificate or key file is loaded by itself; SIGHUP does it in any case.
        watch: bool = false;
        /// How long tokens in memory are trusted while the store's change log cannot be read; then 503. A change
        /// needs a restart.
        max_stale: Lifetime = "10s", "1s" to "300s";
    }
}

words! {
    /// Who ends TLS.
    TlsMode {
        /// We, with a certificate from files.
        Files = "files",
        /// We, with a certificate of the development CA.
        Development = "development",
        /// A load balancer in front.
        Off = "off",
    }
}

words! {
    /// For what browsers are told to use https alone.
    Hsts {
        /// Only the host itself.
        Host = "host",
        /// The host and all below it.
        Subdomains = "subdomains",
        /// For no host.
        Off = "off",
    }
}

words! {
    /// What speaks behind a path.
    Kind {
        /// MCP over Streamable HTTP.
        Mcp = "mcp",
        /// Any HTTP service.
        Http = "http",
    }
}

words! {
    /// What a static answer is.
    ContentKind {
        /// Text in UTF-8.
        Text = "text",
        /// A JSON document.
        Json = "json",
        /// Any other bytes.
        Octets = "octets",
    }
}

words! {
    /// How log lines look.
    LogFormat {
        /// Lines for people.
        Text = "text",
        /// Lines for machines.
        Json = "json",
    }
}
