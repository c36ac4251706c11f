//! Lists show what calls allow, whatever the scopes, the rules, the tools and what the user left out.

use std::collections::BTreeSet;
use std::sync::Arc;

use mcpgate::mcp::Envelope;
use mcpgate::oauth::{ClientId, Exclusions, GroupSet, ScopeSet, ScopeToken, ToolKind};
use mcpgate::policy::{
    Annotation, Annotations, JudgedMessage, Pattern, Rule, RuleCaller, RuleEffect, Rules, Ruling, ScopeRule, Standing,
    Who,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::client::RawRequest;
use super::upstream::answer;
use super::world::{MCP, World};

const JSON: &str = "200 OK\r\nContent-Type: application/json";
const SCOPES: [&str; 3] = ["read", "write", "all"];
const NAMES: [&str; 6] = ["add", "add_all", "search_web", "search_files", "delete", "d\u{e9}lete \"all\""];
const PATTERNS: [&str; 10] = [
    "tools/list",
    "tools/call",
    "tools/*",
    "tools/call:add",
    "tools/call:add*",
    "tools/call:*e*",
    "tools/call:search_*",
    "tools/call@readOnly",
    "tools/call@destructive",
    "tools/call@openWorld",
];
const ANNOTATIONS: [Annotation; 3] = [Annotation::ReadOnly, Annotation::Destructive, Annotation::OpenWorld];

/// What a request depends on.
#[derive(Debug, Clone)]
struct Case {
    scopes: Vec<ScopeRule>,
    has_map: bool,
    rules: Vec<Rule>,
    held: Vec<&'static str>,
    tools: Vec<(&'static str, [Option<bool>; 3])>,
    groups: Vec<(&'static str, ToolKind)>,
    left_out: Vec<&'static str>,
}

fn some_of<T: Clone + std::fmt::Debug + 'static>(of: &[T], most: usize) -> impl Strategy<Value = Vec<T>> + use<T> {
    prop::collection::vec(prop::sample::select(of.to_vec()), 0..=most)
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::of_mcp(text).unwrap()).collect()
}

fn scope(name: &str) -> ScopeToken {
    ScopeToken::parse(name).unwrap()
}

fn rule() -> impl Strategy<Value = Rule> {
    let lists = (some_of(&PATTERNS, 2), some_of(&ANNOTATIONS, 1), some_of(&SCOPES, 1), some_of(&["ada", "eve"], 1));
    (any::<bool>(), lists).prop_map(|(denies, (operations, annotations, scopes, users))| Rule {
        effect: if denies { RuleEffect::Deny } else { RuleEffect::Allow },
        operations: patterns(&operations),
        annotations,
        who: Who {
            users: users.into_iter().map(Into::into).collect(),
            scopes: scopes.into_iter().map(scope).collect(),
            ..Who::default()
        },
        arguments: Vec::new(),
        reason: String::new(),
    })
}

fn case() -> impl Strategy<Value = Case> {
    let scopes = prop::collection::vec(some_of(&PATTERNS, 3), SCOPES.len()).prop_map(|allow| {
        let rule = |(name, allow): (&&str, Vec<&str>)| ScopeRule {
            name: scope(name),
            sensitive: false,
            allow: patterns(&allow),
            includes: Vec::new(),
        };
        SCOPES.iter().zip(allow).map(rule).collect()
    });
    let hint = prop::sample::select(vec![None, Some(false), Some(true)]);
    let hints = prop::collection::vec([hint.clone(), hint.clone(), hint], NAMES.len());
    let tools = (hints, prop::sample::subsequence(NAMES.to_vec(), 0..=NAMES.len()))
        .prop_map(|(hints, names)| names.into_iter().zip(hints).collect());
    let group = (prop::sample::select(SCOPES.to_vec()), prop::sample::select(ToolKind::ALL.to_vec()));
    let left_out = (prop::collection::vec(group, 0..3), some_of(&NAMES, 1));
    let held = prop::collection::vec(prop::sample::select(SCOPES.to_vec()), 1..3);
    let map = (scopes, any::<bool>(), prop::collection::vec(rule(), 0..4));
    (map, held, tools, left_out).prop_map(|((scopes, has_map, rules), held, tools, (groups, left_out))| Case {
        scopes,
        has_map,
        rules,
        held,
        tools,
        groups,
        left_out,
    })
}

impl Case {
    fn exclusions(&self) -> Exclusions {
        let groups = self.groups.iter().map(|(name, kind)| (scope(name), *kind)).collect();
        Exclusions::new(groups, self.left_out.iter().map(|tool| Box::from(*tool)).collect()).unwrap()
    }

    fn standing(&self, rules: &Rules) -> Standing {
        let (client, scopes) = (ClientId::parse("mcp_client_test").unwrap(), self.scopes());
        let caller = RuleCaller {
            client: &client,
            client_kind: None,
            user: "ada",
            groups: &GroupSet::default(),
            scopes: &scopes,
        };
        rules.leaving_out(rules.standing(&caller), &scopes, &self.exclusions())
    }

    fn scopes(&self) -> ScopeSet {
        self.held.iter().map(|name| scope(name)).collect()
    }

    fn list(&self) -> String {
        let tool = |(name, [read_only, destructive, open_world]): &(&str, [Option<bool>; 3])| {
            let hints = json!({"readOnlyHint": read_only, "destructiveHint": destructive, "openWorldHint": open_world});
            json!({"name": name, "annotations": hints})
        };
        let tools: Vec<_> = self.tools.iter().map(tool).collect();
        json!({"jsonrpc": "2.0", "id": 9, "result": {"tools": tools}}).to_string()
    }

    /// The tools that the rules allow to call.
    fn allowed(&self, rules: &Rules) -> BTreeSet<&'static str> {
        let standing = self.standing(rules);
        let is_allowed = |(name, [read_only, destructive, open_world]): &&(&str, [Option<bool>; 3])| {
            let body = call(name);
            let envelope = &Envelope::read(body.as_bytes(), false).unwrap()[0];
            let message = JudgedMessage { envelope, body: body.as_bytes(), place: None };
            let says = Annotations::of(*read_only, *destructive, *open_world);
            rules.judge(&standing, message, |_| says) == Ruling::Allowed
        };
        self.tools.iter().filter(is_allowed).map(|(name, _)| *name).collect()
    }
}

fn call(name: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": name}}).to_string()
}

/// The tools that a list shows, and those that the gateway then lets be called.
async fn shown_and_called(case: &Case, rules: Arc<Rules>) -> [BTreeSet<&'static str>; 2] {
    let world = World::with(|config| {
        let main = config.upstreams.iter_mut().find(|upstream| upstream.name == "main").unwrap();
        // Whoever may hold a token gets lists.
        (main.rules, main.required_scopes) = (Some(rules), ScopeSet::default());
    })
    .await;
    let mut made = world.make(MCP, &case.scopes().to_string());
    made.record.exclusions = case.exclusions();
    world.cache.insert(&made.record);
    let mut connection = world.connect().await;
    // A list that nobody asked for is filtered as well, so that the scope for lists does not matter.
    world.mcp.then([answer(JSON, &case.list())]);
    let ping = json!({"jsonrpc": "2.0", "id": 9, "method": "ping"}).to_string();
    let reply = connection.ask(&RawRequest::post(ping).bearer(&made.text)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let listed: Vec<Value> = reply.json()["result"]["tools"].as_array().unwrap().clone();
    let name = |tool: &Value| NAMES.into_iter().find(|name| tool["name"] == *name).unwrap();
    let mut called = BTreeSet::new();
    for (name, _) in &case.tools {
        let before = world.mcp.seen().len();
        connection.ask(&RawRequest::post(call(name)).bearer(&made.text)).await;
        if world.mcp.seen().len() > before {
            called.insert(*name);
        }
    }
    [listed.iter().map(name).collect(), called]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 150, ..ProptestConfig::default() })]
    #[test]
    fn a_list_shows_the_tools_that_may_be_called_and_no_others(case in case()) {
        let rules = Arc::new(Rules::narrowed(&case.scopes, case.has_map, &case.rules));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let [shown, called] = runtime.block_on(shown_and_called(&case, Arc::clone(&rules)));
        prop_assert_eq!(&shown, &called);
        prop_assert_eq!(&called, &case.allowed(&rules));
    }
}
