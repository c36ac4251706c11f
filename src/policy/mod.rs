//! What a token may do at an upstream: which operations its scopes open (`allow` and `includes`), and the rules
//! (`[[upstream.rule]]`) that narrow it; which limits count an operation; and who may hold its scopes. Pure.
//!
//! An operation is a JSON-RPC method with the tool, prompt or resource that it names, or an HTTP method with a path.
//! Map and rules are compiled when the configuration is loaded; a request costs a look-up of its method and name, and a
//! few ANDs. It knows neither tokens nor upstreams, and does not say how a refusal is answered. Start at [`Rules`],
//! then [`Rules::judge`] and [`Pattern`].

mod annotations;
mod anonymous;
mod arguments;
mod calling;
mod capability;
mod claim_patterns;
mod decision;
mod excluded_tools;
mod glob;
mod holders;
mod known;
mod left_out;
mod limit;
mod mask;
mod naming;
mod one_meaning;
mod opened;
mod overlap;
mod pattern;
mod pointer;
mod preset;
mod quota;
mod reference;
mod rule;
mod rules;
mod said;
mod tool_access;
mod tool_lookup;
mod ui_access;

pub use annotations::{Annotation, Annotations};
pub use arguments::{ArgumentNumber, Condition, Scalar, Test, TextPattern};
pub use claim_patterns::ClaimPatterns;
pub use decision::{Denial, Item, JudgedMessage, Ruling};
pub use holders::{AccountList, ConfiguredGroups, Holders};
pub use known::{KnownItems, NamedKind};
pub use limit::{CallLimit, CallLimits, LimitPer, LimitRate, LimitSet};
pub use mask::MOST;
pub use one_meaning::{is_forwarded_method, is_plain_path};
pub use pattern::Pattern;
pub use pointer::Pointer;
pub use preset::{EVERYTHING, MANAGE, MCP_SCOPES, PresetScope, READ_ONLY, READ_ONLY_HTTP};
pub use quota::{CountKey, QuotaUse};
pub use rule::{Rule, RuleCaller, RuleEffect, Who};
pub use rules::{Rules, ScopeRule, Standing};
pub use said::Said;
pub use tool_access::ToolAccess;
pub use tool_lookup::ToolLookup;

#[cfg(test)]
mod tests {
    use super::{Annotations, Item, JudgedMessage, Pattern, RuleCaller, Rules, Ruling, ScopeRule, Standing};
    use crate::mcp::Envelope;
    use crate::oauth::{ClientId, GroupSet, ScopeSet, ScopeToken};

    fn scope(name: &str, allow: &[&str], includes: &[&str]) -> ScopeRule {
        let read = |text: &&str| Pattern::of_http(text).or_else(|_| Pattern::of_mcp(text)).unwrap();
        ScopeRule {
            name: ScopeToken::parse(name).unwrap(),
            sensitive: name == "harm",
            allow: allow.iter().map(read).collect(),
            includes: includes.iter().map(|name| ScopeToken::parse(name).unwrap()).collect(),
        }
    }

    fn set(names: &str) -> ScopeSet {
        ScopeSet::parse(names).unwrap()
    }

    fn standing(rules: &Rules, held: &str) -> Standing {
        let client = ClientId::parse("c").unwrap();
        rules.standing(&RuleCaller {
            client: &client,
            client_kind: None,
            user: "ada",
            groups: &GroupSet::default(),
            scopes: &set(held),
        })
    }

    /// The decision on each message of a body.
    fn decisions(rules: &Rules, held: &str, body: &str) -> Vec<Ruling> {
        let messages = Envelope::read(body.as_bytes(), true).unwrap();
        let judge = |(index, envelope)| {
            let place = body.starts_with('[').then_some(index);
            let message = JudgedMessage { envelope, body: body.as_bytes(), place };
            rules.judge(&standing(rules, held), message, |_| Annotations::UNKNOWN)
        };
        messages.iter().enumerate().map(judge).collect()
    }

    fn message(method: &str, params: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
    }

    fn passes(rules: &Rules, held: &str, body: &str) -> bool {
        decisions(rules, held, body).iter().all(|decision| *decision == Ruling::Allowed)
    }

    fn rules() -> Rules {
        Rules::compile(&[
            scope("list", &["tools/list", "prompts/*"], &[]),
            scope("search", &["tools/call:search_*", "tools/call:add", "prompts/get:a"], &["list"]),
            scope("public", &["resources/read:file:///public/**", "resources/read:file:///x/../y"], &[]),
            scope("all", &["tools/call", "resources/read", "x/*"], &["search"]),
        ])
    }

    #[test]
    fn a_scope_opens_what_its_patterns_name_and_nothing_else() {
        let rules = rules();
        let call = |name: &str| message("tools/call", &format!(r#"{{"name":{name}}}"#));
        let read = |uri: &str| message("resources/read", &format!(r#"{{"uri":"{uri}"}}"#));
        for (held, body, expected) in [
            ("list", message("tools/list", "{}"), true),
            ("list", message("prompts/get", r#"{"name":"b"}"#), true),
            ("list", call(r#""add""#), false),
            ("search", call(r#""add""#), true),
            ("search", call(r#""\u0061dd""#), true),
            ("search", call(r#""search_web""#), true),
            ("search", call(r#""delete""#), false),
            ("search", call("7"), false),
            ("search", message("tools/call", "[]"), false),
            ("search", message("tools/call", r#"{"uri":"add"}"#), false),
            ("search", message("Tools/call", r#"{"name":"add"}"#), false),
            ("all", call("7"), true),
            ("public", read("file:///public/a"), true),
            ("public", read("file:///public/../etc/passwd"), false),
            ("public", read("file:///x/../y"), true),
            ("public", read("file:///secret"), false),
            ("all", message("x/y", "{}"), true),
            ("all", message("y/x", "{}"), false),
            ("unknown", message("tools/list", "{}"), false),
        ] {
            assert_eq!(passes(&rules, held, &body), expected, "{held}: {body}");
        }
    }

    #[test]
    fn the_handshake_and_what_belongs_to_a_session_need_any_scope() {
        let rules = rules();
        let notice = |method: &str| format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"name":"add"}}}}"#);
        let response = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned();
        for (body, expected) in [
            (message("initialize", "{}"), true),
            (message("ping", "{}"), true),
            (message("server/discover", "{}"), true),
            (notice("notifications/initialized"), true),
            (response, true),
            // A call without an id is a call nevertheless.
            (notice("tools/call"), false),
            (message("notifications/x", "{}"), true),
        ] {
            assert_eq!(passes(&rules, "list", &body), expected, "{body}");
            assert!(!passes(&rules, "", &body) && !passes(&rules, "unknown", &body), "{body}");
        }
    }

    #[test]
    fn a_list_shows_what_may_be_called() {
        let rules = rules();
        for (held, item, expected) in [
            ("search", Item::Tool("search_web"), true),
            ("search", Item::Tool("delete"), false),
            ("all", Item::Tool("delete"), true),
            ("list", Item::Prompt("x"), true),
            ("public", Item::Prompt("x"), false),
            ("public", Item::Resource("file:///public/a"), true),
            ("public", Item::Resource("file:///public/../a"), false),
            ("public", Item::Template("file:///public/{path}"), true),
            ("public", Item::Template("file:///{path}"), false),
        ] {
            assert_eq!(rules.shows(&standing(&rules, held), item), expected, "{held}: {item:?}");
        }
    }

    #[test]
    fn what_a_scope_includes_it_opens_too() {
        let rules = rules();
        for (held, expected) in [("list", true), ("search", true), ("all", true), ("public", false)] {
            assert_eq!(passes(&rules, held, &message("tools/list", "{}")), expected, "{held}");
        }
        assert_eq!(rules.missing(&standing(&rules, "all"), &set("list search")), ScopeSet::default());
        assert_eq!(rules.missing(&standing(&rules, "list"), &set("list search")), set("search"));
    }

    #[test]
    fn each_message_of_a_batch_is_judged() {
        let rules = rules();
        let (list, ping) = (message("tools/list", "{}"), message("ping", "{}"));
        let call = message("tools/call", r#"{"name":"add"}"#);
        assert!(passes(&rules, "list", &format!("[{list},{ping}]")));
        assert!(!passes(&rules, "list", &format!("[{list},{call}]")));
        assert!(passes(&rules, "search", &format!("[{list},{call}]")));
        assert!(passes(&rules, "public", &format!("[{ping},{ping}]")) && !passes(&rules, "", &format!("[{ping}]")));
    }

    #[test]
    fn the_scopes_that_would_help_are_named() {
        let rules = Rules::compile(&[
            scope("harm", &["tools/call:add"], &[]),
            scope("mild", &["tools/call:add"], &[]),
            scope("harm2", &["tools/list"], &[]),
        ]);
        let call = |name: &str| message("tools/call", &format!(r#"{{"name":"{name}"}}"#));
        let list = message("tools/list", "{}");
        let lacking = |scope: &str| Ruling::Lacking(ScopeToken::parse(scope).unwrap());
        for (held, body, expected) in [
            ("harm2", call("add"), vec![lacking("mild")]),
            ("", format!("[{list},{}]", call("add")), vec![lacking("harm2"), lacking("mild")]),
            ("mild", format!("[{list},{}]", call("add")), vec![lacking("harm2"), Ruling::Allowed]),
            ("mild", call("sub"), vec![Ruling::Unopened]),
            ("mild", message("x/y", "{}"), vec![Ruling::Unopened]),
            ("", message("ping", "{}"), vec![lacking("mild")]),
        ] {
            assert_eq!(decisions(&rules, held, &body), expected, "{held}: {body}");
        }
    }

    #[test]
    fn http_requests_are_opened_by_method_and_path() {
        let rules = Rules::compile(&[
            scope("read", &["GET"], &[]),
            scope("reports", &["* /reports/**", "POST /reports"], &[]),
            scope("all", &["* /**"], &[]),
        ]);
        for (held, method, path, expected) in [
            ("read", "GET", "/x", true),
            ("read", "HEAD", "", true),
            ("read", "POST", "/x", false),
            ("read", "get", "/x", false),
            ("reports", "DELETE", "/reports/1", true),
            ("reports", "POST", "/reports", true),
            ("reports", "GET", "/reports", false),
            ("reports", "GET", "/reportsx/1", false),
            ("reports", "GET", "/%72eports/1", false),
            ("all", "BREW", "", true),
        ] {
            let decision = rules.judge_http(&standing(&rules, held), method, path);
            assert_eq!(decision == Ruling::Allowed, expected, "{held}: {method} {path}");
        }
    }
}
