//! Clients and accounts that the configuration file describes, at a start and at reloads.

use std::time::{Duration, Instant};

use hyper::StatusCode;

use crate::life::{until_reloads, until_said, write_config};
use crate::support::client::{Client, Reply};
use crate::support::gateway::{Gateway, Home};

const FIRST: &str = "3f6c1a0d9b8e47d2a5f0c9e1b7d84a63";
const SECOND: &str = "0d9b8e47d2a5f0c9e1b7d84a633f6c1a";
const TOKENS: &str = "[tokens]\nsecret_overlap = \"0s\"\n";
const ROBOT: &str = "[[client]]\nid = \"robot\"\nsecret = \"${file:secret}\"\ngrants = [\"client_credentials\"]\n\
                     scopes = [\"mcp:read\"]\n";
const WIKI: &str = "[[client]]\nid = \"wiki\"\nredirect_uris = [\"https://wiki.example.com/a\", \
                    \"https://wiki.example.com/b\"]\n";
const GRACE: &str = "[[account]]\nid = \"u-1001\"\nname = \"grace\"\npassword = \"${file:password}\"\n";

fn write_secret(home: &Home, secret: &str) {
    std::fs::write(home.config().with_file_name("secret"), format!("{secret}\n")).unwrap();
}

/// A gateway whose file has these tables.
async fn start(tables: &str) -> Gateway {
    let home = Home::new("", None);
    write_secret(&home, FIRST);
    write_config(&home, "", &format!("{TOKENS}{tables}"));
    home.start().await
}

async fn reload(gateway: &Gateway, tables: &str, count: u64) {
    write_config(&gateway.home, "", &format!("{TOKENS}{tables}"));
    gateway.signal("HUP");
    until_reloads(&gateway.home, "reloaded", count).await;
}

async fn token_of_robot(home: &Home, secret: &str) -> Reply {
    let form = [("grant_type", "client_credentials"), ("client_id", "robot"), ("client_secret", secret)];
    Client::new(home).post_form("/token", &form).await
}

async fn authorize(home: &Home, redirect: &str) -> StatusCode {
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let path = format!(
        "/authorize?client_id=wiki&response_type=code&state=s&code_challenge={challenge}&code_challenge_method=S256&\
         redirect_uri=https%3A%2F%2Fwiki.example.com%2F{redirect}"
    );
    StatusCode::from_u16(Client::new(home).get(&path).await.status).unwrap()
}

#[tokio::test]
async fn what_the_file_describes_is_there_from_the_start_and_follows_it_at_a_reload() {
    let gateway = start(&format!("{ROBOT}{WIKI}{GRACE}")).await;
    let home = &gateway.home;
    let issued = token_of_robot(home, FIRST).await;
    let token = issued.json()["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(home.command(&["user", "show", "grace"])["subject"], "u-1001");
    assert!(home.command(&["user", "list"]).as_array().unwrap().len() == 1, "no admin is made beside it");
    assert_eq!([authorize(home, "a").await, authorize(home, "b").await], [StatusCode::SEE_OTHER; 2]);
    assert_ne!(Client::new(home).call("/mcp", &token, "x").await.status, 401);
    // Another secret, a redirect URI less.
    write_secret(home, SECOND);
    let narrower = WIKI.replace(", \"https://wiki.example.com/b\"", "");
    reload(&gateway, &format!("{ROBOT}{narrower}{GRACE}"), 1).await;
    assert_eq!(token_of_robot(home, FIRST).await.status, 401);
    assert_eq!(token_of_robot(home, SECOND).await.status, 200);
    assert_eq!(
        [authorize(home, "a").await, authorize(home, "b").await],
        [StatusCode::SEE_OTHER, StatusCode::BAD_REQUEST]
    );
    // What the file asks for and cannot be is told with its line, and nothing of it is adopted.
    home.command(&["user", "add", "bob"]);
    let taken = "[[account]]\nid = \"u-7\"\nname = \"bob\"\n";
    write_config(home, "", &format!("{TOKENS}{narrower}{GRACE}{taken}"));
    gateway.signal("HUP");
    until_reloads(home, "rejected", 1).await;
    until_said(home, "[[account]] u-7: there is an account with this login name that the table has not made").await;
    assert_eq!(token_of_robot(home, SECOND).await.status, 200);
    // A command that would undo the file is refused, and one that ends access is not.
    assert_eq!(home.command(&["client", "disable", "robot"])["status"], "disabled");
    assert_eq!(Client::new(home).call("/mcp", &token, "x").await.status, 401);
    reload(&gateway, &format!("{ROBOT}{narrower}{GRACE}"), 2).await;
    assert_eq!(token_of_robot(home, SECOND).await.status, 401, "a reload does not enable it again");
    let log = std::fs::read_to_string(home.log()).unwrap();
    assert!(log.contains("table.applied") && !log.contains(FIRST) && !log.contains(SECOND), "{log}");
}

#[tokio::test]
async fn a_table_that_is_gone_is_told_at_each_start_and_removes_nothing() {
    let gateway = start(&format!("{ROBOT}{GRACE}")).await;
    reload(&gateway, GRACE, 1).await;
    until_said(&gateway.home, "the table that made this is gone").await;
    assert_eq!(token_of_robot(&gateway.home, FIRST).await.status, 200);
    let gateway = gateway.kill().start().await;
    let home = &gateway.home;
    let told = || std::fs::read_to_string(home.log()).unwrap().matches("the table that made this is gone").count();
    // The log is written a moment after the event.
    let deadline = Instant::now() + Duration::from_secs(5);
    while told() < 2 {
        assert!(Instant::now() < deadline, "{}", std::fs::read_to_string(home.log()).unwrap());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(token_of_robot(home, FIRST).await.status, 200);
    assert_eq!(home.command(&["client", "list", "--name", "robot"])[0]["file"]["gone"], true);
    reload(&gateway, &format!("{GRACE}[[client]]\nid = \"robot\"\nremoved = true\n"), 1).await;
    assert_eq!(token_of_robot(home, FIRST).await.status, 401);
}

#[tokio::test]
async fn a_start_with_a_table_that_cannot_be_is_refused_with_its_line() {
    let gateway = start("").await;
    gateway.home.command(&["user", "add", "bob"]);
    let home = gateway.kill();
    write_config(&home, "", "[[account]]\nid = \"u-7\"\nname = \"bob\"\n");
    let mut child = home.spawn();
    let status = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(78));
    let log = std::fs::read_to_string(home.log()).unwrap();
    assert!(log.contains("[[account]] u-7: there is an account with this login name"), "{log}");
}
