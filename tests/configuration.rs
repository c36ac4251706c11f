//! The configuration as an operator meets it. A failure means that the example or the reference no longer tells the
//! truth, or that a fault is no longer reported with its line and remedy.

#![expect(clippy::expect_used, reason = "a test may stop at the first surprise")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use mcpgate::config::{Config, MetadataDocumentMode, Overrides, Problem, TlsConfig, UpstreamKind, reference};

#[path = "support/golden.rs"]
mod golden;
#[path = "support/never_forwarded.rs"]
mod never_forwarded;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn problems_of(text: &str, overrides: &Overrides) -> Vec<Problem> {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, text).expect("a temporary file can be written");
    Config::load(Some(&file), overrides).err().unwrap_or_default()
}

fn load(text: &str, overrides: &Overrides) -> Config {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, text).expect("a temporary file can be written");
    Config::load(Some(&file), overrides).expect("the configuration is good")
}

fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|p| Problem { file: Some("gateway.toml".into()), ..p.clone() }.to_string()).collect()
}

fn up() -> Overrides {
    Overrides { up: true, ..Overrides::default() }
}

const GOOD: &str = "public_url = \"https://mcp.example.com\"\nlisten = { tls = \"development\" }\n\
                    [[upstream]]\nname = \"a\"\npath = \"/mcp\"\nurl = \"http://127.0.0.1:1/mcp\"\n";

/// The one problem of the good configuration with some lines added.
fn only_problem(addition: &str) -> String {
    let found = lines(&problems_of(&format!("{GOOD}{addition}"), &Overrides::default()));
    assert_eq!(found.len(), 1, "{addition}: {found:?}");
    found.into_iter().next().unwrap_or_default()
}

/// The example, beside the certificate files that it names.
fn example() -> (String, Config) {
    let text = std::fs::read_to_string(root().join("gateway.toml.example")).expect("the example can be read");
    let config = beside_certificates(&text);
    (text, config)
}

/// A configuration beside the certificate files of the examples.
fn beside_certificates(text: &str) -> Config {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let here = text.replace("/etc/mcpgate/tls/", "");
    for file in ["gateway.toml", "fullchain.pem", "key.pem"] {
        let file = dir.path().join(file);
        std::fs::write(&file, &here).expect("a temporary file can be written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("its mode can be set");
    }
    let config = Config::load(Some(&dir.path().join("gateway.toml")), &Overrides::default());
    config.expect("the example is good")
}

/// The configuration that README shows.
fn readme() -> Config {
    let text = std::fs::read_to_string(root().join("README.md")).expect("it can be read");
    let block = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a configuration");
    beside_certificates(block)
}

#[test]
fn what_the_documents_show_is_reached_at_its_public_url_and_needs_no_second_look() {
    for config in [readme(), example().1] {
        assert_eq!(config.warnings(), Vec::<String>::new());
        assert_eq!((config.public_url.as_str(), config.public.address.port()), ("https://mcp.example.com", 443));
    }
}

#[test]
fn cf_05_a_port_that_clients_do_not_use_is_warned_of() {
    let ports = |listen: &str, url: &str| {
        let text = GOOD.replace("tls = \"development\"", &format!("tls = \"development\", {listen}"));
        let config = load(&text.replace("https://mcp.example.com", url), &Overrides::default());
        config.warnings().iter().filter(|warning| warning.starts_with("listen.address has port")).count()
    };
    for (listen, url, warned) in [
        ("hsts = \"off\"", "https://mcp.example.com", 1),
        ("address = \"0.0.0.0:443\"", "https://mcp.example.com", 0),
        ("address = \"0.0.0.0:443\"", "https://mcp.example.com:8443", 1),
        ("hsts = \"off\"", "https://mcp.example.com:8443", 0),
        ("trusted_proxies = [\"10.0.0.7\"]", "https://mcp.example.com", 0),
        ("address = \"127.0.0.1:0\"", "https://mcp.example.com", 0),
    ] {
        assert_eq!(ports(listen, url), warned, "{listen} {url}");
    }
    assert_eq!(load("", &up()).warnings(), Vec::<String>::new());
}

#[test]
fn cf_05_two_listeners_need_two_places() {
    for (public, operator, clash) in [
        ("127.0.0.1:9090", "127.0.0.1:9090", true),
        ("0.0.0.0:9090", "127.0.0.1:9090", true),
        ("[::]:9090", "127.0.0.1:9090", true),
        ("[::]:9090", "[::1]:9090", true),
        ("0.0.0.0:9090", "[::1]:9090", false),
        ("192.0.2.1:9090", "127.0.0.1:9090", false),
        ("127.0.0.1:9091", "127.0.0.1:9090", false),
        ("127.0.0.1:0", "127.0.0.1:0", false),
    ] {
        let text = GOOD.replace("tls = \"development\"", &format!("tls = \"development\", address = {public:?}"));
        let found =
            lines(&problems_of(&format!("operator = {{ address = {operator:?} }}\n{text}"), &Overrides::default()));
        assert_eq!(found.len(), usize::from(clash), "{public} {operator}: {found:?}");
        let wished =
            format!("gateway.toml:1: operator.address: the public listener is at {public}, too; write another");
        assert!(found.iter().all(|problem| problem.starts_with(&wished)), "{found:?}");
    }
    let listen = Some("127.0.0.1:9090".parse().expect("an address"));
    assert!(
        lines(&problems_of("", &Overrides { listen, ..up() }))[0].contains("operator.address: the public listener")
    );
}

#[test]
fn cf_05_a_credential_in_clear_text_to_a_public_host_is_warned_of() {
    let warned = |url: &str, headers: &str| {
        let text = GOOD.replace("http://127.0.0.1:1/mcp", url);
        let config = load(&format!("{text}headers = {{ {headers} }}\n"), &Overrides::default());
        config.warnings().iter().any(|warning| warning.starts_with("the upstream a: its URL is plain http"))
    };
    let key = "X-Key = \"s3cret\"";
    assert!(warned("http://mcp.example.com/", key) && warned("http://192.0.2.1:8000/", key));
    for (url, headers) in
        [("http://mcp.example.com/", ""), ("https://mcp.example.com:1/", key), ("http://10.0.0.7/", key)]
    {
        assert!(!warned(url, headers), "{url}");
    }
}

#[test]
fn a_health_path_is_plain_and_nobody_elses() {
    let with = |path: &str, more: &str| {
        let text = GOOD.replace("tls = \"development\"", &format!("tls = \"development\", health_path = {path:?}"));
        lines(&problems_of(&format!("{text}{more}"), &Overrides::default()))
    };
    for path in ["/healthz", "/readyz", "/up", "/status/live"] {
        assert_eq!(with(path, ""), Vec::<String>::new(), "{path}");
    }
    for path in ["healthz", "/", "/token", "/.well-known/x", "/metrics", "/healthz?x", "/Assets/x"] {
        let found = with(path, "");
        assert!(found.len() == 1 && found[0].starts_with("gateway.toml:2: listen.health_path: "), "{path}: {found:?}");
    }
    let other = "[[upstream]]\nname = \"b\"\npath = \"/api\"\nkind = \"http\"\nurl = \"http://127.0.0.1:2/\"\n";
    for (path, key) in [("/mcp", "upstream[0].path"), ("/API/health", "upstream[1].path")] {
        let found = with(path, other);
        let named = found.len() == 1 && found[0].contains(key) && found[0].contains("listen.health_path");
        assert!(named, "{path}: {found:?}");
    }
}

#[test]
fn browsers_are_told_of_https_as_the_operator_wishes() {
    let hsts = |keys: &str, url: &str| {
        let text = GOOD.replace("tls = \"development\"", &format!("tls = \"development\"{keys}"));
        let config = load(&text.replace("https://mcp.example.com", url), &Overrides::default());
        config.public.hsts.map(|value| value.to_str().expect("ASCII").to_owned())
    };
    let url = "https://mcp.example.com";
    assert_eq!(hsts("", url).as_deref(), Some("max-age=63072000"));
    assert_eq!(hsts(", hsts = \"off\"", url), None);
    let below = ", hsts = \"subdomains\", hsts_max_age = \"1d\"";
    assert_eq!(hsts(below, url).as_deref(), Some("max-age=86400; includeSubDomains"));
    assert_eq!(hsts(", hsts_max_age = \"0s\"", url).as_deref(), Some("max-age=0"));
    for local in ["https://localhost:8443", "https://gw.localhost", "https://127.0.0.1:8443", "https://[::1]:8443"] {
        assert_eq!(hsts(below, local), None, "{local}");
    }
    assert!(hsts("", "https://localhost.example.com").is_some());
}

/// Whoever reads a key in the log or in a document looks for it in the file.
#[test]
fn every_key_that_is_named_is_one_of_the_file() {
    let keys: std::collections::BTreeSet<_> = mcpgate::config::keys().collect();
    let tables: std::collections::BTreeSet<_> = keys.iter().filter_map(|key| Some(key.rsplit_once('.')?.0)).collect();
    let is_word = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
    // `table.key`, of a table that there is.
    let is_wrong = |word: &str| {
        let named = word.rsplit_once('.').is_some_and(|(table, key)| tables.contains(table) && !key.is_empty());
        named && !keys.contains(word) && !tables.contains(word)
    };
    let mut wrong = Vec::new();
    for rule in mcpgate::oauth::Rule::ALL {
        let expected = rule.expected().split(|c: char| !is_word(c)).map(|word| word.trim_end_matches('.'));
        wrong.extend(expected.filter(|word| word.starts_with('.') || is_wrong(word)).map(str::to_owned));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut texts = vec![root.join("docs/errors.md")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { texts.push(path) }
        }
    }
    for path in texts.iter().filter(|path| path.extension().is_some_and(|e| e == "rs" || e == "md")) {
        let text = std::fs::read_to_string(path).unwrap();
        let quote = if path.extension().is_some_and(|e| e == "md") { '`' } else { '"' };
        // Each text between quotes that is made of keys alone. Kinds of events look the same.
        for quoted in text.split(quote).filter(|_| !path.ends_with("src/store/audit_event.rs")) {
            wrong.extend(
                quoted.split(", ").filter(|word| word.chars().all(is_word) && is_wrong(word)).map(str::to_owned),
            );
        }
    }
    // A page, and a column of the store.
    wrong.retain(|word| !["login.html", "audit.at"].contains(&word.as_str()));
    assert!(wrong.is_empty(), "there are no such keys: {wrong:?}");
}

#[test]
fn the_example_loads_and_names_every_key() {
    let (text, config) = example();
    assert_eq!(config.upstreams.len(), 2);
    assert!(text.lines().count() <= 250, "the example has {} lines", text.lines().count());
    let mut table = String::new();
    let mut named = std::collections::BTreeSet::new();
    for line in text.lines().map(|l| l.strip_prefix("# ").unwrap_or(l)) {
        if let Some(header) = line.trim_start_matches('[').split(']').next().filter(|_| line.starts_with('[')) {
            table = header.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ") {
            named.insert(if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") });
        }
    }
    let missing: Vec<_> = mcpgate::config::keys().filter(|key| !named.contains(key)).collect();
    assert!(missing.is_empty(), "the example says nothing of {missing:?}");
}

/// What the reference says of every key, by its full name: what it is, and its default as TOML if it has one.
fn rows_of_reference() -> std::collections::BTreeMap<String, (String, Option<String>)> {
    let mut rows = std::collections::BTreeMap::new();
    let mut table = String::new();
    // A row may go on in the next line, within a list.
    for line in reference().replace(",\n", ", ").lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            table =
                if heading == "Top level" { String::new() } else { heading.trim_matches(['`', '[', ']']).to_owned() };
        } else if let Some((key, rest)) = line.strip_prefix("| `").and_then(|row| row.split_once("` | ")) {
            let mut cells = rest.trim_end_matches(" |").split(" | ");
            let about = cells.next().unwrap_or_default().to_owned();
            let default = cells.last().and_then(|cell| cell.strip_prefix('`')?.strip_suffix('`')).map(str::to_owned);
            rows.insert(full_name(&table, key), (about, default));
        }
    }
    rows
}

fn full_name(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

#[test]
fn what_the_example_says_is_what_the_reference_says() {
    // Not left out, and not the defaults: upstreams are shown by examples.
    const CHOSEN: [&str; 5] = [
        "upstream.kind = \"http\"",
        "upstream.default_scopes = [\"files:read\"]",
        "upstream.required_scopes = [\"files:read\"]",
        "upstream.scope.description",
        "upstream.scope.sensitive = true",
    ];
    let rows = rows_of_reference();
    assert_eq!(rows.len(), mcpgate::config::keys().count());
    let text = std::fs::read_to_string(root().join("gateway.toml.example")).expect("the example can be read");
    let (mut table, mut comment, mut wrong) = (String::new(), String::new(), Vec::new());
    // A list may go on in the next lines.
    for line in text.replace("[\n    ", "[").replace(",\n    ", ", ").replace(",\n]", "]").lines() {
        let (line, is_comment) = line.strip_prefix("# ").map_or((line, false), |line| (line, true));
        if let Some(header) = line.strip_prefix('[').filter(|_| !is_comment) {
            table = header.trim_start_matches('[').split(']').next().unwrap_or_default().to_owned();
            continue;
        }
        let is_name =
            |key: &str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b"_0123456789".contains(&b));
        let Some((key, value)) = line.split_once(" = ").filter(|(key, _)| is_name(key)) else {
            // What is said before an empty line is said of no key.
            comment = if line.is_empty() { String::new() } else { format!("{comment}{line}\n") };
            continue;
        };
        let name = full_name(&table, key);
        let Some((about, default)) = rows.get(&name) else {
            wrong.push(format!("{name}: there is no such key"));
            continue;
        };
        let comment = std::mem::take(&mut comment);
        for stated in comment.split("Default ").skip(1).filter_map(|rest| rest.lines().next()) {
            let stated = stated.trim_end_matches('.');
            if !about.contains(&format!("`{stated}`")) {
                wrong.push(format!("{name}: its default is not {stated}: {about}"));
            }
        }
        let words = |text: &str| -> Vec<String> {
            text.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_owned).collect()
        };
        let is_number = |word: &String| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
        for number in words(&comment).iter().filter(|word| is_number(word)) {
            if !words(about).contains(number) {
                wrong.push(format!("{name}: {number} is not in what the reference says: {about}"));
            }
        }
        let value = value.split(" # ").next().unwrap_or_default();
        if let Some(default) = default.as_ref().filter(|_| !is_comment) {
            let is_chosen = CHOSEN.contains(&name.as_str()) || CHOSEN.contains(&format!("{name} = {value}").as_str());
            if !is_chosen && value != default {
                wrong.push(format!("{name}: its default is {default}, not {value}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_values_of_the_example_are_the_defaults() {
    let (_, example) = example();
    let bare = load(GOOD, &Overrides::default());
    let policies = |c: &Config| {
        (
            format!("{:?} {:?} {:?} {:?}", c.tokens, c.login, c.registration, c.metadata_documents),
            format!("{:?} {:?} {:?} {:?} {:?} {:?}", c.limits, c.rates, c.timeouts, c.audit, c.log, c.max_stale),
            (c.data_dir.clone(), c.public.hsts.clone(), c.operator, c.brand.clone(), c.watch),
        )
    };
    assert_eq!(policies(&example), policies(&bare));
}

#[test]
fn the_reference_is_what_the_declarations_say() {
    golden::check(&root().join("docs/configuration.md"), &reference());
}

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
fn cf_05_plain_http_is_for_up_on_loopback_alone() {
    let up = |url: &str| Overrides { up: true, public_url: Some(url.to_owned()), ..Overrides::default() };
    let config = load("", &up("http://localhost:8080"));
    assert_eq!(config.public_url, "http://localhost:8080");
    assert_eq!((config.public.address.to_string(), config.public.tls), ("127.0.0.1:8080".to_owned(), TlsConfig::Off));
    assert!(config.extra_hosts.contains(&"127.0.0.1:8080".to_owned()), "{:?}", config.extra_hosts);
    let warnings = load("", &up("http://127.0.0.1")).warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("plain http"), "{warnings:?}");

    let elsewhere = Overrides { listen: Some("0.0.0.0:8080".parse().unwrap()), ..up("http://localhost:8080") };
    for (text, overrides, fault) in [
        ("", up("http://mcp.example.com"), "--public-url: the public URL must be https"),
        ("", up("http://192.168.1.2:8080"), "--public-url: the public URL must be https"),
        ("", elsewhere, "--listen: the public URL is plain http, and this address is open to the network"),
        (
            "listen = { address = \"[::]:8080\" }",
            up("http://localhost:8080"),
            "gateway.toml:1: listen.address: the public URL is plain http, and this address is open to the network",
        ),
        (
            "listen = { tls = \"development\" }",
            up("http://localhost:8080"),
            "gateway.toml:1: listen.tls: the public URL is plain http",
        ),
        (
            "public_url = \"http://localhost:8080\"",
            Overrides { up: true, ..Overrides::default() },
            "gateway.toml:1: public_url: the public URL must be https",
        ),
    ] {
        let found = lines(&problems_of(text, &overrides));
        assert!(found.len() == 1 && found[0].contains(fault), "{fault}: {found:?}");
    }
}

#[test]
fn cf_02_what_is_bad_in_meaning_is_refused() {
    let serve = Overrides::default();
    for (text, wished) in [
        (
            GOOD.replace("https://mcp.example.com", "http://mcp.example.com"),
            "gateway.toml:1: public_url: the public URL must be https",
        ),
        (
            GOOD.replace("https://mcp.example.com", "https://mcp.example.com/x"),
            "gateway.toml:1: public_url: the public URL is an origin",
        ),
        (
            format!("{GOOD}[[upstream]]\nname = \"b\"\npath = \"/MCP\"\nurl = \"http://127.0.0.1:2/\"\n"),
            "gateway.toml:9: upstream[1].path: the upstream of line 5 has this path",
        ),
        (
            format!("{GOOD}[[upstream]]\nname = \"a\"\npath = \"/b\"\nurl = \"http://127.0.0.1:2/\"\n"),
            "gateway.toml:8: upstream[1].name: the upstream of line 5 has this name",
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
        assert!(found.iter().any(|p| p.starts_with(wished)), "{wished}: {found:?}");
    }
}

#[test]
fn cf_02_a_store_that_is_not_there_yet_is_refused_and_its_password_not_shown() {
    for (store, wished) in [
        ("postgres://mcpgate:geheim@db/mcpgate", "a store in PostgreSQL is not there yet"),
        ("postgresql://db", "a store in PostgreSQL is not there yet"),
        ("memory", "there is no such store, or not yet"),
        ("embedded:x", "there is no such store, or not yet"),
        ("", "there is no such store, or not yet"),
    ] {
        for overrides in [Overrides::default(), up(), Overrides { data_only: true, ..Overrides::default() }] {
            let found = lines(&problems_of(&format!("store = {store:?}\n{GOOD}"), &overrides));
            let whole = format!("gateway.toml:1: store: {wished}; write store = \"embedded\", or remove it");
            assert_eq!(found, [whole], "{store}");
        }
    }
    assert_eq!(problems_of(&format!("store = \"embedded\"\n{GOOD}"), &Overrides::default()), []);
}

#[test]
fn cf_02_a_public_path_is_plain_and_not_ours() {
    for path in [
        "mcp",
        "/",
        "/mcp/",
        "//mcp",
        "/mcp//x",
        "/mcp/../x",
        "/m%63p",
        "/mcp?x",
        "/token",
        "/.well-known/x",
        "/Assets/x",
    ] {
        let text = GOOD.replace("\"/mcp\"", &format!("{path:?}"));
        let found = lines(&problems_of(&text, &Overrides::default()));
        assert!(found.len() == 1 && found[0].starts_with("gateway.toml:5: upstream[0].path"), "{path}: {found:?}");
    }
    for path in ["/mcp", "/mcp/acme/sales-api", "/tools", "/tokens"] {
        assert_eq!(problems_of(&GOOD.replace("\"/mcp\"", &format!("{path:?}")), &Overrides::default()), [], "{path}");
    }
}

#[test]
fn cf_02_every_path_of_the_gateways_own_is_reserved() {
    let own = mcpgate::endpoints::PATHS.iter().map(|(path, _)| *path).chain(["/healthz", "/metrics", "/readyz"]);
    for own in own {
        let below = if own.ends_with('/') { format!("{own}x") } else { format!("{own}/x") };
        let wished = if own == "/" { vec![own.to_owned()] } else { vec![own.to_ascii_uppercase(), below] };
        for path in wished {
            // Without the slash at its end, which no public path may have.
            let path = if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path };
            let text = GOOD.replace("\"/mcp\"", &format!("{path:?}"));
            let found = lines(&problems_of(&text, &Overrides::default()));
            assert!(found.len() == 1 && found[0].starts_with("gateway.toml:5: upstream[0].path"), "{path}: {found:?}");
        }
    }
}

#[test]
fn cf_02_paths_of_later_versions_are_kept_and_the_reference_names_them() {
    let reference = reference();
    for kept in ["oauth", "connections", "device", "device_authorization", "par", "jwks", "introspect", "dashboard"] {
        for path in [format!("/{kept}"), format!("/{kept}/x"), format!("/{}", kept.to_ascii_uppercase())] {
            let found = lines(&problems_of(&GOOD.replace("\"/mcp\"", &format!("{path:?}")), &Overrides::default()));
            assert!(found.len() == 1 && found[0].contains("kept for a later version"), "{path}: {found:?}");
        }
        assert!(reference.contains(&format!("\n- `/{kept}`: ")), "{kept}");
    }
    // `api` is the operator's, now and later.
    for path in ["/api", "/api/oauth", "/mcp/device", "/devices", "/oauth2"] {
        assert_eq!(problems_of(&GOOD.replace("\"/mcp\"", &format!("{path:?}")), &Overrides::default()), [], "{path}");
    }
}

#[test]
fn an_upstream_url_holds_no_credentials_and_is_not_the_gateway() {
    for url in ["http://user:pass@h/", "http://h/#x", "ftp://h/", "h:1/mcp", "https://mcp.example.com/other"] {
        let found = lines(&problems_of(&GOOD.replace("http://127.0.0.1:1/mcp", url), &Overrides::default()));
        assert!(found.len() == 1 && found[0].starts_with("gateway.toml:6: upstream[0].url"), "{url}: {found:?}");
        assert!(!found[0].contains("pass"), "{found:?}");
    }
}

#[test]
fn headers_are_valid_and_leave_the_connection_alone() {
    for (headers, wished) in [
        ("{ Connection = \"close\" }", "headers.Connection"),
        ("{ X-Mcpgate-Subject = \"admin\" }", "headers.X-Mcpgate-Subject"),
        ("{ X_Mcpgate_User = \"admin\" }", "headers.X_Mcpgate_User"),
        ("{ Host = \"a\" }", "write host = "),
        ("{ \"bad name\" = \"x\" }", "headers.bad name"),
        ("{ X-Key = \"a\\nb\" }", "headers.X-Key"),
        ("{ X-Key = \"a\", x-key = \"b\" }", "twice"),
        ("{ X-Key = 3 }", "upstream[0].headers"),
    ] {
        let problem = only_problem(&format!("headers = {headers}\n"));
        assert!(problem.starts_with("gateway.toml:7: ") && problem.contains(wished), "{problem}");
    }
    let config = load(&format!("{GOOD}headers = {{ Authorization = \"Bearer k7\" }}\n"), &Overrides::default());
    assert!(config.upstreams[0].headers[0].1.is_sensitive());
    assert!(!format!("{config:?}").contains("k7"));
}

#[test]
fn hd_06_no_header_that_must_not_arrive_can_be_passed() {
    for name in never_forwarded::NEVER_FORWARDED {
        for name in [name.to_owned(), name.replace('-', "."), name.replace('-', "").to_lowercase()] {
            let problem = only_problem(&format!("pass_headers = [\"X-Region\", {name:?}]\n"));
            assert!(problem.starts_with("gateway.toml:7: upstream[0].pass_headers[1]: "), "{name}: {problem}");
        }
    }
}

#[test]
fn passed_headers_are_named_plainly_once_and_not_set_by_the_gateway() {
    for (names, wished) in [
        ("\"bad name\"", "not the name of a header; write letters"),
        ("\"\"", "not the name of a header"),
        ("\"X_Region\"", "an underscore never passes"),
        ("\"X.Region\"", "may take for a hyphen"),
        ("\"X-Region\", \"x-region\"", "[1]: this header is there twice"),
        ("\"X-Region\", \"XRegion\"", "[1]: this header is there twice"),
        ("\"X-Set\"", "headers sets this header in every request"),
        ("\"Host\"", "write host = "),
        ("\"X-Api-Key\"", "name of a credential"),
        ("\"X-Forwarded-User\"", "the gateway sets this header itself"),
        ("\"Mcp-Method\"", "the headers of MCP"),
        ("\"X-Remote-User\"", "who is calling"),
        ("\"Destination\"", "another path, host or method"),
        ("\"X-Original-Method\"", "another path, host or method"),
        ("\"Sec-Fetch-Mode\"", "a browser writes this header"),
        ("\"Keep-Alive\"", "belongs to one connection"),
        ("\"Accept\"", "or passes it where it may"),
    ] {
        let problem = only_problem(&format!("headers = {{ X-Set = \"a\" }}\npass_headers = [{names}]\n"));
        let is_there = problem.starts_with("gateway.toml:8: upstream[0].pass_headers[");
        assert!(is_there && problem.contains(wished), "{problem}");
    }
    let config = load(&format!("{GOOD}pass_headers = [\"X-Region\", \"Priority\"]\n"), &Overrides::default());
    assert_eq!(config.upstreams[0].pass_headers, ["x-region", "priority"]);
}

#[test]
fn hd_06_no_name_by_which_programs_know_a_caller_or_a_credential_can_be_passed() {
    let (credential, caller, target) = ("name of a credential", "who is calling", "another path, host or method");
    for (wished, names) in [
        (credential, "X-Functions-Key Ocp-Apim-Subscription-Key X-Gateway-Key X-Session-Id X-Sid Signature"),
        (credential, "Signature-Input X-Hub-Signature X-Hub-Signature-256 X-Amz-Security-Token"),
        (caller, "Impersonate-User Impersonate-Group X-Impersonate-User X-Grafana-User Remote-Email Remote-Groups"),
        (caller, "Remote-Name Remote-User Remote-Addr X-User X-User-Id X-User-Email X-Username X-User-Name X-Groups"),
        (caller, "X-Group X-Role X-Roles X-Consumer-Username X-Consumer-ID X-Login X-Subject X-Email"),
        (caller, "X-ARR-ClientCert X-Client-Cert Client-Cert X-SSL-Client-S-DN X-Client-Verify X-Client-DN"),
        (caller, "Fly-Client-IP X-Azure-ClientIP True-Client-IP Fastly-Client-IP X-Client-IP X-Cluster-Client-IP"),
        (caller, "X-ProxyUser-Ip X-Originating-IP"),
        (target, "X-Method X-Method-Override X-Script-Name X-Accel-Redirect Destination"),
    ] {
        for name in names.split(' ').flat_map(|name| [name.to_owned(), name.replace('-', "").to_lowercase()]) {
            for kind in ["mcp", "http"] {
                let problem = only_problem(&format!("kind = {kind:?}\npass_headers = [{name:?}]\n"));
                assert!(
                    problem.contains(": upstream[0].pass_headers[0]: ") && problem.contains(wished),
                    "{name}: {problem}"
                );
            }
        }
    }
}

#[test]
fn the_host_towards_an_upstream_is_a_host_and_perhaps_a_port() {
    let long = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
    for (host, read) in [
        ("internal.example:8443", "internal.example:8443"),
        ("Files", "files"),
        ("b\u{fc}cher.example", "xn--bcher-kva.example"),
        ("10.0.0.7:443", "10.0.0.7:443"),
        ("files:80", "files:80"),
        ("[FD00::1]:8000", "[fd00::1]:8000"),
        ("my_app-1.default", "my_app-1.default"),
        ("10.0.0.7", "10.0.0.7"),
        ("[::1]", "[::1]"),
        ("a:1", "a:1"),
        ("a:65535", "a:65535"),
        (&long, &long),
    ] {
        let text = format!("extra_hosts = [{host:?}]\n{GOOD}host = {host:?}\n");
        let config = load(&text, &Overrides::default());
        assert_eq!(config.upstreams[0].host.as_deref(), Some(read));
        assert_eq!(config.extra_hosts, [read]);
    }
    for host in [
        "",
        "http://a",
        "a/b",
        "user@a",
        "a:b",
        "a:65536",
        "a b",
        "a\\b",
        "a?b",
        "a#b",
        "*.a",
        "a%2e",
        "fd00::1",
        "a, b",
        "a,b",
        ".",
        "a..b",
        ".a",
        "a.",
        "x:0",
        "x:0443",
        "x:",
        "x:+1",
        ":1",
        "exa{mple",
        "a\"b",
        "a;b",
        "10.7",
        "0x7f.0.0.1",
        "010.0.0.1",
        "256.0.0.1",
        "[::1",
        "[::1]x",
        "[::1]:",
        "[a]",
        "[10.0.0.7]",
        "a:1:2",
        "\u{ff05}",
        &"a".repeat(64),
        &"a.".repeat(127),
    ] {
        let problem = only_problem(&format!("host = {host:?}\n"));
        assert_eq!(problem, "gateway.toml:7: upstream[0].host: this is not a host; write host or host:port", "{host}");
        let found = lines(&problems_of(&format!("extra_hosts = [{host:?}]\n{GOOD}"), &Overrides::default()));
        assert_eq!(found, ["gateway.toml:1: extra_hosts[0]: this is not a host; write host or host:port"], "{host}");
    }
}

#[test]
fn scopes_come_from_the_catalogue() {
    assert!(only_problem("default_scopes = [\"x\"]\n").contains("upstream[0].default_scopes[0]: this is not among"));
    let scope = "[[upstream.scope]]\nname = \"x\"\ntitle = \"X\"\n";
    assert_eq!(problems_of(&format!("{GOOD}default_scopes = [\"x\"]\n{scope}"), &Overrides::default()), []);
    assert!(only_problem(&format!("{scope}{scope}")).contains("twice"));
    assert!(only_problem("[[upstream.scope]]\nname = \"a b\"\ntitle = \"X\"\n").contains("cannot be a scope"));
}

/// A client sends back the scopes that it was given; longer than a parameter may be, they would fail every refresh.
#[test]
fn default_scopes_fit_into_a_parameter() {
    let long = |n: usize| format!("{}{n}", "s".repeat(250));
    let config = |count: usize| {
        let names: Vec<_> = (0..count).map(|n| format!("\"{}\"", long(n))).collect();
        let scopes: String =
            (0..count).map(|n| format!("[[upstream.scope]]\nname = \"{}\"\ntitle = \"X\"\n", long(n))).collect();
        format!("default_scopes = [{}]\n{scopes}", names.join(", "))
    };
    assert_eq!(problems_of(&format!("{GOOD}{}", config(8)), &Overrides::default()), []);
    let found = only_problem(&config(9));
    assert!(found.contains("upstream[0].default_scopes: together these are longer"), "{found}");
}

#[test]
fn ci_19_the_egress_proxy_is_a_plain_origin_and_warned_of() {
    let proxy = |url: &str| format!("{GOOD}[outbound]\nproxy = \"{url}\"\n");
    let config = load(&proxy("http://proxy.internal:3128"), &Overrides::default());
    assert_eq!(config.outbound.proxy.as_ref().and_then(url::Url::port), Some(3128));
    assert!(config.warnings().iter().any(|warning| warning.starts_with("outbound.proxy: ")));
    for wrong in ["https://p", "socks5://p", "p:3128", "http://u:p@p:1", "http://p/x", "http://p/?x", ""] {
        let found = only_problem(&format!("[outbound]\nproxy = \"{wrong}\"\n"));
        assert!(found.contains("outbound.proxy: this is not an HTTP proxy"), "{found}");
    }
}

#[test]
fn cf_05_dangerous_combinations_need_their_named_key_and_warn() {
    let open = "operator = { address = \"0.0.0.0:9090\" }\n";
    let found = lines(&problems_of(&format!("{open}{GOOD}"), &Overrides::default()));
    assert!(found[0].contains("operator.address") && found[0].contains("danger_open_to_network"), "{found:?}");
    let open = open.replace(" }", ", danger_open_to_network = true }");
    let warnings = load(&format!("{open}{GOOD}"), &Overrides::default()).warnings();
    for (key, warning) in ["operator.danger_open_to_network", "listen.tls is development"].iter().zip(&warnings) {
        assert!(warning.starts_with(key), "{warnings:?}");
    }
    assert_eq!(warnings.len(), 3, "the last is of the ports: {warnings:?}");

    let off = GOOD.replace("development", "off");
    assert!(lines(&problems_of(&off, &Overrides::default()))[0].contains("anybody on the way reads the tokens"));
    let off = off.replace("\"off\"", "\"off\", trusted_proxies = [\"10.0.0.7\"]");
    let config = load(&off, &Overrides::default());
    assert_eq!((config.public.tls.clone(), config.warnings().len()), (TlsConfig::Off, 1));
    let everybody = off.replace("10.0.0.7", "0.0.0.0/0");
    assert!(lines(&problems_of(&everybody, &Overrides::default()))[0].contains("this believes everybody"));
    let guessed = off.replace("public_url = \"https://mcp.example.com\"\n", "");
    assert!(
        lines(&problems_of(&guessed, &Overrides::default()))[0]
            .contains("without TLS the public URL cannot be guessed")
    );

    for origin in [
        "*",
        "null",
        "https://*.example.com",
        "https://app.example.com/",
        "https://App.example.com",
        "http://app.example.com",
        "chrome-extension://*",
        "chrome-extension://",
        "chrome-extension://abc/",
        "chrome-extension:abc",
        "Chrome-Extension://abc",
        "app://u@obsidian.md",
        "app://obsidian.md:0080",
        "file://",
    ] {
        assert!(only_problem(&format!("[cors]\nallowed_origins = [{origin:?}]\n")).contains("there is no wildcard"));
    }
}

#[test]
fn cf_05_exact_origins_of_any_scheme_may_call() {
    let origins = [
        "https://app.example.com",
        "https://app.example.com:8443",
        "http://localhost:6274",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "moz-extension://1f2c0c6e-6a43-4f5c-9d52-0b9f6f3a1e55",
        "app://obsidian.md",
        "tauri://localhost",
        "vscode-file://vscode-app",
        "capacitor://localhost:3000",
    ];
    let config = load(&format!("{GOOD}[cors]\nallowed_origins = {origins:?}\n"), &Overrides::default());
    assert_eq!(config.allowed_origins, origins);
}

#[test]
fn cf_06_the_environment_sets_nothing_by_itself() {
    // Only a reference in the file reads a variable; a name that looks like a key's has no effect.
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
    assert_eq!(problems[0].fault, "anybody may write it");
}

/// What stands where a file is expected, each under its name in a folder.
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
    // Until it is known what it calls itself. The address is not for everybody.
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
    let clash = problems_of("[[upstream]]\nname = \"b\"\npath = \"/mcp\"\nurl = \"http://127.0.0.1:1/\"\n", &overrides);
    assert!(lines(&clash)[0].contains("the upstream of the command line has this path"));
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

/// Paths in it are printed to be pasted elsewhere.
#[test]
fn the_data_folder_of_the_command_line_is_absolute() {
    let config = load("", &Overrides { data_dir: Some("here".into()), ..up() });
    assert_eq!(config.data_dir, std::env::current_dir().expect("we are somewhere").join("here"));
}

#[test]
fn a_reload_names_the_keys_that_need_a_restart() {
    let before = load(GOOD, &Overrides::default());
    let after =
        load(&format!("brand = \"abc\"\nworkers = 77\n{GOOD}[tokens]\naccess = \"5m\"\n"), &Overrides::default());
    assert_eq!(before.needs_restart(&after), ["workers", "brand"]);
    assert_eq!(before.needs_restart(&before), [""; 0]);
}

/// Else its metadata would invite clients to a sign-in that always refuses them.
#[test]
fn an_upstream_of_a_tenant_that_nobody_can_sign_in_to_is_refused() {
    let found = only_problem("tenant = \"acme\"\n");
    assert!(found.contains("upstream[0].tenant") && found.contains("\"default\""), "{found}");
    assert_eq!(problems_of(&format!("{GOOD}tenant = \"default\"\n"), &Overrides::default()), []);
}

/// What is read once, at the start, must not be called "in force" after a reload.
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
    let before = load(GOOD, &Overrides::default());
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
    let mut found = before.needs_restart(&load(after, &Overrides::default()));
    said.sort();
    found.sort_unstable();
    assert_eq!(found, said);
}

/// A static answer at this path, with these keys.
fn static_answer(path: &str, keys: &str) -> String {
    format!("[[well_known]]\npath = {path:?}\n{keys}\n")
}

#[test]
fn a_static_answer_says_what_it_is() {
    let content = "content = \"{}\"";
    let config = load(
        &[
            GOOD.to_owned(),
            static_answer("/.well-known/openai-apps-challenge", "content = \"0123\""),
            static_answer("/.well-known/apple-app-site-association", &format!("kind = \"json\"\n{content}")),
            static_answer("/.well-known/a/b.bin", &format!("kind = \"octets\"\n{content}")),
        ]
        .concat(),
        &Overrides::default(),
    );
    let types: Vec<_> = config.well_known.iter().map(|answer| answer.content_type).collect();
    assert_eq!(types, ["text/plain; charset=utf-8", "application/json", "application/octet-stream"]);
    assert_eq!((config.well_known[0].content.as_slice(), &config.well_known[0].file), (&b"0123"[..], &None));
}

#[test]
fn what_is_wrong_with_static_answers_is_reported_at_once_with_its_lines() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let write = |name: &str, content: &[u8], mode: u32| {
        let file = dir.path().join(name);
        std::fs::write(&file, content).expect("a temporary file can be written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("its mode can be set");
    };
    write("large", &[b'x'; (64 << 10) + 1], 0o644);
    write("whole", &[b'x'; 64 << 10], 0o644);
    write("octets", &[0xff, 0xfe], 0o644);
    write("open", b"x", 0o666);
    let fifo = dir.path().join("fifo");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).expect("a FIFO can be made");
    let path = |name: &str| format!("/.well-known/{name}");
    let text = "content = \"x\"";
    let rows = [
        (path("a"), text, None),
        (path("b"), "file = \"whole\"", None),
        (path("c"), "file = \"octets\"\nkind = \"octets\"", None),
        (path("a"), text, Some("path: the one of line 8 has this path")),
        (path("d"), "kind = \"text\"", Some("path: there is nothing to answer")),
        (path("e"), "content = \"x\"\nfile = \"whole\"", Some("file: there is content as well")),
        (path("f"), "file = \"large\"", Some("file: the file cannot be used (it is larger than 64 KiB)")),
        (path("g"), "file = \"octets\"", Some("file: this is not text in UTF-8")),
        (path("h"), "file = \"open\"", Some("file: the file cannot be used (anybody may write it)")),
        (path("i"), "file = \"absent\"", Some("file: the file cannot be used (No such file")),
        (path("j"), "file = \".\"", Some("file: the file cannot be used (it is a folder, not a plain file)")),
        (path("k"), "file = \"fifo\"", Some("file: the file cannot be used (it is a named pipe, not a plain file)")),
        (path("l"), "content = \"{\"\nkind = \"json\"", Some("content: this is not JSON")),
        (path("m"), "content = \"x\"\nkind = \"html\"", Some("kind: this string cannot be read; write one of")),
        ("/robots.txt".to_owned(), text, Some("path: this is not below /.well-known/")),
        (path(""), text, Some("path: a public path has plain segments")),
        (path("../token"), text, Some("path: a public path has plain segments")),
        (path("a?b"), text, Some("path: a public path has plain segments")),
        (path("n"), "content = \"x\"\ntype = \"text\"", Some("type: this key is unknown")),
    ];
    let mut config = GOOD.to_owned();
    let mut wished = Vec::new();
    for (index, (path, keys, fault)) in rows.iter().enumerate() {
        let first = config.lines().count() + 1;
        config += &static_answer(path, keys);
        wished.extend(fault.map(|fault| (first..first + 4, format!("well_known[{index}].{fault}"))));
    }
    std::fs::write(dir.path().join("gateway.toml"), config).expect("a temporary file can be written");
    let found = Config::load(Some(&dir.path().join("gateway.toml")), &Overrides::default()).err().unwrap_or_default();
    assert_eq!(found.len(), wished.len(), "{found:#?}");
    for (problem, (rows, wished)) in found.iter().zip(wished) {
        let said = format!("{}: {}; {}", problem.key, problem.fault, problem.remedy);
        assert!(said.starts_with(&wished), "{wished}: {said}");
        assert!(problem.line.is_some_and(|line| rows.contains(&line)), "{problem:?}");
    }
    let many: String = (0..101).map(|number| static_answer(&path(&number.to_string()), text)).collect();
    assert!(only_problem(&many).contains("well_known[100].path: there are more than 100"));
    // Commands about data do not need them.
    let data = Overrides { data_only: true, ..Overrides::default() };
    assert!(Config::load(Some(&dir.path().join("gateway.toml")), &data).is_ok());
}

/// Neither what the gateway answers, in any spelling, nor what ACME uses.
#[test]
fn cf_02_no_static_answer_is_at_an_address_of_the_gateways_own() {
    let routes = std::fs::read_to_string(root().join("tests/golden/public_routes.txt")).expect("it can be read");
    let own = routes.lines().filter_map(|line| line.split(' ').nth(1)).filter(|path| !path.contains("challenge"));
    let own = own.chain(["/.well-known/openid-configuration/mcp", "/.well-known/jwks.json"]);
    let acme = ["/.well-known/acme-challenge", "/.well-known/acme-challenge/token"];
    for path in own.chain(acme) {
        for path in [path.to_owned(), path.to_ascii_uppercase().replace("/.WELL-KNOWN/", "/.well-known/")] {
            let found = only_problem(&static_answer(&path, "content = \"x\""));
            assert!(found.starts_with("gateway.toml:8: well_known[0].path: "), "{path}: {found}");
        }
    }
}

/// The beginning of a PNG picture, which says how large it is.
fn png(width: u32, height: u32) -> Vec<u8> {
    let head = [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &width.to_be_bytes(), &height.to_be_bytes()];
    head.concat()
}

#[test]
fn a_logo_is_a_small_picture_and_links_are_https() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let file = dir.path().join("logo");
    let problem = |content: &[u8]| {
        std::fs::write(&file, content).expect("a temporary file can be written");
        let found = problems_of(&format!("{GOOD}[login]\nlogo = \"{}\"\n", file.display()), &Overrides::default());
        lines(&found).join("\n")
    };
    let comment = b"<?xml version=\"1.0\"?>\n<!-- made by hand -->\n<svg xmlns=\"http://www.w3.org/2000/svg\"/>";
    for good in [png(300, 84).as_slice(), png(2048, 1).as_slice(), b"<svg>", comment] {
        assert_eq!(problem(good), "");
    }
    let entities = b"<!DOCTYPE svg [<!ENTITY a \"b\">]><svg/>";
    for bad in [
        b"".as_slice(),
        b"\xff\xd8\xff\xe0 JPEG",
        b"<html><svg/></html>",
        b"<svgx/>",
        b"<!-- <svg/>",
        entities,
        &png(2049, 1),
        &png(0, 1),
        b"\x89PNG\r\n\x1a\n",
    ] {
        let said = problem(bad);
        assert!(said.contains("login.logo: this is neither a PNG nor an SVG picture"), "{bad:?}: {said}");
    }
    assert!(problem(&[b"<svg>".as_slice(), &[b' '; 65_536]].concat()).contains("larger than 64 KiB"));
    for unreadable in ["/nowhere/logo.png", "/dev/zero", "/"] {
        let said = only_problem(&format!("[login]\nlogo = \"{unreadable}\"\n"));
        assert!(said.contains("login.logo: the file cannot be used"), "{said}");
    }
    for key in ["support_url", "privacy_url", "terms_url"] {
        for (url, fault) in [
            ("http://example.com", "this is not an https URL"),
            ("javascript:alert(1)", "this is not an https URL"),
            ("mailto:help@example.com", "this is not an https URL"),
            ("help", "this is not a URL"),
            ("https://a:b@example.com", "credentials"),
        ] {
            let said = only_problem(&format!("[login]\n{key} = \"{url}\"\n"));
            assert!(said.contains(&format!("login.{key}: ")) && said.contains(fault), "{said}");
        }
    }
}
