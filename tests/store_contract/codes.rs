//! Codes: redeemed once, checked and redeemed in one transaction, recognised when replayed.

use std::sync::Arc;

use mcpgate::oauth::{
    ClientOrigin, CodeRecord, CodeRefusal, CodeVerifier, RefreshRefusal, ResourceIndicator, SignInOrigin, TenantId,
    Timestamp,
};
use mcpgate::store::{AuditEvent, Change, Consent, Redemption, Rotation, Store, Update};

use crate::world::*;

crate::on_every_store! {
    a_code_makes_a_grant_with_its_token,
    a_grant_that_cannot_refresh_ends_with_its_token,
    what_an_assertion_opened_is_refreshed_with_one,
    a_grant_keeps_where_its_user_signed_in_from,
    scopes_of_a_token_never_exceed_the_grant,
    pk_06_the_third_wrong_verifier_kills_the_code,
    a_code_without_challenge_is_never_honoured,
    cr_03_a_replay_revokes_the_grant,
    a_replay_that_is_not_fully_valid_keeps_the_tokens,
    what_is_refused_leaves_a_code_as_it_was_until_its_last_millisecond,
    cr_09_a_code_is_unknown_to_another_tenant,
    cr_16_a_disabled_account_or_client_gets_nothing,
    a_double_click_makes_one_code,
    an_approval_needs_its_login_session,
    consent_is_remembered_with_the_code,
    what_was_left_out_stays_left_out,
    when_a_user_consented_is_kept_with_what_follows_from_it,
    revoking_a_user_takes_back_codes_not_yet_redeemed,
}

async fn verdict(store: &Arc<dyn Store>, request: mcpgate::store::RedeemCode) -> CodeRefusal {
    let answer = store.redeem_code(request).await.unwrap();
    let Redemption::Refused(verdict) = answer else { panic!("{answer:?}") };
    verdict
}

async fn a_code_makes_a_grant_with_its_token(store: Arc<dyn Store>) {
    settle(&store).await;
    issue(&store, code("c", START)).await;
    let before = store.newest_audit().await.unwrap();
    let at = START.plus(mcpgate::oauth::Lifetime::from_secs(10));
    let Redemption::Redeemed(grant, token) = store.redeem_code(redeem("c", "t", at)).await.unwrap() else { panic!() };
    assert_eq!((grant.id, grant.generation, grant.may_refresh), (grant_id("c"), 0, true));
    assert_eq!((grant.created_at, grant.authenticated_at, grant.rotated_at), (at, START, at));
    assert_eq!(grant.expires_at, at.plus(mcpgate::oauth::Lifetime::from_secs(90 * 86_400)));
    assert_eq!((token.issued_at, token.expires_at), (at, at.plus(HOUR)));
    assert_eq!((&token.scopes, &token.resource), (&scopes("read write"), &resource()));
    assert_eq!(store.find_grant(&tenant(), grant.id).await.unwrap(), Some(*grant));
    assert_eq!(store.find_access_token(&tenant(), &hash("t"), at).await.unwrap(), Some(*token));
    assert_eq!(store.find_code(&tenant(), &hash("c")).await.unwrap().unwrap().used_at, Some(at));
    assert_eq!(store.find_client(&tenant(), &client_id("app")).await.unwrap().unwrap().last_token_at, Some(at));
    let told = rows(&store, before).await.pop().unwrap();
    assert_eq!(
        (told.event, told.subject, told.scopes),
        (AuditEvent::CodeRedeemed, Some(subject("alice")), Some(scopes("read write")))
    );
    assert_eq!((told.resource, told.target), (Some(resource()), Some(grant_id("c").to_string())));
    assert!(!is_live(&store, "t", at.plus(HOUR)).await);
}

async fn a_grant_that_cannot_refresh_ends_with_its_token(store: Arc<dyn Store>) {
    settle(&store).await;
    issue(&store, code("c", START)).await;
    let request = mcpgate::store::RedeemCode { may_refresh: false, ..redeem("c", "t", START) };
    let Redemption::Redeemed(grant, token) = store.redeem_code(request).await.unwrap() else { panic!() };
    assert_eq!(grant.expires_at, token.expires_at);
    assert_eq!(grant.idle_until, token.expires_at);
}

async fn what_an_assertion_opened_is_refreshed_with_one(store: Arc<dyn Store>) {
    settle(&store).await;
    issue(&store, code("g", START)).await;
    let request = mcpgate::store::RedeemCode { by_assertion: true, ..redeem("g", "t", START) };
    let Redemption::Redeemed(grant, _) = store.redeem_code(request).await.unwrap() else { panic!() };
    assert!(grant.by_assertion);
    assert_eq!(store.find_grant(&tenant(), grant.id).await.unwrap().as_ref(), Some(&*grant));
    let plain = store.rotate_refresh_token(rotate("g", 0, "t2", START.plus(HOUR))).await.unwrap();
    assert!(matches!(plain, Rotation::Refused(RefreshRefusal::NoAssertion)), "{plain:?}");
    let mut signed = rotate("g", 0, "t3", START.plus(HOUR));
    signed.presented.by_assertion = true;
    let (grant, _) = rotated(store.rotate_refresh_token(signed).await.unwrap());
    assert!(grant.by_assertion && grant.generation == 1);
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
}

async fn a_grant_keeps_where_its_user_signed_in_from(store: Arc<dyn Store>) {
    settle(&store).await;
    let without_agent = Some(Box::new(SignInOrigin::new("2001:db8::7".parse().unwrap(), None)));
    for (name, from) in [("a", code("a", START).signed_in_from), ("b", without_agent), ("c", None)] {
        issue(&store, CodeRecord { signed_in_from: from.clone(), ..code(name, START) }).await;
        assert_eq!(store.find_code(&tenant(), &hash(name)).await.unwrap().unwrap().signed_in_from, from, "{name}");
        store.redeem_code(redeem(name, &format!("{name} token"), START)).await.unwrap();
        rotated(store.rotate_refresh_token(rotate(name, 0, &format!("{name} next"), START.plus(HOUR))).await.unwrap());
        let grant = store.find_grant(&tenant(), grant_id(name)).await.unwrap().unwrap();
        assert_eq!((grant.generation, grant.signed_in_from), (1, from), "{name}");
    }
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
}

async fn scopes_of_a_token_never_exceed_the_grant(store: Arc<dyn Store>) {
    settle(&store).await;
    for (name, asked, given) in [("a", "read", "read"), ("b", "read admin", "read")] {
        issue(&store, code(name, START)).await;
        let mut request = redeem(name, &format!("{name} token"), START);
        request.access.scopes = Some(scopes(asked));
        store.redeem_code(request).await.unwrap();
        let token = store.find_access_token(&tenant(), &hash(&format!("{name} token")), START).await.unwrap().unwrap();
        assert_eq!(token.scopes, scopes(given));
        assert_eq!(store.find_grant(&tenant(), grant_id(name)).await.unwrap().unwrap().scopes, scopes("read write"));
    }
}

async fn pk_06_the_third_wrong_verifier_kills_the_code(store: Arc<dyn Store>) {
    settle(&store).await;
    for (name, wrong, survives) in [("two", 2, true), ("three", 3, false)] {
        issue(&store, code(name, START)).await;
        for failures in 1..=wrong {
            let mut request = redeem(name, "never", START);
            request.presented.verifier = CodeVerifier::parse(&"x".repeat(43)).filter(|_| failures != 2);
            let before = store.newest_audit().await.unwrap();
            assert_eq!(verdict(&store, request).await, CodeRefusal::WrongVerifier);
            assert_eq!(store.find_code(&tenant(), &hash(name)).await.unwrap().unwrap().failures, failures);
            assert_eq!(store.newest_audit().await.unwrap(), before, "the caller records refusals, not the store");
        }
        let last = store.redeem_code(redeem(name, name, START)).await.unwrap();
        assert_eq!(matches!(last, Redemption::Redeemed(..)), survives, "{last:?}");
        assert_eq!(is_live(&store, name, START).await, survives);
    }
    assert!(!is_live(&store, "never", START).await);
}

async fn a_code_without_challenge_is_never_honoured(store: Arc<dyn Store>) {
    settle(&store).await;
    issue(&store, CodeRecord { challenge: None, ..code("c", START) }).await;
    let before = store.newest_audit().await.unwrap();
    assert_eq!(verdict(&store, redeem("c", "t", START)).await, CodeRefusal::Damaged);
    assert_eq!(store.newest_audit().await.unwrap(), before);
    // The check at the end of every case would report this row as damage: remove it.
    store.revoke_grants(&grants_of(Some(&subject("alice")), None), row(AuditEvent::GrantRevoked, START)).await.unwrap();
}

async fn cr_03_a_replay_revokes_the_grant(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "c", START).await;
    let (audit, change) = (store.newest_audit().await.unwrap(), store.newest_change().await.unwrap());
    // Long after the code has expired.
    let replay = store.redeem_code(redeem("c", "second", START.plus(MINUTE))).await.unwrap();
    assert!(matches!(replay, Redemption::Replayed(Some(id)) if id == grant_id("c")), "{replay:?}");
    let told = rows(&store, audit).await;
    assert_eq!((told[0].event, told[0].target.clone()), (AuditEvent::CodeReplayed, Some(grant_id("c").to_string())));
    // After the revocation there is nothing to revoke, and nothing to write.
    let again = store.redeem_code(redeem("c", "second", START.plus(DAY))).await.unwrap();
    assert!(matches!(again, Redemption::Replayed(None)), "{again:?}");
    assert!(!is_live(&store, "c token", START).await && !is_live(&store, "second", START).await);
    let revoked = store.find_grant(&tenant(), grant_id("c")).await.unwrap().unwrap();
    assert_eq!(revoked.revoked_at, Some(START.plus(MINUTE)));
    assert_eq!(told.len(), rows(&store, audit).await.len());
    assert_eq!(changes(&store, &change).await, [Change::GrantRevoked(tenant(), grant_id("c"))]);
}

async fn a_replay_that_is_not_fully_valid_keeps_the_tokens(store: Arc<dyn Store>) {
    settle(&store).await;
    store
        .insert_client(client("evil", ClientOrigin::Registered), 100, row(AuditEvent::ClientRegistered, START))
        .await
        .unwrap();
    grant(&store, "c", START).await;
    let mut by_another = redeem("c", "stolen", START);
    by_another.presented.client = client_id("evil");
    assert_eq!(verdict(&store, by_another).await, CodeRefusal::WrongClient);
    for _ in 0..5 {
        let mut wrong_verifier = redeem("c", "stolen", START);
        wrong_verifier.presented.verifier = CodeVerifier::parse(&"x".repeat(43));
        assert_eq!(verdict(&store, wrong_verifier).await, CodeRefusal::WrongVerifier);
    }
    assert!(is_live(&store, "c token", START).await && !is_live(&store, "stolen", START).await);
    // A full replay is still recognised.
    assert!(matches!(store.redeem_code(redeem("c", "x", START)).await.unwrap(), Redemption::Replayed(Some(_))));
}

async fn what_is_refused_leaves_a_code_as_it_was_until_its_last_millisecond(store: Arc<dyn Store>) {
    settle(&store).await;
    issue(&store, code("c", START)).await;
    let untouched = store.find_code(&tenant(), &hash("c")).await.unwrap();
    let (mut client, mut redirect, mut of_another) =
        (redeem("c", "t", START), redeem("c", "t", START), redeem("c", "t", START));
    client.presented.client = client_id("evil");
    redirect.presented.redirect_uri = Some("https://app.example/cb/".to_owned());
    of_another.presented.resource = Some(ResourceIndicator::parse("https://gate.example/other").unwrap());
    for (request, refusal) in [
        (client, CodeRefusal::WrongClient),
        (redirect, CodeRefusal::WrongRedirect),
        (of_another, CodeRefusal::WrongResource),
        (redeem("c", "t", START.plus(MINUTE)), CodeRefusal::Dead),
    ] {
        assert_eq!(verdict(&store, request).await, refusal);
        assert_eq!(store.find_code(&tenant(), &hash("c")).await.unwrap(), untouched);
    }
    let just_before = Timestamp::from_millis(START.plus(MINUTE).as_millis() - 1);
    assert!(matches!(store.redeem_code(redeem("c", "t", just_before)).await.unwrap(), Redemption::Redeemed(..)));
}

async fn cr_09_a_code_is_unknown_to_another_tenant(store: Arc<dyn Store>) {
    settle(&store).await;
    issue(&store, code("c", START)).await;
    let other = TenantId::parse("other").unwrap();
    let before = store.newest_audit().await.unwrap();
    let request = mcpgate::store::RedeemCode { tenant: other.clone(), ..redeem("c", "t", START) };
    assert!(matches!(store.redeem_code(request).await.unwrap(), Redemption::Unknown));
    assert_eq!(store.newest_audit().await.unwrap(), before);
    assert_eq!(store.find_code(&other, &hash("c")).await.unwrap(), None);
    assert!(matches!(store.redeem_code(redeem("c", "t", START)).await.unwrap(), Redemption::Redeemed(..)));
}

async fn cr_16_a_disabled_account_or_client_gets_nothing(store: Arc<dyn Store>) {
    settle(&store).await;
    issue(&store, code("a", START)).await;
    store.set_client_disabled(&client_id("app"), true, row(AuditEvent::ClientDisabled, START)).await.unwrap();
    assert_eq!(verdict(&store, redeem("a", "t", START)).await, CodeRefusal::Dead);
    store.set_client_disabled(&client_id("app"), false, row(AuditEvent::ClientEnabled, START)).await.unwrap();
    // Disabling the account removes its codes for good.
    let (off, on) = (row(AuditEvent::AccountDisabled, START), row(AuditEvent::AccountEnabled, START));
    store.set_account_disabled(&subject("alice"), true, off).await.unwrap();
    store.set_account_disabled(&subject("alice"), false, on).await.unwrap();
    assert!(matches!(store.redeem_code(redeem("a", "t", START)).await.unwrap(), Redemption::Unknown));
    assert!(!is_live(&store, "t", START).await);
}

async fn a_double_click_makes_one_code(store: Arc<dyn Store>) {
    settle(&store).await;
    let page = interaction("page", START);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    let issued = || row(AuditEvent::CodeIssued, START);
    assert_eq!(store.insert_code(code("a", START), page.key.hash, None, issued()).await.unwrap(), Update::Done);
    assert_eq!(store.insert_code(code("b", START), page.key.hash, None, issued()).await.unwrap(), Update::NotFound);
    assert_eq!(store.find_code(&tenant(), &hash("b")).await.unwrap(), None);
    // An interaction that is unknown, expired, or not yet at consent issues no code either.
    let unknown = store.insert_code(code("c", START), hash("nothing"), None, issued()).await.unwrap();
    let old = interaction("old", START);
    store.put_ephemeral(old.clone(), PENDING).await.unwrap();
    let late = store.insert_code(code("d", old.expires_at), old.key.hash, None, issued()).await.unwrap();
    let early = mcpgate::store::Ephemeral { step: mcpgate::store::EphemeralStep::LogIn, ..interaction("early", START) };
    store.put_ephemeral(early.clone(), PENDING).await.unwrap();
    let early = store.insert_code(code("e", START), early.key.hash, None, issued()).await.unwrap();
    assert_eq!([unknown, late, early], [Update::NotFound; 3]);
}

async fn an_approval_needs_its_login_session(store: Arc<dyn Store>) {
    settle(&store).await;
    for (of, logs_out, expected) in
        [("alice", false, Update::Done), ("alice", true, Update::NotFound), ("bob", false, Update::NotFound)]
    {
        let name = format!("{of} {logs_out}");
        let login = session(&name, of, START);
        store.insert_session(login.clone(), None, Some(START), row(AuditEvent::LoginSucceeded, START)).await.unwrap();
        let page = mcpgate::store::Ephemeral { session: Some(login.hash), ..interaction(&name, START) };
        store.put_ephemeral(page.clone(), PENDING).await.unwrap();
        if logs_out {
            store.delete_session(&login.hash, row(AuditEvent::LoggedOut, START)).await.unwrap();
        }
        let issued = row(AuditEvent::CodeIssued, START);
        assert_eq!(
            store.insert_code(code(&name, START), page.key.hash, None, issued).await.unwrap(),
            expected,
            "{name}"
        );
    }
}

async fn consent_is_remembered_with_the_code(store: Arc<dyn Store>) {
    settle(&store).await;
    let find = || async { store.find_consent(&consent_key()).await.unwrap() };
    let page = interaction("page", START);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    let issued = || row(AuditEvent::CodeIssued, START);
    store.insert_code(code("a", START), page.key.hash, Some(consent(START)), issued()).await.unwrap();
    assert_eq!(find().await, Some(consent(START)));
    // The second click does not change the consent either.
    let wider = Consent { scopes: scopes("read write"), ..consent(START) };
    store.insert_code(code("b", START), page.key.hash, Some(wider.clone()), issued()).await.unwrap();
    assert_eq!(find().await, Some(consent(START)));
    // A new approval replaces the old one.
    let page = interaction("page two", START);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    store.insert_code(code("c", START), page.key.hash, Some(wider.clone()), issued()).await.unwrap();
    assert_eq!(find().await, Some(wider));
}

/// The code, the grant, every token of it, and the consent say what the user left out.
async fn what_was_left_out_stays_left_out(store: Arc<dyn Store>) {
    settle(&store).await;
    let left_out = exclusions();
    let page = interaction("page", START);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    let code = CodeRecord { exclusions: left_out.clone(), ..code("g", START) };
    let consent = Consent { exclusions: left_out.clone(), ..consent(START) };
    let issued = row(AuditEvent::CodeIssued, START);
    store.insert_code(code, page.key.hash, Some(consent), issued).await.unwrap();
    let remembered = store.find_consent(&consent_key()).await.unwrap().unwrap();
    let found = store.find_code(&tenant(), &hash("g")).await.unwrap().unwrap();
    assert_eq!((&remembered.exclusions, &found.exclusions), (&left_out, &left_out));

    let Redemption::Redeemed(grant, token) = store.redeem_code(redeem("g", "t", START)).await.unwrap() else {
        panic!()
    };
    assert_eq!((&grant.exclusions, &token.exclusions), (&left_out, &left_out));
    rotated(store.rotate_refresh_token(rotate("g", 0, "t2", START.plus(HOUR))).await.unwrap());
    let (tokens, _) = store.live_access_tokens(0, 10, START).await.unwrap();
    assert_eq!(tokens.iter().map(|token| &token.exclusions).collect::<Vec<_>>(), [&left_out, &left_out]);
    let token = store.find_access_token(&tenant(), &hash("t2"), START.plus(HOUR)).await.unwrap().unwrap();
    let grant = store.find_grant(&tenant(), grant_id("g")).await.unwrap().unwrap();
    assert_eq!((&token.exclusions, &grant.exclusions), (&left_out, &left_out));
}

/// The code, the grant and every token of it say when the user was shown what they consented to.
async fn when_a_user_consented_is_kept_with_what_follows_from_it(store: Arc<dyn Store>) {
    settle(&store).await;
    let consented_at = Timestamp::from_millis(START.as_millis() - 1234);
    issue(&store, CodeRecord { consented_at, ..code("g", START) }).await;
    assert_eq!(store.find_code(&tenant(), &hash("g")).await.unwrap().unwrap().consented_at, consented_at);
    let Redemption::Redeemed(grant, token) = store.redeem_code(redeem("g", "t", START)).await.unwrap() else {
        panic!()
    };
    assert_eq!((grant.consented_at, token.consented_at), (consented_at, consented_at));
    let (grant, token) = rotated(store.rotate_refresh_token(rotate("g", 0, "t2", START.plus(HOUR))).await.unwrap());
    assert_eq!((grant.consented_at, token.consented_at), (consented_at, consented_at));
    let (tokens, _) = store.live_access_tokens(0, 10, START).await.unwrap();
    assert_eq!(tokens.iter().map(|token| token.consented_at).collect::<Vec<_>>(), [consented_at; 2]);
    assert_eq!(store.find_grant(&tenant(), grant.id).await.unwrap().unwrap().consented_at, consented_at);
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
}

async fn revoking_a_user_takes_back_codes_not_yet_redeemed(store: Arc<dyn Store>) {
    settle(&store).await;
    issue(&store, code("c", START)).await;
    let revoked = row(AuditEvent::GrantRevoked, START);
    assert_eq!(store.revoke_grants(&grants_of(Some(&subject("alice")), None), revoked).await.unwrap(), 0);
    assert!(matches!(store.redeem_code(redeem("c", "t", START)).await.unwrap(), Redemption::Unknown));
}
