//! Starts the real binary with its own data directory, as an operator does, and stops it when the test ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mcpgate::web::cookie::CookieScope;
use tempfile::TempDir;

use super::free_address::free_address;
use super::password::PASSWORD;

/// Cheap password hashes and generous rates, so that a suite is quick; a test of a rate sets its own.
pub(crate) const QUICK: &str = r#"
[login]
argon2_memory = "19MiB"
argon2_passes = 2

[rates]
authorize_per_second = 100000
token_per_second = 100000
client_failures_per_minute = 100000
registrations_per_hour = 100000
mcp_per_second = 100000
mcp_burst = 100000
"#;

/// The binary under test: the one built for the tests, or the one named by `MCPGATE_TEST_BINARY`, so that a load test
/// can run against a release build.
#[expect(clippy::disallowed_methods, reason = "the rule is for the program, not for its tests")]
pub(crate) fn binary() -> String {
    std::env::var("MCPGATE_TEST_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_mcpgate").to_owned())
}

/// A gateway that is not running.
pub(crate) struct Home {
    folder: TempDir,
    /// The address of the public listener.
    pub(crate) public: SocketAddr,
    /// The address of the operator listener.
    pub(crate) operator: SocketAddr,
    /// The upstream at `/mcp`; without it, those of the configuration or the demo.
    upstream: Option<String>,
    /// The path of its public URL; empty for none.
    pub(crate) path: &'static str,
    /// How many threads serve.
    pub(crate) workers: usize,
}

/// A running gateway; dropping it kills it.
pub(crate) struct Gateway {
    // Dropped first: the process must not outlive its data.
    process: Process,
    /// Its data, ports and configuration, for a restart.
    pub(crate) home: Home,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have exited already, as the test expected.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

impl Home {
    /// Makes a data directory and a configuration of [`QUICK`] and `config`.
    pub(crate) fn new(config: &str, upstream: Option<String>) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        std::fs::write(folder.path().join("password"), PASSWORD).expect("the password file");
        std::fs::write(folder.path().join("gateway.toml"), format!("{QUICK}\n{config}")).expect("the configuration");
        Self { folder, public: free_address(), operator: free_address(), upstream, path: "", workers: 1 }
    }

    /// Returns the issuer, with its port and path.
    pub(crate) fn origin(&self) -> String {
        format!("https://localhost:{}{}", self.public.port(), self.path)
    }

    /// The full name of one of its cookies.
    pub(crate) fn cookie(&self, name: &str) -> String {
        CookieScope::new("mcp", &self.origin()).name(name)
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("gateway.toml")
    }

    fn arguments(&self) -> Vec<String> {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let mut words = vec!["up".to_owned()];
        words.extend(self.upstream.clone());
        for (name, value) in [
            ("--data", file("data")),
            ("--config", file("gateway.toml")),
            ("--admin-password-file", file("password")),
            ("--listen", self.public.to_string()),
            ("--operator-listen", self.operator.to_string()),
            ("--public-url", self.origin()),
            ("--workers", self.workers.to_string()),
        ] {
            words.extend([name.to_owned(), value]);
        }
        words
    }

    /// Starts the process without waiting for it. Its output goes to `gateway.log` beside the data.
    pub(crate) fn spawn(&self) -> Child {
        self.spawn_in(&[])
    }

    fn spawn_in(&self, environment: &[(&str, &str)]) -> Child {
        let log = self.open_log();
        self.spawn_printing(environment, log.try_clone().expect("a second handle").into(), log)
    }

    fn spawn_printing(&self, environment: &[(&str, &str)], to: Stdio, log: std::fs::File) -> Child {
        Command::new(binary())
            .args(self.arguments())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(to)
            .stderr(log)
            .spawn()
            .expect("mcpgate starts")
    }

    fn open_log(&self) -> std::fs::File {
        std::fs::File::options().create(true).append(true).open(self.log()).expect("the log file")
    }

    /// The file with its output.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("gateway.log")
    }

    /// Waits up to 20 s until the operator listener reports that it is healthy.
    pub(crate) async fn wait_until_healthy(&self) {
        self.healthy_within(Duration::from_secs(20)).await;
    }

    async fn healthy_within(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while !super::client::is_healthy(self.operator).await {
            let said = std::fs::read_to_string(self.log()).unwrap_or_default();
            assert!(Instant::now() < deadline, "mcpgate is not healthy after {patience:?}:\n{said}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts and waits.
    pub(crate) async fn start(self) -> Gateway {
        self.start_in(&[]).await
    }

    /// Starts with these variables in the environment, and waits.
    pub(crate) async fn start_in(self, environment: &[(&str, &str)]) -> Gateway {
        let process = Process(self.spawn_in(environment));
        self.wait_until_healthy().await;
        Gateway { process, home: self }
    }

    /// Starts with this as its standard output, and does not wait.
    pub(crate) fn start_printing(self, to: impl Into<Stdio>) -> Gateway {
        let process = Process(self.spawn_printing(&[], to.into(), self.open_log()));
        Gateway { process, home: self }
    }

    /// Starts as the program of a tool, such as valgrind, which keeps the process id, and waits up to a minute.
    #[allow(dead_code, reason = "`tests/cost` uses it")]
    pub(crate) async fn start_under(self, tool: &[String]) -> Gateway {
        let [program, options @ ..] = tool else { panic!("a tool has a name") };
        let mut command = Command::new(program);
        command.args(options).arg(binary()).args(self.arguments());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(self.open_log());
        let process = Process(command.spawn().unwrap_or_else(|fault| panic!("{program}: {fault}")));
        self.healthy_within(Duration::from_secs(60)).await;
        Gateway { process, home: self }
    }

    /// Starts with at most `files` open files, and waits.
    pub(crate) async fn start_with_files(self, files: u32) -> Gateway {
        let log = std::fs::File::create(self.log()).expect("the log file");
        let mut command = Command::new("sh");
        command.args(["-c", r#"ulimit -n "$0"; exec "$@""#, &files.to_string(), &binary()]);
        command.args(self.arguments()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = Process(command.spawn().expect("a shell starts"));
        self.wait_until_healthy().await;
        Gateway { process, home: self }
    }

    /// Runs a command of mcpgate on this data and reads its JSON.
    pub(crate) fn command(&self, words: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.command_text(words)).unwrap_or(serde_json::Value::Null)
    }

    /// The same for a command that prints one JSON value per line.
    pub(crate) fn command_text(&self, words: &[&str]) -> String {
        // A command that hangs is killed, and fails by its exit code.
        let output = Command::new("timeout")
            .args(["60", &binary()])
            .args(words)
            .arg("--data")
            .arg(self.data())
            .arg("--json")
            .output()
            .expect("mcpgate runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "mcpgate {words:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Gateway {
    /// Starts a gateway with the demo upstream and [`QUICK`].
    pub(crate) async fn start() -> Self {
        Home::new("", None).start().await
    }

    /// Kills the process as `kill -9` does; its data remains.
    pub(crate) fn kill(self) -> Home {
        drop(self.process);
        self.home
    }

    /// The CPU time of the process, in steps of 10 ms.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.0.id())).expect("it runs");
        // Fields 14 and 15 of proc(5), in ticks of 10 ms; the second field ends with the last parenthesis.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// The CPU time of the process, accurate to a few milliseconds.
    pub(crate) fn fine_cpu_time(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.0.id())).expect("it runs");
        // Nanoseconds on a CPU come first (Documentation/scheduler/sched-stats.rst). A thread may have ended meanwhile.
        let spent = |task: std::io::Result<std::fs::DirEntry>| -> Option<u64> {
            let stat = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            stat.split(' ').next()?.parse().ok()
        };
        Duration::from_nanos(tasks.filter_map(spent).sum())
    }

    /// The resident memory of the process, without mapped files.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("see proc(5)");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// The output of the process so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.home.log()).expect("the log")
    }

    /// Waits up to ten seconds for the process to exit; returns its exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.process.0.try_wait().expect("the process is ours") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the gateway does not exit");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.process.0)
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.process.0.id().to_string();
        // The shell's built-in `kill`: a small system has no other.
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid]).status().expect("a shell runs");
        assert!(sent.success(), "kill -s {name}");
    }
}

/// A gateway for all tests of a binary. A static is never dropped, so a shell watches: however this process ends, the
/// pipe closes and the shell stops the gateway.
pub(crate) fn shared(config: &str, upstream: Option<String>) -> Home {
    let home = Home::new(config, upstream);
    let log = std::fs::File::create(home.log()).expect("the log file");
    let watchdog = Command::new("sh")
        .args(["-c", r#"folder=$1; shift; "$@" & cat >/dev/null; kill -9 $!; rm -rf "$folder""#, "watchdog"])
        .arg(home.folder.path())
        .arg(binary())
        .args(home.arguments())
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("a shell starts");
    std::mem::forget(watchdog);
    home
}
