//! Which module may name which, and whether the map in `src/lib.rs` says the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{imports, sources};

/// Module, and the modules it may name. `docs/architecture.md` says why.
const LAYERS: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("tenant", &[]),
    ("strict_json", &[]),
    ("oauth", &["time", "tenant", "strict_json"]),
    ("mcp", &["strict_json"]),
    ("policy", &["oauth", "mcp", "strict_json"]),
    ("clock", &["sync", "time"]),
    ("entropy", &[]),
    ("files", &[]),
    ("config", &["oauth", "policy", "files", "network"]),
    ("cipher_suites", &["config"]),
    ("trust", &["cipher_suites", "config", "files"]),
    ("data_dir", &["oauth", "entropy", "files"]),
    ("network", &[]),
    ("sync", &[]),
    ("telemetry", &["sync", "config"]),
    ("web", &["time", "config"]),
    ("store", &["sync", "oauth", "mcp", "policy", "data_dir", "files"]),
    ("outbound", &["sync", "config", "trust", "network", "web"]),
    ("catalogue", &["time", "mcp", "policy", "clock", "sync"]),
    ("token_cache", &["oauth", "store", "clock", "config", "sync"]),
    (
        "issuer",
        &[
            "sync",
            "oauth",
            "policy",
            "store",
            "token_cache",
            "clock",
            "entropy",
            "config",
            "network",
            "outbound",
            "telemetry",
        ],
    ),
    (
        "proxy",
        &[
            "sync",
            "oauth",
            "strict_json",
            "mcp",
            "policy",
            "catalogue",
            "token_cache",
            "trust",
            "web",
            "network",
            "config",
            "clock",
            "telemetry",
        ],
    ),
    ("endpoints", &["oauth", "issuer", "web", "config"]),
    ("demo", &["sync", "entropy", "web"]),
    (
        "server",
        &[
            "sync",
            "oauth",
            "clock",
            "entropy",
            "files",
            "data_dir",
            "config",
            "policy",
            "network",
            "cipher_suites",
            "trust",
            "telemetry",
            "web",
            "store",
            "outbound",
            "policy",
            "catalogue",
            "token_cache",
            "issuer",
            "proxy",
            "endpoints",
            "demo",
        ],
    ),
    (
        "cli",
        &[
            "server", "issuer", "store", "files", "data_dir", "config", "clock", "entropy", "oauth", "outbound",
            "demo", "mcp", "policy",
        ],
    ),
    ("main", &["cli"]),
];

/// Returns what `LAYERS` allows a module to name; `None` without a row.
fn allowed(module: &str) -> Option<&'static [&'static str]> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, allowed)| *allowed)
}

/// Returns all modules below one: those that it may name, those that these may name, and so on.
fn below(module: &str) -> BTreeSet<&'static str> {
    let mut below = BTreeSet::new();
    let mut next = allowed(module).unwrap_or_default().to_vec();
    while let Some(name) = next.pop() {
        if below.insert(name) {
            next.extend(allowed(name).unwrap_or_default());
        }
    }
    below
}

/// Returns which files name a module that they may not name, and which permissions are unused.
fn faults(sources: &[(PathBuf, String)]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, named) in imports::named_modules(sources) {
        if named.module.is_empty() {
            continue;
        }
        let Some(allowed) = allowed(&named.module) else {
            faults.push(format!("{file}: the module `{}` has no row in LAYERS", named.module));
            continue;
        };
        for other in named.by_code.iter().filter(|other| !allowed.contains(&other.as_str())) {
            faults.push(format!("{file}: `{}` must not name `{other}`", named.module));
        }
        // Unit tests may also name modules that the module reaches through others.
        let below = below(&named.module);
        for other in named.by_tests.iter().filter(|other| !below.contains(other.as_str())) {
            faults.push(format!(
                "{file}: the tests of `{}` must not name `{other}`, which is not below it",
                named.module
            ));
        }
        used.entry(named.module).or_default().extend(named.by_code);
    }
    for (module, allowed) in LAYERS {
        let used = used.get(*module).cloned().unwrap_or_default();
        for other in allowed.iter().filter(|other| !used.contains(**other)) {
            faults.push(format!("LAYERS lets `{module}` name `{other}`, which it does not: remove the permission"));
        }
    }
    faults
}

#[test]
fn a_module_names_only_those_it_may_know_and_may_know_only_those_it_names() {
    let faults = faults(&sources("src"));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    let ways = [
        "use crate::cli;",
        "use crate::{cli, files};",
        "use crate::{files, cli::{data, up::Up}};",
        "use crate::cli as other;",
        "use crate::cli::*;",
        "use {crate::{cli::{self}}};",
        "use crate as all; fn f() { all::cli::run(); }",
        "use crate::{self as all}; type T = all::cli::T;",
        "use super::super::cli::data;",
        "fn f() { crate::cli::run(); }",
        "fn f() { use crate::{cli}; }",
        "fn f(_: &dyn Fn(crate::cli::A)) {}",
        "fn f() { println!(\"{}\", crate::cli::X); }",
        "macro_rules! m { () => { $crate::cli::run() }; }",
        "macro_rules! m { () => { use crate::{files, cli::{self, data}}; }; }",
        "fn f() { m!(vec![crate::{files, cli}]); }",
        "pub use crate::cli::run;",
    ];
    for text in ways {
        let source = [
            ("src/store/rows.rs".into(), text.to_owned()),
            ("src/cli/mod.rs".into(), String::new()),
            ("src/files/mod.rs".into(), String::new()),
        ];
        let named = imports::named_modules(&source);
        assert!(named["src/store/rows.rs"].by_code.contains("cli"), "{text}: {:?}", named["src/store/rows.rs"].by_code);
        let tests = [
            (source[0].0.clone(), format!("#[cfg(test)] mod tests {{ {text} }}")),
            source[1].clone(),
            source[2].clone(),
        ];
        let named = &imports::named_modules(&tests)["src/store/rows.rs"];
        assert!(named.by_code.is_empty(), "{text}: {:?}", named.by_code);
        assert!(named.by_tests.contains("cli") || text.contains("super::super"), "{text}: {:?}", named.by_tests);
    }
}

#[test]
fn the_map_is_that_of_the_tree() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("the map");
    let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("//! - `")).collect();
    let mapped: Vec<&str> = lines.iter().filter_map(|line| line.split_once("`: ").map(|(name, _)| name)).collect();
    let modules: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(modules.len() > 15, "{modules:?}");
    let missing: Vec<_> = modules.iter().filter(|name| !mapped.contains(*name)).collect();
    assert!(missing.is_empty(), "src/lib.rs has no line for {missing:?}");
    let gone: Vec<_> = mapped.iter().filter(|name| !modules.contains(*name)).collect();
    assert!(gone.is_empty(), "src/lib.rs describes what is not there: {gone:?}");
    // The map has the order of the table: a module comes after all modules that it may name.
    for (module, allowed) in LAYERS.iter().filter(|(module, _)| mapped.contains(module)) {
        let place = |name: &str| mapped.iter().position(|other| *other == name);
        let above: Vec<_> = allowed.iter().filter(|name| place(name) > place(module)).collect();
        assert!(above.is_empty(), "src/lib.rs has `{module}` before {above:?}, which it names");
    }
    let quoted =
        text.lines().filter(|line| line.starts_with("//!")).flat_map(|line| line.split('`').skip(1).step_by(2));
    let mut folder = PathBuf::new();
    let mut files = Vec::new();
    for word in quoted.filter(|word| word.ends_with(".rs")) {
        let file = match word.rsplit_once('/') {
            // A file without a folder is in the folder that was named last.
            None => folder.join(word),
            Some(("tests", _)) => word.into(),
            Some((named, _)) if named.starts_with("tests/") => word.into(),
            Some((named, _)) => {
                folder = Path::new("src").join(named);
                Path::new("src").join(word)
            }
        };
        files.push(file);
    }
    assert!(files.len() > 15, "{files:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lost: Vec<_> = files.iter().filter(|file| !root.join(file).exists()).collect();
    assert!(lost.is_empty(), "src/lib.rs leads to files that are not there: {lost:?}");
}
