//! `Verdict`: what the rules of a route say of a request, and how it is refused.

use std::borrow::Cow;

use bytes::Bytes;

use super::cached_principal::CachedPrincipal;
use super::rejection::{DeniedRequest, LackingScopes, METHOD_NOT_FOUND, RefusedOfBatch, Rejection};
use super::response::refused_part::RefusedPart;
use super::route::Route;
use super::route_access::RouteAccess;
use crate::config::{PinMode, UpstreamKind};
use crate::mcp::{Completes, Envelope, MessageKind, ProtocolVersion, SUBSCRIBE, UnknownName};
use crate::oauth::{ScopeSet, ScopeToken, show};
use crate::policy::{Denial, JudgedMessage, Rules, Ruling};

/// Invalid parameters (JSON-RPC 2.0 5.1).
const INVALID_PARAMS: i32 = -32602;
/// The request that calls a tool (MCP, server/tools).
const TOOL_CALL: &str = "tools/call";
/// The request that completes an argument of a prompt or resource (MCP, completion).
const COMPLETE: &str = "completion/complete";

/// What the rules of a route say of a request by its caller.
pub(super) enum Verdict {
    /// Nothing is against it.
    Passes,
    /// The rules are against it, or against a part of a batch, of which the rest is forwarded.
    Refused(Box<Refused>),
}

/// Why a request does not pass.
pub(super) struct Refused {
    /// The messages that do not pass, in their order; one where there is no batch.
    messages: Vec<RefusedMessage>,
    is_batch: bool,
    /// Whether the rest of a batch is forwarded.
    is_part: bool,
}

/// An operation that does not pass, as the audit trail has it.
pub(super) struct OperationRefusal {
    /// What was asked for.
    pub(super) operation: Box<str>,
    pub(super) why: String,
    /// The scopes that would open it.
    pub(super) scopes: Option<ScopeSet>,
}

/// A message that does not pass, or a request without one.
struct RefusedMessage {
    /// Its place in a batch.
    place: usize,
    /// The id of a request, as raw JSON.
    id: Option<Box<str>>,
    /// What it asks for.
    operation: Box<str>,
    ruling: Ruling,
    /// Whether it calls a tool.
    is_call: bool,
    /// How a server answers what does not exist.
    unknown: Option<(i32, String)>,
}

impl Verdict {
    /// Judges messages, of which there are several in a batch only.
    pub(super) fn of_messages(
        caller: &RouteAccess,
        (messages, body): (&[Envelope<'_>], &[u8]),
        version: ProtocolVersion,
    ) -> Self {
        let Some(rules) = caller.route().rules.as_deref() else { return Self::Passes };
        let tool = called(messages);
        if tool.is_some_and(|tool| caller.always_passes(tool)) {
            return Self::Passes;
        }
        // A batch of one has a place too, but it is not known here; its first byte tells.
        let is_batch = messages.len() > 1 || body.trim_ascii_start().starts_with(b"[");
        let judge = |(place, envelope): (usize, &Envelope<'_>)| {
            let message = JudgedMessage { envelope, body, place: is_batch.then_some(place) };
            let ruling = rules.judge_knowing(caller.standing(), message, caller);
            if ruling == Ruling::Allowed && is_held(caller, envelope) { Ruling::Held } else { ruling }
        };
        if messages.iter().enumerate().all(|one| judge(one) == Ruling::Allowed) {
            tool.into_iter().for_each(|tool| caller.note_passed(tool));
            return Self::Passes;
        }
        let mut refused = Vec::new();
        for (place, message) in messages.iter().enumerate() {
            let ruling = judge((place, message));
            // Without the scopes that every request needs, nothing passes.
            if ruling != Ruling::Allowed || !caller.has_scopes() {
                let id = message.id.filter(|_| message.kind == MessageKind::Request).map(Into::into);
                let is_call = message.method.as_deref() == Some(TOOL_CALL);
                let is_of_reference = matches!(&ruling, Ruling::Denied(denial) if denial.is_of_reference);
                let is_hidden = is_of_reference || message.method.as_deref().is_some_and(is_use);
                let unknown = unknown(message, version).filter(|_| is_hidden);
                let method = message.method.as_deref().unwrap_or("response");
                let operation = operation(method, message.name.as_deref());
                refused.push(RefusedMessage { place, id, operation, ruling, is_call, unknown });
            }
        }
        // Without a token, what a 401 asks for would let the whole batch pass, and errors would say what rules hide.
        let is_part = is_batch && !caller.is_anonymous() && is_worth_forwarding(messages, &refused);
        Self::Refused(Box::new(Refused { messages: refused, is_batch, is_part }))
    }

    /// Judges what has no message that could be read: an HTTP request, or one of MCP without a body.
    pub(super) fn of_request(caller: &RouteAccess, method: &str, path: &str) -> Self {
        let route = caller.route();
        let Some(rules) = route.rules.as_deref() else { return Self::Passes };
        let decision = match route.kind {
            UpstreamKind::Mcp => rules.judge_handshake(caller.standing()),
            UpstreamKind::Http => {
                rules.judge_http(caller.standing(), method, path.strip_prefix(&*route.path).unwrap_or(path))
            }
        };
        if decision == Ruling::Allowed {
            return Self::Passes;
        }
        let operation = operation(method, Some(path));
        let refused = RefusedMessage { place: 0, id: None, operation, ruling: decision, is_call: false, unknown: None };
        Self::Refused(Box::new(Refused { messages: vec![refused], is_batch: false, is_part: false }))
    }
}

/// Returns the tool that a single message calls.
fn called<'a>(messages: &'a [Envelope<'_>]) -> Option<&'a str> {
    let [message] = messages else { return None };
    message.name.as_deref().filter(|_| message.method.as_deref() == Some(TOOL_CALL))
}

/// Returns whether a message calls a tool that is held.
fn is_held(caller: &RouteAccess, envelope: &Envelope<'_>) -> bool {
    caller.route().pin() == PinMode::Hold
        && envelope.method.as_deref() == Some(TOOL_CALL)
        && caller.is_held(envelope.name.as_deref())
}

/// Returns whether what is left of a batch is forwarded. Where further scopes would open all its requests, the client
/// sends all of it again once it has them.
fn is_worth_forwarding(messages: &[Envelope<'_>], refused: &[RefusedMessage]) -> bool {
    let is_request = |message: &&Envelope<'_>| message.kind == MessageKind::Request;
    let requests = refused.iter().filter(|message| message.id.is_some());
    let passes = messages.len() > refused.len();
    let a_request_passes = messages.iter().filter(is_request).count() > requests.clone().count();
    let would_scopes_help = requests.clone().count() > 0 && requests.clone().all(RefusedMessage::lacks_scopes);
    passes && (a_request_passes || !would_scopes_help)
}

impl Refused {
    /// Returns whether it is a part of a batch, of which the rest is forwarded.
    pub(super) fn is_part(&self) -> bool {
        self.is_part
    }

    /// Returns each operation that does not pass, and why.
    pub(super) fn operations(&self, route: &Route) -> impl Iterator<Item = OperationRefusal> {
        let rules = route.rules.as_deref().into_iter();
        rules.flat_map(|rules| self.messages.iter().map(|message| message.refusal(rules, &route.required_scopes)))
    }

    /// Returns the places of its messages in the batch, in their order.
    pub(super) fn places(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.messages.iter().map(|message| message.place)
    }

    /// Returns the answers to its requests, and the ids of the requests that are forwarded.
    pub(super) fn part(&self, caller: &CachedPrincipal, ids: Box<[Bytes]>) -> Option<RefusedPart> {
        let rules = caller.route().rules.as_deref()?;
        let first = self.messages.first().map(|message| message.rejection(caller, rules, true))?;
        Some(RefusedPart::new(first, &self.requests(caller, rules), ids))
    }

    fn requests(&self, caller: &CachedPrincipal, rules: &Rules) -> Vec<RefusedOfBatch> {
        let request = |message: &RefusedMessage| {
            let id = message.id.clone()?;
            Some(RefusedOfBatch { id, why: message.rejection(caller, rules, true) })
        };
        self.messages.iter().filter_map(request).collect()
    }
}

impl RefusedMessage {
    /// Returns whether further scopes would let it pass.
    fn lacks_scopes(&self) -> bool {
        matches!(self.ruling, Ruling::Allowed | Ruling::Lacking(_))
    }

    /// Returns how the audit trail has it, where the route requires `required` of every request.
    fn refusal(&self, rules: &Rules, required: &ScopeSet) -> OperationRefusal {
        let (why, scopes) = match &self.ruling {
            Ruling::Allowed => ("the token lacks a required scope".to_owned(), Some(required.clone())),
            Ruling::Lacking(scope) => {
                ("the token lacks a scope".to_owned(), Some(std::iter::once(scope.clone()).collect()))
            }
            Ruling::Unopened => ("no scope opens it".to_owned(), None),
            Ruling::LeftOut => (left_out().rule, None),
            Ruling::Held => (held(None).rule, None),
            Ruling::Denied(denial) => (denied(rules, *denial, None).rule, None),
        };
        OperationRefusal { operation: self.operation.clone(), why, scopes }
    }

    /// Returns what it lacks, where the route requires `required` of every request.
    fn lacking(&self, required: &ScopeSet) -> ScopeSet {
        match &self.ruling {
            Ruling::Lacking(scope) => required.union(&std::iter::once(scope.clone()).collect()),
            Ruling::Allowed | Ruling::Unopened | Ruling::LeftOut | Ruling::Held | Ruling::Denied(_) => required.clone(),
        }
    }

    /// Returns how it is refused. `is_message` says that it is answered as a message of its own.
    fn rejection(&self, caller: &CachedPrincipal, rules: &Rules, is_message: bool) -> Rejection {
        let denied = match &self.ruling {
            Ruling::Allowed | Ruling::Lacking(_) => {
                let required = rules.missing(caller.standing(), &caller.route().required_scopes);
                return lacking_scopes(caller, rules, &self.lacking(&required)).into();
            }
            Ruling::Unopened if is_message => return Rejection::UnopenedMessage,
            Ruling::Unopened => return Rejection::UnopenedRequest,
            Ruling::LeftOut => left_out(),
            Ruling::Held => held(self.unknown.as_ref()),
            Ruling::Denied(denial) => denied(rules, *denial, self.unknown.as_ref()),
        };
        let denied = Box::new(denied);
        if is_message { Rejection::MessageDenied(denied) } else { Rejection::RequestDenied(denied) }
    }
}

/// Returns what was asked for, in printable ASCII: what could be a secret in a name is left out.
pub(super) fn operation(method: &str, name: Option<&str>) -> Box<str> {
    match name {
        Some(name) => format!("{} {}", show(method), show(name)).into(),
        None => show(method).into(),
    }
}

/// Returns how a server answers a message that names something that does not exist.
fn unknown(message: &Envelope<'_>, version: ProtocolVersion) -> Option<(i32, String)> {
    let name = message.name.as_deref().unwrap_or_default();
    let unknown = match (message.method.as_deref()?, message.completes) {
        (TOOL_CALL, _) => UnknownName::Tool(name),
        ("prompts/get", _) | (COMPLETE, Some(Completes::Prompt)) => UnknownName::Prompt(name),
        ("resources/read" | "resources/subscribe" | "resources/unsubscribe", _)
        | (COMPLETE, Some(Completes::Resource)) => UnknownName::Resource(name),
        (SUBSCRIBE, _) => UnknownName::Resource(""),
        (COMPLETE, None) => return Some((INVALID_PARAMS, "Unknown reference".to_owned())),
        _ => return None,
    };
    Some(unknown.error(version.is_modern()))
}

/// Returns whether a message uses what it names, rather than referring to it.
fn is_use(method: &str) -> bool {
    matches!(method, TOOL_CALL | "prompts/get" | "resources/read")
}

/// Returns the refusal of a request by the rules of its caller's route; `refused` is `None` where the route only
/// requires further scopes.
pub(super) fn refusal(caller: &CachedPrincipal, rules: &Rules, refused: Option<&Refused>) -> Rejection {
    let messages = refused.map(|refused| refused.messages.as_slice()).unwrap_or_default();
    let is_batch = refused.is_some_and(|refused| refused.is_batch);
    let mut answered: Vec<_> = messages.iter().filter(|message| message.id.is_some()).collect();
    if answered.is_empty() {
        // Notifications only.
        answered = messages.iter().collect();
    }
    if let Some(denied) = answered.iter().find(|message| !message.lacks_scopes()) {
        return match refused {
            Some(refused) if is_batch && denied.id.is_some() => {
                Rejection::BatchRefused(refused.requests(caller, rules))
            }
            // A notification has no answer of JSON-RPC, and a GET is none of its requests.
            _ => denied.rejection(caller, rules, !is_batch && denied.id.is_some()),
        };
    }
    let required = rules.missing(caller.standing(), &caller.route().required_scopes);
    let has_message = answered.iter().any(|message| message.id.is_some());
    let is_call = !is_batch && answered.iter().all(|message| message.is_call && message.id.is_some());
    let is_result = is_call && !answered.is_empty() && caller.reads_challenges_in_results();
    let lacking = answered.into_iter().fold(required, |lacking, message| message.lacking(&lacking));
    // A login for a scope that the client may not ask for is refused.
    if !rules.may_ask_for(caller.standing(), &lacking) {
        let is_message = caller.route().kind == UpstreamKind::Mcp && !is_batch && has_message;
        return if is_message { Rejection::UnopenedMessage } else { Rejection::UnopenedRequest };
    }
    LackingScopes { is_result, ..lacking_scopes(caller, rules, &lacking) }.into()
}

impl From<LackingScopes> for Rejection {
    fn from(lacking: LackingScopes) -> Self {
        Self::LackingScopes(Box::new(lacking))
    }
}

fn lacking_scopes(caller: &CachedPrincipal, rules: &Rules, lacking: &ScopeSet) -> LackingScopes {
    let names: Vec<&str> = lacking.iter().map(ScopeToken::as_str).collect();
    let what = if names.len() == 1 { "scope" } else { "scopes" };
    let needs = format!("this needs the {what} {}, which the token lacks", names.join(" and "));
    let text = format!("{needs}: authorize again");
    // MCP authorization, step-up: clients that do not accumulate scopes keep what they have.
    let wanted = rules.known(caller.principal().scopes()).union(lacking);
    LackingScopes { wanted, needs, text, is_result: false }
}

/// Returns how a call of a tool is refused that the user left out. Its scope is held, so a challenge would start a
/// login that asks the user again what they have just declined.
fn left_out() -> DeniedRequest {
    let text = "the user left this tool out when they connected this application; to allow it, they can connect the \
                application again and tick it";
    DeniedRequest { code: INVALID_PARAMS, text: text.to_owned(), rule: "left out by the user".to_owned(), key: None }
}

/// Returns how a call of a tool is refused that is held: as if it did not exist.
fn held(unknown: Option<&(i32, String)>) -> DeniedRequest {
    let (code, text) = unknown.cloned().unwrap_or_else(|| (INVALID_PARAMS, "Unknown tool".to_owned()));
    DeniedRequest { code, text, rule: "held until it is approved".to_owned(), key: Some("upstream.pin") }
}

fn denied(rules: &Rules, denial: Denial, unknown: Option<&(i32, String)>) -> DeniedRequest {
    let reason = denial.rule.map(|rule| rules.reason(rule)).filter(|reason| !reason.is_empty());
    let rule = match (denial.rule, reason) {
        (None, _) => "no allow rule".to_owned(),
        (Some(index), None) => format!("rule {index}"),
        (Some(index), Some(reason)) => format!("rule {index}: {reason}"),
    };
    let what = if denial.is_over_arguments { "these arguments" } else { "this" };
    let text = match (denial.rule, reason) {
        (None, _) => format!("no rule of this server allows {what}"),
        (Some(_), None) => format!("a rule of this server does not allow {what}"),
        (Some(_), Some(reason)) => format!("a rule of this server does not allow {what}: {reason}"),
    };
    let (code, text) = match unknown {
        _ if denial.is_over_arguments => (INVALID_PARAMS, Cow::Owned(text)),
        // What a rule hides is answered as if it did not exist.
        Some((code, unknown)) => (*code, Cow::Borrowed(unknown.as_str())),
        None => (METHOD_NOT_FOUND, Cow::Owned(text)),
    };
    DeniedRequest { code, text: text.into_owned(), rule, key: Some("upstream.rule") }
}
