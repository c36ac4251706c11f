//! `Walk`: collects the rules broken so far and checks that the log line of each is complete and holds no secret.

use std::collections::BTreeSet;

use mcpgate::oauth::Rule;

use crate::driver::VERIFIER;
use crate::log::Log;

/// Rules checked by the faces; `tests/endpoints/diagnosis.rs` covers them.
pub(super) const OF_FACES: [Rule; 14] = [
    Rule::ContentType,
    Rule::ContentEncoding,
    Rule::BodyTooLarge,
    Rule::MalformedForm,
    Rule::TooManyFields,
    Rule::CrossSite,
    Rule::FormToken,
    Rule::NoTransactionCookie,
    Rule::RepeatedCookie,
    Rule::RepeatedField,
    Rule::DeadLink,
    Rule::DecisionMissing,
    Rule::RepeatedAuthorization,
    Rule::PasswordsDiffer,
];

/// Rules that no request of a walk breaks, each with the reason.
pub(super) const NOT_WALKED: [(Rule, &str); 7] = [
    (Rule::DiskNearlyFull, "it needs a full disk; tests/outside covers it"),
    (Rule::BodyTooSlow, "it needs a slow body; tests/outside covers it"),
    (Rule::BodyBrokenOff, "the client has disconnected"),
    (Rule::UserDenied, "the user's decision, not a refusal by the gateway"),
    (Rule::SignInBeforeLogin, "a second line of defence: only the login binds a session"),
    (Rule::SignInDamaged, "it needs a damaged store"),
    (Rule::RefreshNotGranted, "a client that may refresh only gets grants that allow it"),
];

/// Rules without an offending value: a parameter is missing, or a valid request cannot be served now.
const NOTHING_CAME: [Rule; 29] = [
    Rule::NotAResourceServer,
    Rule::TokenOfAnotherResource,
    Rule::AccountNotAdmitted,
    Rule::AccountOrResourceGone,
    Rule::ChallengeMethodMissing,
    Rule::ChallengeMissing,
    Rule::ClientIdMissing,
    Rule::ClientNoLongerWelcome,
    Rule::CodeMissing,
    Rule::ConsentNeeded,
    Rule::GrantAssertionMissing,
    Rule::GrantTypeMissing,
    Rule::LoginNeeded,
    Rule::LoginThrottled,
    Rule::RateLimited,
    Rule::RedirectUriMissing,
    Rule::RefreshTokenMissing,
    Rule::RegistrationClosed,
    Rule::ResourceMissing,
    Rule::ResponseTypeMissing,
    Rule::ScopesGone,
    Rule::SignInEnded,
    Rule::SignInExpired,
    Rule::SignInOfAnotherSession,
    Rule::SignInUnknown,
    Rule::SignInUnreadable,
    Rule::TokenMissing,
    Rule::TokenOfAnotherClient,
    Rule::TooManyClients,
];

/// Values that requests of the walk contain and log lines must not.
const SECRETS: [&str; 6] =
    ["hunter2", "the state of the walk", "eyJhbGciOiJub25lIn0", VERIFIER, "mcp_code_", "mcp_refresh_"];

/// One walk: the rules refused so far.
pub(super) struct Walk {
    pub(super) log: Log,
    pub(super) seen: BTreeSet<&'static str>,
}

impl Walk {
    /// Checks that exactly this rule was broken since the last call, and that its log line is complete.
    pub(super) fn expect(&mut self, rule: Rule) -> String {
        let lines: Vec<_> =
            self.log.warnings().into_iter().filter(|line| line.contains("a request was refused")).collect();
        let [line] = lines.as_slice() else { panic!("{rule:?}: {lines:?}") };
        // For documents, the detail names the rule.
        let is_named =
            line.contains(&format!("rule=\"{}\"", rule.label())) || line.contains(&format!("\"{}: ", rule.label()));
        assert!(is_named && line.contains(" expected=\"") && line.contains(" address=198.51."), "{rule:?}: {line}");
        if let Some(code) = rule.code().filter(|_| !matches!(rule, Rule::TooManyDocuments)) {
            assert!(line.contains(&format!("error=\"{}\"", code.as_str())) || line.contains("detail="), "{line}");
        }
        let has_come = line.contains(" parameter=") && line.contains(" value=\"");
        assert!(has_come || NOTHING_CAME.contains(&rule) || line.contains("detail="), "{rule:?}: {line}");
        for key in
            line.split(" key=\"").nth(1).and_then(|rest| rest.split('"').next()).iter().flat_map(|k| k.split(", "))
        {
            assert!(mcpgate::config::keys().any(|known| known == key), "{rule:?}: there is no {key}");
        }
        for secret in SECRETS {
            assert!(!line.contains(secret), "{rule:?}: {line}");
        }
        self.seen.insert(rule.label());
        line.clone()
    }
}
