//! Header field names towards upstreams: which the operator may set with `upstream.headers`, and which of a client's
//! may be passed with `upstream.pass_headers`. Both use one list and one normalization.

use http::HeaderName;

/// What a restricted name is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// It belongs to one connection (RFC 9110 7.6.1), or frames the message.
    Connection,
    /// It describes the content, or what is accepted.
    Content,
    Host,
    /// The gateway sets it.
    Ours,
    Mcp,
    Credential,
    /// Programs read it as who is calling, or from where.
    Caller,
    /// Programs read it as another path, host or method.
    Target,
    /// Browsers set it to describe the calling page.
    Page,
}

use Meaning::{Caller, Connection, Content, Credential, Host, Mcp, Ours, Page, Target};

/// Restricted names, in normalized form.
const NAMES: [(&str, Meaning); 27] = [
    ("accept", Content),
    ("acceptencoding", Content),
    // Free text from the client, which filters and dashboards read as who is calling (decision 0011).
    ("baggage", Caller),
    ("connection", Connection),
    ("contentencoding", Content),
    ("contentlength", Connection),
    ("contenttype", Content),
    // RFC 4918 10.3: contains an address of the gateway; requests with it are refused in any case.
    ("destination", Target),
    ("dpop", Credential),
    ("expect", Connection),
    ("forwarded", Ours),
    ("from", Caller),
    ("host", Host),
    ("http2settings", Connection),
    ("keepalive", Connection),
    ("lasteventid", Mcp),
    ("maxforwards", Connection),
    ("origin", Page),
    ("realip", Caller),
    ("referer", Page),
    ("te", Connection),
    ("traceparent", Ours),
    ("tracestate", Ours),
    ("trailer", Connection),
    ("transferencoding", Connection),
    ("upgrade", Connection),
    ("via", Ours),
];

/// Prefixes of restricted names, in normalized form.
const BEGINNINGS: [(&str, Meaning); 43] = [
    ("accesscontrol", Page),
    ("cfaccess", Credential),
    ("cfconnecting", Caller),
    ("impersonate", Caller),
    ("mcp", Mcp),
    ("proxy", Connection),
    ("remote", Caller),
    ("secch", Page),
    ("secfetch", Page),
    ("secwebsocket", Connection),
    ("sslclient", Caller),
    ("tailscale", Caller),
    ("xaccel", Target),
    ("xamznoidc", Credential),
    ("xappengine", Caller),
    ("xauth", Caller),
    ("xclientdn", Caller),
    ("xclientverify", Caller),
    ("xconsumer", Caller),
    ("xemail", Caller),
    ("xenvoy", Caller),
    ("xforwarded", Ours),
    ("xgrafana", Caller),
    ("xgroup", Caller),
    ("xhost", Target),
    ("xhttpmethod", Target),
    ("ximpersonate", Caller),
    ("xlogin", Caller),
    ("xmcpgate", Ours),
    ("xmethod", Target),
    ("xmsclientprincipal", Caller),
    ("xoriginal", Target),
    ("xoriginating", Caller),
    ("xproxyuser", Caller),
    ("xrealip", Caller),
    ("xremote", Caller),
    ("xrewrite", Target),
    ("xrole", Caller),
    ("xscriptname", Target),
    ("xssl", Caller),
    ("xsubject", Caller),
    ("xuser", Caller),
    ("xwebauth", Caller),
];

/// Parts of restricted names, in normalized form.
const PARTS: [(&str, Meaning); 15] = [
    ("accesskey", Credential),
    ("apikey", Credential),
    ("assertion", Credential),
    ("authenticat", Credential),
    ("authorization", Credential),
    ("clientcert", Caller),
    ("clientip", Caller),
    ("cookie", Credential),
    ("credential", Credential),
    ("jwt", Credential),
    ("passw", Credential),
    ("secret", Credential),
    ("session", Credential),
    ("signature", Credential),
    ("token", Credential),
];

/// Suffixes of names of credentials, in normalized form.
const CREDENTIAL_ENDS: [&str; 2] = ["key", "sid"];

/// A name that ends in `key` but is no credential.
const IDEMPOTENCY_KEY: &str = "idempotencykey";

/// HD-04: programs behind the gateway treat other characters like a hyphen, so names are compared by their letters and
/// digits.
pub(super) fn folded(name: &HeaderName) -> String {
    name.as_str().chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn meaning(folded: &str) -> Option<Meaning> {
    let exact = NAMES.iter().find(|(name, _)| *name == folded);
    let beginning = || BEGINNINGS.iter().find(|(beginning, _)| folded.starts_with(beginning));
    let part = || PARTS.iter().find(|(part, _)| folded.contains(part));
    let is_key = || CREDENTIAL_ENDS.iter().any(|end| folded.ends_with(end)) && !folded.ends_with(IDEMPOTENCY_KEY);
    let found = exact.or_else(beginning).or_else(part).map(|(_, meaning)| *meaning);
    found.or_else(|| is_key().then_some(Credential))
}

/// Returns what is wrong with a header of the operator's own, and what to do.
pub(super) fn fault_of_own(name: &HeaderName) -> Option<(&'static str, &'static str)> {
    match meaning(&folded(name))? {
        Connection | Content | Host | Ours | Mcp => fault_of_passed(name),
        Credential | Caller | Target | Page => None,
    }
}

/// Returns what is wrong with passing a client's header, and what to do.
pub(super) fn fault_of_passed(name: &HeaderName) -> Option<(&'static str, &'static str)> {
    let text = name.as_str();
    Some(match meaning(&folded(name)) {
        Some(Connection) => ("this header belongs to one connection, or delimits a message", "remove it"),
        Some(Content) => ("the gateway sets this header itself, or forwards it if that is allowed", "remove it"),
        Some(Host) => ("the gateway sets this header itself", "write host = \"…\" in the [[upstream]]"),
        Some(Ours) => ("the gateway sets this header itself", "remove it"),
        Some(Mcp) => ("the gateway checks and forwards the headers of MCP itself", "remove it"),
        Some(Credential) => (
            "this is the name of a credential, and credentials of clients are never forwarded",
            "remove it; a credential of the gateway's own belongs in headers",
        ),
        Some(Caller) => (
            "programs read the caller or its address from this header, and a client can send any value",
            "remove it; the server gets X-Mcpgate-User and X-Forwarded-For",
        ),
        Some(Target) => {
            ("programs read another path, host or method from this header than the gateway checked", "remove it")
        }
        Some(Page) => ("browsers set this header for a page, and the gateway checks it itself", "remove it"),
        None if text.contains('_') => (
            "a header with an underscore is never forwarded: some programs read it as one with a hyphen",
            "write a name of letters, digits and -",
        ),
        None if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => {
            ("this name has a character that some programs read as a hyphen", "write a name of letters, digits and -")
        }
        None => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{BEGINNINGS, CREDENTIAL_ENDS, NAMES, PARTS, fault_of_own, fault_of_passed};
    use http::HeaderName;

    fn name(text: &str) -> HeaderName {
        HeaderName::try_from(text).unwrap()
    }

    #[test]
    fn the_lists_are_folded_and_in_order() {
        let is_folded = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let texts = NAMES.iter().chain(&BEGINNINGS).chain(&PARTS).map(|(text, _)| *text).chain(CREDENTIAL_ENDS);
        assert!(texts.clone().all(is_folded));
        assert!([&NAMES[..], &BEGINNINGS, &PARTS].iter().all(|list| list.is_sorted_by_key(|(text, _)| text)));
    }

    #[test]
    fn every_spelling_of_a_refused_name_is_refused() {
        for words in [["x", "mcpgate", "user"], ["x", "forwarded", "for"], ["mcp", "session", "id"]] {
            for mark in ["-", "_", ".", "", "--", "~"] {
                let text = words.join(mark);
                for text in [text.to_ascii_uppercase(), text] {
                    let name = name(&text);
                    assert!(fault_of_passed(&name).is_some() && fault_of_own(&name).is_some(), "{text}");
                }
            }
        }
    }

    #[test]
    fn what_says_nothing_that_others_trust_may_pass() {
        for text in [
            "X-Region",
            "X-Request-Id",
            "Idempotency-Key",
            "X-IdempotencyKey",
            "Accept-Language",
            "X-B3-TraceId",
            "Priority",
            "X-Client-Version",
            "X-Keyboard",
        ] {
            assert_eq!(fault_of_passed(&name(text)), None, "{text}");
        }
        for text in ["Authorization", "X-Api-Key", "Cookie", "X_Key", "User-Agent", "X-Real-IP"] {
            assert_eq!(fault_of_own(&name(text)), None, "{text}");
        }
    }
}
