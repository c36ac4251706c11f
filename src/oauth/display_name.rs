//! Sanitizes names that strangers choose and our pages show: one line, NFC, no invisible or direction-changing
//! characters.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Maximum length: longer names push the rest of the consent page out of sight.
const MAX_CHARACTERS: usize = 100;

/// The most combining marks per letter: Vietnamese, Thai and pointed Hebrew have two. A stack of them covers the lines
/// above and below.
const MAX_MARKS: usize = 2;

/// Cleans a name; `Some("")` when nothing is left, `None` when it is longer than 100 characters or stacks too many
/// marks.
#[must_use]
pub fn clean(name: &str) -> Option<String> {
    // RG-05: invisible characters are removed first, or they would keep NFC from composing their neighbours.
    let visible: String =
        name.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| is_shown(*c)).collect();
    let normal: String = visible.nfc().collect();
    let line = normal.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    // A single ligature can stand for a whole phrase and be as wide, so it counts as its expansion.
    let short = line.nfkc().take(MAX_CHARACTERS + 1).count() <= MAX_CHARACTERS;
    (short && !has_heap_of_marks(&line)).then_some(line)
}

fn has_heap_of_marks(line: &str) -> bool {
    line.split(|c| !is_combining_mark(c)).any(|marks| marks.chars().count() > MAX_MARKS)
}

/// Returns whether a character may be shown: no controls, zero-width characters, direction marks, private-use
/// characters, or characters as wide as a phrase.
#[must_use]
pub fn is_shown(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{fdfd}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
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
        assert!(clean(&"\u{fdfa}".repeat(10)).is_none(), "ten sentences");
    }

    #[test]
    fn rg_05_a_letter_has_two_marks_at_most() {
        assert!(clean("\u{e17}\u{e35}\u{e48}").is_some(), "Thai");
        assert!(clean("\u{5d1}\u{5bc}\u{5b0}").is_some(), "Hebrew");
        assert!(clean(&"e\u{323}\u{302}".repeat(20)).is_some(), "Vietnamese");
        assert!(clean("x\u{316}\u{317}\u{318}").is_none());
        assert!(clean(&format!("a{}", "\u{316}".repeat(96))).is_none());
    }
}
