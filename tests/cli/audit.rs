//! `mcpgate audit`.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::{Data, PASSWORD};

#[test]
fn the_trail_ends_quietly_when_nobody_reads() {
    let data = Data::new();
    let mut tail =
        data.command(&["audit", "tail", "--follow"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(tail.stdout.take());
    data.json(&["user", "disable", "ada"]);
    let output = tail.wait_with_output().unwrap();
    assert_eq!((output.status.code(), data.beside_the_store(&output)), (Some(0), String::new()));
}

#[test]
fn rows_of_the_trail_say_who_and_what() {
    let data = Data::new();
    let line = data.text(&["audit", "tail", "-n", "1"]);
    assert!(line.contains("  account.added  user=ada  actor=operator  subject=user_"), "{line}");
    data.json(&["user", "disable", "ada"]);
    assert_eq!(data.text(&["audit", "tail", "-n", "1"]).lines().count(), 1);
    let row: Value = serde_json::from_str(&data.text(&["audit", "tail", "-n", "1", "--json"])).unwrap();
    assert_eq!((&row["event"], &row["user"]), (&"account.disabled".into(), &"ada".into()));
    assert!(data.text(&["user", "list"]).contains(row["subject"].as_str().unwrap()), "the trail's id is in the list");
    data.json(&["user", "disable", "ada"]);
    assert_eq!(data.events().len(), 2, "a command that changes nothing adds no row");
}

#[test]
fn rows_of_the_trail_have_the_members_that_are_documented() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.md")).unwrap();
    let fields = page.split("## Fields").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let documented = fields.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: std::collections::BTreeSet<_> = documented.collect();
    let row = Data::new().json(&["audit", "tail", "-n", "1"]);
    let printed: std::collections::BTreeSet<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(printed, documented);
}

/// Moves the first row of the trail to a time more than a year ago.
fn age_the_first_row(data: &Data) {
    let store = rusqlite::Connection::open(data.folder.path().join("mcpgate.db")).unwrap();
    let changed = store.execute("UPDATE audit SET at = 1577880000000 WHERE no = 1", []).unwrap();
    assert_eq!(changed, 1, "2020-01-01T12:00:00Z");
}

#[test]
fn the_trail_is_searched_by_user_client_event_and_time() {
    let data = Data::new();
    age_the_first_row(&data);
    data.json_with_input(&["user", "add", "bob", "--password-file", "-"], PASSWORD);
    let client = data.add_client(&[]);
    let id = client["client_id"].as_str().unwrap();
    data.json(&["client", "disable", id]);
    data.json(&["user", "disable", "bob"]);
    let bob = data.text(&["user", "list"]);
    let bob = bob.split_whitespace().find(|word| word.starts_with("user_")).unwrap();
    let found = |options: &[&str]| {
        let rows = data.text(&[&["audit", "tail", "--json"], options].concat());
        let number = |line: &str| serde_json::from_str::<Value>(line).unwrap()["number"].as_u64().unwrap();
        rows.lines().map(number).collect::<Vec<_>>()
    };
    for (options, expected) in [
        (&[][..], &[1, 2, 3, 4, 5][..]),
        (&["--user", "ada"], &[1]),
        (&["--user", "bob"], &[2, 5]),
        (&["--user", "bob", "-n", "1"], &[5]),
        (&["--client", id], &[3, 4]),
        (&["--event", "account.added"], &[1, 2]),
        (&["--event", "account"], &[1, 2, 5]),
        (&["--event", "account.disabled", "--event", "client"], &[3, 4, 5]),
        (&["--event", "login"], &[]),
        (&["--since", "1h"], &[2, 3, 4, 5]),
        (&["--since", "2020-01-02"], &[2, 3, 4, 5]),
        (&["--since", "2020-01-01T12:00:00Z"], &[1, 2, 3, 4, 5]),
        (&["--since", "2020-01-01T12:00:01Z", "-n", "2"], &[4, 5]),
        (&["--until", "2020-01-02"], &[1]),
        (&["--until", "2020-01-01T12:00:00Z"], &[]),
        (&["--since", "2020-01-01", "--until", "1h", "--user", "ada", "--event", "account"], &[1]),
    ] {
        assert_eq!(found(options), expected, "{options:?}");
    }
    assert!([1, 2].iter().any(|number| found(&["--user", bob]).first() == Some(number)), "by subject as well");
    for (options, code, text) in [
        (&["--event", "login.faild"][..], 64, "there is no event \"login.faild\""),
        (&["--since", "yesterday"], 64, "an age such as 30m"),
        (&["--until", "1h", "--follow"], 64, "--follow"),
        (&["--user", "carol"], 1, "no account \"carol\""),
    ] {
        let (exit, said) = data.refused(&[&["audit", "tail"], options].concat());
        assert!(exit == code && said.contains(text), "{options:?}: {exit}: {said}");
    }
}

#[test]
fn old_rows_of_the_trail_are_pruned_and_the_trail_says_so() {
    let data = Data::new();
    data.json(&["user", "disable", "ada"]);
    assert_eq!(data.json(&["audit", "prune"])["removed"], 0);
    assert_eq!(data.events(), ["account.added", "account.disabled"], "nothing was removed");
    age_the_first_row(&data);
    assert_eq!(data.json(&["audit", "prune"])["removed"], 1, "audit.keep is a year");
    assert_eq!(data.events(), ["account.disabled", "audit.pruned"]);
    let row = data.json(&["audit", "tail", "-n", "1"]);
    assert!(row["reason"].as_str().unwrap().starts_with("rows from before 20"), "{row}");
    assert_eq!(data.json(&["audit", "prune", "--before", "1h"])["removed"], 0);
    let (code, said) = data.refused(&["audit", "prune", "--before", "2999-01-01"]);
    assert!(code == 64 && said.contains("--before"), "{said}");
    assert_eq!(data.json(&["db", "check"])["sound"], true, "the noted size is right");
}
