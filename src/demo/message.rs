//! JSON-RPC as the demo speaks it: requests, results, errors with their HTTP status.

use http::StatusCode;
use serde_json::{Map, Value, json};

/// The protocol revisions with a handshake that the demo speaks, oldest first.
pub(super) const LEGACY: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];
/// The stateless revision.
pub(super) const MODERN: &str = "2026-07-28";

/// A request or notification.
#[derive(Debug, Clone)]
pub(super) struct DemoMessage {
    /// The id; `None` for a notification.
    pub(super) id: Option<Value>,
    /// The method's name.
    pub(super) method: String,
    /// The parameters; empty when absent.
    pub(super) params: Map<String, Value>,
}

/// A JSON-RPC error and its HTTP status.
#[derive(Debug)]
pub(super) struct RpcError {
    pub(super) status: StatusCode,
    pub(super) code: i32,
    pub(super) message: String,
    pub(super) data: Option<Value>,
}

impl RpcError {
    /// Makes an error with status 200, as in every revision.
    pub(super) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { status: StatusCode::OK, code, message: message.into(), data: None }
    }

    /// Returns the error with another HTTP status.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The refusal of a version that the demo does not speak (2026-07-28, basic: protocol version negotiation).
    pub(super) fn unsupported_version(requested: &str) -> Self {
        let data = json!({ "supported": [LEGACY[0], LEGACY[1], LEGACY[2], MODERN], "requested": requested });
        let error = Self::new(-32022, "Unsupported protocol version").with_status(StatusCode::BAD_REQUEST);
        Self { data: Some(data), ..error }
    }

    /// The JSON-RPC object for a request's id.
    pub(super) fn to_json(&self, id: Option<&Value>) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let (Some(data), Some(members)) = (&self.data, error.as_object_mut()) {
            members.insert("data".to_owned(), data.clone());
        }
        json!({ "jsonrpc": "2.0", "id": id, "error": error })
    }
}

impl DemoMessage {
    /// Reads a message; `Ok(None)` for a response, which only legacy clients send.
    pub(super) fn read(value: &Value) -> Result<Option<Self>, RpcError> {
        let invalid = || RpcError::new(-32600, "not a JSON-RPC 2.0 message").with_status(StatusCode::BAD_REQUEST);
        let object = value.as_object().ok_or_else(invalid)?;
        if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(invalid());
        }
        let Some(method) = object.get("method") else {
            let is_response = object.contains_key("result") || object.contains_key("error");
            return if is_response { Ok(None) } else { Err(invalid()) };
        };
        let method = method.as_str().ok_or_else(invalid)?.to_owned();
        let id = object.get("id").cloned();
        if id.as_ref().is_some_and(|id| !id.is_string() && !id.is_number()) {
            return Err(invalid());
        }
        let params = match object.get("params") {
            None => Map::new(),
            Some(params) => params.as_object().cloned().ok_or_else(invalid)?,
        };
        Ok(Some(Self { id, method, params }))
    }

    /// The `_meta` of the parameters.
    pub(super) fn meta(&self, key: &str) -> Option<&Value> {
        self.params.get("_meta").and_then(|meta| meta.get(key))
    }

    /// A text parameter.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.params.get(key).and_then(Value::as_str)
    }
}

/// The JSON-RPC object of a success.
pub(super) fn success(id: &Value, result: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}
