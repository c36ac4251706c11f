//! Rules of metadata documents.

use mcpgate::config::MetadataDocumentMode;
use mcpgate::oauth::{ClientId, Rule};
use mcpgate::outbound::FetchError;
use serde_json::{Value, json};

use super::walk::Walk;
use crate::driver::{CALLBACK, World, caller};

fn document(n: u32) -> String {
    format!("https://app.example/{n}")
}

fn body(n: u32) -> Value {
    json!({"client_id": document(n), "client_name": "App", "redirect_uris": [CALLBACK]})
}

pub(super) async fn documents(world: &World, walk: &mut Walk) {
    let mut named = body(9);
    named["client_secret"] = json!("hunter2");
    let mut nameless = body(9);
    nameless.as_object_mut().unwrap().remove("client_name");
    for (n, rule, said) in [
        (1, Rule::DocumentNamesAnother, Some(body(8))),
        (2, Rule::DocumentWithSecret, Some(named)),
        (3, Rule::ClientNameMissing, Some(nameless)),
        (4, Rule::DocumentRefused, None),
    ] {
        match said {
            Some(mut said) => {
                if rule != Rule::DocumentNamesAnother {
                    said["client_id"] = json!(document(n));
                }
                world.fetch.serve(&document(n), &said, None, false);
            }
            None => world.fetch.fail(&document(n), FetchError::Dns),
        }
        let (id, from) = (ClientId::parse(&document(n)).unwrap(), u8::try_from(n % 100 + 100).unwrap());
        world.begin_from(&caller(from), &id, &[], None).await.unwrap_err();
        walk.expect(rule);
    }
    let id = ClientId::parse(&document(5)).unwrap();
    world.fetch.fail(&document(5), FetchError::Connect);
    world.begin_from(&caller(6), &id, &[], None).await.unwrap_err();
    walk.expect(Rule::DocumentUnreachable);
    world.reload(|config| config.metadata_documents.mode = MetadataDocumentMode::Off);
    world.begin_from(&caller(6), &id, &[], None).await.unwrap_err();
    assert!(walk.expect(Rule::DocumentNotAllowed).contains("key=\"client_id_metadata_documents.mode\""));
    world.reload(|config| config.metadata_documents.mode = MetadataDocumentMode::Allowlist(Vec::new()));
    world.begin_from(&caller(6), &id, &[], None).await.unwrap_err();
    assert!(walk.expect(Rule::DocumentNotAllowed).contains("key=\"client_id_metadata_documents.allow\""));
    world.reload(|config| config.metadata_documents.mode = MetadataDocumentMode::Open);
    for (url, key) in [
        ("https://127.0.0.1/client.json", " key=\"outbound.allow_addresses\""),
        ("https://intranet/client.json", " key=\"outbound.allow_addresses\""),
        ("https://app.example/client.json?a=b", ""),
    ] {
        world.begin_from(&caller(6), &ClientId::parse(url).unwrap(), &[], None).await.unwrap_err();
        let line = walk.expect(Rule::DocumentNotAllowed);
        assert!(line.contains(key) && line.contains(" key=") != key.is_empty(), "{line}");
    }
    limits(world, walk).await;
}

/// Limits on adding and fetching documents.
async fn limits(world: &World, walk: &mut Walk) {
    // A new document counts as a registration.
    let few = World::with(|config| {
        config.metadata_documents.mode = MetadataDocumentMode::Open;
        config.rates.registrations_per_hour = 1;
    })
    .await;
    for n in [21, 22] {
        few.fetch.serve(&document(n), &body(n), None, false);
    }
    let ids = [21, 22].map(|n| ClientId::parse(&document(n)).unwrap());
    few.begin_from(&caller(6), &ids[0], &[], None).await.unwrap();
    few.begin_from(&caller(6), &ids[1], &[], None).await.unwrap_err();
    assert!(walk.expect(Rule::TooManyDocuments).contains("key=\"rates.registrations_per_hour\""));
    // A full table is logged in one line.
    few.reload(|config| {
        config.rates.registrations_per_hour = 100;
        config.registration.max_clients = 1;
    });
    let from = caller(7);
    few.begin_from(&from, &ids[1], &[], None).await.unwrap_err();
    walk.expect(Rule::TooManyClients);
    assert_eq!(from.broken.get(), Some(&Rule::TooManyClients));
    // The number of fetches per address is limited.
    for n in 100..1000 {
        let id = ClientId::parse(&document(n)).unwrap();
        world.begin_from(&caller(8), &id, &[], None).await.unwrap_err();
        world.issuer.record_last_refusals().await;
        let last = walk.log.warnings();
        if let Some(line) = last.iter().find(|line| line.contains(Rule::TooManyDocuments.label())) {
            assert!(line.contains(&document(n)), "{line}");
            walk.seen.insert(Rule::TooManyDocuments.label());
            return;
        }
    }
    panic!("the number of fetches is not limited");
}
