//! Upstreams: paths, URLs, hosts, scopes, header fields.

use mcpgate::config::Overrides;

use crate::{GOOD, lines, load, never_forwarded, only_problem, problems_of};

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
    let own = mcpgate::endpoints::ROUTES.iter().map(|route| route.path).chain(["/healthz", "/metrics", "/readyz"]);
    for own in own {
        let below = if own.ends_with('/') { format!("{own}x") } else { format!("{own}/x") };
        let expected = if own == "/" { vec![own.to_owned()] } else { vec![own.to_ascii_uppercase(), below] };
        for path in expected {
            // Without a slash at the end, which no public path may have.
            let path = if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path };
            let text = GOOD.replace("\"/mcp\"", &format!("{path:?}"));
            let found = lines(&problems_of(&text, &Overrides::default()));
            assert!(found.len() == 1 && found[0].starts_with("gateway.toml:5: upstream[0].path"), "{path}: {found:?}");
        }
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
    for (headers, expected) in [
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
        assert!(problem.starts_with("gateway.toml:7: ") && problem.contains(expected), "{problem}");
    }
    let config =
        load(&format!("{GOOD}headers = {{ Authorization = \"Bearer key-of-upstream\" }}\n"), &Overrides::default());
    assert!(config.upstreams[0].headers[0].1.is_sensitive());
    assert!(!format!("{config:?}").contains("key-of-upstream"));
}

#[test]
fn no_header_that_must_not_arrive_can_be_passed() {
    for name in never_forwarded::NEVER_FORWARDED {
        for name in [name.to_owned(), name.replace('-', "."), name.replace('-', "").to_lowercase()] {
            let problem = only_problem(&format!("pass_headers = [\"X-Region\", {name:?}]\n"));
            assert!(problem.starts_with("gateway.toml:7: upstream[0].pass_headers[1]: "), "{name}: {problem}");
        }
    }
}

#[test]
fn passed_headers_are_named_plainly_once_and_not_set_by_the_gateway() {
    for (names, expected) in [
        ("\"bad name\"", "not the name of a header; write letters"),
        ("\"\"", "not the name of a header"),
        ("\"X_Region\"", "an underscore is never forwarded"),
        ("\"X.Region\"", "read as a hyphen"),
        ("\"X-Region\", \"x-region\"", "[1]: this header is listed twice"),
        ("\"X-Region\", \"XRegion\"", "[1]: this header is listed twice"),
        ("\"X-Set\"", "headers sets this header in every request"),
        ("\"Host\"", "write host = "),
        ("\"X-Api-Key\"", "name of a credential"),
        ("\"X-Forwarded-User\"", "the gateway sets this header itself"),
        ("\"Mcp-Method\"", "the headers of MCP"),
        ("\"X-Remote-User\"", "read the caller"),
        ("\"Destination\"", "another path, host or method"),
        ("\"X-Original-Method\"", "another path, host or method"),
        ("\"Sec-Fetch-Mode\"", "browsers set this header"),
        ("\"Keep-Alive\"", "belongs to one connection"),
        ("\"Accept\"", "or forwards it if that is allowed"),
    ] {
        let problem = only_problem(&format!("headers = {{ X-Set = \"a\" }}\npass_headers = [{names}]\n"));
        let is_there = problem.starts_with("gateway.toml:8: upstream[0].pass_headers[");
        assert!(is_there && problem.contains(expected), "{problem}");
    }
    let config = load(&format!("{GOOD}pass_headers = [\"X-Region\", \"Priority\"]\n"), &Overrides::default());
    assert_eq!(config.upstreams[0].pass_headers, ["x-region", "priority"]);
}

#[test]
fn no_name_by_which_programs_know_a_caller_or_a_credential_can_be_passed() {
    let (credential, caller, target) = ("name of a credential", "read the caller", "another path, host or method");
    for (expected, names) in [
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
                    problem.contains(": upstream[0].pass_headers[0]: ") && problem.contains(expected),
                    "{name}: {problem}"
                );
            }
        }
    }
}

/// Values that are not a host.
const NO_HOSTS: [&str; 38] = [
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
];

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
    let (label, name) = ("a".repeat(64), "a.".repeat(127));
    for host in NO_HOSTS.into_iter().chain([&*label, &*name]) {
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

/// A client sends back the scopes that it was given. Longer than a parameter may be, they would fail every refresh.
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
    assert!(found.contains("upstream[0].default_scopes: together these exceed the limits"), "{found}");
}

/// Otherwise its metadata would send clients to a sign-in that always refuses them.
#[test]
fn an_upstream_of_a_tenant_that_nobody_can_sign_in_to_is_refused() {
    let found = only_problem("tenant = \"acme\"\n");
    assert!(found.contains("upstream[0].tenant") && found.contains("\"default\""), "{found}");
    assert_eq!(problems_of(&format!("{GOOD}tenant = \"default\"\n"), &Overrides::default()), []);
}
