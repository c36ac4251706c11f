//! The OAuth configuration page of MCPify. Left for later, with the vault: its `auth` tables and its commands, which
//! are refused until then; and its tenants.

use std::process::Command;

use serde_json::json;

use super::recipe::Recipe;
use crate::expect;
use crate::shared::CALLBACK;
use crate::support::application::{Application, Authorized, Tokens, parameter, random};
use crate::support::client::{Client, Reply, post_message};
use crate::support::gateway::{Gateway, Home, binary};
use crate::support::page::Browser;
use crate::support::upstream::Upstream;

/// "Reference in config", with the values of "Use environment variables".
const ENVIRONMENT: [(&str, &str); 2] = [("MCPIFY_CRM_CLIENT_ID", "xxx"), ("MCPIFY_CRM_CLIENT_SECRET", "yyy")];

/// The blocks of `auth` on the page, in order, as they are written in TOML.
const TABLES: [(&str, &str); 7] = [
    (
        "Client Credentials Flow",
        r#"auth = { type = "oauth2", flow = "client_credentials", tokenUrl = "https://api.example.com/oauth/token", clientId = "your-client-id", clientSecret = "your-client-secret", scopes = ["read:data", "write:data"], additionalParams = { audience = "https://api.example.com" } }"#,
    ),
    (
        "Authorization Code Flow",
        r#"auth = { type = "oauth2", flow = "authorization_code", authorizationUrl = "https://auth.example.com/authorize", tokenUrl = "https://auth.example.com/token", clientId = "your-client-id", clientSecret = "your-client-secret", redirectUri = "https://gateway.mcpify.org/oauth/callback", scopes = ["profile", "email", "api.access"], pkce = true }"#,
    ),
    (
        "Refresh Token Management",
        r#"auth = { refreshToken = { enabled = true, bufferTime = 300, maxRetries = 3, retryDelay = 1000, fallbackBehavior = "queue" } }"#,
    ),
    (
        "Environment Variables",
        r#"auth = { clientId = "${MCPIFY_CRM_CLIENT_ID}", clientSecret = "${MCPIFY_CRM_CLIENT_SECRET}" }"#,
    ),
    (
        "Microsoft / Azure AD",
        r#"auth = { type = "oauth2", provider = "microsoft", tenantId = "your-tenant-id", clientId = "your-client-id", clientSecret = "your-client-secret", scopes = ["https://graph.microsoft.com/.default"], tokenUrl = "https://login.microsoftonline.com/{tenantId}/oauth2/v2.0/token" }"#,
    ),
    (
        "Google",
        r#"auth = { type = "oauth2", provider = "google", clientId = "your-client-id.apps.googleusercontent.com", clientSecret = "your-client-secret", scopes = ["https://www.googleapis.com/auth/userinfo.email", "https://www.googleapis.com/auth/drive.readonly"], authorizationUrl = "https://accounts.google.com/o/oauth2/v2/auth", tokenUrl = "https://oauth2.googleapis.com/token" }"#,
    ),
    (
        "Salesforce",
        r#"auth = { type = "oauth2", provider = "salesforce", clientId = "your-consumer-key", clientSecret = "your-consumer-secret", instanceUrl = "https://yourinstance.salesforce.com", scopes = ["api", "refresh_token", "offline_access"], tokenUrl = "{instanceUrl}/services/oauth2/token" }"#,
    ),
];

/// The commands of "Credential Operations", in order.
const COMMANDS: [&str; 4] = [
    "mcpify auth set --service crm --client-id $CLIENT_ID --client-secret $CLIENT_SECRET",
    "mcpify auth rotate --service crm",
    "mcpify auth list",
    "mcpify auth remove --service crm",
];

/// Runs mcpgate; returns its exit status and what it printed.
fn run(words: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(binary()).args(words).envs(environment.iter().copied()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// What `mcpgate check` says of the configuration of the recipe, with `line` added to its first upstream.
fn check(recipe: &Recipe, line: &str, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("gateway.toml");
    let config = recipe.configuration().replacen("path = \"/mcp/crm\"\n", &format!("path = \"/mcp/crm\"\n{line}\n"), 1);
    std::fs::write(&file, config).unwrap();
    run(&["check", "--config", file.to_str().unwrap()], environment)
}

#[test]
fn what_the_mcpify_page_keeps_in_a_vault_is_refused_by_name() {
    let recipe = Recipe::read("mcpify");
    for (title, table) in TABLES {
        let (code, said) = check(&recipe, table, &ENVIRONMENT);
        assert_eq!(code, Some(78), "{title}: {said}");
        assert!(said.contains("gateway.toml:11: upstream[0].auth: this key is unknown"), "{title}: {said}");
    }
    for command in COMMANDS {
        let words: Vec<_> = command.split(' ').skip(1).collect();
        let (code, said) = run(&words, &[]);
        assert_eq!(code, Some(64), "{command}: {said}");
        assert!(said.contains("unrecognized subcommand 'auth'"), "{command}: {said}");
    }
}

#[test]
fn variables_that_are_missing_are_named_together() {
    let (code, said) = check(&Recipe::read("mcpify"), "", &[]);
    assert_eq!(code, Some(78));
    for (name, _) in ENVIRONMENT {
        assert!(said.contains(&format!("the environment variable {name} is not set")), "{said}");
    }
    let (_, said) = check(&Recipe::read("mcpify"), "", &ENVIRONMENT);
    assert!(!said.contains("environment"), "{said}");
}

async fn call(home: &Home, path: &str, token: &str, tool: &str) -> Reply {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}});
    Client::new(home).send(post_message(path, token, &message)).await
}

/// An application for the CRM, which asks for the default scopes.
async fn application(home: &Home) -> Application {
    Application { resource: format!("{}/mcp/crm", home.origin()), ..Application::register(home, CALLBACK).await }
}

/// "Credential Vault", "Token Usage": the service gets its own credentials, and no token of a caller.
async fn injection(gateway: &Gateway, upstream: &Upstream, access: &str) {
    assert_eq!(call(&gateway.home, "/mcp/crm", access, "get_contact").await.status, 200);
    let seen = upstream.seen("get_contact");
    let headers = &seen.first().unwrap().headers;
    assert_eq!(
        (&headers["x-client-id"], &headers["x-client-secret"]),
        (&"xxx".parse().unwrap(), &"yyy".parse().unwrap())
    );
    assert!(!headers.contains_key("authorization"), "{headers:?}");
    // "Sharing tokens between services", and credentials.
    let refused = call(&gateway.home, "/mcp/mail", access, "get_contact").await;
    expect::challenged(&refused, &gateway.home.origin(), "/mcp/mail", Some("invalid_token"));
    let mail = gateway.home.command(&["token", "issue", "--user", "admin", "--upstream", "mail"]);
    let token = mail["access_token"].as_str().unwrap();
    assert_eq!(call(&gateway.home, "/mcp/mail", token, "read_inbox").await.status, 200);
    assert!(!upstream.seen("read_inbox").first().unwrap().headers.contains_key("x-client-id"));
    // "Storing tokens in logs".
    let log = gateway.log();
    assert!(!log.contains(access) && !log.contains(token) && !log.contains("yyy"), "{log}");
}

/// "Invalid Grant Error": each of its causes, by name.
async fn invalid_grants(home: &Home, application: &Application) {
    let mut client = Client::new(home);
    let with = |name: &str, value: &'static str, authorized: &Authorized| -> Vec<(String, String)> {
        let form = application.redemption(authorized).into_iter();
        form.map(|(key, old)| (key.to_owned(), if key == name { value.to_owned() } else { old.to_owned() })).collect()
    };
    for (name, value, words) in [
        ("redirect_uri", "https://elsewhere.example/callback", "redirect_uri"),
        ("code_verifier", "another-verifier-that-is-as-long-as-it-needs-to-be", "code_verifier"),
    ] {
        let authorized = application.authorize(&mut Browser::new(home)).await;
        let form = with(name, value, &authorized);
        let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let reply = client.post_form("/token", &form).await;
        expect::refused(&reply, "invalid_grant");
        assert!(reply.member("error_description").contains(words), "{reply:?}");
    }
    let authorized = application.authorize(&mut Browser::new(home)).await;
    assert_eq!(application.redeem(&mut client, &authorized).await.status, 200);
    let again = application.redeem(&mut client, &authorized).await;
    expect::refused(&again, "invalid_grant");
    expect::refused(&application.refresh(&mut client, "mcp_refresh_of-nobody").await, "invalid_grant");
    let wrong = Application { secret: Some("wrong".to_owned()), ..application.clone() };
    expect::refused(&wrong.refresh(&mut client, "mcp_refresh_of-nobody").await, "invalid_client");
}

#[tokio::test]
async fn what_the_mcpify_page_promises_callers_holds_as_its_recipe_says() {
    let (recipe, upstream) = (Recipe::read("mcpify"), Upstream::start());
    let gateway = recipe.start_in(&upstream, &ENVIRONMENT).await;
    let home = &gateway.home;
    let application = application(home).await;

    // "Use PKCE for public clients", "Using implicit flow".
    let mut browser = Browser::new(home);
    let without = application.request(&random(), &[("code_challenge", ""), ("code_challenge_method", "")]);
    assert_eq!(parameter(&browser.get(&without).await, "error"), "invalid_request");
    let implicit = application.request(&random(), &[("response_type", "token")]);
    assert_eq!(parameter(&browser.get(&implicit).await, "error"), "unsupported_response_type");

    // "Use short-lived access tokens", "Use minimal required scopes".
    let authorized = application.authorize(&mut browser).await;
    let reply = application.redeem(&mut Client::new(home), &authorized).await;
    assert_eq!((&reply.json()["expires_in"], &reply.json()["scope"]), (&json!(900), &json!("read:data")));
    let tokens = Tokens::from(&reply);
    injection(&gateway, &upstream, &tokens.access).await;

    // "Insufficient Scope".
    let refused = call(home, "/mcp/crm", &tokens.access, "delete_contact").await;
    assert_eq!(refused.status, 403, "{refused:?}");
    let challenge = refused.header("www-authenticate");
    assert!(challenge.contains("insufficient_scope") && challenge.contains("write:data"), "{challenge}");
    assert!(upstream.seen("delete_contact").is_empty());

    // "Enable refresh token rotation", "Token Revocation", "Token Expiration".
    let mut client = Client::new(home);
    let refreshed = Tokens::from(&application.refresh(&mut client, &tokens.refresh).await);
    assert!(refreshed.access != tokens.access && refreshed.refresh != tokens.refresh, "both are new");
    assert_eq!(call(home, "/mcp/crm", &refreshed.access, "list_contacts").await.status, 200);
    assert_eq!(application.revoke(&mut client, &refreshed.refresh).await.status, 200);
    let refused = call(home, "/mcp/crm", &refreshed.access, "list_contacts").await;
    expect::challenged(&refused, &home.origin(), "/mcp/crm", Some("invalid_token"));
    expect::refused(&application.refresh(&mut client, &refreshed.refresh).await, "invalid_grant");
    invalid_grants(home, &application).await;
}
