//! A full disk: access can still be revoked, strangers can no longer write anything, and the gateway recovers when
//! there is room.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::emergency::until_refused;
use crate::machine::{limit_files, register};
use crate::shared::CALLBACK;
use crate::support::application::{Application, Tokens};
use crate::support::client::{Client, ask_operator};
use crate::support::gateway::{Gateway, Home};
use crate::support::page::{Browser, form_to};
use crate::support::upstream::Upstream;

/// A small file system of its own, unmounted on drop.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts a file system of 12 MiB; this needs root.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=12m,mode=700", "tmpfs"]).arg(at).output();
        let is_mounted = mounted.is_ok_and(|output| output.status.success());
        if !is_mounted {
            println!("skipped: only root can mount a small file system, and not in every container");
        }
        is_mounted.then(|| Self(at.to_owned()))
    }

    fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(&self.0).unwrap();
        found.f_bavail * found.f_frsize
    }

    /// Fills the file system until this many bytes are in use.
    fn fill(&self, name: &str, leave: u64) {
        let mut file = File::create(self.0.join(name)).unwrap();
        for size in [65_536, 512] {
            let bytes = vec![b'x'; size];
            while self.free() > leave && file.write_all(&bytes).is_ok() {}
        }
    }

    fn empty(&self, name: &str) {
        std::fs::remove_file(self.0.join(name)).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        let _left = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

/// Waits until a registration is answered with this status.
async fn until_registration_is(home: &Home, status: u16) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while register(home).await.status != status {
        assert!(Instant::now() < deadline, "{}", std::fs::read_to_string(home.log()).unwrap());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn st_01_on_a_full_disk_access_is_ended_and_strangers_add_nothing() {
    let home = Home::new("", Some(Upstream::start().url));
    let Some(disk) = SmallDisk::mount(&home.data()) else { return };
    let mut gateway = home.start().await;
    let home = &gateway.home;
    let reserve = home.data().join("reserve");
    assert_eq!(std::fs::metadata(&reserve).unwrap().len(), 2 << 20);
    let application = Application::register(home, CALLBACK).await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(application.tokens(home).await);
    }
    let stolen = application.tokens(home).await;
    let mut renewed = Tokens::from(&application.refresh(&mut Client::new(home), &stolen.refresh).await);
    renewed = Tokens::from(&application.refresh(&mut Client::new(home), &renewed.refresh).await);
    disk.fill("most", 3 << 20);
    until_registration_is(home, 503).await;
    tokens.push(application.tokens(home).await);

    disk.fill("rest", 0);
    let mut client = Client::new(home);
    assert_eq!(application.refresh(&mut client, &tokens[0].refresh).await.status, 503, "the disk is full");
    assert_eq!(client.call("/mcp", &tokens[0].access, "warm").await.status, 200);
    assert_eq!(application.revoke(&mut client, &tokens[0].refresh).await.status, 200);
    until_refused(home, &tokens[0].access).await;
    assert!(!reserve.exists(), "the reserve still exists");
    assert_eq!(application.refresh(&mut client, &stolen.refresh).await.status, 400, "reuse");
    until_refused(home, &renewed.access).await;
    assert_eq!(
        application.refresh(&mut client, &tokens[1].refresh).await.status,
        503,
        "only revocations may use the reserve"
    );
    let listed = home.command(&["session", "list"]);
    let id = listed[0]["id"].as_str().unwrap();
    home.command(&["session", "revoke", "--id", id]);
    until_refused(home, &tokens[3].access).await;
    home.command(&["client", "disable", &application.client_id]);
    home.command(&["user", "disable", "admin"]);
    until_refused(home, &tokens[1].access).await;

    disk.empty("most");
    disk.empty("rest");
    until_registration_is(home, 201).await;
    assert!(reserve.exists(), "the reserve was not created again");
    home.command(&["user", "enable", "admin"]);
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0));
    let counted = gateway.home.command_text(&["audit", "tail", "--event", "client.registration_refused"]);
    assert!(counted.contains("counted: "), "no row with the number of refusals: {counted}");
    assert_eq!(gateway.home.command(&["db", "check"])["sound"], true);
}

#[tokio::test]
async fn where_no_file_may_grow_access_is_ended_in_the_room_that_the_log_has() {
    let gateway = Home::new("", Some(Upstream::start().url)).start().await;
    let home = &gateway.home;
    let application = Application::register(home, CALLBACK).await;
    let tokens = application.tokens(home).await;
    let log = home.data().join("mcpgate.db-wal");
    limit_files(&gateway, Some(std::fs::metadata(&log).unwrap().len() + (64 << 10)));
    until_registration_is(home, 503).await;
    assert_eq!(application.revoke(&mut Client::new(home), &tokens.refresh).await.status, 200);
    until_refused(home, &tokens.access).await;
    limit_files(&gateway, None);
    until_registration_is(home, 201).await;
}

/// Reads how many revocations are in force but not stored.
pub(crate) async fn unstored(home: &Home) -> u64 {
    let metrics = ask_operator(home.operator, "/metrics", &[]).await.unwrap().text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("mcpgate_store_unstored_revocations "));
    line.unwrap().parse().unwrap()
}

pub(crate) async fn until_stored(home: &Home) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while unstored(home).await > 0 {
        assert!(Instant::now() < deadline, "the revocation is never stored");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Fills the disk so that no file can grow and the WAL cannot restart.
pub(crate) fn fill_up(gateway: &Gateway) {
    limit_files(gateway, Some(1));
}

#[tokio::test]
async fn rv_05_a_revocation_that_the_disk_does_not_take_is_in_force_and_answered_503() {
    let gateway = Home::new("", Some(Upstream::start().url)).start().await;
    let home = &gateway.home;
    let application = Application::register(home, CALLBACK).await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(application.tokens(home).await);
    }
    let mut client = Client::new(home);
    for tokens in &tokens {
        assert_eq!(client.call("/mcp", &tokens.access, "before").await.status, 200);
    }
    fill_up(&gateway);
    for _ in 0..2 {
        let answer = application.revoke(&mut client, &tokens[0].refresh).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "5"));
        assert_eq!(answer.member("error"), "temporarily_unavailable");
        assert!(answer.member("error_description").starts_with("in force, but not yet stored"), "{}", answer.text());
        assert_eq!(client.call("/mcp", &tokens[0].access, "after").await.status, 401);
    }
    assert_eq!(application.refresh(&mut client, &tokens[0].refresh).await.status, 503, "a refresh needs a write");
    assert_eq!(application.revoke(&mut client, &tokens[1].access).await.status, 503);
    assert_eq!(client.call("/mcp", &tokens[1].access, "after").await.status, 401);
    assert_eq!(client.call("/mcp", &tokens[2].access, "another").await.status, 200);
    assert_eq!(unstored(home).await, 2);

    limit_files(&gateway, None);
    until_stored(home).await;
    assert_eq!(application.revoke(&mut client, &tokens[0].refresh).await.status, 200);
    assert_eq!(application.refresh(&mut client, &tokens[0].refresh).await.status, 400);
    let gateway = gateway.kill().start().await;
    let mut client = Client::new(&gateway.home);
    for (tokens, status) in tokens.iter().zip([401, 401, 200]) {
        assert_eq!(client.call("/mcp", &tokens.access, "again").await.status, status);
    }
}

#[tokio::test]
async fn a_code_or_refresh_token_that_is_used_again_on_a_full_disk_ends_its_grant() {
    let gateway = Home::new("", Some(Upstream::start().url)).start().await;
    let home = &gateway.home;
    let application = Application::register(home, CALLBACK).await;
    let mut browser = Browser::new(home);
    let authorized = application.authorize(&mut browser).await;
    let replayed = Tokens::from(&application.redeem(&mut browser.client, &authorized).await);
    let mut client = Client::new(home);
    let first = application.tokens(home).await;
    let second = Tokens::from(&application.refresh(&mut client, &first.refresh).await);
    let third = Tokens::from(&application.refresh(&mut client, &second.refresh).await);
    let held = [&replayed.access, &third.access];
    for access in held {
        assert_eq!(client.call("/mcp", access, "before").await.status, 200);
    }
    fill_up(&gateway);
    let answer = application.redeem(&mut client, &authorized).await;
    assert_eq!((answer.status, answer.member("error").as_str()), (400, "invalid_grant"));
    let answer = application.refresh(&mut client, &first.refresh).await;
    assert_eq!((answer.status, answer.member("error").as_str()), (400, "invalid_grant"));
    for access in held {
        assert_eq!(client.call("/mcp", access, "after").await.status, 401);
    }
    assert_eq!(application.redeem(&mut client, &authorized).await.status, 503, "no grant is left to revoke");
    assert_eq!(unstored(home).await, 2);
    limit_files(&gateway, None);
    until_stored(home).await;
    let gateway = gateway.kill().start().await;
    assert_eq!(Client::new(&gateway.home).call("/mcp", held[0], "again").await.status, 401);
    let rows = gateway.home.command_text(&["audit", "tail"]);
    assert!(rows.contains("code.replayed") && rows.contains("refresh.reused"), "{rows}");
}

#[tokio::test]
async fn a_person_who_signs_out_on_a_full_disk_is_told_that_it_is_not_saved() {
    let gateway = Home::new("", Some(Upstream::start().url)).start().await;
    let home = &gateway.home;
    let application = Application::register(home, CALLBACK).await;
    let mut browser = Browser::new(home);
    let authorized = application.authorize(&mut browser).await;
    let tokens = Tokens::from(&application.redeem(&mut browser.client, &authorized).await);
    let mut form = form_to(&browser.open("/account").await, "/logout");
    form.set("everywhere", "1");
    let cookies = browser.cookies.clone();
    fill_up(&gateway);
    let page = browser.submit(&form).await;
    assert_eq!((page.status, page.header("retry-after")), (503, "5"));
    assert!(page.text().contains("Done, but not yet saved"), "{}", page.text());
    let name = home.cookie("session");
    assert!(!browser.cookies.contains_key(&name), "{name}: {:?}", browser.cookies);
    assert_eq!(Client::new(home).call("/mcp", &tokens.access, "after").await.status, 401);
    browser.cookies = cookies;
    assert!(!browser.open("/account").await.text().contains("action=\"/logout\""), "the session has ended");
    limit_files(&gateway, None);
    until_stored(home).await;
}
