//! docs/threat-model.md against the tests: each case of the catalogue has a test that carries its id, or a reason why
//! it has none. A failure means that the document promises something that no test checks. `MCPGATE_BLESS=1` rewrites
//! its table.

#![allow(clippy::expect_used, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The catalogue: group, subject, the numbers in use.
const CATALOGUE: &[(&str, &str, &[u8])] = &[
    (
        "AZ",
        "the authorization endpoint and redirect URIs",
        &[1, 2, 4, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32],
    ),
    ("PK", "code challenges", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    ("CR", "redemption of codes", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16]),
    ("RT", "refresh tokens", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]),
    ("CA", "client authentication", &[2, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
    ("RG", "registration", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]),
    (
        "CI",
        "client metadata documents and how they are fetched",
        &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21],
    ),
    (
        "CN",
        "consent and forged posts",
        &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24],
    ),
    ("TE", "tokens that no person asks for", &[9, 10, 11, 12, 18]),
    ("IR", "introspection", &[1, 2, 3, 7]),
    ("RV", "revocation", &[2, 3, 4, 5, 6]),
    ("LI", "login", &[2, 3, 4, 7, 8, 11]),
    (
        "TV",
        "the token check of requests to upstreams",
        &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 24],
    ),
    ("AK", "API keys", &[1, 2, 3, 4, 5, 6]),
    ("MD", "metadata and host names of the gateway", &[1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12]),
    ("HS", "HTTP/1.1 framing and paths", &[1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]),
    ("HD", "forwarded headers", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
    ("MC", "MCP messages", &[1, 3, 4, 5, 6, 8, 9, 11, 12, 13, 14, 15]),
    ("H2", "HTTP/2", &[1, 3, 5, 7, 8, 9, 10, 12]),
    ("DS", "slow, large and numerous requests", &[1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
    ("SC", "scopes and rules", &[1, 2, 3, 6, 8, 9, 10, 11, 12, 13, 14]),
    ("PN", "pinned tools", &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("AN", "requests without a token", &[1, 2, 3, 4, 5, 6]),
    ("SS", "event streams", &[1, 2, 3, 4, 5, 6, 8, 9, 10]),
    ("TL", "TLS", &[1, 2, 3, 4, 5, 7, 8, 9, 12]),
    ("UP", "misbehaving upstreams", &[1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18]),
    ("ST", "the store", &[1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19]),
    ("AD", "administration", &[4]),
    ("AU", "the audit trail", &[3, 4]),
    ("CK", "clocks", &[2, 3, 5]),
    ("CF", "configuration and start", &[1, 2, 3, 5, 6, 7, 8, 9]),
    ("LK", "leaks", &[1, 2, 4, 5, 6, 7, 8, 9, 10, 11]),
];

/// Terms of the field that look like an id.
const TERMS: &[&str] = &[
    "AES-128", "AES-256", "CRC-32", "ES256", "ES384", "ES512", "H2", "HS256", "O3", "P-256", "PS256", "RS256", "S256",
    "SHA-256", "SHA-384", "SHA-512", "UTF-8",
];

const BEGIN: &str = "<!-- the table below is written by tests/threat_model.rs -->";
const END: &str = "<!-- end of the table -->";

/// Begins a row about the untested part of a case.
const PART: &str = "part of ";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<PathBuf> {
    files(&["src", "tests"], &["rs", "mjs"])
}

/// The files in these folders of the project whose names have one of these endings.
fn files(folders: &[&str], kinds: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("node_modules") {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kinds.iter().any(|one| kind == *one)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The ids at the beginning of a test's name: `cr_01_rt_03_no_second_use` carries two.
fn ids_of_function(name: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let words: Vec<_> = name.split('_').collect();
    for pair in words.chunks(2) {
        match pair {
            [group, number] if is_id(group, number) => ids.push(format!("{}-{number}", group.to_ascii_uppercase())),
            _ => break,
        }
    }
    ids
}

fn is_id(group: &str, number: &str) -> bool {
    group.len() == 2 && number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The ids in the title of a browser test: `'... (LK-09)'`.
fn ids_of_title(title: &str) -> Vec<String> {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words
        .filter(|word| word.split_once('-').is_some_and(|(group, number)| is_id(group, number)))
        .map(str::to_owned)
        .collect()
}

/// A test as the table shows it, and its file.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Test {
    name: String,
    file: String,
}

/// Id, and the tests that carry it.
fn tests() -> BTreeMap<String, BTreeSet<Test>> {
    let mut tests: BTreeMap<String, BTreeSet<Test>> = BTreeMap::new();
    for path in sources() {
        let text = std::fs::read_to_string(&path).expect("a source file can be read");
        let short = path.strip_prefix(root()).expect("below the manifest").display().to_string();
        for line in text.lines().map(str::trim_start) {
            let (ids, name) = if let Some(rest) = line.trim_start_matches("async ").strip_prefix("fn ") {
                let name = rest.split(['(', '<']).next().unwrap_or_default();
                (ids_of_function(name), format!("`{name}`"))
            } else if let Some(rest) = line.strip_prefix("test('") {
                let title = rest.split("'").next().unwrap_or_default();
                (ids_of_title(title), format!("“{title}”"))
            } else {
                continue;
            };
            for id in ids {
                tests.entry(id).or_default().insert(Test { name: name.clone(), file: short.clone() });
            }
        }
    }
    tests
}

fn document() -> String {
    std::fs::read_to_string(root().join("docs/threat-model.md")).expect("docs/threat-model.md can be read")
}

/// The ids with a reason, from the rows of the document outside the generated table; with `PART` before them, those of
/// cases that have tests for the rest.
fn reasons(document: &str, prefix: &str) -> BTreeSet<String> {
    let (before, rest) = document.split_once(BEGIN).expect("the table begins");
    let after = rest.split_once(END).expect("the table ends").1;
    let rows = before.lines().chain(after.lines()).filter_map(|line| line.strip_prefix("| "));
    rows.filter_map(|row| row.split(" |").next()?.strip_prefix(prefix))
        .flat_map(|ids| ids.split(", ").map(str::to_owned).collect::<Vec<_>>())
        .filter(|id| id.split_once('-').is_some_and(|(group, number)| is_id(group, number)))
        .collect()
}

fn table(tests: &BTreeMap<String, BTreeSet<Test>>) -> String {
    let mut table = String::new();
    for (group, about, numbers) in CATALOGUE {
        write!(table, "\n### {group}: {about}\n\n| case | tests |\n| --- | --- |\n").expect("a string takes all");
        for number in *numbers {
            let id = format!("{group}-{number:02}");
            if let Some(names) = tests.get(&id) {
                let names: Vec<_> = names.iter().map(|test| format!("{} ({})", test.name, test.file)).collect();
                writeln!(table, "| {id} | {} |", names.join("<br>")).expect("a string takes all");
            }
        }
    }
    table
}

#[test]
fn the_table_is_that_of_the_sources() {
    let text = document();
    let (before, rest) = text.split_once(BEGIN).expect("the table begins");
    let (_, after) = rest.split_once(END).expect("the table ends");
    let expected = format!("{before}{BEGIN}\n{}\n{END}{after}", table(&tests()));
    if std::env::var_os("MCPGATE_BLESS").is_some() {
        std::fs::write(root().join("docs/threat-model.md"), &expected).expect("the document can be written");
    }
    assert!(text == expected || document() == expected, "run MCPGATE_BLESS=1 cargo test --test threat_model");
}

#[test]
fn every_case_has_a_test_or_a_reason() {
    let (tests, parts, reasons) = (tests(), reasons(&document(), PART), reasons(&document(), ""));
    let cases = CATALOGUE.iter().flat_map(|(group, _, numbers)| numbers.iter().map(move |n| format!("{group}-{n:02}")));
    let cases: BTreeSet<_> = cases.collect();
    let missing: Vec<_> = cases.iter().filter(|id| !tests.contains_key(*id) && !reasons.contains(*id)).collect();
    assert!(missing.is_empty(), "neither tested nor explained: {missing:?}");
    let outdated: Vec<_> = reasons.iter().filter(|id| tests.contains_key(*id)).collect();
    assert!(outdated.is_empty(), "explained as untested although a test carries the id: {outdated:?}");
    let bare: Vec<_> = parts.iter().filter(|id| !tests.contains_key(*id)).collect();
    assert!(bare.is_empty(), "explained in part although no test carries the id: {bare:?}");
    let invented: Vec<_> = reasons.union(&parts).filter(|id| !cases.contains(*id)).collect();
    assert!(invented.is_empty(), "not in the catalogue: {invented:?}");
}

/// The layer of a test file: the module of the program, with its folder below `tests`. None for tests of the whole
/// program from outside.
fn layer(file: &str) -> Option<&str> {
    let (top, rest) = file.split_once('/')?;
    let part = rest.split(['/', '.']).next()?;
    match (top, part) {
        ("tests", "outside" | "cli" | "clients") => None,
        (_, "oauth" | "mcp" | "properties") => Some("rules"),
        (_, "administration") => Some("issuer"),
        (_, "store_contract") => Some("store"),
        (_, "configuration") => Some("config"),
        (_, "token_cache") => Some("proxy"),
        _ => Some(part),
    }
}

/// Where a test goes: see the map in `src/lib.rs`.
#[test]
fn a_case_has_one_layer_and_at_most_one_test_outside() {
    for (id, tests) in tests() {
        let layers: BTreeSet<_> = tests.iter().filter_map(|test| layer(&test.file)).collect();
        let outside: Vec<_> = tests.iter().filter(|test| layer(&test.file).is_none()).map(|test| &test.name).collect();
        assert!(
            layers.len() <= 1 && outside.len() <= 1,
            "{id} is said in {layers:?} and outside in {outside:?}: delete what says the same again, and name what \
             shows something of its own for that, without the id"
        );
    }
}

/// The words of a text that look like an id: one to three letters or a letter and a digit, perhaps a hyphen, and
/// digits.
fn like_ids(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.+/%".contains(c);
    let looks = |word: &&str| {
        let (group, number) = word.split_once('-').unwrap_or_else(|| word.split_at(word.find(digit).unwrap_or(0)));
        let is_group = (1..=3).contains(&group.len()) && group.starts_with(|c: char| c.is_ascii_uppercase());
        is_group
            && group.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            && (1..=3).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let words = text.split(|c: char| !is_part(c)).map(|word| word.trim_matches(['.', '-', '/', '+']));
    words.filter(looks).map(str::to_owned).collect()
}

fn digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// The id that the beginning of a test's name stands for: `g15_` and `g_15_` are `G-15`.
fn like_id_of_function(name: &str) -> Option<String> {
    let mut words = name.split('_');
    let (first, second) = (words.next()?, words.next()?);
    let id = match first.find(digit) {
        Some(at) if first.len() < 6 && second.parse::<u8>().is_err() => {
            first.to_uppercase().split_at(at).0.to_owned() + &first[at..]
        }
        _ if second.len() < 4 && second.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{}-{second}", first.to_uppercase())
        }
        _ => return None,
    };
    (!like_ids(&id).is_empty()).then_some(id)
}

#[test]
fn what_looks_like_an_id_is_seen() {
    assert_eq!(like_ids("G15: none (D12, AZ-01) of A-7 or SC-01."), ["G15", "D12", "AZ-01", "A-7", "SC-01"]);
    assert!(
        like_ids("RFC 7591, HTTP/2, P-2-x, draft-00, 2026-07-28, x86_64, U+03F9, %C3%A9, IPv6, v1, A9b").is_empty()
    );
    let of = |name| like_id_of_function(name).unwrap_or_default();
    assert_eq!(of("g15_no_switch"), "G15");
    assert_eq!(of("a_47_what"), "A-47");
    assert_eq!(of("az_01_what"), "AZ-01");
    assert_eq!(of("h2_10_what"), "H2-10");
    for name in ["rfc_7591_what", "a_token_is_new", "no_second_use", "p1"] {
        assert_eq!(of(name), "", "{name}");
    }
}

/// The comments of a source file; of a page, the whole text.
fn prose(path: &Path, text: &str) -> String {
    let mark = match path.extension().and_then(|kind| kind.to_str()) {
        Some("md") => return text.to_owned(),
        Some("py" | "toml") => "#",
        Some("sql") => "--",
        _ => "//",
    };
    let comments = text.lines().filter_map(|line| {
        let (before, comment) = line.split_once(mark)?;
        // The text after `https:` in a string is no comment.
        (!before.ends_with(':')).then_some(comment)
    });
    comments.collect::<Vec<_>>().join("\n")
}

/// The names of the tests of a file, with the first word of each.
fn names_of_tests(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[") {
            is_test |= line.contains("test");
        } else if let Some(rest) = line.trim_start_matches("async ").strip_prefix("fn ") {
            names.extend(is_test.then(|| rest.split(['(', '<']).next().unwrap_or_default()));
            is_test = false;
        } else if let Some(rest) = line.strip_prefix("def test_") {
            names.extend(rest.split('(').next());
        } else {
            is_test = false;
        }
    }
    names
}

#[test]
fn every_id_leads_to_the_catalogue() {
    let cases: BTreeSet<String> = CATALOGUE
        .iter()
        .flat_map(|(group, _, numbers)| numbers.iter().map(move |n| format!("{group}-{n:02}")))
        .collect();
    let is_known = |id: &String| cases.contains(id) || TERMS.contains(&id.as_str());
    let mut unknown = Vec::new();
    for path in files(&["src", "tests", "benches", "docs"], &["rs", "mjs", "py", "md", "sql"]) {
        let text = std::fs::read_to_string(&path).expect("a source file can be read");
        let names = names_of_tests(&text);
        let titles = text.lines().filter_map(|line| line.trim_start().strip_prefix("test('")?.split('\'').next());
        let mut ids = like_ids(&prose(&path, &text));
        ids.extend(names.iter().filter_map(|name| like_id_of_function(name)));
        ids.extend(titles.flat_map(like_ids));
        let own = path.ends_with("threat_model.rs");
        unknown.extend(ids.iter().filter(|id| !own && !is_known(id)).map(|id| format!("{id} in {}", path.display())));
        // "Chapter" does not say which document is meant.
        let chapters = names.iter().filter(|name| {
            name.split('_').any(|word| matches!(word, "appendix" | "chapter" | "section")) && !name.contains("rfc_")
        });
        unknown.extend(chapters.map(|name| format!("{name} in {}", path.display())));
    }
    assert!(unknown.is_empty(), "these ids lead nowhere: {unknown:#?}");
    let invented: Vec<String> = tests().into_keys().filter(|id| !cases.contains(id)).collect();
    assert!(invented.is_empty(), "tests carry ids that are not in the catalogue: {invented:?}");
}
