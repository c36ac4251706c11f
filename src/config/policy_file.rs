//! The keys for lifetimes, accounts, clients, limits, rates and timeouts. The defaults follow OAuth 2.1, NIST SP
//! 800-63B and RFC 9106 where these name numbers.

use std::path::PathBuf;
use std::time::Duration;

use super::file_words::RegistrationMode;
use super::table::table;
use super::value::{Bytes, words};
use crate::oauth::Lifetime;

table! {
    /// Lifetimes of codes and tokens.
    Tokens at "tokens" {
        /// Lifetime of access tokens.
        access: Lifetime = "1h", "1m" to "24h";
        /// Lifetime of authorization codes.
        code: Lifetime = "60s", "10s" to "600s";
        /// Lifetime of refresh tokens that are not used.
        refresh_idle: Lifetime = "30d", "1h" to "90d";
        /// Longest lifetime of refresh tokens, however often they are used; after that, the user must consent again.
        refresh_absolute: Lifetime = "90d", "1h" to "365d";
        /// How long the preceding refresh token may be presented again; it gets the same refresh token and a new access
        /// token. Some clients refresh twice at once; `0s` does not allow that.
        refresh_grace: Lifetime = "30s", "0s" to "120s";
        /// How long after a refresh a client that lost the answer may retry with the preceding refresh token, provided
        /// that nobody has used the new one or an access token issued with it. It gets the same refresh token, and the
        /// access tokens of the lost answer become void. In every other case after the grace, the preceding refresh
        /// token ends the sign-in. With `0s`, users of clients that lose an answer must always sign in again.
        refresh_lost_answer: Lifetime = "24h", "0s" to "7d";
        /// How long a client secret remains valid after a rotation replaces it. At most two secrets are valid: the next
        /// rotation ends one that an earlier rotation replaced. A shorter time applies to secrets that are already
        /// replaced from the next start.
        secret_overlap: Lifetime = "24h", "0s" to "7d";
        /// `mcpgate client list` and `show` mark client secrets that are older than this, and the log warns once a day
        /// of those that an operator can replace. `0s` does neither.
        secret_age_warning: Lifetime = "90d", "0s" to "3650d";
        /// The longest life that `mcpgate client add` and `edit` may give the access tokens of one client; without it,
        /// that of all. At an upstream with an `access_lifetime`, that one is the bound. Lowered, it holds for clients
        /// that were given a longer life, from their next token on.
        access_longest: Lifetime = none, "1m" to "24h";
        /// The same for refresh tokens; without it, `refresh_absolute`. Sessions that exist keep their end.
        refresh_longest: Lifetime = none, "1h" to "365d";
        /// The longest life of API keys. Without it, a key may last until it is revoked; unless something else is asked
        /// for, it lives 90 days. A change leaves existing keys as they are.
        key_longest: Lifetime = none, "1h" to "3650d";
    }
}

table! {
    /// Accounts, browser sessions, and consent.
    Login at "login" {
        /// Lifetime of browser sessions that are not used.
        session_idle: Lifetime = "1h", "1m" to "30d";
        /// Longest lifetime of browser sessions.
        session_absolute: Lifetime = "24h", "1m" to "90d";
        /// Time to sign in and decide.
        interaction: Lifetime = "10m", "1m" to "1h";
        /// Lifetime of one-time links to set the first password of an account.
        setup_link: Lifetime = "1h", "1m" to "7d";
        /// Lifetime of one-time links to replace a password. It is short because they open an account that is in use.
        reset_link: Lifetime = "10m", "1m" to "1d";
        /// Shortest password, in characters.
        min_password: usize = 12, 8 to 128;
        /// The most password hashes computed at once; each needs `argon2_memory`. If there are several slots, one is
        /// kept for people who sign in from a network where they signed in before. A change needs a restart.
        hash_slots: usize = 2, 1 to 64;
        /// Memory of a password hash (RFC 9106). A hash is upgraded to a new value when its account signs in.
        argon2_memory: Bytes = "64MiB", "19MiB" to "1GiB";
        /// Passes of a password hash.
        argon2_passes: u32 = 3, 2 to 20;
        /// The product name on the pages.
        product_name: String = "mcpgate";
        /// Your logo on the pages: a PNG or SVG file of at most 64 KiB, shown 28 pixels high. The gateway serves it
        /// itself, so no other server learns who signs in. Reloaded with the configuration.
        logo: PathBuf = none;
        /// An https URL where people get help. The pages link to it and to the two URLs below.
        support_url: String = none;
        /// An https URL of your privacy statement.
        privacy_url: String = none;
        /// An https URL of your terms of use.
        terms_url: String = none;
    }
}

table! {
    /// Who may become a client without being added by you, and dynamic client registration (RFC 7591), for clients
    /// without a newer method.
    Registration at "registration" {
        /// Who becomes a client without you, by registration or by a metadata document: anybody (`open`), those whose
        /// codes go to one of `hosts` (`hosts`), those that you approve with `mcpgate client approve` (`approval`), or
        /// nobody (`closed`). Clients that you add are not affected. `closed` leaves clients that are already known as
        /// they are; with `hosts` and `approval` the next sign-in of one that is not listed or approved is refused, or
        /// waits; sessions go on.
        mode: RegistrationMode = "open";
        /// Where redirect URIs may lead with `mode = "hosts"`: the host of a web site (`"claude.ai"`, or with its port
        /// if that is not 443), `"loopback"` for programs on the user's computer, or a private-use scheme with its
        /// colon (`"cursor:"`). Other redirect URIs are left out; the host of a metadata document must be listed too.
        /// The log names the entry that is missing.
        hosts: Vec<String> = [];
        /// Whether there is registration; if not, `/register` answers 401; metadata documents are not affected.
        enabled: bool = true;
        /// The name of the only upstream at which clients that register themselves sign in or use client credentials,
        /// also those that registered before it was set. Existing sessions go on, and clients with a metadata document
        /// are not bound.
        upstream: String = none;
        /// Private-use schemes that no redirect URI may have (`["myapp"]`), in addition to those that are always
        /// refused: the schemes that IANA lists as permanent, and those of browsers and operating systems.
        refused_schemes: Vec<String> = [];
        /// Exact redirect URIs that are accepted although `refused_schemes` has their scheme.
        extra_redirect_uris: Vec<String> = [];
        /// Whether a client that registers itself may act for itself, without a person (`client_credentials`). It then
        /// gets the scopes that it registered, or all, but none that is `sensitive` or includes one that is.
        client_credentials: bool = false;
        /// The most clients of a tenant.
        max_clients: u64 = 10000, 1 to 10000000;
        /// A registration that is never used is removed after this.
        unused_after: Lifetime = "24h", "1h" to "90d";
    }
}

table! {
    /// Clients whose id is the https URL of their metadata (Client ID Metadata Documents).
    Documents at "client_id_metadata_documents" {
        /// Which metadata documents are accepted: those at any public URL (`open`), those in `allow` (`allowlist`) or
        /// none (`off`).
        mode: DocumentMode = "open";
        /// Hosts or exact URLs, for `allowlist`.
        allow: Vec<String> = [];
        /// Exact URLs of documents whose publishers you trust. If such a client has a web site as redirect URI, the
        /// consent page names its publisher instead of "Unverified", and errors are redirected to it. This admits no
        /// client that `mode` does not.
        verified_publishers: Vec<String> = [
            "https://claude.ai/oauth/mcp-oauth-client-metadata",
            "https://claude.ai/oauth/claude-code-client-metadata",
            "https://chatgpt.com/oauth/client.json",
            "https://vscode.dev/oauth/client-metadata.json"
        ];
        /// Whether consent to a client of `verified_publishers` is remembered if its redirect URI is a web site. It
        /// then holds, as long as a grant can live, for later requests with the same scopes if the person is signed in
        /// and the browser comes from the publisher's own origin (`Referer`). The user is asked at any other request,
        /// and at one without `Referer`.
        remember_consent: bool = false;
        /// Largest size of a document.
        max_bytes: Bytes = 5120, 1024 to 65536;
        /// Shortest time for which a document is cached, whatever its headers say.
        min_cache: Lifetime = "5m", "10s" to "24h";
        /// Longest time for which a document is cached, whatever its headers say.
        max_cache: Lifetime = "24h", "1m" to "7d";
    }
}

table! {
    /// Limits on sizes and numbers.
    Limits at "limits" {
        /// Length of the request target (414). A `state` of 4 KiB with every character percent-encoded takes 12 KiB of
        /// it.
        request_target: Bytes = "16KiB", "1KiB" to "32KiB";
        /// Number of header fields of a request (431).
        header_fields: usize = 100, 16 to 1000;
        /// Maximum size of a request head; larger ones get 431.
        head_bytes: Bytes = "32KiB", "8KiB" to "256KiB";
        /// Size of the body of an OAuth request (413).
        oauth_body: Bytes = "64KiB", "4KiB" to "1MiB";
        /// Size of the body of a request to an upstream (413).
        mcp_body: Bytes = "4MiB", "1KiB" to "1GiB";
        /// Size of the part of the body that is buffered to compare headers and body.
        inspect_body: Bytes = "256KiB", "1KiB" to "16MiB";
        /// Size of one event of a stream.
        sse_event: Bytes = "4MiB", "1KiB" to "256MiB";
        /// Number of public connections. A tenth is kept for those on which a valid access token was presented, and for
        /// addresses that presented one within a day. If this or one of the next two limits is reached, a new
        /// connection replaces the one that has been idle for longest, and is refused if none is idle.
        connections: usize = 4096, 1 to 1000000;
        /// Number of public connections of one address: an IPv4 address or an IPv6 /64.
        connections_per_address: usize = 256, 1 to 1000000;
        /// Number of public connections of one site: an IPv4 /24 or an IPv6 /48. Never less than for one address.
        connections_per_site: usize = 1024, 1 to 1000000;
        /// Number of HTTP/2 streams of a connection.
        h2_streams: u32 = 100, 1 to 10000;
        /// Number of concurrent requests and streams of one user over all clients (429).
        streams_per_principal: usize = 200, 1 to 100000;
        /// Number of access tokens held in memory; others are read from the store when they are presented. A change
        /// needs a restart.
        tokens_in_memory: usize = 1000000, 1000 to 100000000;
    }
}

table! {
    /// Rate limits. Requests beyond them get 429 with `Retry-After`.
    Rates at "rates" {
        /// Authorization requests from one address, with bursts of three times as many. Six times as many pages and
        /// forms of sign-ins are allowed.
        authorize_per_second: u32 = 10, 1 to 1000000;
        /// Token requests of one client, with bursts of five times as many; one address may also send five times as
        /// many.
        token_per_second: u32 = 20, 1 to 1000000;
        /// Failed authentications of one client.
        client_failures_per_minute: u32 = 20, 1 to 1000000;
        /// Registrations from one address; four times as many from one IPv4 /24 or IPv6 /48, ten times as many in all.
        /// A public client that registers the same metadata again gets the same client id and does not count; nor do
        /// programs on the same computer under `mcpgate up`.
        registrations_per_hour: u32 = 100, 1 to 1000000;
        /// Metadata documents fetched from one host.
        fetches_per_host_per_minute: u32 = 10, 1 to 1000000;
        /// Requests of one user to the upstreams over all clients; 0 for no limit.
        mcp_per_second: u32 = 500, 0 to 10000000;
        /// The burst of `mcp_per_second`.
        mcp_burst: u32 = 1000, 1 to 10000000;
        /// Store reads for access tokens that are not in memory; one read looks up as many as 256 of them. While memory
        /// is being filled after a start, reads that find a valid token do not count. A change needs a restart.
        store_reads_per_second: u32 = 100, 1 to 1000000;
        /// Failed logins to an account from one network after which each further attempt must wait, longer each time.
        login_free_failures: u32 = 5, 1 to 100;
        /// Consecutive failed logins after which password login pauses for a name, except where its owner signed in
        /// before.
        login_pause_failures: u32 = 100, 10 to 1000;
    }
}

table! {
    /// Timeouts of connections, requests and streams.
    Timeouts at "timeouts" {
        /// Time for the TLS handshake.
        tls_handshake: Duration = "5s", "1s" to "60s";
        /// Time to receive the head of a request.
        request_head: Duration = "10s", "1s" to "60s";
        /// Time to receive the body of an OAuth request (408). A client that falls more than 5 s behind 1 KiB a second
        /// is cut off earlier.
        oauth_body: Duration = "10s", "1s" to "60s";
        /// Total time that the gateway waits for the body of a request to an upstream (408); a larger `limits.mcp_body`
        /// may need more. While the request holds a slot at the upstream, or a body beyond `limits.inspect_body` holds
        /// a slot for large bodies, a client that falls more than 5 s behind 1 KiB a second is cut off earlier.
        mcp_body: Duration = "30s", "1s" to "1h";
        /// How far a client may fall behind 1 KiB a second in reading an answer: a connection that reads nothing is
        /// closed after this time, one that reads too little somewhat later.
        write_stall: Duration = "30s", "1s" to "1h";
        /// How long an idle connection is kept.
        keep_alive: Duration = "60s", "1s" to "1h";
        /// The silence after which an event stream gets a comment.
        sse_keep_alive: Duration = "15s", "1s" to "1h";
        /// How long a stream may outlive its access token.
        expired_stream: Duration = "60s", "0s" to "1h";
        /// Time for requests and streams to end when the process is told to stop.
        drain: Duration = "30s", "0s" to "1h";
    }
}

table! {
    /// Retention of the audit trail.
    Audit at "audit" {
        /// Age at which rows are removed.
        keep: Lifetime = "365d", "1d" to "36500d";
        /// Size at which the oldest rows are removed. Refusals and refreshes, which are frequent, are removed first
        /// while they take more than half of it, so that strangers cannot push out what people did.
        max_bytes: Bytes = "10GiB", "16MiB" to "1024GiB";
    }
}

words! {
    /// Which metadata documents are honoured.
    DocumentMode {
        /// Any public one.
        Open = "open",
        /// Only those named.
        Allowlist = "allowlist",
        /// None at all.
        Off = "off",
    }
}

impl From<Limits> for super::policy::Limits {
    fn from(written: Limits) -> Self {
        Self {
            request_target: written.request_target.value.0,
            header_fields: written.header_fields.value,
            head_bytes: written.head_bytes.value.0,
            oauth_body: written.oauth_body.value.0,
            mcp_body: written.mcp_body.value.0,
            inspect_body: written.inspect_body.value.0,
            sse_event: written.sse_event.value.0,
            connections: written.connections.value,
            connections_per_address: written.connections_per_address.value,
            connections_per_site: written.connections_per_site.value,
            h2_streams: written.h2_streams.value,
            streams_per_principal: written.streams_per_principal.value,
            tokens_in_memory: written.tokens_in_memory.value,
        }
    }
}

impl From<Rates> for super::policy::Rates {
    fn from(written: Rates) -> Self {
        Self {
            authorize_per_second: written.authorize_per_second.value,
            token_per_second: written.token_per_second.value,
            client_failures_per_minute: written.client_failures_per_minute.value,
            registrations_per_hour: written.registrations_per_hour.value,
            exempt_loopback: false,
            fetches_per_host_per_minute: written.fetches_per_host_per_minute.value,
            mcp_per_second: written.mcp_per_second.value,
            mcp_burst: written.mcp_burst.value,
            store_reads_per_second: written.store_reads_per_second.value,
            login_free_failures: written.login_free_failures.value,
            login_pause_failures: written.login_pause_failures.value,
        }
    }
}

impl From<Timeouts> for super::policy::Timeouts {
    fn from(written: Timeouts) -> Self {
        Self {
            tls_handshake: written.tls_handshake.value,
            request_head: written.request_head.value,
            oauth_body: written.oauth_body.value,
            mcp_body: written.mcp_body.value,
            write_stall: written.write_stall.value,
            keep_alive: written.keep_alive.value,
            sse_keep_alive: written.sse_keep_alive.value,
            expired_stream: written.expired_stream.value,
            drain: written.drain.value,
        }
    }
}
