//! Names that strangers choose and our pages show: one line, NFC, nothing that hides or turns round.

use unicode_normalization::UnicodeNormalization as _;

/// Longer names push the rest of the consent page out of sight.
const MAX_CHARACTERS: usize = 100;

/// Cleans a name; `Some("")` when nothing is left, `None` when it is too long.
pub(super) fn clean(name: &str) -> Option<String> {
    // RG-05: characters that are not seen go first, or they would keep NFC from joining their neighbours.
    let visible: String =
        name.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| is_shown(*c)).collect();
    let normal: String = visible.nfc().collect();
    let line = normal.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    (line.chars().count() <= MAX_CHARACTERS).then_some(line)
}

/// Whether a character is neither a control, nor of zero width, nor a mark of direction, nor of private use.
fn is_shown(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rg_05_what_hides_or_turns_round_is_removed() {
        for (name, cleaned) in [
            ("VS Code", "VS Code"),
            ("  a\t\r\n b  ", "a b"),
            ("a\u{202e}b\u{2066}c", "abc"),
            ("a\u{200b}b\u{feff}c\u{ad}d", "abcd"),
            ("e\u{301}", "\u{e9}"),
            ("e\u{200d}\u{301}", "\u{e9}"),
            ("<b>x</b>", "<b>x</b>"),
            ("\u{0}\u{7f}\u{9b}", ""),
            ("a\u{e0041}b", "ab"),
        ] {
            assert_eq!(clean(name).as_deref(), Some(cleaned), "{name:?}");
        }
    }

    #[test]
    fn rg_03_a_hundred_characters_are_enough() {
        assert!(clean(&"\u{e9}".repeat(100)).is_some());
        assert!(clean(&"x".repeat(101)).is_none());
        assert!(clean(&"x".repeat(10_240)).is_none());
    }
}
