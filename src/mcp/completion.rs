//! `AskedCompletion`: a request to complete an argument (MCP, completion), and what its answers stand for.

use std::collections::HashMap;

use serde_json::Value;

use super::uri_template::expanded;

/// The request that completes an argument of a prompt or of a template of resources.
const COMPLETE: &str = "completion/complete";

/// A request to complete an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedCompletion {
    id: Value,
    /// The URI template that the argument is a variable of; `None` for anything else, such as a prompt.
    template: Option<String>,
    argument: String,
    /// The other variables that are known.
    others: HashMap<String, String>,
}

impl AskedCompletion {
    /// Reads those in a message or a batch.
    #[must_use]
    pub fn read(body: &[u8]) -> Vec<Self> {
        match serde_json::from_slice(body) {
            Ok(Value::Array(messages)) => messages.iter().filter_map(Self::of).collect(),
            Ok(message) => Self::of(&message).into_iter().collect(),
            Err(_) => Vec::new(),
        }
    }

    fn of(message: &Value) -> Option<Self> {
        let id = message.get("id").filter(|_| message.get("method").is_some_and(|method| method == COMPLETE))?;
        let string = |pointer: &str| message.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let is_resource = message.pointer("/params/ref/type").is_some_and(|kind| kind == "ref/resource");
        let others = message.pointer("/params/context/arguments").and_then(Value::as_object);
        let others =
            others.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        Some(Self {
            id: id.clone(),
            template: is_resource.then(|| string("/params/ref/uri").unwrap_or_default()),
            argument: string("/params/argument/name").unwrap_or_default(),
            others: others.collect(),
        })
    }

    /// Returns whether it is about a template of resources.
    #[must_use]
    pub fn is_of_resource(&self) -> bool {
        self.template.is_some()
    }

    /// Returns whether an answer with this id, as raw JSON, is for it.
    #[must_use]
    pub fn is_answered_by(&self, id: &str) -> bool {
        serde_json::from_str::<Value>(id).is_ok_and(|id| id == self.id)
    }

    /// Returns the URIs that its template stands for with a value of the argument: as RFC 6570 expands it, and as
    /// programs write it that do not encode what they insert. Variables that are not known stay.
    #[must_use]
    pub fn uris(&self, value: &str) -> [String; 2] {
        let template = self.template.as_deref().unwrap_or_default();
        let known = |name: &str| {
            if name == self.argument { Some(value) } else { self.others.get(name).map(String::as_str) }
        };
        [true, false].map(|is_encoded| expanded(template, known, is_encoded))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::AskedCompletion;

    fn asked(reference: &serde_json::Value) -> AskedCompletion {
        let params = json!({
            "ref": reference, "argument": {"name": "file", "value": "a"}, "context": {"arguments": {"dir": "x", "n": 1}},
        });
        let message = json!({"jsonrpc": "2.0", "id": "7", "method": "completion/complete", "params": params});
        AskedCompletion::read(message.to_string().as_bytes()).remove(0)
    }

    #[test]
    fn a_value_completes_the_template_with_what_else_is_known() {
        let asked = asked(&json!({"type": "ref/resource", "uri": "file:///{dir}/{file}{?n}"}));
        assert!(asked.is_of_resource() && asked.is_answered_by("\"7\"") && !asked.is_answered_by("7"));
        assert_eq!(asked.uris("a b"), ["file:///x/a%20b{?n}", "file:///x/a b{?n}"]);
    }

    #[test]
    fn prompts_have_no_template_and_other_messages_are_no_completions() {
        assert!(!asked(&json!({"type": "ref/prompt", "name": "greet"})).is_of_resource());
        for body in ["[]", "{}", "1", "x", r#"{"id":1,"method":"tools/list"}"#, r#"{"method":"completion/complete"}"#] {
            assert_eq!(AskedCompletion::read(body.as_bytes()), [], "{body}");
        }
        let batch = r#"[{"id":1,"method":"completion/complete"},{"id":2,"method":"ping"}]"#;
        let read = AskedCompletion::read(batch.as_bytes());
        assert!(read.len() == 1 && read[0].is_answered_by("1"));
    }
}
