//! Rules of clients that act for people who are absent.

use mcpgate::oauth::{ClientOrigin, Rule};
use mcpgate::store::GrantFilter;

use super::walk::Walk;
use crate::acting::Acting;
use crate::signing_key::SigningKey;

pub(super) async fn acting(walk: &mut Walk) {
    let acting = Acting::new().await;
    let ada = acting.member("ada").await;
    let by_stranger = SigningKey::ed25519().sign("k", &acting.grant_claims("ada", "1"));
    let by_another = acting.key.sign("k", &crate::assertions::claims(&acting.world, &ada_client(), "1"));
    let bad = "eyJhbGciOiJub25lIn0.e30.hunter2-hunter2".to_owned();
    for (rule, text) in [
        (Rule::GrantAssertionMalformed, bad),
        (Rule::GrantAssertionRefused, by_another),
        (Rule::GrantAssertionSignature, by_stranger),
    ] {
        acting.present(&text, &[]).await.unwrap_err();
        let line = walk.expect(rule);
        assert!(!line.contains(&text), "{line}");
    }
    acting.ask("ada", "2", &[]).await.unwrap();
    acting.ask("ada", "2", &[("scope", "sales:read")]).await.unwrap_err();
    walk.expect(Rule::GrantAssertionReplayed);
    acting.ask("eve", "3", &[]).await.unwrap_err();
    let line = walk.expect(Rule::ActingForNobody);
    assert!(!line.contains("eve"), "names are of no use in a log: {line}");
    let theirs = GrantFilter::of_account(&mcpgate::oauth::TenantId::default(), &ada);
    acting.world.inner().revoke_grants(&theirs, acting.world.row()).await.unwrap();
    acting.ask("ada", "4", &[]).await.unwrap_err();
    walk.expect(Rule::ActingEnded);
    acting.without_assertion().await.unwrap_err();
    walk.expect(Rule::GrantAssertionMissing);
    let unmarked = Acting::marked_for_nobody().await;
    assert_eq!(unmarked.client.origin, ClientOrigin::Manual);
    unmarked.ask("ada", "1", &[]).await.unwrap_err();
    walk.expect(Rule::ActingNotAllowed);
}

fn ada_client() -> mcpgate::oauth::ClientId {
    crate::records::client_id("another")
}
