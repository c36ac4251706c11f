//! The structural rules as a test: which module may name which, how long a file may be, which words it must not
//! contain. A failure means that the structure described in `src/lib.rs` is no longer true.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test may stop at the first surprise"
)]

mod comments;
mod imports;
mod layers;
mod matches;
mod names;
mod predicates;
mod proofs;
mod redirects;
mod sizes;
mod snapshots;
mod unchecked;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Words that a module of rules must not contain: it takes values and `now`, nothing else.
const IMPURE: &[&str] = &["tokio", "hyper", "async fn", "SystemTime", "std::fs", "std::net::Tcp", "std::env"];

/// Words that must not occur in the sources, and why.
const BANNED: &[(&str, &str)] = &[
    ("todo!(", "an unfinished function is a defect"),
    ("unimplemented!(", "an unfinished function is a defect"),
    ("FIXME", "mend it or write it down in docs"),
    ("XXX", "mend it or write it down in docs"),
    ("use crate::*", "it hides who knows whom"),
    ("#[ignore", "an ignored test is a defect"),
];

/// The only files that may take a secret's text out of its type.
const MAY_REVEAL: &[&str] = &["src/oauth/", "src/issuer/", "src/endpoints/", "src/cli/", "src/store/"];

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(next) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&next) else { continue };
        for entry in entries {
            let path = entry.expect("a source folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file can be read");
                let short = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("below the manifest").to_owned();
                found.push((short, text));
            }
        }
    }
    found.sort();
    found
}

fn module_of(path: &Path) -> String {
    let mut parts = path.components().skip(1).map(|c| c.as_os_str().to_string_lossy().into_owned());
    let first = parts.next().unwrap_or_default();
    first.strip_suffix(".rs").unwrap_or(&first).to_owned()
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[test]
fn rules_are_pure() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        if matches!(module_of(&path).as_str(), "oauth" | "mcp" | "time" | "tenant" | "strict_json") {
            for word in IMPURE {
                if text.lines().any(|l| !l.trim_start().starts_with("//") && l.contains(word)) {
                    wrong.push(format!("{}: a rule takes values and `now`; it has `{word}`", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn issuer_and_store_are_free_of_http() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        if matches!(module_of(&path).as_str(), "issuer" | "store" | "token_cache")
            && text.lines().any(|l| !l.trim_start().starts_with("//") && (l.contains("hyper") || l.contains("http::")))
        {
            wrong.push(format!("{}: use cases and stores do not know HTTP", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = ["src", "tests", "benches"]
        .into_iter()
        .flat_map(sources)
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(silent.is_empty(), "no first line `//! ...` in:\n{}", silent.join("\n"));
}

#[test]
fn banned_words_do_not_stand() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src").into_iter().chain(sources("tests")).chain(sources("benches")) {
        if path.ends_with("tidy/main.rs") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            for (word, why) in BANNED {
                if line.contains(word) {
                    wrong.push(format!("{}:{}: `{word}`: {why}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn secrets_leave_their_type_only_where_they_are_handed_over() {
    let wrong: Vec<_> = sources("src")
        .into_iter()
        .filter(|(path, text)| {
            text.contains(".reveal()") && !MAY_REVEAL.iter().any(|ok| path.to_string_lossy().starts_with(ok))
        })
        .map(|(path, _)| format!("{}: calls reveal()", path.display()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_environment_is_read_in_one_place() {
    let wrong: Vec<_> = sources("src")
        .into_iter()
        .filter(|(path, text)| text.contains("env::var") && path != Path::new("src/config/secret_source.rs"))
        .map(|(path, _)| format!("{}: read the environment in the configuration only", path.display()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_switch_weakens_the_protocol() {
    // No configuration key turns PKCE off, allows `plain`, takes tokens in a URL, matches redirects by pattern
    // or passes a client's token on.
    let forbidden = ["pkce", "plain", "query_token", "wildcard", "passthrough", "pass_through"];
    let declarations = sources("src/config").into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n");
    let keys: Vec<_> = declarations
        .lines()
        .filter_map(|l| l.trim().trim_start_matches("pub ").trim_start_matches("pub(super) ").split_once(':'))
        .map(|(key, _)| key.trim().to_owned())
        .filter(|key| key.chars().all(is_name))
        .filter(|key| forbidden.iter().any(|f| key.contains(f)))
        .collect();
    assert!(keys.is_empty(), "these keys would weaken the protocol: {keys:?}");
}

#[test]
fn the_top_level_is_as_wished() {
    let expected = [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "gateway.toml.example",
        "certs",
        "tests",
        "benches",
        "docs",
        "LICENSE",
        "README.md",
        "target",
    ];
    let strange: Vec<_> = std::fs::read_dir(env!("CARGO_MANIFEST_DIR"))
        .expect("the top level can be read")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| !name.starts_with('.') && !expected.contains(&name.as_str()))
        .collect();
    assert!(strange.is_empty(), "these do not belong at the top level: {strange:?}");
}

/// Returns the beginnings of the rows that `docs/errors.md` must have for a table of rejections: reason, status, and
/// the outcome if the row is counted by one.
fn rows_of(source: &str) -> Vec<String> {
    let table = source.split("fn row").nth(1).and_then(|rest| rest.split("\n    }").next()).expect("the table");
    let status_named = |name: &str| {
        let named = |code: &u16| {
            let status = http::StatusCode::from_u16(*code).expect("a status");
            status.canonical_reason().is_some_and(|words| words.to_uppercase().replace(' ', "_") == name)
        };
        (100..600).find(named).unwrap_or_else(|| panic!("no status {name}"))
    };
    let snake = |name: &str| {
        name.char_indices().fold(String::new(), |mut word, (at, letter)| {
            if at > 0 && letter.is_ascii_uppercase() {
                word.push('_');
            }
            word.push(letter.to_ascii_lowercase());
            word
        })
    };
    let name_after = |text: &str, mark: &str| -> Option<String> {
        Some(text.split(mark).nth(1)?.chars().take_while(|c| is_name(*c)).collect())
    };
    table
        .split("            Self::")
        .skip(1)
        .filter_map(|row| {
            // A row without a reason delegates to another table.
            let reason = row.split('"').nth(1)?;
            let outcome = name_after(row, "Outcome::").map(|name| format!(" {} |", snake(&name))).unwrap_or_default();
            let usual = [("Row::unavailable", 503), ("Row::token", 401)];
            let usual = usual.into_iter().find(|(maker, _)| row.contains(maker)).map_or(502, |(_, status)| status);
            let status = name_after(row, "StatusCode::").map_or(usual, |name| status_named(&name));
            Some(format!("| `{reason}` | {status} |{outcome}"))
        })
        .collect()
}

#[test]
fn every_refusal_is_explained() {
    let read = |file: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect(file);
    let page = read("docs/errors.md");
    // `tests/issuer` compares the rows of the authorization server with the page.
    let tables = ["src/server/request_refusal.rs", "src/proxy/rejection.rs", "src/proxy/fault.rs"];
    let rows: Vec<_> = tables.iter().flat_map(|table| rows_of(&read(table))).collect();
    assert!(rows.len() > 45, "{rows:?}");
    let table = read("src/oauth/error_code.rs");
    let is_code = |word: &&str| word.contains('_') && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let codes: Vec<_> = table.split('"').filter(is_code).collect();
    assert!(codes.len() > 12, "{codes:?}");
    let pages = read("src/endpoints/error_page.rs");
    let is_page = |row: &&str| row.trim_start().split([',', '"']).next().is_some_and(|word| word.contains("tatus"));
    let headings: Vec<_> = pages.split("::new(").filter(is_page).filter_map(|row| row.split('"').nth(1)).collect();
    assert!(headings.len() > 14, "{headings:?}");
    let missing: Vec<_> = rows
        .into_iter()
        .filter(|row| !page.contains(&format!("\n{row}")))
        .chain(codes.into_iter().map(str::to_owned).filter(|name| !page.contains(&format!("`{name}`"))))
        .chain(headings.into_iter().map(str::to_owned).filter(|name| !page.contains(name)))
        .collect();
    assert!(missing.is_empty(), "docs/errors.md does not explain {missing:?}");
}

#[test]
fn the_table_of_standards_names_what_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/standards.md")).expect("the table");
    let texts: Vec<_> = ["src", "tests"].into_iter().flat_map(sources).map(|(_, text)| text).collect();
    let quoted = page.split('`').skip(1).step_by(2);
    let is_test = |word: &str| word.matches('_').count() > 2 && word.chars().all(is_name);
    let is_file = |word: &str| word.contains('/') && word.ends_with(".rs");
    let there = |word: &str| {
        if is_file(word) {
            root.join("src").join(word).exists() || root.join(word).exists()
        } else {
            texts.iter().any(|text| text.contains(&format!("fn {word}(")))
        }
    };
    let missing: Vec<_> = quoted.filter(|word| is_file(word) || is_test(word)).filter(|word| !there(word)).collect();
    assert!(missing.is_empty(), "docs/standards.md names what is not there: {missing:?}");
}

#[test]
fn every_decision_has_a_number_of_its_own() {
    let mut seen = BTreeSet::new();
    for page in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/decisions")).expect("the folder") {
        let path = page.expect("a page").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name in ASCII");
        let number = name.split('-').next().expect("a number").to_owned();
        let text = std::fs::read_to_string(&path).expect("a page can be read");
        assert!(text.starts_with(&format!("# {number} ")), "{name}: its heading has another number");
        assert!(seen.insert(number), "{name}: another page has this number");
    }
}

/// Pairs of files that may name each other, and why. Larger cycles are refused.
const PAIRS: &[(&str, &str, &str)] = &[];

#[test]
fn files_do_not_lead_back_to_one_another() {
    let circles = imports::circles(&imports::graph(&sources("src")));
    let allowed: Vec<BTreeSet<String>> =
        PAIRS.iter().map(|(one, other, _)| BTreeSet::from([(*one).to_owned(), (*other).to_owned()])).collect();
    let wrong: Vec<_> = circles
        .iter()
        .filter(|circle| !allowed.contains(circle))
        .map(|circle| circle.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
        .collect();
    assert!(wrong.is_empty(), "these lead to one another; cut the arrow that runs back:\n{}", wrong.join("\n"));
    let gone: Vec<_> = allowed.iter().filter(|pair| !circles.contains(pair)).collect();
    assert!(gone.is_empty(), "these are no circles any more: take them from PAIRS: {gone:?}");
}

#[test]
fn a_proof_has_one_maker() {
    let faults = proofs::faults(&sources("src"));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_glossary_names_what_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/glossary.md")).expect("the words");
    let texts: Vec<_> = sources("src").into_iter().map(|(_, text)| text).collect();
    let rows = page.lines().filter(|line| line.starts_with("| ")).skip(2);
    let named: Vec<_> =
        rows.filter_map(|row| row.rsplit(" | ").next()).flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 40, "{named:?}");
    let is_defined = |name: &str| {
        ["struct", "enum", "trait"].iter().any(|kind| texts.iter().any(|text| text.contains(&format!("{kind} {name}"))))
    };
    let missing: Vec<_> = named
        .iter()
        .filter(|word| {
            let word = word.split("::").next().unwrap_or_default();
            if word.starts_with(|c: char| c.is_ascii_uppercase()) {
                !is_defined(word)
            } else {
                !word.contains(['[', '.']) && !root.join("src").join(word).exists()
                    || word.ends_with(".rs") && !root.join("src").join(word).exists() && !root.join(word).exists()
            }
        })
        .collect();
    assert!(missing.is_empty(), "docs/glossary.md names what is not there: {missing:?}");
}

#[test]
fn a_lock_is_taken_in_one_way() {
    // The writer of the log waits on a condition variable, which gives its guard back in the same form.
    let may = ["src/sync.rs", "src/telemetry/sink.rs"];
    let wrong: Vec<_> = sources("src")
        .into_iter()
        .filter(|(path, text)| text.contains("PoisonError") && !may.iter().any(|file| path.ends_with(file)))
        .map(|(path, _)| format!("{}: take locks by `crate::sync`", path.display()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_wildcard_hides_a_new_error_or_refusal() {
    let faults = matches::faults(&sources("src"));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_request_sees_one_configuration_and_one_time() {
    let faults = snapshots::faults(&sources("src"));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
