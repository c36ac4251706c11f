//! `${NAME}` and `${file:PATH}` references in string values; the only reader of the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::file_trust;
use crate::files;

/// Maximum size in bytes of a file that a reference may name: secrets are short.
const MAX_FILE: u64 = 64 * 1024;

/// Why a reference has no value. Contains names, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unresolved {
    #[error("the environment variable {0} is not set")]
    NotSet(String),
    #[error("the environment variable {0} is empty or not text")]
    NotText(String),
    #[error("a reference is not closed or is empty")]
    Malformed,
    #[error("the file {} cannot be used: {why}", path.display())]
    File { path: PathBuf, why: String },
}

impl Unresolved {
    /// Returns how to fix it.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::NotSet(_) | Self::NotText(_) => "set it in the environment of mcpgate",
            Self::Malformed => "write ${NAME} or ${file:/path}, and $${ for a literal ${",
            Self::File { .. } => "name a text file of at most 64 KiB that only its owner may write",
        }
    }
}

/// Reads one environment variable.
pub(super) fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Returns the user's data home, where `up` puts its data directory by default.
pub(super) fn data_home() -> Option<PathBuf> {
    let absolute = |name| environment(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
}

/// Replaces the references in `text` by their values; `None` if it has none. File names are relative to `base` and
/// added to `files`; a trailing line end in a file is dropped.
///
/// # Errors
/// `Unresolved` for the first reference without a value.
pub(super) fn expand(
    text: &str,
    base: &Path,
    files: &mut Vec<PathBuf>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<String>, Unresolved> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = after;
            continue;
        }
        let (reference, tail) = after.split_once('}').ok_or(Unresolved::Malformed)?;
        out.push_str(before);
        out.push_str(&match reference.strip_prefix("file:") {
            Some(path) => {
                let path = base.join(path);
                let content = read(&path);
                files.push(path.clone());
                content.map_err(|why| Unresolved::File { path, why })?
            }
            None => variable(reference, &environment)?,
        });
        rest = tail;
    }
    out.push_str(rest);
    Ok(Some(out))
}

fn variable(name: &str, environment: impl Fn(&str) -> Option<OsString>) -> Result<String, Unresolved> {
    let first_is_digit = name.starts_with(|c: char| c.is_ascii_digit());
    if name.is_empty() || first_is_digit || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(Unresolved::Malformed);
    }
    let value = environment(name).ok_or_else(|| Unresolved::NotSet(name.to_owned()))?;
    value.into_string().ok().filter(|v| !v.is_empty()).ok_or_else(|| Unresolved::NotText(name.to_owned()))
}

fn read(path: &Path) -> Result<String, String> {
    file_trust::check(path)?;
    let text = files::read_text(path, MAX_FILE).map_err(|e| e.to_string())?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(name: &str) -> Option<OsString> {
        match name {
            "TOKEN" => Some("s3cret".into()),
            "EMPTY" => Some("".into()),
            _ => None,
        }
    }

    fn with(text: &str) -> Result<Option<String>, Unresolved> {
        expand(text, Path::new("/"), &mut Vec::new(), fixed)
    }

    #[test]
    fn variables_take_the_place_of_their_references() {
        assert_eq!(with("no reference, $5"), Ok(None));
        assert_eq!(with("Bearer ${TOKEN}"), Ok(Some("Bearer s3cret".into())));
        assert_eq!(with("${TOKEN}${TOKEN}"), Ok(Some("s3crets3cret".into())));
        assert_eq!(with("$${TOKEN} is literal"), Ok(Some("${TOKEN} is literal".into())));
    }

    #[test]
    fn a_reference_without_a_value_is_a_fault_that_names_it() {
        assert_eq!(with("${ABSENT}"), Err(Unresolved::NotSet("ABSENT".into())));
        assert_eq!(with("${EMPTY}"), Err(Unresolved::NotText("EMPTY".into())));
        for malformed in ["${", "${}", "${a b}", "${1A}", "${TOKEN", "${TOKEN:-default}"] {
            assert_eq!(with(malformed), Err(Unresolved::Malformed), "{malformed}");
        }
    }

    #[test]
    fn files_are_read_without_their_last_line_end() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "s3cret\r\n").unwrap();
        std::fs::write(dir.path().join("nothing"), "\n").unwrap();
        let read = |text: &str| expand(text, dir.path(), &mut Vec::new(), fixed);
        assert_eq!(read("x ${file:token}"), Ok(Some("x s3cret".into())));
        let absolute = format!("${{file:{}/token}}", dir.path().display());
        assert_eq!(read(&absolute), Ok(Some("s3cret".into())));
        assert!(matches!(read("${file:nothing}"), Err(Unresolved::File { why, .. }) if why == "it is empty"));
        assert!(matches!(read("${file:absent}"), Err(Unresolved::File { .. })));
        assert!(matches!(read("${file:/dev/zero}"), Err(Unresolved::File { .. })));
    }
}
