//! The JSON-RPC answers of refusals made by the gateway.

use serde::Serialize;

use super::STATELESS_VERSIONS;

/// A JSON-RPC error.
#[derive(Debug, Clone, Copy)]
pub struct ErrorResponse<'a> {
    /// The JSON-RPC error code.
    pub code: i32,
    /// What is wrong.
    pub message: &'a str,
    /// The request's id as raw JSON; `None` writes `null`.
    pub id: Option<&'a str>,
    /// What a client needs to correct the request, for the codes that have it.
    pub data: Option<UnsupportedVersion<'a>>,
}

/// The `data` of -32022 (2026-07-28, basic: protocol version negotiation): the supported versions.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct UnsupportedVersion<'a> {
    supported: &'static [&'static str],
    requested: &'a str,
}

impl<'a> UnsupportedVersion<'a> {
    /// The JSON-RPC code (2026-07-28, basic: error codes).
    pub const CODE: i32 = -32022;
    /// The message, as in the servers of the SDKs.
    pub const MESSAGE: &'static str = "Unsupported protocol version";

    /// Lists the supported versions and the requested one. Only versions that a request can name are listed: older ones
    /// are negotiated by `initialize` with the upstream, which alone knows whether it supports them.
    #[must_use]
    pub fn of(requested: &'a str) -> Self {
        Self { supported: &STATELESS_VERSIONS, requested }
    }
}

#[derive(Serialize)]
struct RefusalJson<'a> {
    jsonrpc: &'static str,
    id: Option<&'a serde_json::value::RawValue>,
    error: Object<'a>,
}

#[derive(Serialize)]
struct Object<'a> {
    code: i32,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<UnsupportedVersion<'a>>,
}

impl ErrorResponse<'_> {
    /// Returns the JSON body. An id that is not JSON is left out.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let id = self.id.and_then(|raw| serde_json::from_str(raw).ok());
        let error = Object { code: self.code, message: self.message, data: self.data };
        // Integers, strings and lists of them always serialise.
        serde_json::to_vec(&RefusalJson { jsonrpc: "2.0", id, error }).unwrap_or_default()
    }
}

/// A refused call of a tool, as ChatGPT reads it (OpenAI Apps SDK, authentication: `mcp/www_authenticate`): the result
/// of the tool is an error, with the challenge that the HTTP answer would have.
#[derive(Debug, Clone, Copy)]
pub struct RefusedCall<'a> {
    /// The request's id as raw JSON; `None` writes `null`.
    pub id: Option<&'a str>,
    /// What is wrong.
    pub text: &'a str,
    /// The value of `WWW-Authenticate` (RFC 6750 3).
    pub challenge: &'a str,
    /// Whether the request is of 2026-07-28, where results have a `resultType`.
    pub is_modern: bool,
}

impl RefusedCall<'_> {
    /// Returns the JSON body. An id that is not JSON is left out.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let id: Option<&serde_json::value::RawValue> = self.id.and_then(|raw| serde_json::from_str(raw).ok());
        let result = CallResult {
            result_type: self.is_modern.then_some("complete"),
            content: [TextContent { of_type: "text", text: self.text }],
            is_error: true,
            meta: CallMeta { www_authenticate: [self.challenge] },
        };
        // Strings and a flag always serialise.
        serde_json::to_vec(&CallJson { jsonrpc: "2.0", id, result }).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct CallJson<'a> {
    jsonrpc: &'static str,
    id: Option<&'a serde_json::value::RawValue>,
    result: CallResult<'a>,
}

/// The result of a call of a tool (MCP, CallToolResult).
#[derive(Serialize)]
struct CallResult<'a> {
    #[serde(rename = "resultType", skip_serializing_if = "Option::is_none")]
    result_type: Option<&'static str>,
    content: [TextContent<'a>; 1],
    #[serde(rename = "isError")]
    is_error: bool,
    #[serde(rename = "_meta")]
    meta: CallMeta<'a>,
}

#[derive(Serialize)]
struct TextContent<'a> {
    #[serde(rename = "type")]
    of_type: &'static str,
    text: &'a str,
}

#[derive(Serialize)]
struct CallMeta<'a> {
    #[serde(rename = "mcp/www_authenticate")]
    www_authenticate: [&'a str; 1],
}

#[cfg(test)]
mod tests {
    use super::{ErrorResponse, RefusedCall, UnsupportedVersion};

    #[test]
    fn a_refused_call_is_a_result_with_the_challenge() {
        let refused = |is_modern| {
            let call = RefusedCall { id: Some("7"), text: "no \"x\"", challenge: "Bearer scope=\"a\"", is_modern };
            String::from_utf8(call.to_json()).unwrap()
        };
        let tail = r#""content":[{"type":"text","text":"no \"x\""}],"isError":true,"_meta":{"mcp/www_authenticate":["Bearer scope=\"a\""]}}}"#;
        assert_eq!(refused(false), format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{{tail}"#));
        assert_eq!(refused(true), format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"resultType":"complete",{tail}"#));
    }

    #[test]
    fn the_id_comes_back_as_it_was_written() {
        let refusal = |id| ErrorResponse { code: -32020, message: "no \"match\"", id, data: None };
        let json = |id| String::from_utf8(refusal(id).to_json()).unwrap();
        let tail = r#""error":{"code":-32020,"message":"no \"match\""}}"#;
        assert_eq!(json(None), format!(r#"{{"jsonrpc":"2.0","id":null,{tail}"#));
        assert_eq!(json(Some("1e2")), format!(r#"{{"jsonrpc":"2.0","id":1e2,{tail}"#));
        assert_eq!(json(Some(r#""\u00e4""#)), format!(r#"{{"jsonrpc":"2.0","id":"\u00e4",{tail}"#));
        assert_eq!(json(Some("}, oops")), json(None));
    }
    #[test]
    fn a_version_is_refused_with_those_to_choose_from() {
        let data = Some(UnsupportedVersion::of("v\"9"));
        let refusal =
            ErrorResponse { code: UnsupportedVersion::CODE, message: UnsupportedVersion::MESSAGE, id: None, data };
        assert_eq!(
            String::from_utf8(refusal.to_json()).unwrap(),
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32022,"message":"Unsupported protocol version","data":{"#
                .to_owned()
                + r#""supported":["2026-07-28"],"#
                + r#""requested":"v\"9"}}}"#
        );
    }
}
