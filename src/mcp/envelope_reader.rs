//! `EnvelopeReader`: what is read of a message, and what it must be.

use std::borrow::Cow;

use super::headers::is_mirrored;
use super::{Envelope, EnvelopeError, MessageKind};
use crate::strict_json::{Fault, Next, Token, Walk, text, unescape};

/// The text is JSON, but no message (JSON-RPC 2.0 5.1).
const INVALID_REQUEST: i32 = -32600;
/// The text is not JSON (JSON-RPC 2.0 5.1).
const PARSE_ERROR: i32 = -32700;
/// The longest method; those of the specification have at most 40 bytes.
const MAX_METHOD: usize = 128;
/// The most messages in a batch.
const MAX_BATCH: usize = 50;

/// Reads a body in pieces, for those that are so large that others would have to wait.
#[derive(Debug)]
pub struct EnvelopeReader<'a> {
    walk: Walk<'a>,
    allows_batch: bool,
    in_batch: bool,
    place: Place,
    /// Objects and arrays that are open in it and do not matter.
    below: u32,
    member: Member,
    draft: Draft<'a>,
    messages: Vec<Envelope<'a>>,
}

/// The object or array that matters and was opened last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Batch,
    Message,
    Params,
    Meta,
}

/// The member whose value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    JsonRpc,
    Id,
    Method,
    Params,
    Name,
    Uri,
    Task,
    Meta,
    Version,
    /// `result` or `error`.
    Answer,
    /// One that does not matter, or none.
    Other,
}

const NO_MESSAGE: Fault = Fault::Rule("the body is not a JSON-RPC message");
const NO_BATCH: Fault = Fault::Rule("a batch is not allowed here");
const NO_METHOD: Fault = Fault::Rule("the method must be a string");
const NO_ID: Fault = Fault::Rule("the id must be a string or a number");

impl<'a> EnvelopeReader<'a> {
    /// Begins to read a body: one message, or a batch (1 to 50) where `batch` allows it.
    ///
    /// # Errors
    /// `EnvelopeError` when it is not UTF-8.
    pub fn new(body: &'a [u8], batch: bool) -> Result<Self, EnvelopeError> {
        let Ok(text) = std::str::from_utf8(body) else {
            return Err(EnvelopeError { code: PARSE_ERROR, message: "the body is not UTF-8", id: None });
        };
        Ok(Self {
            walk: Walk::new(text),
            allows_batch: batch,
            in_batch: false,
            place: Place::Outside,
            below: 0,
            member: Member::Other,
            draft: Draft::default(),
            messages: Vec::with_capacity(1),
        })
    }

    /// Goes on for some `work`, which is the time that so many bytes of a plain string take. Returns the messages when
    /// the body has ended.
    ///
    /// # Errors
    /// As [`Envelope::read`]. It is not to be called again after that.
    pub fn step(&mut self, mut work: usize) -> Option<Result<Vec<Envelope<'a>>, EnvelopeError>> {
        loop {
            let taken = match self.walk.next(&mut work) {
                Ok(Next::Token(token)) => self.take(token),
                Ok(Next::Paused) => return None,
                Ok(Next::End) => return Some(Ok(std::mem::take(&mut self.messages))),
                Err(fault) => Err(fault),
            };
            if let Err(fault) = taken {
                let (code, message) = match fault {
                    Fault::NotJson => (PARSE_ERROR, "the body is not JSON"),
                    Fault::Rule(rule) => (INVALID_REQUEST, rule),
                };
                // In a batch no single id can be blamed.
                let id = self.draft.id.filter(|_| self.messages.is_empty()).map(str::to_owned);
                return Some(Err(EnvelopeError { code, message, id }));
            }
        }
    }

    fn take(&mut self, token: Token<'a>) -> Result<(), Fault> {
        if self.below > 0 {
            match token {
                Token::Object | Token::Array => self.below += 1,
                Token::Close => self.below -= 1,
                Token::Name(..) | Token::Scalar(_) => {}
            }
            return Ok(());
        }
        match token {
            Token::Name(raw, is_escaped) => {
                self.member = self.place.member(&unescape(raw, is_escaped).unwrap_or_default());
                self.draft.answers |= self.member == Member::Answer;
            }
            Token::Object | Token::Array => return self.open(token == Token::Object),
            Token::Close => return self.close(),
            Token::Scalar(raw) if matches!(self.place, Place::Message | Place::Params | Place::Meta) => {
                return self.draft.take(self.member, raw);
            }
            Token::Scalar(_) => return Err(NO_MESSAGE),
        }
        Ok(())
    }

    fn open(&mut self, object: bool) -> Result<(), Fault> {
        self.place = match (self.place, self.member, object) {
            (Place::Outside | Place::Batch, _, true) => {
                self.draft = Draft::default();
                Place::Message
            }
            // JSON-RPC batches ended with 2025-06-18, and an element of a batch is never a batch.
            (Place::Outside, _, false) if self.allows_batch => {
                self.in_batch = true;
                Place::Batch
            }
            (Place::Outside | Place::Batch, _, false) => return Err(NO_BATCH),
            (Place::Message, Member::Id, _) => return Err(NO_ID),
            (Place::Message, Member::Method, _) => return Err(NO_METHOD),
            (Place::Message, Member::Params, true) => Place::Params,
            (Place::Params, Member::Meta, true) => Place::Meta,
            (place, ..) => {
                self.below = 1;
                place
            }
        };
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        self.place = match self.place {
            Place::Meta => Place::Params,
            Place::Params => Place::Message,
            Place::Message => {
                let id = self.draft.id;
                let message = std::mem::take(&mut self.draft).finish();
                // For the refusal.
                self.draft.id = id;
                self.messages.push(message?);
                if self.messages.len() > MAX_BATCH {
                    return Err(Fault::Rule("too many messages in a batch"));
                }
                if self.in_batch { Place::Batch } else { Place::Outside }
            }
            Place::Batch | Place::Outside if self.messages.is_empty() => {
                return Err(Fault::Rule("the batch is empty"));
            }
            Place::Batch | Place::Outside => Place::Outside,
        };
        Ok(())
    }
}

impl Place {
    fn member(self, name: &[u8]) -> Member {
        match (self, name) {
            (Self::Message, b"jsonrpc") => Member::JsonRpc,
            (Self::Message, b"id") => Member::Id,
            (Self::Message, b"method") => Member::Method,
            (Self::Message, b"params") => Member::Params,
            (Self::Message, b"result" | b"error") => Member::Answer,
            (Self::Params, b"name") => Member::Name,
            (Self::Params, b"uri") => Member::Uri,
            (Self::Params, b"taskId") => Member::Task,
            (Self::Params, b"_meta") => Member::Meta,
            (Self::Meta, b"io.modelcontextprotocol/protocolVersion") => Member::Version,
            _ => Member::Other,
        }
    }
}

/// A message while it is being read: members may come in any order.
#[derive(Debug, Default)]
struct Draft<'a> {
    version_2: bool,
    answers: bool,
    id: Option<&'a str>,
    method: Option<Cow<'a, str>>,
    // As they stand: only one of the first three is needed, and which one, the method tells.
    name: Option<&'a str>,
    uri: Option<&'a str>,
    task: Option<&'a str>,
    version: Option<&'a str>,
}

impl<'a> Draft<'a> {
    /// Takes the value of a member, as it stands.
    fn take(&mut self, member: Member, raw: &'a str) -> Result<(), Fault> {
        let string = Some(raw).filter(|raw| raw.starts_with('"'));
        match member {
            Member::JsonRpc => self.version_2 = string.and_then(text).as_deref() == Some("2.0"),
            Member::Id => {
                if string.is_some_and(|raw| raw.contains('\\') && text(raw).is_none()) {
                    return Err(Fault::Rule("the id has half of a surrogate pair"));
                }
                if matches!(raw, "true" | "false") {
                    return Err(NO_ID);
                }
                self.id = Some(raw);
            }
            Member::Method => {
                let raw = string.ok_or(NO_METHOD)?;
                let method = Some(raw).filter(|raw| raw.len() <= 6 * MAX_METHOD + 2).and_then(text);
                let fits = |method: &Cow<'_, str>| method.len() <= MAX_METHOD && !method.chars().any(char::is_control);
                let unfit =
                    Fault::Rule("the method is too long, or has control characters or half of a surrogate pair");
                self.method = Some(method.filter(fits).ok_or(unfit)?);
            }
            Member::Name => self.name = string,
            Member::Uri => self.uri = string,
            Member::Task => self.task = string,
            Member::Version => self.version = string,
            Member::Params | Member::Meta | Member::Answer | Member::Other => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Envelope<'a>, Fault> {
        if !self.version_2 {
            return Err(Fault::Rule("jsonrpc must be \"2.0\""));
        }
        let kind = match (&self.method, self.answers, self.id) {
            // MCP (basic: requests): unlike in JSON-RPC itself the id is never null.
            (Some(_), false, Some("null")) => return Err(Fault::Rule("the id must not be null")),
            (Some(_), false, Some(_)) => MessageKind::Request,
            (Some(_), false, None) => MessageKind::Notification,
            (None, true, _) => MessageKind::Response,
            (Some(_), true, _) => return Err(Fault::Rule("a message is a request or a response, not both")),
            (None, false, _) => return Err(Fault::Rule("the method is missing")),
        };
        let name = match self.method.as_deref() {
            Some("resources/read") => self.uri,
            Some("tasks/get" | "tasks/update" | "tasks/cancel") => self.task,
            Some(_) | None => self.name,
        };
        let read = |raw: Option<&'a str>, unfit| raw.map(|raw| text(raw).ok_or(Fault::Rule(unfit))).transpose();
        let name = read(name, "the name, uri or taskId in params has half of a surrogate pair");
        let is_used = self.method.as_deref().is_some_and(is_mirrored);
        let name = if is_used { name? } else { name.unwrap_or_default() };
        let version = read(self.version, "the protocol version in _meta has half of a surrogate pair")?;
        Ok(Envelope { kind, id: self.id, method: self.method, name, version })
    }
}

impl<'a> Envelope<'a> {
    /// Reads a body: one message, or a batch (1 to 50) where `batch` allows it.
    ///
    /// # Errors
    /// `EnvelopeError` for anything two parsers might read differently: duplicate members (also escaped), invalid
    /// UTF-8, a byte order mark, trailing bytes, depth over 128, a method over 128 bytes; half a surrogate pair in what
    /// is read. What is not read may be any JSON that keeps to this.
    pub fn read(body: &'a [u8], batch: bool) -> Result<Vec<Self>, EnvelopeError> {
        let mut reader = EnvelopeReader::new(body, batch)?;
        loop {
            if let Some(read) = reader.step(usize::MAX) {
                return read;
            }
        }
    }
}
