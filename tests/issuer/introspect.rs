//! IR: token introspection (RFC 7662), and who is told what.

use mcpgate::issuer::Face;
use mcpgate::oauth::{
    AuthMethod, Client, ClientId, ClientMetadata, ClientOrigin, ClientSecret, ClientSecretHash, LoginName,
    RegisteredRedirects, ResourceIndicator, Subject,
};
use mcpgate::policy::AccountList;
use mcpgate::store::AuditEvent;
use serde_json::{Value, json};

use super::config::{ISSUER, NOTES, SALES};
use super::driver::*;
use super::records;

/// Adds the resource server of an upstream, as `mcpgate client add --resource-server` does; returns its secret too.
pub(crate) async fn server(world: &World, of: &str) -> (Client, String) {
    let secret = ClientSecret::mint(world.services.entropy.random_32(), world.keys.brand());
    let id = ClientId::mint(world.services.entropy.random_32(), world.keys.brand());
    let client = records::client("app", ClientOrigin::Manual);
    let metadata = ClientMetadata {
        redirect_uris: RegisteredRedirects::default(),
        grant_types: Vec::new(),
        token_endpoint_auth_method: AuthMethod::ClientSecretBasic,
        ..client.metadata
    };
    let secrets = vec![ClientSecretHash::of(secret.hash(), START)];
    let resource = Some(ResourceIndicator::parse(of).unwrap());
    let client = Client { id, metadata, secrets, resource, ..client };
    world.inner().insert_client(client.clone(), u64::MAX, world.row()).await.unwrap();
    (client, secret.reveal().to_owned())
}

pub(crate) async fn ask(world: &World, (client, secret): &(Client, String), token: &str) -> Value {
    let pairs = [("client_id", client.id.as_str()), ("client_secret", secret), ("token", token)];
    let told = world.request(&caller(3)).introspect(None, &form(&pairs)).await.unwrap();
    serde_json::from_slice(&told.to_json()).unwrap()
}

fn inactive() -> Value {
    json!({ "active": false })
}

#[tokio::test]
async fn a_resource_server_is_told_what_its_tokens_allow() {
    let world = World::new().await;
    let ada = world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let tokens = world.sign_in(&client.id, &[("scope", "sales:read sales:write")], "ada").await;
    let server = server(&world, SALES).await;
    let signed_in = world.now().as_millis() / 1000;
    let told = ask(&world, &server, &tokens.access).await;
    let expected = json!({ "active": true, "token_type": "Bearer", "iss": ISSUER, "aud": SALES, "sub": ada.as_str(),
        "client_id": client.id.as_str(), "exp": signed_in + tokens.expires_in, "iat": signed_in,
        "auth_time": signed_in, "scope": "sales:read sales:write", "username": "ada" });
    assert_eq!(told, expected);
}

#[tokio::test]
async fn ir_01_who_asks_authenticates_with_a_secret() {
    let world = World::new().await;
    let public = world.public_client(CALLBACK).await;
    let server = server(&world, SALES).await;
    let id = server.0.id.as_str();
    for pairs in [
        &[("token", "x")][..],
        &[("token", "x"), ("client_id", public.id.as_str())],
        &[("token", "x"), ("client_id", id)],
        &[("token", "x"), ("client_id", id), ("client_secret", "wrong")],
    ] {
        assert_eq!(
            refused(world.request(&caller(3)).introspect(None, &form(pairs)).await),
            "invalid_client",
            "{pairs:?}"
        );
    }
    let without = [("client_id", id), ("client_secret", server.1.as_str())];
    assert_eq!(refused(world.request(&caller(3)).introspect(None, &form(&without)).await), "invalid_request");
}

#[tokio::test]
async fn ir_02_ir_03_all_that_is_not_a_valid_token_of_the_server_is_inactive_alike() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let tokens = world.sign_in(&client.id, &[], "ada").await;
    let (sales, notes) = (server(&world, SALES).await, server(&world, NOTES).await);
    assert_eq!(ask(&world, &notes, &tokens.access).await, inactive());
    let row = world.audit().await.pop().unwrap();
    assert_eq!((row.event, row.client.as_ref()), (AuditEvent::TokenRefused, Some(&notes.0.id)));
    for other in [tokens.refresh.as_str(), "x", &tokens.access.replace('a', "b"), &"x".repeat(50_000)] {
        assert_eq!(ask(&world, &sales, other).await, inactive(), "{other}");
    }
    // A confidential client that is no resource server learns nothing, not even about its own tokens.
    let body = json!({ "client_name": "Other", "redirect_uris": [CALLBACK] });
    let other = world.request(&caller(9)).register(body.to_string().as_bytes()).await.unwrap();
    let other = (other.client, other.secret.unwrap().reveal().to_owned());
    assert_eq!(ask(&world, &other, &tokens.access).await, inactive());
    assert_eq!(ask(&world, &sales, &tokens.access).await["active"], true);
    // What its user may no longer hold is not in force, as for requests.
    world.reload(|config| {
        let bob = [LoginName::parse("bob").unwrap()].into_iter().collect();
        config.upstreams[0].holders.admitted = Some(AccountList { users: bob, ..AccountList::default() });
    });
    assert_eq!(ask(&world, &sales, &tokens.access).await, inactive());
    world.reload(|config| config.upstreams[0].holders.admitted = None);
    let revoke = [("client_id", client.id.as_str()), ("token", tokens.access.as_str())];
    world.request(&caller(1)).revoke(None, &form(&revoke)).await.unwrap();
    assert_eq!(ask(&world, &sales, &tokens.access).await, inactive());
    let fresh = world.refresh(&client.id, &tokens.refresh).await.unwrap();
    assert_eq!(ask(&world, &sales, &fresh.access).await["active"], true);
    world.pass(fresh.expires_in);
    assert_eq!(ask(&world, &sales, &fresh.access).await, inactive());
}

#[tokio::test]
async fn of_a_service_there_is_no_login_name_and_no_login() {
    let world = World::new().await;
    let (client, secret) = crate::client_credentials::service(&world, Some("sales:read"), Some(SALES)).await;
    let asked = [("grant_type", "client_credentials"), ("client_id", client.id.as_str()), ("client_secret", &secret)];
    let token = world.token(&asked).await.unwrap();
    let told = ask(&world, &server(&world, SALES).await, &token.access).await;
    assert_eq!((&told["sub"], &told["client_id"]), (&json!(client.id.as_str()), &json!(client.id.as_str())));
    assert!(told.get("username").is_none() && told.get("auth_time").is_none(), "{told}");
    assert!(matches!(client.service_account(), Some((Subject::Service(_), _))));
}

#[tokio::test]
async fn a_resource_server_asks_as_often_as_it_gets_requests_and_others_have_a_budget() {
    let world = World::new().await;
    world.account("ada").await;
    let client = world.public_client(CALLBACK).await;
    let tokens = world.sign_in(&client.id, &[], "ada").await;
    let body = json!({ "client_name": "Other", "redirect_uris": [CALLBACK] });
    let other = world.request(&caller(9)).register(body.to_string().as_bytes()).await.unwrap();
    let other = (other.client, other.secret.unwrap().reveal().to_owned());
    let server = server(&world, SALES).await;
    for n in 0..500 {
        assert!(world.request(&caller(3)).admit_request(Face::Introspection).await.is_ok(), "{n}");
        assert_eq!(ask(&world, &server, &tokens.access).await["active"], true, "{n}");
    }
    let stranger = caller(4);
    let pairs = [("client_id", other.0.id.as_str()), ("client_secret", &other.1), ("token", "x")];
    let mut answered = 0;
    while world.request(&stranger).introspect(None, &form(&pairs)).await.is_ok() {
        answered += 1;
    }
    let mut admitted = 0;
    while world.request(&stranger).admit_request(Face::Introspection).await.is_ok() {
        admitted += 1;
    }
    assert_eq!((answered, admitted), (100, 200), "as many as at /token");
}
