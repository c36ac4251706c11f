//! Faults of the machine, as its operator meets them: files that are something else, a full disk, parts that fail.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::life::{until_reloads, until_said};
use crate::support::client::Client;
use crate::support::gateway::Home;

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
