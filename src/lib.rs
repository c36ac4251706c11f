//! mcpgate: an auth gateway in front of MCP servers.
//!
//! The map, lower layers first. A module names only lower layers, those listed before it, and of them only what its row
//! in `LAYERS` of `tests/tidy/layers.rs` allows; `docs/architecture.md` has the reasons, `docs/glossary.md` the words.
//! The head of each module says what it is for, what it is not for, and where to start in it.
//!
//! Values and texts, pure: what the rules work with.
//! - `time`: moments and lifetimes.
//! - `tenant`: which tenant a record belongs to.
//! - `strict_json`: JSON that all parsers read alike.
//!
//! Rules, pure functions of values and `now`.
//! - `oauth`: OAuth 2.1: requests, clients, grants, codes, tokens, redirect URIs, error codes.
//! - `mcp`: the parts of a JSON-RPC message that the gateway reads, lists in answers, definitions of tools, routing
//!   headers, revisions.
//! - `policy`: what scopes, rules and what users left out allow, and what may be done without a token; who may hold a
//!   token; what limits count.
//!
//! Ground: what all groups listed after it may use.
//! - `sync`: locks that stay usable after a panic, and work repeated on a thread of its own.
//! - `network`: host, network and site of an address, by which limits are counted.
//! - `files`: reading files within bounds, and writing private ones.
//! - `clock`: the time, and whether it can be trusted.
//! - `entropy`: random bytes.
//! - `data_dir`: the data directory: what is in it, whether it may be used, its keys.
//! - `config`: from `gateway.toml` and the command line to a checked configuration.
//! - `cipher_suites`: the cipher suites of TLS, and their order.
//! - `trust`: root certificates and TLS towards others.
//! - `telemetry`: events, counters, the log.
//! - `web`: HTTP as both faces use it: bodies, cookies, replies, the peer's address; the common parts of pages
//!   (`web/pages`).
//!
//! State and IO.
//! - `store`: what outlives the process: the schema (`migrations`), the traits, the embedded store, the model that
//!   tests compare it with.
//! - `outbound`: fetching documents from URLs that others name.
//! - `catalogue`: what upstreams offer, as learnt from their answers, and which of their tools are pinned.
//! - `token_cache`: everything that a request with a known access token needs, in memory.
//!
//! Use cases.
//! - `issuer`: the authorization server without HTTP, and what operators do to it (`administration`).
//!
//! Faces. Neither knows the other.
//! - `proxy`: requests to upstreams.
//! - `endpoints`: OAuth and its pages, a file per first segment of the path; the templates are in `endpoints/pages`.
//!
//! Assembly.
//! - `demo`: the built-in upstream.
//! - `server`: listeners, connections, workers; starts, reloads and ends the process.
//! - `cli`: the command line.
//!
//! # Two walks
//!
//! A request with a bearer token: `server/connection/listener.rs` accepts, `server/connection/serve.rs` speaks TLS and
//! HTTP, `server/dispatch.rs` finds its route. In `proxy/mod.rs`, `answer` is the order of everything that follows:
//! `authenticate.rs` asks `token_cache`, `accept.rs` takes the caller (or one without a token, where that is allowed),
//! `budget.rs` counts, `message.rs` reads the JSON-RPC message, `request_session.rs` checks its session, `verdict.rs`
//! asks the rules (`policy`) about the message and `permit.rs` takes its word, `call_limits.rs` counts it, `headers.rs`
//! builds the head for the upstream (`cached_principal.rs` has the values of the `X-Mcpgate-` fields),
//! `proxy/upstream/pool.rs` sends it, `proxy/response/deliver.rs` and `proxy/response/relay.rs` bring the answer back,
//! through `proxy/response/rewrite` where there are rules, which leaves out of lists what the caller may not use. A
//! reload or a revocation ends answers that go on (`proxy/response/open_streams.rs`). Every refusal of a stage is a row
//! of `proxy/rejection.rs`, every fault of an upstream a row of `proxy/fault.rs`; what scopes and rules refuse is also
//! counted for the audit trail (`proxy/refused_operations.rs`), which `server/refusal_keeper.rs` writes.
//!
//! An authorization code at `/token`: `server/dispatch.rs` hands over to `endpoints/mod.rs`, `endpoints/token.rs` reads
//! the form, `issuer/token/request.rs` authenticates the client, has `oauth/token.rs` parse the parameters and
//! dispatches by grant type, `issuer/token/authorization_code.rs` prepares the redemption. In one transaction,
//! `store/embedded/rows/codes.rs` finds the row, has `store/redemption.rs` decide (by the rules of `oauth/code.rs`),
//! and writes the effect. The new token then enters `token_cache`.
//!
//! # Where something new goes
//!
//! - A grant type: `oauth/grant_type.rs` (metadata and commands follow; its test names the text that lists them), its
//!   parameters in `oauth/token.rs`, a file in `issuer/token`, chosen in `issuer/token/request.rs`. What a client may
//!   register without a code is up to `oauth/client_reader.rs`.
//! - A kind of bearer token: `recognise_bearer` in `oauth/api_key.rs`.
//! - An identity header: `proxy/headers.rs`, its value in `proxy/cached_principal.rs`. If the token does not have that
//!   yet, also `token_cache/entry.rs` and `AccessTokenRecord` in `oauth/token.rs`, which `store/issuance.rs` makes and
//!   `store/embedded/rows/tokens.rs` reads. `docs/upstreams.md`.
//! - A refusal: of a request to an upstream, `proxy/rejection.rs` (a fault of the upstream, `proxy/fault.rs`); of one
//!   to the authorization server, `oauth/rule.rs` (unreadable input and pages, `endpoints/rejection.rs` and
//!   `endpoints/error_page.rs`); before a route is known, `server/request_refusal.rs`. `docs/errors.md` explains all.
//! - A page: a file in `endpoints`, its path in `endpoints/routes.rs`, chosen in `endpoints/mod.rs`, its template in
//!   `endpoints/page.rs` and `endpoints/pages`, within the layout of `web/pages`, a new first segment in
//!   `config/reserved_path.rs`. What it does: a method in `issuer`.
//! - A table: `store/migrations` and its line in `store/migrate.rs`, its SQL in `store/embedded/rows`, methods of a
//!   trait (as `store/grant_store.rs`), which `store/embedded/stores` and `store/memory` implement and
//!   `tests/support/every_method.rs` lists. When its rows go: `store/embedded/file/sweep.rs`; what a restore ends:
//!   `store/embedded/file/backup_mark.rs`; what `db check` reads: `store/embedded/file/check.rs`. A row of it in
//!   `tests/store_contract/embedded/schemas.rs`, which writes the store of the new schema. `docs/storage-schema.md`.
//! - A limit: its key in `config/policy_file.rs` and `config/policy.rs`, and in `gateway.toml.example`; counted in
//!   `issuer/limits` (authorization server), `proxy/budget.rs` (users at upstreams), `proxy/call_limits.rs` (operations
//!   of an upstream; `server/quota_keeper.rs` stores those of a day), `proxy/fair_slots.rs` (slots at an upstream),
//!   `server/connection` (connections), `token_cache/reading.rs` (reads for unknown tokens) or `outbound/budget.rs`
//!   (fetches).
//!
//! # Where a test goes
//!
//! A case of `docs/threat-model.md` is tested in the layer that owns its rule, and at most once more, in
//! `tests/outside` or `tests/clients`. The names of these tests begin with the id of the case; `tests/threat_model.rs`
//! checks that. A test that shows something else (an audit row, the words of a page) has no id.
//! - A rule of OAuth or MCP: beside it, or `tests/oauth`.
//! - Order of steps, refusals and limits of the authorization server, audit rows: `tests/issuer`; actions of operators:
//!   `tests/administration.rs`.
//! - What is stored, concurrent operations, and crashes: `tests/store_contract`, for every store.
//! - OAuth over HTTP and its pages: `tests/endpoints`.
//! - Requests to upstreams and their answers, identity headers, refusals, limits of users and of unknown tokens:
//!   `tests/proxy`.
//! - Keys of the configuration: `tests/configuration`; fetched documents: `tests/outbound.rs`; properties of every
//!   input: `tests/properties.rs`; rules for the code: `tests/tidy`. The demo upstream: `tests/demo.rs`; allocations of
//!   a request: `tests/allocations.rs`.
//! - The process: sockets, requests before a route is known, signals, files, load: `tests/outside`; commands:
//!   `tests/cli`; what a request, a connection and a stream cost: `tests/cost`.
//! - Other people's clients, browsers and proxies: `tests/clients`.
//! - What a golden file of `tests/golden` lists: `MCPGATE_BLESS=1` writes it anew.

// An awaited future is part of the one that awaits it, unless it is boxed; `.clippy.toml` has the limit.
#![warn(clippy::large_futures)]

// The unit tests of the store share records with `tests/store_contract`, which name the crate.
#[cfg(test)]
extern crate self as mcpgate;

pub mod catalogue;
pub mod cipher_suites;
pub mod cli;
pub mod clock;
pub mod config;
pub mod data_dir;
pub mod demo;
pub mod endpoints;
pub mod entropy;
pub mod files;
pub mod issuer;
pub mod mcp;
pub mod network;
pub mod oauth;
pub mod outbound;
pub mod policy;
pub mod proxy;
pub mod server;
pub mod store;
pub mod strict_json;
pub mod sync;
pub mod telemetry;
pub mod tenant;
pub mod time;
pub mod token_cache;
pub mod trust;
pub mod web;
