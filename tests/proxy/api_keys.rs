//! AK: API keys as bearer tokens. For every refusal, the test also checks that the upstream received nothing.

use mcpgate::clock::Clock as _;
use mcpgate::oauth::{AccountId, AddressRanges, ApiKey, Grant, GrantId, GroupName, KeyDetails, Lifetime, Timestamp};
use mcpgate::store::{AuditEvent, KeyAdded, NewKey, RotateKey};

use super::client::{RawRequest, Reply};
use super::holders::limit;
use super::records;
use super::upstream::soon;
use super::world::{ADA, PING, World};

/// Stores an API key of ada, and returns it with its grant.
async fn key(world: &World, number: u8, addresses: &[&str]) -> (ApiKey, GrantId) {
    let made = world.make(super::world::MCP, "use");
    let secret = ApiKey::mint([number; 32], &world.keys);
    let new = records::key("nightly", world.clock.now());
    let addresses = AddressRanges::parse(addresses.iter().copied()).unwrap();
    let grant = Grant {
        id: GrantId([number; 16]),
        client: made.record.client,
        subject: made.record.subject,
        resource: made.record.resource,
        scopes: made.record.scopes,
        expires_at: Timestamp::NEVER,
        key: Some(Box::new(KeyDetails { addresses, ..KeyDetails::clone(new.grant.key.as_ref().unwrap()) })),
        ..new.grant
    };
    let mut access = new.access;
    access.hash = secret.hash();
    let new = NewKey { grant, access, audit: world.audit(AuditEvent::KeyCreated) };
    let KeyAdded::Added(issued) = world.store.inner.insert_key(new).await.unwrap() else { panic!("not added") };
    (secret, issued.grant.id)
}

async fn ask(world: &World, key: &ApiKey) -> Reply {
    world.ask(&RawRequest::post(PING).bearer(key.reveal())).await
}

#[tokio::test]
async fn ak_01_a_key_works_from_its_addresses_and_elsewhere_is_like_an_unknown_one() {
    let world = World::new().await;
    let (from_elsewhere, _) = key(&world, 1, &["192.0.2.0/24", "2001:db8::/32"]).await;
    let unknown = ask(&world, &ApiKey::mint([9; 32], &world.keys)).await;
    // Cold, and again when it is in memory.
    for _ in 0..2 {
        let refused = ask(&world, &from_elsewhere).await;
        assert_eq!((refused.status, &refused.body), (401, &unknown.body));
        assert_eq!(refused.field("www-authenticate"), unknown.field("www-authenticate"));
    }
    world.mcp.assert_nothing();
    for (number, addresses) in [(2, &[][..]), (3, &["192.0.2.0/24", "127.0.0.1"])] {
        let (key, _) = key(&world, number, addresses).await;
        for _ in 0..2 {
            assert_eq!(ask(&world, &key).await.status, 200, "{addresses:?}");
        }
    }
    assert!(world.mcp.last().field("authorization").is_none(), "the upstream does not see it");
}

#[tokio::test]
async fn ak_02_a_key_that_is_revoked_or_replaced_is_refused_at_once() {
    let world = World::new().await;
    let ((revoked, grant), (replaced, of_replaced)) = (key(&world, 1, &[]).await, key(&world, 2, &[]).await);
    assert_eq!((ask(&world, &revoked).await.status, ask(&world, &replaced).await.status), (200, 200));
    world.follow();
    let store = &world.store.inner;
    mcpgate::store::GrantStore::revoke_grant(&**store, grant, world.audit(AuditEvent::KeyRevoked)).await.unwrap();
    let new = ApiKey::mint([3; 32], &world.keys);
    let mut access = records::new_token("new");
    access.hash = new.hash();
    let renewal = RotateKey {
        grant: of_replaced,
        subject: None,
        access,
        hint: new.hint().to_owned(),
        expires_at: world.clock.now().plus(Lifetime::from_secs(60)),
        previous_until: None,
        audit: world.audit(AuditEvent::KeyRotated),
    };
    store.rotate_key(renewal).await.unwrap().unwrap();
    soon(async {
        while ask(&world, &revoked).await.status != 401 || ask(&world, &replaced).await.status != 401 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(ask(&world, &new).await.status, 200);
}

#[tokio::test]
async fn ak_03_a_key_may_what_its_owner_may_when_it_is_used() {
    let world = World::with(|config| limit(config, &[])).await;
    let (staff, ada) = (GroupName::parse("staff").unwrap(), AccountId::parse(ADA).unwrap());
    let (key, _) = key(&world, 1, &[]).await;
    world.follow();
    let until = async |status| {
        soon(async {
            while ask(&world, &key).await.status != status {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
    };
    assert_eq!(ask(&world, &key).await.status, 403);
    world.mcp.assert_nothing();
    let store = &world.store.inner;
    store.add_member(&staff, &ada, world.audit(AuditEvent::GroupMemberAdded)).await.unwrap();
    until(200).await;
    store.remove_member(&staff, &ada, world.audit(AuditEvent::GroupMemberRemoved)).await.unwrap();
    until(403).await;
}
