//! Clients that act for people who are absent (RFC 7523 2.1), and how that ends.

use std::sync::Arc;

use mcpgate::issuer::TokenRejection;
use mcpgate::oauth::{
    AccountId, AuthMethod, Client, ClientId, ClientMetadata, ClientOrigin, ErrorCode, Grant, GrantType, GroupName,
    LoginName, RegisteredRedirects, ResourceIndicator, Rule, ScopeSet, ScopeToken, TenantId,
};
use mcpgate::policy::{AccountList, ConfiguredGroups};
use mcpgate::store::{AuditEvent, ClientChange, GrantFilter, Insertion};
use serde_json::{Value, json};

use super::assertions::{TYPE, claims, keyed, rule};
use super::config::{ISSUER, NOTES, SALES};
use super::driver::*;
use super::introspect;
use super::records;
use super::signing_key::SigningKey;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// What is said of every person for whom the client may not act.
const NOBODY: &str = "this client may act for no person with this login name";

/// A client that may act for the group `support`, and its key.
pub(crate) struct Acting {
    pub(crate) world: World,
    pub(crate) client: Client,
    pub(crate) key: SigningKey,
}

fn group(name: &str) -> GroupName {
    GroupName::parse(name).unwrap()
}

impl Acting {
    pub(crate) async fn new() -> Self {
        Self::of(World::new().await, Some("sales:read notes:read")).await
    }

    /// A client with the grant that no operator marked, as a newer version may leave behind.
    pub(crate) async fn marked_for_nobody() -> Self {
        let acting = Self::new().await;
        let metadata = ClientMetadata { may_act_for: [].into_iter().collect(), ..acting.client.metadata.clone() };
        let after = Client { metadata, ..acting.client.clone() };
        let change = ClientChange { before: acting.client.clone(), after };
        acting.world.inner().change_client(change, acting.world.row()).await.unwrap();
        acting
    }

    async fn of(world: World, scope: Option<&str>) -> Self {
        let key = SigningKey::p256();
        let keys = keyed(&world, &key).await.metadata.keys;
        let client = records::client("chat", ClientOrigin::Manual);
        let metadata = ClientMetadata {
            redirect_uris: RegisteredRedirects::default(),
            grant_types: vec![GrantType::JwtBearer],
            token_endpoint_auth_method: AuthMethod::PrivateKeyJwt,
            keys,
            may_act_for: [group("support")].into_iter().collect(),
            scope: scope.map(|scope| ScopeSet::parse(scope).unwrap()),
            ..client.metadata
        };
        let client = Client { metadata, created_at: world.now(), ..client };
        world.inner().insert_client(client.clone(), u64::MAX, world.row()).await.unwrap();
        Self { world, client, key }
    }

    /// Adds an account that is in the group.
    pub(crate) async fn member(&self, name: &str) -> AccountId {
        let account = self.world.account(name).await;
        self.world.inner().add_member(&group("support"), &account, self.world.row()).await.unwrap();
        account
    }

    pub(crate) fn grant_claims(&self, person: &str, jti: &str) -> Value {
        let now = self.world.now().as_secs();
        json!({"iss": self.client.id.as_str(), "sub": person, "aud": ISSUER, "exp": now + 300, "iat": now, "jti": jti})
    }

    pub(crate) async fn present(&self, assertion: &str, extra: &[(&str, &str)]) -> Result<Tokens, TokenRejection> {
        self.present_as(&self.client.id, assertion, extra).await
    }

    async fn present_as(
        &self,
        client: &ClientId,
        assertion: &str,
        extra: &[(&str, &str)],
    ) -> Result<Tokens, TokenRejection> {
        // Each request authenticates by an assertion of its own.
        let jti = format!("of {}", &assertion[assertion.len() - 20..]);
        let proof = self.key.sign("k", &claims(&self.world, client, &jti));
        let own = [("grant_type", GRANT), ("assertion", assertion)];
        let proof = [("client_assertion_type", TYPE), ("client_assertion", proof.as_str())];
        self.world.token_from(&caller(1), &[&own[..], &proof, extra].concat()).await
    }

    /// Asks for a token for a person.
    pub(crate) async fn ask(&self, person: &str, jti: &str, extra: &[(&str, &str)]) -> Result<Tokens, TokenRejection> {
        let extra = if extra.iter().any(|(name, _)| *name == "resource") {
            extra.to_vec()
        } else {
            [extra, &[("resource", SALES)]].concat()
        };
        self.present(&self.key.sign("k", &self.grant_claims(person, jti)), &extra).await
    }

    pub(crate) async fn without_assertion(&self) -> Result<Tokens, TokenRejection> {
        let proof = self.key.sign("k", &claims(&self.world, &self.client.id, "without"));
        let proof = [("client_assertion_type", TYPE), ("client_assertion", proof.as_str()), ("grant_type", GRANT)];
        self.world.token_from(&caller(1), &proof).await
    }

    async fn grants(&self) -> Vec<Grant> {
        let all = GrantFilter::of_tenant(&TenantId::default());
        self.world.inner().list_grants(&all, self.world.now()).await.unwrap()
    }

    /// Checks that the client is told what it is told of everybody for whom it may not act.
    async fn is_refused(&self, person: &str, jti: &str, why: Rule) {
        match self.ask(person, jti, &[]).await {
            Err(TokenRejection::Refused { error, .. }) => {
                assert_eq!((error.code(), error.rule()), (ErrorCode::InvalidGrant, why), "{person} {error:?}");
                assert!(error.description().starts_with(NOBODY), "{person}: {}", error.description());
            }
            other => panic!("{person}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_client_gets_tokens_for_a_person_in_its_groups_and_is_named_as_the_actor() {
    let acting = Acting::new().await;
    let (world, ada) = (&acting.world, acting.member("ada").await);
    let first = acting.ask("Ada", "1", &[]).await.unwrap();
    assert_eq!((first.scopes.as_str(), first.refresh.as_str()), ("sales:read", ""), "no refresh token");
    let second = acting.ask("ada", "2", &[("scope", "sales:read sales:write offline_access")]).await.unwrap();
    assert_eq!(second.scopes, "sales:read", "within what the client was granted");
    let [grant] = &acting.grants().await[..] else { panic!("one grant") };
    assert_eq!((grant.subject.id(), &grant.client, grant.acting), (&ada, &acting.client.id, true));
    assert!(!grant.may_refresh && world.is_live(&first.access).await && world.is_live(&second.access).await);
    let rows = world.audit().await;
    let row = rows.iter().rev().find(|row| row.event == AuditEvent::ActingTokenIssued).unwrap();
    assert_eq!((row.subject.as_ref(), row.client.as_ref()), (Some(&ada), Some(&acting.client.id)));
    let server = introspect::server(world, SALES).await;
    let told = introspect::ask(world, &server, &first.access).await;
    assert_eq!((&told["sub"], &told["username"]), (&json!(ada.as_str()), &json!("ada")));
    assert_eq!(told["act"], json!({"sub": acting.client.id.as_str()}));
    assert_eq!(told.get("auth_time"), None, "nobody signed in");
}

#[tokio::test]
async fn whoever_the_client_may_not_act_for_is_refused_with_the_same_answer() {
    let acting = Acting::of(
        World::with(|config| {
            let staff = AccountList { users: [LoginName::parse("ada").unwrap()].into(), ..AccountList::default() };
            config.upstreams[0].holders.admitted = Some(staff);
        })
        .await,
        Some("sales:read"),
    )
    .await;
    let world = &acting.world;
    let (ada, grace) = (acting.member("ada").await, acting.member("grace").await);
    world.account("bob").await;
    let gone = acting.member("gone").await;
    world.inner().delete_account(&gone, world.row()).await.unwrap();
    let renamed = acting.member("former").await;
    let new_name = LoginName::parse("newname").unwrap();
    world.inner().rename_account(&renamed, &new_name, world.row()).await.unwrap();
    // A person may be called so.
    acting.member("nobody").await;
    assert!(acting.ask("ada", "good", &[]).await.is_ok());
    // Unknown, in no group, deleted, a former name, not admitted to the upstream, what nobody can be called.
    for (n, name) in ["unknown", "bob", "gone", "former", "grace", "Zoë", ""].into_iter().enumerate() {
        acting.is_refused(name, &format!("r{n}"), Rule::ActingForNobody).await;
    }
    // Names are never used again for somebody else.
    for name in ["gone", "former"] {
        let account = mcpgate::store::Account { name: LoginName::parse(name).unwrap(), ..records::account("another") };
        assert_eq!(world.inner().insert_account(account, world.row()).await.unwrap(), Insertion::Exists, "{name}");
    }
    world.inner().set_account_disabled(&ada, true, world.row()).await.unwrap();
    acting.is_refused("ada", "disabled", Rule::ActingForNobody).await;
    assert_ne!(ada, grace);
}

#[tokio::test]
async fn a_service_is_no_person_to_act_for() {
    let acting = Acting::new().await;
    let world = &acting.world;
    world.inner().insert_account(records::service("robot"), world.row()).await.unwrap();
    let robot = records::service("robot").subject;
    world.inner().add_member(&group("support"), robot.id(), world.row()).await.unwrap();
    acting.is_refused("robot", "1", Rule::ActingForNobody).await;
}

#[tokio::test]
async fn te_10_only_a_client_that_the_operator_marked_acts_for_people() {
    let acting = Acting::new().await;
    let world = &acting.world;
    acting.member("ada").await;
    // A client that registered itself with the same key, and asked for the grant.
    let body = json!({"client_name": "Self", "redirect_uris": [CALLBACK], "grant_types": ["authorization_code", GRANT],
        "token_endpoint_auth_method": "private_key_jwt", "jwks": acting.key.jwks("k"), "may_act_for": ["support"]});
    let other = world.request(&caller(8)).register(body.to_string().as_bytes()).await.unwrap().client;
    assert_eq!(
        (&other.metadata.grant_types[..], other.metadata.may_act_for.is_empty()),
        (&[GrantType::AuthorizationCode][..], true)
    );
    let mut claims = acting.grant_claims("ada", "1");
    claims["iss"] = other.id.as_str().into();
    let own = acting.key.sign("k", &claims);
    assert_eq!(rule(acting.present_as(&other.id, &own, &[]).await), Rule::GrantNotRegistered);
    // The assertion of one client, presented by another; and by nobody, or a public client.
    assert_eq!(rule(acting.present(&own, &[("resource", SALES)]).await), Rule::GrantAssertionRefused);
    let good = acting.key.sign("k", &acting.grant_claims("ada", "2"));
    let alone = [("grant_type", GRANT), ("assertion", good.as_str()), ("resource", SALES)];
    assert!(world.token(&alone).await.is_err());
    let named = [&alone[..], &[("client_id", acting.client.id.as_str())]].concat();
    assert_eq!(refused(world.token(&named).await), "invalid_client", "its keys prove who it is, not its id");
    let public = world.public_client(CALLBACK).await;
    let by_public = [&alone[..], &[("client_id", public.id.as_str())]].concat();
    assert_eq!(refused(world.token(&by_public).await), "unauthorized_client");
    assert!(acting.present(&good, &[("resource", SALES)]).await.is_ok());
}

#[tokio::test]
async fn te_11_an_assertion_is_used_once_and_a_restart_changes_nothing() {
    let acting = Acting::new().await;
    acting.member("ada").await;
    let good = acting.key.sign("k", &acting.grant_claims("ada", "1"));
    acting.present(&good, &[("resource", SALES)]).await.unwrap();
    let again = acting.ask("ada", "1", &[("scope", "sales:read")]).await;
    assert_eq!(rule(again), Rule::GrantAssertionReplayed, "the id counts, and not the text");
    let world = acting.world.next_process().await;
    let acting = Acting { world, ..acting };
    assert_eq!(rule(acting.ask("ada", "1", &[]).await), Rule::GrantAssertionReplayed);
    // An id is used up whoever it was for, and not by what concerns the client alone.
    acting.is_refused("nobody", "2", Rule::ActingForNobody).await;
    assert_eq!(rule(acting.ask("ada", "2", &[]).await), Rule::GrantAssertionReplayed);
    assert_eq!(rule(acting.ask("ada", "3", &[("resource", "https://other.example")]).await), Rule::ResourceUnknown);
    assert_eq!(rule(acting.ask("ada", "3", &[("scope", "sales:write")]).await), Rule::NothingGranted);
    assert!(acting.ask("ada", "3", &[]).await.is_ok());
    let stranger = SigningKey::p256().sign("k", &acting.grant_claims("ada", "4"));
    assert_eq!(rule(acting.present(&stranger, &[("resource", SALES)]).await), Rule::GrantAssertionSignature);
    assert!(acting.ask("ada", "4", &[]).await.is_ok());
}

#[tokio::test]
async fn a_token_is_bound_to_its_resource_and_to_what_the_person_may_at_that_moment() {
    let acting = Acting::new().await;
    let world = &acting.world;
    acting.member("ada").await;
    assert_eq!(acting.ask("ada", "1", &[("resource", NOTES)]).await.unwrap().scopes, "notes:read");
    let unnamed = acting.present(&acting.key.sign("k", &acting.grant_claims("ada", "2")), &[]).await;
    assert_eq!(rule(unnamed), Rule::ResourceMissing);
    let earlier = acting.ask("ada", "3", &[]).await.unwrap();
    let readers = AccountList { groups: [group("readers")].into_iter().collect(), ..AccountList::default() };
    world.reload(|config| {
        config.upstreams[0].holders.limited = vec![(ScopeToken::parse("sales:read").unwrap(), readers)];
    });
    acting.is_refused("ada", "4", Rule::ActingForNobody).await;
    let server = introspect::server(world, SALES).await;
    assert_eq!(introspect::ask(world, &server, &earlier.access).await["active"], false, "judged at each use");
    // Groups of the file count as those of the store.
    let bob = world.account("bob").await;
    world.reload(|config| {
        let groups = [(group("support"), vec![LoginName::parse("bob").unwrap()])];
        config.upstreams[0].holders.groups = Arc::new(ConfiguredGroups::new(&groups));
        config.upstreams[0].holders.limited = Vec::new();
    });
    assert!(acting.ask("bob", "5", &[]).await.is_ok());
    assert_eq!(acting.grants().await[0].subject.id(), &bob);
    let bound = Client { resource: ResourceIndicator::parse(NOTES).ok(), ..acting.client.clone() };
    let change = ClientChange { before: acting.client.clone(), after: bound };
    world.inner().change_client(change, world.row()).await.unwrap();
    assert_eq!(rule(acting.ask("bob", "6", &[]).await), Rule::ResourceUnknown);
}

#[tokio::test]
async fn what_a_person_ended_stays_ended_until_it_is_lifted() {
    let acting = Acting::new().await;
    let ada = acting.member("ada").await;
    acting.member("grace").await;
    let token = acting.ask("ada", "1", &[]).await.unwrap();
    let session = {
        let world = &acting.world;
        let client = world.public_client(CALLBACK).await;
        let mut browser = world.browser(&client.id, &[]).await;
        world.log_in(&mut browser, "ada").await;
        browser.session.unwrap()
    };
    let own = acting.grants().await.into_iter().find(|grant| grant.acting).unwrap();
    {
        let world = &acting.world;
        let page = world.request(&caller(1)).account(&session).await.unwrap().unwrap();
        assert!(page.apps.iter().any(|app| app.acts && app.client_name == "chat"), "{page:?}");
        assert!(world.request(&caller(1)).revoke_own_grant(&session, own.id).await.unwrap());
        assert!(!world.is_live(&token.access).await);
    }
    acting.is_refused("ada", "2", Rule::ActingEnded).await;
    // A new process, and later; others are not concerned.
    let world = acting.world.next_process().await;
    let acting = Acting { world, ..acting };
    acting.is_refused("ada", "3", Rule::ActingEnded).await;
    assert!(acting.ask("grace", "4", &[]).await.is_ok());
    let world = &acting.world;
    let page = world.request(&caller(1)).account(&session).await.unwrap().unwrap();
    let [ended] = &page.ended[..] else { panic!("{page:?}") };
    assert_eq!((&ended.client, ended.client_name.as_str()), (&acting.client.id, "chat"));
    assert!(world.request(&caller(1)).resume_own_acting(&session, &acting.client.id).await.unwrap());
    assert!(!world.request(&caller(1)).resume_own_acting(&session, &acting.client.id).await.unwrap());
    let rows = world.audit().await;
    let row = rows.iter().rev().find(|row| row.event == AuditEvent::ActingResumed).unwrap();
    assert_eq!((row.actor.as_deref(), row.client.as_ref()), (Some(ada.as_str()), Some(&acting.client.id)));
    assert!(acting.ask("ada", "5", &[]).await.is_ok());
}
