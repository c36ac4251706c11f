//! Authorization requests. A failure means that an invalid request starts an interaction, or that a request is refused
//! in the wrong place.

use super::records;
use mcpgate::oauth::{
    AuthorizationRequest, AuthorizationResponse, Client, ClientId, ClientMetadata, ClientOrigin, ErrorCode, Form,
    GrantType, OAuthError, Prompt, RedirectPolicy, RefusedRequest, RegistrationPolicy, RequestPolicy,
    ResourceIndicator, Rule, ScopeSet, StoredRequest, ValidatedRequest,
};

const CHALLENGE: &str = "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
const CB: &str = "https://c.example/cb";

fn scopes(text: &str) -> ScopeSet {
    ScopeSet::parse(text).unwrap()
}

fn resource(text: &str) -> ResourceIndicator {
    ResourceIndicator::parse(text).unwrap()
}

fn policy(resources: &[&str]) -> RequestPolicy {
    let rows = resources.iter().map(|r| (resource(r), scopes("read write admin"), scopes("read")));
    RequestPolicy { resources: rows.collect(), shared: Vec::new(), of_registered: None, default: None }
}

fn client() -> Client {
    let body = format!(r#"{{"redirect_uris":["{CB}"]}}"#);
    Client {
        id: ClientId::parse("c1").unwrap(),
        metadata: ClientMetadata::from_registration(body.as_bytes(), &RegistrationPolicy::default()).unwrap().metadata,
        ..records::client("c1", ClientOrigin::Registered)
    }
}

fn ask(client: &Client, query: &str, policy: &RequestPolicy) -> Result<ValidatedRequest, Box<RefusedRequest>> {
    let request = AuthorizationRequest::new(Form::parse(query.as_bytes()).unwrap());
    request.validate(client, request.verify_redirect(client, &RedirectPolicy::default()).unwrap(), policy)
}

/// Reads a pending request of the client in its current state.
fn stored(text: &str) -> Option<ValidatedRequest> {
    StoredRequest::read(text)?.verify(&client(), &RedirectPolicy::default())
}

/// A valid request with `extra` added, for a gateway with one resource.
fn sound(extra: &str) -> Result<ValidatedRequest, Box<RefusedRequest>> {
    ask(&client(), &format!("response_type=code&{CHALLENGE}&state=s&{extra}"), &policy(&["https://gw/mcp"]))
}

fn refusal(extra: &str) -> ErrorCode {
    sound(extra).unwrap_err().error.code()
}

#[test]
fn az_02_az_14_client_and_redirect_uri_come_once_and_the_uri_is_registered() {
    let request = |query: &str| AuthorizationRequest::new(Form::parse(query.as_bytes()).unwrap());
    assert_eq!(request("client_id=c1").client_id().unwrap().as_str(), "c1");
    for bad in ["", "client_id=", "client_id=c1&client_id=c1", "client_id=a%20b"] {
        assert_eq!(request(bad).client_id().unwrap_err().code(), ErrorCode::InvalidRequest, "{bad}");
    }
    let twice = format!("redirect_uri={CB}&redirect_uri={CB}");
    for bad in [&twice, "redirect_uri=https://evil.example/cb"] {
        assert_eq!(
            request(bad).verify_redirect(&client(), &RedirectPolicy::default()).unwrap_err().code(),
            ErrorCode::InvalidRequest
        );
    }
}

#[test]
fn a_default_set_longer_than_a_parameter_survives_the_store() {
    let names: Vec<String> = (0..120).map(|n| format!("a-rather-long-scope-name:{n}")).collect();
    let many = ScopeSet::from_stored(&names.join(" ")).unwrap();
    let resources = vec![(resource("https://gw/mcp"), many.clone(), many.clone())];
    let policy = RequestPolicy { resources, shared: Vec::new(), of_registered: None, default: None };
    let request = ask(&client(), &format!("response_type=code&{CHALLENGE}"), &policy).unwrap();
    assert_eq!(*request.scopes(), many);
    assert_eq!(stored(&request.to_stored()), Some(request.clone()));
    assert_eq!(ask(&client(), &request.to_query(&client().id), &policy).unwrap(), request);
}

#[test]
fn a_client_without_the_code_grant_gets_no_code() {
    let mut client = client();
    client.metadata.grant_types = vec![GrantType::RefreshToken];
    let query = format!("response_type=code&{CHALLENGE}&state=s");
    let refused = ask(&client, &query, &policy(&["https://gw/mcp"])).unwrap_err();
    assert_eq!((refused.error.code(), refused.state.as_deref()), (ErrorCode::UnauthorizedClient, Some("s")));
}

#[test]
fn az_12_az_13_only_code_by_query() {
    for kind in ["token", "id_token", "code%20token", "none", "CODE"] {
        let query = format!("response_type={kind}&{CHALLENGE}");
        let refused = ask(&client(), &query, &policy(&["https://gw/mcp"])).unwrap_err();
        assert_eq!(refused.error.code(), ErrorCode::UnsupportedResponseType, "{kind}");
    }
    let refused = ask(&client(), CHALLENGE, &policy(&["https://gw/mcp"])).unwrap_err();
    assert_eq!(refused.error.code(), ErrorCode::InvalidRequest);
    assert_eq!(refusal("response_mode=fragment"), ErrorCode::InvalidRequest);
    assert_eq!(refusal("response_mode=web_message"), ErrorCode::InvalidRequest);
    assert!(sound("response_mode=query").is_ok());
    assert_eq!(refusal("request=x"), ErrorCode::RequestNotSupported);
    assert_eq!(refusal("request_uri=x"), ErrorCode::RequestUriNotSupported);
}

#[test]
fn az_15_az_16_repeats_and_a_long_state_are_refused() {
    for twice in ["scope=a&scope=a", "code_challenge=x", "response_type=code", "x=1&x=1"] {
        let refused = sound(twice).unwrap_err();
        assert_eq!((refused.error.code(), refused.state.as_deref()), (ErrorCode::InvalidRequest, Some("s")));
    }
    let refused = sound("state=t").unwrap_err();
    assert_eq!((refused.error.code(), refused.state), (ErrorCode::InvalidRequest, None));
    let with_state = |length: usize| {
        let query = format!("response_type=code&{CHALLENGE}&state={}", "s".repeat(length));
        ask(&client(), &query, &policy(&["https://gw/mcp"]))
    };
    assert_eq!(with_state(4096).unwrap().state().unwrap().len(), 4096);
    let refused = with_state(4097).unwrap_err();
    assert_eq!((refused.error.code(), refused.state), (ErrorCode::InvalidRequest, None));
}

#[test]
fn prompt_none_stands_alone() {
    assert_eq!(refusal("prompt=none%20login"), ErrorCode::InvalidRequest);
    assert_eq!(sound("prompt=none").unwrap().prompt(), Prompt { none: true, ..Prompt::default() });
    let both = Prompt { none: false, login: true, consent: true };
    assert_eq!(sound("prompt=select_account%20consent").unwrap().prompt(), both);
}

#[test]
fn az_23_one_known_resource() {
    for bad in ["https://gw/x", "https://gw/mcp%23f", "mcp", "https://gw/mcp&resource=https://gw/x", "https://gw.evil/"]
    {
        assert_eq!(refusal(&format!("resource={bad}")), ErrorCode::InvalidTarget, "{bad}");
    }
    for good in ["HTTPS://GW/mcp/", "https://gw/mcp&resource=https://gw/mcp"] {
        assert_eq!(*sound(&format!("resource={good}")).unwrap().resource(), resource("https://gw/mcp"), "{good}");
    }
}

#[test]
fn az_23_the_origin_stands_for_the_only_resource() {
    for origin in ["https://gw", "https://gw/", "https://gw:443/"] {
        assert_eq!(*sound(&format!("resource={origin}")).unwrap().resource(), resource("https://gw/mcp"), "{origin}");
    }
    let query = format!("response_type=code&{CHALLENGE}&resource=https://gw/");
    let code = |client: &Client, known: &[&str]| ask(client, &query, &policy(known)).map_err(|r| r.error.code());
    assert_eq!(code(&client(), &["https://gw/a", "https://gw/b"]).unwrap_err(), ErrorCode::InvalidTarget);
    assert_eq!(code(&client(), &[]).unwrap_err(), ErrorCode::InvalidTarget);
    // If an upstream is at the root, only that exact origin matches.
    assert_eq!(*code(&client(), &["https://gw", "https://gw/b"]).unwrap().resource(), resource("https://gw"));
    let bound = Client { resource: Some(resource("https://gw/b")), ..client() };
    assert_eq!(*code(&bound, &["https://gw/a", "https://gw/b"]).unwrap().resource(), resource("https://gw/b"));
    assert_eq!(code(&bound, &["https://gw", "https://gw/b"]).unwrap_err(), ErrorCode::InvalidTarget);
}

#[test]
fn az_23_an_origin_stands_for_a_resource_there_and_for_none_of_another_origin() {
    let rows = ["https://gw/mcp", "https://gw:3001/mcp", "https://gw:4001/a", "https://gw:4001/b"];
    let policy = RequestPolicy { default: Some(resource("https://gw/mcp")), ..policy(&rows) };
    let asked = |client: &Client, named: &str| {
        let query = format!("response_type=code&{CHALLENGE}&resource={named}");
        let request = ask(client, &query, &policy).map_err(|refused| refused.error.code());
        request.map(|request| request.resource().as_str().to_owned())
    };
    let bound = Client { resource: Some(resource("https://gw/mcp")), ..client() };
    assert_eq!(asked(&client(), "https://gw:3001"), Ok("https://gw:3001/mcp".to_owned()));
    assert_eq!(asked(&client(), "https://gw"), Ok("https://gw/mcp".to_owned()));
    assert_eq!(asked(&bound, "https://gw"), Ok("https://gw/mcp".to_owned()));
    for (client, named) in [
        (&bound, "https://gw:3001"),
        (&bound, "https://gw:4001"),
        (&client(), "https://gw:4001"),
        (&client(), "https://gw:5001"),
    ] {
        assert_eq!(asked(client, named), Err(ErrorCode::InvalidTarget), "{named}");
    }
}

#[test]
fn an_absent_resource_is_clear_when_there_is_one_or_the_client_is_bound() {
    let query = format!("response_type=code&{CHALLENGE}");
    let two = policy(&["https://gw/a", "https://gw/b"]);
    assert_eq!(ask(&client(), &query, &two).unwrap_err().error.code(), ErrorCode::InvalidTarget);
    let bound = Client { resource: Some(resource("https://gw/b")), ..client() };
    assert_eq!(*ask(&bound, &query, &two).unwrap().resource(), resource("https://gw/b"));
    let other = format!("{query}&resource=https://gw/a");
    assert_eq!(ask(&bound, &other, &two).unwrap_err().error.code(), ErrorCode::InvalidTarget);
    let removed = policy(&["https://gw/a"]);
    assert_eq!(ask(&bound, &query, &removed).unwrap_err().error.code(), ErrorCode::InvalidTarget);
}

#[test]
fn unknown_scopes_are_dropped_and_none_left_means_the_default() {
    for (asked, granted) in [
        ("", "read"),
        ("scope=write", "write"),
        ("scope=write,admin", "admin write"),
        ("scope=write%20claudeai", "write"),
        ("scope=openid%20profile", "read"),
        ("scope=openid%20write%20offline_access", "write"),
        ("scope=offline_access", "read"),
    ] {
        let request = sound(asked).unwrap();
        assert_eq!(*request.scopes(), scopes(granted), "{asked}");
    }
}

#[test]
fn az_25_az_26_malformed_scopes_and_those_an_operator_keeps_back() {
    assert_eq!(refusal("scope=a%22b"), ErrorCode::InvalidScope);
    let limited = |origin, limit: &str, asked: &str| {
        let mut client = Client { origin, ..client() };
        client.metadata.scope = Some(scopes(limit));
        let query = format!("response_type=code&{CHALLENGE}&scope={asked}");
        ask(&client, &query, &policy(&["https://gw/mcp"])).map(|r| r.scopes().clone()).map_err(|r| r.error.code())
    };
    assert_eq!(limited(ClientOrigin::Manual, "read", "read%20admin"), Err(ErrorCode::InvalidScope));
    assert_eq!(limited(ClientOrigin::Manual, "write", ""), Ok(scopes("write")));
    assert_eq!(limited(ClientOrigin::Manual, "read", "openid"), Ok(scopes("read")));
    assert_eq!(limited(ClientOrigin::Registered, "read", "read%20write"), Ok(scopes("read write")));
}

#[test]
fn az_17_az_18_responses_carry_state_as_received_and_iss_once() {
    let request = sound("").unwrap();
    let state = "x\r\n\"<script>\u{e9}+&=";
    let url = AuthorizationResponse::success(request.redirect(), "mcp_code_x", Some(state), "https://gw");
    let pairs: Vec<_> = url::Url::parse(url.as_str()).unwrap().query_pairs().into_owned().collect();
    let expected = [("code", "mcp_code_x"), ("state", state), ("iss", "https://gw")];
    assert_eq!(pairs, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    let error = OAuthError::new(Rule::UserDenied, "denied");
    let url = AuthorizationResponse::refusal(request.redirect(), &error, None, "https://gw");
    assert_eq!(url.as_str(), format!("{CB}?error=access_denied&error_description=denied&iss=https%3A%2F%2Fgw"));
}

#[test]
fn the_query_that_begins_a_request_once_more_means_the_same() {
    let client = client();
    for query in [
        "",
        "scope=write%20openid&prompt=login%20consent",
        "prompt=none&state=a%26b%3D%2B%20%C3%A9%0D%0A%23",
        "redirect_uri=https://c.example/cb&resource=https://gw",
        "prompt=select_account",
    ] {
        let known = policy(&["https://gw/mcp"]);
        let request = ask(&client, &format!("response_type=code&{CHALLENGE}&{query}"), &known).unwrap();
        let again = request.to_query(&client.id);
        assert!(again.bytes().all(|b| b.is_ascii_graphic() && b != b'#' && b != b'"'), "{again}");
        let form = Form::parse(again.as_bytes()).unwrap();
        assert_eq!(AuthorizationRequest::new(form).client_id().unwrap(), client.id);
        assert_eq!(ask(&client, &again, &known).unwrap(), request, "{query}");
    }
}

#[test]
fn the_stored_form_reads_back() {
    let request = sound("scope=write%20offline_access&prompt=login").unwrap();
    assert_eq!(stored(&request.to_stored()), Some(request.clone()));
    assert_eq!(stored(&request.to_stored().replace("S256", "").replace("cM\"", "c\"")), None);
    assert_eq!(stored("{}"), None);
    let elsewhere = request.to_stored().replace("c.example", "d.example");
    assert_eq!(stored(&elsewhere), None, "its client has no such redirect URI");
}

#[test]
fn rfc_8707_2_the_operator_says_which_resource_is_meant_by_a_request_that_names_none() {
    let two = || policy(&["https://gw/mcp/a", "https://gw/mcp/b"]);
    let asked = |client: &Client, extra: &str, policy: &RequestPolicy| {
        let query = format!("response_type=code&{CHALLENGE}&{extra}");
        let outcome = ask(client, &query, policy);
        outcome.map(|request| request.resource().clone()).map_err(|refused| refused.error.rule())
    };
    let (a, b) = (resource("https://gw/mcp/a"), resource("https://gw/mcp/b"));
    let default = RequestPolicy { default: Some(b.clone()), ..two() };
    assert_eq!(asked(&client(), "", &two()), Err(Rule::ResourceMissing));
    assert_eq!(asked(&client(), "", &default), Ok(b.clone()));
    assert_eq!(asked(&client(), "resource=https://gw", &default), Ok(b.clone()), "the bare origin names none");
    assert_eq!(asked(&client(), "resource=https://gw/mcp/a", &default), Ok(a.clone()));
    let bound = RequestPolicy { of_registered: Some(b.clone()), ..two() };
    assert_eq!(asked(&client(), "", &bound), Ok(b));
    assert_eq!(asked(&client(), "resource=https://gw/mcp/a", &bound), Err(Rule::ResourceUnknown));
    let added = Client { origin: ClientOrigin::Manual, ..client() };
    assert_eq!(asked(&added, "resource=https://gw/mcp/a", &bound), Ok(a), "it is for clients that register themselves");
}

#[test]
fn az_24_the_url_of_an_upstream_stands_for_the_resource_that_it_shares() {
    let shared = ["https://gw/mcp", "https://gw/api"].map(|url| (resource(url), resource("https://gw")));
    let policy = RequestPolicy { shared: shared.into(), ..policy(&["https://gw", "https://gw/other"]) };
    let asked = |named: &str, client: &Client| {
        let query = format!("response_type=code&{CHALLENGE}&resource={named}");
        let request = ask(client, &query, &policy).map_err(|refused| refused.error.code());
        request.map(|request| request.resource().as_str().to_owned())
    };
    for (named, meant) in [
        ("https://gw/mcp", "https://gw"),
        ("HTTPS://GW/api/", "https://gw"),
        ("https://gw/", "https://gw"),
        ("https://gw/other", "https://gw/other"),
    ] {
        assert_eq!(asked(named, &client()), Ok(meant.to_owned()), "{named}");
    }
    let bound = Client { resource: Some(resource("https://gw")), ..client() };
    assert_eq!(asked("https://gw/mcp", &bound), Ok("https://gw".to_owned()));
    let elsewhere = Client { resource: Some(resource("https://gw/other")), ..client() };
    for (named, client) in [("https://gw/mcp", &elsewhere), ("https://gw/mcp/a", &bound), ("https://gw/ap", &bound)] {
        assert_eq!(asked(named, client), Err(ErrorCode::InvalidTarget), "{named}");
    }
}
