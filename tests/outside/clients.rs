//! CA and RG: client authentication and client registration.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::emergency::run;
use crate::expect;
use crate::refresh::within_a_second;
use crate::shared::{self, CALLBACK};
use crate::support::application::{Application, Tokens, random};
use crate::support::client::{Client, Reply, post_form, request};
use crate::support::gateway::Home;
use crate::support::page::Browser;

const CONFIDENTIAL: &str = "https://c.example/cb";

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// A refresh request whose outcome depends only on the client authentication.
async fn ask(home: &Home, authorization: Option<&str>, form: &[(&str, &str)]) -> Reply {
    let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", "none")];
    fields.extend(form);
    let mut asked = post_form("/token", &fields);
    if let Some(value) = authorization {
        asked.headers_mut().insert("authorization", value.parse().expect("a value"));
    }
    Client::new(home).send(asked).await
}

#[tokio::test]
async fn ca_02_a_secret_is_sent_in_either_place_and_never_in_both() {
    let shared = shared::gateway().await;
    for method in ["client_secret_post", "client_secret_basic"] {
        let client = Application::register_confidential(&shared.home, CONFIDENTIAL, method).await;
        let secret = client.secret.clone().expect("a secret");
        let (header, wrong) = (basic(&client.client_id, &secret), basic(&client.client_id, "wrong"));
        let form = [("client_id", client.client_id.as_str()), ("client_secret", &secret)];
        // The client is known; only the token is wrong.
        expect::refused(&ask(&shared.home, Some(&header), &[]).await, "invalid_grant");
        expect::refused(&ask(&shared.home, None, &form).await, "invalid_grant");
        let reply = ask(&shared.home, Some(&wrong), &[]).await;
        expect::refused(&reply, "invalid_client");
        assert!(reply.header("www-authenticate").starts_with("Basic "), "{reply:?}");
        let guessed = [("client_id", client.client_id.as_str()), ("client_secret", "wrong")];
        expect::refused(&ask(&shared.home, None, &guessed).await, "invalid_client");
        for header in [&header, &wrong] {
            expect::refused(&ask(&shared.home, Some(header), &form).await, "invalid_request");
            expect::refused(&ask(&shared.home, Some(header), &[("client_assertion", "x")]).await, "invalid_request");
        }
        expect::refused(&ask(&shared.home, None, &[("client_id", &client.client_id)]).await, "invalid_client");
    }
}

#[tokio::test]
async fn ca_04_malformed_basic_is_an_unknown_client() {
    let shared = shared::gateway().await;
    let application = Application::register_confidential(&shared.home, CONFIDENTIAL, "client_secret_basic").await;
    let secret = application.secret.clone().expect("a secret");
    let no_colon = format!("Basic {}", STANDARD.encode("no-colon"));
    let bad_percent = basic("%zz", "%1");
    let empty = basic("", &secret);
    for header in ["Basic !!!", "Basic", no_colon.as_str(), &bad_percent, &empty] {
        let reply = ask(&shared.home, Some(header), &[]).await;
        expect::refused(&reply, "invalid_client");
        assert!(reply.header("www-authenticate").starts_with("Basic "), "{header}: {reply:?}");
    }
    let lower = basic(&application.client_id, &secret).replacen("Basic", "basic", 1);
    expect::refused(&ask(&shared.home, Some(&lower), &[]).await, "invalid_grant");
    let encoded: String = application.client_id.bytes().map(|byte| format!("%{byte:02X}")).collect();
    expect::refused(&ask(&shared.home, Some(&basic(&encoded, &secret)), &[]).await, "invalid_grant");
}

#[tokio::test]
async fn ca_05_a_public_client_has_no_secret_to_send() {
    let (shared, application) = shared::application(CALLBACK).await;
    let form = [("client_id", application.client_id.as_str()), ("client_secret", "guessed")];
    expect::refused(&ask(&shared.home, None, &form).await, "invalid_client");
    expect::refused(&ask(&shared.home, Some(&basic(&application.client_id, "guessed")), &[]).await, "invalid_client");
    expect::refused(&ask(&shared.home, None, &[("client_id", "mcp_client_gone")]).await, "invalid_client");
}

#[tokio::test]
async fn ca_14_guessing_a_secret_is_slowed_down() {
    let gateway = Home::new("", None);
    let text = std::fs::read_to_string(gateway.config()).expect("the configuration");
    let strict = text.replace("client_failures_per_minute = 100000", "client_failures_per_minute = 20");
    std::fs::write(gateway.config(), strict).expect("the configuration");
    let gateway = gateway.start().await;
    let application = Application::register_confidential(&gateway.home, CONFIDENTIAL, "client_secret_post").await;
    let form = [("client_id", application.client_id.as_str()), ("client_secret", "guessed")];
    for _ in 0..20 {
        expect::refused(&ask(&gateway.home, None, &form).await, "invalid_client");
    }
    let reply = ask(&gateway.home, None, &form).await;
    assert_eq!(reply.status, 429, "{reply:?}");
    assert!(reply.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1));
}

#[tokio::test]
async fn ca_15_both_secrets_work_while_one_replaces_the_other() {
    let shared = shared::gateway().await;
    let application = Application::register_confidential(&shared.home, CONFIDENTIAL, "client_secret_post").await;
    let old = application.secret.clone().expect("a secret");
    let rotated = shared.home.command(&["client", "rotate-secret", &application.client_id]);
    let new = rotated["client_secret"].as_str().expect("the new secret");
    let answers = async |secret: &str, word| {
        let form = [("client_id", application.client_id.as_str()), ("client_secret", secret)];
        expect::refused(&ask(&shared.home, None, &form).await, word);
    };
    answers(&old, "invalid_grant").await;
    answers(new, "invalid_grant").await;
    // After a second rotation exactly two secrets are valid: the new one and the one that it replaced.
    let rotated = shared.home.command(&["client", "rotate-secret", &application.client_id]);
    answers(rotated["client_secret"].as_str().expect("the newest secret"), "invalid_grant").await;
    answers(new, "invalid_grant").await;
    answers(&old, "invalid_client").await;
}

#[tokio::test]
async fn ca_16_a_certificate_in_a_header_authenticates_nobody() {
    let shared = shared::gateway().await;
    let application = Application::register_confidential(&shared.home, CONFIDENTIAL, "client_secret_post").await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", "none"), ("client_id", &application.client_id)];
    let mut asked = post_form("/token", &form);
    for name in ["x-client-cert", "x-ssl-client-verify", "ssl-client-cert", "x-forwarded-client-cert"] {
        asked.headers_mut().insert(name, "SUCCESS".parse().expect("a value"));
    }
    expect::refused(&Client::new(&shared.home).send(asked).await, "invalid_client");
}

async fn register(body: serde_json::Value) -> Reply {
    Client::new(&shared::gateway().await.home).post_json("/register", &body).await
}

#[tokio::test]
async fn rg_01_md_11_registration_that_is_off_asks_for_a_token_and_is_not_announced() {
    let gateway = Home::new("[registration]\nenabled = false", None).start().await;
    let mut client = Client::new(&gateway.home);
    let body = serde_json::json!({"redirect_uris": [CALLBACK]});
    let reply = client.post_json("/register", &body).await;
    assert_eq!((reply.status, reply.header("www-authenticate")), (401, "Bearer realm=\"register\""));
    let metadata = client.get("/.well-known/oauth-authorization-server").await.json();
    assert!(metadata.get("registration_endpoint").is_none(), "{metadata}");
}

#[tokio::test]
async fn programs_on_this_computer_register_as_often_as_they_like() {
    let home = Home::new("", None);
    let text = std::fs::read_to_string(home.config()).expect("the configuration");
    std::fs::write(home.config(), text.replace("registrations_per_hour = 100000", "registrations_per_hour = 10"))
        .expect("the configuration");
    let gateway = home.start().await;
    let mut client = Client::new(&gateway.home);
    let mut ids = std::collections::HashSet::new();
    for n in 0..60 {
        // Command-line clients listen on a new port at each start.
        let uri = format!("http://127.0.0.1:{}/callback", 40_000 + n);
        let body = serde_json::json!({
            "client_name": format!("Tool {}", n % 30), "redirect_uris": [uri], "token_endpoint_auth_method": "none",
        });
        let reply = client.post_json("/register", &body).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        ids.insert(reply.json()["client_id"].to_string());
    }
    assert_eq!(ids.len(), 30, "one id for each name");
}

#[tokio::test]
async fn rg_03_outsized_registrations_are_refused() {
    let many: Vec<_> = (0..100).map(|n| format!("https://c.example/{n}")).collect();
    expect::refused(&register(serde_json::json!({"redirect_uris": many})).await, "invalid_client_metadata");
    // The response repeats the registered metadata (RFC 7591 3.2.1).
    let long = serde_json::json!({"redirect_uris": [CALLBACK], "client_name": "n".repeat(10_000)});
    let registered = register(long).await;
    assert_eq!((registered.status, registered.json().get("client_name")), (201, None));
    let shared = shared::gateway().await;
    let json = [("content-type", "application/json")];
    let send = async |body: String| {
        Client::new(&shared.home).send(request(hyper::Method::POST, "/register", &json, body)).await
    };
    assert_eq!(send(format!("{{\"x\":\"{}\"}}", "x".repeat(1_000_000))).await.status, 413);
    let deep = format!("{{\"redirect_uris\":[\"{CALLBACK}\"],\"x\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
    expect::refused(&send(deep).await, "invalid_client_metadata");
    let doubled = format!("{{\"redirect_uris\":[\"{CALLBACK}\"],\"redirect_uris\":[\"https://evil.example/cb\"]}}");
    expect::refused(&send(doubled).await, "invalid_client_metadata");
}

#[tokio::test]
async fn rg_04_addresses_that_pages_show_are_public_https_or_left_out() {
    for member in ["logo_uri", "client_uri", "tos_uri", "policy_uri"] {
        for value in [
            "javascript:alert(1)",
            "http://c.example/x",
            "data:text/html,x",
            "https://127.0.0.1/x",
            "https://[::1]/x",
            "https://metadata.google.internal/x",
            "https://intranet/x",
        ] {
            let body =
                serde_json::json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none", member: value});
            let reply = register(body).await;
            assert_eq!((reply.status, reply.json().get(member)), (201, None), "{member} {value}");
        }
    }
}

#[tokio::test]
async fn rg_05_a_name_is_kept_without_its_tricks() {
    let body = serde_json::json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none", "client_name": "A\u{202e}dmin\u{200b} \u{7}e\u{301}"});
    assert_eq!(register(body).await.member("client_name"), "Admin \u{e9}");
}

#[tokio::test]
async fn rg_06_grants_that_do_not_exist_are_refused_alone_and_left_out_beside_others() {
    for (member, value, known) in [
        ("grant_types", "password", "authorization_code"),
        ("grant_types", "implicit", "authorization_code"),
        ("response_types", "token", "code"),
    ] {
        let with = |list: &[&str]| {
            let none = "none";
            serde_json::json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": none, member: list})
        };
        expect::refused(&register(with(&[value])).await, "invalid_client_metadata");
        let reply = register(with(&[value, known])).await;
        assert_eq!((reply.status, reply.json()[member].clone()), (201, serde_json::json!([known])), "{value}");
    }
}

#[tokio::test]
async fn rg_07_scopes_are_trimmed_to_what_exists() {
    let body = serde_json::json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none", "scope": "files:read admin *"});
    let reply = register(body).await;
    assert_eq!((reply.status, reply.member("scope").as_str()), (201, "files:read"));
}

#[tokio::test]
async fn rg_08_software_statements_of_strangers_are_refused() {
    for (statement, error) in [
        ("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl", "unapproved_software_statement"),
        // `exp` is 1.
        ("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4IiwiZXhwIjoxfQ.c2lnbmF0dXJl", "unapproved_software_statement"),
        ("eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0.", "invalid_software_statement"),
        ("junk", "invalid_software_statement"),
    ] {
        let body = serde_json::json!({"redirect_uris": [CALLBACK], "software_statement": statement});
        expect::refused(&register(body).await, error);
    }
}

#[tokio::test]
async fn rg_09_a_client_does_not_choose_its_id() {
    let body = serde_json::json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none", "client_id": "https://evil.example/id"});
    let id = register(body).await.member("client_id");
    assert!(id.starts_with("mcp_client_"), "{id}");
}

#[tokio::test]
async fn rg_15_a_web_page_elsewhere_registers_without_credentials_or_not_at_all() {
    let shared = shared::gateway().await;
    let mut client = Client::new(&shared.home);
    let plain = request(
        hyper::Method::POST,
        "/register",
        &[("content-type", "text/plain"), ("origin", "https://evil.example")],
        "{}",
    );
    assert_eq!(client.send(plain).await.status, 415);
    let headers = [("content-type", "application/json"), ("origin", "https://app.example")];
    let body = serde_json::json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}).to_string();
    let reply = client.send(request(hyper::Method::POST, "/register", &headers, body)).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (201, "*"));
    assert_eq!(reply.header("access-control-allow-credentials"), "");
}

/// What real clients send, and which requests must succeed afterwards.
#[tokio::test]
async fn rg_16_real_clients_can_register_and_use_what_they_registered() {
    let shared = shared::gateway().await;
    let vectors: &[(&str, &[&str], &str, &str)] = &[
        (
            "VS Code",
            &[
                "https://insiders.vscode.dev/redirect",
                "https://vscode.dev/redirect",
                "http://127.0.0.1/",
                "http://127.0.0.1:33418/",
            ],
            "native",
            "http://127.0.0.1:59656/",
        ),
        ("Claude", &["https://claude.ai/api/mcp/auth_callback"], "", "https://claude.ai/api/mcp/auth_callback"),
        ("Claude Code", &["http://localhost:3118/callback"], "native", "http://localhost:51763/callback"),
        ("Codex", &["http://127.0.0.1:37819/callback/x"], "native", "http://127.0.0.1:40000/callback/x"),
        (
            "Cursor",
            &[
                "cursor://anysphere.cursor-mcp/oauth/callback",
                "https://www.cursor.com/agents/mcp/oauth/callback",
                "http://localhost:8787/callback",
            ],
            "web",
            "cursor://anysphere.cursor-mcp/oauth/callback",
        ),
        ("OpenCode", &["http://127.0.0.1:19876/mcp/oauth/callback"], "", "http://127.0.0.1:19876/mcp/oauth/callback"),
        ("mcp-remote", &["http://localhost:14532/oauth/callback"], "", "http://localhost:3334/oauth/callback"),
    ];
    for (name, redirects, kind, used) in vectors {
        let mut body = serde_json::json!({
            "client_name": name, "redirect_uris": redirects, "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
            "response_types": ["code"], "software_id": "x", "software_version": "1", "something_new": {"a": 1},
        });
        if !kind.is_empty() {
            body["application_type"] = (*kind).into();
        }
        let reply = register(body).await;
        assert_eq!(reply.status, 201, "{name}: {reply:?}");
        let registered = reply.json();
        assert_eq!(registered["redirect_uris"], serde_json::json!(redirects), "{name}");
        assert_eq!(registered["grant_types"], serde_json::json!(["authorization_code", "refresh_token"]), "{name}");
        assert!(registered.get("client_secret").is_none(), "{name}: {registered}");
        let application = Application {
            client_id: reply.member("client_id"),
            secret: None,
            redirect_uri: (*used).to_owned(),
            resource: format!("{}/mcp", shared.home.origin()),
        };
        let mut browser = Browser::new(&shared.home);
        let authorized = application.authorize(&mut browser).await;
        assert_eq!(application.redeem(&mut Client::new(&shared.home), &authorized).await.status, 200, "{name}");
    }
    let reply = register(serde_json::json!({"redirect_uris": [CALLBACK], "application_type": "native"})).await.json();
    assert!(reply["client_secret"].is_string() && reply["client_secret_expires_at"].is_number(), "{reply}");
    assert_eq!(reply["token_endpoint_auth_method"], "client_secret_basic");
}

#[tokio::test]
async fn a_service_logs_in_by_itself_and_reaches_its_upstream_as_itself() {
    let shared = shared::gateway().await;
    let home = &shared.home;
    let words = ["--grant", "client_credentials", "--confidential", "--scope", "files:read", "--upstream", "files"];
    let added = home.command(&[&["client", "add", "--name", "Nightly"][..], &words].concat());
    let (id, secret) =
        (added["client_id"].as_str().expect("an id"), added["client_secret"].as_str().expect("a secret"));
    // RFC 6749 2.3.1: the secret in the header, or in the body.
    let mut by_header = post_form("/token", &[("grant_type", "client_credentials")]);
    by_header.headers_mut().insert("authorization", basic(id, secret).parse().expect("a value"));
    let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    for asked in [by_header, post_form("/token", &form)] {
        let reply = Client::new(home).send(asked).await;
        assert_eq!((reply.status, reply.header("cache-control")), (200, "no-store"), "{reply:?}");
        let answer = reply.json();
        assert!(answer.get("refresh_token").is_none() && answer["scope"] == "files:read", "{answer}");
        let token = answer["access_token"].as_str().expect("a token");
        let marker = format!("service-{}", &token[token.len() - 8..]);
        assert_eq!(Client::new(home).call("/mcp", token, &marker).await.status, 200);
        let seen = shared.upstream.seen(&marker);
        let field = |name: &str| seen[0].headers.get(name).map(|value| value.to_str().expect("text").to_owned());
        let own = Some(id.to_owned());
        assert_eq!(
            (field("x-mcpgate-subject"), field("x-mcpgate-client"), field("x-mcpgate-user")),
            (own.clone(), own, None)
        );
    }
    // One session, of the application itself; people's lists do not have it.
    let sessions = home.command(&["session", "list", "--client", id]);
    assert_eq!(sessions.as_array().map(Vec::len), Some(1), "{sessions}");
    assert_eq!((&sessions[0]["subject"], &sessions[0]["user"]), (&added["client_id"], &serde_json::Value::Null));
    let users = home.command(&["user", "list"]);
    assert!(!users.to_string().contains(id), "{users}");
    home.command(&["client", "delete", id, "--yes"]);
    assert_eq!(Client::new(home).post_form("/token", &form).await.json()["error"], "invalid_client");
}

#[tokio::test]
async fn ir_07_a_token_is_asked_about_by_post_and_in_the_body() {
    let shared = shared::gateway().await;
    let home = &shared.home;
    let add = |upstream| home.command(&["client", "add", "--name", "API", "--resource-server", "--upstream", upstream]);
    let issued = home.command(&["token", "issue", "--user", "admin", "--upstream", "files", "--scope", "files:read"]);
    let token = issued["access_token"].as_str().expect("a token");
    let [files, mail] = ["files", "mail"].map(add);
    let credentials = |client: &serde_json::Value| {
        let (id, secret) = (client["client_id"].as_str(), client["client_secret"].as_str());
        basic(id.expect("an id"), secret.expect("a secret"))
    };
    let ask = async |client: &serde_json::Value, target: &str, form: &[(&str, &str)]| {
        let mut asked = post_form(target, form);
        asked.headers_mut().insert("authorization", credentials(client).parse().expect("a value"));
        Client::new(home).send(asked).await
    };
    let told = ask(&files, "/introspect", &[("token", token), ("token_type_hint", "access_token")]).await;
    assert_eq!((told.status, told.header("cache-control")), (200, "no-store"), "{told:?}");
    let told = told.json();
    assert_eq!(
        (&told["active"], &told["scope"], &told["username"]),
        (&true.into(), &"files:read".into(), &"admin".into())
    );
    assert_eq!(ask(&mail, "/introspect", &[("token", token)]).await.text(), r#"{"active":false}"#);
    let target = format!("/introspect?token={token}");
    expect::refused(&ask(&files, &target, &[("token_type_hint", "access_token")]).await, "invalid_request");
    assert_eq!(Client::new(home).get(&target).await.status, 405);
    let shown = home.command(&["client", "show", files["client_id"].as_str().expect("an id")]);
    assert_eq!((&shown["resource_server"], &shown["grant_types"]), (&true.into(), &serde_json::json!([])));
}

#[tokio::test]
async fn an_edited_client_loses_a_redirect_uri_at_once_and_sessions_only_by_another_binding() {
    let shared = shared::gateway().await;
    let home = &shared.home;
    let words = ["client", "add", "--name", "Edited", "--redirect-uri", CALLBACK, "--redirect-uri", CONFIDENTIAL];
    let added = home.command(&words);
    let id = added["client_id"].as_str().expect("an id");
    let application = Application { client_id: id.to_owned(), ..Application::register(home, CALLBACK).await };
    let tokens = application.tokens(home).await;
    let session = &home.command(&["session", "list", "--client", id, "--upstream", "files"])[0];
    let text = |member: &str| session[member].as_str().expect("a time").to_owned();
    assert!(text("created_at") < text("idle_until") && text("idle_until") < text("expires_at"), "{session}");
    assert_eq!(home.command(&["session", "list", "--client", id, "--upstream", "mail"]), serde_json::json!([]));
    let edited = home.command(&["client", "edit", id, "--remove-redirect-uri", CALLBACK]);
    assert_eq!(edited["redirect_uris"], serde_json::json!([CONFIDENTIAL]), "{edited}");
    expect::local(&Browser::new(home).ask(&application.request(&random(), &[])).await);
    let mut client = Client::new(home);
    assert_eq!(client.call("/mcp", &tokens.access, "edited").await.status, 200, "sessions go on");
    let tokens = Tokens::from(&application.refresh(&mut client, &tokens.refresh).await);
    let data = home.data();
    let bind = ["client", "edit", id, "--upstream", "mail", "--data", data.to_str().expect("text")];
    let (code, said) = run(&bind);
    assert!(code == Some(1) && said.contains(&format!("this ends 1 session of {id}")), "{said}");
    assert_eq!(client.call("/mcp", &tokens.access, "edited").await.status, 200, "nothing was done");
    let edited = home.command(&["client", "edit", id, "--upstream", "mail", "--yes"]);
    assert_eq!(edited["sessions_ended"], 1, "{edited}");
    within_a_second(&mut client, &tokens.access).await;
    expect::refused(&application.refresh(&mut client, &tokens.refresh).await, "invalid_grant");
}
