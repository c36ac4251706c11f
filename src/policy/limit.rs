//! `CallLimits`: the `[[upstream.limit]]` tables of an upstream, and which of them count an operation. Counting is up
//! to the proxy.

use super::annotations::Annotations;
use super::decision::is_free;
use super::mask::Mask;
use super::pattern::Pattern;
use super::rule::{Rule, RuleEffect, Who};
use super::rules::Rules;
use crate::mcp::Envelope;
use crate::oauth::ClientId;

/// A limit of an upstream on how often operations are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallLimit {
    /// Its name, unique at its upstream.
    pub name: String,
    /// The operations that it counts; all if there are none.
    pub operations: Vec<Pattern>,
    /// What has a count of its own.
    pub per: LimitPer,
    /// How often, if that is limited.
    pub rate: Option<LimitRate>,
    /// How often on a day in UTC, at least 1, if that is limited.
    pub per_day: Option<u32>,
    /// How many at the same time, at least 1, if that is limited.
    pub at_once: Option<u32>,
}

/// What has a count of its own under a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitPer {
    /// Each user, over all clients.
    User,
    /// Each grant: what one user has allowed one client.
    Grant,
    /// Each of these clients, over all users. Another client counts by grant, because strangers can share its id.
    Client(Vec<ClientId>),
    /// All callers have one count.
    Upstream,
    /// Each host from which requests without a token come.
    Host,
    /// Each site from which requests without a token come: the addresses that one customer commonly owns.
    Site,
}

/// A rate, as a token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitRate {
    /// How many are allowed per minute, at least 1.
    pub per_minute: u32,
    /// How many may come at once after a pause, at least 1.
    pub burst: u32,
}

/// The compiled limits of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallLimits {
    limits: Vec<CallLimit>,
    /// The operations of each limit, as deny rules name them: whatever could be meant counts.
    operations: Rules,
}

/// Some of the limits of an upstream, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitSet(Mask);

impl std::fmt::Display for CallLimit {
    /// Writes what it allows, such as `30 a minute, 1000 a day for each user`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rate = self.rate.map(|rate| (rate.per_minute, "a minute"));
        let numbers = [rate, self.per_day.map(|n| (n, "a day")), self.at_once.map(|n| (n, "at the same time"))];
        for (nth, (number, unit)) in numbers.into_iter().flatten().enumerate() {
            write!(f, "{}{number} {unit}", if nth == 0 { "" } else { ", " })?;
        }
        write!(f, " {}", self.per.words())
    }
}

impl LimitPer {
    /// Says for whom a number holds.
    #[must_use]
    pub const fn words(&self) -> &'static str {
        match self {
            Self::User => "for each user",
            Self::Grant => "for each authorization",
            Self::Client(_) => "for each client",
            Self::Upstream => "for all users together",
            Self::Host => "for each address",
            Self::Site => "for each network",
        }
    }
}

impl CallLimits {
    /// Compiles at most [`MOST`](super::MOST) limits; `None` if there are none.
    #[must_use]
    pub fn compile(limits: Vec<CallLimit>) -> Option<Self> {
        let rule = |limit: &CallLimit| Rule {
            effect: RuleEffect::Deny,
            operations: limit.operations.clone(),
            annotations: Vec::new(),
            who: Who::default(),
            arguments: Vec::new(),
            reason: String::new(),
        };
        let rules: Vec<Rule> = limits.iter().map(rule).collect();
        (!limits.is_empty()).then(|| Self { limits, operations: Rules::narrowed(&[], false, &rules) })
    }

    /// Returns the limits, in the order of the configuration.
    #[must_use]
    pub fn all(&self) -> &[CallLimit] {
        &self.limits
    }

    /// Returns the limits that count a message; none for the handshake, notifications and responses. `annotations` says
    /// what a tool says of itself.
    #[must_use]
    pub fn of_message(&self, message: &Envelope<'_>, annotations: impl Fn(&str) -> Annotations) -> LimitSet {
        let method = message.method.as_deref().filter(|method| !is_free(message.kind, method));
        let found = method.map(|method| self.operations.matching((method, message.name.as_deref()), None, annotations));
        LimitSet(found.map(|found| found.rules).unwrap_or_default())
    }

    /// Returns the limits that count an HTTP request. `path` is below the upstream's own.
    #[must_use]
    pub fn of_http(&self, method: &str, path: &str) -> LimitSet {
        LimitSet(self.operations.matching_http(method, path).rules)
    }
}

impl LimitSet {
    /// Returns their indices, lowest first.
    pub fn indices(self) -> impl Iterator<Item = usize> {
        self.0.indices()
    }
}

#[cfg(test)]
mod tests {
    use super::{CallLimit, CallLimits, LimitPer, LimitRate};
    use crate::mcp::Envelope;
    use crate::policy::{Annotations, Pattern};

    fn limits(read: impl Fn(&str) -> Pattern, operations: &[&[&str]]) -> CallLimits {
        let limit = |patterns: &&[&str]| CallLimit {
            name: "a".to_owned(),
            operations: patterns.iter().map(|text| read(text)).collect(),
            per: LimitPer::User,
            rate: None,
            per_day: None,
            at_once: Some(1),
        };
        CallLimits::compile(operations.iter().map(limit).collect()).unwrap()
    }

    #[test]
    fn a_message_counts_for_every_limit_that_names_it_however_it_is_written() {
        let limits = limits(
            |text| Pattern::of_mcp(text).unwrap(),
            &[&[], &["tools/call:search_*", "tools/list"], &["resources/read:file:///a/**"], &["tools/call"]],
        );
        let message =
            |method: &str, params: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        for (body, expected) in [
            (message("tools/call", r#"{"name":"search_web"}"#), vec![0, 1, 3]),
            (message("tools/call", r#"{"name":"add"}"#), vec![0, 3]),
            // A name that only a lenient server finds could be any.
            (message("tools/call", r#"{"name":7}"#), vec![0, 1, 3]),
            (message("tools/list", "{}"), vec![0, 1]),
            (message("resources/read", r#"{"uri":"file:///a/b"}"#), vec![0, 2]),
            (message("resources/read", r#"{"uri":"FILE:///%61/b"}"#), vec![0, 2]),
            (message("resources/read", r#"{"uri":"file://localhost/a/b"}"#), vec![0, 2]),
            (message("resources/read", r#"{"uri":"file:///x//a/b"}"#), vec![0, 2]),
            (message("resources/read", r#"{"uri":"file:///b"}"#), vec![0]),
            (message("ping", "{}"), vec![]),
            (message("initialize", "{}"), vec![]),
            (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(), vec![]),
            (r#"{"jsonrpc":"2.0","method":"tools/list"}"#.to_owned(), vec![0, 1]),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned(), vec![]),
        ] {
            let messages = Envelope::read(body.as_bytes(), false).unwrap();
            let found = limits.of_message(&messages[0], |_| Annotations::UNKNOWN);
            assert_eq!(found.indices().collect::<Vec<_>>(), expected, "{body}");
        }
    }

    #[test]
    fn a_limit_says_what_it_allows() {
        let limit = |rate: Option<u32>, per_day, at_once, per| CallLimit {
            name: "a".to_owned(),
            operations: Vec::new(),
            per,
            rate: rate.map(|per_minute| LimitRate { per_minute, burst: 1 }),
            per_day,
            at_once,
        };
        let all = limit(Some(30), Some(1000), Some(2), LimitPer::User);
        assert_eq!(all.to_string(), "30 a minute, 1000 a day, 2 at the same time for each user");
        assert_eq!(limit(None, Some(7), None, LimitPer::Upstream).to_string(), "7 a day for all users together");
    }

    #[test]
    fn a_request_counts_by_method_and_path() {
        let limits = limits(|text| Pattern::of_http(text).unwrap(), &[&["GET"], &["* /reports/**"], &[]]);
        for (method, path, expected) in [
            ("GET", "/x", vec![0, 2]),
            ("HEAD", "/reports/1", vec![0, 1, 2]),
            ("POST", "/%72eports/1", vec![1, 2]),
            ("POST", "/%2572eports/1", vec![1, 2]),
            ("POST", "", vec![2]),
        ] {
            assert_eq!(limits.of_http(method, path).indices().collect::<Vec<_>>(), expected, "{method} {path}");
        }
    }
}
