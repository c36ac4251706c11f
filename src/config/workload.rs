//! The rules for workloads: whose tokens are exchanged, for what, and that they are not everybody's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

use super::UpstreamConfig;
use super::check::Check;
use super::problem::Setting;
use super::workload_file::Workload;
use super::workload_policy::{IssuerKeys, KeyPlace, WorkloadConfig};
use crate::files;
use crate::oauth::jose::JwkSet;
use crate::oauth::{LoginName, ScopeSet};
use crate::policy::{ClaimPatterns, TextPattern};

/// The most workloads: each token is compared with those of its issuer.
const MOST: usize = 200;
/// The longest name of a service account, so that its id fits.
const MAX_ACCOUNT: usize = 64;
/// The largest file with keys in bytes.
const LARGEST_KEYS: u64 = 64 << 10;
/// Claims of known issuers that tell whose workload it is.
const OWNERS: [&str; 13] = [
    "sub",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "job_workflow_ref",
    "project_id",
    "project_path",
    "namespace_id",
    "namespace_path",
    "azp",
    "email",
    "oid",
];
/// Issuers that give tokens to everybody: a pattern must fix the owner.
const OF_EVERYBODY: [&str; 2] = ["https://token.actions.githubusercontent.com", "https://gitlab.com"];
/// Claims of those issuers that begin with the owner and a slash, after a prefix of `sub`.
const PATHS: [&str; 5] = ["sub", "repository", "job_workflow_ref", "project_path", "namespace_path"];
/// Audiences that tokens for other services have.
const OF_OTHERS: [&str; 6] = [
    "api",
    "https://kubernetes.default.svc",
    "https://kubernetes.default.svc.cluster.local",
    "kubernetes.default.svc",
    "sts.amazonaws.com",
    "api://AzureADTokenExchange",
];
/// The beginning of the audience that GitHub's tokens have if none is asked for.
const OF_GITHUB: &str = "https://github.com/";

/// Checks all workloads.
pub(super) fn all(check: &Check<'_>, written: &[Workload], upstreams: &[UpstreamConfig]) -> Vec<WorkloadConfig> {
    if let Some(issuer) = written.get(MOST).and_then(|one| one.issuer.as_ref()) {
        check.report.wrong(issuer, format!("there are more than {MOST} of these"), "remove those that nobody uses");
    }
    let found: Vec<_> = written.iter().take(MOST).filter_map(|one| workload(check, one, upstreams)).collect();
    for (one, made) in written.iter().zip(&found) {
        let place = made.keys.place();
        let others = found.iter().filter_map(|other| other.keys.place());
        if let (Some(uri), Some(place)) = (&one.jwks_uri, place)
            && others.into_iter().any(|other| other.url == place.url && other != place)
        {
            let remedy = "write the same ca_file and allow_addresses in each";
            check.report.wrong(uri, "another [[workload]] reaches this URL in another way", remedy);
        }
    }
    found
}

fn workload(check: &Check<'_>, written: &Workload, upstreams: &[UpstreamConfig]) -> Option<WorkloadConfig> {
    let (issuer, audience) = (written.issuer.as_ref(), written.audience.as_ref());
    issuer.into_iter().for_each(|issuer| judge_issuer(check, issuer));
    audience.into_iter().for_each(|audience| judge_audience(check, audience));
    let keys = keys(check, written);
    let claims = claims(check, written);
    let account = written.account.as_ref().and_then(|name| account(check, name));
    let upstream = written.upstream.as_ref().and_then(|name| upstream(check, name, upstreams));
    let scopes = upstream.map(|upstream| scopes(check, written, upstream));
    let upstream = upstream?;
    Some(WorkloadConfig {
        issuer: issuer?.value.clone(),
        keys: keys?,
        audience: audience?.value.clone(),
        claims,
        account: account?,
        tenant: upstream.tenant.clone(),
        resource: upstream.resource.clone(),
        scopes: scopes?,
    })
}

fn judge_issuer(check: &Check<'_>, issuer: &Setting<String>) {
    let is_url = Url::parse(&issuer.value).is_ok_and(|url| url.scheme() == "https" && url.has_host());
    if !is_url {
        let remedy = "write it as in the tokens, such as \"https://token.actions.githubusercontent.com\"";
        check.report.wrong(issuer, "this is not the https URL of an issuer", remedy);
    }
}

fn judge_audience(check: &Check<'_>, audience: &Setting<String>) {
    let remedy = "choose one that no other service accepts, such as the public_url, and ask for tokens with it";
    let text = audience.value.as_str();
    if text.is_empty() || text.len() > 1024 {
        check.report.wrong(audience, "this is no audience", remedy);
    } else if OF_OTHERS.contains(&text) || text.starts_with(OF_GITHUB) {
        check.report.wrong(audience, "tokens for other services have this audience", remedy);
    }
}

fn keys(check: &Check<'_>, written: &Workload) -> Option<IssuerKeys> {
    let ca_file = written.ca_file.as_ref().map(|file| check.certificates(file));
    let allow = &written.allow_addresses;
    for (index, _) in allow.value.iter().enumerate().filter(|(_, network)| network.prefix_len() == 0) {
        check.report.wrong_entry(allow, index, "this allows every address", "list only the hosts that you need");
    }
    match (&written.jwks_uri, &written.jwks_file) {
        (Some(uri), None) => {
            let url = Url::parse(&uri.value).ok().filter(|url| {
                url.scheme() == "https" && url.has_host() && url.username().is_empty() && url.fragment().is_none()
            });
            if url.is_none() {
                check.report.wrong(uri, "this is not an https URL", "write the jwks_uri of the issuer's metadata");
            }
            Some(IssuerKeys::At(KeyPlace { url: url?, ca_file, allow_addresses: allow.value.clone() }))
        }
        (None, Some(file)) => {
            if ca_file.is_some() || !allow.value.is_empty() {
                let remedy = "remove ca_file and allow_addresses";
                check.report.wrong(file, "a file is not fetched", remedy);
            }
            key_file(check, file)
        }
        (uri, file) => {
            let fault = if file.is_some() { "there are two places for the keys" } else { "there are no keys" };
            let remedy = "write either jwks_uri or jwks_file";
            match (uri, &written.issuer) {
                (Some(uri), _) => check.report.wrong(uri, fault, remedy),
                (None, Some(issuer)) => check.report.wrong(issuer, fault, remedy),
                (None, None) => {}
            }
            None
        }
    }
}

fn key_file(check: &Check<'_>, file: &Setting<PathBuf>) -> Option<IssuerKeys> {
    let path: PathBuf = check.base.join(Path::new(&file.value));
    match files::read(&path, LARGEST_KEYS) {
        Err(why) => check.unreadable(file, &why, "name a readable JSON Web Key Set"),
        Ok(text) => match JwkSet::parse(&text) {
            Ok(keys) => return Some(IssuerKeys::File(path, Arc::new(keys))),
            Err(fault) => check.report.wrong(file, fault.words(), "name a file with a JSON Web Key Set"),
        },
    }
    None
}

/// Reads the patterns; one at least must tell whose workload it is.
fn claims(check: &Check<'_>, written: &Workload) -> ClaimPatterns {
    let entries = &written.claims;
    let is_open = written.issuer.as_ref().is_some_and(|issuer| OF_EVERYBODY.contains(&issuer.value.as_str()));
    let remedy = "write for example claims = { sub = \"repo:acme/site:ref:refs/heads/main\" }";
    let mut is_pinned = false;
    for entry in &entries.value.0 {
        let pattern = TextPattern::new(&entry.value);
        let key = format!("{}.{}", entries.key, entry.name);
        let wrong = |fault: &str| check.report.add(Some(check.report.line_of(entry.offset)), &key, fault, remedy);
        if matches!(entry.name.as_str(), "iss" | "aud" | "exp" | "nbf" | "iat" | "jti") {
            wrong("this claim is judged by itself");
        }
        if !OWNERS.contains(&entry.name.as_str()) || pattern.beginning().is_empty() {
            continue;
        }
        if is_open && !fixes_owner(&entry.name, &pattern) {
            wrong("tokens of other owners match this too: everybody can have one of this issuer");
            continue;
        }
        is_pinned = true;
    }
    let faulty = check.report.names_part_of(&entries.key);
    if !is_pinned && !faulty {
        let fault = "no claim tells whose workload it is, so everybody with a token of this issuer would be it";
        match &written.issuer {
            Some(issuer) if entries.line.is_none() => check.report.wrong(issuer, fault, remedy),
            Some(_) | None => check.report.wrong(entries, fault, remedy),
        }
    }
    ClaimPatterns::new(entries.value.0.iter().map(|entry| (entry.name.clone(), TextPattern::new(&entry.value))))
}

/// Returns whether a pattern fixes the owner in a claim of an issuer that gives tokens to everybody: a path up to its
/// first slash, anything else as a whole.
fn fixes_owner(claim: &str, pattern: &TextPattern) -> bool {
    let beginning = pattern.beginning();
    if pattern.is_literal() {
        return true;
    }
    PATHS.contains(&claim) && beginning.contains('/')
}

fn account(check: &Check<'_>, name: &Setting<String>) -> Option<LoginName> {
    let login = LoginName::parse(&name.value).filter(|login| login.as_str().len() <= MAX_ACCOUNT);
    if login.is_none() {
        check.report.wrong(name, "this cannot be the name of an account", "write 1 to 64 of a-z, 0-9 and .-_@+");
    }
    login
}

fn upstream<'u>(
    check: &Check<'_>,
    name: &Setting<String>,
    upstreams: &'u [UpstreamConfig],
) -> Option<&'u UpstreamConfig> {
    let found = upstreams.iter().find(|upstream| upstream.name == name.value);
    if found.is_none() {
        check.report.wrong(name, "there is no upstream of this name", "write the name of an [[upstream]]");
    }
    found
}

fn scopes(check: &Check<'_>, written: &Workload, upstream: &UpstreamConfig) -> ScopeSet {
    let known = |name: &String| upstream.scopes.iter().find(|scope| scope.name.as_str() == name);
    for (index, _) in written.scopes.value.iter().enumerate().filter(|(_, name)| known(name).is_none()) {
        let remedy = "write the name of one of its scopes";
        check.report.wrong_entry(&written.scopes, index, "the upstream has no such scope", remedy);
    }
    if written.scopes.value.is_empty() && !upstream.scopes.is_empty() {
        let remedy = "write the scopes that it gets";
        match &written.account {
            Some(account) if written.scopes.line.is_none() => check.report.wrong(account, "it gets no scope", remedy),
            Some(_) | None => check.report.wrong(&written.scopes, "it gets no scope", remedy),
        }
    }
    written.scopes.value.iter().filter_map(known).map(|scope| scope.name.clone()).collect()
}
