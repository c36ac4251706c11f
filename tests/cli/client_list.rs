//! `mcpgate client list` and what it says of secrets.

use serde_json::{Value, json};

use crate::{Data, REDIRECT};

fn names(listed: &Value) -> Vec<&str> {
    listed.as_array().unwrap().iter().map(|client| client["client_name"].as_str().unwrap()).collect()
}

fn add(data: &Data, name: &str, more: &[&str]) -> Value {
    data.json(&[&["client", "add", "--name", name, "--redirect-uri", REDIRECT], more].concat())
}

#[test]
fn clients_are_listed_with_what_an_operator_needs_to_tidy_up() {
    let data = Data::new();
    let bound = add(&data, "Bound", &["--upstream", "mcp", "--confidential"]);
    assert!(["client_id", "client_secret"].iter().all(|member| bound[member].is_string()), "{bound}");
    assert_eq!(bound["redirect_uris"], json!([REDIRECT]));
    add(&data, "Free", &[]);
    data.json(&["token", "issue", "--user", "ada", "--upstream", "mcp"]);
    let listed = data.json(&["client", "list"]);
    assert_eq!(names(&listed), ["Bound", "Free", "Tokens issued by an operator"]);
    let (first, second, third) = (&listed[0], &listed[1], &listed[2]);
    assert_eq!((&first["upstream"], &second["upstream"]), (&json!("mcp"), &Value::Null));
    assert_eq!((&first["active_sessions"], &third["active_sessions"]), (&json!(0), &json!(1)));
    assert_eq!((&first["origin"], &third["origin"]), (&json!("manual"), &json!("operator")));
    assert_eq!((&first["secret_age_days"], &first["secret_is_old"]), (&json!(0), &json!(false)));
    assert_eq!((&second["secret_age_days"], &first["last_used_at"]), (&Value::Null, &Value::Null));
    let text = data.text(&["client", "list"]);
    let (head, row) = (text.lines().next().unwrap(), text.lines().nth(1).unwrap());
    let columns = "ID NAME ORIGIN STATUS UPSTREAM SESSIONS CREATED LAST USED SECRET FILE REDIRECT URIS";
    assert_eq!(head.split_whitespace().collect::<Vec<_>>().join(" "), columns);
    assert!(row.contains("  mcp  ") && row.contains("  0 d  ") && row.ends_with(REDIRECT), "{row}");
}

#[test]
fn clients_are_filtered_sorted_and_paged() {
    let data = Data::new();
    add(&data, "beta", &["--upstream", "mcp"]);
    add(&data, "Gamma", &[]);
    let off = add(&data, "alpha", &[]);
    data.json(&["client", "disable", off["client_id"].as_str().unwrap()]);
    data.json(&["token", "issue", "--user", "ada", "--upstream", "mcp"]);
    let list = |more: &[&str]| data.json(&[&["client", "list"], more].concat());
    let operator = "Tokens issued by an operator";
    for (options, expected) in [
        (&["--name", "A", "--status", "enabled"][..], &["beta", "Gamma", operator][..]),
        (&["--name", "GAM"], &["Gamma"]),
        (&["--name", off["client_id"].as_str().unwrap()], &["alpha"]),
        (&["--upstream", "mcp"], &["beta"]),
        (&["--status", "disabled"], &["alpha"]),
        (&["--origin", "registered"], &[]),
        (&["--unused-since", "30d", "--origin", "manual", "--limit", "1"], &["beta"]),
        (&["--old-secret"], &[]),
        (&["--sort", "name"], &["alpha", "beta", "Gamma", operator]),
        (&["--sort", "sessions", "--reverse", "--limit", "1"], &[operator]),
        (&["--limit", "2", "--skip", "1"], &["Gamma", "alpha"]),
        (&["--skip", "9"], &[]),
    ] {
        assert_eq!(names(&list(options)), expected, "{options:?}");
    }
    let told = data.command(&["client", "list", "--limit", "2", "--skip", "1"]).output().unwrap();
    assert_eq!(data.beside_the_store(&told), "These are 2 of 4; --skip 3 lists the next.\n");
    assert!(data.refused(&["client", "list", "--upstream", "nowhere"]).1.contains("no upstream"));
}
