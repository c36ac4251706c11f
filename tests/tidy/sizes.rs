//! Maximum lengths of files.

use std::collections::BTreeMap;

use super::{imports, sources};

/// Maximum lines of a file below `src`.
const SOURCE: usize = 400;
/// Maximum lines of a hub, a file that many others name: each new feature lengthens it.
const HUB: usize = 300;
/// How many files must name a file to make it a hub.
const MANY: usize = 20;
/// Maximum lines of a test file.
const TESTS: usize = 500;

/// The lints that hold functions to 60 lines and five parameters.
const LINTS: [&str; 2] = ["clippy::too_many_lines", "clippy::too_many_arguments"];

#[test]
fn a_function_does_one_thing() {
    let breaks = |text: &str| LINTS.iter().any(|lint| text.contains(lint));
    let wrong: Vec<_> = ["src", "tests", "benches"]
        .into_iter()
        .flat_map(sources)
        .map(|(path, text)| (path.display().to_string(), text))
        .filter(|(file, text)| breaks(text) && file != "tests/tidy/sizes.rs")
        .map(|(file, _)| file)
        .collect();
    assert!(wrong.is_empty(), "cut functions by their steps, and take structs for what belongs together: {wrong:?}");
}

#[test]
fn a_file_holds_one_thing() {
    let source = sources("src");
    let mut named: BTreeMap<String, usize> = BTreeMap::new();
    for target in imports::graph(&source).into_values().flatten() {
        *named.entry(target).or_default() += 1;
    }
    let ceiling = |file: &str| match named.get(file) {
        Some(count) if *count >= MANY => HUB,
        Some(_) | None => SOURCE,
    };
    let source =
        source.iter().map(|(path, text)| (path.display().to_string(), text, ceiling(&path.display().to_string())));
    let tests = sources("tests");
    let tests = tests.iter().map(|(path, text)| (path.display().to_string(), text, TESTS));
    let long: Vec<_> = source
        .chain(tests)
        .map(|(file, text, most)| (file, text.lines().count(), most))
        .filter(|(_, lines, most)| lines > most)
        .map(|(file, lines, most)| {
            format!("{file}: {lines} lines; the limit is {most}: split it where its second subject begins")
        })
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
    assert!(named.values().any(|count| *count >= MANY), "no file is a hub: the look for them is broken");
}
