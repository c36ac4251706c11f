//! Expands URI templates (RFC 6570), as far as the variables are known.

use std::fmt::Write as _;

/// What the operator of an expression means (RFC 6570 appendix A): what it begins with, what separates its values,
/// whether they are named, and whether reserved characters stay.
struct ExpressionKind {
    first: &'static str,
    separator: &'static str,
    is_named: bool,
    keeps_reserved: bool,
}

impl ExpressionKind {
    /// Reads the operator of an expression, and returns the variables after it.
    fn read(expression: &str) -> (Self, &str) {
        let of = |first, separator, is_named, keeps_reserved| Self { first, separator, is_named, keeps_reserved };
        let kind = match expression.as_bytes().first() {
            Some(b'+') => of("", ",", false, true),
            Some(b'#') => of("#", ",", false, true),
            Some(b'.') => of(".", ".", false, false),
            Some(b'/') => of("/", "/", false, false),
            Some(b';') => of(";", ";", true, false),
            Some(b'?') => of("?", "&", true, false),
            Some(b'&') => of("&", "&", true, false),
            _ => return (of("", ",", false, false), expression),
        };
        (kind, expression.get(1..).unwrap_or_default())
    }
}

/// Expands a template. Expressions with a variable that is not known stay as they are; what is inserted is encoded if
/// `is_encoded`, as the RFC has it.
pub(super) fn expanded<'a>(template: &str, known: impl Fn(&str) -> Option<&'a str>, is_encoded: bool) -> String {
    let (mut uri, mut rest) = (String::with_capacity(template.len()), template);
    while let Some((before, (expression, after))) =
        rest.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    {
        uri.push_str(before);
        match expansion(expression, &known, is_encoded) {
            Some(text) => uri.push_str(&text),
            None => uri.extend(["{", expression, "}"]),
        }
        rest = after;
    }
    uri.push_str(rest);
    uri
}

/// Returns what an expression stands for; `None` if one of its variables is not known.
fn expansion<'a>(expression: &str, known: &impl Fn(&str) -> Option<&'a str>, is_encoded: bool) -> Option<String> {
    let (kind, variables) = ExpressionKind::read(expression);
    let mut text = String::new();
    for (place, variable) in variables.split(',').enumerate() {
        let (name, most) = match variable.trim_end_matches('*').split_once(':') {
            Some((name, length)) => (name, length.parse().unwrap_or(usize::MAX)),
            None => (variable.trim_end_matches('*'), usize::MAX),
        };
        let value: String = known(name)?.chars().take(most).collect();
        text.push_str(if place == 0 { kind.first } else { kind.separator });
        if kind.is_named {
            text.push_str(name);
            // RFC 6570 3.2.7: without `=` if it is empty.
            text.push_str(if value.is_empty() && kind.first == ";" { "" } else { "=" });
        }
        if is_encoded {
            encode(&value, kind.keeps_reserved, &mut text);
        } else {
            text.push_str(&value);
        }
    }
    Some(text)
}

/// Percent-encodes what is not unreserved (RFC 3986 2.3), or if `keeps_reserved` neither that nor reserved.
fn encode(value: &str, keeps_reserved: bool, to: &mut String) {
    for byte in value.bytes() {
        let stays = byte.is_ascii_alphanumeric()
            || b"-._~".contains(&byte)
            || (keeps_reserved && b":/?#[]@!$&'()*+,;=%".contains(&byte));
        if stays {
            to.push(char::from(byte));
        } else {
            // A string takes everything.
            let _written = write!(to, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::expanded;

    fn expand(template: &str, is_encoded: bool) -> String {
        let known = |name: &str| match name {
            "var" => Some("value"),
            "hello" => Some("Hello World!"),
            "path" => Some("/foo/bar"),
            "empty" => Some(""),
            "x" => Some("1024"),
            "y" => Some("768"),
            _ => None,
        };
        expanded(template, known, is_encoded)
    }

    #[test]
    fn the_examples_of_the_specification_expand_as_they_should() {
        for (template, expected) in [
            ("{var}", "value"),
            ("{hello}", "Hello%20World%21"),
            ("{+hello}", "Hello%20World!"),
            ("{+path}/here", "/foo/bar/here"),
            ("{path}", "%2Ffoo%2Fbar"),
            ("X{#hello}", "X#Hello%20World!"),
            ("map?{x,y}", "map?1024,768"),
            ("{+x,hello,y}", "1024,Hello%20World!,768"),
            ("X{.var}", "X.value"),
            ("{/var,x}/here", "/value/1024/here"),
            ("{;x,y,empty}", ";x=1024;y=768;empty"),
            ("{?x,y,empty}", "?x=1024&y=768&empty="),
            ("?fixed=yes{&x}", "?fixed=yes&x=1024"),
            ("{var:3}{path*}", "val%2Ffoo%2Fbar"),
        ] {
            assert_eq!(expand(template, true), expected, "{template}");
        }
    }

    #[test]
    fn what_is_not_known_or_no_expression_stays() {
        for (template, expected) in [
            ("file:///{dir}/{var}", "file:///{dir}/value"),
            ("{?x,unknown}{hello}", "{?x,unknown}Hello World!"),
            ("{var", "{var"),
            ("a}b{}", "a}b{}"),
            ("", ""),
        ] {
            assert_eq!(expand(template, false), expected, "{template}");
        }
    }
}
