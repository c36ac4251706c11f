//! The rules for static answers under `/.well-known/`, with which app stores and vendors verify the ownership of a
//! host.

use super::check::Check;
use super::file::WellKnown;
use super::file_words::ContentKind;
use super::problem::Setting;
use super::settings::StaticAnswer;
use super::{file_trust, reserved_path};
use crate::files;

/// The path that all of them are below.
const FOLDER: &str = "/.well-known/";
/// Maximum size of a content in bytes: typically it is a word or a page of JSON.
const LARGEST: u64 = 64 << 10;
/// The most answers; with the largest content they take 6.4 MB.
const MOST: usize = 100;

/// Paths that operators cannot define: those that the gateway answers or refuses on purpose, and that of the ACME
/// client (RFC 8555 8.3).
const RESERVED: [&str; 5] =
    ["acme-challenge", "jwks.json", "oauth-authorization-server", "oauth-protected-resource", "openid-configuration"];

/// Checks all static answers.
pub(super) fn all(check: &Check<'_>, written: &[WellKnown]) -> Vec<StaticAnswer> {
    if let Some(setting) = written.get(MOST).and_then(|one| one.path.as_ref()) {
        check.report.wrong(
            setting,
            format!("there are more than {MOST} of these"),
            "remove those that are no longer needed",
        );
    }
    let mut found: Vec<StaticAnswer> = Vec::new();
    let mut places: Vec<&Setting<String>> = Vec::new();
    for one in written.iter().take(MOST) {
        if let Some(path) = &one.path {
            if let Some((fault, remedy)) = path_fault(&path.value) {
                check.report.wrong(path, fault, remedy);
            } else if let Some(other) = places.iter().find(|other| other.value == path.value) {
                let line = other.line.unwrap_or_default();
                check.report.wrong(path, format!("the one in line {line} has the same path"), "keep one");
            }
            places.push(path);
        }
        found.extend(answer(check, one));
    }
    found
}

fn path_fault(path: &str) -> Option<(String, &'static str)> {
    let remedy = "write a path such as \"/.well-known/openai-apps-challenge\"";
    let Some(name) = path.strip_prefix(FOLDER) else { return Some((format!("this is not below {FOLDER}"), remedy)) };
    if let Some((fault, _)) = reserved_path::path_fault(path, &[".well-known"]) {
        return Some((fault.to_owned(), remedy));
    }
    let first = name.split('/').next().unwrap_or_default().to_ascii_lowercase();
    match first.as_str() {
        "acme-challenge" => {
            Some(("this path belongs to the ACME client that renews the certificate".to_owned(), remedy))
        }
        name if RESERVED.contains(&name) => Some(("the gateway uses this path itself".to_owned(), remedy)),
        _ => None,
    }
}

fn answer(check: &Check<'_>, written: &WellKnown) -> Option<StaticAnswer> {
    let (content, file) = match (&written.content, &written.file) {
        (Some(content), None) => {
            let bytes = content.value.as_bytes().to_vec();
            if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST) {
                check.report.wrong(content, format!("this is larger than {} KiB", LARGEST / 1024), "write less");
            }
            judge(check, content, &bytes, written.kind.value);
            (bytes, None)
        }
        (None, Some(file)) => {
            let path = check.base.join(&file.value);
            let read =
                file_trust::check(&path).and_then(|()| files::read(&path, LARGEST).map_err(|error| error.to_string()));
            match read {
                Ok(bytes) => {
                    judge(check, file, &bytes, written.kind.value);
                    (bytes, Some(path))
                }
                Err(why) => {
                    let remedy = "name a file of at most 64 KiB that only its owner may write";
                    check.report.wrong(file, format!("the file cannot be used ({why})"), remedy);
                    return None;
                }
            }
        }
        (Some(_), Some(file)) => {
            check.report.wrong(file, "there is also content", "keep one of the two");
            return None;
        }
        (None, None) => {
            if let Some(path) = &written.path {
                check.report.wrong(path, "content and file are both missing", "write content, or file");
            }
            return None;
        }
    };
    let content_type = match written.kind.value {
        ContentKind::Text => "text/plain; charset=utf-8",
        ContentKind::Json => "application/json",
        ContentKind::Octets => "application/octet-stream",
    };
    Some(StaticAnswer { path: written.path.as_ref()?.value.clone(), content, content_type, file })
}

/// Reports content that does not match its kind.
fn judge<T>(check: &Check<'_>, setting: &Setting<T>, content: &[u8], kind: ContentKind) {
    let fault = match kind {
        ContentKind::Text if std::str::from_utf8(content).is_err() => "this is not text in UTF-8",
        ContentKind::Json if serde_json::from_slice::<serde::de::IgnoredAny>(content).is_err() => "this is not JSON",
        ContentKind::Text | ContentKind::Json | ContentKind::Octets => return,
    };
    check.report.wrong(setting, fault, "correct it, or write kind = \"octets\"");
}
