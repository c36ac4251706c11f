//! What the demo offers: four tools, one resource, one prompt. The same for every revision.

use http::HeaderMap;
use serde_json::{Map, Value, json};

use super::message::{DemoMessage, RpcError};

const GREETING_URI: &str = "demo://greeting";
const GREETING: &str = "Hello from behind the gateway.";

/// The capabilities it declares.
pub(super) fn capabilities() -> Value {
    json!({ "tools": {}, "resources": {}, "prompts": {} })
}

/// The server's name and version.
pub(super) fn server_info() -> Value {
    json!({ "name": "mcpgate-demo", "title": "mcpgate demo", "version": env!("CARGO_PKG_VERSION") })
}

/// The instructions for models.
pub(super) const INSTRUCTIONS: &str =
    "A demonstration server. `whoami` shows which identity the gateway passes on; `count` reports progress slowly.";

fn text_result(text: impl Into<String>) -> Value {
    json!({ "content": [{ "type": "text", "text": text.into() }], "isError": false })
}

/// Makes the result of a tool called with invalid arguments. MCP 2025-11-25, tools: that is a tool error, which a model
/// can read and correct; only an unknown tool is a protocol error.
pub(super) fn tool_error(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }], "isError": true })
}

fn schema(properties: &Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn tools() -> Value {
    json!({ "tools": [
        {
            "name": "echo",
            "description": "Returns the text it is given.",
            "inputSchema": schema(&json!({ "text": { "type": "string" } }), &["text"]),
        },
        {
            "name": "add",
            "description": "Adds two numbers.",
            "inputSchema": schema(&json!({ "a": { "type": "number" }, "b": { "type": "number" } }), &["a", "b"]),
        },
        {
            "name": "count",
            "description": "Counts slowly and reports progress after each step.",
            "inputSchema": schema(
                &json!({
                    "to": { "type": "integer", "minimum": 1, "maximum": 1000, "default": 5 },
                    "delay_ms": { "type": "integer", "minimum": 0, "maximum": 60000, "default": 500 },
                }),
                &[],
            ),
        },
        {
            "name": "whoami",
            "description": "Returns the identity headers that reached this server.",
            "inputSchema": schema(&json!({}), &[]),
        },
    ]})
}

/// Answers the methods that all revisions share, except the tool `count`; `None` for an unknown method.
pub(super) fn answer(message: &DemoMessage, headers: &HeaderMap) -> Option<Result<Value, RpcError>> {
    Some(match message.method.as_str() {
        "tools/list" => Ok(tools()),
        "tools/call" => call(message, headers),
        "resources/list" => Ok(json!({ "resources": [
            { "uri": GREETING_URI, "name": "greeting", "title": "A greeting", "mimeType": "text/plain" },
        ]})),
        "resources/templates/list" => Ok(json!({ "resourceTemplates": [] })),
        "resources/read" => read_resource(message),
        "prompts/list" => Ok(json!({ "prompts": [{
            "name": "greet",
            "description": "Asks for a greeting.",
            "arguments": [{ "name": "name", "description": "Who is greeted", "required": true }],
        }]})),
        "prompts/get" => get_prompt(message),
        _ => return None,
    })
}

fn arguments(message: &DemoMessage) -> Map<String, Value> {
    message.params.get("arguments").and_then(Value::as_object).cloned().unwrap_or_default()
}

fn call(message: &DemoMessage, headers: &HeaderMap) -> Result<Value, RpcError> {
    let given = arguments(message);
    match message.text("name") {
        Some("echo") => {
            let text = given.get("text").and_then(Value::as_str);
            Ok(text.map_or_else(|| tool_error("echo needs a text"), text_result))
        }
        Some("add") => {
            let number = |key| given.get(key).and_then(Value::as_f64);
            let (Some(a), Some(b)) = (number("a"), number("b")) else {
                return Ok(tool_error("add needs two numbers, a and b"));
            };
            Ok(text_result((a + b).to_string()))
        }
        Some("whoami") => Ok(text_result(identity(headers).to_string())),
        Some(_) => Err(RpcError::new(-32602, "unknown tool")),
        None => Err(RpcError::new(-32602, "tools/call needs a name")),
    }
}

/// Returns the headers with which the gateway identifies the caller.
fn identity(headers: &HeaderMap) -> Value {
    let tells = |name: &str| {
        name.starts_with("x-mcpgate-")
            || name.starts_with("x-forwarded-")
            || matches!(name, "traceparent" | "tracestate")
    };
    let mut shown = Map::new();
    for (name, value) in headers.iter().filter(|(name, _)| tells(name.as_str())) {
        shown.insert(name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into());
    }
    Value::Object(shown)
}

fn read_resource(message: &DemoMessage) -> Result<Value, RpcError> {
    match message.text("uri") {
        Some(GREETING_URI) => {
            Ok(json!({ "contents": [{ "uri": GREETING_URI, "mimeType": "text/plain", "text": GREETING }] }))
        }
        Some(uri) => Err(RpcError { data: Some(json!({ "uri": uri })), ..RpcError::new(-32602, "resource not found") }),
        None => Err(RpcError::new(-32602, "resources/read needs a uri")),
    }
}

fn get_prompt(message: &DemoMessage) -> Result<Value, RpcError> {
    if message.text("name") != Some("greet") {
        return Err(RpcError::new(-32602, "unknown prompt"));
    }
    let given = arguments(message);
    let name = given.get("name").and_then(Value::as_str);
    let name = name.ok_or_else(|| RpcError::new(-32602, "greet needs a name"))?;
    Ok(json!({ "messages": [{
        "role": "user",
        "content": { "type": "text", "text": format!("Greet {name} in one friendly sentence.") },
    }]}))
}
