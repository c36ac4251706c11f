//! Refusals in the log: each rule has a line with the received and the expected value, `docs/errors.md` explains each
//! rule, and no line contains a secret.

use std::collections::BTreeSet;
use std::path::Path;

use mcpgate::config::{MetadataDocumentMode, WhoRegisters};
use mcpgate::issuer::{Caller, Decision, Handles, LoginOutcome, SetupOutcome, TokenRejection};
use mcpgate::oauth::{Client, GrantId, RedirectHosts, RefreshClaims, RefreshToken, Rule};
use mcpgate::policy::AccountList;
use mcpgate::store::EphemeralSecret;
use serde_json::json;

use crate::config::{NOTES, SALES};
use crate::driver::*;
use crate::log::Log;

mod acting;
mod assertions;
mod documents;
mod walk;
mod workloads;

use acting::acting;
use assertions::assertions;
use documents::documents;
use walk::{NOT_WALKED, OF_FACES, Walk};
use workloads::workloads;

fn pairs<'a>(client: &'a Client, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("client_id", client.id.as_str())], more].concat()
}

#[tokio::test]
async fn every_rule_has_a_line_that_says_what_came_and_what_was_expected() {
    let world = World::with(|config| config.metadata_documents.mode = MetadataDocumentMode::Open).await;
    world.account("ada").await;
    let mut walk = Walk { log: Log::start(), seen: BTreeSet::new() };
    authorization(&world, &mut walk).await;
    sign_ins(&world, &mut walk).await;
    passwords(&world, &mut walk).await;
    authentication(&world, &mut walk).await;
    assertions(&world, &mut walk).await;
    acting(&mut walk).await;
    workloads(&mut walk).await;
    services(&world, &mut walk).await;
    codes(&world, &mut walk).await;
    refreshes(&world, &mut walk).await;
    revocations(&world, &mut walk).await;
    registrations(&world, &mut walk).await;
    approvals(&world, &mut walk).await;
    documents(&world, &mut walk).await;
    damage(&mut walk).await;
    let left_out: BTreeSet<_> =
        OF_FACES.iter().chain(NOT_WALKED.iter().map(|(rule, _)| rule)).map(|r| r.label()).collect();
    let all: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.label()).collect();
    let walked: BTreeSet<_> = walk.seen.union(&left_out).copied().collect();
    assert_eq!(walked, all, "not walked: {:?}", all.difference(&walked).collect::<Vec<_>>());
}

async fn unlisted_host(world: &World, walk: &mut Walk, client: &Client) {
    let elsewhere = WhoRegisters::Listed(RedirectHosts::parse(&["elsewhere.example".to_owned()]).unwrap());
    world.reload(|config| config.registration.who = elsewhere);
    world.begin(&client.id, &[], None).await.unwrap_err();
    let line = walk.expect(Rule::RedirectHostNotListed);
    assert!(line.contains("to admit this one, add client.example to the list"), "{line}");
    world.reload(|config| config.registration.who = WhoRegisters::Anybody);
}

async fn authorization(world: &World, walk: &mut Walk) {
    let client = world.manual_client("Known", CALLBACK, None).await;
    let long = "x".repeat(5000);
    let hidden = "https://evil.example/cb?code=hunter2";
    for (rule, extra) in [
        (Rule::ClientIdMissing, &[("client_id", "")][..]),
        (Rule::ClientIdMalformed, &[("client_id", "two words")]),
        (Rule::ClientUnknown, &[("client_id", "mcp_client_nobody")]),
        (Rule::ParameterRepeated, &[("redirect_uri", CALLBACK), ("redirect_uri", CALLBACK)]),
        (Rule::RedirectUriNotRegistered, &[("redirect_uri", hidden)]),
        (Rule::StateMalformed, &[("state", &long)]),
        (Rule::ParameterRepeated, &[("scope", "a"), ("scope", "b")]),
        (Rule::RequestObject, &[("request", "eyJhbGciOiJub25lIn0.e30.")]),
        (Rule::RequestUri, &[("request_uri", "https://client.example/hunter2")]),
        (Rule::ResponseTypeMissing, &[("response_type", "")]),
        (Rule::ResponseTypeUnsupported, &[("response_type", "token")]),
        (Rule::ResponseModeUnsupported, &[("response_mode", "fragment")]),
        (Rule::ChallengeMissing, &[("code_challenge", "")]),
        (Rule::ChallengeMethodMissing, &[("code_challenge_method", ""), ("code_challenge", VERIFIER)]),
        (Rule::ChallengeMethodUnsupported, &[("code_challenge_method", "plain"), ("code_challenge", VERIFIER)]),
        (Rule::ChallengeMalformed, &[("code_challenge", "hunter2")]),
        (Rule::PromptCombined, &[("prompt", "none login")]),
        (Rule::LoginNeeded, &[("prompt", "none")]),
        (Rule::ResourceMalformed, &[("resource", "sales")]),
        (Rule::ResourceAmbiguous, &[("resource", "https://a.example/"), ("resource", "https://b.example/")]),
        (Rule::ResourceMissing, &[("resource", "")]),
        (Rule::ResourceUnknown, &[("resource", "https://gate.example/mcp/nothing")]),
        (Rule::ScopeMalformed, &[("scope", "a\"b")]),
    ] {
        let refused = world.begin(&client.id, &[&[("state", "the state of the walk")], extra].concat(), None).await;
        assert!(refused.is_err(), "{rule:?}");
        let line = walk.expect(rule);
        // Starts a new minute: each address is rate-limited.
        world.issuer.record_last_refusals().await;
        if rule == Rule::RedirectUriNotRegistered {
            assert!(line.contains("value=\"https://evil.example/cb?(12 bytes)\""), "{line}");
            assert!(line.contains(&format!("expected=\"one of: {CALLBACK}\"")), "{line}");
            assert!(line.contains("client=\"mcp_client_Known\" client_name=\"Known\""), "{line}");
        }
        if rule == Rule::ChallengeMalformed {
            assert!(line.contains("value=\"(7 bytes, letters and digits)\""), "{line}");
        }
    }
    let limited = world.manual_client("Limited", CALLBACK, Some("sales:read")).await;
    world.begin(&limited.id, &[("scope", "sales:write")], None).await.unwrap_err();
    walk.expect(Rule::ScopeNotAllowed);
    let at_home = world.manual_client("Home", "https://gate.example/cb", None).await;
    world.begin(&at_home.id, &[("redirect_uri", "https://gate.example/cb")], None).await.unwrap_err();
    walk.expect(Rule::RedirectUriOwnOrigin);
    let body = json!({"redirect_uris": [CALLBACK, LOOPBACK], "token_endpoint_auth_method": "none"});
    let two = world.request(&caller(9)).register(body.to_string().as_bytes()).await.unwrap().client;
    unlisted_host(world, walk, &two).await;
    world.begin(&two.id, &[("redirect_uri", "")], None).await.unwrap_err();
    walk.expect(Rule::RedirectUriMissing);
    let from = caller(77);
    while world.begin_from(&from, &client.id, &[], None).await.is_ok() {}
    assert!(walk.expect(Rule::RateLimited).contains("key=\"rates.authorize_per_second\""));
    assert_eq!(from.broken.get(), Some(&Rule::RateLimited), "the access log names the rule, too");
}

async fn sign_ins(world: &World, walk: &mut Walk) {
    let (client, from) = (world.manual_client("Pages", CALLBACK, None).await, caller(2));
    let begin = async |from: &Caller| handles(world.begin_from(from, &client.id, &[], None).await.unwrap());
    let mut browser = begin(&from).await;
    world.log_in(&mut browser, "ada").await;
    let asked = world.begin_from(&from, &client.id, &[("prompt", "none")], browser.session.as_deref()).await;
    asked.unwrap_err();
    walk.expect(Rule::ConsentNeeded);
    let nobody = Some(AccountList::default());
    world.reload(|config| config.upstreams.iter_mut().for_each(|u| u.holders.admitted.clone_from(&nobody)));
    let asked = world.begin_from(&from, &client.id, &[("prompt", "none")], browser.session.as_deref()).await;
    asked.unwrap_err();
    walk.expect(Rule::AccountNotAdmitted);
    world.reload(|config| config.upstreams.iter_mut().for_each(|u| u.holders.admitted = None));
    let nonsense = Handles { transaction: "x".to_owned(), ..browser.clone() };
    world.request(&from).view(&nonsense).await.unwrap_err();
    walk.expect(Rule::SignInUnreadable);
    let unknown = EphemeralSecret::mint([3; 32], &world.keys).reveal().to_owned();
    world.request(&from).view(&Handles { transaction: unknown, ..browser.clone() }).await.unwrap_err();
    walk.expect(Rule::SignInUnknown);
    let other = Handles { session: None, ..browser.clone() };
    world.request(&from).decide(&other, Decision::Deny).await.unwrap_err();
    walk.expect(Rule::SignInOfAnotherSession);
    world.request(&from).decide(&browser, Decision::Deny).await.unwrap();
    world.request(&from).view(&browser).await.unwrap_err();
    walk.expect(Rule::SignInEnded);
    let mut gone = begin(&from).await;
    world.log_in(&mut gone, "ada").await;
    let upstreams = world.config.load().upstreams.clone();
    world.reload(|config| config.upstreams.retain(|upstream| upstream.name != "sales"));
    world.request(&from).view(&gone).await.unwrap_err();
    walk.expect(Rule::AccountOrResourceGone);
    world.reload(|config| {
        config.upstreams = upstreams.clone();
        config.upstreams.iter_mut().for_each(|upstream| upstream.scopes.clear());
    });
    world.request(&from).view(&gone).await.unwrap_err();
    walk.expect(Rule::ScopesGone);
    world.reload(|config| config.upstreams = upstreams);
    let (late, unwelcome) = (begin(&from).await, begin(&from).await);
    world.inner().set_client_disabled(&client.id, true, world.row()).await.unwrap();
    world.request(&from).view(&unwelcome).await.unwrap_err();
    walk.expect(Rule::ClientNoLongerWelcome);
    world.begin_from(&from, &client.id, &[], None).await.unwrap_err();
    walk.expect(Rule::ClientDisabled);
    world.inner().set_client_disabled(&client.id, false, world.row()).await.unwrap();
    world.pass(600);
    world.request(&from).view(&late).await.unwrap_err();
    assert!(walk.expect(Rule::SignInExpired).contains("key=\"login.interaction\""));
}

async fn passwords(world: &World, walk: &mut Walk) {
    let (client, subject) = (world.manual_client("Passwords", CALLBACK, None).await, world.account("eve").await);
    for (name, password, detail, subject) in
        [("nobody", "hunter2", "unknown_account", ""), ("eve", "hunter2", "wrong_password", " subject=\"subject-eve\"")]
    {
        let from = caller(20);
        let browser = handles(world.begin_from(&from, &client.id, &[], None).await.unwrap());
        let outcome = world.request(&from).log_in(&browser, name, password).await.unwrap();
        assert!(matches!(outcome, LoginOutcome::Refused), "{outcome:?}");
        let line = walk.expect(Rule::WrongPassword);
        assert!(line.contains(&format!("detail=\"{detail}\"")) && line.contains(subject), "{line}");
        assert_eq!(from.broken.get(), Some(&Rule::WrongPassword));
    }
    let from = caller(21);
    let browser = handles(world.begin_from(&from, &client.id, &[], None).await.unwrap());
    let mut outcome = LoginOutcome::Refused;
    while matches!(outcome, LoginOutcome::Refused) {
        drop(walk.log.warnings());
        outcome = world.request(&from).log_in(&browser, "eve", "hunter2").await.unwrap();
    }
    let line = walk.expect(Rule::LoginThrottled);
    assert!(line.contains("key=\"rates.login_free_failures\"") && line.contains("subject=\"subject-eve\""), "{line}");
    let link = world.link(&subject, "poor").await;
    for (password, detail, key) in [
        ("hunter2", "detail=\"too_short\"", "key=\"login.min_password\""),
        ("hunter2 hunter2 hunter2", "detail=\"too_common\"", ""),
    ] {
        let from = caller(22);
        let outcome = world.request(&from).redeem_setup(link.reveal(), password, None).await.unwrap();
        assert!(matches!(outcome, SetupOutcome::Refused(_)), "{outcome:?}");
        let line = walk.expect(Rule::PasswordPoor);
        assert!(line.contains(detail) && line.contains(key), "{line}");
        assert_eq!(from.broken.get(), Some(&Rule::PasswordPoor));
    }
}

async fn authentication(world: &World, walk: &mut Walk) {
    let public = world.public_client(CALLBACK).await;
    let body = json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "client_secret_post"});
    let secretive = world.request(&caller(9)).register(body.to_string().as_bytes()).await.unwrap().client;
    let grant = ("grant_type", "authorization_code");
    for (rule, authorization, sent) in [
        (Rule::ClientNotNamed, None, vec![grant]),
        (Rule::ClientUnknown, None, vec![grant, ("client_id", "mcp_client_nobody")]),
        (Rule::AuthenticatesTwice, Some("Basic aHVudGVyMg=="), pairs(&public, &[("client_secret", "hunter2")])),
        (Rule::ClientIdMismatch, Some("Basic YTpodW50ZXIy"), pairs(&public, &[])),
        (Rule::AuthorizationMalformed, Some("Basic hunter2!"), vec![grant]),
        (Rule::SecretUnexpected, None, pairs(&public, &[("client_secret", "hunter2")])),
        (Rule::SecretMissing, None, pairs(&secretive, &[grant])),
        (Rule::SecretWrong, None, pairs(&secretive, &[("client_secret", "hunter2")])),
        (Rule::GrantTypeMissing, None, pairs(&public, &[])),
        (Rule::GrantTypeUnsupported, None, pairs(&public, &[("grant_type", "password"), ("password", "hunter2")])),
        (Rule::CodeMissing, None, pairs(&public, &[grant])),
        (Rule::RefreshTokenMissing, None, pairs(&public, &[("grant_type", "refresh_token")])),
    ] {
        let authorization = authorization.map(str::as_bytes);
        world.request(&caller(3)).token(authorization, &form(&sent)).await.unwrap_err();
        let line = walk.expect(rule);
        world.issuer.record_last_refusals().await;
        if matches!(rule, Rule::SecretUnexpected) {
            assert!(line.contains("client_name=\"Some client\""), "{line}");
        }
        if rule == Rule::SecretWrong {
            assert!(line.contains("parameter=\"client_secret\" value=\"(7 bytes, letters and digits)\""), "{line}");
        }
    }
    // Failures other than a wrong secret count towards the rate only.
    for (sent, key) in [
        (pairs(&public, &[]), "rates.token_per_second"),
        (pairs(&secretive, &[("client_secret", "hunter2")]), "rates.client_failures_per_minute"),
    ] {
        let from = caller(30);
        while !matches!(world.request(&from).token(None, &form(&sent)).await, Err(TokenRejection::Throttled(_))) {}
        world.issuer.record_last_refusals().await;
        drop(walk.log.warnings());
        world.request(&from).token(None, &form(&sent)).await.unwrap_err();
        let line = walk.expect(Rule::RateLimited);
        assert!(line.contains(&format!("key=\"{key}\"")), "{line}");
    }
    let body = json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code"]});
    let once = world.request(&caller(9)).register(body.to_string().as_bytes()).await.unwrap().client;
    world.refresh(&once.id, "x").await.unwrap_err();
    walk.expect(Rule::GrantNotRegistered);
}

/// A client that acts for itself, which the operator allows and forbids.
async fn services(world: &World, walk: &mut Walk) {
    world.reload(|config| config.registration.client_credentials = true);
    let body = json!({"client_name": "Robot", "grant_types": ["client_credentials"]});
    let registered = world.request(&caller(9)).register(body.to_string().as_bytes()).await.unwrap();
    let (id, secret) = (registered.client.id, registered.secret.unwrap());
    let own = [("grant_type", "client_credentials"), ("client_id", id.as_str()), ("client_secret", secret.reveal())];
    let asked = [&own[..], &[("resource", SALES), ("scope", "notes:read")]].concat();
    world.token(&asked).await.unwrap_err();
    walk.expect(Rule::NothingGranted);
    let question = [("client_id", id.as_str()), ("client_secret", secret.reveal()), ("token", "x")];
    world.request(&caller(1)).introspect(None, &form(&question)).await.unwrap();
    walk.expect(Rule::NotAResourceServer);
    let own = [&own[..], &[("resource", SALES)]].concat();
    let token = world.token(&own).await.unwrap();
    let (server, secret) = crate::introspect::server(world, NOTES).await;
    let question = [("client_id", server.id.as_str()), ("client_secret", &secret), ("token", &token.access)];
    world.request(&caller(1)).introspect(None, &form(&question)).await.unwrap();
    walk.expect(Rule::TokenOfAnotherResource);
    world.reload(|config| config.registration.client_credentials = false);
    world.token(&asked).await.unwrap_err();
    walk.expect(Rule::ServicesNotAllowed);
}

async fn codes(world: &World, walk: &mut Walk) {
    let (client, other) = (world.public_client(CALLBACK).await, world.public_client(CALLBACK).await);
    world.redeem(&client.id, "mcp_code_hunter2").await.unwrap_err();
    walk.expect(Rule::CodeUnknown);
    let code = world.code(&client.id, &[], "ada").await;
    for (rule, client, extra) in [
        (Rule::CodeOfAnotherClient, &other, &[][..]),
        (Rule::VerifierWrong, &client, &[("code_verifier", "hunter2")]),
        (Rule::RedirectUriDiffers, &client, &[("redirect_uri", "https://evil.example/cb")]),
        (Rule::ResourceDiffers, &client, &[("resource", NOTES)]),
    ] {
        world.redeem_with(&client.id, &code, extra).await.unwrap_err();
        let line = walk.expect(rule);
        assert!(!line.contains(&code), "{line}");
    }
    world.redeem(&client.id, &code).await.unwrap();
    world.redeem(&client.id, &code).await.unwrap_err();
    walk.expect(Rule::CodeReplayed);
    let late = world.code(&client.id, &[], "ada").await;
    world.pass(61);
    world.redeem(&client.id, &late).await.unwrap_err();
    walk.expect(Rule::CodeDead);
    let withdrawn = world.code(&client.id, &[], "ada").await;
    let upstreams = world.config.load().upstreams.clone();
    world.reload(|config| config.upstreams.retain(|upstream| upstream.name != "sales"));
    world.redeem(&client.id, &withdrawn).await.unwrap_err();
    walk.expect(Rule::AccessWithdrawn);
    world.reload(|config| config.upstreams = upstreams);
}

async fn refreshes(world: &World, walk: &mut Walk) {
    let (client, other) = (world.public_client(CALLBACK).await, world.public_client(CALLBACK).await);
    let first = world.sign_in(&client.id, &[("scope", "sales:read")], "ada").await;
    let ahead = RefreshToken::derive(RefreshClaims { grant: first.grant, generation: 9 }, &world.keys);
    let nobodys = RefreshToken::derive(RefreshClaims { grant: GrantId([7; 16]), generation: 0 }, &world.keys);
    for (rule, client, token, extra) in [
        (Rule::RefreshTokenUnknown, &client, "mcp_refresh_hunter2", &[][..]),
        (Rule::RefreshTokenUnknown, &client, nobodys.reveal(), &[]),
        (Rule::RefreshTokenAhead, &client, ahead.reveal(), &[]),
        (Rule::RefreshTokenOfAnotherClient, &other, &first.refresh, &[]),
        (Rule::ScopeExceedsGrant, &client, &first.refresh, &[("scope", "sales:write")]),
        (Rule::ResourceDiffers, &client, &first.refresh, &[("resource", NOTES)]),
    ] {
        world.refresh_with(&client.id, token, extra).await.unwrap_err();
        walk.expect(rule);
    }
    let second = world.refresh(&client.id, &first.refresh).await.unwrap();
    world.refresh(&client.id, &second.refresh).await.unwrap();
    world.refresh(&client.id, &first.refresh).await.unwrap_err();
    walk.expect(Rule::RefreshTokenReused);
    world.refresh(&client.id, &second.refresh).await.unwrap_err();
    walk.expect(Rule::RefreshTokenDead);
    let first = world.sign_in(&client.id, &[], "ada").await;
    world.refresh(&client.id, &first.refresh).await.unwrap();
    let next = world.next_process().await;
    next.pass(31);
    next.refresh(&client.id, &first.refresh).await.unwrap_err();
    walk.expect(Rule::RefreshTokenInDoubt);
}

async fn revocations(world: &World, walk: &mut Walk) {
    let (client, other) = (world.public_client(CALLBACK).await, world.public_client(CALLBACK).await);
    let tokens = world.sign_in(&client.id, &[], "ada").await;
    world.request(&caller(4)).revoke(None, &form(&pairs(&client, &[]))).await.unwrap_err();
    walk.expect(Rule::TokenMissing);
    world.request(&caller(4)).revoke(None, &form(&pairs(&other, &[("token", &tokens.refresh)]))).await.unwrap();
    assert!(!walk.expect(Rule::TokenOfAnotherClient).contains(&tokens.refresh));
}

async fn registrations(world: &World, walk: &mut Walk) {
    let with = |name: &str, value: serde_json::Value| {
        let mut body = json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"});
        body[name] = value;
        body.to_string()
    };
    for (rule, body) in [
        (Rule::MetadataNotAnObject, "[]".to_owned()),
        (Rule::MemberMalformed, with("redirect_uris", json!("https://c.example/cb"))),
        (Rule::MemberMalformed, with("redirect_uris", json!(vec![CALLBACK; 21]))),
        (Rule::MemberMalformed, with("token_endpoint_auth_method", json!(7))),
        (Rule::AuthMethodUnsupported, with("token_endpoint_auth_method", json!("tls_client_auth"))),
        (Rule::GrantTypesUnsupported, with("grant_types", json!(["client_credentials"]))),
        (Rule::ResponseTypesUnsupported, with("response_types", json!(["token"]))),
        (
            Rule::KeysRefused,
            json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": []}})
            .to_string(),
        ),
        (Rule::KeysMissing, with("token_endpoint_auth_method", json!("private_key_jwt"))),
        (Rule::PrivateKey, with("jwks", json!({"keys": [{"kty": "oct", "k": "hunter2"}]}))),
        (Rule::RedirectUriRefused, with("redirect_uris", json!(["https://evil.example/*"]))),
        (Rule::StatementUnapproved, with("software_statement", json!("eyJhbGciOiJFUzI1NiJ9.e30.c2ln"))),
        (Rule::StatementMalformed, with("software_statement", json!("hunter2"))),
    ] {
        assert!(world.request(&caller(5)).register(body.as_bytes()).await.is_err());
        walk.expect(rule);
        // Starts a new hour.
        world.pass(3600);
    }
    let full = World::with(|config| config.registration.max_clients = 1).await;
    full.public_client(CALLBACK).await;
    let body = with("software_version", json!("one too many"));
    assert!(full.request(&caller(5)).register(body.as_bytes()).await.is_err());
    assert!(walk.expect(Rule::TooManyClients).contains("key=\"registration.max_clients\""));
    world.reload(|config| config.registration.enabled = false);
    assert!(world.request(&caller(5)).register(body.as_bytes()).await.is_err());
    let line = walk.expect(Rule::RegistrationClosed);
    assert!(line.contains("key=\"registration.enabled\" address=198.51.5.7"), "{line}");
    world.reload(|config| config.registration.enabled = true);
}

/// Clients about which an operator decides.
async fn approvals(world: &World, walk: &mut Walk) {
    let client = world.public_client(CALLBACK).await.id;
    let mut browser = world.browser(&client, &[]).await;
    world.log_in(&mut browser, "ada").await;
    world.reload(|config| config.registration.who = WhoRegisters::Approved);
    world.begin(&client, &[("prompt", "none")], browser.session.as_deref()).await.unwrap_err();
    walk.expect(Rule::ClientWaits);
    world.redeem(&client, "hunter2").await.unwrap_err();
    walk.expect(Rule::ClientNotApproved);
    crate::approval::decide(world, &client, false).await;
    world.begin(&client, &[], None).await.unwrap_err();
    walk.expect(Rule::ClientRejected);
    world.reload(|config| config.registration.who = WhoRegisters::Anybody);
}

/// A code that was edited in the store.
async fn damage(walk: &mut Walk) {
    let (world, hand, _folder) = crate::codes::world_on_disk().await;
    let client = world.public_client(CALLBACK).await;
    let code = world.code(&client.id, &[], "ada").await;
    hand.execute_batch("UPDATE code SET challenge_method = 'plain' WHERE used_at IS NULL").unwrap();
    world.redeem(&client.id, &code).await.unwrap_err();
    walk.expect(Rule::CodeDamaged);
}

/// `docs/errors.md` has exactly one row for each rule.
#[test]
fn the_page_of_errors_has_every_rule_with_what_it_expects() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md")).unwrap();
    let row = |rule: &Rule| {
        let code = rule.code().map_or_else(|| "–".to_owned(), |code| format!("`{}`", code.as_str()));
        format!("| `{}` | {code} | {} |", rule.label(), rule.expected())
    };
    let wanted: Vec<_> = Rule::ALL.iter().map(row).collect();
    let section =
        page.split("\n## Rules of the authorization server").nth(1).and_then(|rest| rest.split("\n## ").next());
    let rows: Vec<_> = section.unwrap_or_default().lines().filter(|line| line.starts_with("| `")).collect();
    assert!(rows == wanted, "the rows should be:\n{}", wanted.join("\n"));
}

#[tokio::test]
async fn what_is_refused_a_thousand_times_has_few_lines() {
    let world = World::new().await;
    let log = Log::start();
    for _ in 0..1000 {
        world.token_from(&caller(1), &[("client_id", "mcp_client_nobody")]).await.unwrap_err();
    }
    let lines = log.warnings().into_iter().filter(|line| line.contains("a request was refused")).count();
    assert_eq!(lines, 20, "as many lines as audit rows");
}

#[tokio::test]
async fn a_token_that_does_not_come_within_a_minute_is_told_once() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let came = world.sign_in(&client.id, &[], "ada").await;
    let missing = world.sign_in(&client.id, &[], "ada").await;
    let revoked = world.sign_in(&client.id, &[], "ada").await;
    let log = Log::start();
    assert!(world.is_live(&came.access).await);
    world.request(&caller(1)).revoke(None, &form(&pairs(&client, &[("token", &revoked.access)]))).await.unwrap();
    world.pass(59);
    world.issuer.watch_arrivals();
    assert_eq!(log.warnings(), Vec::<String>::new());
    world.pass(1);
    world.issuer.watch_arrivals();
    world.issuer.watch_arrivals();
    let lines = log.warnings();
    assert!(lines.len() == 1 && lines[0].contains("has not been presented"), "{lines:?}");
    let told = [
        client.id.as_str(),
        "client_name=\"Some client\"",
        "subject=\"subject-ada\"",
        "address=198.51.1.7",
        "AI agents",
    ];
    assert!(told.iter().all(|part| lines[0].contains(part)) && !lines[0].contains(&missing.access), "{lines:?}");
    assert_eq!(world.counted("token_not_presented"), 1);
}
