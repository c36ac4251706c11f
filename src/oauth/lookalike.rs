//! Detects names that look like another's, chosen by strangers to be mistaken for something that the user trusts
//! (RG-05).
//!
//! Recognised are the confusable and compatible characters of Unicode and those of `DRAWN`. Not recognised are letters
//! of other scripts that are in no table, letters that are left out, added or exchanged ("Cluade", "Cl4ude"), and words
//! before a name without a space ("TheClaude").

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use unicode_security::confusable_detection::skeleton;

/// Widely known applications, and the hosts where their owners receive codes; a host that begins with a dot also stands
/// for all hosts below it. At some hosts below google.com and github.com anybody can receive a code (scripts at
/// script.google.com) or publish pages (sites.google.com), so their exact hosts are listed. The last entry has no host:
/// it is the wording with which our own page marks verified clients.
const BRANDS: &[(&str, &[&str])] = &[
    ("Claude", &[".claude.ai", ".claude.com", ".anthropic.com"]),
    ("Anthropic", &[".claude.ai", ".claude.com", ".anthropic.com"]),
    ("ChatGPT", &[".chatgpt.com", ".openai.com"]),
    ("OpenAI", &[".chatgpt.com", ".openai.com"]),
    ("Copilot", &["github.com", ".microsoft.com", ".vscode.dev"]),
    ("GitHub", &["github.com", ".vscode.dev"]),
    ("Microsoft", &[".microsoft.com", ".microsoftonline.com", ".vscode.dev"]),
    ("Visual Studio Code", &[".vscode.dev"]),
    ("VS Code", &[".vscode.dev"]),
    ("Cursor", &[".cursor.com", ".cursor.sh"]),
    ("Gemini", &["gemini.google.com", "vertexaisearch.cloud.google.com"]),
    ("Google", &["gemini.google.com", "vertexaisearch.cloud.google.com"]),
    ("Added by your administrator", &[]),
];

/// Letters that look like Latin ones although the tables of Unicode (confusables of UTS 39, compatibility) do not say
/// so: phonetic small capitals, Canadian syllabics, upright strokes, and the rounded e of other alphabets.
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

/// Minimum length of a name that is also found at the beginning of a longer word: "Go" does not match "Google".
const LONG_ENOUGH: usize = 4;

/// Returns whether `name` contains the words of `known`, or words that only look like them. A suffix to a name of four
/// letters or more ("AcmeAI") still counts as that name.
#[must_use]
pub fn resembles(name: &str, known: &str) -> bool {
    let is_long = known.chars().filter(|c| c.is_alphanumeric()).count() >= LONG_ENOUGH;
    looks(name, known, if is_long { MatchEnd::Any } else { MatchEnd::Whole })
}

/// Returns the known application whose name a client borrows, either with letters of another alphabet or with the plain
/// name but a `host` that is not the owner's. The host is where the code goes or, if that is the user's own machine,
/// where the client's document is; `None` when there is neither. A suffix ("ClaudeAI") still counts as the name.
#[must_use]
pub fn borrowed_brand(name: &str, host: Option<&str>) -> Option<&'static str> {
    let borrows =
        |brand: &str, homes: &[&str]| looks(name, brand, MatchEnd::Any) && !is_its_own(name, host, brand, homes);
    BRANDS.iter().find(|(brand, homes)| borrows(brand, homes)).map(|b| b.0)
}

fn is_its_own(name: &str, host: Option<&str>, brand: &str, homes: &[&str]) -> bool {
    let is_home = |host: &str, home: &str| match home.strip_prefix('.') {
        Some(domain) => host == domain || host.ends_with(home),
        None => host == home,
    };
    let at_home = |host: &str| homes.iter().any(|home| is_home(host, home));
    let brand = words(&brand.to_lowercase()).concat();
    let spells = |name: &str| has_run(&words(&name.to_lowercase().nfc().collect::<String>()), &brand, MatchEnd::Any);
    !homes.is_empty() && (spells(name) || spells(&without_numbers(name))) && host.is_none_or(at_home)
}

fn looks(name: &str, known: &str, ending: MatchEnd) -> bool {
    let known = appearances(known).map(|words| words.concat());
    let known: Vec<_> = known.iter().filter(|known| !known.is_empty()).collect();
    // "1oop" looks like "Loop", and "1Loop" begins with a number.
    [name, &without_numbers(name)]
        .into_iter()
        .flat_map(appearances)
        .any(|words| known.iter().any(|known| has_run(&words, known, ending)))
}

/// Returns a name without the digits that its words begin with.
fn without_numbers(name: &str) -> String {
    let mut in_word = false;
    let stays = |c: &char| {
        if !in_word && c.is_numeric() {
            return false;
        }
        if !is_combining_mark(*c) {
            // "|" is no letter, but it looks like one: "V|0" has no word that begins with a number.
            in_word = appearances(c.encode_utf8(&mut [0; 4])).iter().any(|words| !words.is_empty());
        }
        true
    };
    name.chars().filter(stays).collect()
}

/// Returns the Latin letter that a character looks like, if it is in `DRAWN` or a letter on a coloured background; else
/// the character itself.
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

/// Returns the words of a name by their appearance, in two variants: some letters of other alphabets look like one
/// Latin letter and have another as compatibility mapping (U+03F9 looks like C, but maps to something else).
fn appearances(name: &str) -> [Vec<String>; 2] {
    let compatible = |text: &str| text.nfkd().collect::<String>();
    let drawn: String = name.chars().map(as_drawn).collect();
    [seen(&compatible(&drawn)), seen(&compatible(&skeleton(&drawn).collect::<String>()))]
}

fn seen(text: &str) -> Vec<String> {
    // Marks above and below letters are left out: readers overlook them.
    let bare = |text: &str| text.nfkd().filter(|c| !is_combining_mark(*c)).collect::<String>();
    // An upper-case letter resembles other letters than its lower case does, so the skeleton is taken before and after
    // lowercasing.
    let small = bare(&skeleton(&bare(text)).collect::<String>()).to_lowercase();
    // The skeleton distinguishes lower-case i from l, which many fonts and readers do not.
    let folded = small.replace(['i', '1', '|'], "l");
    words(&bare(&skeleton(&folded).collect::<String>()))
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && !is_combining_mark(c))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Where a match may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MatchEnd {
    /// Only at the end of a word.
    Whole,
    /// Also within a word.
    Any,
}

/// Returns whether adjacent words make up `wanted`: "Chat GPT" matches "ChatGPT", "Precursor" does not match "Cursor".
fn has_run(words: &[String], wanted: &str, ending: MatchEnd) -> bool {
    (0..words.len()).any(|first| {
        let mut rest = wanted;
        for word in words.iter().skip(first) {
            // A following combining mark turns the last letter into another one.
            let goes_on = |after: &str| !after.starts_with(is_combining_mark);
            if ending == MatchEnd::Any && word.strip_prefix(rest).is_some_and(goes_on) {
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
        for name in ["Snoop", "Lop", "", "!!!", "42", "x1Loop"] {
            assert!(!resembles(name, "Loop"), "{name}");
            assert!(!resembles("Loop", name), "{name}");
        }
        assert!(resembles("AcmeAI", "Acme") && resembles("\u{410}cme-Sales", "Acme") && resembles("Loopback", "Loop"));
        assert!(!resembles("Pacme", "Acme") && !resembles("Acme", "AcmeAI"));
        // A short name would match many others.
        assert!(resembles("Go away", "Go") && !resembles("Google", "Go"));
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
            ("GitHub Copilot", Some("github.com"), None),
            ("GitHub Copilot", Some("gist.github.com"), Some("Copilot")),
            ("Gemini", Some("gemini.google.com"), None),
            ("Gemini Enterprise", Some("vertexaisearch.cloud.google.com"), None),
            ("Gemini", Some("script.google.com"), Some("Gemini")),
            ("Google", Some("sites.google.com"), Some("Google")),
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
