//! The reference of all keys, generated from their declarations; `docs/configuration.md` is its golden copy.

use super::file::TABLES;
use super::reserved_path::TO_COME;
use super::table::{KeyDeclaration, TableDeclaration};

/// Returns the full names of all keys, such as `listen.address`.
pub fn keys() -> impl Iterator<Item = String> {
    TABLES.iter().flat_map(|table| table.keys.iter().map(|key| full_name(table, key)))
}

/// Returns the reference as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut out = INTRODUCTION.to_owned();
    for table in TABLES {
        let heading = match (table.path, table.repeated) {
            ("", _) => "Top level".to_owned(),
            (path, false) => format!("`[{path}]`"),
            (path, true) => format!("`[[{path}]]`"),
        };
        out.push_str(&format!("\n## {heading}\n\n{}\n\n", joined(table.about)));
        out.push_str("| key | what it is | value | default |\n| --- | --- | --- | --- |\n");
        for key in table.keys {
            out.push_str(&row(key));
        }
    }
    out.push_str(KEPT_PATHS);
    for (segment, purpose) in TO_COME {
        out.push_str(&format!("- `/{segment}`: {purpose}\n"));
    }
    out
}

const INTRODUCTION: &str = "# Configuration

Made from the declarations in `src/config/file.rs` and `src/config/policy_file.rs`; a test holds the two together
(`MCPGATE_BLESS=1 cargo test --test configuration` rewrites this file).

`mcpgate serve --config gateway.toml` needs `public_url`, a certificate and at least one upstream; everything else has
a default. `mcpgate up` needs no file, and adds one given with `--config` to its own defaults. Options of the command
line win over the file. `mcpgate check --config gateway.toml` reports every problem at once.

Without `--config` every command takes the file that the environment variable `MCPGATE_CONFIG` names, else
`/etc/mcpgate/gateway.toml` if there is one. `mcpgate up` does not take the latter: it is for trying things beside a
server. Commands about data that are given `--data` look for no file; the folder has a note of how `up` was started.

In any string, `${NAME}` stands for an environment variable and `${file:PATH}` for the content of a file (its last line
end is cut), so that secrets need not stand in the configuration; `$${` is a literal `${`. Both are read when the
configuration is loaded and never shown. No environment variable sets a key. Relative paths start from the
folder of the configuration file. The file, the files that references name, and their folders must not be writable by
everybody.
";

const KEPT_PATHS: &str = "
## Paths that no upstream can have

Besides what the gateway answers today (`/authorize`, `/token` and its other endpoints and pages), the following first
segments are refused in `upstream.path`, however they are written. Later versions will answer there, and an upstream
that had to move then would lose every token: they are good for its address. `/api` is not among them and will not be:
services behind the gateway use it.

";

fn row(key: &KeyDeclaration) -> String {
    let mut value = (key.kind)();
    if let Some((low, high)) = key.range {
        value.push_str(&format!(", from `{low}` to `{high}`"));
    }
    let default = match key.default {
        "none" => "–".to_owned(),
        "required" => "required".to_owned(),
        toml => format!("`{toml}`"),
    };
    format!("| `{}` | {} | {} | {} |\n", key.name, joined(key.about), value, default)
}

fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

fn full_name(table: &TableDeclaration, key: &KeyDeclaration) -> String {
    if table.path.is_empty() { key.name.to_owned() } else { format!("{}.{}", table.path, key.name) }
}
