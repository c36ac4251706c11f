//! `Pattern`: the operations that one entry of `allow` opens.

use super::annotations::Annotation;
use super::glob::{NameGlob, PathGlob};

/// Requests that need no particular scope (MCP, lifecycle and discovery): without them no client gets as far as being
/// told which scope it lacks.
const HANDSHAKE: [&str; 3] = ["initialize", "ping", "server/discover"];
/// All other requests that a client may send, in any revision of MCP and its extension for tasks.
const REQUESTS: [&str; 17] = [
    "completion/complete",
    "logging/setLevel",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/update",
    "tools/call",
    "tools/list",
];
/// The beginning of every notification of MCP.
const NOTIFICATIONS: &str = "notifications/";

/// One entry of `allow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(pub(super) Operations);

/// The operations of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operations {
    /// JSON-RPC methods, whatever they name.
    Methods(NameGlob),
    /// Calls of tools.
    Tools(NameGlob),
    /// Calls of tools that say this of themselves.
    Annotated(Annotation),
    /// Prompts that are got.
    Prompts(NameGlob),
    /// Resources that are read.
    Resources(PathGlob),
    /// HTTP requests; `None` stands for any method, or any path.
    Http { method: Option<Box<str>>, path: Option<PathGlob> },
}

/// Why a pattern cannot be read, and what to write instead.
type PatternFault = (&'static str, &'static str);

const NO_METHOD: PatternFault =
    ("this is not the name of a method", "write for example \"tools/list\" or \"tools/call:search_*\"");
const NO_ANNOTATION: PatternFault =
    ("this is not an annotation of tools", "write tools/call@readOnly, tools/call@destructive or tools/call@openWorld");
const NO_NAME: PatternFault =
    ("names can follow tools/call:, prompts/get: and resources/read: only", "write the method alone");
const NO_SCOPE_NEEDED: PatternFault =
    ("the handshake and notifications need no particular scope, so this allows nothing", "remove it");
const NOT_LAST: PatternFault =
    ("** can be only the last segment of a path", "write for example \"file:///public/**\", or * within a segment");
const NOT_USUAL: PatternFault =
    ("this names files in another form than the one that is compared", "write file:/// and the path");
const NO_REQUEST: PatternFault =
    ("this is not an HTTP method, or a method and a path", "write for example \"GET /reports/**\", \"GET\" or \"*\"");

impl Pattern {
    /// Reads an entry for an upstream of kind `mcp`: a method, or `tools/call:`, `prompts/get:` or `resources/read:`
    /// and a name, or `tools/call@` and an annotation.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn of_mcp(text: &str) -> Result<Self, (&'static str, &'static str)> {
        let (method, name) = text.split_once(':').map_or((text, None), |(method, name)| (method, Some(name)));
        if method.contains('@') {
            let annotation = text.strip_prefix("tools/call@").and_then(Annotation::parse);
            return annotation.map(|own| Self(Operations::Annotated(own))).ok_or(NO_ANNOTATION);
        }
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"/_-.$*".contains(&b);
        if method.is_empty() || !method.bytes().all(fits) {
            return Err(NO_METHOD);
        }
        let operations = match (method, name) {
            (_, Some("")) => return Err(NO_METHOD),
            ("tools/call", Some(name)) => Operations::Tools(NameGlob::new(name)),
            ("prompts/get", Some(name)) => Operations::Prompts(NameGlob::new(name)),
            ("resources/read", Some(uri)) if is_other_form_of_file(uri) => return Err(NOT_USUAL),
            ("resources/read", Some(uri)) => Operations::Resources(PathGlob::new(uri).ok_or(NOT_LAST)?),
            (_, Some(_)) => return Err(NO_NAME),
            (method, None) if needs_no_scope(method) => return Err(NO_SCOPE_NEEDED),
            (method, None) => Operations::Methods(NameGlob::new(method)),
        };
        Ok(Self(operations))
    }

    /// Reads an entry for an upstream of kind `http`: a method or `*`, and perhaps a path below the upstream's own.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn of_http(text: &str) -> Result<Self, (&'static str, &'static str)> {
        let (method, path) = text.split_once(' ').map_or((text, None), |(method, path)| (method, Some(path)));
        let is_method = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
        let is_path = |path: &str| path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'?');
        if (method != "*" && !is_method) || path.is_some_and(|path| !is_path(path)) {
            return Err(NO_REQUEST);
        }
        let path = path.map(|path| PathGlob::new(path).ok_or(NOT_LAST)).transpose()?;
        Ok(Self(Operations::Http { method: is_method.then(|| method.into()), path }))
    }
}

impl Pattern {
    /// Returns whether it may name the call of a tool.
    #[must_use]
    pub fn may_be_tool(&self) -> bool {
        match &self.0 {
            Operations::Methods(glob) => glob.matches("tools/call"),
            Operations::Tools(_) | Operations::Annotated(_) => true,
            Operations::Prompts(_) | Operations::Resources(_) | Operations::Http { .. } => false,
        }
    }

    /// Returns whether it may name an operation that has arguments: the call of a tool or prompt.
    #[must_use]
    pub fn has_arguments(&self) -> bool {
        let is_prompt = match &self.0 {
            Operations::Methods(glob) => glob.matches("prompts/get"),
            Operations::Prompts(_) => true,
            Operations::Tools(_) | Operations::Annotated(_) | Operations::Resources(_) | Operations::Http { .. } => {
                false
            }
        };
        is_prompt || self.may_be_tool()
    }
}

/// Returns whether a pattern names files of this host in another form than `file:///path` (RFC 8089 2 and appendix B).
fn is_other_form_of_file(uri: &str) -> bool {
    let uri = uri.to_ascii_lowercase();
    let Some(rest) = uri.strip_prefix("file:").filter(|rest| !rest.starts_with('*')) else { return false };
    rest.strip_prefix("//").is_none_or(|rest| rest == "localhost" || rest.starts_with("localhost/"))
}

/// Returns whether messages with this method need no scope in particular.
pub(super) fn needs_no_scope(method: &str) -> bool {
    HANDSHAKE.contains(&method) || method.starts_with(NOTIFICATIONS)
}

/// Returns whether MCP defines requests of clients with this method.
pub(super) fn is_known(method: &str) -> bool {
    HANDSHAKE.contains(&method) || REQUESTS.contains(&method)
}

/// Returns whether a notification has a method of notifications, so that it belongs to its session and does nothing of
/// its own. A server may act on any other method even without an id.
pub(super) fn is_notice(method: &str) -> bool {
    method.starts_with(NOTIFICATIONS)
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn an_entry_that_could_never_have_force_is_refused() {
        for (text, fault) in [
            ("", "not the name of a method"),
            ("tools call", "not the name of a method"),
            ("tools/call:", "not the name of a method"),
            ("tools/call@readonly", "annotation"),
            ("tools/list@readOnly", "annotation"),
            ("tools/call@readOnly:x", "annotation"),
            ("@readOnly", "annotation"),
            ("tools/list:x", "names can follow"),
            ("resources/subscribe:file:///a", "names can follow"),
            ("ping", "need no particular scope"),
            ("initialize", "need no particular scope"),
            ("notifications/initialized", "need no particular scope"),
            ("resources/read:file:///**/a", "** can be only"),
            ("resources/read:file:/a/**", "in another form"),
            ("resources/read:FILE:a", "in another form"),
            ("resources/read:file://LOCALHOST/a", "in another form"),
        ] {
            let (found, _) = Pattern::of_mcp(text).expect_err(text);
            assert!(found.contains(fault), "{text}: {found}");
        }
        for text in [
            "*",
            "tools/*",
            "tools/call:a@b",
            "tools/call@readOnly",
            "resources/read:file:///a b",
            "resources/read:file:///**",
            "resources/read:file://server/share/**",
            "x.y/z",
        ] {
            assert!(Pattern::of_mcp(text).is_ok(), "{text}");
        }
        for text in ["", "get /a", "GET a", "GET /a?b", "GET  /a", "/a", "GET /a b", "GET /**/a", "GET /a**"] {
            assert!(Pattern::of_http(text).is_err(), "{text}");
        }
        for text in ["*", "GET", "* /a", "GET /a/**", "M-SEARCH /a"] {
            assert!(Pattern::of_http(text).is_ok(), "{text}");
        }
    }
}
