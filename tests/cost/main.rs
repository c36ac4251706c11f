//! What a request, a connection and an idle stream cost, in figures that do not depend on what else the machine does:
//! instructions and cache misses as callgrind counts them, system calls, bytes. `numbers.toml` has the record. A
//! failure means that a change costs more than it should, or that it saves something and the record does not say so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod callgrind;
#[cfg(test)]
#[path = "../support/costs.rs"]
mod costs;
mod lines;
mod map;
#[path = "../support/map_of_twenty.rs"]
mod map_of_twenty;
#[path = "../support/own_thread.rs"]
mod own_thread;
#[allow(dead_code, reason = "it is shared with the other tests")]
#[path = "../support/mod.rs"]
mod support;
mod upstream;

use std::io::Write as _;
use std::time::Duration;

use callgrind::Callgrind;
use costs::Costs;
use lines::{Lines, Target};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::gateway::{Gateway, Home, binary};
use tokio::sync::Mutex;
use upstream::{Ask, Round, start_upstream};

/// Room for all streams and connections, and nothing that happens only because valgrind makes the program slow. All
/// else is as users have it: the access log is written, limits are counted.
const CONFIG: &str = r#"
[limits]
connections_per_address = 4096
connections_per_site = 4096
streams_per_principal = 4096

[timeouts]
keep_alive = "1h"
request_head = "60s"
sse_keep_alive = "1h"

[[upstream]]
name = "mcp"
path = "/mcp"
max_connections = 8192
"#;

/// The bytes of an answer.
const SMALL: usize = 300;
const LARGE: usize = 16 << 10;

/// Long enough for a gateway under valgrind to have nothing left to do.
const PAUSE: Duration = Duration::from_millis(15);

/// What is asked for where nothing shall happen at the same time.
const ALONE: Ask = Ask::Bytes(SMALL, PAUSE);

/// The tolerance in percent of system calls, of which a request alone makes five.
const CALLS: f64 = 3.0;

/// The tolerance in percent of figures that also depend on where the allocator places things, or on timers.
const LOOSE: f64 = 10.0;

/// Idle streams whose memory is measured.
const STREAMS: usize = 1000;

/// One test at a time: how many connections are ready at once depends a little on how busy the machine is.
static TURN: Mutex<()> = Mutex::const_new(());

/// The build under test, the tolerance of its figures in percent, and how many rounds of many requests make them as
/// precise as that.
fn build() -> (&'static str, f64, usize) {
    let binary = binary();
    if binary == env!("CARGO_BIN_EXE_mcpgate") {
        return ("test", 5.0, 2);
    }
    if binary.ends_with("/release/mcpgate") { ("release", 5.0, 4) } else { ("dist", 2.0, 8) }
}

/// A gateway that is not running, but has its keys, and a token for it.
async fn prepare() -> (Home, String) {
    let (home, [token]) = prepare_with(|_| String::new(), ["mcp"]).await;
    (home, token)
}

/// The same with more upstreams, made with their URL, and a token for each that is named.
async fn prepare_with<const N: usize>(more: fn(&str) -> String, upstreams: [&str; N]) -> (Home, [String; N]) {
    // Both ends of all connections but those of the gateway are in this process.
    let files = Rlimit { current: getrlimit(Resource::Nofile).maximum, ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, files).unwrap();
    let url = start_upstream();
    let config = format!("{CONFIG}url = \"{url}\"\n{}", more(&url));
    let gateway = Home::new(&config, None).start().await;
    let tokens = upstreams.map(|name| {
        let issued = gateway.home.command(&["token", "issue", "--user", "admin", "--upstream", name]);
        issued["access_token"].as_str().unwrap().to_owned()
    });
    (gateway.kill(), tokens)
}

/// Makes connections one after another, each with a full handshake and so many requests.
async fn connect(target: Target<'_>, connections: usize, requests: usize) {
    for _ in 0..connections {
        // Its client is new, and has no session to resume.
        let mut line = Lines::http1(target, 1).await;
        tokio::time::sleep(PAUSE).await;
        line.ask(requests, ALONE).await;
        drop(line);
        tokio::time::sleep(PAUSE).await;
    }
}

#[tokio::test]
async fn requests_keep_to_the_record() {
    let Some(tools) = callgrind::tools() else {
        // Not `println`, of which a test that passes shows nothing.
        let note = b"note: valgrind is not installed; the cost of requests was NOT measured\n";
        return std::io::stderr().write_all(note).unwrap();
    };
    let _turn = TURN.lock().await;
    let (build, tolerance, rounds) = build();
    let mut costs = Costs::new(build, "requests", &tools);
    let (home, token) = prepare().await;
    let (gateway, mut callgrind) = Callgrind::start(home).await;
    let target = Target { home: &gateway.home, token: &token, path: "/mcp" };

    callgrind.count(true);
    let mut line = Lines::http1(target, 1).await;
    let cost = callgrind.cost_of_one(5, 50, async |n| line.ask(n, ALONE).await).await;
    costs.add("instructions_of_a_request_alone", cost.instructions, tolerance);
    costs.add("system_calls_of_a_request_alone", cost.system_calls, CALLS);
    costs.add("clock_readings_of_a_request_alone", cost.clock_readings, LOOSE);
    let cost = callgrind.cost_of_one(1, 500, async |n| line.ask(1, Ask::Events(n)).await).await;
    costs.add("instructions_of_an_event_of_a_burst", cost.instructions, tolerance);
    let cost = callgrind.cost_of_one(1, 10, async |n| connect(target, n, 0).await).await;
    costs.add("system_calls_of_a_connection", cost.system_calls, CALLS);
    let cost = callgrind.cost_of_one(1, 10, async |n| connect(target, n, 1).await).await;
    costs.add("instructions_of_a_handshake_and_a_request", cost.instructions, tolerance);

    let together = |bytes, requests| Ask::Together(bytes, Round { requests, gateway: gateway.pid() });
    callgrind.count(false);
    let mut lines = Lines::http1(target, 64).await;
    lines.ask(2, together(SMALL, 64)).await;
    callgrind.count(true);
    let cost = callgrind.cost_of_one(64, 64 * rounds, async |n| lines.ask(n / 64, together(SMALL, 64)).await).await;
    costs.add("instructions_of_a_request_on_64_connections", cost.instructions, tolerance);
    let cost = callgrind.cost_of_one(64, 64 * rounds, async |n| lines.ask(n / 64, together(LARGE, 64)).await).await;
    costs.add("instructions_of_a_request_for_16_kib", cost.instructions, tolerance);

    callgrind.count(false);
    let mut streams = Lines::http2(target, 4, 16).await;
    streams.ask(2, together(SMALL, 64)).await;
    callgrind.count(true);
    let cost = callgrind.cost_of_one(64, 64 * rounds, async |n| streams.ask(n / 64, together(SMALL, 64)).await).await;
    costs.add("instructions_of_a_request_over_http_2", cost.instructions, tolerance);

    callgrind.count(false);
    let mut crowd = Vec::new();
    for _ in 0..8 {
        crowd.push(Lines::http1(target, 64).await);
    }
    // In turns, so that what is kept for a connection is no longer in a cache when its turn comes again.
    let mut turns = (0..crowd.len()).cycle();
    let mut ask_in_turns = async |requests: usize| {
        for at in turns.by_ref().take(requests / 64) {
            crowd[at].ask(1, together(SMALL, 64)).await;
        }
    };
    ask_in_turns(512).await;
    callgrind.count(true);
    let cost = callgrind.cost_of_one(64, 512, async |requests| ask_in_turns(requests).await).await;
    // Unoptimised, a request misses eight times as often, and by a fifth more or less from run to run.
    let tolerance = if build == "test" { 25.0 } else { LOOSE };
    costs.add("cache_misses_of_a_request_on_512_connections", cost.misses, tolerance);
    costs.check();
}

/// Opens idle streams and returns the memory that the gateway has then.
async fn with_streams(gateway: &Gateway, token: &str) -> f64 {
    let mut lines = Lines::http1(Target { home: &gateway.home, token, path: "/mcp" }, STREAMS).await;
    let _streams = lines.open_streams().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    anonymous(gateway)
}

fn anonymous(gateway: &Gateway) -> f64 {
    f64::from(u32::try_from(gateway.resident_bytes()).unwrap())
}

/// Returns the memory that is left when no more goes back to the system. On a busy machine a start needs longer, and
/// streams would use again what it needed.
async fn settled(gateway: &Gateway) -> f64 {
    let mut before = f64::INFINITY;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = anonymous(gateway);
        if now >= before {
            return now;
        }
        before = now;
    }
}

#[tokio::test]
async fn idle_streams_keep_to_the_record() {
    let _turn = TURN.lock().await;
    let (build, tolerance, _) = build();
    let mut costs = Costs::new(build, "streams", &[]);
    let (home, token) = prepare().await;
    let gateway = home.start().await;
    let target = Target { home: &gateway.home, token: &token, path: "/mcp" };
    let streams = f64::from(u32::try_from(STREAMS).unwrap());
    let empty = settled(&gateway).await;
    costs.add("bytes_of_a_stream", (with_streams(&gateway, &token).await - empty) / streams, tolerance);
    let mut lines = Lines::http1(target, 64).await;
    lines.ask(80, Ask::Bytes(LARGE, Duration::ZERO)).await;
    drop(lines);
    // What the load needed goes back to the system.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after_a_load = (with_streams(&gateway, &token).await - empty) / streams;
    costs.add("bytes_of_a_stream_after_a_load", after_a_load, LOOSE);
    costs.check();
}
