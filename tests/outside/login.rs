//! LI: passwords.

use std::io::Write as _;

use crate::expect;
use crate::shared::{self, CALLBACK};
use crate::support::application::{Application, random};
use crate::support::client::{Client, Reply};
use crate::support::gateway::{Gateway, Home};
use crate::support::page::{Browser, form_to};
use crate::support::password::PASSWORD;

/// A file that contains a password, in the home directory of the gateway.
pub(crate) fn password_file(home: &Home, password: &str) -> String {
    let path = home.config().with_file_name(format!("password-{}", random()));
    let mut file = std::fs::File::create(&path).expect("a password file");
    file.write_all(password.as_bytes()).expect("a password file");
    path.display().to_string()
}

/// Adds a user whose name begins with `prefix`.
pub(crate) fn new_user(home: &Home, prefix: &str) -> String {
    let name = format!("{prefix}-{}", &random().to_ascii_lowercase().replace(['-', '_'], "x")[..8]);
    home.command(&["user", "add", &name, "--password-file", &password_file(home, PASSWORD)]);
    name
}

async fn login_page(home: &Home) -> (Browser, Reply) {
    let application = Application::register(home, CALLBACK).await;
    let mut browser = Browser::new(home);
    let page = browser.open(&application.request(&random(), &[])).await;
    (browser, page)
}

pub(crate) async fn attempt(home: &Home, name: &str, password: &str) -> Reply {
    let (mut browser, page) = login_page(home).await;
    let mut form = form_to(&page, "/login");
    form.set("username", name);
    form.set("password", password);
    browser.submit(&form).await
}

#[tokio::test]
async fn li_02_guessing_is_slowed_down_for_the_guessers_account_only() {
    let gateway = Gateway::start().await;
    let user = new_user(&gateway.home, "li-02");
    let mut slowed = None;
    for number in 0..8 {
        let reply = attempt(&gateway.home, &user, "wrong-password").await;
        match reply.status {
            400 => {}
            429 => {
                assert!(reply.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1), "{reply:?}");
                slowed = Some(number);
                break;
            }
            status => panic!("{status}: {}", reply.text()),
        }
    }
    // The pause after the fifth is a second, which a slow machine may need for the sixth; `tests/issuer` counts
    // exactly.
    assert!(slowed.is_some_and(|free| free >= 5), "only the first attempts are not throttled: {slowed:?}");
    let (mut browser, page) = login_page(&gateway.home).await;
    assert_eq!(browser.log_in(&page, "admin", PASSWORD).await.status, 200, "other accounts are not throttled");
}

#[tokio::test]
async fn li_03_one_password_over_many_accounts_is_stopped_by_address() {
    let gateway = Gateway::start().await;
    let (mut browser, page) = login_page(&gateway.home).await;
    let mut form = form_to(&page, "/login");
    form.set("password", "Winter2026!");
    let mut stopped = false;
    for number in 0..150 {
        form.set("username", &format!("user{number}"));
        let reply = browser.submit(&form).await;
        stopped = reply.status == 429;
        if stopped {
            assert!(!reply.header("retry-after").is_empty());
            break;
        }
        assert_eq!(reply.status, 400);
    }
    assert!(stopped, "150 accounts tried from one address");
}

#[tokio::test]
async fn li_04_an_unknown_user_looks_like_a_wrong_password() {
    let gateway = Gateway::start().await;
    let (mut browser, page) = login_page(&gateway.home).await;
    let mut answers = Vec::new();
    for name in ["admin", "nobody"] {
        let mut form = form_to(&page, "/login");
        form.set("username", name);
        form.set("password", "wrong-password");
        let reply = browser.submit(&form).await;
        answers.push((reply.status, reply.text().replace(&format!("value=\"{name}\""), "value=\"NAME\"")));
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn li_08_a_set_password_link_works_once() {
    let gateway = Gateway::start().await;
    let name = new_user(&gateway.home, "li-08");
    let made = gateway.home.command(&["user", "set-password", &name, "--link"]);
    let link = made["link"].as_str().expect("a link").to_owned();
    let target =
        link.strip_prefix(&gateway.home.origin()).expect("the link's host is that of the configuration").to_owned();
    let mut browser = Browser::new(&gateway.home);
    let page = browser.open(&target).await;
    let mut form = form_to(&page, "/setup");
    for (password, status) in [("short", 400), ("password1234", 400), ("six-gulls-above-the-harbour", 303)] {
        form.set("password", password);
        form.set("repeat", password);
        assert_eq!(browser.submit(&form).await.status, status, "{password}");
    }
    expect::local(&browser.submit(&form).await);
    expect::local(&browser.open(&target).await);
    let (mut browser, page) = login_page(&gateway.home).await;
    assert_eq!(browser.log_in(&page, &name, "six-gulls-above-the-harbour").await.status, 200);
    assert_eq!(attempt(&gateway.home, &name, PASSWORD).await.status, 400, "the old password no longer works");
}

#[tokio::test]
async fn li_11_nobody_knows_a_password_of_a_new_gateway() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    let home = Home::new("", None);
    let mut child = std::process::Command::new(crate::support::gateway::binary())
        .args(["up", "--listen", &home.public.to_string(), "--operator-listen", &home.operator.to_string(), "--data"])
        .arg(&data)
        .args(["--public-url", &home.origin()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("mcpgate starts");
    home.wait_until_healthy().await;
    child.kill().expect("it can be ended");
    let output = child.wait_with_output().expect("its words");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let links = said.matches(&format!("{}/setup?link=", home.origin())).count();
    assert_eq!(links, 1, "a set-password link is shown once:\n{said}");
}

#[tokio::test]
async fn st_15_no_text_is_too_long_or_too_odd_to_be_refused_cleanly() {
    let shared = shared::gateway().await;
    let long = "'\";--\u{0}".repeat(9_000);
    for (name, password) in [("a'; DROP TABLE accounts; --", "x"), ("a\u{0}b", "x"), (&long[..400], &long[..2_000])] {
        let reply = attempt(&shared.home, name, password).await;
        assert!(matches!(reply.status, 400 | 429), "{}: {}", reply.status, reply.text());
    }
    let reply = attempt(&shared.home, &long, "x").await;
    assert_eq!(reply.status, 413, "longer than a form may be");
    let register = async |member: &str| {
        let body = serde_json::json!({"redirect_uris": [CALLBACK], member: &long[..30_000]});
        Client::new(&shared.home).post_json("/register", &body).await
    };
    for member in ["client_name", "software_id", "software_version", "scope", "client_uri"] {
        let reply = register(member).await;
        assert_eq!(reply.status, 201, "{member}: {}", reply.text());
        assert_eq!(reply.json().get(member), None, "the answer leaves out what the gateway does not support");
    }
}
