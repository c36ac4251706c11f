//! `UnknownName`: what servers say of a tool, prompt or resource that they do not have, and what the gateway says.

use serde::Serialize;

/// Invalid parameters (JSON-RPC 2.0 5.1), with which servers answer unknown tools and prompts (MCP, server/tools and
/// server/prompts: error handling).
const INVALID_PARAMS: i32 = -32602;
/// An unknown resource before 2026-07-28 (MCP 2025-11-25, server/resources: error handling); later it is
/// [`INVALID_PARAMS`].
const RESOURCE_NOT_FOUND: i32 = -32002;
/// The longest name that is looked for, in bytes; MCP recommends at most 128 for tools, URIs are longer.
const LONGEST: usize = 2048;
/// The longest name in bytes that is repeated to the caller.
const LONGEST_REPEATED: usize = 128;

/// Something that does not exist, or that the caller may not know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownName<'a> {
    /// A tool, by its name; empty if there is none.
    Tool(&'a str),
    /// A prompt, by its name, likewise.
    Prompt(&'a str),
    /// A resource or a template of resources, by its URI, likewise.
    Resource(&'a str),
}

impl<'a> UnknownName<'a> {
    /// Returns the code and the message of the gateway's error. `is_modern` says whether it is for 2026-07-28.
    #[must_use]
    pub fn error(self, is_modern: bool) -> (i32, String) {
        let (code, what, name) = match self {
            Self::Tool(name) => (INVALID_PARAMS, "Unknown tool", name),
            Self::Prompt(name) => (INVALID_PARAMS, "Unknown prompt", name),
            Self::Resource(uri) if is_modern => (INVALID_PARAMS, "Resource not found", uri),
            Self::Resource(uri) => (RESOURCE_NOT_FOUND, "Resource not found", uri),
        };
        let shown = name.get(..name.floor_char_boundary(LONGEST_REPEATED)).unwrap_or_default();
        (code, if shown.is_empty() { what.to_owned() } else { format!("{what}: {shown}") })
    }

    /// Returns of what a server says, in the words of one of the SDKs, that it does not have it. `uri` is what it says
    /// beside them (MCP, server/resources: error handling).
    pub(super) fn said(message: &'a str, uri: Option<&'a str>) -> Option<Self> {
        let said = without_code(message);
        let said = said.strip_suffix('.').unwrap_or(said);
        let of = |kind: &str| name_said(said, kind);
        let named = of("tool").filter(|name| !name.contains(char::is_whitespace)).map(Self::Tool);
        let named = named.or_else(|| of("prompt").map(Self::Prompt));
        let named = named.or_else(|| of("resource template").or_else(|| of("resource")).map(Self::Resource));
        let bare = || uri.filter(|uri| is_name(uri) && said.eq_ignore_ascii_case("resource not found"));
        named.or_else(|| bare().map(Self::Resource))
    }
}

/// Returns an error object as JSON.
pub(super) fn error_object(code: i32, message: &str) -> String {
    #[derive(Serialize)]
    struct NameError<'a> {
        code: i32,
        message: &'a str,
    }
    // An integer and a string always serialise.
    serde_json::to_string(&NameError { code, message }).unwrap_or_default()
}

/// Removes what the TypeScript SDK puts before a message.
fn without_code(message: &str) -> &str {
    let after = message.strip_prefix("MCP error -").and_then(|rest| rest.split_once(": "));
    after.filter(|(code, _)| code.bytes().all(|b| b.is_ascii_digit())).map_or(message, |(_, said)| said)
}

/// Returns the name of what does not exist, if it is of this kind.
fn name_said<'a>(said: &'a str, kind: &str) -> Option<&'a str> {
    let after = |words: &[&str]| {
        let begin = words.concat();
        let (head, rest) = said.split_at_checked(begin.len())?;
        head.eq_ignore_ascii_case(&begin).then_some(rest)
    };
    // MCP and the Python SDK, the Go SDK, the Java SDK; then the TypeScript SDK.
    let begins: [&[&str]; 3] = [&["unknown ", kind, ": "], &["unknown ", kind, " "], &[kind, " not found: "]];
    let name = begins.into_iter().find_map(after);
    let name = name.or_else(|| after(&[kind, " "])?.strip_suffix(" not found"))?;
    let bare = [['"', '"'], ['\'', '\''], ['`', '`']].into_iter();
    let name = bare.fold(name, |name, [open, close]| {
        name.strip_prefix(open).and_then(|name| name.strip_suffix(close)).unwrap_or(name)
    });
    is_name(name).then_some(name)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && !text.contains(|c: char| c.is_control() || c == '"')
}

#[cfg(test)]
mod tests {
    use super::{UnknownName, error_object};

    #[test]
    fn the_words_of_the_sdks_are_recognised_and_no_others() {
        for said in [
            "Unknown tool: add",
            "unknown tool \"add\"",
            "Tool add not found",
            "MCP error -32602: Tool add not found",
            "Tool not found: add",
            "Unknown tool: 'add'.",
        ] {
            assert_eq!(UnknownName::said(said, None), Some(UnknownName::Tool("add")), "{said}");
        }
        for said in ["Unknown prompt: my add", "Prompt my add not found", "unknown prompt \"my add\""] {
            assert_eq!(UnknownName::said(said, None), Some(UnknownName::Prompt("my add")), "{said}");
        }
        for said in [
            "Unknown resource: x:/a",
            "MCP error -32602: Resource x:/a not found",
            "Resource template x:/a not found",
            "Resource not found: x:/a",
            "Resource not found",
        ] {
            assert_eq!(UnknownName::said(said, Some("x:/a")), Some(UnknownName::Resource("x:/a")), "{said}");
        }
        for said in [
            "Unknown tool",
            "Unknown tool: ",
            "Tool add failed",
            "Unknown tool: a b",
            "Tool a b not found",
            "Resource not found",
            "é",
        ] {
            assert_eq!(UnknownName::said(said, None), None, "{said}");
        }
    }

    #[test]
    fn the_error_names_what_is_unknown_and_no_more_of_it_than_a_line() {
        let long = "ä".repeat(100);
        for (unknown, is_modern, code, text) in [
            (UnknownName::Tool("a"), false, -32602, "Unknown tool: a".to_owned()),
            (UnknownName::Tool(""), false, -32602, "Unknown tool".to_owned()),
            (UnknownName::Prompt("a"), true, -32602, "Unknown prompt: a".to_owned()),
            (UnknownName::Resource("x:a"), false, -32002, "Resource not found: x:a".to_owned()),
            (UnknownName::Resource("x:a"), true, -32602, "Resource not found: x:a".to_owned()),
            (UnknownName::Tool(&long), false, -32602, format!("Unknown tool: {}", "ä".repeat(64))),
        ] {
            assert_eq!(unknown.error(is_modern), (code, text));
        }
        assert_eq!(error_object(-32602, "a\\b"), r#"{"code":-32602,"message":"a\\b"}"#);
    }
}
