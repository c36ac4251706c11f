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
fn lifetimes_of_a_client_are_shown_and_go_back_to_those_of_all() {
    let data = Data::new();
    let added = data.add_client(&["--access-lifetime", "30m", "--refresh-absolute", "48h", "--refresh-idle", "36h"]);
    let id = added["client_id"].as_str().unwrap();
    let all = |value: &serde_json::Value| {
        ["access_lifetime", "refresh_idle", "refresh_absolute"].map(|name| value[name].as_str().map(str::to_owned))
    };
    let own = ["30m", "36h", "2d"].map(|text| Some(text.to_owned()));
    assert_eq!((all(&added), all(&data.json(&["client", "list"])[0])), (own.clone(), own));
    let edit = |more: &[&str]| data.json(&[&["client", "edit", id], more].concat());
    assert_eq!(all(&edit(&["--access-lifetime", "default"])), [None, Some("36h".to_owned()), Some("2d".to_owned())]);
    for (change, said) in [
        (["--access-lifetime", "61m"], "from 1m to 1h: see tokens.access_longest"),
        (["--refresh-absolute", "91d"], "from 1h to 90d: see tokens.refresh_longest"),
        (["--refresh-idle", "3d"], "from 1h to 2d"),
        (["--access-lifetime", "5"], "a duration needs a unit"),
    ] {
        let (_, told) = data.refused(&[&["client", "edit", id], &change[..]].concat());
        assert!(told.contains(said), "{change:?}: {told}");
    }
    let none = edit(&["--refresh-idle", "default", "--refresh-absolute", "default"]);
    assert_eq!(all(&none), [None, None, None]);
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
