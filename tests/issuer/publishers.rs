//! Verified publishers: clients whose document stands at an exact URL that the operator trusts.

use mcpgate::issuer::{AuthorizeRejection, ConsentView, Identity, Step, View};
use mcpgate::oauth::ClientId;

use super::driver::*;

const DOCUMENT: &str = "https://app.example/client.json";
const SITE: &str = "https://app.example/cb";

fn id() -> ClientId {
    ClientId::parse(DOCUMENT).unwrap()
}

fn document(url: &str, name: &str) -> serde_json::Value {
    serde_json::json!({ "client_id": url, "client_name": name, "redirect_uris": [SITE, LOOPBACK, "teapot:/cb"] })
}

async fn world(verified: &[&str]) -> World {
    let world = World::with(|config| {
        config.metadata_documents.verified_publishers = verified.iter().map(|url| (*url).to_owned()).collect();
    })
    .await;
    world.account("ada").await;
    world.fetch.serve(DOCUMENT, &document(DOCUMENT, "Teapot"), None, false);
    world
}

async fn page(world: &World, client: &ClientId, redirect: &str) -> ConsentView {
    let mut browser = world.browser(client, &[("redirect_uri", redirect)]).await;
    assert!(matches!(world.log_in(&mut browser, "ada").await, Step::Consent));
    let View::Consent(page) = world.issuer.view(&browser, &caller(1)).await.unwrap() else { panic!("consent") };
    *page
}

#[tokio::test]
async fn cn_10_a_publisher_is_verified_by_the_exact_url_and_for_a_site_only() {
    let world = world(&[DOCUMENT]).await;
    assert_eq!(page(&world, &id(), SITE).await.identity, Identity::Published("app.example".to_owned()));
    for local in [LOOPBACK, "teapot:/cb"] {
        assert_eq!(page(&world, &id(), local).await.identity, Identity::OnThisComputer, "{local}");
    }
    // The same host is not enough: others may publish there.
    let other = "https://app.example/another.json";
    world.fetch.serve(other, &document(other, "Teapot"), None, false);
    assert_eq!(page(&world, &ClientId::parse(other).unwrap(), SITE).await.identity, Identity::Unverified);
    world.reload(|config| config.metadata_documents.verified_publishers.clear());
    assert_eq!(page(&world, &id(), SITE).await.identity, Identity::Unverified);
}

#[tokio::test]
async fn rg_05_a_program_on_this_computer_has_the_host_of_its_document() {
    for (url, name, expected) in [
        ("https://evil.example/c.json", "Claude", Some("Claude")),
        ("https://claude.ai/c.json", "Claude Code", None),
        ("https://claude.ai/c.json", "Cl\u{430}ude Code", Some("Claude")),
        ("https://app.example/c.json", "Teapot", None),
    ] {
        let world = world(&[]).await;
        world.fetch.serve(url, &document(url, name), None, false);
        let page = page(&world, &ClientId::parse(url).unwrap(), LOOPBACK).await;
        assert_eq!(page.looks_like.as_deref(), expected, "{name} described at {url}");
    }
}

#[tokio::test]
async fn an_error_goes_to_a_verified_publisher_by_redirect() {
    for (verified, redirected) in [(&[DOCUMENT][..], true), (&[], false)] {
        let world = world(verified).await;
        for redirect in [SITE, "teapot:/cb"] {
            let asked = [("redirect_uri", redirect), ("prompt", "none")];
            let refused = world.begin(&id(), &asked, None).await;
            match refused {
                Err(AuthorizeRejection::Redirect(location)) if redirected => {
                    assert!(location.starts_with(redirect) && location.contains("error=login_required"), "{location}");
                }
                Err(AuthorizeRejection::Unsolicited { .. }) if !redirected => {}
                other => panic!("{redirect}: {other:?}"),
            }
        }
    }
}
