//! Remembers how `mcpgate up` was last started on a data directory, so that commands on that folder use the same public
//! URL and upstreams.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::config_file::{ConfigFile, NamedBy};
use super::failure::Failure;
use crate::config::{Config, Overrides};
use crate::data_dir::UP;
use crate::files;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NotedStart {
    public_url: String,
    upstream: Option<String>,
    /// Whether that upstream has scopes by what its tools say of themselves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    by_annotation: bool,
    config: Option<PathBuf>,
}

/// Records the start in the data directory.
pub(super) fn note(started: &Config, upstream: Option<&str>, config: Option<&Path>) -> Result<(), Failure> {
    let noted = NotedStart {
        public_url: started.public_url.clone(),
        upstream: upstream.map(str::to_owned),
        by_annotation: started.is_by_annotation(),
        config: config.map(|c| c.canonicalize().unwrap_or_else(|_| c.to_owned())),
    };
    let text = toml::to_string(&noted).map_err(Failure::other)?;
    let text = format!("# How `mcpgate up` was last started; read by commands that name this directory.\n{text}");
    files::private::replace(&started.data_dir.join(UP), 0o600, text.as_bytes()).map_err(Failure::other)
}

/// Returns whether the file named in the environment is the one that `mcpgate up` last used with its default folder:
/// then it extends the defaults of `up`, and is not the configuration of a server.
pub(super) fn is_addition(file: &ConfigFile) -> bool {
    let overrides = Overrides { up: true, data_only: true, ..Overrides::default() };
    let noted = || {
        let folder = Config::load(None, &overrides).ok()?.data_dir;
        recall(&folder, overrides.clone()).ok()?.0
    };
    file.named_by == NamedBy::Variable
        && noted().is_some_and(|noted| file.path.canonicalize().is_ok_and(|f| f == noted))
}

/// Adds what was recorded, if anything, to `overrides`; also returns the configuration file.
pub(super) fn recall(data_dir: &Path, overrides: Overrides) -> Result<(Option<PathBuf>, Overrides), Failure> {
    let Some(noted) = read(data_dir)? else { return Ok((None, overrides)) };
    let NotedStart { public_url, upstream, by_annotation, config } = noted;
    Ok((config, Overrides { public_url: Some(public_url), upstream, by_annotation, ..overrides }))
}

/// Returns whether the last start was with this upstream, and found scopes for it in what its tools say of themselves.
/// What cannot be read counts as no start.
pub(super) fn was_by_annotation(data_dir: &Path, upstream: Option<&str>) -> bool {
    let noted = read(data_dir).ok().flatten();
    noted.is_some_and(|noted| noted.by_annotation && noted.upstream.as_deref() == upstream)
}

fn read(data_dir: &Path) -> Result<Option<NotedStart>, Failure> {
    let path = data_dir.join(UP);
    let text = match files::private::read_note(&path) {
        Err(error) if error.is_absent() => return Ok(None),
        read => read.map_err(|e| Failure::other(anyhow::anyhow!("{}: {e}", path.display())))?,
    };
    let noted = toml::from_str(&text)
        .map_err(|e| Failure::other(anyhow::anyhow!("{}: {}; remove it", path.display(), e.message())))?;
    Ok(Some(noted))
}
