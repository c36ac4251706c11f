//! The JSON-RPC error object of a refusal made by the gateway.

use serde::Serialize;

/// A JSON-RPC error.
#[derive(Debug, Clone, Copy)]
pub struct Refusal<'a> {
    /// JSON-RPC code.
    pub code: i32,
    /// What is wrong.
    pub message: &'a str,
    /// The request's id as raw JSON; `None` writes `null`.
    pub id: Option<&'a str>,
}

#[derive(Serialize)]
struct Body<'a> {
    jsonrpc: &'static str,
    id: Option<&'a serde_json::value::RawValue>,
    error: Object<'a>,
}

#[derive(Serialize)]
struct Object<'a> {
    code: i32,
    message: &'a str,
}

impl Refusal<'_> {
    /// Returns the JSON body. An id that is not JSON is left out.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let id = self.id.and_then(|raw| serde_json::from_str(raw).ok());
        let error = Object { code: self.code, message: self.message };
        // Integers and strings always serialise.
        serde_json::to_vec(&Body { jsonrpc: "2.0", id, error }).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    #[test]
    fn the_id_comes_back_as_it_was_written() {
        let json = |id| String::from_utf8(Refusal { code: -32020, message: "no \"match\"", id }.to_json()).unwrap();
        let tail = r#""error":{"code":-32020,"message":"no \"match\""}}"#;
        assert_eq!(json(None), format!(r#"{{"jsonrpc":"2.0","id":null,{tail}"#));
        assert_eq!(json(Some("1e2")), format!(r#"{{"jsonrpc":"2.0","id":1e2,{tail}"#));
        assert_eq!(json(Some(r#""\u00e4""#)), format!(r#"{{"jsonrpc":"2.0","id":"\u00e4",{tail}"#));
        assert_eq!(json(Some("}, oops")), json(None));
    }
}
