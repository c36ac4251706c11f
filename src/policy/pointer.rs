//! `Pointer`: where in a JSON text a value is (RFC 6901), followed in the bytes that are forwarded; no tree is built of
//! them.

use crate::strict_json::{Token, Walk, WalkStep, differs_in_case, unescape};

/// Where in the arguments a value is (RFC 6901): names of members and indices of arrays, unescaped. Empty for the
/// arguments as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Box<[Box<str>]>);

impl Pointer {
    /// Parses a JSON pointer (RFC 6901 3): empty, or segments that each begin with `/`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self(Box::default()));
        }
        let segment = |text: &str| {
            let is_escape = |rest: &str| rest.starts_with(['0', '1']);
            let is_escaped = text.split('~').skip(1).all(is_escape);
            is_escaped.then(|| text.replace("~1", "/").replace("~0", "~").into())
        };
        text.strip_prefix('/')?.split('/').map(segment).collect::<Option<_>>().map(Self)
    }

    /// Follows it; see `find`.
    pub(super) fn find<'a>(&self, json: &'a str) -> Option<Found<'a>> {
        find(json, &self.0)
    }
}

/// What a pointer leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Nothing,
    /// A raw string, number or literal.
    Scalar(&'a str),
    /// A raw object or array.
    Container(&'a str),
}

/// Follows a pointer; `None` if two programs could find different values: a reader that ignores case would take another
/// name for one on the way. (Or if the text is not JSON, which the reader of the message excludes.)
fn find<'a>(json: &'a str, pointer: &[Box<str>]) -> Option<Found<'a>> {
    let (mut walk, mut work) = (Walk::new(json), usize::MAX);
    // How many segments are followed, and how many objects and arrays beside the way are open.
    let (mut followed, mut beside) = (0_usize, 0_usize);
    // Whether the next value is on the way; the next index, within an array on the way.
    let (mut is_next, mut index) = (true, None::<usize>);
    // What was found, and where it begins while it is still open.
    let (mut found, mut begin) = (Found::Nothing, None);
    loop {
        let WalkStep::Token(token) = walk.next(&mut work).ok()? else { return Some(found) };
        if beside > 0 {
            match token {
                Token::Object | Token::Array => beside += 1,
                Token::Close => beside -= 1,
                Token::Name(..) | Token::Scalar(_) => {}
            }
            if let Some(begin) = begin.take_if(|_| beside == 0) {
                let end = json.get(..walk.passed())?.rfind(['}', ']'])?;
                found = Found::Container(json.get(begin..=end)?);
            }
            continue;
        }
        let wanted = pointer.get(followed.saturating_sub(1)).filter(|_| followed > 0);
        if let (Some(at), Token::Object | Token::Array | Token::Scalar(_)) = (index.as_mut(), &token) {
            is_next = wanted.is_some_and(|wanted| **wanted == *at.to_string());
            *at = at.saturating_add(1);
        }
        match token {
            Token::Name(raw, is_escaped) => {
                let name = unescape(raw, is_escaped)?;
                is_next = wanted.is_some_and(|wanted| *name == *wanted.as_bytes());
                if wanted.is_some_and(|wanted| differs_in_case(&name, wanted.as_bytes())) {
                    return None;
                }
            }
            Token::Close => {
                followed = followed.saturating_sub(1);
                (is_next, index) = (false, None);
            }
            Token::Scalar(raw) if is_next => {
                if followed == pointer.len() {
                    found = Found::Scalar(raw);
                }
                is_next = false;
            }
            Token::Object | Token::Array if is_next && followed == pointer.len() => {
                begin = Some(json.get(..walk.passed())?.rfind(['{', '['])?);
                (is_next, beside) = (false, 1);
            }
            Token::Object | Token::Array if is_next => {
                followed += 1;
                index = (token == Token::Array).then_some(0);
                is_next = false;
            }
            Token::Object | Token::Array => beside = 1,
            Token::Scalar(_) => {}
        }
    }
}

/// Follows the names of members in a message, where it may have a place in a batch; see `find`.
pub(super) fn find_in_message<'a>(body: &'a str, place: Option<usize>, names: &[&str]) -> Option<Found<'a>> {
    let place = place.map(|place| place.to_string().into());
    let pointer: Vec<Box<str>> = place.into_iter().chain(names.iter().map(|name| (*name).into())).collect();
    find(body, &pointer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_followed_as_rfc_6901_says() {
        let json = r#" {"foo": ["bar", {"x":1}, [2]], "": 0, "a/b": 1, "m~n": 8, "\u0066oo2": {"y": {}}, "z": null} "#;
        let scalar = |raw| Some(Found::Scalar(raw));
        let container = |raw| Some(Found::Container(raw));
        for (pointer, found) in [
            ("", container(json.trim())),
            ("/foo", container(r#"["bar", {"x":1}, [2]]"#)),
            ("/foo/0", scalar(r#""bar""#)),
            ("/foo/1/x", scalar("1")),
            ("/foo/2/0", scalar("2")),
            ("/foo/3", Some(Found::Nothing)),
            ("/foo/00", Some(Found::Nothing)),
            ("/foo/-", Some(Found::Nothing)),
            ("/foo/0/x", Some(Found::Nothing)),
            ("/", scalar("0")),
            ("/a~1b", scalar("1")),
            ("/m~0n", scalar("8")),
            ("/foo2", container(r#"{"y": {}}"#)),
            ("/foo2/y", container("{}")),
            ("/foo2/y/z", Some(Found::Nothing)),
            ("/z", scalar("null")),
            ("/x", Some(Found::Nothing)),
        ] {
            assert_eq!(find(json, &Pointer::parse(pointer).unwrap().0), found, "{pointer}");
        }
        for (json, pointer) in [
            (r#"{"path":"a","Path":"b"}"#, "/path"),
            (r#"{"PATH":"b"}"#, "/path"),
            (r#"{"a":{"id":1},"b":2,"A":{}}"#, "/a/id"),
            (r#"{"a":[{"id":1,"I\u0064":2}]}"#, "/a/0/id"),
            ("{\"task\":1,\"ta\u{17f}k\":2}", "/task"),
        ] {
            assert_eq!(find(json, &Pointer::parse(pointer).unwrap().0), None, "{json} {pointer}");
        }
        for json in [r#"{"a":{"id":1,"x":{"ID":2}},"Id":3}"#, r#"{"b":[{"ID":2}],"a":{"id":1}}"#] {
            assert_eq!(find(json, &Pointer::parse("/a/id").unwrap().0), scalar("1"), "{json}");
        }
        for bad in ["a", "/a~", "/a~2", "~0"] {
            assert_eq!(Pointer::parse(bad), None, "{bad}");
        }
    }
}
