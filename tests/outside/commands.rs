//! Commands that revoke access reach the running server over a socket: immediately, on a full disk too, and for its
//! owner only.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::emergency::{run, until_refused};
use crate::full_disk::{fill_up, unstored, until_stored};
use crate::life::until_said;
use crate::machine::limit_files;
use crate::shared::CALLBACK;
use crate::support::application::Application;
use crate::support::client::Client;
use crate::support::gateway::Home;
use crate::support::upstream::Upstream;

const QUESTION: &str =
    r#"{"version":1,"tenant":"default","withdraw":{"sessions":{"user":null,"client":null,"upstream":null}}}"#;

fn socket(home: &Home) -> PathBuf {
    home.data().join("server.socket")
}

/// Runs a command on the data directory; returns its exit code and the JSON that it printed, on either stream.
fn ask(home: &Home, words: &[&str]) -> (Option<i32>, Value) {
    let data = home.data();
    let (code, said) = run(&[words, &["--json", "--data", data.to_str().unwrap()]].concat());
    (code, serde_json::from_str(&said).unwrap_or_else(|_| panic!("{words:?}: {said}")))
}

/// Writes to the socket and returns the answer, which is empty if the server does not reply.
fn exchange(path: &Path, line: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The server may have closed the connection already.
    let _sent = stream.write_all(line.as_bytes());
    let mut answer = String::new();
    let _end = stream.read_to_string(&mut answer);
    answer
}

#[tokio::test]
async fn au_03_commands_take_access_away_on_a_full_disk_and_exit_75_until_it_is_stored() {
    let gateway = Home::new("", Some(Upstream::start().url)).start().await;
    let home = &gateway.home;
    let (first, second) = (Application::register(home, CALLBACK).await, Application::register(home, CALLBACK).await);
    let tokens = [first.tokens(home).await, first.tokens(home).await, second.tokens(home).await];
    let mut client = Client::new(home);
    fill_up(&gateway);
    let (_, listed) = ask(home, &["session", "list", "--client", &first.client_id]);
    let revoked = ask(home, &["session", "revoke", "--id", listed[0]["id"].as_str().unwrap()]);
    assert_eq!((revoked.0, &revoked.1["exit_status"], &revoked.1["in_force"]), (Some(75), &75.into(), &true.into()));
    assert_eq!(revoked.1["stored"], false);
    assert!(revoked.1["error"].as_str().unwrap().contains("in force at once, but not yet stored"), "{revoked:?}");
    assert_eq!(client.call("/mcp", &tokens[1].access, "revoked").await.status, 401, "the newest is listed first");
    assert_eq!(client.call("/mcp", &tokens[0].access, "another").await.status, 200);
    for _ in 0..2 {
        assert_eq!(
            ask(home, &["client", "disable", &second.client_id]).0,
            Some(75),
            "the answer is the same until the change is stored"
        );
        assert_eq!(client.call("/mcp", &tokens[2].access, "disabled").await.status, 401);
    }
    let missing = ask(home, &["user", "disable", "nobody"]);
    assert_eq!((missing.0, missing.1["error"].as_str().unwrap()), (Some(1), "no account \"nobody\""));
    assert_eq!(ask(home, &["user", "disable", "admin"]).0, Some(75));
    assert_eq!(client.call("/mcp", &tokens[0].access, "disabled").await.status, 401);
    assert_eq!(unstored(home).await, 3);
    assert_eq!(ask(home, &["user", "show", "admin"]).1["status"], "enabled", "the stored status can still be read");

    limit_files(&gateway, None);
    until_stored(home).await;
    assert_eq!(ask(home, &["user", "disable", "admin"]).0, Some(0));
    assert_eq!(ask(home, &["client", "disable", &second.client_id]).0, Some(0));
    let rows = home.command_text(&["audit", "tail", "--event", "account.disabled"]);
    assert!(rows.lines().count() == 1 && rows.contains("\"operator\""), "{rows}");
    let gateway = gateway.kill().start().await;
    let mut client = Client::new(&gateway.home);
    for tokens in &tokens {
        assert_eq!(client.call("/mcp", &tokens.access, "again").await.status, 401);
    }
}

#[tokio::test]
async fn nothing_is_written_beside_a_server_that_holds_what_is_not_stored() {
    let gateway = Home::new("", Some(Upstream::start().url)).start().await;
    let home = &gateway.home;
    let tokens = Application::register(home, CALLBACK).await.tokens(home).await;
    fill_up(&gateway);
    assert_eq!(ask(home, &["user", "disable", "admin"]).0, Some(75));
    // Longer than the interval between two attempts of the server; nothing reads the store meanwhile.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let writing: [&[&str]; 5] = [
        &["user", "enable", "admin"],
        &["user", "add", "bob"],
        &["token", "issue", "--user", "admin"],
        &["client", "add", "--name", "Known", "--redirect-uri", CALLBACK],
        &["user", "enable", "admin"],
    ];
    for words in writing {
        let (code, said) = ask(home, words);
        let said = said["error"].as_str().unwrap_or_default();
        assert!(
            code == Some(1) && said.starts_with("a running server holds revocations"),
            "{words:?} {code:?}: {said}"
        );
    }
    limit_files(&gateway, None);
    until_stored(home).await;
    assert_eq!(ask(home, &["user", "show", "admin"]).1["status"], "disabled");
    for words in writing {
        let (code, said) = ask(home, words);
        assert_eq!(code, Some(0), "{words:?}: {said}");
    }
    assert_eq!(ask(home, &["user", "show", "admin"]).1["status"], "enabled", "the last change counts");
    assert_eq!(Client::new(home).call("/mcp", &tokens.access, "ended").await.status, 401);
}

#[tokio::test]
async fn what_a_command_has_ended_is_refused_at_once() {
    let gateway = Home::new("", Some(Upstream::start().url)).start().await;
    let home = &gateway.home;
    let application = Application::register(home, CALLBACK).await;
    let mut client = Client::new(home);
    for _ in 0..10 {
        let tokens = application.tokens(home).await;
        assert_eq!(client.call("/mcp", &tokens.access, "before").await.status, 200);
        let answer = exchange(&socket(home), &format!("{QUESTION}\n"));
        assert_eq!(client.call("/mcp", &tokens.access, "after").await.status, 401, "{answer}");
    }
}

#[tokio::test]
async fn the_socket_of_commands_is_made_anew_and_says_what_is_in_its_place() {
    let mut home = Home::new("", Some(Upstream::start().url));
    let path = socket(&home);
    std::fs::create_dir_all(&path).unwrap();
    for folder in [home.data(), path.clone()] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let gateway = home.start().await;
    until_said(&gateway.home, &format!("rm -r {}", path.display())).await;
    std::fs::remove_dir(&path).unwrap();
    for _ in 0..2 {
        until_socket(&path).await;
        std::fs::remove_file(&path).unwrap();
    }
    home = gateway.kill();
    let _none = std::fs::remove_file(&path);
    std::os::unix::fs::symlink("/run/elsewhere", &path).unwrap();
    let (code, said) = run(&["user", "list", "--data", home.data().to_str().unwrap()]);
    assert!(code != Some(0) && said.contains("not a socket"), "{said}");
    assert!(said.contains(&format!("rm {}", path.display())), "{said}");
}

async fn until_socket(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while UnixStream::connect(path).is_err() {
        assert!(Instant::now() < deadline, "there is no socket");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn the_socket_of_commands_comes_and_goes_with_the_server_and_understands_only_commands() {
    let gateway = Home::new("", Some(Upstream::start().url)).start().await;
    let path = socket(&gateway.home);
    let found = std::fs::symlink_metadata(&path).unwrap();
    assert!(found.file_type().is_socket() && found.permissions().mode() & 0o777 == 0o600);
    for (line, said) in [
        ("GET / HTTP/1.1", "does not understand"),
        ("{}", "does not understand"),
        (&QUESTION.replace("\"user\"", "\"more\":1,\"user\""), "does not understand"),
        (&QUESTION.replace("\"version\":1", "\"version\":1,\"version\":1"), "does not understand"),
        (&QUESTION.replace("default", "No Tenant"), "does not know this tenant"),
        (&QUESTION.replace(":1,", ":2,"), "uses version 1, not 2"),
        (&"x".repeat(16 << 10), "does not understand"),
        // A missing member must not be read as "all users" or "all clients".
        (&QUESTION.replace("\"user\":null,\"client\":null", ""), "does not understand"),
        (&QUESTION.replace(",\"client\":null", ""), "does not understand"),
        (&QUESTION.replace("\"user\":null,", ""), "does not understand"),
        (QUESTION, "{\"done\":{\"sessions\":0}}"),
    ] {
        let answer = exchange(&path, &format!("{line}\n"));
        assert!(answer.contains(said), "{line:.80}: {answer}");
    }
    // A socket that a killed server left behind is not a running server.
    let home = gateway.kill();
    assert!(path.exists());
    home.command(&["user", "disable", "admin"]);
    let mut gateway = home.start().await;
    let application = Application::register(&gateway.home, CALLBACK).await;
    gateway.home.command(&["user", "enable", "admin"]);
    let tokens = application.tokens(&gateway.home).await;
    gateway.home.command(&["client", "delete", &application.client_id, "--yes"]);
    until_refused(&gateway.home, &tokens.access).await;
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0));
    assert!(!path.exists());
}

#[tokio::test]
async fn a_server_that_does_not_answer_does_not_keep_access_from_being_taken_away() {
    let home = Home::new("", Some(Upstream::start().url)).start().await.kill();
    std::fs::remove_file(socket(&home)).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(socket(&home)).unwrap();
    let data = home.data();
    let (code, said) = run(&["user", "disable", "admin", "--data", data.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("chmod 0600 {}", socket(&home).display())), "{said}");
    std::fs::set_permissions(socket(&home), std::fs::Permissions::from_mode(0o600)).unwrap();
    let hung_up = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let (code, said) = run(&["user", "disable", "admin", "--data", data.to_str().unwrap()]);
    assert!(code == Some(0) && said.contains("The running server did not do it"), "{said}");
    hung_up.join().unwrap();
    assert_eq!(home.command(&["user", "show", "admin"])["status"], "disabled");
}

#[tokio::test]
async fn another_user_is_not_heard_at_the_socket_even_if_everybody_may_open_it() {
    const TARGET: &str = "MCPGATE_TEST_SOCKET";
    const NAME: &str = "commands::another_user_is_not_heard_at_the_socket_even_if_everybody_may_open_it";
    if let Some(target) = std::env::var_os(TARGET) {
        assert_eq!(exchange(Path::new(&target), &format!("{QUESTION}\n")), "");
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can run a program as another user");
        return;
    }
    let gateway = Home::new("", Some(Upstream::start().url)).start().await;
    let home = &gateway.home;
    let application = Application::register(home, CALLBACK).await;
    let tokens = application.tokens(home).await;
    let data = home.data();
    for (path, mode) in [(socket(home).as_path(), 0o666), (&data, 0o755), (data.parent().unwrap(), 0o755)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    // The socket is in a directory that everyone may enter.
    let program = data.parent().unwrap().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let other = Command::new(&program)
        .args(["--exact", NAME, "--nocapture"])
        .env(TARGET, socket(home))
        .uid(65_534)
        .gid(65_534)
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&other.stdout);
    assert!(other.status.success() && said.contains("1 passed"), "{said}");
    until_said(home, "it comes from user 65534, who is neither root nor the user of this server").await;
    assert_eq!(Client::new(home).call("/mcp", &tokens.access, "still").await.status, 200);
}
