//! Judges what a message refers to: completing the arguments of a prompt or resource tells about it, and so does a
//! subscription.

use super::annotations::Annotations;
use super::decision::{JudgedMessage, LARGEST_JUDGED, Ruling};
use super::pointer::{Found, find_in_message};
use super::rules::{PROMPT_GET, RESOURCE_READ, Rules, Standing};
use super::tool_lookup::ToolLookup;
use crate::mcp::{Completes, SUBSCRIBE};

/// The request that completes an argument of a prompt or resource (MCP, completion).
const COMPLETE: &str = "completion/complete";
/// The requests to be told when a resource changes, or no longer (MCP, server/resources: subscriptions). Since
/// 2026-07-28 there is [`SUBSCRIBE`] instead.
const RESOURCE_SUBSCRIBE: &str = "resources/subscribe";
const RESOURCE_UNSUBSCRIBE: &str = "resources/unsubscribe";

impl Rules {
    /// Judges what a message refers to; allowed if it refers to nothing.
    pub(super) fn judge_reference(
        &self,
        caller: &Standing,
        (method, message): (&str, JudgedMessage<'_>),
        tools: &impl ToolLookup,
    ) -> Ruling {
        let judge = |method: &str, name: Option<&str>| {
            let found = self.matching((method, name), Some(caller), |_| Annotations::UNKNOWN);
            self.by_name_or_tool(caller, found, (method, name), tools)
        };
        let name = message.envelope.name.as_deref();
        match method {
            COMPLETE => match message.envelope.completes {
                Some(Completes::Prompt) => judge(PROMPT_GET, name),
                Some(Completes::Resource) => judge(RESOURCE_READ, name),
                None => {
                    let of_prompt = judge(PROMPT_GET, None);
                    let is_allowed = of_prompt == Ruling::Allowed;
                    if is_allowed { judge(RESOURCE_READ, None) } else { of_prompt }
                }
            },
            RESOURCE_SUBSCRIBE | RESOURCE_UNSUBSCRIBE => judge(RESOURCE_READ, name),
            SUBSCRIBE => {
                let body = std::str::from_utf8(message.body).ok().filter(|body| body.len() <= LARGEST_JUDGED);
                let Some(uris) = body.and_then(|body| subscribed(body, message.place)) else {
                    return judge(RESOURCE_READ, None);
                };
                let rulings = uris.iter().map(|uri| judge(RESOURCE_READ, Some(uri)));
                rulings.into_iter().find(|ruling| *ruling != Ruling::Allowed).unwrap_or(Ruling::Allowed)
            }
            _ => Ruling::Allowed,
        }
    }
}

/// Returns the URIs of the resources that a request to listen subscribes to (2026-07-28, subscriptions/listen); `None`
/// if they cannot be read.
fn subscribed(body: &str, place: Option<usize>) -> Option<Vec<String>> {
    match find_in_message(body, place, &["params", "notifications", "resourceSubscriptions"])? {
        Found::Nothing | Found::Scalar("null") => Some(Vec::new()),
        Found::Scalar(_) => None,
        Found::Container(raw) => serde_json::from_str(raw).ok(),
    }
}
