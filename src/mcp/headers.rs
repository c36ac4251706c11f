//! `Mcp-Method`, `Mcp-Name` and `MCP-Protocol-Version`: reading, decoding, agreement with the body. `Mcp-Param-*`
//! mirror parameters that only the upstream's tool definitions specify, so they are forwarded and otherwise ignored.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Envelope, MessageKind};

/// The routing headers of a modern request, as received.
#[derive(Debug, Clone, Copy, Default)]
pub struct RoutingHeaders<'a> {
    /// The value of `MCP-Protocol-Version`.
    pub version: Option<&'a [u8]>,
    /// The value of `Mcp-Method`.
    pub method: Option<&'a [u8]>,
    /// The value of `Mcp-Name`.
    pub name: Option<&'a [u8]>,
}

/// A header and the body disagree: -32020.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderMismatch {
    /// Which values disagree.
    pub message: &'static str,
}

impl HeaderMismatch {
    /// The JSON-RPC code (2026-07-28, basic: error codes).
    pub const CODE: i32 = -32020;

    const fn because(message: &'static str) -> Self {
        Self { message }
    }
}

impl RoutingHeaders<'_> {
    /// Checks that the headers agree with the message (2026-07-28 streamable HTTP, server validation).
    ///
    /// # Errors
    /// `HeaderMismatch` when a required header is missing or differs.
    pub fn agree_with(&self, envelope: &Envelope<'_>) -> Result<(), HeaderMismatch> {
        self.agrees_on_the_version(envelope)?;
        // The revision does not define the headers of notifications, so they are compared but not required.
        let required = envelope.kind == MessageKind::Request;
        match (self.method.map(<[u8]>::trim_ascii), envelope.method.as_deref()) {
            (None, _) if required => return Err(HeaderMismatch::because("Mcp-Method is missing")),
            (Some(header), body) if body.map(str::as_bytes) != Some(header) => {
                return Err(HeaderMismatch::because("Mcp-Method differs from the method in the body"));
            }
            (None | Some(_), _) => {}
        }
        let Some(mirror) = envelope.method.as_deref().and_then(mirrored_name) else { return Ok(()) };
        match (self.name, envelope.name.as_deref()) {
            (None, Some(_)) if required && mirror == Mirror::Required => {
                Err(HeaderMismatch::because("Mcp-Name is missing"))
            }
            (Some(header), body) if decode(header)?.as_ref() != body.map(str::as_bytes).unwrap_or_default() => {
                Err(HeaderMismatch::because("Mcp-Name differs from the name in the body"))
            }
            (None | Some(_), _) => Ok(()),
        }
    }

    /// Checks that `MCP-Protocol-Version` is that of the message.
    ///
    /// # Errors
    /// `HeaderMismatch` when it is missing or differs.
    pub fn agrees_on_the_version(&self, envelope: &Envelope<'_>) -> Result<(), HeaderMismatch> {
        let version = self.version.ok_or(HeaderMismatch::because("MCP-Protocol-Version is missing"))?;
        // A body without a version is left to the upstream: there is nothing that two parsers could read differently.
        if envelope.version.as_deref().is_some_and(|body| body.as_bytes() != version.trim_ascii()) {
            return Err(HeaderMismatch::because("MCP-Protocol-Version differs from the version in _meta"));
        }
        Ok(())
    }
}

/// Whether a method's name must be mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mirror {
    /// Required by the core protocol.
    Required,
    /// Required by an extension that the upstream may not support.
    Optional,
}

/// Returns whether the name in messages of this method has a header of its own.
pub(super) fn is_mirrored(method: &str) -> bool {
    mirrored_name(method).is_some()
}

fn mirrored_name(method: &str) -> Option<Mirror> {
    match method {
        "tools/call" | "prompts/get" | "resources/read" => Some(Mirror::Required),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some(Mirror::Optional),
        _ => None,
    }
}

/// Decodes a value marked by `=?base64?…?=`; the marks must match exactly in lower case, anything else is literal.
fn decode(header: &[u8]) -> Result<Cow<'_, [u8]>, HeaderMismatch> {
    let value = header.trim_ascii();
    match value.strip_prefix(b"=?base64?").and_then(|rest| rest.strip_suffix(b"?=")) {
        Some(encoded) => {
            let bytes = STANDARD.decode(encoded).map_err(|_| HeaderMismatch::because("Mcp-Name cannot be decoded"))?;
            Ok(Cow::Owned(bytes))
        }
        None if value.iter().all(|b| matches!(b, b'\t' | b' '..=b'~')) => Ok(Cow::Borrowed(value)),
        None => Err(HeaderMismatch::because("Mcp-Name has a character that must be encoded")),
    }
}

#[cfg(test)]
mod tests {
    use super::{HeaderMismatch, RoutingHeaders};
    use crate::mcp::Envelope;

    fn check(method: Option<&str>, name: Option<&str>, body: &str) -> Result<(), HeaderMismatch> {
        let read = Envelope::read(body.as_bytes(), false).expect("the body is JSON-RPC");
        RoutingHeaders {
            version: Some(b"2026-07-28"),
            method: method.map(str::as_bytes),
            name: name.map(str::as_bytes),
        }
        .agree_with(&read[0])
    }

    fn call(name: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":{name}}}}}"#)
    }

    #[test]
    fn headers_must_equal_the_body() {
        let body = call(r#""add""#);
        assert_eq!(check(Some("tools/call"), Some("add"), &body), Ok(()));
        assert_eq!(check(Some(" tools/call "), Some(" add "), &body), Ok(()));
        for (method, name) in [
            (None, Some("add")),
            (Some("tools/list"), Some("add")),
            (Some("Tools/call"), Some("add")),
            (Some("tools/call"), None),
            (Some("tools/call"), Some("Add")),
            (Some("tools/call"), Some("")),
        ] {
            assert!(check(method, name, &body).is_err(), "{method:?} {name:?}");
        }
    }

    #[test]
    fn the_version_must_equal_the_one_in_meta() {
        let with = |version: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"{version}"}}}}}}"#
            )
        };
        assert_eq!(check(Some("ping"), None, &with("2026-07-28")), Ok(()));
        assert!(check(Some("ping"), None, &with("2025-06-18")).is_err());
        assert_eq!(check(Some("ping"), None, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#), Ok(()));
    }

    #[test]
    fn mc_03_the_sentinel_is_decoded_before_it_is_compared() {
        let cases = [
            (r#""Hello, 世界""#, "=?base64?SGVsbG8sIOS4lueVjA==?=", true),
            (r#""plain""#, "=?base64?cGxhaW4=?=", true),
            (r#""=?base64?literal?=""#, "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", true),
            (r#""=?base64?literal?=""#, "=?base64?literal?=", false),
            (r#""=?base64?cGxhaW4=?=""#, "=?base64?cGxhaW4=?=", false),
            (r#""=?BASE64?cGxhaW4=?=""#, "=?BASE64?cGxhaW4=?=", true),
            (r#""plain""#, "=?base64?cGxhaW4?=", false),
            (r#""plain""#, "=?base64?****?=", false),
            (r#""Hello, 世界""#, "Hello, 世界", false),
        ];
        for (body, header, fits) in cases {
            assert_eq!(check(Some("tools/call"), Some(header), &call(body)).is_ok(), fits, "{body} {header}");
        }
    }

    #[test]
    fn other_members_are_mirrored_for_other_methods() {
        let read = r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a","name":"b"}}"#;
        assert_eq!(check(Some("resources/read"), Some("file:///a"), read), Ok(()));
        assert!(check(Some("resources/read"), Some("b"), read).is_err());
        let task = r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t"}}"#;
        assert_eq!(check(Some("tasks/get"), None, task), Ok(()));
        assert!(check(Some("tasks/get"), Some("u"), task).is_err());
        let notice = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
        assert_eq!(check(None, None, notice), Ok(()));
        assert!(check(Some("notifications/y"), None, notice).is_err());
    }
}
