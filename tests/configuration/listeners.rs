//! The public URL, listeners, browsers, and settings that are dangerous on an open network.

use mcpgate::config::{MinimumKeyBits, Overrides, TlsConfig};

use crate::{GOOD, lines, load, only_problem, problems_of, up};

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
        let expected =
            format!("gateway.toml:1: operator.address: the public listener uses {public}, too; choose another");
        assert!(found.iter().all(|problem| problem.starts_with(&expected)), "{found:?}");
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
fn the_egress_proxy_is_a_plain_origin_and_warned_of() {
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
    assert!(
        lines(&problems_of(&off, &Overrides::default()))[0].contains("anybody on the network path can read the tokens")
    );
    let off = off.replace("\"off\"", "\"off\", trusted_proxies = [\"10.0.0.7\"]");
    let config = load(&off, &Overrides::default());
    assert_eq!((config.public.tls.clone(), config.warnings().len()), (TlsConfig::Off, 1));
    let everybody = off.replace("10.0.0.7", "0.0.0.0/0");
    assert!(lines(&problems_of(&everybody, &Overrides::default()))[0].contains("this trusts every address"));
    let guessed = off.replace("public_url = \"https://mcp.example.com\"\n", "");
    assert!(lines(&problems_of(&guessed, &Overrides::default()))[0].contains("without TLS, public_url has no default"));

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
        assert!(only_problem(&format!("[cors]\nallowed_origins = [{origin:?}]\n")).contains("there are no wildcards"));
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
fn keys_of_ciphers_have_128_or_256_bits() {
    assert_eq!(load(GOOD, &Overrides::default()).minimum_key_bits, MinimumKeyBits::Bits128);
    for (written, read) in [("128", MinimumKeyBits::Bits128), ("256", MinimumKeyBits::Bits256)] {
        let config = load(&format!("{GOOD}[tls]\nminimum_key_bits = {written}\n"), &Overrides::default());
        assert_eq!(config.minimum_key_bits, read);
    }
    for wrong in ["0", "192", "112", "-128", "\"256\"", "true"] {
        let problem = only_problem(&format!("[tls]\nminimum_key_bits = {wrong}\n"));
        assert!(problem.starts_with("gateway.toml:8: tls.minimum_key_bits: "), "{problem}");
        assert!(problem.contains("128 or 256"), "{problem}");
    }
}
