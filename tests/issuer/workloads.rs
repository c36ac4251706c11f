//! Workloads without a stored secret: tokens of GitHub Actions and of Kubernetes, exchanged for ours.

use mcpgate::config::{Config, IssuerKeys, KeyPlace, WorkloadConfig};
use mcpgate::issuer::TokenRejection;
use mcpgate::oauth::{GrantType, LoginName, ResourceIndicator, Rule, ScopeSet, Subject, TenantId};
use mcpgate::outbound::FetchError;
use mcpgate::policy::{AccountList, ClaimPatterns, TextPattern};
use mcpgate::store::{AuditEvent, GrantFilter};
use serde_json::{Value, json};

use super::assertions::rule;
use super::config::{ISSUER, NOTES, SALES};
use super::driver::*;
use super::signing_key::SigningKey;

const GITHUB: &str = "https://token.actions.githubusercontent.com";
pub(crate) const GITHUB_KEYS: &str = "https://token.actions.githubusercontent.com/.well-known/jwks";
const CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";
const CLUSTER_KEYS: &str = "https://10.0.0.1/openid/v1/jwks";
const SUB: &str = "repo:acme/site:ref:refs/heads/main";

fn workload(issuer: &str, keys: &str, claims: &[(&str, &str)], account: &str) -> WorkloadConfig {
    let place = KeyPlace { url: keys.parse().unwrap(), ca_file: None, allow_addresses: Vec::new() };
    let claims = claims.iter().map(|(name, pattern)| ((*name).to_owned(), TextPattern::new(pattern)));
    WorkloadConfig {
        issuer: issuer.to_owned(),
        keys: IssuerKeys::At(place),
        audience: ISSUER.to_owned(),
        claims: ClaimPatterns::new(claims),
        account: LoginName::parse(account).unwrap(),
        tenant: TenantId::default(),
        resource: ResourceIndicator::parse(SALES).unwrap(),
        scopes: ScopeSet::parse("sales:read").unwrap(),
    }
}

fn with_both(config: &mut Config) {
    let of_github = [("sub", "repo:acme/site:*"), ("repository_owner_id", "65")];
    let of_cluster = [("sub", "system:serviceaccount:jobs:*")];
    config.workloads = vec![
        workload(GITHUB, GITHUB_KEYS, &of_github, "deploy"),
        workload(CLUSTER, CLUSTER_KEYS, &of_cluster, "nightly"),
    ];
}

/// Both issuers, and the key that both sign with.
pub(crate) async fn world() -> (World, SigningKey) {
    let (world, key) = (World::with(with_both).await, SigningKey::rsa(false));
    for url in [GITHUB_KEYS, CLUSTER_KEYS] {
        world.fetch.serve(url, &key.jwks("k"), None, false);
    }
    (world, key)
}

/// A token as GitHub Actions issues them.
pub(crate) fn of_github(world: &World) -> Value {
    let now = world.now().as_secs();
    json!({"jti": "example-id", "sub": SUB, "environment": "prod", "aud": ISSUER, "ref": "refs/heads/main",
        "sha": "example-sha", "repository": "acme/site", "repository_owner": "acme", "actor_id": "12",
        "repository_visibility": "private", "repository_id": "74", "repository_owner_id": "65",
        "run_id": "example-run-id", "run_number": "10", "run_attempt": "2", "runner_environment": "github-hosted",
        "actor": "octocat", "workflow": "deploy", "head_ref": "", "base_ref": "", "event_name": "push",
        "ref_type": "branch", "job_workflow_ref": "acme/site/.github/workflows/deploy.yml@refs/heads/main",
        "iss": GITHUB, "nbf": now - 300, "exp": now + 300, "iat": now})
}

/// A token as Kubernetes projects them into a pod: the audience is a list, and it lives for a day.
fn of_cluster(world: &World) -> Value {
    let now = world.now().as_secs();
    json!({"aud": [ISSUER], "exp": now + 86_400, "iat": now, "iss": CLUSTER, "jti": "0a1b",
        "kubernetes.io": {"namespace": "jobs", "pod": {"name": "report-1", "uid": "u1"},
            "serviceaccount": {"name": "report", "uid": "u2"}},
        "nbf": now, "sub": "system:serviceaccount:jobs:report"})
}

pub(crate) async fn present(world: &World, token: &str, extra: &[(&str, &str)]) -> Result<Tokens, TokenRejection> {
    let own = [("grant_type", GrantType::JwtBearer.as_str()), ("assertion", token)];
    world.token_from(&caller(1), &[&own[..], extra].concat()).await
}

/// As Kubernetes signs: without `typ`.
pub(crate) fn signed(key: &SigningKey, claims: &Value) -> String {
    key.sign_texts(&json!({"alg": key.algorithm(), "kid": "k"}).to_string(), &claims.to_string())
}

#[tokio::test]
async fn a_workload_exchanges_its_token_again_and_again_without_a_client_id() {
    let (world, key) = world().await;
    for (claims, name) in [(of_github(&world), "deploy"), (of_cluster(&world), "nightly")] {
        let token = signed(&key, &claims);
        let first = present(&world, &token, &[]).await.unwrap();
        assert_eq!((first.scopes.as_str(), first.refresh.as_str(), first.expires_in), ("sales:read", "", 600));
        let again = present(&world, &token, &[("resource", SALES), ("scope", "sales:read sales:write")]).await.unwrap();
        assert!(again.scopes == "sales:read" && world.is_live(&first.access).await, "{name}");
        let rows = world.audit().await;
        let row = rows.iter().rev().find(|row| row.event == AuditEvent::WorkloadTokenIssued).unwrap();
        let who = format!("{} {}", claims["iss"].as_str().unwrap(), claims["sub"].as_str().unwrap());
        assert_eq!(
            (row.reason.as_deref(), row.scopes.as_ref().map(ToString::to_string)),
            (Some(&*who), Some("sales:read".to_owned()))
        );
        let account = LoginName::parse(name).unwrap();
        let account = world.inner().find_account_by_name(&TenantId::default(), &account).await.unwrap().unwrap();
        assert!(matches!(account.subject, Subject::Service(_)), "{account:?}");
    }
    // A grant for each issuer and subject, and another of the same account for another branch.
    let mut other = of_github(&world);
    other["sub"] = "repo:acme/site:ref:refs/heads/next".into();
    present(&world, &signed(&key, &other), &[]).await.unwrap();
    let all = GrantFilter { tenant: TenantId::default(), subject: None, client: None, resource: None };
    let grants = world.inner().list_grants(&all, world.now()).await.unwrap();
    let mut of: Vec<_> = grants.iter().map(|grant| grant.workload.as_ref().unwrap().to_string()).collect();
    of.sort();
    assert_eq!(of.len(), 3, "{of:?}");
    assert!(of[1].starts_with(&format!("{GITHUB} repo:acme/site:ref:refs/heads/main")), "{of:?}");
    // Presented again until it expires, and no longer.
    let token = signed(&key, &of_github(&world));
    world.pass(300 + 59);
    assert!(present(&world, &token, &[]).await.is_ok());
    world.pass(1);
    assert_eq!(rule(present(&world, &token, &[]).await), Rule::WorkloadRefused);
}

#[tokio::test]
async fn te_09_the_audience_is_exactly_the_configured_one() {
    let (world, key) = world().await;
    for (audience, is_good) in [
        (json!(ISSUER), true),
        (json!([ISSUER]), true),
        (json!([ISSUER, "https://other.example"]), false),
        (json!([]), false),
        (json!("https://gate.example/token"), false),
        (json!("https://gate.example/"), false),
        (json!("https://other.example"), false),
        (json!("https://github.com/acme"), false),
        (json!("api"), false),
        (json!(null), false),
    ] {
        let mut claims = of_github(&world);
        claims["aud"] = audience.clone();
        let outcome = present(&world, &signed(&key, &claims), &[]).await;
        assert_eq!(outcome.is_ok(), is_good, "{audience}");
        assert!(is_good || rule(outcome) == Rule::WorkloadRefused, "{audience}");
    }
}

/// Each claim that is judged and each member of the header, changed: signed again, where the issuer itself may say so,
/// and under the signature of the good token.
#[tokio::test]
async fn a_twin_with_one_member_changed_is_refused() {
    let (world, key) = world().await;
    let now = world.now().as_secs();
    for good in [of_github(&world), of_cluster(&world)] {
        let token = signed(&key, &good);
        assert!(present(&world, &token, &[]).await.is_ok());
        let (parts, signature) = token.rsplit_once('.').unwrap();
        for (name, _) in good.as_object().unwrap() {
            let mut changed = good.clone();
            changed[name] = json!("changed");
            let other = signed(&key, &changed);
            let forged = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
            assert!(present(&world, &forged, &[]).await.is_err(), "{name}");
        }
        for (name, value) in [
            ("iss", json!("https://token.actions.githubusercontent.com/")),
            ("iss", json!("https://evil.example")),
            ("iss", json!(null)),
            ("sub", json!("repo:acme/site")),
            ("sub", json!("xrepo:acme/site:ref:refs/heads/main")),
            ("sub", json!("system:serviceaccount:job:report")),
            ("sub", json!(["system:serviceaccount:jobs:report"])),
            ("sub", json!("")),
            ("sub", json!(null)),
            ("exp", json!(now - 60)),
            ("exp", json!(now + 2 * 86_400)),
            ("exp", json!(null)),
            ("nbf", json!(now + 61)),
            ("iat", json!(now + 61)),
            ("iat", json!(now - 2 * 86_400)),
            ("cnf", json!({"jkt": "x"})),
        ] {
            let mut changed = good.clone();
            changed[name] = value;
            let outcome = present(&world, &signed(&key, &changed), &[]).await;
            assert_eq!(refused(outcome), "invalid_grant", "{name} {}", changed[name]);
        }
        for (name, value) in [
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("alg", json!("PS256")),
            ("kid", json!("other")),
            ("typ", json!("at+jwt")),
            ("typ", json!("JWT")),
            ("crit", json!(["b64"])),
            ("jku", json!("https://evil.example/keys")),
        ] {
            let mut header = json!({"alg": key.algorithm(), "kid": "k"});
            header[name] = value;
            let other = key.sign_texts(&header.to_string(), &good.to_string());
            let forged = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
            assert!(present(&world, &forged, &[]).await.is_err(), "{name}");
        }
        let stranger = signed(&SigningKey::p256(), &good);
        assert_eq!(rule(present(&world, &stranger, &[]).await), Rule::WorkloadSignature);
        assert!(present(&world, &format!("{parts}."), &[]).await.is_err());
    }
}

#[tokio::test]
async fn a_token_of_another_owner_and_a_claim_of_another_type_match_nothing() {
    let (world, key) = world().await;
    let mut of_another = of_github(&world);
    of_another["repository_owner_id"] = "66".into();
    assert_eq!(rule(present(&world, &signed(&key, &of_another), &[]).await), Rule::WorkloadUnknown);
    of_another["repository_owner_id"] = 65.into();
    assert_eq!(rule(present(&world, &signed(&key, &of_another), &[]).await), Rule::WorkloadUnknown, "not a string");
}

#[tokio::test]
async fn te_18_a_workload_gets_its_own_scopes_and_nothing_of_a_persons() {
    let (world, key) = world().await;
    let token = signed(&key, &of_github(&world));
    for scope in ["sales:write", "notes:read", "openid profile"] {
        assert_eq!(refused(present(&world, &token, &[("scope", scope)]).await), "invalid_scope", "{scope}");
    }
    let offline = present(&world, &token, &[("scope", "offline_access")]).await.unwrap();
    assert_eq!((offline.scopes.as_str(), offline.refresh.as_str()), ("sales:read", ""));
    assert_eq!(refused(present(&world, &token, &[("resource", NOTES)]).await), "invalid_target");
    // With a client it is that client's assertion, and no workload's.
    let public = world.public_client(CALLBACK).await;
    let by_client = present(&world, &token, &[("client_id", public.id.as_str())]).await;
    assert_eq!(refused(by_client), "unauthorized_client");
    // Held to who may use the upstream, by the name of its account.
    let staff = AccountList { users: [LoginName::parse("ada").unwrap()].into(), ..AccountList::default() };
    world.reload(|config| config.upstreams[0].holders.admitted = Some(staff));
    assert_eq!(refused(present(&world, &token, &[]).await), "invalid_scope");
    world.reload(|config| config.workloads.clear());
    assert_eq!(refused(present(&world, &token, &[]).await), "invalid_client", "without a table as before");
}

#[tokio::test]
async fn a_workload_is_switched_off_by_its_account_and_never_takes_a_persons() {
    let (world, key) = world().await;
    let token = signed(&key, &of_github(&world));
    present(&world, &token, &[]).await.unwrap();
    let name = LoginName::parse("deploy").unwrap();
    let account = world.inner().find_account_by_name(&TenantId::default(), &name).await.unwrap().unwrap();
    world.inner().set_account_disabled(account.subject.id(), true, world.row()).await.unwrap();
    assert_eq!(rule(present(&world, &token, &[]).await), Rule::WorkloadSwitchedOff);
    world.account("nightly").await;
    assert_eq!(rule(present(&world, &signed(&key, &of_cluster(&world)), &[]).await), Rule::WorkloadSwitchedOff);
}

#[tokio::test]
async fn keys_are_fetched_once_again_for_a_new_one_and_an_outage_is_bridged() {
    let (world, key) = world().await;
    let token = signed(&key, &of_github(&world));
    for _ in 0..3 {
        present(&world, &token, &[]).await.unwrap();
    }
    assert_eq!(world.fetch.calls(), 1);
    let next = SigningKey::p256();
    let later = signed(&next, &of_github(&world));
    assert_eq!(rule(present(&world, &later, &[]).await), Rule::WorkloadSignature);
    world.fetch.serve(GITHUB_KEYS, &next.jwks("k"), None, false);
    world.pass(60);
    assert!(present(&world, &later, &[]).await.is_ok());
    world.fetch.fail(GITHUB_KEYS, FetchError::Connect);
    world.pass(3600);
    let fresh = signed(&next, &of_github(&world));
    assert!(present(&world, &fresh, &[]).await.is_ok(), "the keys as they were");
    world.fetch.fail(CLUSTER_KEYS, FetchError::Refused);
    let outcome = present(&world, &signed(&key, &of_cluster(&world)), &[]).await;
    assert!(matches!(outcome, Err(TokenRejection::Unavailable)), "{outcome:?}");
}
