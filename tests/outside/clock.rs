//! Changes of the machine's wall clock while mcpgate runs and between two runs, and how often a request reads the
//! clocks. `clock.c` is preloaded into the process; it shifts its wall clock and counts readings, and is built with the
//! compiler that built SQLite.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::expect;
use crate::life::metric;
use crate::shared::CALLBACK;
use crate::support::application::{Application, Tokens};
use crate::support::client::Client;
use crate::support::gateway::{Home, binary};
use crate::support::upstream::Upstream;

/// The wall clock of every process that is started with this environment.
pub(crate) struct WallClock {
    shim: PathBuf,
    file: PathBuf,
}

impl WallClock {
    pub(crate) fn new(folder: &Path) -> Self {
        let shim = folder.join("clock.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside/clock.c");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([&shim, &source]).status();
        assert!(built.unwrap().success());
        let clock = Self { shim, file: folder.join("clock") };
        clock.set(0);
        clock
    }

    /// Sets the clock to this many seconds after the right time.
    pub(crate) fn set(&self, seconds: i64) {
        // Written under another name and renamed, so that a reader never sees half a number.
        let unnamed = self.file.with_extension("next");
        std::fs::write(&unnamed, seconds.to_string()).unwrap();
        std::fs::rename(unnamed, &self.file).unwrap();
    }

    pub(crate) fn environment(&self) -> [(&str, &str); 2] {
        [("LD_PRELOAD", self.shim.to_str().unwrap()), ("CLOCK_FILE", self.file.to_str().unwrap())]
    }
}

async fn is_in_doubt(home: &Home) -> bool {
    metric(home, "mcpgate_clock_in_doubt").await == 1
}

#[tokio::test]
async fn a_clock_that_is_set_ends_nothing_and_lengthens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, upstream) = (WallClock::new(folder.path()), Upstream::start());
    let home = Home::new("[tokens]\nrefresh_grace = \"1s\"", Some(upstream.url));
    let gateway = home.start_in(&clock.environment()).await;
    let application = Application::register(&gateway.home, CALLBACK).await;
    let first = application.tokens(&gateway.home).await;
    let mut client = Client::new(&gateway.home);
    let second = Tokens::from(&application.refresh(&mut client, &first.refresh).await);
    let rotated = Instant::now();
    assert_eq!(client.call("/mcp", &second.access, "rt-02").await.status, 200);
    assert!(!is_in_doubt(&gateway.home).await);

    clock.set(200 * 86_400);
    assert!(is_in_doubt(&gateway.home).await);
    let reply = client.call("/mcp", &second.access, "rt-02").await;
    expect::challenged(&reply, &gateway.home.origin(), "/mcp", Some("invalid_token"));
    expect::refused(&application.refresh(&mut client, &second.refresh).await, "invalid_grant");

    // The clock is now an hour slow, so it is still wrong; the grace is over all the same.
    clock.set(-3600);
    tokio::time::sleep_until((rotated + Duration::from_millis(1100)).into()).await;
    assert!(is_in_doubt(&gateway.home).await);
    expect::refused(&application.refresh(&mut client, &first.refresh).await, "invalid_grant");
    assert_eq!(client.call("/mcp", &second.access, "rt-02").await.status, 200, "the family is still valid");

    clock.set(0);
    assert!(!is_in_doubt(&gateway.home).await);
    let third = Tokens::from(&application.refresh(&mut client, &second.refresh).await);
    assert_eq!(client.call("/mcp", &third.access, "rt-02").await.status, 200);
}

#[tokio::test]
async fn a_clock_that_was_set_between_two_runs_is_noticed_and_can_be_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, upstream) = (WallClock::new(folder.path()), Upstream::start());
    let mut gateway = Home::new("", Some(upstream.url)).start_in(&clock.environment()).await;
    let application = Application::register(&gateway.home, CALLBACK).await;
    let first = application.tokens(&gateway.home).await;
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0));

    clock.set(-7200);
    let mut gateway = gateway.kill().start_in(&clock.environment()).await;
    assert!(is_in_doubt(&gateway.home).await);
    let mut client = Client::new(&gateway.home);
    assert_eq!(client.call("/mcp", &first.access, "rt-02").await.status, 200);
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0));

    let home = gateway.kill();
    let accepted = Command::new(binary())
        .args(["clock", "accept", "--data"])
        .arg(home.data())
        .envs(clock.environment())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&accepted.stdout);
    assert!(accepted.status.success() && said.contains("accepted 20"), "{said}");
    let gateway = home.start_in(&clock.environment()).await;
    assert!(!is_in_doubt(&gateway.home).await);
    // By the restored clock the token was issued two hours in the future, so its client has to refresh.
    let mut client = Client::new(&gateway.home);
    let reply = client.call("/mcp", &first.access, "rt-02").await;
    expect::challenged(&reply, &gateway.home.origin(), "/mcp", Some("invalid_token"));
    let second = Tokens::from(&application.refresh(&mut client, &first.refresh).await);
    assert_eq!(client.call("/mcp", &second.access, "rt-02").await.status, 200);
    let trail = gateway.home.command_text(&["audit", "tail", "-n", "100"]);
    assert_eq!(trail.matches("clock.accepted").count(), 1, "{trail}");
}

/// How often the wall clock was read, how often the monotonic clock, and how many turns the runtimes have made, as
/// `clock.c` counts it.
fn readings(counts: &Path) -> [u64; 3] {
    let bytes = std::fs::read(counts).unwrap();
    [0, 8, 16].map(|at| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap()))
}

/// The wall clock is read for the token, and by hyper in each of three polls; the monotonic clock when the request
/// comes, for the rate of its user, when its answer is complete, and when its connection is idle.
#[tokio::test]
async fn a_warm_request_reads_the_clocks_no_more_than_it_did() {
    const REQUESTS: u32 = 1000;
    let folder = tempfile::tempdir().unwrap();
    let (clock, upstream) = (WallClock::new(folder.path()), Upstream::start());
    let counts = folder.path().join("counts");
    std::fs::write(&counts, [0; 24]).unwrap();
    let [shim, _] = clock.environment();
    // The log's own thread reads the clock at its own pace.
    let home = Home::new("[log]\nfilter = \"warn\"", Some(upstream.url));
    let gateway = home.start_in(&[shim, ("CLOCK_COUNTS", counts.to_str().unwrap())]).await;
    let issued = gateway.home.command(&["token", "issue", "--user", "admin", "--upstream", "mcp"]);
    let token = issued["access_token"].as_str().unwrap();
    let mut client = Client::new(&gateway.home);
    assert_eq!(client.call("/mcp", token, "clock").await.status, 200);
    let before = readings(&counts);
    for _ in 0..REQUESTS {
        assert_eq!(client.call("/mcp", token, "clock").await.status, 200);
    }
    let after = readings(&counts);
    let each = |what: usize| f64::from(u32::try_from(after[what] - before[what]).unwrap()) / f64::from(REQUESTS);
    // tokio reads the monotonic clock four times a turn: for its timers, and for its count of busy time.
    let (wall, monotonic) = (each(0), each(1) - 4.0 * each(2));
    println!("{wall} readings of the wall clock, {monotonic} of the monotonic clock in {} turns", each(2));
    assert!(wall < 4.5 && monotonic < 4.5, "{wall} of the wall clock, {monotonic} of the monotonic clock");
}
