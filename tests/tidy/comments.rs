//! Doc comments say more than the name, and comments are as wide as the code at most.

use super::sources;

/// The minimum number of words of a doc comment: a shorter one only repeats a name.
const WORDS: usize = 3;

/// The folder in which a doc comment without a full stop is a help text of clap, such as "Print JSON".
const HELP: &str = "src/cli/";

/// Returns the doc comments of a text that are too short, with the number of their first line.
fn short(text: &str) -> Vec<(usize, String)> {
    let mut short = Vec::new();
    let mut current: Option<(usize, String)> = None;
    for (number, line) in text.lines().map(str::trim_start).chain([""]).enumerate() {
        let comment = line.strip_prefix("///").filter(|rest| !rest.starts_with('/'));
        match (comment, &mut current) {
            (Some(words), Some((_, all))) => all.push_str(words),
            (Some(words), None) => current = Some((number + 1, words.to_owned())),
            (None, _) => {
                let ended = current.take();
                short.extend(ended.filter(|(_, all)| all.split_whitespace().count() < WORDS));
            }
        }
    }
    short
}

#[test]
fn a_doc_comment_says_something() {
    let mut faults = Vec::new();
    for (path, text) in sources("src").into_iter().chain(sources("tests")).chain(sources("benches")) {
        let is_help = |words: &str| path.starts_with(HELP) && !words.ends_with('.');
        let said_short = short(&text).into_iter().filter(|(_, words)| !is_help(words));
        faults.extend(said_short.map(|(line, words)| format!("{}:{line}:{words}", path.display())));
    }
    assert!(faults.is_empty(), "say what it is, its unit and its range:\n{}", faults.join("\n"));
}

#[test]
fn a_short_doc_comment_is_found() {
    assert_eq!(short("/// Whose.\nfn a() {}\n/// The owner's id.\nfn b() {}\n/// PKCE\n").len(), 2);
    assert!(short("//// rule\n// Now.\n/// Begins on one line and\n/// ends.\n").is_empty());
}

/// `max_width` of `.rustfmt.toml`, which rustfmt does not apply to comments.
const WIDTH: usize = 120;

#[test]
fn no_comment_is_wider_than_the_code() {
    let mut wide = Vec::new();
    for (path, text) in sources("src").into_iter().chain(sources("tests")).chain(sources("benches")) {
        let lines = text.lines().enumerate();
        let comments = lines.filter(|(_, line)| line.trim_start().starts_with("//") && line.chars().count() > WIDTH);
        wide.extend(comments.map(|(number, _)| format!("{}:{}", path.display(), number + 1)));
    }
    assert!(wide.is_empty(), "wrap these comments at {WIDTH} characters:\n{}", wide.join("\n"));
}
