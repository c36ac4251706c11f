//! `Rule`: an `[[upstream.rule]]` as configured, and the `RuleCaller` that it is asked about.

use super::annotations::Annotation;
use super::arguments::Condition;
use super::pattern::Pattern;
use crate::oauth::{ClientId, ClientOrigin, GroupSet, ScopeSet, ScopeToken};

/// What a rule does with a request that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleEffect {
    /// Where an upstream has such rules, one of them must match.
    Allow,
    /// The request is refused, whatever else matches.
    Deny,
}

/// A rule of an upstream. It matches where each of its lists that is not empty does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it does.
    pub effect: RuleEffect,
    /// One of these operations; any if there are none.
    pub operations: Vec<Pattern>,
    /// A call of a tool with one of these annotations.
    pub annotations: Vec<Annotation>,
    /// The callers that it is about.
    pub who: Who,
    /// Each of these conditions on the arguments of the call.
    pub arguments: Vec<Condition>,
    /// What it is for, as told to callers and in the log.
    pub reason: String,
}

/// The callers that a rule is about: one of each list that is not empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Who {
    /// Ids of clients.
    pub clients: Vec<ClientId>,
    /// How the client became known.
    pub client_kinds: Vec<ClientOrigin>,
    /// Login names of accounts.
    pub users: Vec<String>,
    /// Groups, one of which the user is in.
    pub groups: GroupSet,
    /// Scopes, one of which the token has, itself or by inclusion.
    pub scopes: Vec<ScopeToken>,
}

/// What a rule may ask of a caller.
#[derive(Debug, Clone, Copy)]
pub struct RuleCaller<'a> {
    /// The client that its token was issued to.
    pub client: &'a ClientId,
    /// How the client became known. `None`, which requests never have, if all that is known is that the gateway issued
    /// its id; an allow rule must then mean both manual and registered clients, a deny rule one of them.
    pub client_kind: Option<ClientOrigin>,
    /// The login name of its user.
    pub user: &'a str,
    /// The groups of its user.
    pub groups: &'a GroupSet,
    /// The scopes of its token.
    pub scopes: &'a ScopeSet,
}

impl Rule {
    /// Returns whether it is about a caller, apart from its scopes.
    pub(super) fn is_about(&self, caller: &RuleCaller<'_>) -> bool {
        let Who { clients, client_kinds, users, groups, scopes: _ } = &self.who;
        let mut issued = [ClientOrigin::Manual, ClientOrigin::Registered].into_iter();
        let kind = match (caller.client_kind, self.effect) {
            (Some(kind), _) => client_kinds.contains(&kind),
            (None, RuleEffect::Deny) => issued.any(|kind| client_kinds.contains(&kind)),
            (None, RuleEffect::Allow) => issued.all(|kind| client_kinds.contains(&kind)),
        };
        (clients.is_empty() || clients.contains(caller.client))
            && (client_kinds.is_empty() || kind)
            && (users.is_empty() || users.iter().any(|user| user == caller.user))
            && (groups.is_empty() || groups.has_any_of(caller.groups))
    }
}
