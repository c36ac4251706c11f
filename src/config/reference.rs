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
        out.push_str("| key | meaning | value | default |\n| --- | --- | --- | --- |\n");
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

Generated from the declarations in `src/config/file.rs` and its neighbours whose names end with `_file.rs`; a test compares
the two (`MCPGATE_BLESS=1 cargo test --test configuration` rewrites this file).

`mcpgate serve --config gateway.toml` needs `public_url`, a certificate and at least one upstream; everything else has
a default. `mcpgate up` needs no file; a file given with `--config` is added to its defaults. Options of the command
line take precedence over the file. `mcpgate check --config gateway.toml` reports every problem at once.

Without `--config`, every command uses the file named by the environment variable `MCPGATE_CONFIG`, or else
`/etc/mcpgate/gateway.toml` if it exists. `mcpgate up` does not use the latter, because it is for experiments beside a
server. Commands with `--data` use neither; the data directory records how `up` was last started.

In any string, `${NAME}` stands for an environment variable and `${file:PATH}` for the content of a file (without its
last line end), so that the configuration need not contain secrets; `$${` is a literal `${`. Both are read when the
configuration is loaded, and are never shown. No environment variable sets a key. Relative paths start from the
folder of the configuration file. The configuration file, the referenced files, and their folders must not be writable
by everybody.
";

const KEPT_PATHS: &str = "
## Reserved paths

`upstream.path` cannot begin with the paths of the gateway's own endpoints and pages (`/authorize`, `/token` and
others), nor with the following first segments, in upper or lower case. Later versions will use them, and an upstream
that then had to move would lose all its tokens, because they are bound to its URL. `/api` is not reserved and will
not be, because services behind the gateway use it. `alias.from` may be below `/oauth/`, apart from `/oauth/callback`.

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
