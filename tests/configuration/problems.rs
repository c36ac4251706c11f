//! How problems are reported, and which values are refused.

use mcpgate::config::Overrides;

use crate::{GOOD, golden, lines, only_problem, problems_of, root, up};

#[test]
fn every_problem_is_reported_at_once_with_line_and_remedy() {
    let text = std::fs::read_to_string(root().join("tests/golden/many-problems.toml")).expect("it can be read");
    let report = lines(&problems_of(&text, &Overrides::default())).join("\n") + "\n";
    golden::check(&root().join("tests/golden/many-problems.txt"), &report);
}

#[test]
fn cf_01_broken_syntax_names_its_lines() {
    let found = lines(&problems_of("public_url = \nworkers = 1\n[listen\naddress = 3 3\n", &Overrides::default()));
    for line in ["gateway.toml:1: syntax", "gateway.toml:3: syntax"] {
        assert!(found.iter().any(|p| p.starts_with(line)), "{line}: {found:?}");
    }
}

#[test]
fn cf_02_what_is_bad_in_meaning_is_refused() {
    let serve = Overrides::default();
    for (text, expected) in [
        (
            GOOD.replace("https://mcp.example.com", "http://mcp.example.com"),
            "gateway.toml:1: public_url: the public URL must be https",
        ),
        (
            GOOD.replace("https://mcp.example.com", "https://mcp.example.com/?x"),
            "gateway.toml:1: public_url: the public URL is an origin",
        ),
        (
            format!("{GOOD}[[upstream]]\nname = \"b\"\npath = \"/MCP\"\nurl = \"http://127.0.0.1:2/\"\n"),
            "gateway.toml:9: upstream[1].path: the upstream of line 5 has the same path",
        ),
        (
            format!("{GOOD}[[upstream]]\nname = \"a\"\npath = \"/b\"\nurl = \"http://127.0.0.1:2/\"\n"),
            "gateway.toml:8: upstream[1].name: the upstream of line 5 has the same name",
        ),
        (
            format!(
                "{GOOD}[[upstream]]\nname = \"b\"\nkind = \"http\"\npath = \"/mcp/x\"\nurl = \"http://127.0.0.1:2/\"\n[[upstream]]\nname = \"c\"\npath = \"/mcp/x/y\"\nurl = \"http://127.0.0.1:2/\"\n"
            ),
            "gateway.toml:14: upstream[2].path: this path overlaps",
        ),
        (GOOD.replace("development", "files"), "gateway.toml:2: listen.certificate: this key is missing"),
        (
            GOOD.replace("listen = { tls = \"development\" }", "[listen]\nproxy_protocol = false"),
            "gateway.toml:2: listen.certificate: this key is missing",
        ),
        (
            GOOD.replace("\"development\"", "\"files\", certificate = \"absent.pem\", key = \"absent.pem\""),
            "gateway.toml:2: listen.certificate: the file cannot be read",
        ),
    ] {
        let found = lines(&problems_of(&text, &serve));
        assert!(found.iter().any(|p| p.starts_with(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn cf_02_a_store_that_is_not_there_yet_is_refused_and_its_password_not_shown() {
    for (store, expected) in [
        ("postgres://mcpgate:geheim@db/mcpgate", "a PostgreSQL store does not exist yet"),
        ("postgresql://db", "a PostgreSQL store does not exist yet"),
        ("memory", "this store does not exist yet"),
        ("embedded:x", "this store does not exist yet"),
        ("", "this store does not exist yet"),
    ] {
        for overrides in [Overrides::default(), up(), Overrides { data_only: true, ..Overrides::default() }] {
            let found = lines(&problems_of(&format!("store = {store:?}\n{GOOD}"), &overrides));
            let whole = format!("gateway.toml:1: store: {expected}; write store = \"embedded\", or remove it");
            assert_eq!(found, [whole], "{store}");
        }
    }
    assert_eq!(problems_of(&format!("store = \"embedded\"\n{GOOD}"), &Overrides::default()), []);
}

#[test]
fn cf_09_placeholders_are_refused_wherever_they_come_from() {
    for value in ["Bearer changeme", "__REPLACE_ME__", "your-token-here"] {
        assert!(only_problem(&format!("headers = {{ X-Key = {value:?} }}\n")).contains("this is a placeholder"));
    }
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let secret = dir.path().join("key");
    std::fs::write(&secret, "ChangeMe\n").expect("it can be written");
    let problem = only_problem(&format!("headers = {{ X-Key = \"${{file:{}}}\" }}\n", secret.display()));
    assert!(problem.contains("this is a placeholder"), "{problem}");
}

#[test]
fn secrets_are_never_echoed() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let secret = dir.path().join("key");
    std::fs::write(&secret, "s3cret words\u{7}\n").expect("it can be written");
    let reference = format!("${{file:{}}}", secret.display());
    let text = format!(
        "public_url = {reference:?}\nbrand = {reference:?}\n[listen]\naddress = {reference:?}\ntls = {reference:?}\n\
         [[upstream]]\nname = {reference:?}\npath = {reference:?}\nurl = {reference:?}\nheaders = {{ X = {reference:?} }}\n\
         [log]\nfilter = {reference:?}\n[cors]\nallowed_origins = [{reference:?}]\n"
    );
    let found = lines(&problems_of(&text, &Overrides::default()));
    assert!(found.len() >= 8, "{found:?}");
    assert!(!found.join("\n").contains("s3cret"), "{found:?}");
}

#[test]
fn a_list_of_hosts_says_who_registers() {
    for (written, expected) in [
        ("mode = \"hosts\"", "registration.mode: an empty list admits no client"),
        ("hosts = [\"claude.ai\"]", "registration.hosts: this has no effect"),
        ("mode = \"approval\"\nhosts = [\"claude.ai\"]", "registration.hosts: this has no effect"),
        (
            "mode = \"hosts\"\nhosts = [\"claude.ai\", \"cursor\"]",
            "registration.hosts[1]: this names no host and no scheme",
        ),
        (
            "mode = \"hosts\"\nhosts = [\"https://claude.ai\"]",
            "registration.hosts[0]: this names no host and no scheme",
        ),
        (
            "mode = \"hosts\"\nhosts = [\"loopback\"]\nclient_credentials = true",
            "registration.client_credentials: with mode",
        ),
    ] {
        let found = lines(&problems_of(&format!("{GOOD}\n[registration]\n{written}\n"), &Overrides::default()));
        assert!(matches!(found.as_slice(), [only] if only.contains(expected)), "{written}: {found:?}");
    }
}

#[test]
fn a_key_that_names_an_upstream_names_one_that_is_there() {
    for (text, key) in [
        (format!("default_upstream = \"nothing\"\n{GOOD}"), "default_upstream"),
        (format!("{GOOD}\n[registration]\nupstream = \"nothing\"\n"), "registration.upstream"),
    ] {
        let found = lines(&problems_of(&text, &Overrides::default()));
        let expected = format!("{key}: there is no upstream of this name; write the name of an [[upstream]]");
        assert!(matches!(found.as_slice(), [only] if only.ends_with(&expected)), "{found:?}");
    }
}
