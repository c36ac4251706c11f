//! Clients that act for themselves (RFC 6749 4.4), and what they get.

use mcpgate::issuer::TokenRejection;
use mcpgate::oauth::{
    AuthMethod, Client, ClientId, ClientMetadata, ClientOrigin, ClientSecret, ClientSecretHash, GrantType, LoginName,
    RegisteredRedirects, ResourceIndicator, ScopeSet, Subject, TenantId, TokenHash,
};
use mcpgate::policy::AccountList;
use mcpgate::store::{AuditEvent, GrantFilter};
use serde_json::json;

use super::config::{FOREIGN, NOTES, SALES};
use super::driver::*;
use super::records;

/// Adds a client that may act for itself, as `mcpgate client add` does; returns it with its secret.
pub(crate) async fn service(world: &World, scope: Option<&str>, bound: Option<&str>) -> (Client, String) {
    let secret = ClientSecret::mint(world.services.entropy.random_32(), world.keys.brand());
    let id = ClientId::mint(world.services.entropy.random_32(), world.keys.brand());
    let client = records::client("app", ClientOrigin::Manual);
    let metadata = ClientMetadata {
        redirect_uris: RegisteredRedirects::default(),
        grant_types: vec![GrantType::ClientCredentials],
        token_endpoint_auth_method: AuthMethod::ClientSecretPost,
        scope: scope.map(|scopes| ScopeSet::parse(scopes).unwrap()),
        ..client.metadata
    };
    let secrets = vec![ClientSecretHash::of(secret.hash(), START)];
    let resource = bound.map(|bound| ResourceIndicator::parse(bound).unwrap());
    let client = Client { id, metadata, secrets, resource, created_at: world.now(), ..client };
    world.inner().insert_client(client.clone(), u64::MAX, world.row()).await.unwrap();
    (client, secret.reveal().to_owned())
}

async fn ask(
    world: &World,
    (client, secret): &(Client, String),
    extra: &[(&str, &str)],
) -> Result<Tokens, TokenRejection> {
    let own = [("grant_type", "client_credentials"), ("client_id", client.id.as_str()), ("client_secret", secret)];
    world.token(&[&own[..], extra].concat()).await
}

async fn sessions(world: &World) -> Vec<mcpgate::oauth::Grant> {
    let all = GrantFilter::of_tenant(&TenantId::default());
    world.inner().list_grants(&all, world.now()).await.unwrap()
}

#[tokio::test]
async fn a_service_gets_tokens_for_what_the_operator_granted_it_on_one_grant() {
    let world = World::new().await;
    let robot = service(&world, Some("sales:read sales:write"), Some(SALES)).await;
    let first = ask(&world, &robot, &[]).await.unwrap();
    assert_eq!((first.scopes.as_str(), first.refresh.as_str()), ("sales:read sales:write", ""));
    assert_eq!(first.expires_in, world.config.load().tokens.access.as_secs());
    let narrow = ask(&world, &robot, &[("scope", "sales:read offline_access"), ("resource", SALES)]).await.unwrap();
    assert_eq!((narrow.scopes.as_str(), narrow.refresh.as_str()), ("sales:read", ""));
    // RFC 6749 3.3: SDKs ask for every scope that the metadata name, and are told what they got.
    let wide = ask(&world, &robot, &[("scope", "sales:read notes:read unknown")]).await.unwrap();
    assert_eq!(wide.scopes, "sales:read");
    let grants = sessions(&world).await;
    assert_eq!(grants.len(), 1);
    let (subject, name) = robot.0.service_account().unwrap();
    assert_eq!((&grants[0].subject, grants[0].client.as_str()), (&subject, robot.0.id.as_str()));
    assert!(matches!(&subject, Subject::Service(id) if id.as_str() == robot.0.id.as_str()));
    assert_eq!(name.as_str(), robot.0.id.as_str().to_lowercase());
    let rows = world.audit().await;
    let row = rows.iter().rev().find(|row| row.event == AuditEvent::ClientTokenIssued).unwrap();
    assert_eq!((row.subject.as_ref(), row.client.as_ref()), (Some(subject.id()), Some(&robot.0.id)));
    assert_eq!((row.actor.as_ref(), row.resource.as_ref().map(|r| r.as_str())), (None, Some(SALES)));
    for token in [&first, &narrow, &wide] {
        assert!(world.is_live(&token.access).await);
    }
}

#[tokio::test]
async fn te_18_a_public_client_other_scopes_and_offline_access_get_a_service_nothing_more() {
    let world = World::new().await;
    let public = world.public_client(CALLBACK).await;
    let pairs = [("grant_type", "client_credentials"), ("client_id", public.id.as_str())];
    assert_eq!(refused(world.token(&pairs).await), "unauthorized_client");
    let robot = service(&world, Some("sales:read"), Some(SALES)).await;
    for scope in ["sales:write", "notes:read", "openid profile"] {
        assert_eq!(refused(ask(&world, &robot, &[("scope", scope)]).await), "invalid_scope", "{scope}");
    }
    let token = ask(&world, &robot, &[("scope", "offline_access")]).await.unwrap();
    assert_eq!((token.scopes.as_str(), token.refresh.as_str()), ("sales:read", ""));
    // A secret does not let a client do what it has not registered.
    let started = world.begin(&robot.0.id, &[("redirect_uri", "")], None).await;
    assert_eq!(paged(started), mcpgate::oauth::ErrorCode::InvalidRequest);
    let wrong = (robot.0.clone(), "wrong".to_owned());
    assert_eq!(refused(ask(&world, &wrong, &[]).await), "invalid_client");
}

#[tokio::test]
async fn a_service_may_ask_for_what_a_granted_scope_includes() {
    let world = World::with(crate::refresh::including).await;
    let robot = service(&world, Some("sales:write"), Some(SALES)).await;
    for (asked, got) in [("sales:write", "sales:write"), ("sales:read", "sales:read")] {
        let token = ask(&world, &robot, &[("scope", asked)]).await.unwrap();
        let hash = TokenHash::of(token.access.as_bytes());
        let stored = world.inner().find_access_token(&TenantId::default(), &hash, world.now()).await.unwrap().unwrap();
        assert_eq!((token.scopes.as_str(), stored.scopes.to_string().as_str()), (got, got));
    }
    assert_eq!(sessions(&world).await[0].scopes.to_string(), "sales:write");
}

#[tokio::test]
async fn a_service_names_its_resource_or_is_bound_to_it() {
    let world = World::new().await;
    let bound = service(&world, Some("sales:read"), Some(SALES)).await;
    for other in [NOTES, FOREIGN, "https://elsewhere.example/mcp"] {
        assert_eq!(refused(ask(&world, &bound, &[("resource", other)]).await), "invalid_target", "{other}");
    }
    let free = service(&world, Some("sales:read notes:read"), None).await;
    assert_eq!(refused(ask(&world, &free, &[]).await), "invalid_target");
    assert_eq!(refused(ask(&world, &free, &[("resource", FOREIGN)]).await), "invalid_target");
    for (resource, scopes) in [(SALES, "sales:read"), (NOTES, "notes:read")] {
        assert_eq!(ask(&world, &free, &[("resource", resource)]).await.unwrap().scopes, scopes);
    }
    assert_eq!(sessions(&world).await.len(), 2);
    let nowhere = service(&world, None, Some(SALES)).await;
    assert_eq!(refused(ask(&world, &nowhere, &[]).await), "invalid_scope", "the operator granted nothing");
}

#[tokio::test]
async fn a_service_is_held_to_those_who_may_hold_a_token() {
    let world = World::new().await;
    let robot = service(&world, Some("sales:read"), Some(SALES)).await;
    let before = ask(&world, &robot, &[]).await.unwrap();
    assert!(world.is_live(&before.access).await);
    world.reload(|config| {
        let ada = [LoginName::parse("ada").unwrap()].into_iter().collect();
        config.upstreams[0].holders.admitted = Some(AccountList { users: ada, ..AccountList::default() });
    });
    assert_eq!(refused(ask(&world, &robot, &[]).await), "invalid_scope");
    let id = robot.0.id.as_str().to_owned();
    world.reload(|config| {
        let robot = [LoginName::parse(&id).unwrap()].into_iter().collect();
        config.upstreams[0].holders.admitted = Some(AccountList { users: robot, ..AccountList::default() });
    });
    ask(&world, &robot, &[]).await.unwrap();
}

#[tokio::test]
async fn clients_that_register_themselves_act_for_themselves_only_where_it_is_allowed() {
    let world = World::new().await;
    let body = json!({ "client_name": "Batch", "grant_types": ["client_credentials"] }).to_string();
    let register = async |world: &World| world.request(&caller(9)).register(body.as_bytes()).await;
    assert!(register(&world).await.is_err());
    world.reload(|config| {
        config.registration.client_credentials = true;
        config.upstreams[0].scopes[1].sensitive = true;
    });
    let registered = register(&world).await.unwrap();
    let robot = (registered.client, registered.secret.unwrap().reveal().to_owned());
    let token = ask(&world, &robot, &[("resource", SALES)]).await.unwrap();
    assert_eq!(token.scopes, "sales:read", "nothing sensitive");
    let sensitive = [("resource", SALES), ("scope", "sales:write")];
    assert_eq!(refused(ask(&world, &robot, &sensitive).await), "invalid_scope");
    // Taken back, it holds for those that have registered already.
    world.reload(|config| config.registration.client_credentials = false);
    assert_eq!(refused(ask(&world, &robot, &[("resource", SALES)]).await), "unauthorized_client");
}

#[tokio::test]
async fn a_client_that_registered_itself_gets_no_scope_for_itself_that_includes_a_sensitive_one() {
    let world = World::with(|config| {
        crate::refresh::including(config);
        config.registration.client_credentials = true;
        config.upstreams[0].scopes[0].sensitive = true;
    })
    .await;
    let body = json!({ "client_name": "Batch", "grant_types": ["client_credentials"] }).to_string();
    let registered = world.request(&caller(9)).register(body.as_bytes()).await.unwrap();
    let robot = (registered.client, registered.secret.unwrap().reveal().to_owned());
    for scope in [None, Some("sales:write"), Some("sales:read")] {
        let asked: Vec<_> = scope.map(|scope| ("scope", scope)).into_iter().chain([("resource", SALES)]).collect();
        assert_eq!(refused(ask(&world, &robot, &asked).await), "invalid_scope", "{scope:?}");
    }
    let trusted = service(&world, Some("sales:write"), Some(SALES)).await;
    assert_eq!(ask(&world, &trusted, &[("scope", "sales:read")]).await.unwrap().scopes, "sales:read");
}

#[tokio::test]
async fn what_ends_a_client_ends_its_own_access() {
    let world = World::new().await;
    let robot = service(&world, Some("sales:read"), Some(SALES)).await;
    let token = ask(&world, &robot, &[]).await.unwrap();
    let grant = sessions(&world).await.remove(0);
    world.inner().revoke_grant(grant.id, world.row()).await.unwrap();
    world.cache.forget_grant(&TenantId::default(), grant.id);
    assert!(!world.is_live(&token.access).await);
    let again = ask(&world, &robot, &[]).await.unwrap();
    assert!(world.is_live(&again.access).await);
    assert_ne!(sessions(&world).await[0].id, grant.id);
    world.inner().set_client_disabled(&robot.0.id, true, world.row()).await.unwrap();
    assert_eq!(refused(ask(&world, &robot, &[]).await), "invalid_client");
    world.inner().delete_client(&robot.0.id, world.row()).await.unwrap();
    let (subject, _) = robot.0.service_account().unwrap();
    assert!(world.inner().find_account(&TenantId::default(), subject.id()).await.unwrap().is_none());
}
