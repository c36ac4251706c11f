//! A client as data: what it sends, in which order, and what it does when something fails.

use std::path::Path;

use serde::Deserialize;

/// A file of `tests/profiles`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// The name of the client.
    pub(crate) client: String,
    /// How it gets its client id, if it has several ways.
    pub(crate) flavour: String,
    /// Where its behaviour is known from.
    pub(crate) source: String,
    /// The requests without a token with which it begins.
    pub(crate) probes: Vec<Probe>,
    pub(crate) discovery: Discovery,
    /// The body of its registration; `{port}` is a port on which it listens.
    pub(crate) registration: Option<serde_json::Value>,
    /// Its metadata document; the URL is the replaying test's own.
    pub(crate) document: Option<serde_json::Value>,
    /// What the operator adds to `mcpgate client add` for it.
    pub(crate) added: Option<Vec<String>>,
    pub(crate) authorization: Authorization,
    pub(crate) tokens: Tokens,
    pub(crate) session: Session,
    /// What it asks for once a call needs another scope.
    pub(crate) step_up: StepUp,
}

/// A request to the server without a token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    pub(crate) method: String,
    /// The method of its JSON-RPC message; without one it has no body.
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) headers: std::collections::BTreeMap<String, String>,
}

/// How it finds the metadata. It takes the first answer with 200 of each list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Discovery {
    /// `challenge` for the address in the challenge, or a path. Empty: it knows nothing of resource metadata.
    pub(crate) resource: Vec<String>,
    /// The paths at which it looks for the metadata of the authorization server.
    pub(crate) server: Vec<String>,
    /// Paths that it asks for as well, and for which 404 is an answer.
    #[serde(default)]
    pub(crate) also: Vec<String>,
    #[serde(default)]
    pub(crate) headers: std::collections::BTreeMap<String, String>,
}

/// Its authorization request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Authorization {
    /// `{port}` is a port other than the registered one.
    pub(crate) redirect_uri: String,
    /// `challenge`, `resource` and `server` for the scopes of that text, `none` for no parameter; else the value.
    pub(crate) scope: String,
    /// Whether it sends `resource`.
    pub(crate) resource: bool,
    /// Its `state`; a random one if this is empty.
    #[serde(default)]
    pub(crate) state: String,
    /// Further parameters of the query, such as `prompt`.
    #[serde(default)]
    pub(crate) others: std::collections::BTreeMap<String, String>,
}

/// Its token requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tokens {
    pub(crate) authentication: Authentication,
    /// Whether it sends `resource` with the code.
    pub(crate) resource: bool,
    pub(crate) refresh: Refresh,
}

/// How it shows its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Authentication {
    None,
    Basic,
    Body,
}

/// Its refresh requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    /// What it sends as `scope` beside the granted scopes; `None` if it sends no `scope`.
    pub(crate) scope: Option<String>,
    pub(crate) resource: bool,
    /// How many processes refresh with the same token at once.
    #[serde(default = "one")]
    pub(crate) at_once: usize,
}

fn one() -> usize {
    1
}

/// Its MCP session.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Session {
    /// The revision in `MCP-Protocol-Version`.
    pub(crate) version: String,
    /// The methods of its first messages.
    pub(crate) first: Vec<String>,
    #[serde(default)]
    pub(crate) user_agent: String,
}

/// What it asks for after a challenge with `insufficient_scope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StepUp {
    /// What it has and what the challenge names.
    Union,
    /// What the challenge names.
    Challenge,
}

impl Profile {
    /// All profiles, sorted by client and flavour, with the name of their file.
    pub(crate) fn all() -> Vec<(String, Self)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/profiles");
        let files = std::fs::read_dir(&folder).expect("tests/profiles").map(|entry| entry.expect("an entry").path());
        let mut all: Vec<_> = files.map(|file| (Self::name(&file), Self::read(&file))).collect();
        all.sort_by_cached_key(|(_, profile)| (profile.client.to_lowercase(), profile.flavour.clone()));
        all
    }

    fn name(file: &Path) -> String {
        file.file_stem().expect("a file").to_string_lossy().into_owned()
    }

    fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).expect("a profile");
        let profile: Self = toml::from_str(&text).unwrap_or_else(|fault| panic!("{}: {fault}", file.display()));
        let ways = [profile.registration.is_some(), profile.document.is_some(), profile.added.is_some()];
        assert_eq!(ways.iter().filter(|way| **way).count(), 1, "{}: one way to a client id", file.display());
        profile
    }
}
