//! `mcpgate client edit`.

use serde_json::json;

use crate::{Data, REDIRECT};

const OTHER: &str = "https://app.example.com/other";

#[test]
fn a_client_is_changed_in_what_is_named_and_in_nothing_else() {
    let data = Data::new();
    let added = data.add_client(&["--confidential"]);
    let id = added["client_id"].as_str().unwrap();
    let edit = |more: &[&str]| data.json(&[&["client", "edit", id], more].concat());
    let edited = edit(&["--name", "Handbook", "--add-redirect-uri", OTHER]);
    assert_eq!((&edited["client_name"], &edited["redirect_uris"]), (&json!("Handbook"), &json!([REDIRECT, OTHER])));
    let edited = edit(&["--remove-redirect-uri", REDIRECT, "--scope", "mcp:read", "--upstream", "mcp"]);
    assert_eq!((&edited["redirect_uris"], &edited["scope"]), (&json!([OTHER]), &json!("mcp:read")));
    assert_eq!((&edited["upstream"], &edited["sessions_ended"]), (&json!("mcp"), &json!(0)));
    let edited = edit(&["--any-scope", "--any-upstream", "--grant", "authorization_code"]);
    assert_eq!((edited.get("scope"), &edited["resource"]), (None, &json!(null)));
    assert_eq!(edited["grant_types"], json!(["authorization_code"]));
    for member in ["client_id", "created_at", "secret_created_at", "token_endpoint_auth_method", "status"] {
        assert_eq!(edited[member], added[member], "{member}");
    }
    let trail = data.text(&["audit", "tail", "--event", "client.edited", "--json"]);
    for reason in ["client_name redirect_uris", "redirect_uris scope resource", "grant_types scope resource"] {
        assert!(trail.contains(&format!("\"reason\":\"{reason}\"")), "{reason}: {trail}");
    }
}

#[test]
fn what_cannot_be_changed_is_refused_and_nothing_is() {
    let data = Data::new();
    let added = data.add_client(&[]);
    let id = added["client_id"].as_str().unwrap();
    for (change, said) in [
        (&["--remove-redirect-uri", OTHER][..], "is not a redirect URI of this client"),
        (&["--remove-redirect-uri", REDIRECT], "redirect"),
        (&["--add-redirect-uri", "https://app.example.com/*"], "nothing was changed"),
        (&["--upstream", "nowhere"], "no upstream"),
        (&["--scope", "mcp:admin"], "no scope mcp:admin here"),
        (&["--grant", "client_credentials", "--scope", "mcp:read"], "needs a secret"),
        (&[], "required"),
    ] {
        let (_, told) = data.refused(&[&["client", "edit", id], change].concat());
        assert!(told.contains(said), "{change:?}: {told}");
    }
    assert_eq!(data.json(&["client", "show", id]), added);
    data.json(&["token", "issue", "--user", "ada", "--upstream", "mcp"]);
    let (_, told) = data.refused(&["client", "edit", "mcp_client_operator", "--name", "x"]);
    assert!(told.contains("belongs to mcpgate token issue"), "{told}");
}

#[test]
fn a_deletion_that_ends_sessions_says_so_and_wants_a_yes() {
    let data = Data::new();
    data.json(&["token", "issue", "--user", "ada", "--upstream", "mcp"]);
    let (code, told) = data.refused(&["client", "delete", "mcp_client_operator"]);
    assert_eq!(code, 1);
    let said = "deleting mcp_client_operator ends 1 session of 1 person; repeat the command with --yes to do it";
    assert!(told.contains(said), "{told}");
    assert_eq!(data.json(&["session", "list"]).as_array().map(Vec::len), Some(1));
    assert_eq!(data.json(&["client", "delete", "mcp_client_operator", "--yes"])["status"], "deleted");
    assert_eq!(data.json(&["session", "list"]), json!([]));
}
