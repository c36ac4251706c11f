//! A map of 20 scopes and 50 rules, and a list of 100 tools that it filters: what the cost of judging is measured with.

use serde_json::json;

/// How many tools the list has, every second of which begins with `get_`.
pub(crate) const TOOLS: usize = 100;

/// Two upstreams with 20 scopes, the second with what each opens and 50 rules of every kind, many of which are about
/// the tool that is called.
pub(crate) fn upstreams(url: &str) -> String {
    let mut text = String::new();
    for name in ["all", "map"] {
        text += &format!("[[upstream]]\nname = \"{name}\"\npath = \"/{name}\"\nmax_connections = 8192\n");
        text += &format!("url = \"{url}\"\ncatalogue = \"passive\"\n");
        text += "default_scopes = [\"scope0\", \"scope1\", \"scope2\"]\n";
        for n in 0..20 {
            text += &format!("[[upstream.scope]]\nname = \"scope{n}\"\ntitle = \"Scope {n}\"\n");
            let allow = match n % 4 {
                0 => format!(r#""tools/list", "tools/call:search_{n}_*", "tools/call:a*{n}""#),
                1 => format!(r#""tools/call:ans*", "tools/call:get_*", "tools/call:*_page_{n}", "prompts/get:p{n}""#),
                2 => format!(r#""tools/call@readOnly", "resources/read:file:///{n}/**""#),
                _ => format!(r#""tools/call:answer", "tools/call:exact_{n}""#),
            };
            if name == "map" {
                text += &format!("allow = [{allow}]\n");
            }
        }
    }
    for n in 0..50 {
        let rule = match n % 5 {
            0 => format!("\"deny\"\noperations = [\"tools/call:exact_{n}\", \"tools/call:admin_*_{n}\"]"),
            1 => format!("\"deny\"\noperations = [\"tools/call:ans*\", \"tools/call\"]\ngroups = [\"group{n}\"]"),
            2 => {
                "\"allow\"\noperations = [\"tools/list\", \"tools/call:*\", \"tools/call:*swer\"]\nusers = [\"admin\"]"
                    .to_owned()
            }
            3 => format!("\"deny\"\nannotations = [\"readOnly\"]\nusers = [\"ada{n}\"]"),
            _ => {
                let condition = r#"arguments = [{ pointer = "/amount", min = 100 }]"#;
                format!("\"deny\"\noperations = [\"tools/call:pay_{n}_*\"]\n{condition}")
            }
        };
        text += &format!("[[upstream.rule]]\neffect = {rule}\n");
    }
    text
}

/// A list of some 44 KB.
pub(crate) fn list() -> String {
    let tool = |n: usize| {
        let (verb, reads) = if n.is_multiple_of(2) { ("get", true) } else { ("delete", false) };
        let text = |what: &str| json!({"type": "string", "description": format!("The {what} of the entry, as listed")});
        json!({
            "name": format!("{verb}_entry_{n}"),
            "description": "Works on an entry of the register: finds it by its key and its date, and answers with it.",
            "inputSchema": {
                "type": "object",
                "properties": {"key": text("key"), "date": text("date")},
                "required": ["key"],
            },
            "annotations": {"readOnlyHint": reads, "destructiveHint": !reads, "openWorldHint": false},
        })
    };
    let tools: Vec<_> = (0..TOOLS).map(tool).collect();
    json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).to_string()
}
