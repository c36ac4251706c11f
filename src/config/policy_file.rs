//! The keys for lifetimes, accounts, clients, limits, rates and timeouts. The defaults follow OAuth 2.1, NIST SP
//! 800-63B and RFC 9106 where these name numbers.

use std::path::PathBuf;
use std::time::Duration;

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
        /// Refresh tokens that are not used.
        refresh_idle: Lifetime = "30d", "1h" to "90d";
        /// Refresh tokens in all, however often they are used: then their user must consent again.
        refresh_absolute: Lifetime = "90d", "1h" to "365d";
        /// How long the preceding refresh token may be tried again: it gets the same refresh token and a new access
        /// token. Clients refresh twice at once; `0s` does not allow for it.
        refresh_grace: Lifetime = "30s", "0s" to "120s";
        /// How long after a refresh a client that lost the answer may ask for it again, with the preceding refresh token: as
        /// long as nobody has used the new one or an access token that came with it. It gets the same refresh token, and the
        /// access tokens of the lost answer are void. In every other case after the grace, the preceding refresh token ends
        /// the sign-in. `0s` is strict: users of clients that lose an answer sign in again.
        refresh_lost_answer: Lifetime = "24h", "0s" to "7d";
        /// How long the secret that a rotation replaces is still honoured. Never more than two are: one that an earlier
        /// rotation replaced ends with the next. A shorter time acts on secrets that are replaced already from the next
        /// start on.
        secret_overlap: Lifetime = "24h", "0s" to "7d";
    }
}

table! {
    /// Accounts, their sessions, and consent.
    Login at "login" {
        /// Sessions that are not used.
        session_idle: Lifetime = "1h", "1m" to "30d";
        /// Sessions in all.
        session_absolute: Lifetime = "24h", "1m" to "90d";
        /// Time to log in and decide.
        interaction: Lifetime = "10m", "1m" to "1h";
        /// One-time links to set the first password of an account.
        setup_link: Lifetime = "1h", "1m" to "7d";
        /// One-time links to set a new password in the place of one: they open an account that is in use.
        reset_link: Lifetime = "10m", "1m" to "1d";
        /// Shortest password, in characters.
        min_password: usize = 12, 8 to 128;
        /// Password computations at once, in all; each needs `argon2_memory`. One of several is kept for people who sign in
        /// from a network where they signed in before. A change needs a restart.
        hash_slots: usize = 2, 1 to 64;
        /// Memory of a password computation (RFC 9106). Accounts move to a new value as they log in.
        argon2_memory: Bytes = "64MiB", "19MiB" to "1GiB";
        /// Passes of a password computation.
        argon2_passes: u32 = 3, 2 to 20;
        /// The name on the pages.
        product_name: String = "mcpgate";
        /// Your logo on the pages: a PNG or SVG file of at most 64 KiB, shown 28 pixels high. The gateway serves it itself, so
        /// nobody else learns who signs in. Reread on reload.
        logo: PathBuf = none;
        /// Where people get help, an https URL. The pages link to it and to the two below.
        support_url: String = none;
        /// Your statement on privacy, an https URL.
        privacy_url: String = none;
        /// Your terms of use, an https URL.
        terms_url: String = none;
    }
}

table! {
    /// Dynamic client registration (RFC 7591), for clients that know nothing newer.
    Registration at "registration" {
        /// Whether anybody may register a client; if not, `/register` answers 401.
        enabled: bool = true;
        /// Private-use schemes that no redirect URI may have (`["myapp"]`), beside those that none may have in any case:
        /// those that IANA lists as permanent, and those of browsers and operating systems.
        refused_schemes: Vec<String> = [];
        /// Exact redirect URIs that are taken although `refused_schemes` names their scheme.
        extra_redirect_uris: Vec<String> = [];
        /// Clients of a tenant, at most.
        max_clients: u64 = 10000, 1 to 10000000;
        /// A registration that is never used is removed after this.
        unused_after: Lifetime = "24h", "1h" to "90d";
    }
}

table! {
    /// Clients whose id is the https URL of their metadata (Client ID Metadata Documents).
    Documents at "client_id_metadata_documents" {
        /// Whether any public URL (`open`), those of `allow` (`allowlist`) or none (`off`) is honoured.
        mode: DocumentMode = "open";
        /// Hosts, or exact URLs, for `allowlist`.
        allow: Vec<String> = [];
        /// Exact URLs of documents whose publishers you trust to be who they are. Where such a client is answered at a site,
        /// the consent page names its publisher instead of "Unverified", and errors go to it by redirect. This admits no
        /// client that `mode` does not.
        verified_publishers: Vec<String> = [
            "https://claude.ai/oauth/mcp-oauth-client-metadata",
            "https://claude.ai/oauth/claude-code-client-metadata",
            "https://chatgpt.com/oauth/client.json",
            "https://vscode.dev/oauth/client-metadata.json"
        ];
        /// Whether consent to a client of `verified_publishers` is remembered, where a site gets its answer. It then stands
        /// for later requests with the same scopes, for as long as a grant can live, where somebody is signed in and the
        /// browser comes from the publisher's own origin (`Referer`). Any other start asks, and so does one that does not
        /// say where it comes from.
        remember_consent: bool = false;
        /// Maximum size of a document.
        max_bytes: Bytes = 5120, 1024 to 65536;
        /// A document is kept at least so long, whatever it says.
        min_cache: Lifetime = "5m", "10s" to "24h";
        /// A document is kept at most so long, whatever it says.
        max_cache: Lifetime = "24h", "1m" to "7d";
    }
}

table! {
    /// Sizes and numbers, at most.
    Limits at "limits" {
        /// Request target (414). A `state` of 4 KiB whose every character is percent-encoded takes 12 KiB of it.
        request_target: Bytes = "16KiB", "1KiB" to "32KiB";
        /// Header fields of a request (431).
        header_fields: usize = 100, 16 to 1000;
        /// Head of a request in all (431).
        head_bytes: Bytes = "32KiB", "8KiB" to "256KiB";
        /// Body of an OAuth request (413).
        oauth_body: Bytes = "64KiB", "4KiB" to "1MiB";
        /// Body of a request to an upstream (413).
        mcp_body: Bytes = "4MiB", "1KiB" to "1GiB";
        /// Part of it that is held back to compare headers and body.
        inspect_body: Bytes = "256KiB", "1KiB" to "16MiB";
        /// One event of a stream.
        sse_event: Bytes = "4MiB", "1KiB" to "256MiB";
        /// Public connections in all. A tenth is kept for those on which a good access token was shown, and for addresses
        /// where one was shown within a day. Where this or one of the next two is reached, a new connection takes the place
        /// of the one that has been idle for longest, and is refused if none is idle.
        connections: usize = 4096, 1 to 1000000;
        /// Public connections of one address: an IPv4 address or an IPv6 /64.
        connections_per_address: usize = 256, 1 to 1000000;
        /// Public connections of one site: an IPv4 /24 or an IPv6 /48. Never less than for one address.
        connections_per_site: usize = 1024, 1 to 1000000;
        /// HTTP/2 streams of a connection.
        h2_streams: u32 = 100, 1 to 10000;
        /// Requests and streams of one user at once, whatever the client (429).
        streams_per_principal: usize = 200, 1 to 100000;
        /// Access tokens held in memory; more are read from the store as they come. A change needs a restart.
        tokens_in_memory: usize = 1000000, 1000 to 100000000;
    }
}

table! {
    /// Rates; what comes faster is answered 429 with Retry-After.
    Rates at "rates" {
        /// Authorization requests of one address; three times as many in a burst. Of the pages and forms of a
        /// sign-in six times as many.
        authorize_per_second: u32 = 10, 1 to 1000000;
        /// Token requests of one client; five times as many in a burst, and from one address.
        token_per_second: u32 = 20, 1 to 1000000;
        /// Failed authentications of one client.
        client_failures_per_minute: u32 = 20, 1 to 1000000;
        /// Registrations from one address; four times as many from one IPv4 /24 or IPv6 /48, ten times as many in all. A public
        /// client that registers the same metadata again gets the same client id and does not count; nor do programs on
        /// the same computer under `mcpgate up`.
        registrations_per_hour: u32 = 100, 1 to 1000000;
        /// Metadata documents fetched from one host.
        fetches_per_host_per_minute: u32 = 10, 1 to 1000000;
        /// Requests of one user to the upstreams, whatever the client; 0 for no limit.
        mcp_per_second: u32 = 500, 0 to 10000000;
        /// The same, in a burst.
        mcp_burst: u32 = 1000, 1 to 10000000;
        /// Reads of the store for access tokens that memory does not know; one read looks for up to 256 of them. Those that find
        /// a good one while memory is being filled after a start do not count. A change needs a restart.
        store_reads_per_second: u32 = 100, 1 to 1000000;
        /// Failed logins to an account from one network before each next one must wait, longer each time.
        login_free_failures: u32 = 5, 1 to 100;
        /// Failed logins in a row after which password login pauses for a name, except where its owner signed in before.
        login_pause_failures: u32 = 100, 10 to 1000;
    }
}

table! {
    /// Timeouts of connections, requests and streams.
    Timeouts at "timeouts" {
        /// Time for a TLS handshake.
        tls_handshake: Duration = "5s", "1s" to "60s";
        /// Head of a request.
        request_head: Duration = "10s", "1s" to "60s";
        /// Body of an OAuth request, in all (408). One that falls more than 5 s behind 1 KiB a second is given up earlier.
        oauth_body: Duration = "10s", "1s" to "60s";
        /// Body of a request to an upstream: how long the gateway waits for the client in all (408); a larger `limits.mcp_body`
        /// may need longer. While the request holds a place at the upstream, or a body beyond `limits.inspect_body` one of
        /// those for large bodies, a client that falls more than 5 s behind 1 KiB a second is given up earlier.
        mcp_body: Duration = "30s", "1s" to "1h";
        /// How far a client may fall behind 1 KiB a second in taking an answer: one that takes nothing is closed after this,
        /// one that takes too little somewhat later.
        write_stall: Duration = "30s", "1s" to "1h";
        /// An idle connection.
        keep_alive: Duration = "60s", "1s" to "1h";
        /// A silent event stream gets a comment after this.
        sse_keep_alive: Duration = "15s", "1s" to "1h";
        /// A stream may outlive its access token by this.
        expired_stream: Duration = "60s", "0s" to "1h";
        /// Time for streams to end when the process is told to stop.
        drain: Duration = "30s", "0s" to "1h";
    }
}

table! {
    /// How much of the audit trail is kept.
    Audit at "audit" {
        /// Rows that are older are removed.
        keep: Lifetime = "365d", "1d" to "36500d";
        /// Bytes of rows, at most; beyond that the oldest are removed. Refusals and refreshes, which come by the thousand, go
        /// first while they take more than half of it, so that strangers do not push out what people did.
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
