//! Revision 2026-07-28: every request is independent and describes itself in `_meta` and in headers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::features;
use super::message::{DemoMessage, LEGACY, MODERN, RpcError};
use super::notes::Notes;

const VERSION_META: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_META: &str = "io.modelcontextprotocol/clientCapabilities";
const SERVER_INFO_META: &str = "io.modelcontextprotocol/serverInfo";
/// What lists and reads say about caching: the content is the same for everybody and changes only with the program.
const TTL_MS: u64 = 300_000;

/// Returns whether a request uses the stateless revision, by its header or its `_meta`.
pub(super) fn is_modern(headers: &HeaderMap, body: &Value) -> bool {
    let header = headers.get("mcp-protocol-version").and_then(|v| v.to_str().ok()).map(str::trim);
    let claimed = body.pointer("/params/_meta").and_then(|meta| meta.get(VERSION_META)).is_some();
    match header {
        Some(version) => !LEGACY.contains(&version) && (version >= MODERN || claimed),
        None => claimed,
    }
}

/// Answers a request whose method is not the tool `count`.
pub(super) fn answer(message: &DemoMessage, headers: &HeaderMap, notes: &Notes) -> Result<Value, RpcError> {
    if message.method == "server/discover" {
        let mut versions = LEGACY.to_vec();
        versions.push(MODERN);
        let result = json!({
            "supportedVersions": versions,
            "capabilities": features::capabilities(),
            "instructions": features::INSTRUCTIONS,
        });
        return Ok(complete(&message.method, result));
    }
    match features::answer(message, headers, notes) {
        Some(result) => result.map(|r| complete(&message.method, r)),
        None => Err(RpcError::new(-32601, "method not found").with_status(StatusCode::NOT_FOUND)),
    }
}

/// Adds what every result of this revision contains.
pub(super) fn complete(method: &str, mut result: Value) -> Value {
    if let Some(members) = result.as_object_mut() {
        members.insert("resultType".to_owned(), "complete".into());
        members.insert("_meta".to_owned(), json!({ SERVER_INFO_META: features::server_info() }));
        if method.ends_with("/list") || matches!(method, "resources/read" | "server/discover") {
            members.insert("ttlMs".to_owned(), TTL_MS.into());
            members.insert("cacheScope".to_owned(), "public".into());
        }
    }
    result
}

/// Checks the self-description of a request of this revision: `_meta`, and headers that agree with it.
pub(super) fn check(message: &DemoMessage, headers: &HeaderMap) -> Result<(), RpcError> {
    let bad = |code, text: &str| RpcError::new(code, text).with_status(StatusCode::BAD_REQUEST);
    let claimed = message.meta(VERSION_META).and_then(Value::as_str);
    if message.id.is_some() {
        if claimed.is_none() {
            return Err(bad(-32602, "_meta lacks io.modelcontextprotocol/protocolVersion"));
        }
        if !message.meta(CAPABILITIES_META).is_some_and(Value::is_object) {
            return Err(bad(-32602, "_meta lacks io.modelcontextprotocol/clientCapabilities"));
        }
    }
    let header = header_text(headers, "mcp-protocol-version");
    if header.is_none() || (claimed.is_some() && header.as_deref() != claimed) {
        return Err(bad(-32020, "MCP-Protocol-Version is missing or differs from _meta"));
    }
    if let Some(other) = header.filter(|version| version != MODERN) {
        return Err(RpcError::unsupported_version(&other));
    }
    if header_text(headers, "mcp-method").as_deref() != Some(message.method.as_str()) {
        return Err(bad(-32020, "Mcp-Method is missing or differs from the body"));
    }
    let mirrored = match message.method.as_str() {
        "tools/call" | "prompts/get" => message.text("name"),
        "resources/read" => message.text("uri"),
        _ => return Ok(()),
    };
    if mirrored.is_some() && header_text(headers, "mcp-name").as_deref() != mirrored {
        return Err(bad(-32020, "Mcp-Name is missing or differs from the body"));
    }
    Ok(())
}

/// Returns a header's text, trimmed, with the Base64 form for values that a header cannot contain decoded.
fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    match text.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(text.to_owned()),
    }
}
