//! What the demo offers: tools that read, write and delete, one resource, one prompt. The same for every revision.

use http::HeaderMap;
use serde_json::{Map, Value, json};

use super::message::{DemoMessage, RpcError};
use super::notes::{LARGEST_NOTE, Notes};

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
pub(super) const INSTRUCTIONS: &str = "A demonstration server. `whoami` shows which identity the gateway passes on; `count` reports progress slowly. \
     `list_notes`, `add_note` and `delete_note` need a permission each.";

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

/// What a tool does to the world, as its annotations say (MCP 2025-03-26 and later, tools).
#[derive(Clone, Copy)]
enum Effect {
    Reads,
    Writes,
    Destroys,
}

fn tool(effect: Effect, [name, title, description]: [&str; 3], input: &Value) -> Value {
    let (reads, destroys) = (matches!(effect, Effect::Reads), matches!(effect, Effect::Destroys));
    json!({
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": input,
        "annotations": { "readOnlyHint": reads, "destructiveHint": destroys, "openWorldHint": false },
    })
}

fn tools() -> Value {
    let count = json!({
        "to": { "type": "integer", "minimum": 1, "maximum": 1000, "default": 5 },
        "delay_ms": { "type": "integer", "minimum": 0, "maximum": 60000, "default": 500 },
    });
    let text = json!({ "text": { "type": "string" } });
    let note = json!({ "text": { "type": "string", "minLength": 1, "maxLength": LARGEST_NOTE } });
    let numbers = json!({ "a": { "type": "number" }, "b": { "type": "number" } });
    let number = json!({ "number": { "type": "integer", "minimum": 1 } });
    let nothing = schema(&json!({}), &[]);
    json!({ "tools": [
        tool(Effect::Reads, ["echo", "Echo", "Returns the text it is given."], &schema(&text, &["text"])),
        tool(Effect::Reads, ["add", "Add", "Adds two numbers."], &schema(&numbers, &["a", "b"])),
        tool(
            Effect::Reads,
            ["count", "Count", "Counts slowly and reports progress after each step."],
            &schema(&count, &[]),
        ),
        tool(
            Effect::Reads,
            ["whoami", "Who am I", "Returns the identity headers that reached this server."],
            &nothing,
        ),
        tool(Effect::Reads, ["list_notes", "List notes", "Returns your notes and their numbers."], &nothing),
        tool(Effect::Writes, ["add_note", "Add a note", "Adds a note to yours."], &schema(&note, &["text"])),
        tool(
            Effect::Destroys,
            ["delete_note", "Delete a note", "Deletes one of your notes, by its number."],
            &schema(&number, &["number"]),
        ),
    ]})
}

/// Answers the methods that all revisions share, except the tool `count`; `None` for an unknown method.
pub(super) fn answer(message: &DemoMessage, headers: &HeaderMap, notes: &Notes) -> Option<Result<Value, RpcError>> {
    Some(match message.method.as_str() {
        "tools/list" => Ok(tools()),
        "tools/call" => call(message, headers, notes),
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

fn call(message: &DemoMessage, headers: &HeaderMap, notes: &Notes) -> Result<Value, RpcError> {
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
        Some("list_notes") => Ok(text_result(notes.list(headers))),
        Some("add_note") => Ok(add_note(&given, headers, notes)),
        Some("delete_note") => {
            let Some(number) = given.get("number").and_then(Value::as_u64) else {
                return Ok(tool_error("delete_note needs the number of a note"));
            };
            let is_gone = notes.delete(headers, number);
            Ok(if is_gone { text_result("Deleted.") } else { tool_error("there is no note with this number") })
        }
        Some(_) => Err(RpcError::new(-32602, "unknown tool")),
        None => Err(RpcError::new(-32602, "tools/call needs a name")),
    }
}

fn add_note(given: &Map<String, Value>, headers: &HeaderMap, notes: &Notes) -> Value {
    let text = given.get("text").and_then(Value::as_str).unwrap_or_default();
    if text.is_empty() || text.len() > LARGEST_NOTE {
        return tool_error("add_note needs a text of up to 1024 bytes");
    }
    match notes.add(headers, text) {
        Some(number) => text_result(format!("Added as number {number}.")),
        None => tool_error("there are too many notes; delete one first"),
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
