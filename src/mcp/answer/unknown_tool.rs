//! What servers say of a tool that they do not have, and what the gateway says.

use serde::Serialize;

/// JSON-RPC code: the params are invalid (MCP, tools, error handling: also for an unknown tool).
const INVALID_PARAMS: i32 = -32602;
/// The longest name that is looked for, in bytes; MCP recommends at most 128.
const LONGEST: usize = 256;

/// Returns the tool of which a server says, in the words of one of the SDKs, that it does not have it.
pub(super) fn named(message: &str) -> Option<&str> {
    let said = message.strip_prefix("MCP error -32602: ").unwrap_or(message);
    let said = said.strip_suffix('.').unwrap_or(said);
    // MCP and the Python SDK, the Go SDK, the Java SDK; then the TypeScript SDK.
    let begins = ["unknown tool: ", "unknown tool ", "tool not found: "];
    let after = |begin: &str| {
        let (head, rest) = said.split_at_checked(begin.len())?;
        head.eq_ignore_ascii_case(begin).then_some(rest)
    };
    let name = begins.into_iter().find_map(after);
    let name = name.or_else(|| after("tool ")?.strip_suffix(" not found"))?;
    let bare = [['"', '"'], ['\'', '\''], ['`', '`']].into_iter();
    let name = bare.fold(name, |name, [open, close]| {
        name.strip_prefix(open).and_then(|name| name.strip_suffix(close)).unwrap_or(name)
    });
    let fits = |c: char| !c.is_whitespace() && !c.is_control() && c != '"';
    (!name.is_empty() && name.len() <= LONGEST && name.chars().all(fits)).then_some(name)
}

/// Returns the error object for a tool that does not exist, or that the caller may not know of.
pub(super) fn error(name: &str) -> String {
    #[derive(Serialize)]
    struct ToolError {
        code: i32,
        message: String,
    }
    // An integer and a string always serialise.
    serde_json::to_string(&ToolError { code: INVALID_PARAMS, message: format!("Unknown tool: {name}") })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{error, named};

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
            assert_eq!(named(said), Some("add"), "{said}");
        }
        for said in
            ["Unknown tool", "Unknown tool: ", "Tool add failed", "Unknown tool: a b", "Tool a b not found", "é"]
        {
            assert_eq!(named(said), None, "{said}");
        }
        assert_eq!(error("a\\b"), r#"{"code":-32602,"message":"Unknown tool: a\\b"}"#);
    }
}
