//! `AnswerReader`: reads the messages of an answer, and decides what is left out.

use std::borrow::Cow;

use super::completed::CompletedValues;
use super::cut::{Cut, Edit};
use super::place::{AnswerMember, AnswerPlace, List};
use super::{Offer, Shown, ToolHints};
use crate::mcp::unknown_name::{UnknownName, error_object};
use crate::strict_json::{JsonFault, Token, Walk, WalkStep, text, unescape};

/// The notification that a resource changed (MCP, server/resources: subscriptions).
const UPDATED: &str = "notifications/resources/updated";

/// Why an answer cannot be read.
pub type AnswerFault = &'static str;

/// What became of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewritten {
    /// It stays as it is.
    Unchanged,
    /// It changes to this.
    Changed(Vec<u8>),
    /// It is one message, which said that something is unknown, and now does so in the gateway's words.
    Unknown(ToldUnknown),
    /// Nothing of it is for the caller.
    Hidden,
}

/// An error for a name that is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldUnknown {
    /// The answer, as JSON.
    pub answer: Vec<u8>,
    /// The code of the error.
    pub code: i32,
    /// The message of the error, for people.
    pub text: String,
}

/// Reads an answer (a message or a batch) in pieces, so that a large one does not keep others waiting.
#[derive(Debug)]
pub struct AnswerReader<'a, F> {
    text: &'a str,
    walk: Walk<'a>,
    shows: F,
    within: AnswerPlace,
    /// The depth of the irrelevant object or array that is open.
    below: Option<u32>,
    member: AnswerMember,
    /// The elements of the current list, or the members of the current capabilities.
    cut: Cut,
    /// Where the current one of them began.
    element: usize,
    in_batch: bool,
    /// The messages of a batch, and how many messages the caller gets.
    messages: Cut,
    shown_messages: usize,
    message: MessageFacts<'a>,
    edits: Vec<Edit>,
    /// Whether the caller uses 2026-07-28.
    is_modern: bool,
    /// The last error for something unknown.
    unknown: Option<(i32, String)>,
}

/// What is known of the current message.
#[derive(Debug, Default)]
struct MessageFacts<'a> {
    /// Where it begins.
    begin: usize,
    /// How many edits there were before it.
    edits_before: usize,
    method: Option<&'a str>,
    /// The raw URI that a notification is about, or an error.
    uri: Option<&'a str>,
    /// Where its `result` or `error` begins, with the name.
    outcome: usize,
    /// The raw name of the current entry or capability.
    name: Option<&'a str>,
    /// What the current entry says of itself.
    hints: ToolHints,
    has_versions: bool,
    /// The edits of its capabilities, which only count for answers with versions.
    capabilities: Vec<Edit>,
    is_error: bool,
    blocks: usize,
    words: Option<&'a str>,
    completed: CompletedValues<'a>,
}

impl<'a, F: FnMut(Offer<'_>) -> Shown> AnswerReader<'a, F> {
    /// Begins to read an answer. `shows` says what the caller gets to see of what it offers.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn new(answer: &'a [u8], shows: F) -> Result<Self, AnswerFault> {
        let text = std::str::from_utf8(answer).map_err(|_| "it is not UTF-8")?;
        Ok(Self {
            text,
            walk: Walk::new(text),
            shows,
            within: AnswerPlace::Outside,
            below: None,
            member: AnswerMember::Other,
            cut: Cut::default(),
            element: 0,
            in_batch: false,
            messages: Cut::default(),
            shown_messages: 0,
            message: MessageFacts::default(),
            edits: Vec::new(),
            is_modern: false,
            unknown: None,
        })
    }

    /// Says whether the caller uses 2026-07-28.
    #[must_use]
    pub fn for_modern(self, is_modern: bool) -> Self {
        Self { is_modern, ..self }
    }

    /// Reads all of an answer.
    ///
    /// # Errors
    /// As [`AnswerReader::step`].
    pub fn read(mut self) -> Result<Rewritten, AnswerFault> {
        loop {
            if let Some(read) = self.step(usize::MAX) {
                return read;
            }
        }
    }

    /// Continues for an amount of `work`, measured in bytes of a plain string. Returns what became of the answer when
    /// it has ended; must not be called again after that.
    ///
    /// # Errors
    /// It is not JSON, or two programs might read differently what it offers, because a member occurs twice.
    pub fn step(&mut self, mut work: usize) -> Option<Result<Rewritten, AnswerFault>> {
        loop {
            match self.next(&mut work) {
                Ok(WalkStep::Token(token)) => self.take(&token),
                Ok(WalkStep::Paused) => return None,
                Ok(WalkStep::End) => return Some(Ok(self.finish())),
                Err(JsonFault::NotJson) => return Some(Err("it is not JSON")),
                Err(JsonFault::Rule(rule)) => return Some(Err(rule)),
            }
        }
    }

    /// Passes what is irrelevant, and returns the next token after it.
    fn next(&mut self, work: &mut usize) -> Result<WalkStep<'a>, JsonFault> {
        if let Some(depth) = self.below {
            if !self.walk.pass(depth, work)? {
                return Ok(WalkStep::Paused);
            }
            self.below = None;
            self.walk.compare_names(true);
            self.end_value(None);
        }
        self.walk.next(work)
    }

    fn take(&mut self, token: &Token<'a>) {
        match token {
            Token::Object | Token::Array => self.open(*token == Token::Object),
            Token::Close => self.close(),
            Token::Name(raw, is_escaped) => {
                self.member = self.within.member(&unescape(raw, *is_escaped).unwrap_or_default());
                self.message.hints.has_meta |= self.member == AnswerMember::Meta;
                if self.within == AnswerPlace::Message {
                    self.message.outcome = self.walk.end_of_token() - raw.len();
                } else if self.within == AnswerPlace::Capabilities {
                    (self.element, self.message.name) = (self.walk.end_of_token() - raw.len(), Some(*raw));
                }
            }
            Token::Scalar(raw) => {
                if matches!(self.within, AnswerPlace::List(_) | AnswerPlace::Values) {
                    self.element = self.walk.end_of_token() - raw.len();
                }
                self.end_value(Some(raw));
            }
        }
    }

    /// An object or array begins.
    fn open(&mut self, is_object: bool) {
        if matches!(self.within, AnswerPlace::List(_) | AnswerPlace::Values) {
            self.element = self.walk.end_of_token() - 1;
        }
        self.within = match (self.within, self.member, is_object) {
            (AnswerPlace::Outside | AnswerPlace::Batch, _, true) => {
                let (begin, edits_before) = (self.walk.end_of_token() - 1, self.edits.len());
                self.message = MessageFacts { begin, edits_before, ..MessageFacts::default() };
                AnswerPlace::Message
            }
            (AnswerPlace::Outside, _, false) => {
                self.in_batch = true;
                AnswerPlace::Batch
            }
            (AnswerPlace::Message, AnswerMember::Result, true) => AnswerPlace::Result,
            (AnswerPlace::Message, AnswerMember::Error, true) => AnswerPlace::Error,
            (AnswerPlace::Message, AnswerMember::Params, true) => AnswerPlace::Params,
            (AnswerPlace::Error, AnswerMember::Data, true) => AnswerPlace::Data,
            (AnswerPlace::Result, AnswerMember::List(list), false) => {
                self.cut = Cut::default();
                AnswerPlace::List(list)
            }
            (AnswerPlace::Result, AnswerMember::Capabilities, true) => {
                self.cut = Cut::default();
                AnswerPlace::Capabilities
            }
            (AnswerPlace::Result, AnswerMember::Content, false) => AnswerPlace::Content,
            (AnswerPlace::Result, AnswerMember::Completion, true) => AnswerPlace::Completion,
            (AnswerPlace::Completion, AnswerMember::Values, false) => AnswerPlace::Values,
            (AnswerPlace::List(list), _, true) => {
                (self.message.name, self.message.hints) = (None, ToolHints::default());
                AnswerPlace::Entry(list)
            }
            (AnswerPlace::Entry(List::Tools), AnswerMember::Annotations, true) => AnswerPlace::Annotations,
            (AnswerPlace::Content, _, true) => {
                self.message.blocks += 1;
                AnswerPlace::Block
            }
            (within, ..) => {
                self.below = Some(self.walk.depth());
                self.walk.compare_names(false);
                within
            }
        };
    }

    /// A relevant object or array ends.
    fn close(&mut self) {
        self.within = match self.within {
            AnswerPlace::Entry(list) => {
                let name = self.message.name.and_then(text);
                let entry = self.text.get(self.element..self.walk.end_of_token()).unwrap_or_default();
                let shown = name.map(|name| (self.shows)(list.offer(&name, self.message.hints, entry)));
                if let Some(Shown::With(schemes)) = &shown {
                    self.edits.extend(schemes.edits(entry, self.element));
                }
                self.end_element(shown.is_some_and(|shown| shown != Shown::Nothing));
                AnswerPlace::List(list)
            }
            AnswerPlace::List(_) => {
                let gone = std::mem::take(&mut self.cut).end();
                self.edits.extend(gone.map(|range| (range, Cow::Borrowed(""))));
                AnswerPlace::Result
            }
            AnswerPlace::Capabilities => {
                let gone = std::mem::take(&mut self.cut).end();
                self.message.capabilities.extend(gone.map(|range| (range, Cow::Borrowed(""))));
                AnswerPlace::Result
            }
            AnswerPlace::Annotations => AnswerPlace::Entry(List::Tools),
            AnswerPlace::Block => AnswerPlace::Content,
            AnswerPlace::Content | AnswerPlace::Completion => AnswerPlace::Result,
            AnswerPlace::Values => AnswerPlace::Completion,
            AnswerPlace::Result => {
                if self.message.has_versions {
                    self.edits.append(&mut self.message.capabilities);
                }
                if self.message.is_error && self.message.blocks == 1 {
                    self.note_unknown(|unknown| matches!(unknown, UnknownName::Tool(_)));
                }
                AnswerPlace::Message
            }
            AnswerPlace::Error => {
                self.note_unknown(|_| true);
                AnswerPlace::Message
            }
            AnswerPlace::Data => AnswerPlace::Error,
            AnswerPlace::Params => AnswerPlace::Message,
            AnswerPlace::Message => {
                self.end_message();
                if self.in_batch { AnswerPlace::Batch } else { AnswerPlace::Outside }
            }
            AnswerPlace::Batch => {
                let gone = std::mem::take(&mut self.messages).end();
                self.edits.extend(gone.map(|range| (range, Cow::Borrowed(""))));
                AnswerPlace::Outside
            }
            AnswerPlace::Outside => AnswerPlace::Outside,
        };
    }

    /// A value ends that is a scalar, or irrelevant itself.
    fn end_value(&mut self, scalar: Option<&'a str>) {
        match (self.within, self.member) {
            (AnswerPlace::List(_), _) => self.end_element(false),
            (AnswerPlace::Capabilities, _) => {
                let name = self.message.name.and_then(text);
                let stays = name.is_none_or(|name| (self.shows)(Offer::Capability(&name)) != Shown::Nothing);
                self.end_element(stays);
            }
            (AnswerPlace::Content, _) => self.message.blocks += 1,
            (AnswerPlace::Values, _) => {
                self.message.completed.add(self.element..self.walk.end_of_token(), scalar);
            }
            (AnswerPlace::Completion, AnswerMember::Total) => {
                let end = self.walk.end_of_token();
                self.message.completed.set_total(end - scalar.map_or(0, str::len)..end, scalar);
            }
            (AnswerPlace::Message, AnswerMember::Id) => self.message.completed.id = scalar,
            (AnswerPlace::Entry(_), AnswerMember::Name) => {
                self.message.name = scalar.filter(|raw| raw.starts_with('"'))
            }
            (AnswerPlace::Annotations, member) => self.message.hints.take(member, scalar),
            (AnswerPlace::Message, AnswerMember::Method) => self.message.method = scalar,
            (AnswerPlace::Params | AnswerPlace::Data, AnswerMember::Uri) => self.message.uri = scalar,
            (AnswerPlace::Error | AnswerPlace::Block, AnswerMember::Words) => self.message.words = scalar,
            (AnswerPlace::Result, AnswerMember::Versions) => self.message.has_versions = true,
            (AnswerPlace::Result, AnswerMember::IsError) => self.message.is_error = scalar == Some("true"),
            (AnswerPlace::Result, AnswerMember::CacheScope) => {
                let end = self.walk.end_of_token();
                if let Some(raw) = scalar.filter(|raw| text(raw).as_deref() != Some("private")) {
                    self.edits.push((end - raw.len()..end, Cow::Borrowed("\"private\"")));
                }
            }
            _ => {}
        }
    }

    fn end_element(&mut self, stays: bool) {
        let gone = self.cut.next(self.element..self.walk.end_of_token(), stays);
        let of_capabilities = self.within == AnswerPlace::Capabilities;
        let edits = if of_capabilities { &mut self.message.capabilities } else { &mut self.edits };
        edits.extend(gone.map(|range| (range, Cow::Borrowed(""))));
    }

    /// A message ends: it is left out if it tells of a change of a resource that is not shown.
    fn end_message(&mut self) {
        let completed = std::mem::take(&mut self.message.completed);
        self.edits.extend(completed.edits(&mut self.shows));
        let is_update = self.message.method.and_then(text).as_deref() == Some(UPDATED);
        let uri = self.message.uri.and_then(text).filter(|_| is_update);
        let stays = !is_update || uri.is_some_and(|uri| (self.shows)(Offer::Update(&uri)) != Shown::Nothing);
        if !stays {
            self.edits.truncate(self.message.edits_before);
        }
        self.shown_messages += usize::from(stays);
        let gone = self.messages.next(self.message.begin..self.walk.end_of_token(), stays);
        self.edits.extend(gone.map(|range| (range, Cow::Borrowed(""))));
    }

    /// Replaces the result or error that ends, if it says that something is unknown.
    fn note_unknown(&mut self, counts: impl Fn(UnknownName<'_>) -> bool) {
        let string = |raw: Option<&'a str>| raw.filter(|raw| raw.starts_with('"')).and_then(text);
        let (words, uri) = (string(self.message.words), string(self.message.uri));
        let said = words.as_deref().and_then(|words| UnknownName::said(words, uri.as_deref()));
        if let Some((code, text)) = said.filter(|said| counts(*said)).map(|said| said.error(self.is_modern)) {
            self.edits.truncate(self.message.edits_before);
            self.message.completed.clear();
            let outcome = format!("\"error\":{}", error_object(code, &text));
            self.edits.push((self.message.outcome..self.walk.end_of_token(), outcome.into()));
            self.unknown = Some((code, text));
        }
    }

    fn finish(&mut self) -> Rewritten {
        let mut edits = std::mem::take(&mut self.edits);
        if self.shown_messages == 0 && self.message.method.is_some() {
            return Rewritten::Hidden;
        }
        if edits.is_empty() {
            return Rewritten::Unchanged;
        }
        // The members of a result come in any order.
        edits.sort_by_key(|(range, _)| range.start);
        let (mut answer, mut at) = (Vec::with_capacity(self.text.len()), 0);
        for (range, text) in &edits {
            answer.extend_from_slice(self.text.get(at..range.start).unwrap_or_default().as_bytes());
            answer.extend_from_slice(text.as_bytes());
            at = range.end;
        }
        answer.extend_from_slice(self.text.get(at..).unwrap_or_default().as_bytes());
        match self.unknown.take().filter(|_| !self.in_batch) {
            Some((code, text)) => Rewritten::Unknown(ToldUnknown { answer, code, text }),
            None => Rewritten::Changed(answer),
        }
    }
}
