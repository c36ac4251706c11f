//! `Row`: everything about one kind of rejection: access log, counters and answer.

use http::StatusCode;

use crate::telemetry::Outcome;

/// `Retry-After` of 503 in seconds: long enough for a store to recover, short enough for a person.
const RETRY_SOON: u64 = 5;

/// JSON-RPC code for a fault that is not in the message (JSON-RPC 2.0 5.1).
pub(super) const INTERNAL_ERROR: i32 = -32603;

/// One row of the tables of `rejection.rs` and `fault.rs`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) blame: Blame,
    pub(super) status: StatusCode,
    /// The label of its counters.
    pub(super) outcome: Outcome,
    /// Its word in the access log.
    pub(super) reason: &'static str,
    /// Details for the access log, where one reason has many forms.
    pub(super) detail: Option<&'static str>,
    /// The configuration key of the limit or rule.
    pub(super) key: Option<&'static str>,
    pub(super) word: Word,
    /// The description for the caller, which contains nothing about the caller or what is behind the gateway.
    pub(super) text: &'static str,
    pub(super) field: Field,
}

/// Who is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    Caller,
    Gateway,
    Upstream,
}

/// The error code in the body of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// An OAuth code, for faults found before the message is read.
    OAuth(&'static str),
    /// A JSON-RPC code. With 401, 403 and 429 never from the range to which MCP has given meanings: clients would take
    /// it for a modern server's answer.
    Rpc(i32),
}

/// A header field that only some answers have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    None,
    /// `WWW-Authenticate`, with one of the route's challenges.
    Challenge(Challenge),
    /// `Retry-After`, in seconds.
    RetryAfter(u64),
    /// `Allow`, with the supported methods.
    Allow(&'static str),
    /// `Connection: close`, in HTTP/1.1.
    Close,
}

/// The kind of challenge.
#[derive(Debug, Clone, Copy)]
pub(super) enum Challenge {
    Bare,
    InvalidRequest,
    InvalidToken,
    InsufficientScope,
}

impl Row {
    /// Makes the row of a fault that the caller has to correct.
    pub(super) const fn caller(status: StatusCode, outcome: Outcome, reason: &'static str, text: &'static str) -> Self {
        let (blame, word, field) = (Blame::Caller, Word::OAuth("invalid_request"), Field::None);
        Self { blame, status, outcome, reason, detail: None, key: None, word, text, field }
    }

    /// Makes the row of a token that is refused. The answer is the same for all reasons (RFC 6750 3.1), so that a
    /// stolen token does not reveal where it is valid.
    pub(super) const fn token(outcome: Outcome, reason: &'static str, text: &'static str) -> Self {
        let row = Self::caller(StatusCode::UNAUTHORIZED, outcome, reason, text);
        row.word(Word::OAuth("invalid_token")).field(Field::Challenge(Challenge::InvalidToken))
    }

    /// Makes the row of something that the gateway cannot do at the moment.
    pub(super) const fn unavailable(outcome: Outcome, reason: &'static str, text: &'static str) -> Self {
        let (blame, status, field) = (Blame::Gateway, StatusCode::SERVICE_UNAVAILABLE, Field::RetryAfter(RETRY_SOON));
        Self { blame, status, field, word: Word::Rpc(INTERNAL_ERROR), ..Self::caller(status, outcome, reason, text) }
    }

    /// Makes the row of an upstream's fault.
    pub(super) const fn upstream(outcome: Outcome, reason: &'static str, text: &'static str) -> Self {
        let (blame, status, word) = (Blame::Upstream, StatusCode::BAD_GATEWAY, Word::Rpc(INTERNAL_ERROR));
        Self { blame, word, ..Self::caller(status, outcome, reason, text) }
    }

    pub(super) const fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(super) const fn word(self, word: Word) -> Self {
        Self { word, ..self }
    }

    pub(super) const fn key(self, key: &'static str) -> Self {
        Self { key: Some(key), ..self }
    }

    pub(super) const fn field(self, field: Field) -> Self {
        Self { field, ..self }
    }

    /// Adds the text as detail, for a reason with many forms.
    pub(super) const fn detailed(self) -> Self {
        Self { detail: Some(self.text), ..self }
    }

    pub(super) const fn retry_soon(self) -> Self {
        self.field(Field::RetryAfter(RETRY_SOON))
    }

    /// Returns the OAuth code, for a client that does not speak JSON-RPC.
    pub(super) fn oauth_word(&self) -> &'static str {
        match (self.word, self.blame) {
            (Word::OAuth(word), _) => word,
            (Word::Rpc(_), Blame::Caller) if self.outcome == Outcome::InsufficientScope => "insufficient_scope",
            (Word::Rpc(_), Blame::Caller) if self.outcome == Outcome::Denied => "access_denied",
            (Word::Rpc(_), Blame::Caller) if self.outcome == Outcome::RateLimited => "slow_down",
            (Word::Rpc(_), Blame::Caller) => "invalid_request",
            (Word::Rpc(_), _) if self.status == StatusCode::SERVICE_UNAVAILABLE => "temporarily_unavailable",
            (Word::Rpc(_), Blame::Gateway | Blame::Upstream) => "server_error",
        }
    }
}
