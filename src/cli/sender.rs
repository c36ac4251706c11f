//! `Sender`: who sends the request that `mcpgate policy test` judges, and what it may do.

use crate::config::UpstreamConfig;
use crate::oauth::{ClientId, ClientOrigin, GroupSet, LoginName, ScopeSet, ScopeToken};
use crate::policy::{Denial, RuleCaller, Ruling, Standing};

/// Who sends it, as far as the store knows.
pub(super) struct Sender {
    pub(super) user: LoginName,
    pub(super) client: ClientId,
    pub(super) client_kind: Option<ClientOrigin>,
    pub(super) groups: GroupSet,
    /// The only scopes that the client may ask for, if an operator limited it.
    pub(super) limit: Option<ScopeSet>,
    /// Why it can hold no token, if that is known: a code for programs, and words.
    pub(super) unable: Option<(&'static str, &'static str)>,
}

/// What the sender may do with a token of some scopes, whatever it requests.
pub(super) struct Access {
    pub(super) is_admitted: bool,
    /// The scopes that its account may hold.
    pub(super) scopes: ScopeSet,
    /// The scopes that every request needs and it lacks.
    pub(super) lacking: ScopeSet,
    pub(super) standing: Standing,
}

impl Access {
    pub(super) fn of(sender: &Sender, upstream: &UpstreamConfig, scopes: &ScopeSet) -> Self {
        let (user, stored, holders) = (sender.user.as_str(), &sender.groups, &upstream.holders);
        let held = holders.narrow(user, stored, scopes);
        let (is_admitted, scopes) = (held.is_some(), held.unwrap_or_default());
        let caller = RuleCaller {
            client: &sender.client,
            client_kind: sender.client_kind,
            user,
            groups: &holders.groups.of(user, stored),
            scopes: &scopes,
        };
        let (standing, lacking) = match upstream.rules.as_deref() {
            None => {
                let lacks = |name: &&ScopeToken| !scopes.contains(name.as_str());
                (Standing::default(), upstream.required_scopes.iter().filter(lacks).cloned().collect())
            }
            Some(rules) => {
                let standing = rules.standing_without(&caller, &holders.barred(user, stored));
                let standing = standing.asking_for(rules, sender.limit.as_ref());
                let lacking = rules.missing(&standing, &upstream.required_scopes);
                (standing, lacking)
            }
        };
        Self { is_admitted, scopes, lacking, standing }
    }
}

/// Returns why a request is refused, in the order in which the gateway asks.
pub(super) fn refusal(access: &Access, ruling: &Ruling) -> Option<(&'static str, &'static str)> {
    if !access.is_admitted {
        return Some(("not_admitted", "the account may not hold such a token for this upstream"));
    }
    match ruling {
        Ruling::Denied(Denial { rule: Some(_), .. }) => Some(("denied", "a deny rule matches")),
        Ruling::Denied(Denial { rule: None, .. }) => Some(("no_allow_rule", "no allow rule matches")),
        Ruling::Unopened => Some(("unopened", "no scope of the upstream opens this")),
        Ruling::LeftOut => Some(("left_out", "the user left the tool out")),
        Ruling::Held => Some(("held", "the tool is not what was pinned")),
        Ruling::Lacking(_) => Some(("lacking_scope", "the token has no scope that opens this")),
        Ruling::Allowed if !access.lacking.is_empty() => {
            Some(("lacking_scope", "the token lacks a scope that every request needs"))
        }
        Ruling::Allowed => None,
    }
}
