//! The rules for `[[upstream.limit]]`: that each can be read, and limits something.

use super::check::{Check, is_label};
use super::limit_file::{Limit as Written, PerWord};
use super::scope_lists::patterns;
use super::settings::UpstreamKind;
use super::upstream_file::{Upstream, WrittenUpstream};
use crate::oauth::ClientId;
use crate::policy::{CallLimit, CallLimits, LimitPer, LimitRate, MOST};

/// Checks the limits of an upstream.
pub(super) fn all(check: &Check<'_>, whole: &WrittenUpstream) -> Option<CallLimits> {
    let (upstream, written) = (&whole.upstream, &whole.limits);
    let kind = UpstreamKind::from(upstream.kind.value);
    if !written.is_empty() && kind == UpstreamKind::Mcp && !upstream.check_envelope.value {
        let fault = "without reading messages, the gateway cannot tell what the limits of this upstream count";
        check.report.wrong(&upstream.check_envelope, fault, "remove the key, or the limits");
    }
    if let Some(name) = written.get(MOST).and_then(|limit| limit.name.as_ref()) {
        check.report.wrong(name, "an upstream has at most 128 limits", "remove some");
    }
    let mut limits: Vec<CallLimit> = Vec::new();
    for limit in written {
        let Some(new) = one(check, kind, limit) else { continue };
        if let Some(name) = limit.name.as_ref().filter(|name| limits.iter().any(|other| other.name == name.value)) {
            check.report.wrong(name, "another limit of this upstream has this name", "write another");
        }
        limits.push(new);
    }
    CallLimits::compile(limits)
}

/// How many requests without a token are answered at the same time for each host and for each site.
const ANONYMOUS_AT_ONCE: [u32; 2] = [16, 64];
/// How many hosts of a site may make as many requests without a token as they can.
const HOSTS_PER_SITE: u32 = 10;

/// Makes the limits of requests without a token; `None` if there are none.
pub(super) fn without_token(upstream: &Upstream) -> Option<CallLimits> {
    if upstream.anonymous.value.is_empty() {
        return None;
    }
    let per_minute = upstream.anonymous_per_minute.value;
    let rates = [per_minute, per_minute.saturating_mul(HOSTS_PER_SITE)];
    let limits = [("anonymous", LimitPer::Host), ("anonymous-network", LimitPer::Site)];
    let limits = limits.into_iter().zip(rates).zip(ANONYMOUS_AT_ONCE);
    let limit = |(((name, per), per_minute), at_once): (((&str, LimitPer), u32), u32)| CallLimit {
        name: name.to_owned(),
        operations: Vec::new(),
        per,
        rate: Some(LimitRate { per_minute, burst: per_minute }),
        per_day: None,
        at_once: Some(at_once),
    };
    CallLimits::compile(limits.map(limit).collect())
}

fn one(check: &Check<'_>, kind: UpstreamKind, written: &Written) -> Option<CallLimit> {
    let report = check.report;
    let name = written.name.as_ref()?;
    if !is_label(&name.value) {
        report.wrong(name, "this cannot be a name", "write 1 to 64 of a-z, 0-9 and -");
    }
    // A value that is out of range is reported already.
    let is_void = [&written.per_minute, &written.per_day, &written.at_once].iter().all(|key| key.is_none());
    let is_reported = ["per_minute", "per_day", "at_once"]
        .iter()
        .any(|key| report.names(&name.key.replace(".name", &format!(".{key}"))));
    if is_void && !is_reported {
        report.wrong(name, "this limits nothing", "write per_minute, per_day or at_once");
    }
    if let Some(burst) = written.burst.as_ref().filter(|_| written.per_minute.is_none()) {
        report.wrong(burst, "a burst is of a rate", "write per_minute too, or remove it");
    }
    Some(CallLimit {
        name: name.value.clone(),
        operations: patterns(check, kind, &written.operations),
        per: per(check, written),
        rate: written.per_minute.as_ref().map(|rate| LimitRate {
            per_minute: rate.value,
            burst: written.burst.as_ref().map_or(rate.value, |burst| burst.value),
        }),
        per_day: written.per_day.as_ref().map(|most| most.value),
        at_once: written.at_once.as_ref().map(|most| most.value),
    })
}

fn per(check: &Check<'_>, written: &Written) -> LimitPer {
    let (report, clients) = (check.report, &written.clients);
    let client = |(index, text): (usize, &String)| {
        let id = ClientId::parse(text);
        match &id {
            None => {
                report.wrong_entry(clients, index, "this cannot be a client id", "write what mcpgate client list shows")
            }
            Some(id) if id.is_url() => {
                let fault = "strangers share the id of a client that has a metadata document";
                report.wrong_entry(clients, index, fault, "remove it: such a client counts by grant");
            }
            Some(_) => {}
        }
        id
    };
    let ids: Vec<ClientId> = clients.value.iter().enumerate().filter_map(client).collect();
    match written.per.value {
        PerWord::Client if clients.value.is_empty() => {
            report.wrong(&written.per, "no client has a count of its own", "write their ids as clients");
        }
        PerWord::User | PerWord::Grant | PerWord::Upstream if !clients.value.is_empty() => {
            report.wrong(clients, "these have no count of their own", "write per = \"client\", or remove the key");
        }
        PerWord::User | PerWord::Grant | PerWord::Client | PerWord::Upstream => {}
    }
    match written.per.value {
        PerWord::User => LimitPer::User,
        PerWord::Grant => LimitPer::Grant,
        PerWord::Client => LimitPer::Client(ids),
        PerWord::Upstream => LimitPer::Upstream,
    }
}
