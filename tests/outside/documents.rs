//! CI: client ids that are URLs, as far as a stranger can test them; the dialer's own tests cover the rest.

use std::time::Duration;

use crate::expect;
use crate::shared::{CALLBACK, application};
use crate::support::application::{Application, random};
use crate::support::client::Client;
use crate::support::gateway::Home;

async fn refuses(ids: &[&str]) {
    let (shared, application) = application(CALLBACK).await;
    for id in ids {
        let reply = Client::new(&shared.home).get(&application.request(&random(), &[("client_id", id)])).await;
        assert_eq!(reply.status, 400, "{id}: {}", reply.text());
        expect::local(&reply);
        // CI-18: only the audit trail shows what the gateway learned about the host.
        for told in ["refused", "resolve", "DNS", "address", "timed out", "certificate"] {
            assert!(!reply.text().contains(told), "{id}: the page says \"{told}\"");
        }
    }
}

#[tokio::test]
async fn ci_01_what_is_no_metadata_url_is_no_client() {
    refuses(&[
        "http://c.example/client",
        "https://c.example",
        "https://c.example/",
        "https://c.example/a/../b",
        "https://c.example/./a",
        "https://c.example/a#f",
        "https://u:p@c.example/a",
        "https:/x",
        "HTTPS://c.example/a",
        "https://c.example/%2e%2e/a",
        "https://c.example/a?q=1",
    ])
    .await;
}

#[tokio::test]
async fn ci_02_ci_03_no_spelling_of_an_address_is_a_client_or_makes_the_gateway_speak_to_a_local_service() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let local = ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]"].map(|host| format!("https://{host}:{port}/client"));
    refuses(&local.each_ref().map(String::as_str)).await;
    refuses(&[
        "https://127.0.0.1/c",
        "https://10.0.0.1/c",
        "https://169.254.169.254/latest",
        "https://[::1]/c",
        "https://[fd00::1]/c",
        "https://[::ffff:127.0.0.1]/c",
        "https://0177.0.0.1/c",
        "https://0x7f000001/c",
        "https://2130706433/c",
        "https://[fe80::1%25lo]/c",
        "https://localhost/c",
        "https://c.localhost/c",
        "https://c.internal/c",
    ])
    .await;
    let heard = tokio::time::timeout(Duration::from_millis(300), listener.accept()).await;
    assert!(heard.is_err(), "the gateway connected to a loopback service");
}

#[tokio::test]
async fn ci_19_a_proxy_of_the_environment_is_not_used() {
    let listen = || async { tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener") };
    let (origin, proxy) = (listen().await, listen().await);
    let url = format!("http://{}", proxy.local_addr().expect("an address"));
    let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let home = Home::new("[outbound]\nallow_addresses = [\"127.0.0.0/8\", \"::1\"]\n", None);
    let gateway = home.start_in(&names.map(|name| (name, url.as_str()))).await;
    let application = Application::register(&gateway.home, CALLBACK).await;
    let id = format!("https://localhost:{}/client", origin.local_addr().expect("an address").port());
    let mut client = Client::new(&gateway.home);
    let asked = application.request(&random(), &[("client_id", &id)]);
    let (reply, ()) = tokio::join!(client.get(&asked), async {
        let direct = tokio::time::timeout(Duration::from_secs(5), origin.accept()).await;
        drop(direct.expect("the gateway connects to the origin itself").expect("a connection"));
    });
    assert_ne!(reply.status, 200, "the origin does not speak TLS");
    let heard = tokio::time::timeout(Duration::from_millis(100), proxy.accept()).await;
    assert!(heard.is_err(), "the gateway connected to the proxy");
}
