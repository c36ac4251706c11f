//! Faults of the machine, as its operator sees them: wrong files, a full disk, components that fail.

use std::fs::Permissions;
use std::io::BufRead as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::process::{Resource, Rlimit};

use crate::life::{until_reloads, until_said};
use crate::shared::CALLBACK;
use crate::support::application::random;
use crate::support::client::{Client, Reply};
use crate::support::gateway::{Gateway, Home};
use crate::support::upstream::Upstream;

const BINARY: &str = env!("CARGO_BIN_EXE_mcpgate");
const SERVER: &str = "/.well-known/oauth-authorization-server";

fn pipe(at: &Path) {
    mknodat(CWD, at, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

#[tokio::test]
async fn cf_07_a_reload_refuses_what_is_no_plain_file_at_once_and_a_signal_to_end_is_heard() {
    let home = Home::new("", None);
    let config = home.config();
    let mut gateway = home.start().await;
    let whole = std::fs::read_to_string(&config).unwrap();
    let secret = config.with_file_name("secret");
    let with_secret = format!("extra_hosts = [\"${{file:{}}}\"]\n{whole}", secret.display());
    let with_certificate = |file: &Path| {
        format!("{whole}[listen]\ntls = \"files\"\ncertificate = \"{0}\"\nkey = \"{0}\"\n", file.display())
    };
    let mut refused = 0;
    for make in [pipe, |at: &Path| std::fs::create_dir(at).unwrap()] {
        make(&secret);
        for text in [&with_secret, &with_certificate(&secret)] {
            std::fs::write(&config, text).unwrap();
            gateway.signal("HUP");
            refused += 1;
            until_reloads(&gateway.home, "rejected", refused).await;
        }
        let _pipe_or_folder = std::fs::remove_file(&secret).or_else(|_| std::fs::remove_dir(&secret));
        std::fs::remove_file(&config).unwrap();
        make(&config);
        gateway.signal("HUP");
        refused += 1;
        until_reloads(&gateway.home, "rejected", refused).await;
        let _pipe_or_folder = std::fs::remove_file(&config).or_else(|_| std::fs::remove_dir(&config));
    }
    until_said(&gateway.home, "it is a named pipe, not a plain file").await;
    pipe(&config);
    assert_eq!(Client::new(&gateway.home).get(SERVER).await.status, 200, "the old configuration stays in force");
    let began = Instant::now();
    gateway.signal("HUP");
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn roots_that_are_no_plain_file_hold_up_neither_the_start_nor_a_reload() {
    let home = Home::new("", None);
    let roots = home.config().with_file_name("roots");
    pipe(&roots);
    let mut gateway = home.start_in(&[("SSL_CERT_FILE", roots.to_str().unwrap())]).await;
    until_said(&gateway.home, "roots: it is a named pipe, not a plain file").await;
    gateway.signal("HUP");
    until_reloads(&gateway.home, "reloaded", 1).await;
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0));
}

#[tokio::test]
async fn a_start_that_does_not_end_hears_a_signal_to_end() {
    // Nobody reads what the server prints when it is ready: the full pipe stands for a disk that does not respond.
    let (_kept, mut full) = std::io::pipe().unwrap();
    rustix::fs::fcntl_setfl(&full, OFlags::NONBLOCK).unwrap();
    while std::io::Write::write(&mut full, &[0; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(&full, OFlags::empty()).unwrap();
    let mut gateway = Home::new("", None).start_printing(full);
    until_said(&gateway.home, "accepting connections").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0));
    assert!(began.elapsed() >= Duration::from_secs(4), "the process waits a while before it ends");
    until_said(&gateway.home, "told to stop during the start").await;
}

#[tokio::test]
async fn every_background_task_is_looked_after() {
    let home = Home::new("[log]\nfilter = \"info,mcpgate::server=debug\"\nformat = \"json\"\n", None);
    let socket = home.config().with_file_name("notify");
    let _told = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    let environment = [("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "60000000")];
    let gateway = home.start_in(&environment).await;
    for task in [
        "commands",
        "demo upstream",
        "follower",
        "operator listener",
        "public listener",
        "report of first uses",
        "store watch",
        "sweep",
        "watch for tokens that are not presented",
        "watchdog",
    ] {
        until_said(&gateway.home, &format!("\"a background task is looked after\",\"task\":\"{task}\"")).await;
    }
}

/// Runs a command of `program`, an mcpgate binary, on a data directory, as `uid` if one is given; returns what it
/// printed on both streams and its exit code.
fn run_as(program: &Path, uid: Option<u32>, data: &Path, words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(program);
    command.args(words).arg("--data").arg(data).env_clear().stdin(Stdio::null()).current_dir("/");
    if let Some(uid) = uid {
        command.uid(uid).gid(uid);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said.into_owned())
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn st_07_what_others_may_open_or_change_is_refused_with_the_command_that_mends_it() {
    let home = Gateway::start().await.kill();
    let data = home.data();
    for (name, mode, mended) in [
        (".", 0o777, "chmod go-w "),
        (".", 0o775, "chmod go-w "),
        ("keys", 0o755, "chmod 0700 "),
        ("keys/token", 0o644, "chmod 0600 "),
        ("keys/session", 0o660, "chmod 0600 "),
        ("certs", 0o777, "chmod go-w "),
        ("certs/ca-key.pem", 0o644, "chmod 0600 "),
        ("certs/server-key.pem", 0o640, "chmod 0600 "),
        ("certs/ca.pem", 0o666, "chmod go-w "),
        ("up.toml", 0o666, "chmod go-w "),
    ] {
        let path = data.join(name);
        let before = std::fs::metadata(&path).unwrap().permissions();
        chmod(&path, mode);
        let _old_log = std::fs::remove_file(home.log());
        assert_eq!(home.spawn().wait().unwrap().code(), Some(1), "{name}");
        let said = std::fs::read_to_string(home.log()).unwrap();
        assert!(said.contains(mended) && said.contains(&path.canonicalize().unwrap().display().to_string()), "{said}");
        if !name.starts_with("certs") {
            let (code, said) = run_as(Path::new(BINARY), None, &data, &["user", "list"]);
            assert!(code == Some(1) && said.contains(mended), "{name}: {said}");
        }
        std::fs::set_permissions(&path, before).unwrap();
    }
    for name in ["mcpgate.db", "server.lock", "keys/token", "keys", "certs/ca-key.pem", "up.toml"] {
        let (path, elsewhere) = (data.join(name), data.with_file_name("elsewhere"));
        std::fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert_eq!(home.spawn().wait().unwrap().code(), Some(1), "{name} is a symbolic link");
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&elsewhere, &path).unwrap();
    }
    home.start().await;
}

#[tokio::test]
async fn commands_of_root_leave_nothing_that_the_servers_user_cannot_open() {
    const USER: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can run commands in the folder of another user");
        return;
    }
    let outer = tempfile::tempdir().unwrap();
    chmod(outer.path(), 0o755);
    // Other users may have no access to the source directory, as with root's home.
    let program = outer.path().join("mcpgate");
    std::fs::copy(BINARY, &program).unwrap();
    let data = outer.path().join("data");
    std::fs::create_dir(&data).unwrap();
    chmod(&data, 0o755);
    std::os::unix::fs::chown(&data, Some(USER), Some(USER)).unwrap();
    let (certs, backup) = (data.join("certs"), data.join("backup.db"));
    let (certs, backup) = (certs.to_str().unwrap(), backup.to_str().unwrap());
    let done = |uid: Option<u32>, words: &[&str]| {
        let (code, said) = run_as(&program, uid, &data, words);
        assert_eq!(code, Some(0), "{words:?}: {said}");
    };
    done(None, &["user", "add", "ada"]);
    done(Some(USER), &["user", "list"]);
    done(None, &["db", "backup", backup]);
    done(None, &["db", "restore", backup]);
    done(None, &["db", "restore", backup]);
    done(Some(USER), &["user", "add", "grace"]);
    done(None, &["session", "revoke", "--all"]);
    let made = Command::new(BINARY).args(["certs", "dev", "--dir", certs]).output().unwrap();
    assert!(made.status.success());
    let mut folders = vec![data.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let (path, metadata) = entry.map(|entry| (entry.path(), entry.metadata().unwrap())).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (USER, USER), "{}", path.display());
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    let ports = ["up", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"];
    let (code, said) = run_as(&program, None, &data, &ports);
    assert!(code == Some(1) && said.contains("run it as that user (sudo -u '#65534')"), "{said}");
    let mut served = Command::new(&program);
    served.args(ports).arg("--data").arg(&data).env_clear().uid(USER).gid(USER).current_dir("/");
    let mut served = served.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let ready = std::io::BufReader::new(served.stdout.take().unwrap()).lines().map_while(Result::ok);
    let ready = ready.take_while(|line| !line.contains("mcpgate is ready")).count();
    served.kill().unwrap();
    served.wait().unwrap();
    assert_eq!(ready, 1, "the server starts as its user");
}

#[tokio::test]
async fn st_03_a_lost_or_emptied_store_beside_its_keys_is_refused_and_a_backup_brings_it_back() {
    let gateway = Gateway::start().await;
    let backup = gateway.home.data().with_file_name("backup.db");
    gateway.home.command(&["db", "backup", backup.to_str().unwrap()]);
    let home = gateway.kill();
    let (data, file) = (home.data(), home.data().join("mcpgate.db"));
    for lost in [false, true] {
        if lost {
            for name in ["mcpgate.db", "mcpgate.db-wal", "mcpgate.db-shm"] {
                let _absent = std::fs::remove_file(data.join(name));
            }
        } else {
            std::fs::write(&file, "").unwrap();
        }
        let _old_log = std::fs::remove_file(home.log());
        assert_eq!(home.spawn().wait().unwrap().code(), Some(1));
        let said =
            [std::fs::read_to_string(home.log()).unwrap(), run_as(Path::new(BINARY), None, &data, &["user", "list"]).1];
        let added = run_as(Path::new(BINARY), None, &data, &["user", "add", "eve"]);
        assert_eq!(added.0, Some(1), "{}", added.1);
        for said in said.iter().chain([&added.1]) {
            let why = if lost { "the store is gone" } else { "the file is empty or truncated" };
            // `user list` never creates a store, so it only reports that there is none.
            assert!(said.contains(why) || said.contains("there is no store here"), "{said}");
            assert!(said.contains("mcpgate db restore") || said.contains("there is no store here"), "{said}");
        }
        assert_eq!(file.exists(), !lost);
        home.command(&["db", "restore", backup.to_str().unwrap()]);
        assert_eq!(home.command(&["user", "list"])[0]["name"], "admin");
    }
    home.start().await;
}

pub(crate) async fn register(home: &Home) -> Reply {
    let body = serde_json::json!({
        "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none", "software_version": random(),
    });
    Client::new(home).post_json("/register", &body).await
}

/// Limits the size of the files that the process may write from now on.
pub(crate) fn limit_files(gateway: &Gateway, bytes: Option<u64>) {
    let limits = rustix::process::getrlimit(Resource::Fsize);
    let limits = Rlimit { current: bytes, maximum: limits.maximum };
    rustix::process::prlimit(Some(gateway.pid()), Resource::Fsize, limits).unwrap();
}

#[tokio::test]
async fn a_limit_on_the_size_of_files_is_a_full_disk_and_no_death() {
    let upstream = Upstream::start();
    let mut gateway = Home::new("", Some(upstream.url.clone())).start().await;
    let home = &gateway.home;
    let issued = home.command(&["token", "issue", "--user", "admin", "--upstream", "mcp"]);
    let token = issued["access_token"].as_str().unwrap();
    let log = home.data().join("mcpgate.db-wal");
    limit_files(&gateway, Some(std::fs::metadata(&log).unwrap().len() + (64 << 10)));
    let mut answers = Vec::new();
    while answers.last() != Some(&503) {
        assert!(answers.len() < 100, "{answers:?}");
        answers.push(register(home).await.status);
    }
    assert_eq!(Client::new(home).call("/mcp", token, "limited").await.status, 200);
    until_said(home, "the disk accepts no more data").await;
    limit_files(&gateway, None);
    assert_eq!(register(home).await.status, 201);
    let command = |size: &str, words: &str| {
        let script = format!("ulimit -f {size}; exec {} {words} --data {}", BINARY, home.data().display());
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = command("1", "user add grace");
    assert!(code == Some(1) && said.contains("the disk accepts no more data"), "{code:?} {said}");
    assert_eq!(command("unlimited", "user add grace").0, Some(0));
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0));
}

#[tokio::test]
async fn a_service_manager_is_told_of_start_reload_and_stop_and_its_watchdog_is_fed() {
    let home = Home::new("", None);
    let socket = home.config().with_file_name("notify");
    let told = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    told.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let environment = [("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "2000000")];
    let mut gateway = home.start_in(&environment).await;
    // Returns all messages up to the first one that begins like this.
    let until = |expected: &str| {
        let mut all = Vec::new();
        let mut message = [0; 512];
        loop {
            let length = told.recv(&mut message).unwrap_or_else(|why| panic!("{expected}: {why} after {all:?}"));
            all.push(String::from_utf8_lossy(&message[..length]).into_owned());
            if all.last().unwrap().starts_with(expected) {
                return all;
            }
        }
    };
    until("READY=1\n");
    assert!(until("WATCHDOG=1\n").len() + until("WATCHDOG=1\n").len() == 2, "unexpected messages between the two");
    // A refused configuration also ends the reload.
    for text in ["", "unknown = 1\n"] {
        let whole = std::fs::read_to_string(gateway.home.config()).unwrap();
        std::fs::write(gateway.home.config(), format!("{text}{whole}")).unwrap();
        gateway.signal("HUP");
        let reloading = until("RELOADING=1\n").pop().unwrap();
        assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
        until("READY=1\n");
    }
    gateway.signal("TERM");
    let stopping = until("STOPPING=1\n").pop().unwrap();
    assert!(stopping.contains("\nEXTEND_TIMEOUT_USEC=40000000\n"), "{stopping}");
    assert_eq!(gateway.ended().await, Some(0));
}
