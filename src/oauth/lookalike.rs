//! Names that look like another's: what a stranger calls himself to be taken for somebody that the user trusts (RG-05).

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

/// Returns whether `name` contains the words of `known`, or words that only look like them.
#[must_use]
pub fn resembles(name: &str, known: &str) -> bool {
    let known: Vec<String> = forms(known).map(|words| words.concat()).into_iter().filter(|w| !w.is_empty()).collect();
    forms(name).iter().any(|words| known.iter().any(|known| has_run(words, known)))
}

/// Returns the known application whose name is borrowed: spelled with letters of another alphabet, or spelled out while
/// the code goes to a `host` that is not its own. `None` as host: to the user's own machine, where nobody can tell.
#[must_use]
pub fn borrowed_brand(name: &str, host: Option<&str>) -> Option<&'static str> {
    BRANDS.iter().find(|(brand, homes)| resembles(name, brand) && !is_its_own(name, host, brand, homes)).map(|b| b.0)
}

fn is_its_own(name: &str, host: Option<&str>, brand: &str, homes: &[&str]) -> bool {
    let at_home = |host: &str| {
        let below = |home: &str| host.strip_suffix(home).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        homes.iter().any(|home| below(home))
    };
    !homes.is_empty()
        && has_run(&words(&name.to_lowercase()), &words(&brand.to_lowercase()).concat())
        && host.is_none_or(at_home)
}

/// The words of a name as they look, in two ways: a capital looks like other letters than the small one does.
fn forms(name: &str) -> [Vec<String>; 2] {
    // Signs above and below letters are left out: a reader overlooks them.
    let bare: String = name.nfkd().filter(|c| !is_combining_mark(*c)).collect();
    let seen = |text: &str| words(&skeleton(text).collect::<String>().to_lowercase());
    [seen(&bare), seen(&bare.to_lowercase())]
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Whether words next to each other make up `wanted`: "Chat GPT" does, "Precursor" is no "Cursor".
fn has_run(words: &[String], wanted: &str) -> bool {
    (0..words.len()).any(|first| {
        let mut rest = wanted;
        for word in words.iter().skip(first) {
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
        for name in ["Loopback", "Snoop", "Lop", "", "!!!"] {
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
        ] {
            assert_eq!(borrowed_brand(name, host), borrowed, "{name} at {host:?}");
        }
    }
}
