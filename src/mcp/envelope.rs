//! A borrowed look at a JSON-RPC message: id, method, the name it acts on, the version it claims. Builds no tree.

use std::borrow::Cow;

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// Has a method and an id.
    Request,
    /// Has a method and no id.
    Notification,
    /// Has a result or an error (legacy sessions only).
    Response,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// What it is.
    pub kind: MessageKind,
    /// The id as raw JSON.
    pub id: Option<&'a str>,
    /// The method.
    pub method: Option<Cow<'a, str>>,
    /// `params.name`, `params.uri` or `params.taskId`, whichever its method's routing header mirrors.
    pub name: Option<Cow<'a, str>>,
    /// `params._meta["io.modelcontextprotocol/protocolVersion"]`.
    pub version: Option<Cow<'a, str>>,
}

/// Why a body is no JSON-RPC message, with the id if it could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeError {
    /// -32700 (not JSON) or -32600 (not JSON-RPC).
    pub code: i32,
    /// What is wrong.
    pub message: &'static str,
    /// The id as raw JSON, if it was readable.
    pub id: Option<String>,
}

impl<'a> Envelope<'a> {
    /// Reads a body: one message, or a batch (1 to 50) where `batch` allows it.
    ///
    /// # Errors
    /// `EnvelopeError` for anything two parsers might read differently: duplicate members (also escaped), invalid
    /// UTF-8, lone surrogates, a byte order mark, trailing bytes, depth over 64, a method over 128 bytes.
    pub fn read(_body: &'a [u8], _batch: bool) -> Result<Vec<Self>, EnvelopeError> {
        todo!()
    }
}
