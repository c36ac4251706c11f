//! `Walk`: the rules that were broken so far, each with a line that says enough and no secret.

use std::collections::BTreeSet;

use mcpgate::oauth::Rule;

use crate::driver::VERIFIER;
use crate::log::Log;

/// Rules that the faces see; `tests/endpoints/diagnosis.rs` walks them.
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

/// Rules that no request of a walk breaks, and why.
pub(super) const NOT_WALKED: [(Rule, &str); 7] = [
    (Rule::DiskNearlyFull, "it takes a disk; tests/outside fills one"),
    (Rule::BodyTooSlow, "it takes its time; tests/outside has slow bodies"),
    (Rule::BodyBrokenOff, "nobody is left to be answered"),
    (Rule::UserDenied, "a person's decision, which is a deed and no refusal of ours"),
    (Rule::SignInBeforeLogin, "a second line of defence: a session is bound by the login only"),
    (Rule::SignInDamaged, "damage of the store"),
    (Rule::RefreshNotGranted, "a client that may refresh gets grants that may"),
];

/// Rules that no value breaks: something is missing, or what was asked for is fine and cannot be had now.
const NOTHING_CAME: [Rule; 25] = [
    Rule::AccountOrResourceGone,
    Rule::ChallengeMethodMissing,
    Rule::ChallengeMissing,
    Rule::ClientIdMissing,
    Rule::ClientNoLongerWelcome,
    Rule::CodeMissing,
    Rule::ConsentNeeded,
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

/// Values that stand in the requests of the walk and may stand in no line.
const SECRETS: [&str; 6] =
    ["hunter2", "the state of the walk", "eyJhbGciOiJub25lIn0", VERIFIER, "mcp_code_", "mcp_refresh_"];

/// One walk: what has been refused so far.
pub(super) struct Walk {
    pub(super) log: Log,
    pub(super) seen: BTreeSet<&'static str>,
}

impl Walk {
    /// Checks that exactly this rule was broken since the last look, and that its line says all that there is to say.
    pub(super) fn expect(&mut self, rule: Rule) -> String {
        let lines: Vec<_> =
            self.log.warnings().into_iter().filter(|line| line.contains("a request was refused")).collect();
        let [line] = lines.as_slice() else { panic!("{rule:?}: {lines:?}") };
        // What a document breaks stands in the detail.
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
