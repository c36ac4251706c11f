//! A gateway under callgrind, which counts instructions, simulates caches and lists system calls.

use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::gateway::{Gateway, Home};

/// Caches of the same size on every machine (bytes, ways, bytes of a line): a core's own, and its share of the last
/// level on a small virtual machine.
const CACHES: [&str; 3] = ["--I1=32768,8,64", "--D1=32768,8,64", "--LL=524288,16,64"];

/// Features of processors by which the code for cryptography and copies is chosen.
const FEATURES: [&str; 5] = ["avx2", "bmi2", "adx", "sha_ni", "avx512f"];

/// Time for what a request leaves to do when its answer has arrived: its line in the log, timers.
const REST: Duration = Duration::from_millis(300);

/// The instruments of a running gateway.
pub(crate) struct Callgrind {
    pid: String,
    folder: TempDir,
    /// The length of the list of system calls when the count began.
    read: usize,
}

/// What the worker did, which is the thread that did most.
#[derive(Debug)]
pub(crate) struct Spent {
    /// Outside the kernel.
    pub(crate) instructions: f64,
    /// Instructions, reads and writes that missed the last level of the caches.
    pub(crate) misses: f64,
    /// Without readings of the clock, which need the kernel only under valgrind. Without waits for events either, which
    /// are more if they come one by one on a busy machine, nor the wake-up (a number written to an eventfd) that the
    /// worker sends itself if it sets a deadline earlier than the one that it waited for.
    pub(crate) system_calls: f64,
    pub(crate) clock_readings: f64,
}

impl Callgrind {
    /// Starts a gateway; nothing is counted yet.
    pub(crate) async fn start(home: Home) -> (Gateway, Self) {
        let folder = TempDir::new().unwrap();
        let file = |option: &str, name: &str| format!("{option}={}", folder.path().join(name).display());
        let options = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--cache-sim=yes", "--dump-line=no"];
        let options = options.into_iter().chain(CACHES).chain(["--separate-threads=yes", "--trace-syscalls=yes"]);
        let files = [file("--callgrind-out-file", "counts"), file("--log-file", "calls")];
        let tool: Vec<_> = options.map(str::to_owned).chain(files).collect();
        let gateway = home.start_under(&tool).await;
        let pid = format!("--pid={}", gateway.pid().as_raw_nonzero());
        (gateway, Self { pid, folder, read: 0 })
    }

    /// Begins or ceases to count instructions. Without that the program runs several times as fast.
    pub(crate) fn count(&self, on: bool) {
        self.order(&["instrumentation", if on { "on" } else { "off" }]);
    }

    /// Returns what a unit of work costs: the difference between a run of `units` and one of twice as many. `run` has
    /// the number of units. A run of `least` precedes both, because idle connections to the upstream may have ended.
    pub(crate) async fn cost_of_one(&mut self, least: usize, units: usize, mut run: impl AsyncFnMut(usize)) -> Spent {
        let (short, long) = (self.run(least, units, &mut run).await, self.run(least, 2 * units, &mut run).await);
        let each = |n: usize| (long[n] - short[n]) / f64::from(u32::try_from(units).unwrap());
        Spent { instructions: each(0), misses: each(1), system_calls: each(2), clock_readings: each(3) }
    }

    /// Returns the instructions of a unit, and its share of what happens once in a run: to compare with each other.
    pub(crate) async fn gross_cost(&mut self, least: usize, units: usize, mut run: impl AsyncFnMut(usize)) -> f64 {
        let [instructions, ..] = self.run(least, units, &mut run).await;
        instructions / f64::from(u32::try_from(units).unwrap())
    }

    /// Counts a run of `units`, after one of `least`.
    async fn run(&mut self, least: usize, units: usize, run: &mut impl AsyncFnMut(usize)) -> [f64; 4] {
        run(least).await;
        self.forget().await;
        run(units).await;
        self.counts().await
    }

    /// Begins anew to count.
    async fn forget(&mut self) {
        tokio::time::sleep(REST).await;
        self.order(&["zero"]);
        self.read = self.calls().len();
    }

    fn calls(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("calls")).unwrap()
    }

    /// Returns what [`Spent`] has, in its order.
    async fn counts(&self) -> [f64; 4] {
        tokio::time::sleep(REST).await;
        self.order(&["dump"]);
        let [instructions, misses] = self.take_counts();
        let list = self.calls();
        // The result of a call that may block has a line of its own.
        let lines = list[self.read..].lines().filter(|line| !line.contains(" ... [async] --> "));
        let mut threads: HashMap<&str, [f64; 2]> = HashMap::new();
        let is_wait = |line: &str| line.contains(" sys_epoll_wait") || line.contains(" sys_epoll_pwait");
        let is_waking = |line: &str| line.contains(" sys_write ") && line.contains(", 8 )");
        for line in lines.filter(|line| !is_wait(line) && !is_waking(line)) {
            if let Some((thread, call)) = line.strip_prefix("SYSCALL[").and_then(|call| call.split_once(']')) {
                let is_clock = call.contains(" sys_clock_gettime");
                threads.entry(thread).or_default()[usize::from(is_clock)] += 1.0;
            }
        }
        let [calls, clock] = threads.into_values().max_by(|one, other| one[0].total_cmp(&other[0])).unwrap_or_default();
        [instructions, misses, calls, clock]
    }

    /// Reads and removes the files of counts, one for each thread.
    fn take_counts(&self) -> [f64; 2] {
        let files = std::fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().path());
        // The first file, without a number, stays empty.
        let files: Vec<_> = files.filter(|file| file.to_string_lossy().contains("/counts.")).collect();
        let counts = files.iter().filter_map(|file| {
            let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
            std::fs::remove_file(file).unwrap();
            let words = |name| text.lines().find_map(|line| Some(line.strip_prefix(name)?.split_ascii_whitespace()));
            let names: Vec<_> = words("events:")?.collect();
            let totals: Vec<f64> = words("totals:")?.map(|total| total.parse().unwrap()).collect();
            let total = |name| totals[names.iter().position(|event| *event == name).unwrap()];
            // A thread that did nothing has no other totals.
            (totals.len() == names.len()).then(|| [total("Ir"), total("ILmr") + total("DLmr") + total("DLmw")])
        });
        counts.max_by(|one, other| one[0].total_cmp(&other[0])).expect("a thread that ran")
    }

    fn order(&self, words: &[&str]) {
        let done = Command::new("vgdb").arg(&self.pid).args(words).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

/// Returns the version of valgrind and the processor that it shows to programs; `None` where it is not installed.
pub(crate) fn tools() -> Option<[(&'static str, String); 2]> {
    let valgrind = Command::new("valgrind").arg("--version").output().ok()?;
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = flags.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let has = FEATURES.into_iter().filter(|feature| flags.split(' ').any(|flag| flag == *feature));
    let processor = [std::env::consts::ARCH].into_iter().chain(has).collect::<Vec<_>>().join(" ");
    Some([("valgrind", String::from_utf8_lossy(&valgrind.stdout).trim().to_owned()), ("processor", processor)])
}
