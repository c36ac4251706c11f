//! A full disk: whoever ends access still can, strangers no longer add anything, and everything goes on when there is room.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::emergency::until_refused;
use crate::machine::{limit_files, register};
use crate::shared::CALLBACK;
use crate::support::application::Application;
use crate::support::client::Client;
use crate::support::gateway::Home;
use crate::support::upstream::Upstream;

/// A small file system of its own; unmounted when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of 12 MiB; only root can.
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

    /// Fills it up to so many bytes.
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

/// Waits until a registration is answered like this.
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
    disk.fill("most", 3 << 20);
    until_registration_is(home, 503).await;
    tokens.push(application.tokens(home).await);

    disk.fill("rest", 0);
    let mut client = Client::new(home);
    assert_eq!(application.refresh(&mut client, &tokens[0].refresh).await.status, 503, "the disk is full");
    assert_eq!(client.call("/mcp", &tokens[0].access, "warm").await.status, 200);
    assert_eq!(application.revoke(&mut client, &tokens[0].refresh).await.status, 200);
    until_refused(home, &tokens[0].access).await;
    assert!(!reserve.exists(), "it was given up");
    assert_eq!(application.refresh(&mut client, &tokens[1].refresh).await.status, 503, "not for anything else");
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
    assert!(reserve.exists(), "it is kept again");
    home.command(&["user", "enable", "admin"]);
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0));
    let counted = gateway.home.command_text(&["audit", "tail", "--event", "client.registration_refused"]);
    assert!(counted.contains("counted: "), "one row says how many were refused: {counted}");
    assert_eq!(gateway.home.command(&["db", "check"])["sound"], true);
}

#[tokio::test]
async fn st_01_where_no_file_may_grow_access_is_ended_in_the_room_that_the_log_has() {
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
