//! The configuration of the tests: two upstreams of the default tenant, one of another.

use std::sync::Arc;
use std::time::Duration;

use mcpgate::config::{
    AuditPolicy, Config, Limits, Listener, LogConfig, LoginPolicy, MetadataDocumentConfig, MetadataDocumentMode,
    MinimumKeyBits, OutboundConfig, PageLinks, Rates, RegistrationConfig, ScopeConfig, Timeouts, TlsConfig,
    TokenPolicy, UpstreamConfig, UpstreamKind,
};
use mcpgate::oauth::{Brand, Lifetime, ResourceIndicator, ScopeSet, ScopeToken, TenantId};
use mcpgate::policy::Holders;

pub(crate) const ISSUER: &str = "https://gate.example";
pub(crate) const SALES: &str = "https://gate.example/mcp/sales";
pub(crate) const NOTES: &str = "https://gate.example/mcp/notes";
pub(crate) const FOREIGN: &str = "https://gate.example/mcp/foreign";

pub(crate) fn config() -> Config {
    Config {
        file: None,
        referenced_files: Vec::new(),
        data_dir: "unused".into(),
        public_url: ISSUER.to_owned(),
        public_path: String::new(),
        extra_hosts: Vec::new(),
        own_listeners: Vec::new(),
        public: listener(),
        operator: ([127, 0, 0, 1], 0).into(),
        minimum_key_bits: MinimumKeyBits::Bits128,
        workers: 1,
        brand: Brand::parse("mcp").unwrap(),
        default_resource: None,
        upstreams: vec![
            upstream("sales", "default", &["sales:read", "sales:write"], "sales:read"),
            upstream("notes", "default", &["notes:read"], "notes:read"),
            upstream("foreign", "other", &["foreign:read"], "foreign:read"),
        ],
        patterns: Vec::new(),
        groups: Arc::default(),
        well_known: Vec::new(),
        clients: Vec::new(),
        accounts: Vec::new(),
        aliases: Vec::new(),
        demo: false,
        tokens: tokens(),
        login: login(),
        registration: RegistrationConfig {
            who: mcpgate::config::WhoRegisters::Anybody,
            resource: None,
            enabled: true,
            refused_schemes: Vec::new(),
            extra_redirect_uris: Vec::new(),
            client_credentials: false,
            max_clients: 1000,
            unused_after: Lifetime::from_secs(86_400),
        },
        metadata_documents: metadata_documents(),
        outbound: OutboundConfig::default(),
        workloads: Vec::new(),
        allowed_origins: Vec::new(),
        limits: limits(),
        rates: rates(),
        timeouts: timeouts(),
        log: LogConfig { json: false, filter: "off".to_owned() },
        watch: false,
        audit: AuditPolicy { keep: Lifetime::from_secs(365 * 86_400), max_bytes: 1 << 30 },
        max_stale: Lifetime::from_secs(3600),
    }
}

fn rates() -> Rates {
    Rates {
        authorize_per_second: 10,
        token_per_second: 20,
        client_failures_per_minute: 20,
        registrations_per_hour: 10,
        exempt_loopback: false,
        fetches_per_host_per_minute: 10,
        mcp_per_second: 50,
        mcp_burst: 200,
        store_reads_per_second: 100_000,
        login_free_failures: 5,
        login_pause_failures: 100,
    }
}

fn listener() -> Listener {
    Listener {
        hsts: Some(http::HeaderValue::from_static("max-age=63072000")),
        health_path: None,
        address: ([127, 0, 0, 1], 0).into(),
        tls: TlsConfig::Off,
        trusted_proxies: Vec::new(),
        proxy_protocol: false,
    }
}

fn upstream(name: &str, tenant: &str, scopes: &[&str], default: &str) -> UpstreamConfig {
    let path = format!("/mcp/{name}");
    let scope = |name: &&str| ScopeConfig {
        name: ScopeToken::parse(name).unwrap(),
        title: format!("Title of {name}"),
        description: format!("What {name} allows"),
        sensitive: false,
    };
    UpstreamConfig {
        name: name.to_owned(),
        tenant: TenantId::parse(tenant).unwrap(),
        public_url: ISSUER.to_owned(),
        resource: ResourceIndicator::parse(&format!("{ISSUER}{path}")).unwrap(),
        path,
        kind: UpstreamKind::Mcp,
        url: format!("https://{name}.upstream.example/mcp").parse().unwrap(),
        host: None,
        ca_file: None,
        headers: Vec::new(),
        pass_headers: Vec::new(),
        display_name: format!("The {name} server"),
        documentation: None,
        scopes: scopes.iter().map(scope).collect(),
        default_scopes: ScopeSet::parse(default).unwrap(),
        required_scopes: ScopeSet::default(),
        rules: None,
        limits: None,
        anonymous_limits: None,
        holders: Holders::default(),
        access_lifetime: None,
        max_connections: 1,
        connect_timeout: Duration::from_secs(1),
        first_byte_timeout: Duration::from_secs(1),
        call_timeout: Duration::from_secs(1),
        max_stream: Duration::from_secs(1),
        check_envelope: true,
        is_listed: false,
        pin: mcpgate::config::PinMode::Off,
        security_schemes: false,
        takes_title: false,
    }
}

fn limits() -> Limits {
    Limits {
        request_target: 8192,
        header_fields: 100,
        head_bytes: 32_768,
        oauth_body: 65_536,
        mcp_body: 4_194_304,
        inspect_body: 262_144,
        sse_event: 4_194_304,
        connections: 4096,
        connections_per_address: 256,
        connections_per_site: 1024,
        h2_streams: 100,
        streams_per_principal: 200,
        tokens_in_memory: 1_000_000,
    }
}

fn timeouts() -> Timeouts {
    let second = Duration::from_secs(1);
    Timeouts {
        tls_handshake: second,
        request_head: second,
        oauth_body: second,
        mcp_body: second,
        write_stall: second,
        keep_alive: second,
        sse_keep_alive: second,
        expired_stream: second,
        drain: second,
    }
}

fn metadata_documents() -> MetadataDocumentConfig {
    MetadataDocumentConfig {
        mode: MetadataDocumentMode::Open,
        verified_publishers: Vec::new(),
        remember_consent: false,
        max_bytes: 5120,
        min_cache: Lifetime::from_secs(300),
        max_cache: Lifetime::from_secs(86_400),
    }
}

fn tokens() -> TokenPolicy {
    TokenPolicy {
        access: Lifetime::from_secs(3600),
        code: Lifetime::from_secs(60),
        refresh_idle: Lifetime::from_secs(30 * 86_400),
        refresh_absolute: Lifetime::from_secs(90 * 86_400),
        refresh_grace: Lifetime::from_secs(30),
        refresh_lost_answer: Lifetime::from_secs(86_400),
        secret_overlap: Lifetime::from_secs(86_400),
        secret_age_warning: Lifetime::from_secs(90 * 86_400),
        access_longest: Lifetime::from_secs(8 * 3600),
        refresh_longest: Lifetime::from_secs(120 * 86_400),
        key_longest: None,
    }
}

fn login() -> LoginPolicy {
    LoginPolicy {
        session_idle: Lifetime::from_secs(3600),
        session_absolute: Lifetime::from_secs(86_400),
        interaction: Lifetime::from_secs(600),
        setup_link: Lifetime::from_secs(3600),
        reset_link: Lifetime::from_secs(600),
        min_password: 12,
        hash_slots: 2,
        // Cheap parameters: these tests are not about argon2.
        argon2_memory_kib: 64,
        argon2_passes: 1,
        product_name: "mcpgate".to_owned(),
        logo: None,
        links: PageLinks::default(),
    }
}
