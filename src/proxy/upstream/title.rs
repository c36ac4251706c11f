//! Asks an MCP server for its title, if the operator has not configured a display name, so that users see a name and
//! not an address.

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};
use serde_json::Value;

use super::probe::{PingReply, Probe};
use crate::oauth::clean_name;

/// The request for revisions with a handshake.
const INITIALIZE: &str = concat!(
    r#"{"jsonrpc":"2.0","id":"mcpgate","method":"initialize","params":{"protocolVersion":"2025-11-25","#,
    r#""capabilities":{},"clientInfo":{"name":"mcpgate","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}}}"#
);
/// The request for servers that only support 2026-07-28 and later.
const DISCOVER: &str = concat!(
    r#"{"jsonrpc":"2.0","id":"mcpgate","method":"server/discover","params":{"_meta":{"#,
    r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"#,
    r#""io.modelcontextprotocol/clientInfo":{"name":"mcpgate","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}}}}"#
);
const OF_DISCOVER: [(HeaderName, HeaderValue); 2] = [
    (HeaderName::from_static("mcp-protocol-version"), HeaderValue::from_static("2026-07-28")),
    (HeaderName::from_static("mcp-method"), HeaderValue::from_static("server/discover")),
];
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

impl Probe<'_> {
    /// Asks the server at this path for its title.
    pub(in crate::proxy) async fn title(&self, target: &PathAndQuery) -> Option<String> {
        for (message, headers) in [(INITIALIZE, &[][..]), (DISCOVER, &OF_DISCOVER)] {
            if let Ok((PingReply::Mcp, content)) = self.send(target, message, headers).await
                && let Some(title) = title_in(&content)
            {
                return Some(title);
            }
        }
        None
    }
}

/// Finds the title in an answer: a message, or events with messages.
fn title_in(content: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(content);
    let events = text.lines().filter_map(|line| line.strip_prefix("data:"));
    let messages = std::iter::once(&*text).chain(events);
    messages.filter_map(|message| serde_json::from_str(message.trim()).ok()).find_map(|message| title_of(&message))
}

/// MCP 2025-06-18 "BaseMetadata": the title is for people; where there is none, the name is.
fn title_of(message: &Value) -> Option<String> {
    let result = message.get("result")?;
    let info = result.get("serverInfo").or_else(|| result.get("_meta")?.get(SERVER_INFO))?;
    let member = |name| info.get(name)?.as_str().and_then(clean_name).filter(|text| !text.is_empty());
    member("title").or_else(|| member("name"))
}

#[cfg(test)]
mod tests {
    use super::title_in;

    #[test]
    fn a_title_is_found_in_messages_and_in_events() {
        for (content, title) in [
            (r#"{"result":{"serverInfo":{"name":"weather","title":"The Weather"}}}"#, Some("The Weather")),
            (r#"{"result":{"serverInfo":{"name":"weather"}}}"#, Some("weather")),
            (r#"{"result":{"serverInfo":{"name":"weather","title":" \u202e "}}}"#, Some("weather")),
            ("event: message\r\ndata: {\"result\":{\"serverInfo\":{\"title\":\"a\\nb\"}}}\r\n\r\n", Some("a b")),
            (
                ": hello\n\ndata:{\"result\":{\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"x\"}}}}",
                Some("x"),
            ),
            (r#"{"result":{"serverInfo":{"title":7}}}"#, None),
            (r#"{"error":{"code":-32601}}"#, None),
            ("", None),
        ] {
            assert_eq!(title_in(content.as_bytes()).as_deref(), title, "{content}");
        }
        assert_eq!(title_in(&[b'['; 16_384]), None);
    }
}
