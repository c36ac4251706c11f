//! The outcome of presenting a code or a refresh token, decided without a store. Every store follows these decisions,
//! so a failure affects all of them.

use mcpgate::oauth::{
    CodeRecord, CodeRefusal, CodeVerifier, Exclusions, FirstUse, Grant, Lifetime, RefreshRefusal, ResourceIndicator,
    Subject,
};
use mcpgate::store::{AuditEvent, CodeEffect, FoundCode, Issued, RedeemCode, RefreshEffect, RotateRefresh};
use proptest::prelude::*;

use crate::world::*;

/// A value that is absent, right or wrong.
fn sent<T: Clone + std::fmt::Debug + 'static>(right: T, wrong: T) -> impl Strategy<Value = (bool, Option<T>)> {
    prop::sample::select(vec![(true, None), (true, Some(right)), (false, Some(wrong))])
}

fn is_within_its_grant(issued: &Issued) -> bool {
    let (grant, token) = (&issued.grant, &issued.token);
    token.grant == grant.id
        && token.generation == grant.generation
        && token.scopes.is_subset(&grant.scopes)
        && token.exclusions == grant.exclusions
        && token.expires_at <= grant.idle_until
        && grant.idle_until <= grant.expires_at
}

proptest! {
    #[test]
    fn cr_03_pk_06_a_code_is_redeemed_once_ends_its_grant_or_changes_nothing_but_a_count(
        (used, failures, is_whole) in (any::<bool>(), 0..5_u8, any::<bool>()),
        (is_enabled, has_grant, is_own, is_proven) in any::<(bool, bool, bool, bool)>(),
        (is_redirect, redirect_uri) in sent("https://app.example/cb".to_owned(), "https://app.example/c".to_owned()),
        (is_resource, resource) in sent(resource(), ResourceIndicator::parse("https://gate.example/other").unwrap()),
        (seconds, life, may_refresh) in (0..120_u64, 1..10_000_u64, any::<bool>()),
    ) {
        let now = START.plus(Lifetime::from_secs(seconds));
        let whole = code("c", START);
        let challenge = whole.challenge.clone().filter(|_| is_whole);
        let found = FoundCode {
            code: CodeRecord { used_at: used.then_some(START), failures, challenge, ..whole },
            is_enabled,
            has_grant,
        };
        let mut request = RedeemCode { may_refresh, idle: Lifetime::from_secs(life), ..redeem("c", "t", now) };
        request.presented.redirect_uri = redirect_uri;
        request.presented.resource = resource;
        if !is_own {
            request.presented.client = client_id("another");
        }
        if !is_proven {
            request.presented.verifier = CodeVerifier::parse(&"x".repeat(43));
        }
        let is_alive = used || (seconds < 60 && failures < CodeRecord::MAX_FAILURES);
        let is_of_client = is_whole && is_own && is_alive;
        let is_honoured = is_of_client && is_proven && is_redirect && is_resource;
        match request.decide(&found) {
            CodeEffect::Issue(code, issued) => {
                prop_assert!(is_honoured && !used && is_enabled);
                prop_assert_eq!(*code, CodeRecord { used_at: Some(now), ..found.code.clone() });
                prop_assert!(is_within_its_grant(&issued));
                prop_assert_eq!((issued.grant.id, issued.grant.generation), (found.code.grant, 0));
                prop_assert_eq!(issued.audit.map(|row| row.event), Some(AuditEvent::CodeRedeemed));
            }
            CodeEffect::Replay(ending) => {
                prop_assert!(is_honoured && used);
                let ending = ending.map(|ending| (ending.grant, ending.audit.event));
                prop_assert_eq!(ending, has_grant.then_some((found.code.grant, AuditEvent::CodeReplayed)));
            }
            CodeEffect::Refuse(refusal, counted) => {
                prop_assert!(!is_honoured || !is_enabled);
                let counts = is_of_client && !is_proven && !used;
                let expected = CodeRecord { failures: failures + 1, ..found.code.clone() };
                prop_assert_eq!(counted, counts.then(|| Box::new(expected)));
                prop_assert_eq!(refusal == CodeRefusal::WrongVerifier, is_of_client && !is_proven);
            }
        }
    }

    #[test]
    fn rt_01_rt_02_rt_06_a_refresh_token_moves_its_family_by_one_ends_it_or_changes_nothing(
        (generation, presented) in (0..6_u32, 0..7_u32),
        (is_own, is_enabled, may_refresh, revoked, doubt) in any::<(bool, bool, bool, bool, bool)>(),
        (used, retried) in (prop::sample::select(vec![FirstUse::Unknown, FirstUse::Unused, FirstUse::Used]), any::<bool>()),
        (seconds, record_success) in (0..200_000_u64, any::<bool>()),
    ) {
        let now = START.plus(Lifetime::from_secs(seconds));
        let found = Grant {
            tenant: tenant(),
            id: grant_id("g"),
            client: client_id("app"),
            subject: Subject::Person(subject("alice")),
            resource: resource(),
            scopes: scopes("read write"),
            exclusions: Exclusions::default(),
            authenticated_at: START,
            consented_at: START,
            created_at: START,
            expires_at: START.plus(Lifetime::from_secs(190_000)),
            idle_until: START.plus(Lifetime::from_secs(180_000)),
            may_refresh,
            by_assertion: false,
            acting: false,
            generation,
            rotated_at: START,
            first_use: used,
            retried_at: retried.then(|| START.plus(MINUTE)),
            revoked_at: revoked.then_some(START),
            last_used_at: retried.then_some(START),
            signed_in_from: None,
            key: None,
            workload: None,
        };
        let mut request = RotateRefresh { record_success, ..rotate("g", presented, "t", now) };
        request.presented.clock_in_doubt = doubt;
        if !is_own {
            request.presented.client = client_id("another");
        }
        let stands = is_own && may_refresh && !revoked && seconds < 180_000;
        let row = |issued: &Issued| issued.audit.as_ref().map(|row| (row.event, row.reason.clone()));
        let expected = |reason: Option<&str>| Some((AuditEvent::TokenRefreshed, reason.map(str::to_owned)));
        match request.decide(&found, is_enabled) {
            RefreshEffect::Rotate(issued) => {
                prop_assert!(stands && is_enabled && presented == generation);
                prop_assert!(is_within_its_grant(&issued));
                let same = Grant { idle_until: issued.grant.idle_until, ..found.clone() };
                let next = Grant {
                    generation: generation + 1, rotated_at: now, first_use: FirstUse::Unknown, retried_at: None, ..same
                };
                prop_assert_eq!(&*issued.grant, &next);
                prop_assert_eq!(row(&issued), expected(None).filter(|_| record_success));
            }
            RefreshEffect::Retry(issued) => {
                prop_assert!(stands && is_enabled && presented + 1 == generation);
                prop_assert!(is_within_its_grant(&issued));
                prop_assert_eq!(&*issued.grant, &found);
                prop_assert_eq!(row(&issued), expected(Some("retried")).filter(|_| record_success));
            }
            RefreshEffect::RetryLate(issued) => {
                prop_assert!(stands && is_enabled && presented + 1 == generation && used == FirstUse::Unused && !doubt);
                prop_assert!(is_within_its_grant(&issued));
                let retried = Grant { first_use: FirstUse::Unknown, retried_at: Some(now), ..found };
                prop_assert_eq!(&*issued.grant, &retried);
                prop_assert_eq!(row(&issued), expected(Some("lost_answer")));
            }
            RefreshEffect::Reuse(ending) => {
                prop_assert!(stands && presented < generation);
                prop_assert_eq!((ending.grant, ending.audit.event), (found.id, AuditEvent::RefreshReused));
            }
            RefreshEffect::Refuse(refusal) => {
                let is_ahead = presented > generation;
                let is_doubtful = presented + 1 == generation && (doubt || used == FirstUse::Unknown);
                prop_assert!(!stands || !is_enabled || is_ahead || is_doubtful);
                prop_assert_eq!(refusal == RefreshRefusal::WrongClient, !is_own);
                prop_assert_eq!(refusal == RefreshRefusal::Ahead, is_own && is_ahead);
            }
        }
    }
}
