//! Faults of the machine, as its operator meets them: files that are something else, a full disk, parts that fail.

use std::fs::Permissions;
use std::io::BufRead as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::life::{until_reloads, until_said};
use crate::support::client::Client;
use crate::support::gateway::{Gateway, Home};

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
    assert_eq!(Client::new(&gateway.home).get(SERVER).await.status, 200, "what was in force stays");
    let began = Instant::now();
    gateway.signal("HUP");
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// Runs a command of mcpgate on a data folder, as `uid` if one is given; what it printed on both streams, and its code.
fn run_as(uid: Option<u32>, data: &Path, words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpgate"));
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
            let (code, said) = run_as(None, &data, &["user", "list"]);
            assert!(code == Some(1) && said.contains(mended), "{name}: {said}");
        }
        std::fs::set_permissions(&path, before).unwrap();
    }
    for name in ["mcpgate.db", "server.lock", "keys/token", "keys", "certs/ca-key.pem", "up.toml"] {
        let (path, elsewhere) = (data.join(name), data.with_file_name("elsewhere"));
        std::fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert_eq!(home.spawn().wait().unwrap().code(), Some(1), "{name} is a link");
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
    let data = outer.path().join("data");
    std::fs::create_dir(&data).unwrap();
    chmod(&data, 0o755);
    std::os::unix::fs::chown(&data, Some(USER), Some(USER)).unwrap();
    let (certs, backup) = (data.join("certs"), data.join("backup.db"));
    let (certs, backup) = (certs.to_str().unwrap(), backup.to_str().unwrap());
    let done = |uid: Option<u32>, words: &[&str]| {
        let (code, said) = run_as(uid, &data, words);
        assert_eq!(code, Some(0), "{words:?}: {said}");
    };
    done(None, &["user", "add", "ada"]);
    done(Some(USER), &["user", "list"]);
    done(None, &["db", "backup", backup]);
    done(None, &["db", "restore", backup]);
    done(None, &["db", "restore", backup]);
    done(Some(USER), &["user", "add", "grace"]);
    done(None, &["session", "revoke", "--all"]);
    let made = Command::new(env!("CARGO_BIN_EXE_mcpgate")).args(["certs", "dev", "--dir", certs]).output().unwrap();
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
    let (code, said) = run_as(None, &data, &ports);
    assert!(code == Some(1) && said.contains("run it as that user (sudo -u '#65534')"), "{said}");
    let mut served = Command::new(env!("CARGO_BIN_EXE_mcpgate"));
    served.args(ports).arg("--data").arg(&data).env_clear().uid(USER).gid(USER).current_dir("/");
    let mut served = served.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let ready = std::io::BufReader::new(served.stdout.take().unwrap()).lines().map_while(Result::ok);
    let ready = ready.take_while(|line| !line.contains("mcpgate is ready")).count();
    served.kill().unwrap();
    served.wait().unwrap();
    assert_eq!(ready, 1, "the server starts as its user");
}
