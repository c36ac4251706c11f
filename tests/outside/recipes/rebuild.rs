//! A gateway that is rebuilt from its files: the machine is lost, and everything that an operator decided is there
//! again.

use super::recipe::Recipe;
use crate::life::until_said;
use crate::support::client::{Client, call};
use crate::support::gateway::{Gateway, Home};
use crate::support::page::Browser;
use crate::support::password::PASSWORD;
use crate::support::upstream::Upstream;

const SECRETS: [(&str, &str); 3] = [
    ("wiki", "4d1f0b9c7e52a8360d9b8e47d2a5f0c9e1b7d84a633f6c1a"),
    ("nightly", "9e1b7d84a633f6c1a4d1f0b9c7e52a8360d9b8e47d2a5f0c"),
    ("ada", PASSWORD),
];

/// Writes the files of the page into the folder of a new machine.
fn secrets(home: &Home) {
    let folder = home.config().with_file_name("secrets");
    std::fs::create_dir(&folder).unwrap();
    for (name, secret) in SECRETS {
        std::fs::write(folder.join(name), format!("{secret}\n")).unwrap();
    }
}

/// Checks that the program gets a token with which it is served, and that a person can sign in.
async fn works(gateway: &Gateway) {
    let home = &gateway.home;
    let form = [("grant_type", "client_credentials"), ("client_id", "nightly"), ("client_secret", SECRETS[1].1)];
    let issued = Client::new(home).post_form("/token", &form).await;
    assert_eq!(issued.status, 200, "{issued:?}");
    let token = issued.json()["access_token"].as_str().unwrap().to_owned();
    let served = Client::new(home).send(call("/mcp", &token, "x")).await;
    assert_eq!(served.status, 200, "{served:?}");
    assert_eq!(home.command(&["user", "show", "ada"])["subject"], "u-1001");
    let wiki = home.command(&["client", "show", "wiki"]);
    assert_eq!((&wiki["client_name"], &wiki["upstream"]), (&"Team wiki".into(), &"notes".into()));
}

#[tokio::test]
async fn a_machine_that_is_lost_is_replaced_by_the_same_files() {
    let upstream = Upstream::start();
    for _ in 0..2 {
        // Each time with nothing but the files.
        let home = Recipe::read("rebuild").home(&upstream);
        secrets(&home);
        let gateway = home.start().await;
        works(&gateway).await;
        until_said(&gateway.home, "table.applied").await;
        let planned = gateway.home.command(&["apply", "--dry-run"]);
        assert_eq!(planned["differences"], serde_json::json!([]), "{planned}");
        let mut browser = Browser::new(&gateway.home);
        let login = browser.open("/account").await;
        let page = browser.log_in(&login, "ada", PASSWORD).await;
        assert!(page.status == 200 && page.text().contains("ada"), "{page:?}");
    }
}
