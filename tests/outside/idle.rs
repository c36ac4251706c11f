//! An idle gateway lets the machine sleep, and still sees what other processes change.

use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::emergency::{run, until_refused};
use crate::shared::CALLBACK;
use crate::support::application::Application;
use crate::support::client::Client;
use crate::support::gateway::{Gateway, Home};
use crate::support::upstream::Upstream;

/// The maximum number of system calls per second.
const MOST: u64 = 5;

/// Counts the system calls of all threads of a gateway within `span`. `None` where they cannot be traced.
async fn system_calls(gateway: &Gateway, span: Duration) -> Option<u64> {
    let file = gateway.home.config().with_file_name("calls");
    let pid = gateway.pid().as_raw_nonzero().to_string();
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-p", &pid, "-o"]).arg(&file).stdin(Stdio::null()).stderr(Stdio::null());
    let mut counting = command.spawn().ok()?;
    tokio::time::sleep(span).await;
    kill_process(Pid::from_child(&counting), Signal::INT).ok()?;
    counting.wait().ok()?;
    let table = std::fs::read_to_string(file).ok()?;
    println!("{table}");
    let total = table.lines().find(|line| line.ends_with(" total"))?;
    // Columns: share, seconds, microseconds per call, calls.
    total.split_ascii_whitespace().nth(3)?.parse().ok()
}

#[tokio::test]
async fn an_idle_gateway_makes_five_system_calls_a_second_at_most() {
    let gateway = Home::new("", Some(Upstream::start().url)).start().await;
    let application = Application::register(&gateway.home, CALLBACK).await;
    let tokens = application.tokens(&gateway.home).await;
    assert_eq!(Client::new(&gateway.home).call("/mcp", &tokens.access, "idle").await.status, 200);
    // Wait until the use of the token is written and idle connections and threads are gone, but end before the first
    // sweep.
    tokio::time::sleep(Duration::from_secs(34)).await;
    let span = Duration::from_secs(16);
    match system_calls(&gateway, span).await {
        Some(calls) => assert!(calls <= MOST * span.as_secs(), "{calls} in {span:?}"),
        None => println!("note: strace is not installed or not allowed; system calls were NOT counted"),
    }
}

#[tokio::test]
async fn what_a_command_writes_to_the_store_itself_is_in_force_within_the_time_that_is_promised() {
    let gateway = Home::new("", Some(Upstream::start().url)).start().await;
    let home = &gateway.home;
    let application = Application::register(home, CALLBACK).await;
    for _ in 0..3 {
        let tokens = application.tokens(home).await;
        assert_eq!(Client::new(home).call("/mcp", &tokens.access, "before").await.status, 200);
        // Without its socket the command cannot reach the server, and writes to the store.
        let _gone = std::fs::remove_file(home.data().join("server.socket"));
        let (code, said) = run(&["session", "revoke", "--user", "admin", "--data", home.data().to_str().unwrap()]);
        assert_eq!(code, Some(0), "{said}");
        until_refused(home, &tokens.access).await;
    }
}
