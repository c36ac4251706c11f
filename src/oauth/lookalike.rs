//! Names that look like another's: what a stranger calls himself to be taken for somebody that the user trusts (RG-05).
//!
//! Seen through are the confusable and compatible characters of Unicode and those of `DRAWN`. Not seen are letters of
//! other scripts that are drawn like Latin ones without standing in a table, letters that are left out, added or
//! exchanged ("Cluade", "Cl4ude"), and words put before a name without a space ("TheClaude").

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use unicode_security::confusable_detection::skeleton;

/// Applications that many users know, and the domains where their owners receive codes. The last has none: it is what
/// our own page says of those that it vouches for.
const BRANDS: &[(&str, &[&str])] = &[
    ("Claude", &["claude.ai", "claude.com", "anthropic.com"]),
    ("Anthropic", &["claude.ai", "claude.com", "anthropic.com"]),
    ("ChatGPT", &["chatgpt.com", "openai.com"]),
    ("OpenAI", &["chatgpt.com", "openai.com"]),
    ("Copilot", &["github.com", "microsoft.com", "vscode.dev"]),
    ("GitHub", &["github.com", "vscode.dev"]),
    ("Microsoft", &["microsoft.com", "microsoftonline.com", "vscode.dev"]),
    ("Visual Studio Code", &["vscode.dev"]),
    ("VS Code", &["vscode.dev"]),
    ("Cursor", &["cursor.com", "cursor.sh"]),
    ("Gemini", &["google.com"]),
    ("Google", &["google.com"]),
    ("Added by your administrator", &[]),
];

/// Letters that the tables of Unicode (confusables of UTS 39, compatibility) keep apart from the Latin ones they are drawn
/// like: small capitals of phonetics, syllabics of Canada, upright strokes, and the rounded e of other alphabets.
const DRAWN: &[(char, &str)] = &[
    ('a', "\u{1d00}\u{15e9}"),
    ('b', "\u{299}"),
    ('c', "\u{1d04}\u{1455}"),
    ('d', "\u{1d05}\u{15ea}"),
    ('e', "\u{1d07}\u{15f4}\u{454}\u{404}\u{25b}\u{190}\u{3b5}"),
    ('f', "\u{a730}"),
    ('g', "\u{262}"),
    ('h', "\u{29c}"),
    ('i', "\u{26a}"),
    ('j', "\u{1d0a}"),
    ('k', "\u{1d0b}"),
    (
        'l',
        "\u{29f}\u{4e28}\u{2f01}\u{31d1}\u{3163}\u{ffdc}\u{1175}\u{23d0}\u{2502}\u{2503}\u{ffe8}\u{2758}\u{2759}\u{fe31}\u{fe33}\u{258f}",
    ),
    ('m', "\u{1d0d}"),
    ('n', "\u{274}"),
    ('o', "\u{1d0f}"),
    ('p', "\u{1d18}"),
    ('q', "\u{a7af}"),
    ('r', "\u{280}"),
    ('s', "\u{a731}"),
    ('t', "\u{1d1b}"),
    ('u', "\u{1d1c}"),
    ('v', "\u{1d20}"),
    ('w', "\u{1d21}"),
    ('y', "\u{28f}"),
    ('z', "\u{1d22}"),
];

/// Returns whether `name` contains the words of `known`, or words that only look like them.
#[must_use]
pub fn resembles(name: &str, known: &str) -> bool {
    looks(name, known, Ending::Whole)
}

/// Returns the known application whose name is borrowed: spelled with letters of another alphabet, or spelled out by a
/// client that has another `host` than its owners: where the code goes, or, when that is the user's own machine, where
/// the client's document is. `None` as host: nobody can tell whose the client is. What is hung on to a name
/// ("ClaudeAI") still lends it.
#[must_use]
pub fn borrowed_brand(name: &str, host: Option<&str>) -> Option<&'static str> {
    let borrows =
        |brand: &str, homes: &[&str]| looks(name, brand, Ending::Any) && !is_its_own(name, host, brand, homes);
    BRANDS.iter().find(|(brand, homes)| borrows(brand, homes)).map(|b| b.0)
}

fn is_its_own(name: &str, host: Option<&str>, brand: &str, homes: &[&str]) -> bool {
    let at_home = |host: &str| {
        let below = |home: &str| host.strip_suffix(home).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        homes.iter().any(|home| below(home))
    };
    let brand = words(&brand.to_lowercase()).concat();
    let spells = |name: &str| has_run(&words(&name.to_lowercase().nfc().collect::<String>()), &brand, Ending::Any);
    !homes.is_empty() && (spells(name) || spells(&without_numbers(name))) && host.is_none_or(at_home)
}

fn looks(name: &str, known: &str, ending: Ending) -> bool {
    let known = forms(known).map(|words| words.concat());
    let known: Vec<_> = known.iter().filter(|known| !known.is_empty()).collect();
    // "1oop" looks like "Loop", and "1Loop" is one of its own.
    [name, &without_numbers(name)]
        .into_iter()
        .flat_map(forms)
        .any(|words| known.iter().any(|known| has_run(&words, known, ending)))
}

/// The name without the digits that its words begin with.
fn without_numbers(name: &str) -> String {
    let mut in_word = false;
    let stays = |c: &char| {
        if !in_word && c.is_numeric() {
            return false;
        }
        if !is_combining_mark(*c) {
            in_word = c.is_alphanumeric();
        }
        true
    };
    name.chars().filter(stays).collect()
}

/// The Latin letter that a character is drawn like, when only `DRAWN` says so or it is one on a coloured ground; or itself.
fn as_drawn(c: char) -> char {
    // Negative circled and squared letters, and those that flags are made of.
    let first = match c {
        '\u{1f150}'..='\u{1f169}' => 0x1f150,
        '\u{1f170}'..='\u{1f189}' => 0x1f170,
        '\u{1f1e6}'..='\u{1f1ff}' => 0x1f1e6,
        c if c.is_ascii() => return c,
        c => return DRAWN.iter().find(|(_, others)| others.contains(c)).map_or(c, |(letter, _)| *letter),
    };
    char::from_u32(u32::from('a') + u32::from(c) - first).unwrap_or(c)
}

/// The words of a name as they look, in two ways: some letters of other alphabets look like one Latin letter and are
/// compatible with another (U+03F9 looks like C, and its compatibility mapping does not).
fn forms(name: &str) -> [Vec<String>; 2] {
    let compatible = |text: &str| text.nfkd().collect::<String>();
    let drawn: String = name.chars().map(as_drawn).collect();
    [seen(&compatible(&drawn)), seen(&compatible(&skeleton(&drawn).collect::<String>()))]
}

fn seen(text: &str) -> Vec<String> {
    // Signs above and below letters are left out: a reader overlooks them.
    let bare = |text: &str| text.nfkd().filter(|c| !is_combining_mark(*c)).collect::<String>();
    // A capital looks like other letters than the small one does: first as it is, then small.
    let small = bare(&skeleton(&bare(text)).collect::<String>()).to_lowercase();
    // The skeleton tells the small i from l, which many fonts and readers do not.
    let folded = small.replace(['i', '1', '|'], "l");
    words(&bare(&skeleton(&folded).collect::<String>()))
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && !is_combining_mark(c))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Where the words that are looked for may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// With a word.
    Whole,
    /// Within a word.
    Any,
}

/// Whether words next to each other make up `wanted`: "Chat GPT" does, "Precursor" is no "Cursor".
fn has_run(words: &[String], wanted: &str, ending: Ending) -> bool {
    (0..words.len()).any(|first| {
        let mut rest = wanted;
        for word in words.iter().skip(first) {
            // A mark makes another letter of the last one.
            let goes_on = |after: &str| !after.starts_with(is_combining_mark);
            if ending == Ending::Any && word.strip_prefix(rest).is_some_and(goes_on) {
                return true;
            }
            match rest.strip_prefix(word.as_str()) {
                Some("") => return true,
                Some(more) => rest = more,
                None => return false,
            }
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rg_05_a_name_is_known_again_under_its_disguises() {
        for name in [
            "Loop",
            "loop",
            "LOOP",
            "L\u{43e}\u{43e}p",
            "L00p",
            "Lo\u{f6}p",
            "Lo o\u{301}p",
            "\u{ff2c}\u{ff4f}\u{ff4f}\u{ff50}",
            "Loop (official)",
            "The Loop",
            "|oop",
            "1oop",
            "1Loop",
            "\u{2460}\u{2461} Loop",
            "7.5Loop",
            "\u{29f}\u{1d0f}\u{1d0f}\u{1d18}",
            "\u{4e28}oop",
        ] {
            assert!(resembles(name, "Loop"), "{name}");
        }
        for name in ["Loopback", "Snoop", "Lop", "", "!!!", "42", "x1Loop"] {
            assert!(!resembles(name, "Loop"), "{name}");
            assert!(!resembles("Loop", name), "{name}");
        }
    }

    #[test]
    fn rg_05_a_brand_is_its_owners_by_its_host_alone() {
        for (name, host, borrowed) in [
            ("Claude", Some("claude.ai"), None),
            ("Claude", Some("api.claude.com"), None),
            ("Claude Code", None, None),
            ("Claude", Some("evil.example"), Some("Claude")),
            ("Claude", Some("notclaude.ai"), Some("Claude")),
            ("Claude", Some("claude.ai.evil.example"), Some("Claude")),
            ("\u{421}laude", Some("claude.ai"), Some("Claude")),
            ("\u{421}l\u{430}ud\u{435}", None, Some("Claude")),
            ("CIaude", None, Some("Claude")),
            ("Claud\u{e9}", None, Some("Claude")),
            ("Chat GPT", Some("evil.example"), Some("ChatGPT")),
            ("VS Code", Some("vscode.dev"), None),
            ("Precursor", Some("pre.example"), None),
            ("Added by your administrator", None, Some("Added by your administrator")),
            ("Tea & Co", Some("tea.example"), None),
            ("ClaudeAI", Some("evil.example"), Some("Claude")),
            ("ClaudeAI", Some("claude.ai"), None),
            ("VS Codex", Some("evil.example"), Some("VS Code")),
            ("Ciaude", Some("evil.example"), Some("Claude")),
            ("Ciaude", Some("claude.ai"), Some("Claude")),
            ("C1aude", None, Some("Claude")),
            ("\u{3f9}laude", Some("evil.example"), Some("Claude")),
            ("GE\u{41c}INI", Some("evil.example"), Some("Gemini")),
            ("Microsoft Copi1ot", Some("microsoft.com"), Some("Copilot")),
            ("\u{1d04}\u{29f}\u{1d00}\u{1d1c}\u{1d05}\u{1d07}", Some("claude.ai"), Some("Claude")),
            ("C\u{29f}aude", None, Some("Claude")),
            ("\u{1f152}\u{1f15b}\u{1f150}\u{1f164}\u{1f153}\u{1f154}", None, Some("Claude")),
            ("\u{1f172}\u{1f17b}\u{1f170}\u{1f184}\u{1f173}\u{1f174}", None, Some("Claude")),
            ("\u{1f1e8}\u{1f1f1}\u{1f1e6}\u{1f1fa}\u{1f1e9}\u{1f1ea}", None, Some("Claude")),
            ("\u{1455}laude", None, Some("Claude")),
            ("\u{1455}\u{14aa}\u{15e9}\u{144c}\u{15ea}\u{15f4}", None, Some("Claude")),
            ("Claud\u{454}", None, Some("Claude")),
            ("CLAUD\u{404}", None, Some("Claude")),
            ("C\u{4e28}aude", None, Some("Claude")),
            ("C\u{3163}aude", None, Some("Claude")),
            ("C\u{23d0}aude", None, Some("Claude")),
            ("1Claude", Some("evil.example"), Some("Claude")),
            ("1Claude", Some("claude.ai"), None),
            ("\u{2460}Claude", Some("evil.example"), Some("Claude")),
            ("4\u{ff27}oogle", Some("evil.example"), Some("Google")),
            ("3D Cursive", Some("tea.example"), None),
            ("My incursion", Some("tea.example"), None),
        ] {
            assert_eq!(borrowed_brand(name, host), borrowed, "{name} at {host:?}");
        }
    }
}
