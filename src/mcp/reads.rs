//! What the method implies about a request: whether it only reads, so that sending it twice changes nothing; whether it
//! is a subscription.

use super::envelope::{Envelope, MessageKind};

/// The method that opens a stream which never ends by itself (2026-07-28, subscriptions).
pub const SUBSCRIBE: &str = "subscriptions/listen";

/// Methods that only read (MCP: ping, discovery, lists, reads, completion, the state and the result of a task).
const READS: [&str; 12] = [
    "completion/complete",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "server/discover",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tools/list",
];

impl Envelope<'_> {
    /// Returns whether it is a request that only reads, and so is idempotent in the sense of RFC 9110 9.2.2.
    #[must_use]
    pub fn only_reads(&self) -> bool {
        self.kind == MessageKind::Request && self.method.as_deref().is_some_and(|method| READS.contains(&method))
    }

    /// Returns whether it is a request whose answer never ends by itself.
    #[must_use]
    pub fn is_subscription(&self) -> bool {
        self.kind == MessageKind::Request && self.method.as_deref() == Some(SUBSCRIBE)
    }
}

#[cfg(test)]
mod tests {
    use super::Envelope;

    fn reads(body: &str) -> bool {
        Envelope::read(body.as_bytes(), false).unwrap().iter().all(Envelope::only_reads)
    }

    #[test]
    fn only_requests_that_read_may_be_sent_twice() {
        let request = |method: &str| reads(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#));
        assert!(["ping", "tools/list", "resources/read", "server/discover", "tasks/get"].into_iter().all(request));
        let others = ["tools/call", "initialize", "logging/setLevel", "tasks/cancel", "Ping", "tools/list2", "x/list"];
        assert!(!others.into_iter().any(request));
        assert!(!reads(r#"{"jsonrpc":"2.0","method":"ping"}"#), "a notification");
        assert!(!reads(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), "a response");
    }
}
