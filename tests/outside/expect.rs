//! Full assertions for the answers that the threat model names in short form.

use crate::support::application::Application;
use crate::support::client::Reply;

/// LOCAL: a page of our own, without a redirect; it forbids framing and caching.
pub(crate) fn local(reply: &Reply) {
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert_eq!(reply.header("location"), "");
    assert!(reply.header("content-type").starts_with("text/html"), "{reply:?}");
    guarded(reply);
}

/// The headers of every page (CN-03, AZ-31).
pub(crate) fn guarded(reply: &Reply) {
    assert!(reply.header("content-security-policy").contains("frame-ancestors 'none'"), "{:?}", reply.headers);
    assert_eq!(reply.header("x-frame-options"), "DENY");
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    assert!(reply.header("cache-control").contains("no-store"), "{:?}", reply.headers);
    assert_eq!(reply.header("server"), "");
}

/// REDIR: a redirect to the application's own address with the error, its state and one issuer, and without a code
/// (AZ-18).
pub(crate) fn sent_back(reply: &Reply, application: &Application, error: &str, state: Option<&str>) {
    assert_eq!(reply.status, 303, "{}", reply.text());
    let location = reply.location();
    assert!(location.as_str().starts_with(&application.redirect_uri), "{location}");
    assert!(!reply.header("location").contains(['\r', '\n', ' ', '"']), "{location}");
    let values = |name: &str| -> Vec<String> {
        location.query_pairs().filter(|(known, _)| known == name).map(|(_, value)| value.into_owned()).collect()
    };
    assert_eq!(values("error"), [error], "{location}");
    assert_eq!(values("state"), state.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{location}");
    let issuer = application.resource.trim_end_matches("/mcp");
    assert_eq!(values("iss"), [issuer], "{location}");
    assert!(values("code").is_empty() && location.fragment().is_none(), "{location}");
}

/// TOK: an error of the token or registration endpoint.
pub(crate) fn refused(reply: &Reply, error: &str) {
    let status = if error == "invalid_client" { 401 } else { 400 };
    assert_eq!((reply.status, reply.member("error").as_str()), (status, error), "{reply:?}");
    assert_eq!(reply.header("content-type"), "application/json");
    assert!(reply.header("cache-control").contains("no-store"), "{:?}", reply.headers);
    assert_eq!(reply.header("pragma"), "no-cache");
    assert!(!reply.headers.contains_key("set-cookie"));
    assert!(!reply.member("error_description").is_empty(), "{reply:?}");
}

/// 401B (without an error) and 401T (with `invalid_token`): the challenge that points a client to the metadata.
pub(crate) fn challenged(reply: &Reply, application_origin: &str, path: &str, error: Option<&str>) {
    assert_eq!(reply.status, 401, "{reply:?}");
    let challenge = reply.header("www-authenticate");
    assert!(challenge.starts_with("Bearer "), "{challenge}");
    let metadata = format!("resource_metadata=\"{application_origin}/.well-known/oauth-protected-resource{path}\"");
    assert!(challenge.contains(&metadata), "{challenge}");
    match error {
        None => assert!(!challenge.contains("error"), "{challenge}"),
        Some(error) => assert!(challenge.contains(&format!("error=\"{error}\"")), "{challenge}"),
    }
    assert!(reply.header("cache-control").contains("no-store"), "{:?}", reply.headers);
}
