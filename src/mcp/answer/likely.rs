//! A first look at an answer, many bytes at a time: nothing that it calls unlikely has a sign.

/// The bytes that are looked at together.
const BLOCK: usize = 64;
/// What of the bytes before and after one decides about it.
const BEFORE: usize = 3;
const AFTER: usize = 3;
const WINDOW: usize = BEFORE + BLOCK + AFTER;

/// Returns whether a text may have the name of a member of a list, or something that could hide it: a byte of zero, or
/// an escape of ASCII.
pub(super) fn may_have(text: &[u8]) -> bool {
    // Before these no window has room.
    if text.iter().take(BEFORE).any(|byte| matches!(byte, 0 | b'\\')) {
        return true;
    }
    let mut rest = text;
    let mut padded = [b' '; WINDOW];
    loop {
        let window = rest.first_chunk().unwrap_or_else(|| {
            if let Some(to) = padded.get_mut(..rest.len()) {
                to.copy_from_slice(rest);
            }
            &padded
        });
        if is_likely(window) {
            return true;
        }
        if rest.len() <= BEFORE + BLOCK {
            return false;
        }
        rest = rest.get(BLOCK..).unwrap_or_default();
    }
}

/// Looks at the block in the middle of a window.
fn is_likely(window: &[u8; WINDOW]) -> bool {
    let from = |place: usize| window.get(place..).and_then(<[u8]>::first_chunk::<BLOCK>);
    let [Some(third), Some(last), Some(block), Some(next), Some(second), Some(after)] = [0, 2, 3, 4, 5, 6].map(from)
    else {
        return true;
    };
    // Zero if one of the bytes is what is looked for.
    let quotes = block.iter().fold(u8::MAX, |least, byte| least.min(byte ^ b'"'));
    let others = block.iter().fold(u8::MAX, |least, byte| least.min(*byte).min(byte ^ b'\\'));
    (quotes == 0 && ends_name([block, third, last, next])) || (others == 0 && hides_name([block, second, after]))
}

/// Returns whether a quote could end a name: they end with `s`, `r` or `ope`, and after one comes none of the bytes
/// that follow a value.
fn ends_name([block, third, last, next]: [&[u8; BLOCK]; 4]) -> bool {
    block.iter().zip(last).zip(third).zip(next).fold(false, |found, (((byte, last), third), next)| {
        // Two letters, and two brackets, that differ in one bit.
        let ends = (*last | 1 == b's') | ((*last == b'e') & (*third == b'o'));
        let is_value = (*next == b',') | (*next | 0x20 == b'}');
        found | ((*byte == b'"') & ends & !is_value)
    })
}

/// Returns whether something could hide a name.
fn hides_name([block, second, after]: [&[u8; BLOCK]; 3]) -> bool {
    block.iter().zip(second).zip(after).fold(false, |found, ((byte, second), after)| {
        found | (*byte == 0) | ((*byte == b'\\') & (*second == b'0') & (*after == b'0'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::may_have;

    const SIGNS: [&str; 12] = [
        "\"tools\"",
        "\"prompts\" :",
        "\"resources\"\n:",
        "\"resourceTemplates\":",
        "\"capabilities\":",
        "\"cacheScope\":",
        "\"error\":",
        "\"isError\"\t:",
        "\"values\":[",
        "\\u0074",
        "\\u00",
        "\0",
    ];

    #[test]
    fn a_sign_is_found_wherever_it_is() {
        for sign in SIGNS {
            for before in 0..200 {
                for after in [0, 1, 2, 3, 4, 62, 63, 64, 65, 66, 67, 68, 70, 130] {
                    let text = format!("{}{sign}{}", "a".repeat(before), "b".repeat(after));
                    assert!(may_have(text.as_bytes()), "{text}");
                }
            }
        }
    }

    #[test]
    fn ordinary_answers_are_unlikely() {
        let text = "users \\\"tools\\\": caf\\u4e2d\\n".repeat(20);
        let answer = format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{text}"}}],"name":"x"}}}}"#
        );
        assert!(!may_have(answer.as_bytes()) && !may_have(b"") && !may_have(b"\"results\"}"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_sign_among_others_is_found(
            before in r#"[a-z"\\:, ]{0,140}"#,
            sign in prop::sample::select(SIGNS.to_vec()),
            after in "([a-z:/ ][a-z\":, ]{0,140})?",
        ) {
            let text = format!("{before}{sign}{after}");
            prop_assert!(may_have(text.as_bytes()), "{}", text);
        }
    }
}
