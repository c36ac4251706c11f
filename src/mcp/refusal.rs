//! The JSON-RPC error object of a refusal made by the gateway.

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

impl Refusal<'_> {
    /// Returns the JSON body.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        todo!()
    }
}
