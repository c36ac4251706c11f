//! `EnvelopeReader`: reads the relevant parts of a message, and checks its form.

use std::borrow::Cow;

use super::headers::is_mirrored;
use super::message_member::{MessageMember, Within};
use super::{Completes, Envelope, EnvelopeError, MessageKind};
use crate::strict_json::{JsonFault, Token, Walk, WalkStep, text, unescape};

/// JSON-RPC code: the text is JSON, but not a message (JSON-RPC 2.0 5.1).
const INVALID_REQUEST: i32 = -32600;
/// JSON-RPC code: the text is not JSON (JSON-RPC 2.0 5.1).
const PARSE_ERROR: i32 = -32700;
/// Maximum length of a method in bytes; those of the specification have at most 40.
const MAX_METHOD: usize = 128;
/// The most messages in a batch.
const MAX_BATCH: usize = 50;

/// Reads a body in pieces, so that a large one does not keep other requests waiting.
#[derive(Debug)]
pub struct EnvelopeReader<'a> {
    walk: Walk<'a>,
    allows_batch: bool,
    in_batch: bool,
    place: Within,
    /// How many open objects and arrays are irrelevant.
    below: u32,
    member: MessageMember,
    draft: Draft<'a>,
    messages: Vec<Envelope<'a>>,
}

const NO_MESSAGE: JsonFault = JsonFault::Rule("the body is not a JSON-RPC message");
const NO_BATCH: JsonFault = JsonFault::Rule("a batch is not allowed here");
const NO_METHOD: JsonFault = JsonFault::Rule("the method must be a string");
const NO_ID: JsonFault = JsonFault::Rule("the id must be a string or a number");

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
            place: Within::Outside,
            below: 0,
            member: MessageMember::Other,
            draft: Draft::default(),
            messages: Vec::with_capacity(1),
        })
    }

    /// Continues for an amount of `work`, measured in bytes of a plain string. Returns the messages when the body has
    /// ended.
    ///
    /// # Errors
    /// As [`Envelope::read`]. Must not be called again after that.
    pub fn step(&mut self, mut work: usize) -> Option<Result<Vec<Envelope<'a>>, EnvelopeError>> {
        loop {
            let taken = match self.walk.next(&mut work) {
                Ok(WalkStep::Token(token)) => self.take(token),
                Ok(WalkStep::Paused) => return None,
                Ok(WalkStep::End) => return Some(Ok(std::mem::take(&mut self.messages))),
                Err(fault) => Err(fault),
            };
            if let Err(fault) = taken {
                let (code, message) = match fault {
                    JsonFault::NotJson => (PARSE_ERROR, "the body is not JSON"),
                    JsonFault::Rule(rule) => (INVALID_REQUEST, rule),
                };
                // In a batch the fault belongs to no single id.
                let id = self.draft.id.filter(|_| self.messages.is_empty()).map(str::to_owned);
                return Some(Err(EnvelopeError { code, message, id }));
            }
        }
    }

    fn take(&mut self, token: Token<'a>) -> Result<(), JsonFault> {
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
                self.member = self.place.member(&unescape(raw, is_escaped).unwrap_or_default())?;
                self.draft.answers |= self.member == MessageMember::Answer;
            }
            Token::Object | Token::Array => return self.open(token == Token::Object),
            Token::Close => return self.close(),
            Token::Scalar(raw)
                if matches!(self.place, Within::Message | Within::Params | Within::Meta | Within::Ref) =>
            {
                return self.draft.take(self.member, raw);
            }
            Token::Scalar(_) => return Err(NO_MESSAGE),
        }
        Ok(())
    }

    fn open(&mut self, object: bool) -> Result<(), JsonFault> {
        self.place = match (self.place, self.member, object) {
            (Within::Outside | Within::Batch, _, true) => {
                self.draft = Draft::default();
                Within::Message
            }
            // JSON-RPC batches ended with 2025-06-18, and an element of a batch is never a batch.
            (Within::Outside, _, false) if self.allows_batch => {
                self.in_batch = true;
                Within::Batch
            }
            (Within::Outside | Within::Batch, _, false) => return Err(NO_BATCH),
            (Within::Message, MessageMember::Id, _) => return Err(NO_ID),
            (Within::Message, MessageMember::Method, _) => return Err(NO_METHOD),
            (Within::Message, MessageMember::Params, true) => Within::Params,
            (Within::Params, MessageMember::Meta, true) => Within::Meta,
            (Within::Params, MessageMember::Ref, true) => Within::Ref,
            (place, ..) => {
                self.below = 1;
                place
            }
        };
        Ok(())
    }

    fn close(&mut self) -> Result<(), JsonFault> {
        self.place = match self.place {
            Within::Meta | Within::Ref => Within::Params,
            Within::Params => Within::Message,
            Within::Message => {
                let id = self.draft.id;
                let message = std::mem::take(&mut self.draft).finish();
                // Kept for the error response.
                self.draft.id = id;
                self.messages.push(message?);
                if self.messages.len() > MAX_BATCH {
                    return Err(JsonFault::Rule("too many messages in a batch"));
                }
                if self.in_batch { Within::Batch } else { Within::Outside }
            }
            Within::Batch | Within::Outside if self.messages.is_empty() => {
                return Err(JsonFault::Rule("the batch is empty"));
            }
            Within::Batch | Within::Outside => Within::Outside,
        };
        Ok(())
    }
}

/// A message that is being read; members may come in any order.
#[derive(Debug, Default)]
struct Draft<'a> {
    version_2: bool,
    answers: bool,
    id: Option<&'a str>,
    method: Option<Cow<'a, str>>,
    // Raw values: only one of the first three is needed, and the method decides which.
    name: Option<&'a str>,
    uri: Option<&'a str>,
    task: Option<&'a str>,
    ref_type: Option<&'a str>,
    ref_name: Option<&'a str>,
    ref_uri: Option<&'a str>,
    version: Option<&'a str>,
}

impl<'a> Draft<'a> {
    /// Takes the raw value of a member.
    fn take(&mut self, member: MessageMember, raw: &'a str) -> Result<(), JsonFault> {
        let string = Some(raw).filter(|raw| raw.starts_with('"'));
        match member {
            MessageMember::JsonRpc => self.version_2 = string.and_then(text).as_deref() == Some("2.0"),
            MessageMember::Id => {
                if string.is_some_and(|raw| raw.contains('\\') && text(raw).is_none()) {
                    return Err(JsonFault::Rule("the id has half of a surrogate pair"));
                }
                if matches!(raw, "true" | "false") {
                    return Err(NO_ID);
                }
                self.id = Some(raw);
            }
            MessageMember::Method => {
                let raw = string.ok_or(NO_METHOD)?;
                let method = Some(raw).filter(|raw| raw.len() <= 6 * MAX_METHOD + 2).and_then(text);
                let fits = |method: &Cow<'_, str>| method.len() <= MAX_METHOD && !method.chars().any(char::is_control);
                let unfit =
                    JsonFault::Rule("the method is too long, or has control characters or half of a surrogate pair");
                self.method = Some(method.filter(fits).ok_or(unfit)?);
            }
            MessageMember::Name => self.name = string,
            MessageMember::Uri => self.uri = string,
            MessageMember::Task => self.task = string,
            MessageMember::Version => self.version = string,
            MessageMember::RefType => self.ref_type = string,
            MessageMember::RefName => self.ref_name = string,
            MessageMember::RefUri => self.ref_uri = string,
            MessageMember::Ref
            | MessageMember::Params
            | MessageMember::Meta
            | MessageMember::Arguments
            | MessageMember::Answer
            | MessageMember::Other => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Envelope<'a>, JsonFault> {
        if !self.version_2 {
            return Err(JsonFault::Rule("jsonrpc must be \"2.0\""));
        }
        let kind = match (&self.method, self.answers, self.id) {
            // MCP (basic: requests): unlike in JSON-RPC itself, the id must not be null.
            (Some(_), false, Some("null")) => return Err(JsonFault::Rule("the id must not be null")),
            (Some(_), false, Some(_)) => MessageKind::Request,
            (Some(_), false, None) => MessageKind::Notification,
            (None, true, _) => MessageKind::Response,
            (Some(_), true, _) => return Err(JsonFault::Rule("a message is a request or a response, not both")),
            (None, false, _) => return Err(JsonFault::Rule("the method is missing")),
        };
        let completes = match self.ref_type.and_then(text).as_deref() {
            _ if self.method.as_deref() != Some("completion/complete") => None,
            Some("ref/prompt") => Some(Completes::Prompt),
            Some("ref/resource") => Some(Completes::Resource),
            Some(_) | None => None,
        };
        let name = match self.method.as_deref() {
            Some("completion/complete") => match completes {
                Some(Completes::Prompt) => self.ref_name,
                Some(Completes::Resource) => self.ref_uri,
                None => None,
            },
            Some("resources/read" | "resources/subscribe" | "resources/unsubscribe") => self.uri,
            Some("tasks/get" | "tasks/update" | "tasks/cancel") => self.task,
            Some(_) | None => self.name,
        };
        let read = |raw: Option<&'a str>, unfit| raw.map(|raw| text(raw).ok_or(JsonFault::Rule(unfit))).transpose();
        let name = read(name, "the name, uri or taskId in params has half of a surrogate pair");
        let is_used = self.method.as_deref().is_some_and(is_mirrored);
        let name = if is_used { name? } else { name.unwrap_or_default() };
        let version = read(self.version, "the protocol version in _meta has half of a surrogate pair")?;
        Ok(Envelope { kind, id: self.id, method: self.method, name, completes, version })
    }
}

impl<'a> Envelope<'a> {
    /// Reads a body: one message, or a batch (1 to 50) where `batch` allows it.
    ///
    /// # Errors
    /// `EnvelopeError` for anything two parsers might read differently: duplicate members (also escaped), a member that
    /// is read under a name in another case, invalid UTF-8, a byte order mark, trailing bytes, depth over 128, a method
    /// over 128 bytes; half a surrogate pair in a part that is read. The other parts may be any JSON that obeys this.
    pub fn read(body: &'a [u8], batch: bool) -> Result<Vec<Self>, EnvelopeError> {
        let mut reader = EnvelopeReader::new(body, batch)?;
        loop {
            if let Some(read) = reader.step(usize::MAX) {
                return read;
            }
        }
    }
}
