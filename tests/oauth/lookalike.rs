//! RG-05 as a property: a known name is recognized however it is spelled, and its owner may still use it.

use mcpgate::oauth::borrowed_brand;
use proptest::prelude::*;

/// Returns the characters that a reader cannot tell from a Latin letter.
fn twins(letter: char) -> Vec<String> {
    let small = letter.to_ascii_lowercase();
    let at = u32::from(small).wrapping_sub(u32::from('a'));
    // Full-width and mathematical bold letters look like the plain ones, and so do those in circles, boxes and flags.
    let moved =
        [0xff41, 0x1d41a, 0x1f150, 0x1f170, 0x1f1e6].map(|first| char::from_u32(first + at).unwrap().to_string());
    let others = match small {
        'a' => "\u{430}\u{1d00}\u{15e9}",
        'c' => "\u{441}\u{3f9}\u{3f2}\u{421}\u{1d04}\u{1455}",
        'd' => "\u{501}\u{1d05}\u{15ea}",
        'e' => "\u{435}\u{454}\u{1d07}\u{25b}",
        'g' => "\u{261}\u{262}",
        'h' => "\u{4bb}\u{29c}",
        'i' | 'l' => "ilI1|\u{456}\u{406}\u{4cf}\u{2113}\u{26a}\u{29f}\u{4e28}\u{3163}\u{23d0}",
        'm' => "\u{41c}\u{1d0d}",
        'o' => "0\u{43e}\u{3bf}\u{1d0f}",
        'p' => "\u{440}\u{1d18}",
        's' => "\u{455}\u{a731}",
        't' => "\u{422}\u{1d1b}",
        'u' => "\u{3c5}\u{1d1c}",
        'v' => "\u{3bd}\u{1d20}",
        _ => "",
    };
    let marked = [small.to_string(), small.to_ascii_uppercase().to_string(), format!("{small}\u{301}")];
    marked.into_iter().chain(moved).chain(others.chars().map(String::from)).collect()
}

const KNOWN: [(&str, &str); 6] = [
    ("Claude", "claude.ai"),
    ("ChatGPT", "chatgpt.com"),
    ("GitHub Copilot", "github.com"),
    ("Visual Studio Code", "vscode.dev"),
    ("Cursor", "cursor.com"),
    ("Gemini", "gemini.google.com"),
];

proptest! {
    #[test]
    fn rg_05_no_disguise_of_a_known_name_goes_without_a_warning(
        known in prop::sample::select(KNOWN.to_vec()), chosen in prop::collection::vec(any::<prop::sample::Index>(), 18),
        before in prop::sample::select(vec!["", "The ", "my ", "1", "2.0 ", "\u{2460}"]),
        after in prop::sample::select(vec!["", " ", "AI", " Code", "-2", " (official)"]),
    ) {
        let letter = |(c, at): (char, &prop::sample::Index)| match c {
            ' ' => " ".to_owned(),
            c => { let twins = twins(c); twins[at.index(twins.len())].clone() }
        };
        let written: String = known.0.chars().zip(&chosen).map(letter).collect();
        let name = format!("{before}{written}{after}");
        prop_assert!(borrowed_brand(&name, Some("evil.example")).is_some(), "{name}");
        // In plain letters a brand's name passes only for its own host and loopback; a look-alike never does.
        let plain = written.to_lowercase() == known.0.to_lowercase();
        for host in [Some(known.1), None] {
            prop_assert_eq!(borrowed_brand(&name, host).is_some(), !plain, "{}", name);
        }
    }

    #[test]
    fn rg_05_a_known_name_is_its_owners_at_home(
        known in prop::sample::select(KNOWN.to_vec()), upper in any::<bool>(),
        after in prop::sample::select(vec!["", "AI", " Code", " for work"]),
    ) {
        let name = format!("{}{after}", if upper { known.0.to_uppercase() } else { known.0.to_owned() });
        for host in [Some(known.1), None] {
            prop_assert_eq!(borrowed_brand(&name, host), None, "{}", name);
        }
        let stranger = format!("{}.evil.example", known.1);
        prop_assert!(borrowed_brand(&name, Some(&stranger)).is_some());
    }
}
