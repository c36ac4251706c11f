//! Where values come from: the file, the environment, the command line, a reload.

use std::path::PathBuf;

use mcpgate::config::{Config, MetadataDocumentMode, Overrides, TlsConfig, UpstreamKind, reference};

use crate::{GOOD, lines, load, only_problem, problems_of, up};

#[test]
fn cf_06_the_environment_sets_nothing_by_itself() {
    // A variable is read only if the file refers to it; a variable that is named like a key has no effect.
    let with = "public_url = \"https://mcp.example.com\"\nextra_hosts = [\"${MCPGATE_TEST_ABSENT}\"]\n";
    let text = GOOD.replace("public_url = \"https://mcp.example.com\"\n", with);
    let found = lines(&problems_of(&text, &Overrides::default()));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("gateway.toml:2: extra_hosts[0]: the environment variable MCPGATE_TEST_ABSENT is not set")
    );
}

#[test]
fn cf_07_a_file_that_others_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, GOOD).expect("it can be written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).expect("its mode can be set");
    let problems = Config::load(Some(&file), &Overrides::default()).expect_err("it is refused");
    assert_eq!(problems[0].fault, "it is writable by everyone");
}

/// Files of the wrong kind, each under its name in a folder.
fn no_plain_files() -> tempfile::TempDir {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::create_dir(dir.path().join("folder")).expect("a folder can be made");
    mknodat(CWD, dir.path().join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe can be made");
    let huge = std::fs::File::create(dir.path().join("huge")).expect("a file can be made");
    huge.set_len(8 << 30).expect("a file may have holes");
    dir
}

#[test]
fn cf_07_what_is_no_plain_file_or_has_gigabytes_is_refused_at_once() {
    let dir = no_plain_files();
    let began = std::time::Instant::now();
    for (name, word) in [("folder", "a folder"), ("pipe", "a named pipe"), ("huge", "larger than")] {
        let path = dir.path().join(name);
        let found = Config::load(Some(&path), &Overrides::default()).expect_err("it is refused");
        assert!(found[0].fault.contains(word), "{name}: {found:?}");
        let path = path.display();
        for addition in [format!("ca_file = \"{path}\"\n"), format!("headers = {{ X-Key = \"${{file:{path}}}\" }}\n")] {
            let problem = only_problem(&addition);
            assert!(problem.contains(word), "{name}: {problem}");
        }
        let listen = format!("{{ certificate = \"{path}\", key = \"{path}\" }}");
        let found = lines(&problems_of(&GOOD.replace("{ tls = \"development\" }", &listen), &Overrides::default()));
        assert_eq!(found.iter().filter(|problem| problem.contains(word)).count(), 2, "{name}: {found:?}");
    }
    assert!(only_problem("ca_file = \"/dev/zero\"\n").contains("a device"));
    assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn up_needs_no_file() {
    let config = Config::load(None, &Overrides { data_dir: Some("/x".into()), ..up() }).expect("it is complete");
    assert_eq!(config.public_url, "https://localhost:8443");
    assert_eq!(config.extra_hosts, ["127.0.0.1:8443", "[::1]:8443"]);
    assert_eq!(config.public.address.to_string(), "127.0.0.1:8443");
    assert_eq!(config.operator.to_string(), "127.0.0.1:9090");
    assert_eq!((config.public.tls, config.demo), (TlsConfig::Development, true));
    let upstream = &config.upstreams[0];
    assert_eq!((upstream.name.as_str(), upstream.path.as_str(), upstream.kind), ("mcp", "/mcp", UpstreamKind::Mcp));
    assert_eq!(upstream.resource.as_str(), "https://localhost:8443/mcp");
    assert_eq!(config.metadata_documents.mode, MetadataDocumentMode::Open);
}

#[test]
fn up_takes_its_options_and_adds_a_file() {
    let overrides = Overrides {
        data_dir: Some("/x".into()),
        listen: Some("127.0.0.1:9443".parse().expect("an address")),
        upstream: Some("http://127.0.0.1:7000/mcp".to_owned()),
        workers: Some(3),
        ..up()
    };
    let config = load("[tokens]\naccess = \"5m\"\n", &overrides);
    assert_eq!(config.public_url, "https://localhost:9443");
    assert_eq!(config.upstreams[0].url.as_str(), "http://127.0.0.1:7000/mcp");
    assert_eq!((config.demo, config.workers, config.tokens.access.as_secs()), (false, 3, 300));
    // The fallback until the upstream's own name is known. The address is not public.
    assert_eq!((config.upstreams[0].display_name.as_str(), config.upstreams[0].takes_title), ("MCP server", true));
    let titled = config.with_title("mcp", "Weather").expect("it has a new name");
    assert_eq!(titled.upstreams[0].display_name, "Weather");
    assert!(titled.with_title("mcp", "Weather").is_none() && config.with_title("b", "Weather").is_none());
    for title in ["at 127.0.0.1:7000", "Files at 127.0.0.1, port 7000", "１２７.0.0.1"] {
        assert!(config.with_title("mcp", title).is_none(), "{title}");
    }
    let mut again = load("", &overrides);
    again.keep_titles(&titled);
    assert_eq!(again.upstreams[0].display_name, "Weather");
    let mut elsewhere =
        load("", &Overrides { upstream: Some("http://127.0.0.1:7001/mcp".to_owned()), ..overrides.clone() });
    elsewhere.keep_titles(&titled);
    assert_eq!(elsewhere.upstreams[0].display_name, "MCP server");
    let scopes: Vec<_> = config.upstreams[0].scopes.iter().map(|s| s.name.as_str()).collect();
    assert_eq!((scopes, config.upstreams[0].default_scopes.to_string()), (vec!["mcp:use"], "mcp:use".to_owned()));
    assert_eq!((config.upstreams[0].required_scopes.to_string(), config.is_by_annotation()), ("mcp:use".into(), false));
    let annotated = load("", &Overrides { by_annotation: true, ..overrides.clone() });
    assert_eq!(annotated.upstreams[0].default_scopes.to_string(), "mcp:read mcp:write");
    assert!(annotated.upstreams[0].required_scopes.is_empty() && annotated.is_by_annotation());
    assert_eq!(annotated.scoped(false).upstreams, load("", &overrides).upstreams);
    let clash = problems_of("[[upstream]]\nname = \"b\"\npath = \"/mcp\"\nurl = \"http://127.0.0.1:1/\"\n", &overrides);
    assert!(lines(&clash)[0].contains("the upstream of the command line has the same path"));
    let bad = Config::load(None, &Overrides { upstream: Some("stdio:x".into()), ..up() }).expect_err("not http");
    assert_eq!(bad[0].key, "UPSTREAM_URL");
}

#[test]
fn relative_paths_start_from_the_file() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, format!("data_dir = \"data\"\n{GOOD}")).expect("it can be written");
    let config = Config::load(Some(&file), &Overrides::default()).expect("it is good");
    assert_eq!(config.data_dir, dir.path().canonicalize().map(|d| d.join("data")).unwrap_or_else(|_| PathBuf::new()));
}

/// Its paths are printed to be pasted elsewhere.
#[test]
fn the_data_folder_of_the_command_line_is_absolute() {
    let config = load("", &Overrides { data_dir: Some("here".into()), ..up() });
    assert_eq!(config.data_dir, std::env::current_dir().expect("there is a current directory").join("here"));
}

#[test]
fn a_reload_names_the_keys_that_need_a_restart() {
    let before = load(GOOD, &Overrides::default());
    let after =
        load(&format!("brand = \"abc\"\nworkers = 77\n{GOOD}[tokens]\naccess = \"5m\"\n"), &Overrides::default());
    assert_eq!(before.needs_restart(&after), ["workers", "brand"]);
    assert_eq!(before.needs_restart(&before), [""; 0]);
}

/// A value that is read once, at the start, must not be reported as "in force" after a reload.
#[test]
fn whatever_the_reference_says_needs_a_restart_is_refused_by_a_reload() {
    let mut said = Vec::new();
    let mut table = String::new();
    let reference = reference();
    for line in reference.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let path = heading.trim_matches(['`', '[', ']']);
            table = if heading == "Top level" { String::new() } else { format!("{path}.") };
        } else if let Some((key, about)) = line.strip_prefix("| `").and_then(|row| row.split_once('`'))
            && about.contains("needs a restart")
        {
            said.push(format!("{table}{key}"));
        }
    }
    let own = |name: &str, port: u16| {
        let table = format!("[[upstream]]\nname = \"{name}\"\npath = \"/mcp\"\nurl = \"http://127.0.0.1:1/mcp\"\n");
        format!("{table}public_url = \"https://{name}.example.com\"\nlisten = \"127.0.0.1:{port}\"\n")
    };
    let before = load(&format!("{GOOD}{}", own("b", 3)), &Overrides::default());
    let after = r#"
public_url = "https://other.example.com"
data_dir = "elsewhere"
workers = 77
brand = "abc"
listen = { address = "127.0.0.1:1", tls = "off", trusted_proxies = ["10.0.0.0/8"], proxy_protocol = true }
operator = { address = "127.0.0.1:2" }
login = { hash_slots = 3 }
limits = { tokens_in_memory = 99999 }
rates = { store_reads_per_second = 101 }
log = { format = "json", filter = "warn" }
reload = { max_stale = "11s" }
[[upstream]]
name = "a"
path = "/mcp"
url = "http://127.0.0.1:1/mcp"
"#;
    let after = format!("{after}{}{}", own("b", 4), own("c", 5));
    let mut found = before.needs_restart(&load(&after, &Overrides::default()));
    said.sort();
    found.sort_unstable();
    assert_eq!(found, said);
}
