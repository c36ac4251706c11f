//! The rules for upstreams: paths that do not overlap with ours or each other's, URLs, headers, scopes.

use std::sync::Arc;

use url::Url;

use super::check::{Check, is_label};
use super::file::File;
use super::file_words::CatalogueMode;
use super::groups;
use super::limits;
use super::listener::host_and_port;
use super::own_listener::origin_of;
use super::problem::Setting;
use super::reserved_path::path_fault;
use super::scope_lists;
use super::scopes::{self, UpstreamScopes};
use super::settings::{PinMode, UpstreamConfig, UpstreamKind};
use super::shared_resource;
use super::taken_paths::TakenPaths;
use super::upstream_file::{Upstream, WrittenUpstream};
use super::upstream_headers;
use crate::network::{is_loopback, origin_and_path};
use crate::oauth::{ResourceIndicator, ScopeSet, TenantId};
use crate::policy::{ConfiguredGroups, Holders};

/// Checks all upstreams and returns them longest path first, and whether the demo upstream replaces a missing one.
pub(super) fn all(
    check: &Check<'_>,
    origin: &str,
    file: &File,
    groups: &Arc<ConfiguredGroups>,
) -> (Vec<UpstreamConfig>, bool) {
    let written = &file.upstreams;
    let mut found: Vec<UpstreamConfig> = Vec::new();
    if let Some(url) = &check.overrides.upstream {
        let url = Setting::unwritten(url.clone(), "UPSTREAM_URL");
        // Used until the server's own title is known. Its address must not be shown to users.
        let named = address(check, &url, origin).and_then(|url| simple(origin, url, "MCP server"));
        let named = named.map(|upstream| UpstreamConfig { takes_title: true, ..upstream });
        found.extend(named.map(|upstream| upstream.scoped(check.overrides.by_annotation)));
    }
    let mut taken = TakenPaths::of_others(check, file);
    for whole in written {
        // Before the upstream's own faults, so that conflicts with others are reported as well.
        taken.add(check, &whole.upstream);
        found.extend(one(check, origin, whole, groups));
    }
    let demo = check.overrides.up && check.overrides.upstream.is_none() && written.is_empty();
    if demo {
        let url = Url::parse("http://127.0.0.1:0/mcp").ok();
        found.extend(url.and_then(|url| simple(origin, url, "mcpgate demo")).map(|upstream| {
            let UpstreamScopes { catalogue, ready_made, rules } = scopes::of_demo();
            UpstreamConfig { scopes: catalogue, default_scopes: ready_made, rules, ..upstream }
        }));
    }
    if !demo && written.is_empty() && check.overrides.upstream.is_none() {
        check.report.add(None, "upstream", "there is no upstream", "write at least one [[upstream]]");
    }
    found.sort_by(|a, b| b.path.len().cmp(&a.path.len()).then_with(|| a.path.cmp(&b.path)));
    (found, demo)
}

/// Makes the one upstream of `up`, without scopes.
fn simple(origin: &str, url: Url, display_name: &str) -> Option<UpstreamConfig> {
    Some(UpstreamConfig {
        name: "mcp".to_owned(),
        tenant: TenantId::default(),
        path: shared_resource::OF_COMMAND_LINE.to_owned(),
        kind: UpstreamKind::Mcp,
        public_url: origin.to_owned(),
        resource: ResourceIndicator::parse(&format!("{origin}{}", shared_resource::OF_COMMAND_LINE)).ok()?,
        display_name: display_name.to_owned(),
        takes_title: false,
        url,
        host: None,
        ca_file: None,
        headers: Vec::new(),
        pass_headers: Vec::new(),
        documentation: None,
        default_scopes: ScopeSet::default(),
        scopes: Vec::new(),
        required_scopes: ScopeSet::default(),
        rules: None,
        limits: None,
        anonymous_limits: None,
        holders: Holders::default(),
        access_lifetime: None,
        max_connections: 512,
        connect_timeout: std::time::Duration::from_secs(5),
        first_byte_timeout: std::time::Duration::from_secs(60),
        call_timeout: std::time::Duration::from_secs(600),
        max_stream: std::time::Duration::from_secs(86_400),
        check_envelope: true,
        is_listed: true,
        pin: PinMode::Off,
        security_schemes: false,
    })
}

fn tenant(check: &Check<'_>, upstream: &Upstream) -> Option<TenantId> {
    let tenant = TenantId::parse(&upstream.tenant.value);
    if tenant.is_none() {
        check.report.wrong(&upstream.tenant, "this cannot be a tenant", "write 1 to 64 of a-z, 0-9 and -");
    } else if tenant != Some(TenantId::default()) {
        // Clients would find it in the metadata, but could never get a token for it.
        let fault = "nobody can sign in to another tenant than \"default\" in this version";
        check.report.wrong(&upstream.tenant, fault, "remove the key");
    }
    tenant
}

fn one(
    check: &Check<'_>,
    origin: &str,
    written: &WrittenUpstream,
    groups: &Arc<ConfiguredGroups>,
) -> Option<UpstreamConfig> {
    let (report, upstream) = (check.report, &written.upstream);
    let public_url = origin_of(check, upstream).unwrap_or_else(|| origin.to_owned());
    let name = upstream.name.as_ref();
    if let Some(name) = name.filter(|name| !is_label(&name.value)) {
        report.wrong(name, "this cannot be a name", "write 1 to 64 of a-z, 0-9 and -");
    }
    let tenant = tenant(check, upstream);
    let path = upstream.path.as_ref();
    if let Some((path, (fault, remedy))) = path.and_then(|p| Some((p, path_fault(&p.value, &[])?))) {
        report.wrong(path, fault, remedy);
    }
    let url = upstream.url.as_ref().and_then(|url| address(check, url, origin));
    let scopes = scopes::all(check, written);
    let default_scopes = scopes::defaults(check, upstream, &scopes);
    // Clients send back the scopes they were granted, for example in a refresh, so the set must fit into a parameter.
    if ScopeSet::parse(&default_scopes.to_string()).is_err() {
        let fault = "together these exceed the limits of a scope parameter (2048 bytes, 100 scopes)";
        report.wrong(&upstream.default_scopes, fault, "list fewer; clients may request the others");
    }
    let required_scopes = scope_lists::subset(check, &upstream.required_scopes, &scopes.catalogue);
    if let Some(documentation) = upstream.documentation.as_ref().filter(|d| !is_web_url(&d.value)) {
        report.wrong(documentation, "this is not the URL of a page", "write an http or https URL");
    }
    let headers = upstream_headers::own(check, &upstream.headers);
    let pass_headers = upstream_headers::passed(check, &upstream.pass_headers, &headers);
    let host = upstream.host.as_ref().and_then(|setting| host(check, setting));
    let ca_file = upstream.ca_file.as_ref().map(|file| check.certificates(file));
    let (name, path) = (name?.value.clone(), path?.value.clone());
    Some(UpstreamConfig {
        takes_title: false,
        display_name: upstream.display_name.as_ref().map_or_else(|| name.clone(), |d| d.value.clone()),
        name,
        tenant: tenant?,
        kind: upstream.kind.value.into(),
        resource: ResourceIndicator::parse(&format!("{public_url}{}", shared_resource::of(upstream)?)).ok()?,
        public_url,
        path,
        url: url?,
        host,
        ca_file,
        headers,
        pass_headers,
        documentation: upstream.documentation.as_ref().map(|d| d.value.clone()),
        scopes: scopes.catalogue,
        default_scopes,
        holders: groups::holders(check, upstream, &written.scopes, &required_scopes, groups),
        required_scopes,
        rules: scopes.rules,
        limits: limits::all(check, written).map(Arc::new),
        anonymous_limits: limits::without_token(upstream).map(Arc::new),
        access_lifetime: upstream.access_lifetime.as_ref().map(|s| s.value),
        max_connections: upstream.max_connections.value,
        connect_timeout: upstream.connect_timeout.value,
        first_byte_timeout: upstream.first_byte_timeout.value,
        call_timeout: upstream.call_timeout.value,
        max_stream: upstream.max_stream.value,
        check_envelope: upstream.check_envelope.value,
        is_listed: upstream.catalogue.value == CatalogueMode::Active,
        pin: upstream.pin.value.into(),
        security_schemes: upstream.security_schemes.value,
    })
}

fn address(check: &Check<'_>, setting: &Setting<String>, origin: &str) -> Option<Url> {
    let remedy = "write an http or https URL such as \"http://127.0.0.1:8000/mcp\"";
    let fault = match Url::parse(&setting.value) {
        Err(_) => "this is not a URL",
        Ok(url) if !matches!(url.scheme(), "http" | "https") => "this is neither http nor https",
        Ok(url) if !url.username().is_empty() || url.password().is_some() => "a URL must not contain credentials",
        Ok(url) if url.fragment().is_some() => "a fragment is never sent to a server",
        Ok(url) if is_ourselves(check, &url, origin) => "this is the gateway itself",
        Ok(url) => return Some(url),
    };
    let remedy = if fault.contains("credentials") { "write them in headers" } else { remedy };
    check.report.wrong(setting, fault, remedy);
    None
}

fn host(check: &Check<'_>, setting: &Setting<String>) -> Option<String> {
    let host = host_and_port(&setting.value);
    if host.is_none() {
        check.report.wrong(setting, "this is not a host", "write host or host:port");
    }
    host
}

fn is_ourselves(check: &Check<'_>, url: &Url, origin: &str) -> bool {
    let listen = check.overrides.listen.map(|address| address.port());
    url.origin().ascii_serialization() == origin_and_path(origin).0
        || (is_loopback(url) && listen.is_some() && listen == url.port())
}

fn is_web_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}
