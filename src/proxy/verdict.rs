//! `Verdict`: what the rules of a route say of a request, and how it is refused.

use std::borrow::Cow;

use super::cached_principal::CachedPrincipal;
use super::rejection::{DeniedRequest, LackingScopes, METHOD_NOT_FOUND, Rejection};
use crate::config::UpstreamKind;
use crate::mcp::{Envelope, ProtocolVersion};
use crate::oauth::{ScopeSet, ScopeToken};
use crate::policy::{Denial, JudgedMessage, Rules, Ruling};

/// Invalid parameters (JSON-RPC 2.0 5.1), with which servers answer unknown tools and prompts (MCP, server/tools and
/// server/prompts: error handling).
const INVALID_PARAMS: i32 = -32602;
/// An unknown resource before 2026-07-28 (MCP 2025-11-25, server/resources: error handling); later it is
/// [`INVALID_PARAMS`].
const RESOURCE_NOT_FOUND: i32 = -32002;
/// The longest name in bytes that is repeated to the caller.
const LONGEST_NAME: usize = 128;

/// What the rules of a route say of a request by its caller.
pub(super) enum Verdict {
    /// Nothing is against it.
    Passes,
    /// The rules are against it.
    Refused(Box<Refused>),
}

/// Why a request does not pass.
pub(super) struct Refused {
    /// The decisions on the messages that do not pass, in their order; one where there is no batch.
    decisions: Vec<Ruling>,
    is_batch: bool,
    /// How a server answers what does not exist.
    unknown: Option<(i32, String)>,
}

impl Verdict {
    /// Judges messages, of which there are several in a batch only.
    pub(super) fn of_messages(
        caller: &CachedPrincipal,
        (messages, body): (&[Envelope<'_>], &[u8]),
        version: ProtocolVersion,
    ) -> Self {
        let Some(rules) = caller.route().rules.as_deref() else { return Self::Passes };
        // A batch of one has a place too, but it is not known here; its first byte tells.
        let is_array = messages.len() > 1 || body.trim_ascii_start().starts_with(b"[");
        let judge = |(place, envelope): (usize, &Envelope<'_>)| {
            let message = JudgedMessage { envelope, body, place: is_array.then_some(place) };
            rules.judge(caller.standing(), message, |tool| caller.annotations(tool))
        };
        let mut refused = messages.iter().enumerate().map(|one| (one.1, judge(one)));
        let mut refused = refused.by_ref().filter(|(_, decision)| *decision != Ruling::Allowed).peekable();
        let Some((first, _)) = refused.peek() else { return Self::Passes };
        let (is_batch, unknown) = (messages.len() > 1, unknown(first, version));
        let decisions = refused.map(|(_, decision)| decision).collect();
        Self::Refused(Box::new(Refused { decisions, is_batch, unknown }))
    }

    /// Judges what has no message that could be read: an HTTP request, or one of MCP without a body.
    pub(super) fn of_request(caller: &CachedPrincipal, method: &str, path: &str) -> Self {
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
        Self::Refused(Box::new(Refused { decisions: vec![decision], is_batch: false, unknown: None }))
    }
}

/// Returns how a server answers a message that names something that does not exist.
fn unknown(message: &Envelope<'_>, version: ProtocolVersion) -> Option<(i32, String)> {
    let name = message.name.as_deref()?;
    let shown = name.get(..name.floor_char_boundary(LONGEST_NAME)).unwrap_or_default();
    match message.method.as_deref()? {
        "tools/call" => Some((INVALID_PARAMS, format!("Unknown tool: {shown}"))),
        "prompts/get" => Some((INVALID_PARAMS, format!("Unknown prompt: {shown}"))),
        "resources/read" if version.is_modern() => Some((INVALID_PARAMS, format!("Resource not found: {shown}"))),
        "resources/read" => Some((RESOURCE_NOT_FOUND, format!("Resource not found: {shown}"))),
        _ => None,
    }
}

/// Returns the refusal of a request by the rules of its caller's route; `refused` is `None` where the route only
/// requires further scopes.
pub(super) fn refusal(caller: &CachedPrincipal, rules: &Rules, refused: Option<&Refused>) -> Rejection {
    let route = caller.route();
    let mut lacking = rules.missing(caller.standing(), &route.required_scopes);
    let is_message = route.kind == UpstreamKind::Mcp && refused.is_none_or(|refused| !refused.is_batch);
    for decision in refused.iter().flat_map(|refused| &refused.decisions) {
        match decision {
            Ruling::Allowed => {}
            Ruling::Lacking(scope) => lacking = lacking.union(&std::iter::once(scope.clone()).collect()),
            Ruling::LeftOut => {
                let denied = Box::new(left_out());
                return if is_message { Rejection::MessageDenied(denied) } else { Rejection::RequestDenied(denied) };
            }
            Ruling::Unopened if is_message => return Rejection::UnopenedMessage,
            Ruling::Unopened => return Rejection::UnopenedRequest,
            Ruling::Denied(denial) => {
                let unknown = refused.and_then(|refused| refused.unknown.as_ref());
                let denied = Box::new(denied(rules, *denial, unknown.filter(|_| is_message)));
                return if is_message { Rejection::MessageDenied(denied) } else { Rejection::RequestDenied(denied) };
            }
        }
    }
    lacking_scopes(caller, rules, &lacking)
}

fn lacking_scopes(caller: &CachedPrincipal, rules: &Rules, lacking: &ScopeSet) -> Rejection {
    let names: Vec<&str> = lacking.iter().map(ScopeToken::as_str).collect();
    let what = if names.len() == 1 { "scope" } else { "scopes" };
    let text = format!("this needs the {what} {}, which the token lacks: authorize again", names.join(" and "));
    // MCP authorization, step-up: clients that do not accumulate scopes keep what they have.
    let wanted = rules.known(caller.principal().scopes()).union(lacking);
    Rejection::LackingScopes(Box::new(LackingScopes { wanted, text }))
}

/// Returns how a call of a tool is refused that the user left out. Its scope is held, so a challenge would start a
/// login that asks the user again what they have just declined.
fn left_out() -> DeniedRequest {
    let text = "the user left this tool out when they connected this application; to allow it, they can connect the \
                application again and tick it";
    DeniedRequest { code: INVALID_PARAMS, text: text.to_owned(), rule: "left out by the user".to_owned() }
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
    DeniedRequest { code, text: text.into_owned(), rule }
}
