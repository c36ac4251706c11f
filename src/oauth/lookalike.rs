//! Detects names that look like another's, chosen by strangers to be mistaken for something that the user trusts
//! (RG-05).

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
    !homes.is_empty()
        && has_run(
            &words(&name.to_lowercase().nfc().collect::<String>()),
            &words(&brand.to_lowercase()).concat(),
            MatchEnd::Any,
        )
        && host.is_none_or(at_home)
}

fn looks(name: &str, known: &str, ending: MatchEnd) -> bool {
    let known = appearances(known).map(|words| words.concat());
    let known: Vec<_> = known.iter().filter(|known| !known.is_empty()).collect();
    appearances(name).iter().any(|words| known.iter().any(|known| has_run(words, known, ending)))
}

/// Returns the words of a name by their appearance, in two variants: some letters of other alphabets look like one
/// Latin letter and have another as compatibility mapping (U+03F9 looks like C, but maps to something else).
fn appearances(name: &str) -> [Vec<String>; 2] {
    let compatible = |text: &str| text.nfkd().collect::<String>();
    [seen(&compatible(name)), seen(&compatible(&skeleton(name).collect::<String>()))]
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
        ] {
            assert!(resembles(name, "Loop"), "{name}");
        }
        for name in ["Snoop", "Lop", "", "!!!"] {
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
            ("My incursion", Some("tea.example"), None),
        ] {
            assert_eq!(borrowed_brand(name, host), borrowed, "{name} at {host:?}");
        }
    }
}
