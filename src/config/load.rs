//! Loads a `Config` from a file and the command line, collecting every `Problem`.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use url::Url;

use super::check::Check;
use super::client_file::{WrittenAccount, WrittenClient};
use super::file::File;
use super::file_words::{LogFormat, RegistrationMode};
use super::policy::{
    AuditPolicy, LogConfig, MetadataDocumentConfig, MetadataDocumentMode, OutboundConfig, Rates, RegistrationConfig,
    WhoRegisters,
};
use super::policy_file::{Audit, DocumentMode, Documents, Registration};
use super::problem::{Report, Setting};
use super::settings::{Config, UpstreamConfig};
use super::table::UNKNOWN_KEY;
use super::{Overrides, Problem};
use super::{
    accounts, alias, clients, data_only, document, file_trust, groups, login, own_listener, secret_source,
    shared_resource, tokens, upstream, well_known, workload, written_patterns,
};
use crate::files::{self, ReadError};
use crate::network::origin_and_path;
use crate::oauth::{
    Brand, MetadataDocumentUrl, RedirectHosts, RedirectPolicy, RedirectUri, ResourceIndicator, is_scheme,
};

/// Maximum size of a configuration file in bytes: enough for a thousand upstreams.
const LARGEST: u64 = 1 << 20;

/// The default data directory of `mcpgate serve`.
const SERVED: &str = "/var/lib/mcpgate";

impl Config {
    /// Reads and checks a configuration; reports all problems at once.
    ///
    /// # Errors
    /// All problems, each with file, line, key, fault and remedy.
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Self, Vec<Problem>> {
        load(file, overrides)
    }

    /// Finds the data directory named in a broken file of `mcpgate serve`, given its `problems`; `None` when it cannot
    /// be determined.
    #[must_use]
    pub fn data_dir_of(file: &Path, problems: &[Problem]) -> Option<PathBuf> {
        data_dir_of(file, problems)
    }
}

/// Reads, checks and combines a file (if any) and the command line.
fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Config, Vec<Problem>> {
    let text = match file.map(read).transpose() {
        Ok(text) => text.unwrap_or_default(),
        Err(why) => {
            let report = Report::new(file, "");
            report.add(None, "file", why.0, why.1);
            return Err(report.finish());
        }
    };
    let report = Report::new(file, &text);
    let base = base_folder(file);
    let (tree, referenced_files) =
        if file.is_some() { document::parse(&text, &base, &report) } else { (Some(DeTable::new()), Vec::new()) };
    let read = tree.and_then(|tree| File::read(tree, &report));
    let config = read
        .and_then(|mut written| {
            let check = Check { report: &report, base, overrides };
            shared_resource::share(&check, &mut written.upstreams);
            check.config(file, written)
        })
        .map(|config| Config { referenced_files, ..config });
    let mut problems = report.finish();
    problems.retain(|problem| data_only::concerns(&problem.key, overrides));
    config.filter(|_| problems.is_empty()).ok_or(problems)
}

/// Finds the data directory named in a file of `mcpgate serve`, however broken the rest of the file is; `None` when the
/// file cannot be read, or may name the folder in a broken part.
fn data_dir_of(file: &Path, problems: &[Problem]) -> Option<PathBuf> {
    let text = read(file).ok()?;
    let (root, errors) = DeTable::parse_recoverable(&text);
    let mentions = text.lines().filter(|line| !line.trim_start().starts_with('#') && line.contains("data_dir")).count();
    if mentions > 1 {
        return None;
    }
    match root.get_ref().get("data_dir").map(|value| value.get_ref()) {
        Some(DeValue::String(name)) if !name.is_empty() => {
            let base = base_folder(Some(file));
            let expanded = secret_source::expand(name, &base, &mut Vec::new(), secret_source::environment).ok()?;
            let path = base.join(expanded.as_deref().unwrap_or(name));
            Some(std::path::absolute(&path).unwrap_or(path))
        }
        Some(_) => None,
        // It may be in a broken part, below a table, or misspelt.
        None if mentions > 0 || !errors.is_empty() || problems.iter().any(|p| p.fault == UNKNOWN_KEY) => None,
        None => Some(PathBuf::from(SERVED)),
    }
}

/// Reads the file; the error says what is wrong with it and what to do.
fn read(file: &Path) -> Result<String, (String, &'static str)> {
    let remedy = "name a readable file that only its owner may write";
    file_trust::check(file).map_err(|why| (why, remedy))?;
    files::read_text(file, LARGEST).map_err(|error| {
        let not_text = matches!(error, ReadError::NotText);
        if not_text { ("it is not UTF-8".to_owned(), "save it as UTF-8") } else { (error.to_string(), remedy) }
    })
}

/// Returns the folder that relative paths in a file start from.
fn base_folder(file: Option<&Path>) -> PathBuf {
    let folder = file.and_then(Path::parent).filter(|p| !p.as_os_str().is_empty());
    folder.and_then(|f| f.canonicalize().ok()).unwrap_or_default()
}

fn audit(audit: &Audit) -> AuditPolicy {
    let max_bytes = u64::try_from(audit.max_bytes.value.0).unwrap_or(u64::MAX);
    AuditPolicy { keep: audit.keep.value, max_bytes }
}

impl Check<'_> {
    /// Makes the configuration. The result is only valid if the report stayed empty.
    fn config(&self, path: Option<&Path>, file: File) -> Option<Config> {
        let mut public = self.listener(&file);
        let public_url = self.public_url(&file, public.address);
        let operator = self.operator(&file, public.address);
        // The fault has been reported: a placeholder lets the following checks find other faults.
        let public_url = public_url.unwrap_or_else(|| "https://invalid.invalid".to_owned());
        public.hsts = self.hsts(&file, &public_url);
        let groups = groups::all(self, &file.groups, &file.accounts);
        let taken = [public.address, operator];
        let extra_hosts = self.extra_hosts(&file, &public_url, public.address.port());
        let own_listeners = own_listener::all(self, (&public_url, &extra_hosts), taken, &file.upstreams);
        let (upstreams, demo) = upstream::all(self, &public_url, &file, &groups);
        let brand = Brand::parse(&file.top.brand.value);
        if brand.is_none() {
            self.report.wrong(&file.top.brand, "this cannot begin a token", "write 2 to 8 letters a-z");
        }
        let brand = brand.or_else(|| Brand::parse("mcp"))?;
        self.consistent_lifetimes(&file);
        self.store(&file.top.store);
        let config = Config {
            file: path.map(Path::to_owned),
            referenced_files: Vec::new(),
            data_dir: self.data_dir(&file),
            extra_hosts,
            public_path: origin_and_path(&public_url).1.to_owned(),
            public_url,
            public,
            own_listeners,
            operator,
            minimum_key_bits: file.tls.minimum_key_bits.value,
            workers: self.workers(&file),
            brand,
            default_resource: self.named(file.top.default_upstream.as_ref(), &upstreams),
            patterns: written_patterns::all(&file.upstreams),
            groups,
            clients: Vec::new(),
            accounts: Vec::new(),
            well_known: well_known::all(self, &file.well_known),
            aliases: alias::all(self, &file),
            demo,
            tokens: tokens::policy(self, &file.tokens),
            login: login::policy(self, &file),
            registration: self.registration(&file, &upstreams),
            workloads: workload::all(self, &file.workloads, &upstreams),
            upstreams,
            metadata_documents: self.metadata_documents(&file.documents),
            outbound: self.outbound(&file),
            allowed_origins: self.allowed_origins(&file),
            limits: file.limits.into(),
            rates: Rates { exempt_loopback: self.overrides.up, ..file.rates.into() },
            timeouts: file.timeouts.into(),
            audit: audit(&file.audit),
            log: self.log(&file.log),
            watch: file.reload.watch.value,
            max_stale: file.reload.max_stale.value,
        };
        Some(self.with_tables(config, &file.clients, &file.accounts))
    }

    /// Adds the clients and accounts of the file, which depend on the rest of the configuration.
    fn with_tables(&self, mut config: Config, clients: &[WrittenClient], accounts: &[WrittenAccount]) -> Config {
        config.clients = clients::all(self, clients, &config);
        config.accounts = accounts::all(self, accounts, &config);
        config
    }

    fn store(&self, store: &Setting<String>) {
        let fault = match store.value.split_once(':') {
            None if store.value == "embedded" => return,
            Some(("postgres" | "postgresql", _)) => "a PostgreSQL store does not exist yet",
            None | Some(_) => "this store does not exist yet",
        };
        self.report.wrong(store, fault, "write store = \"embedded\", or remove it");
    }

    fn data_dir(&self, file: &File) -> PathBuf {
        let written = file.top.data_dir.as_ref().map(|s| self.base.join(&s.value));
        if let Some(path) = self.overrides.data_dir.clone().or(written) {
            // Its paths are printed to be pasted elsewhere.
            return std::path::absolute(&path).unwrap_or(path);
        }
        match secret_source::data_home() {
            _ if !self.overrides.up => PathBuf::from(SERVED),
            Some(home) => home.join("mcpgate"),
            None => {
                let remedy = "set HOME, or name the directory with --data";
                self.report.add(None, "data_dir", "there is no home directory for the data", remedy);
                PathBuf::new()
            }
        }
    }

    fn workers(&self, file: &File) -> usize {
        let written = file.top.workers.as_ref().map(|s| s.value);
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.overrides.workers.or(written).unwrap_or_else(cores).max(1)
    }

    fn consistent_lifetimes(&self, file: &File) {
        if file.login.session_idle.value > file.login.session_absolute.value {
            self.report.wrong(&file.login.session_idle, "this is longer than session_absolute", "make it shorter");
        }
        if file.documents.min_cache.value > file.documents.max_cache.value {
            self.report.wrong(&file.documents.min_cache, "this is longer than max_cache", "make it shorter");
        }
        if file.limits.inspect_body.value > file.limits.mcp_body.value {
            self.report.wrong(&file.limits.inspect_body, "this is larger than mcp_body", "make it smaller");
        }
    }

    /// Finds the resource of the upstream that a key names.
    fn named(&self, name: Option<&Setting<String>>, upstreams: &[UpstreamConfig]) -> Option<ResourceIndicator> {
        let name = name?;
        let found = upstreams.iter().find(|upstream| upstream.name == name.value);
        if found.is_none() {
            self.report.wrong(name, "there is no upstream of this name", "write the name of an [[upstream]]");
        }
        found.map(|upstream| upstream.resource.clone())
    }

    fn registration(&self, file: &File, upstreams: &[UpstreamConfig]) -> RegistrationConfig {
        let (schemes, uris) = (&file.registration.refused_schemes, &file.registration.extra_redirect_uris);
        for (index, scheme) in schemes.value.iter().enumerate() {
            if !is_scheme(scheme) || matches!(scheme.as_str(), "https" | "http") {
                let remedy = "write its name in lower case and without the colon, such as \"myapp\"";
                self.report.wrong_entry(schemes, index, "this is not a private-use scheme", remedy);
            }
        }
        for (index, uri) in uris.value.iter().enumerate() {
            if let Err(why) = RedirectUri::parse(uri, &RedirectPolicy::default()) {
                self.report.wrong_entry(uris, index, why.to_string(), "write an exact absolute URI");
            }
        }
        RegistrationConfig {
            who: self.who_registers(&file.registration),
            resource: self.named(file.registration.upstream.as_ref(), upstreams),
            enabled: file.registration.enabled.value && file.registration.mode.value != RegistrationMode::Closed,
            refused_schemes: schemes.value.clone(),
            extra_redirect_uris: uris.value.clone(),
            client_credentials: file.registration.client_credentials.value,
            max_clients: file.registration.max_clients.value,
            unused_after: file.registration.unused_after.value,
        }
    }

    fn who_registers(&self, registration: &Registration) -> WhoRegisters {
        let (mode, hosts) = (&registration.mode, &registration.hosts);
        match mode.value {
            RegistrationMode::Hosts if hosts.value.is_empty() => {
                let remedy = "fill hosts, or write mode = \"closed\"";
                self.report.wrong(mode, "an empty list admits no client", remedy);
            }
            RegistrationMode::Open | RegistrationMode::Approval | RegistrationMode::Closed
                if !hosts.value.is_empty() =>
            {
                self.report.wrong(hosts, "this has no effect", "write mode = \"hosts\", or remove it");
            }
            RegistrationMode::Hosts
            | RegistrationMode::Open
            | RegistrationMode::Approval
            | RegistrationMode::Closed => {}
        }
        if mode.value == RegistrationMode::Hosts && registration.client_credentials.value {
            let fault = "with mode = \"hosts\", this would admit programs from anywhere: they have no redirect URI";
            self.report.wrong(&registration.client_credentials, fault, "remove it, and add such programs yourself");
        }
        match mode.value {
            RegistrationMode::Open => WhoRegisters::Anybody,
            RegistrationMode::Approval => WhoRegisters::Approved,
            RegistrationMode::Closed => WhoRegisters::Nobody,
            RegistrationMode::Hosts => match RedirectHosts::parse(&hosts.value) {
                Ok(listed) => WhoRegisters::Listed(listed),
                Err((index, remedy)) => {
                    self.report.wrong_entry(hosts, index, "this names no host and no scheme", remedy);
                    WhoRegisters::Nobody
                }
            },
        }
    }

    fn metadata_documents(&self, documents: &Documents) -> MetadataDocumentConfig {
        let allow = &documents.allow;
        match documents.mode.value {
            DocumentMode::Allowlist if allow.value.is_empty() => {
                self.report.wrong(
                    &documents.mode,
                    "an empty list allows no client",
                    "fill allow, or write mode = \"off\"",
                );
            }
            DocumentMode::Open | DocumentMode::Off if !allow.value.is_empty() => {
                self.report.wrong(allow, "this has no effect", "write mode = \"allowlist\", or remove it");
            }
            DocumentMode::Allowlist | DocumentMode::Open | DocumentMode::Off => {}
        }
        for (index, entry) in allow.value.iter().enumerate() {
            let text = if entry.starts_with("https://") { entry.clone() } else { format!("https://{entry}/") };
            let host_only = entry.starts_with("https://") || !entry.contains(['/', '@', '?', '#', ':', '*']);
            if !host_only || Url::parse(&text).is_err() {
                let fault = "this is neither a host nor an https URL";
                self.report.wrong_entry(allow, index, fault, "write one of them");
            }
        }
        let publishers = &documents.verified_publishers;
        for (index, url) in publishers.value.iter().enumerate() {
            // As for all clients, `outbound.allow_addresses` decides whether an internal name may be used.
            if MetadataDocumentUrl::parse(url, true).is_none() {
                let remedy = "write the document's exact https URL, without query and fragment";
                self.report.wrong_entry(publishers, index, "this cannot be the URL of a metadata document", remedy);
            }
        }
        MetadataDocumentConfig {
            verified_publishers: publishers.value.clone(),
            remember_consent: documents.remember_consent.value,
            mode: match documents.mode.value {
                DocumentMode::Open => MetadataDocumentMode::Open,
                DocumentMode::Off => MetadataDocumentMode::Off,
                DocumentMode::Allowlist => MetadataDocumentMode::Allowlist(allow.value.clone()),
            },
            max_bytes: documents.max_bytes.value.0,
            min_cache: documents.min_cache.value,
            max_cache: documents.max_cache.value,
        }
    }

    fn outbound(&self, file: &File) -> OutboundConfig {
        let allow = &file.outbound.allow_addresses;
        for (index, _) in allow.value.iter().enumerate().filter(|(_, network)| network.prefix_len() == 0) {
            self.report.wrong_entry(allow, index, "this allows every address", "list only the hosts that you need");
        }
        OutboundConfig {
            allow_addresses: allow.value.clone(),
            extra_ca_file: file.outbound.extra_ca_file.as_ref().map(|s| self.certificates(s)),
            proxy: file.outbound.proxy.as_ref().and_then(|s| self.proxy(s)),
        }
    }

    fn proxy(&self, setting: &Setting<String>) -> Option<Url> {
        let plain = |url: &Url| url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let url = Url::parse(&setting.value).ok().filter(|url| {
            url.scheme() == "http" && plain(url) && url.username().is_empty() && url.password().is_none()
        });
        if url.is_none() {
            let remedy = "write its origin without credentials, such as \"http://proxy.internal:3128\"";
            self.report.wrong(setting, "this is not an HTTP proxy", remedy);
        }
        url
    }

    fn log(&self, log: &super::file::Log) -> LogConfig {
        if log.filter.value.parse::<tracing_subscriber::filter::Targets>().is_err() {
            self.report.wrong(&log.filter, "this is not a filter", "write for example info, warn or mcpgate=debug");
        }
        LogConfig { json: log.format.value == LogFormat::Json, filter: log.filter.value.clone() }
    }
}
