//! `ChangedLists`: the lists of a server of which one may have changed, and the notifications that say so.

use serde_json::Value;

/// Lists that have changed (MCP, server features: list changed notifications).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChangedLists(u8);

/// The largest request in bytes whose filter is read.
const LARGEST_FILTER: usize = 256 << 10;

impl ChangedLists {
    /// The list of tools.
    pub const TOOLS: Self = Self(1);
    /// The list of prompts.
    pub const PROMPTS: Self = Self(2);
    /// The lists of resources and of templates of resources, which have one notification.
    pub const RESOURCES: Self = Self(4);
    /// All lists that a server can have.
    pub const ALL: Self = Self(7);
    /// Each list, with its notification and the member of a subscription's filter that asks for it (2026-07-28,
    /// `SubscriptionFilter`).
    const EACH: [(Self, &str, &str); 3] = [
        (Self::TOOLS, "notifications/tools/list_changed", "toolsListChanged"),
        (Self::PROMPTS, "notifications/prompts/list_changed", "promptsListChanged"),
        (Self::RESOURCES, "notifications/resources/list_changed", "resourcesListChanged"),
    ];

    /// Reads the lists that a subscription asks for from its request (2026-07-28, `subscriptions/listen`).
    #[must_use]
    pub fn asked_for(request: &[u8]) -> Self {
        let request: Value = match request.len() {
            0..=LARGEST_FILTER => serde_json::from_slice(request).unwrap_or_default(),
            _ => Value::Null,
        };
        let filter = request.pointer("/params/notifications");
        let is_asked = |member: &str| filter.and_then(|filter| filter.get(member)) == Some(&Value::Bool(true));
        Self::EACH
            .iter()
            .filter(|(_, _, member)| is_asked(member))
            .fold(Self::default(), |all, (list, ..)| all.with(*list))
    }

    /// Returns whether a string of JSON, without its quotes, is the method of one of the notifications. Some programs
    /// write `/` as `\/`.
    pub(super) fn are_told_by(string: &[u8]) -> bool {
        let is = |method: &str| string.iter().filter(|byte| **byte != b'\\').eq(method.as_bytes());
        Self::EACH.iter().any(|(_, method, _)| is(method))
    }

    /// Returns these lists and others.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns those of these lists that are also among others.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns them as the bits of a number; [`Self::of_bits`] reads it.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Reads what [`Self::bits`] returned.
    #[must_use]
    pub const fn of_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// Returns the notifications, each as a message. `subscription` is the id of the request whose stream they are for,
    /// as raw JSON (2026-07-28, notifications on the stream of a subscription).
    pub fn notifications(self, subscription: Option<&str>) -> impl Iterator<Item = String> {
        let params = subscription
            .map(|id| format!(r#","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}}"#));
        let params = params.unwrap_or_default();
        let changed = Self::EACH.into_iter().filter(move |(list, ..)| !self.and(*list).is_empty());
        changed.map(move |(_, method, _)| format!(r#"{{"jsonrpc":"2.0","method":"{method}"{params}}}"#))
    }
}

#[cfg(test)]
mod tests {
    use super::ChangedLists;

    #[test]
    fn a_subscription_asks_for_what_its_filter_has_as_true() {
        let of = |filter: &str| {
            let request = format!(r#"{{"jsonrpc":"2.0","id":1,"params":{{"notifications":{filter}}}}}"#);
            ChangedLists::asked_for(request.as_bytes())
        };
        for (filter, expected) in [
            (r#"{"toolsListChanged":true}"#, ChangedLists::TOOLS),
            (r#"{"toolsListChanged":false,"promptsListChanged":true}"#, ChangedLists::PROMPTS),
            (r#"{"resourcesListChanged":true,"toolsListChanged":"true"}"#, ChangedLists::RESOURCES),
            (r#"{"resourcesListChanged":true,"toolsListChanged":true,"promptsListChanged":true}"#, ChangedLists::ALL),
            ("{}", ChangedLists::default()),
            ("7", ChangedLists::default()),
        ] {
            assert_eq!(of(filter), expected, "{filter}");
        }
        assert_eq!(ChangedLists::asked_for(b"{"), ChangedLists::default());
        let large =
            format!(r#"{{"a":"{}","params":{{"notifications":{{"toolsListChanged":true}}}}}}"#, "x".repeat(300_000));
        assert_eq!(ChangedLists::asked_for(large.as_bytes()), ChangedLists::default());
    }

    #[test]
    fn each_list_has_its_notification() {
        let all: Vec<_> = ChangedLists::ALL.notifications(None).collect();
        let of = |list: &str| format!(r#"{{"jsonrpc":"2.0","method":"notifications/{list}/list_changed"}}"#);
        assert_eq!(all, [of("tools"), of("prompts"), of("resources")]);
        let one: Vec<_> = ChangedLists::PROMPTS.notifications(Some("\"a\"")).collect();
        let params = r#""params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"a"}}"#;
        assert_eq!(one, [of("prompts").replace("\"}", &format!("\",{params}}}"))]);
        assert_eq!(ChangedLists::default().notifications(None).count(), 0);
        assert_eq!(ChangedLists::of_bits(ChangedLists::RESOURCES.bits()), ChangedLists::RESOURCES);
    }
}
