//! A JSON parser that refuses what two parsers could read differently: repeated members, excessive depth.

use serde_json::{Map, Value};

use crate::strict_json;

/// Maximum nesting depth; client metadata has three or four levels.
const MAX_DEPTH: usize = 64;

/// Parses one JSON object with nothing after it; `None` if it is not an object, repeats a member or is nested too
/// deeply.
pub(super) fn object(text: &[u8]) -> Option<Map<String, Value>> {
    let text = std::str::from_utf8(text).ok()?;
    strict_json::check(text, MAX_DEPTH).ok()?;
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_serde_json_reads() {
        let text = r#"{"a":[1,-2,0.5,"x\u00e9",true,null,{}],"b":{"a":[]}}"#;
        assert_eq!(Value::Object(object(text.as_bytes()).unwrap()), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn ci_11_rg_03_refuses_repeats_depth_and_leftovers() {
        let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(object(deep(63).as_bytes()).is_some());
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":1}{}"#,
            r#"{"a":1} x"#,
            r#"[{"a":1}]"#,
            r#""a""#,
            "\u{feff}{}",
            "",
            &deep(64),
            &deep(1000),
        ] {
            assert_eq!(object(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), None);
    }
}
