//! Whether two patterns have an operation in common.

use super::pattern::{Operations, Pattern, is_known};
use super::rules::{PROMPT_GET, RESOURCE_READ, TOOL_CALL};

impl Pattern {
    /// Returns whether an operation may be one of both patterns, which must be for upstreams of the same kind. URIs and
    /// paths are not compared: deny rules name them however they are written.
    #[must_use]
    pub fn may_overlap(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Operations::Methods(own), Operations::Methods(other)) => own.overlaps(other),
            (Operations::Methods(methods), named) | (named, Operations::Methods(methods)) => {
                method_of(named).is_some_and(|method| methods.matches(method))
            }
            (Operations::Tools(own), Operations::Tools(other))
            | (Operations::Prompts(own), Operations::Prompts(other)) => own.overlaps(other),
            (Operations::Http { method: Some(own), .. }, Operations::Http { method: Some(other), .. }) => {
                let is_get = |method: &str| method.eq_ignore_ascii_case("GET") || method.eq_ignore_ascii_case("HEAD");
                own.eq_ignore_ascii_case(other) || (is_get(own) && is_get(other))
            }
            (Operations::Http { .. }, Operations::Http { .. }) => true,
            (own, other) => method_of(own).is_some() && method_of(own) == method_of(other),
        }
    }

    /// Returns whether it may name a request whose method MCP does not define.
    #[must_use]
    pub fn may_be_unknown(&self) -> bool {
        matches!(&self.0, Operations::Methods(glob) if glob.literal().is_none_or(|method| !is_known(method)))
    }
}

/// Returns the method of a pattern that names tools, prompts or resources.
fn method_of(operations: &Operations) -> Option<&'static str> {
    match operations {
        Operations::Tools(_) | Operations::Annotated(_) => Some(TOOL_CALL),
        Operations::Prompts(_) => Some(PROMPT_GET),
        Operations::Resources(_) => Some(RESOURCE_READ),
        Operations::Methods(_) | Operations::Http { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn patterns_overlap_where_an_operation_is_one_of_both() {
        for (one, other, expected) in [
            ("*", "tools/list", true),
            ("tools/*", "prompts/*", false),
            ("tools/*", "*/list", true),
            ("tools/list", "tools/call:a", false),
            ("tools/call", "tools/call:a", true),
            ("tools/call:a", "tools/call:b", false),
            ("tools/call:a*", "tools/call:*b", true),
            ("tools/call:a*", "tools/call:b*", false),
            ("tools/call:*a", "tools/call:*b", false),
            ("tools/call:a*", "tools/call:abc", true),
            ("tools/call:a", "tools/call@readOnly", true),
            ("tools/call@destructive", "tools/call@readOnly", true),
            ("prompts/get:a", "tools/call:a", false),
            ("prompts/get:a", "tools/call@readOnly", false),
            ("resources/read:file:///a", "resources/read:file:///b", true),
            ("resources/read:file:///a", "resources/list", false),
        ] {
            let [one, other] = [one, other].map(|text| Pattern::of_mcp(text).unwrap());
            assert_eq!((one.may_overlap(&other), other.may_overlap(&one)), (expected, expected), "{one:?} {other:?}");
        }
        for (one, other, expected) in
            [("GET", "HEAD /a", true), ("GET", "POST", false), ("*", "POST /b", true), ("GET /a", "GET /b", true)]
        {
            let [one, other] = [one, other].map(|text| Pattern::of_http(text).unwrap());
            assert_eq!((one.may_overlap(&other), other.may_overlap(&one)), (expected, expected), "{one:?} {other:?}");
        }
    }
}
