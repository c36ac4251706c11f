//! `Row`: all that is said of one kind of rejection, in the access line, the counters and the answer.

use http::StatusCode;

use crate::telemetry::Outcome;

/// How long a client waits after 503, in seconds: long enough for a store to come back, short enough for a person.
const RETRY_SOON: u64 = 5;

/// JSON-RPC 2.0 5.1: not the message's fault.
pub(super) const INTERNAL_ERROR: i32 = -32603;

/// One row of the tables of `rejection.rs` and `fault.rs`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) blame: Blame,
    pub(super) status: StatusCode,
    /// The label of its counters.
    pub(super) outcome: Outcome,
    /// The word for it in the access line.
    pub(super) reason: &'static str,
    /// What exactly, for the access line, where one reason has many forms.
    pub(super) detail: Option<&'static str>,
    /// The key of the configuration whose limit or rule it is.
    pub(super) key: Option<&'static str>,
    pub(super) word: Word,
    /// What the caller is told, in words that name neither the caller nor anything behind the gateway.
    pub(super) text: &'static str,
    pub(super) field: Field,
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    Caller,
    Gateway,
    Upstream,
}

/// The code in the body of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// OAuth's, for whatever is wrong before the message is read.
    OAuth(&'static str),
    /// JSON-RPC's. Beside 401, 403 and 429 none of the range that MCP has given meanings of its own: clients would take it
    /// for a modern server's.
    Rpc(i32),
}

/// A field that only some answers have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    None,
    /// `WWW-Authenticate`.
    Challenge(Challenge),
    /// `Retry-After`, in seconds.
    RetryAfter(u64),
    /// `Allow`.
    Allow(&'static str),
    /// `Connection: close`, in HTTP/1.1.
    Close,
}

/// Which challenge of the route.
#[derive(Debug, Clone, Copy)]
pub(super) enum Challenge {
    Bare,
    InvalidRequest,
    InvalidToken,
    InsufficientScope,
}

impl Row {
    /// Of what the caller has to mend.
    pub(super) const fn caller(status: StatusCode, outcome: Outcome, reason: &'static str, text: &'static str) -> Self {
        let (blame, word, field) = (Blame::Caller, Word::OAuth("invalid_request"), Field::None);
        Self { blame, status, outcome, reason, detail: None, key: None, word, text, field }
    }

    /// Of what the gateway cannot do just now.
    pub(super) const fn unavailable(outcome: Outcome, reason: &'static str, text: &'static str) -> Self {
        let (blame, status, field) = (Blame::Gateway, StatusCode::SERVICE_UNAVAILABLE, Field::RetryAfter(RETRY_SOON));
        Self { blame, status, field, word: Word::Rpc(INTERNAL_ERROR), ..Self::caller(status, outcome, reason, text) }
    }

    /// Of what an upstream did wrong.
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

    /// Of a reason with many forms, which the text tells apart.
    pub(super) const fn detailed(self) -> Self {
        Self { detail: Some(self.text), ..self }
    }

    pub(super) const fn retry_soon(self) -> Self {
        self.field(Field::RetryAfter(RETRY_SOON))
    }

    /// Returns OAuth's word, for a client that does not speak JSON-RPC.
    pub(super) fn oauth_word(&self) -> &'static str {
        match (self.word, self.blame) {
            (Word::OAuth(word), _) => word,
            (Word::Rpc(_), Blame::Caller) => "invalid_request",
            (Word::Rpc(_), _) if self.status == StatusCode::SERVICE_UNAVAILABLE => "temporarily_unavailable",
            (Word::Rpc(_), Blame::Gateway | Blame::Upstream) => "server_error",
        }
    }
}
