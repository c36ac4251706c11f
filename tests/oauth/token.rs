//! Decisions on codes and refresh tokens, and parsing of token requests. A failure means that a replay, a theft or a
//! wrong client is mistaken for something else.

use super::records::{self, keys};
use mcpgate::oauth::{
    AccessToken, AuthorizationCode, ClientId, ClientTokenRequest, CodeChallenge, CodeRecord, CodeRefusal, CodeRequest,
    CodeVerdict, CodeVerifier, ErrorCode, Exclusions, FirstUse, Form, Grant, GrantId, Lifetime, OAuthError,
    PresentedCode, PresentedRefresh, RedirectUri, RefreshClaims, RefreshRefusal, RefreshRequest, RefreshToken,
    RefreshVerdict, ResourceIndicator, ScopeSet, Timestamp, TokenRequest, TokenResponse,
};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const MADE: Timestamp = Timestamp::from_secs(1000);

fn at(secs: u64) -> Timestamp {
    MADE.plus(Lifetime::from_secs(secs))
}

fn client(id: &str) -> ClientId {
    ClientId::parse(id).unwrap()
}

fn resource(text: &str) -> ResourceIndicator {
    ResourceIndicator::parse(text).unwrap()
}

fn code() -> CodeRecord {
    CodeRecord {
        client: client("c1"),
        redirect: RedirectUri::from_stored("http://localhost:51763/cb".into()),
        challenge: CodeChallenge::from_stored(CHALLENGE),
        resource: resource("https://gw/mcp"),
        scopes: ScopeSet::parse("read").unwrap(),
        exclusions: Exclusions::default(),
        ..records::code("code", MADE)
    }
}

fn presented() -> PresentedCode {
    PresentedCode {
        client: client("c1"),
        verifier: CodeVerifier::parse(VERIFIER),
        redirect_uri: Some("http://localhost:51763/cb".into()),
        resource: Some(resource("https://gw/mcp/")),
    }
}

fn wrong_verifier() -> PresentedCode {
    PresentedCode { verifier: CodeVerifier::parse(&"a".repeat(43)), ..presented() }
}

#[test]
fn cr_05_a_code_lives_until_its_end_and_not_at_it() {
    assert_eq!(code().judge(&presented(), at(59)), CodeVerdict::Redeem);
    assert_eq!(code().judge(&presented(), at(60)), CodeVerdict::Refused(CodeRefusal::Dead));
    let bare = PresentedCode { redirect_uri: None, resource: None, ..presented() };
    assert_eq!(code().judge(&bare, at(1)), CodeVerdict::Redeem);
}

#[test]
fn pk_05_pk_08_the_verifier_must_be_right_and_the_challenge_there() {
    let absent = PresentedCode { verifier: None, ..presented() };
    assert_eq!(code().judge(&absent, at(1)), CodeVerdict::Refused(CodeRefusal::WrongVerifier));
    assert_eq!(code().judge(&wrong_verifier(), at(1)), CodeVerdict::Refused(CodeRefusal::WrongVerifier));
    let after = |failures| CodeRecord { failures, ..code() }.judge(&presented(), at(1));
    assert_eq!((after(2), after(3)), (CodeVerdict::Redeem, CodeVerdict::Refused(CodeRefusal::Dead)));
    let damaged = CodeRecord { challenge: None, ..code() };
    assert_eq!(damaged.judge(&presented(), at(1)), CodeVerdict::Refused(CodeRefusal::Damaged));
}

#[test]
fn cr_06_cr_07_cr_10_another_client_redirect_or_resource() {
    for (sent, verdict) in [
        (PresentedCode { client: client("c2"), ..wrong_verifier() }, CodeVerdict::Refused(CodeRefusal::WrongClient)),
        (
            PresentedCode { redirect_uri: Some("http://localhost:1/cb".into()), ..presented() },
            CodeVerdict::Refused(CodeRefusal::WrongRedirect),
        ),
        (
            PresentedCode { resource: Some(resource("https://gw/x")), ..presented() },
            CodeVerdict::Refused(CodeRefusal::WrongResource),
        ),
    ] {
        assert_eq!(code().judge(&sent, at(1)), verdict);
        let used = CodeRecord { used_at: Some(at(1)), ..code() };
        assert_eq!(used.judge(&sent, at(2)), verdict, "such a replay revokes nothing");
    }
}

#[test]
fn cr_04_only_a_fully_valid_replay_is_one_even_a_late_one() {
    let used = CodeRecord { used_at: Some(at(1)), ..code() };
    assert_eq!(used.judge(&presented(), at(2)), CodeVerdict::Replayed);
    assert_eq!(used.judge(&presented(), at(3600)), CodeVerdict::Replayed);
    assert_eq!(used.judge(&wrong_verifier(), at(2)), CodeVerdict::Refused(CodeRefusal::WrongVerifier));
}

const IN_DOUBT: RefreshVerdict = RefreshVerdict::Refused(RefreshRefusal::InDoubt);

fn grant() -> Grant {
    Grant {
        client: client("c1"),
        resource: resource("https://gw/mcp"),
        expires_at: at(1000),
        idle_until: at(500),
        may_refresh: true,
        generation: 5,
        rotated_at: at(100),
        first_use: FirstUse::Used,
        ..records::grant_of("grant", MADE)
    }
}

fn refresh(generation: u32, grace: u64) -> PresentedRefresh {
    PresentedRefresh {
        client: client("c1"),
        by_assertion: false,
        generation,
        grace: Lifetime::from_secs(grace),
        lost_answer: Lifetime::from_secs(200),
        clock_in_doubt: false,
    }
}

#[test]
fn generations_decide() {
    for (generation, grace, now, verdict) in [
        (5, 30, 101, RefreshVerdict::Rotate),
        (4, 30, 130, RefreshVerdict::Retry),
        (4, 30, 131, RefreshVerdict::Reused),
        (4, 0, 100, RefreshVerdict::Reused),
        (3, 30, 101, RefreshVerdict::Reused),
        (0, 30, 101, RefreshVerdict::Reused),
        (6, 30, 101, RefreshVerdict::Refused(RefreshRefusal::Ahead)),
    ] {
        assert_eq!(grant().judge_refresh(&refresh(generation, grace), at(now)), verdict, "{generation} at {now}");
    }
}

#[test]
fn the_predecessor_is_judged_by_the_grace_and_by_what_is_known_of_its_successor() {
    use RefreshVerdict::{LateRetry, Retry, Reused};
    let judge = |first_use, retried_at, now| {
        let grant = Grant { first_use, retried_at, ..grant() };
        grant.judge_refresh(&refresh(4, 30), at(now))
    };
    // Rotated at 100; the grace period is 30, the one for a lost answer 200.
    for (first_use, retried_at, now, verdict) in [
        (FirstUse::Unknown, None, 130, Retry),
        (FirstUse::Used, None, 130, Retry),
        (FirstUse::Unused, None, 131, LateRetry),
        (FirstUse::Unused, None, 300, LateRetry),
        (FirstUse::Unused, None, 301, Reused),
        (FirstUse::Unknown, None, 131, IN_DOUBT),
        (FirstUse::Unknown, None, 301, Reused),
        (FirstUse::Used, None, 131, Reused),
        // When processes retry together, the grace period starts again, but the one for a lost answer does not.
        (FirstUse::Used, Some(at(250)), 280, Retry),
        (FirstUse::Used, Some(at(250)), 281, Reused),
        (FirstUse::Unused, Some(at(250)), 300, LateRetry),
        (FirstUse::Unused, Some(at(250)), 301, Reused),
        (FirstUse::Unused, Some(at(290)), 301, Retry),
    ] {
        assert_eq!(judge(first_use, retried_at, now), verdict, "{first_use:?} {retried_at:?} {now}");
    }
    // None of this applies to an older token, nor if it is switched off.
    let unused = Grant { first_use: FirstUse::Unused, ..grant() };
    assert_eq!(unused.judge_refresh(&refresh(3, 30), at(131)), Reused);
    let strict = PresentedRefresh { lost_answer: Lifetime::default(), ..refresh(4, 0) };
    for mark in [FirstUse::Unknown, FirstUse::Unused, FirstUse::Used] {
        assert_eq!(Grant { first_use: mark, ..grant() }.judge_refresh(&strict, at(100)), Reused);
    }
}

#[test]
fn a_clock_that_was_set_back_lengthens_nothing_and_one_in_doubt_ends_nothing() {
    use FirstUse::{Unknown, Unused, Used};
    use RefreshVerdict::{Retry, Reused, Rotate};
    // Rotated at 100.
    for (first_use, clock_in_doubt, now, verdict) in [
        (Used, false, 90, Retry),
        (Unused, false, 90, Retry),
        (Used, false, 89, Reused),
        (Unused, false, 89, IN_DOUBT),
        (Unknown, false, 89, IN_DOUBT),
        // While the clock is in doubt, 30 seconds may be within the grace period.
        (Used, true, 130, Retry),
        (Used, true, 131, IN_DOUBT),
        (Unused, true, 131, IN_DOUBT),
        (Used, true, 301, IN_DOUBT),
        (Used, true, 89, IN_DOUBT),
    ] {
        let presented = PresentedRefresh { clock_in_doubt, ..refresh(4, 30) };
        let grant = Grant { first_use, ..grant() };
        assert_eq!(grant.judge_refresh(&presented, at(now)), verdict, "{first_use:?} {clock_in_doubt} {now}");
        let live = PresentedRefresh { clock_in_doubt, ..refresh(5, 30) };
        assert_eq!(grant.judge_refresh(&live, at(now)), Rotate);
        // Verdicts that do not depend on the time are unchanged.
        let strict = PresentedRefresh { lost_answer: Lifetime::default(), clock_in_doubt, ..refresh(4, 0) };
        assert_eq!(grant.judge_refresh(&strict, at(now)), Reused);
        let older = PresentedRefresh { clock_in_doubt, ..refresh(3, 30) };
        assert_eq!(grant.judge_refresh(&older, at(now)), Reused);
    }
}

#[test]
fn a_mark_is_about_the_live_generation_and_never_taken_back() {
    use FirstUse::{Unknown, Unused, Used};
    for (known, mark, is_news) in [
        (Unknown, Unused, true),
        (Unknown, Used, true),
        (Unused, Used, true),
        (Unknown, Unknown, false),
        (Unused, Unknown, false),
        (Unused, Unused, false),
        (Used, Unknown, false),
        (Used, Unused, false),
        (Used, Used, false),
    ] {
        let grant = Grant { first_use: known, ..grant() };
        assert_eq!(grant.takes_mark(5, mark), is_news, "{known:?}, {mark:?}");
        assert!(!grant.takes_mark(4, mark) && !grant.takes_mark(6, mark));
        assert!(!Grant { generation: 0, ..grant.clone() }.takes_mark(0, mark), "the first has no predecessor");
        assert!(!Grant { revoked_at: Some(at(1)), ..grant }.takes_mark(5, mark));
    }
}

#[test]
fn another_client_changes_nothing_and_dead_stays_dead() {
    let other = PresentedRefresh { client: client("c2"), ..refresh(0, 30) };
    assert_eq!(grant().judge_refresh(&other, at(101)), RefreshVerdict::Refused(RefreshRefusal::WrongClient));
    assert_eq!(grant().judge_refresh(&refresh(5, 30), at(500)), RefreshVerdict::Refused(RefreshRefusal::Dead));
    // A grant that was made for an assertion is refreshed by one; the other way round it may be.
    let (signed, by) =
        (Grant { by_assertion: true, ..grant() }, |by_assertion| PresentedRefresh { by_assertion, ..refresh(5, 30) });
    assert_eq!(signed.judge_refresh(&by(false), at(101)), RefreshVerdict::Refused(RefreshRefusal::NoAssertion));
    let stolen = PresentedRefresh { generation: 0, ..by(false) };
    assert_eq!(
        signed.judge_refresh(&stolen, at(101)),
        RefreshVerdict::Refused(RefreshRefusal::NoAssertion),
        "nothing ends"
    );
    assert_eq!(signed.judge_refresh(&by(true), at(101)), RefreshVerdict::Rotate);
    assert_eq!(grant().judge_refresh(&by(true), at(101)), RefreshVerdict::Rotate);
    let busy = Grant { idle_until: at(2000), ..grant() };
    assert_eq!(busy.judge_refresh(&refresh(5, 30), at(999)), RefreshVerdict::Rotate);
    assert_eq!(busy.judge_refresh(&refresh(5, 30), at(1000)), RefreshVerdict::Refused(RefreshRefusal::Dead));
    let revoked = Grant { revoked_at: Some(at(1)), ..grant() };
    assert_eq!(revoked.judge_refresh(&refresh(0, 30), at(101)), RefreshVerdict::Refused(RefreshRefusal::Dead));
    let without = Grant { may_refresh: false, ..grant() };
    assert_eq!(without.judge_refresh(&refresh(0, 30), at(101)), RefreshVerdict::Refused(RefreshRefusal::NotAllowed));
}

fn read(form: &str) -> Result<TokenRequest, OAuthError> {
    TokenRequest::read(&Form::parse(form.as_bytes()).unwrap(), &keys())
}

#[test]
fn cr_14_the_form_of_a_token_request() {
    for (form, code) in [
        ("", ErrorCode::InvalidRequest),
        ("grant_type=", ErrorCode::InvalidRequest),
        ("grant_type=password", ErrorCode::UnsupportedGrantType),
        ("grant_type=refresh_token&grant_type=refresh_token", ErrorCode::InvalidRequest),
        ("grant_type=authorization_code", ErrorCode::InvalidRequest),
        ("grant_type=refresh_token", ErrorCode::InvalidRequest),
        ("grant_type=authorization_code&code=x&code=x", ErrorCode::InvalidRequest),
        ("grant_type=authorization_code&code=x&resource=a", ErrorCode::InvalidTarget),
        ("grant_type=authorization_code&code=x&resource=https://gw/a&resource=https://gw/b", ErrorCode::InvalidTarget),
        ("grant_type=refresh_token&refresh_token=x&scope=%22", ErrorCode::InvalidScope),
    ] {
        assert_eq!(read(form).unwrap_err().code(), code, "{form}");
    }
}

#[test]
fn cr_08_rt_18_what_is_not_ours_is_known_without_the_store() {
    let keys = keys();
    let (code, access) = (AuthorizationCode::mint([2; 32], &keys), AccessToken::mint([2; 32], &keys));
    let request = read(&format!("grant_type=authorization_code&code={}", code.reveal())).unwrap();
    assert!(
        matches!(request, TokenRequest::AuthorizationCode(CodeRequest { code: Some(hash), .. }) if hash == code.hash())
    );
    let flipped = code.reveal().replacen("code_", "code_x", 1);
    for junk in [access.reveal(), &flipped, &code.reveal()[1..], &"x".repeat(50_000)] {
        let request = read(&format!("grant_type=authorization_code&code={junk}")).unwrap();
        assert!(matches!(request, TokenRequest::AuthorizationCode(CodeRequest { code: None, verifier: None, .. })));
    }
    let request = read(&format!("grant_type=refresh_token&refresh_token={}", access.reveal())).unwrap();
    assert!(matches!(request, TokenRequest::RefreshToken(RefreshRequest { claims: None, .. })));
}

#[test]
fn a_surplus_offline_access_narrows_nothing() {
    let claims = RefreshClaims { grant: GrantId([7; 16]), generation: 1 };
    let token = RefreshToken::derive(claims, &keys());
    let scopes = |asked: &str| {
        let form = format!("grant_type=refresh_token&refresh_token={}&scope={asked}", token.reveal());
        match read(&form).unwrap() {
            TokenRequest::RefreshToken(RefreshRequest { claims: found, scopes, .. }) => {
                (found, scopes.map(|s| s.to_string()))
            }
            TokenRequest::AuthorizationCode(_) | TokenRequest::ClientCredentials(_) | TokenRequest::JwtBearer(_) => {
                panic!("another grant")
            }
        }
    };
    assert_eq!(scopes("offline_access"), (Some(claims), None));
    assert_eq!(scopes("read+offline_access"), (Some(claims), Some("read".into())));
}

#[test]
fn a_client_asks_for_itself_with_or_without_scopes() {
    let scopes = |form: &str| match read(&format!("grant_type=client_credentials{form}")).unwrap() {
        TokenRequest::ClientCredentials(ClientTokenRequest { scopes }) => scopes.map(|s| s.to_string()),
        TokenRequest::AuthorizationCode(_) | TokenRequest::RefreshToken(_) | TokenRequest::JwtBearer(_) => {
            panic!("another grant")
        }
    };
    assert_eq!(scopes(""), None);
    assert_eq!(scopes("&scope=offline_access"), None);
    assert_eq!(scopes("&scope=write+read"), Some("read write".into()));
    assert_eq!(read("grant_type=client_credentials&scope=%C3%A4").unwrap_err().code(), ErrorCode::InvalidScope);
}

#[test]
fn the_response_has_rfc_6749_s_members() {
    let response = TokenResponse {
        access_token: AccessToken::mint([2; 32], &keys()),
        expires_in: 3600,
        refresh_token: None,
        scopes: ScopeSet::parse("b a").unwrap(),
    };
    let json: serde_json::Value = serde_json::from_slice(&response.to_json()).unwrap();
    let expected = serde_json::json!({ "access_token": response.access_token.reveal(), "token_type": "Bearer",
        "expires_in": 3600, "scope": "a b" });
    assert_eq!(json, expected);
}
