//! Whether an answer can be one that is rewritten: a search for the names of its members, which costs a fraction of
//! reading it. Most answers have none of them, and most of these have nothing like them, which `likely` finds first.

use super::likely;
use crate::mcp::changed_lists::ChangedLists;
use crate::strict_json::plain;

/// The most bytes by which [`may_list`] recognises an answer: `"resourceTemplates"`.
pub const LONGEST_SIGN: usize = 19;

/// Returns whether rewriting could change this answer, or a list in it could be hidden from the search.
#[must_use]
pub fn may_change(answer: &[u8]) -> bool {
    has_sign(answer, |string| match string {
        [b'c', b'a', b'p', b'a', b'b', b'i', b'l', b'i', b't', b'i', b'e', b's', b'"', ..]
        | [b'c', b'a', b'c', b'h', b'e', b'S', b'c', b'o', b'p', b'e', b'"', ..]
        | [b'e', b'r', b'r', b'o', b'r', b'"', ..] => true,
        [b'n', b'o', b't', b'i', b'f', b'i', b'c', b'a', b't', b'i', b'o', b'n', b's', after @ ..] => is_update(after),
        // The values of a completion are an array.
        [b'v', b'a', b'l', b'u', b'e', b's', b'"', after @ ..] => {
            let value = after.trim_ascii_start().strip_prefix(b":");
            value.is_none_or(|value| value.trim_ascii_start().starts_with(b"["))
        }
        // Many servers say of every result that it is none.
        [b'i', b's', b'E', b'r', b'r', b'o', b'r', b'"', after @ ..] => {
            let value = after.trim_ascii_start().strip_prefix(b":");
            value.is_none_or(|value| !value.trim_ascii_start().starts_with(b"false"))
        }
        other => names_list(other),
    })
}

/// Returns whether the rest of a method is that of a resource's change. PHP escapes slashes.
fn is_update(method: &[u8]) -> bool {
    method.starts_with(br#"/resources/updated""#) || method.starts_with(br#"\/resources\/updated""#)
}

/// Returns whether a part of an answer could belong to a list.
#[must_use]
pub fn may_list(part: &[u8]) -> bool {
    has_sign(part, names_list)
}

/// Returns whether a part of a stream may have a notification that a list of the server changed.
#[must_use]
pub fn says_list_changed(part: &[u8]) -> bool {
    let mut rest = part;
    loop {
        rest = rest.get(plain(rest)..).unwrap_or_default();
        rest = match rest {
            [] => return false,
            [b'"', after @ ..] => {
                if after.starts_with(b"notifications") && ChangedLists::are_told_by(until_quote(after)) {
                    return true;
                }
                after
            }
            [_, after @ ..] => after,
        };
    }
}

fn until_quote(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == b'"').next().unwrap_or_default()
}

fn names_list(string: &[u8]) -> bool {
    matches!(
        string,
        [b't', b'o', b'o', b'l', b's', b'"', ..]
            | [b'p', b'r', b'o', b'm', b'p', b't', b's', b'"', ..]
            | [b'r', b'e', b's', b'o', b'u', b'r', b'c', b'e', b's', b'"', ..]
    ) || string.starts_with(br#"resourceTemplates""#)
}

/// Looks at what follows each quote. A name can also be written with escapes, and the whole text in another encoding of
/// Unicode, where ASCII has bytes of zero.
fn has_sign(text: &[u8], is_sign: impl Fn(&[u8]) -> bool) -> bool {
    if !likely::may_have(text) {
        return false;
    }
    let mut rest = text;
    loop {
        rest = rest.get(plain(rest)..).unwrap_or_default();
        rest = match rest {
            [] => return false,
            [0, ..] => return true,
            [b'"', after @ ..] if is_sign(after) => return true,
            [b'\\', b'u', b'0', b'0', digits @ ..] if digits.get(..2).is_none_or(is_letter) => return true,
            [b'\\', _, after @ ..] => after,
            [_, after @ ..] => after,
        };
    }
}

/// Returns whether the last two digits of an escape stand for a letter that occurs in the names.
fn is_letter(digits: &[u8]) -> bool {
    match digits {
        [b'4', b'5'] | [b'5', b'3' | b'4'] => true,
        [b'6', low] => *low != b'0',
        [b'7', low] => matches!(low, b'0'..=b'9' | b'a' | b'A'),
        _ => false,
    }
}
