//! The mirror of the tables of gateway.toml for an upstream and its scopes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::file_words::{CatalogueMode, Kind, PinMode, ScopePreset};
use super::limit_file::Limit;
use super::rule_file::WrittenRule;
use super::table::{Section, table};
use super::value::Entries;
use crate::oauth::Lifetime;

/// An upstream with the tables below it.
#[derive(Debug)]
pub(super) struct WrittenUpstream {
    pub(super) upstream: Upstream,
    pub(super) scopes: Vec<Scope>,
    pub(super) rules: Vec<WrittenRule>,
    pub(super) limits: Vec<Limit>,
    /// The names of scopes that may open nothing here, because others with the same resource say what they open.
    pub(super) opened_elsewhere: Vec<String>,
}

impl WrittenUpstream {
    /// Reads an upstream and the tables below it; `None` only when a default is declared wrongly.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let mut scopes = Vec::new();
        for mut scope in section.tables("scope") {
            scopes.push(Scope::read(&mut scope)?);
            scope.finish();
        }
        let (rules, limits) = (WrittenRule::all(section)?, Limit::all(section)?);
        let upstream = Upstream::read(section)?;
        Some(Self { upstream, scopes, rules, limits, opened_elsewhere: Vec::new() })
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
        /// resource (RFC 8707) that its tokens are valid for, unless `resource` is written.
        path: String = required;
        /// The path whose URL is its resource, if it shares that with other upstreams: `/` for the whole origin, or a
        /// path that all of them have or lie below. One token is then valid for all, and they have one consent page and
        /// one metadata document, while each judges its own operations by its own `allow` (docs/upstreams.md).
        resource: String = none;
        /// An origin of its own, such as `https://mcp.example.com:3001`, at which it is served instead of the gateway's
        /// by a listener of its own, with the certificate and the other settings of `[listen]`. Its resource, metadata
        /// and challenges have this origin; the issuer stays at the gateway's, and nothing else is served here.
        /// Upstreams may share one. A new one, or one less, needs a restart.
        public_url: String = none;
        /// Where that listener listens; by default at the port of this `public_url` and the address of the public
        /// listener. A change needs a restart.
        listen: SocketAddr = none;
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
