//! A trusted publisher whose edge refuses this gateway: what the log says, and how an operator resolves it (CI).

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::edge::edge;
use crate::support::application::{Application, parameter, random};
use crate::support::client::{Client, request};
use crate::support::gateway::{Gateway, Home};
use crate::support::page::{Browser, form_to};

const REFUSAL: &[u8] =
    b"HTTP/1.1 403 Forbidden\r\nserver: edge\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n\
    <!DOCTYPE html><html><head><title>Just a moment...</title></head>";

/// What a request asks for: the demo's scopes but the one that is sensitive, which the page would not tick.
const SCOPE: (&str, &str) = ("scope", "mcp:read mcp:write");

/// Waits for a line of the log.
async fn logged(gateway: &Gateway, words: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let log = gateway.log();
        if let Some(line) = log.lines().find(|line| line.contains(words)) {
            return line.to_owned();
        }
        assert!(Instant::now() < deadline, "{log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

// The edge answers while a command runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ci_12_an_operator_imports_the_document_of_a_publisher_whose_edge_refuses() {
    let answer = Arc::new(Mutex::new(REFUSAL.to_vec()));
    let (port, authority) = {
        let answer = Arc::clone(&answer);
        edge(move |_| answer.lock().expect("an answer").clone()).await
    };
    let id = format!("https://localhost:{port}/client.json");
    let folder = tempfile::tempdir().expect("a folder");
    let (ca, copy) = (folder.path().join("ca.pem"), folder.path().join("client.json"));
    std::fs::write(&ca, authority).expect("the authority");
    let config = format!(
        "[outbound]\nallow_addresses = [\"127.0.0.0/8\", \"::1\"]\nextra_ca_file = \"{}\"\n\
         [client_id_metadata_documents]\nverified_publishers = [\"{id}\"]\n\
         remember_consent = true\n",
        ca.display()
    );
    let gateway = Home::new(&config, None).start().await;
    let callback = "https://client.example/cb";
    let application = Application {
        client_id: id.clone(),
        secret: None,
        redirect_uri: callback.to_owned(),
        resource: format!("{}/mcp", gateway.home.origin()),
    };
    let refused = Client::new(&gateway.home).get(&application.request(&random(), &[])).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    let line = logged(&gateway, "there is no copy").await;
    for said in ["WARN", "status 403", "Server: edge", "Just a moment...", id.as_str(), "client document import"] {
        assert!(line.contains(said), "{said} in {line}");
    }

    let document = serde_json::json!({ "client_id": id, "client_name": "Teapot", "redirect_uris": [callback] });
    std::fs::write(&copy, document.to_string()).expect("the copy");
    let imported = gateway.home.command(&["client", "document", "import", &copy.display().to_string()]);
    assert_eq!((imported["client_id"].as_str(), imported["document_source"].as_str()), (Some(&*id), Some("imported")));
    let mut browser = Browser::new(&gateway.home);
    let page = browser.ask(&application.request(&random(), &[SCOPE])).await;
    for said in ["Published by localhost", "localhost could not be reached, so this description is a copy from"] {
        assert!(page.text().contains(said), "{said} in {}", page.text());
    }
    let mut form = form_to(&page, "/consent");
    form.set("decision", "approve");
    assert!(!parameter(&browser.submit(&form).await, "code").is_empty());

    // CN-08: the approval applies to starts from the publisher's own pages, and to no others.
    let own = format!("https://localhost:{port}/");
    only_own_pages_start_silently(&mut browser, &application, &own).await;
    // The document is imported by its URL, as fetched on a machine that the edge accepts.
    let document =
        serde_json::json!({ "client_id": id, "client_name": "Kettle", "redirect_uris": [callback] }).to_string();
    let head = format!("content-type: application/json\r\ncontent-length: {}\r\n", document.len());
    *answer.lock().expect("an answer") = format!("HTTP/1.1 200 OK\r\n{head}\r\n{document}").into_bytes();
    let imported = gateway.home.command(&["client", "document", "import", &id]);
    assert_eq!((imported["client_id"].as_str(), imported["client_name"].as_str()), (Some(&*id), Some("Kettle")));
    assert_eq!(imported["document_source"].as_str(), Some("imported"));
    let stranger = request(hyper::Method::GET, &application.request(&random(), &[]), &[("referer", &own)], "");
    let answer = Client::new(&gateway.home).send(stranger).await;
    assert!(answer.header("location").starts_with("/login"), "{answer:?}");
}

async fn only_own_pages_start_silently(browser: &mut Browser, application: &Application, own: &str) {
    let frame = ("sec-fetch-dest", "iframe");
    for (fields, is_silent) in [
        (&[("referer", own), ("sec-fetch-dest", "document"), ("sec-fetch-mode", "navigate")][..], true),
        (&[("referer", own)], true),
        (&[], false),
        (&[("referer", "https://evil.example/")], false),
        (&[("referer", "https://localhost/")], false),
        (&[("referer", own), ("referer", "https://evil.example/")], false),
        (&[("referer", own), frame], false),
        (&[("referer", own), ("sec-fetch-mode", "no-cors")], false),
    ] {
        let asked = request(hyper::Method::GET, &application.request(&random(), &[SCOPE]), fields, "");
        let answer = browser.send(asked).await;
        assert_eq!(
            answer.header("location").starts_with(&application.redirect_uri),
            is_silent,
            "{fields:?}: {answer:?}"
        );
        assert_eq!(answer.status, 303, "{fields:?}");
    }
}
