//! Member names that a reader which ignores case takes for each other.

/// Returns whether a name, which is not `known`, would be taken for it by a reader that ignores case, as encoding/json
/// of Go does: there the last of `method` and `Method` counts. Case folding gives s and k a third form, and the dotless
/// and the dotted i of Turkish are an i where upper and lower case are compared.
pub(crate) fn differs_in_case(name: &[u8], known: &[u8]) -> bool {
    if name.is_ascii() && known.is_ascii() {
        return name != known && name.eq_ignore_ascii_case(known);
    }
    let (Ok(name), Ok(known)) = (str::from_utf8(name), str::from_utf8(known)) else { return false };
    name != known && name.chars().flat_map(folded).eq(known.chars().flat_map(folded))
}

fn folded(letter: char) -> impl Iterator<Item = char> {
    let letter = if letter == '\u{130}' { 'i' } else { letter };
    letter.to_uppercase().flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::differs_in_case;

    #[test]
    fn names_that_differ_in_case_alone_are_told() {
        for other in ["Task", "TASK", "ta\u{17f}k", "tas\u{212a}", "taSK"] {
            assert!(differs_in_case(other.as_bytes(), b"task"), "{other}");
            assert!(differs_in_case(b"task", other.as_bytes()), "{other}");
        }
        for (name, known) in [("\u{130}d", "id"), ("\u{131}d", "id"), ("\u{e4}", "\u{c4}"), ("\u{3c3}", "\u{3c2}")] {
            assert!(differs_in_case(name.as_bytes(), known.as_bytes()), "{name}");
        }
        for other in ["task", "tas", "tasks", "", "t\u{e4}sk", "ta sk"] {
            assert!(!differs_in_case(other.as_bytes(), b"task"), "{other}");
        }
        assert!(!differs_in_case(b"\xff", b"task"));
    }
}
