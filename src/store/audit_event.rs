//! The events of the audit trail: stable name, meaning, and fields of the rows. `docs/events.md` is generated from it.

/// The fields that a row can have besides number, time, tenant, event, address and request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditField {
    /// Who caused the event.
    Actor,
    /// The account that it is about.
    Subject,
    /// The client that it is about.
    Client,
    /// The resource that access was given to or refused at.
    Resource,
    /// The scopes that were given or refused.
    Scopes,
    /// The grant that it is about.
    Target,
}

/// The class of an event, which decides whether each occurrence has a row, and which rows are removed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditClass {
    /// Something was changed. The row is written in the same transaction.
    Deed,
    /// A change that clients make automatically many times a day. Rows beyond a user's limit are only counted.
    Routine,
    /// Something that anybody can cause, signed in or not; nearly always a refusal. Rows beyond the limits are only
    /// counted.
    Open,
}

impl AuditClass {
    /// Returns the field's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deed => "deed",
            Self::Routine => "routine",
            Self::Open => "open",
        }
    }
}

/// The declaration of an event.
#[derive(Debug)]
pub struct AuditEventDescription {
    /// When a row is written, in lines.
    pub about: &'static [&'static str],
    /// The event's class.
    pub class: AuditClass,
    /// Fields that each of its rows has.
    pub always: &'static [AuditField],
    /// Fields that some of its rows have.
    pub sometimes: &'static [AuditField],
    /// The words that can be in `reason`.
    pub reasons: &'static [&'static str],
    /// What else can be in `reason`.
    pub other_reason: Option<&'static str>,
}

/// Declares each event once.
macro_rules! events {
    ($(
        $(#[doc = $about:literal])*
        $event:ident = $name:literal, $class:ident, [$($always:ident)*] [$($sometimes:ident)*] [$($reason:literal)*]
            $(, $other:literal)?;
    )*) => {
        /// The events of the audit trail, with stable names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum AuditEvent {
            $($(#[doc = $about])* $event,)*
        }

        impl AuditEvent {
            /// All events, in the order of their names.
            pub const ALL: &[Self] = &[$(Self::$event,)*];

            /// Returns the stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$event => $name,)*
                }
            }

            /// Parses a stable name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$event),)*
                    _ => None,
                }
            }

            /// Returns the declaration of the event.
            #[must_use]
            pub const fn description(self) -> &'static AuditEventDescription {
                match self {
                    $(Self::$event => &AuditEventDescription {
                        about: &[$($about),*],
                        class: AuditClass::$class,
                        always: &[$(AuditField::$always),*],
                        sometimes: &[$(AuditField::$sometimes),*],
                        reasons: &[$($reason),*],
                        other_reason: other_reason!($($other)?),
                    },)*
                }
            }
        }
    };
}

macro_rules! other_reason {
    () => {
        None
    };
    ($text:literal) => {
        Some($text)
    };
}

events! {
    /// An operator added an account, or a table of the configuration file did.
    AccountAdded = "account.added", Deed, [Actor Subject] [] [];
    /// A table of the configuration file took over an account.
    AccountAdopted = "account.adopted", Deed, [Actor Subject] [] [];
    /// An operator deleted an account: its sessions, links, codes and grants have ended. No other account can get its
    /// name.
    AccountDeleted = "account.deleted", Deed, [Actor Subject] [] [], "the former login name";
    /// An operator disabled an account: its sessions, links, codes and grants have ended.
    AccountDisabled = "account.disabled", Deed, [Actor Subject] [] [];
    /// An operator enabled an account again.
    AccountEnabled = "account.enabled", Deed, [Actor Subject] [] [];
    /// The owner of an account changed its password. Sessions and links of the account have ended; with `with_grants`,
    /// codes and grants have ended too.
    PasswordChanged = "account.password_changed", Deed, [Actor Subject] [] ["with_grants"];
    /// A new password was refused.
    PasswordRefused = "account.password_refused", Open, [Subject] [] ["too_short" "too_long" "too_common"];
    /// An operator set a password, or the account's owner set it with a link. Sessions, links, codes and grants of the
    /// account have ended.
    PasswordSet = "account.password_set", Deed, [Actor Subject] [] [];
    /// An operator gave an account another login name. No other account can get the former one.
    AccountRenamed = "account.renamed", Deed, [Actor Subject] [] [], "the former and the new login name";
    /// An operator created a one-time link for setting a password.
    SetupLinkMade = "account.setup_link_made", Deed, [Actor Subject] [] [];
    /// A user or an operator lets a client act again for people, or for one, for whom that was ended.
    ActingResumed = "acting.resumed", Deed, [Actor Client] [Subject] [];
    /// An operator removed rows of the audit trail.
    AuditPruned = "audit.pruned", Deed, [Actor] [] [], "which rows";
    /// A user denied what an application asked for.
    AuthorizationDenied = "authorization.denied", Deed, [Actor Subject Client Resource Scopes] [] [];
    /// An authorization request was refused, or a pending sign-in could not continue.
    AuthorizationRefused = "authorization.refused", Open, [] [Client]
        ["rate_limited" "too_many_metadata_documents" "sign_in_unreadable" "sign_in_unknown_or_expired"
         "sign_in_damaged" "sign_in_of_another_session" "sign_in_before_login" "sign_in_ended"
         "account_or_resource_gone" "scopes_gone" "transaction_expired"],
        "the OAuth error code, with the rule in parentheses";
    /// A client was added by an operator, or on the first use of its metadata document (then without an actor).
    ClientAdded = "client.added", Deed, [Client] [Actor Resource Scopes] ["shipped_copy"],
        "which members of the document were left out";
    /// A table of the configuration file took over a client.
    ClientAdopted = "client.adopted", Deed, [Actor Client] [] [];
    /// An operator approved a client as it was then.
    ClientApproved = "client.approved", Deed, [Actor Client] [] [], "the hash of what was approved";
    /// A client was deleted with everything granted to it, by an operator or because it was unused.
    ClientDeleted = "client.deleted", Deed, [Client] [Actor] ["unused"];
    /// An operator disabled a client: its tokens are refused.
    ClientDisabled = "client.disabled", Deed, [Actor Client] [] [];
    /// The metadata document of a client has changed.
    ClientDocumentChanged = "client.document_changed", Open, [Client] [] ["consents_voided"];
    /// An operator imported a copy of a client's metadata document, which is used while the document cannot be fetched.
    ClientDocumentImported = "client.document_imported", Deed, [Actor Client] [] ["consents_voided"],
        "which members were left out";
    /// An operator changed a client; resource and scopes are what it is bound to since then.
    ClientEdited = "client.edited", Deed, [Actor Client] [Resource Scopes] [],
        "which members were changed, and how many grants ended by it";
    /// An operator enabled a client again.
    ClientEnabled = "client.enabled", Deed, [Actor Client] [] [];
    /// None of the keys that a client published at its `jwks_uri` before is there any more: its grants have ended.
    ClientKeysReplaced = "client.keys_replaced", Open, [Client] [] [], "how many grants have ended";
    /// A client registered itself.
    ClientRegistered = "client.registered", Deed, [Client] [] [], "which members were left out";
    /// A registration was refused.
    ClientRegistrationRefused = "client.registration_refused", Open, [] []
        ["rate_limited" "content_type" "content_encoding" "body_too_large" "body_too_slow" "body_broken_off"
         "too_many_fields" "malformed_form" "repeated_field" "repeated_authorization" "registration_closed"],
        "the OAuth error code, with the rule in parentheses";
    /// An operator rejected a client.
    ClientRejected = "client.rejected", Deed, [Actor Client] [] [], "the hash of what was rejected";
    /// An operator gave a client a new secret.
    ClientSecretRotated = "client.secret_rotated", Deed, [Actor Client] [] [];
    /// A person wants a client about which no operator has decided, or such a client asks for a token for itself.
    ClientWaits = "client.waits", Open, [Client] [Actor Subject] [];
    /// An operator confirmed that the clock is right.
    ClockAccepted = "clock.accepted", Deed, [Actor] [] [];
    /// An authorization code was issued without asking the user, who had consented before.
    CodeIssued = "code.issued", Deed, [Actor Subject Client Resource Scopes Target] [] [];
    /// A code was redeemed: a grant was created, and its first tokens were issued.
    CodeRedeemed = "code.redeemed", Deed, [Subject Client Resource Scopes Target] [] [];
    /// A code was refused.
    CodeRefused = "code.refused", Open, [Client] [Subject Target]
        ["unknown" "dead" "replayed" "wrong_verifier" "wrong_client" "wrong_redirect_uri" "wrong_resource"],
        "the OAuth error code, with the rule in parentheses";
    /// A code that had been redeemed was presented again: its grant was revoked.
    CodeReplayed = "code.replayed", Deed, [Subject Client Target] [] ["replayed"];
    /// A user approved what an application asked for; the scopes are those that were approved.
    ConsentGiven = "consent.given", Deed, [Actor Subject Client Resource Scopes Target] [] [];
    /// A user or an operator revoked grants. There is one row for everything that one command revoked, and none if
    /// there was nothing to revoke.
    GrantRevoked = "grant.revoked", Deed, [Actor] [Subject Client Resource Target] [], "the number of grants, if there can be several";
    /// An operator made an account a member of a group.
    GroupMemberAdded = "group.member_added", Deed, [Actor Subject] [] [], "the group";
    /// An operator ended the membership of an account.
    GroupMemberRemoved = "group.member_removed", Deed, [Actor Subject] [] [], "the group";
    /// A user or an operator made an API key.
    KeyCreated = "key.created", Deed, [Actor Subject Client Resource Scopes Target] [] [], "the name of the key";
    /// A user or an operator revoked an API key. What ends several keys at once has a row of its own: a new password,
    /// an account that is disabled, all grants that are revoked.
    KeyRevoked = "key.revoked", Deed, [Actor Subject Client Resource Target] [] [], "the name of the key";
    /// A user or an operator gave an API key a new secret.
    KeyRotated = "key.rotated", Deed, [Actor Subject Client Resource Scopes Target] [] [], "the name of the key";
    /// A login failed, or a signed-in user entered a wrong current password. The entered text is not recorded.
    LoginFailed = "login.failed", Open, [] [Subject] ["wrong_password" "unknown_account" "account_disabled"
        "password_replaced"];
    /// A user signed in with their password, or by setting a new one.
    LoginSucceeded = "login.succeeded", Deed, [Actor Subject] [] [];
    /// A password was not checked because too many were wrong before, or too many are being checked. The sender was
    /// told how long to wait.
    LoginThrottled = "login.throttled", Open, [] [Subject] ["login_throttled"];
    /// An operation at an upstream was refused to a token, by its scopes, a rule, what its user left out, or a pin.
    /// The first refusal is told at once, further ones of the same operation to the same grant in a minute together.
    /// `address` and `request_id` are of the first of them, `scopes` are those that it needs.
    OperationRefused = "operation.refused", Open, [Subject Client Resource Target] [Scopes] [],
        "the operation; if it was refused several times, how often; the rule (by its place in the configuration, from \
         0) and its `reason`, or what else decided; up to 4096 characters";
    /// A page, or a form sent from one, was refused before its purpose was known.
    PageRefused = "page.refused", Open, [] []
        ["cross_site" "form_token" "no_transaction_cookie" "repeated_cookie" "dead_link" "decision_missing" "content_type"
         "content_encoding" "body_too_large" "body_too_slow" "body_broken_off" "too_many_fields" "malformed_form" "repeated_field"
         "repeated_authorization" "passwords_differ"];
    /// A refresh token was refused.
    RefreshRefused = "refresh.refused", Open, [Client] [Subject Target]
        ["unknown" "dead" "in_doubt" "wrong_client" "not_allowed" "no_assertion"], "the OAuth error code, with the rule in \
                                                                     parentheses";
    /// A refresh token that had been rotated was presented again, or an access token from an answer that its client had
    /// reported as lost: the grant was revoked.
    RefreshReused = "refresh.reused", Deed, [Subject Client Resource Target] [] ["reused" "void_access_token"];
    /// A client was refused because the limit on clients is reached.
    ClientCapReached = "reg.cap", Open, [] [Client] ["too_many_clients"];
    /// A user signed out.
    LoggedOut = "session.logged_out", Deed, [Actor Subject] [] [];
    /// A user ended all their sessions and all their grants.
    SignedOutEverywhere = "session.signed_out_everywhere", Deed, [Actor Subject] [] [], "the number of revoked grants";
    /// A record in the store was altered or damaged.
    StoreInvariant = "store.invariant", Open, [] [Subject Client Target] [], "the damage";
    /// A backup was restored: all sessions, links, codes, grants and tokens in it have ended.
    StoreRestored = "store.restored", Deed, [] [] [], "the number of ended grants";
    /// A refresh token is newer than the store, so the store is an older copy.
    StoreRollback = "store.rollback", Open, [Client] [Subject Target] ["ahead_of_store"];
    /// An operator issued an access token.
    OperatorTokenIssued = "token.issued_by_operator", Deed, [Actor Subject Client Resource Scopes Target] [] [];
    /// A client got an access token for a person who is absent. Its first one for them at a resource always has a row.
    ActingTokenIssued = "token.issued_for_person", Routine, [Subject Client Resource Scopes Target] [] [];
    /// A client got an access token for itself. Its first one at a resource always has a row.
    ClientTokenIssued = "token.issued_to_client", Routine, [Subject Client Resource Scopes Target] [] [];
    /// A workload exchanged a token of its issuer for an access token. The first one of each always has a row.
    WorkloadTokenIssued = "token.issued_to_workload", Routine, [Subject Client Resource Scopes Target] [] [],
        "issuer and subject of the exchanged token";
    /// A grant was refreshed: a new access token, and a new refresh token unless this repeated the last refresh.
    TokenRefreshed = "token.refreshed", Routine, [Subject Client Resource Scopes Target] [] ["retried" "lost_answer"];
    /// A token, revocation or introspection request was refused, or was about a token that is not the client's.
    TokenRefused = "token.refused", Open, [] [Subject Client Target]
        ["rate_limited" "token_of_another_client" "token_of_another_resource" "not_a_resource_server" "content_type"
         "content_encoding" "body_too_large" "body_too_slow" "body_broken_off" "too_many_fields" "malformed_form"
         "repeated_field" "repeated_authorization"],
        "the OAuth error code, with the rule in parentheses";
    /// A client revoked one of its access tokens, or its refresh token and thereby the grant.
    TokenRevoked = "token.revoked", Deed, [Subject Client Resource Target] [] ["access_token" "refresh_token"];
    /// An operator approved a tool of an upstream: it is pinned as it is listed now.
    ToolApproved = "tool.approved", Deed, [Actor Resource] [] [], "the tool";
    /// An upstream with `pin` listed a tool that is neither pinned nor as before. At most 100 rows an hour for each.
    ToolChanged = "tool.changed", Deed, [Resource] [] [],
        "the tool, the signs of text aimed at a model in brackets, and how it differs from what is pinned; up to 4096 \
         characters";
    /// An operator removed what was kept of a tool of an upstream.
    ToolForgotten = "tool.forgotten", Deed, [Actor Resource] [] [], "the tool";
}

#[cfg(test)]
mod tests {
    use super::AuditEvent;

    #[test]
    fn names_are_in_order_and_read_back() {
        assert!(AuditEvent::ALL.is_sorted_by_key(|event| event.as_str()));
        for event in AuditEvent::ALL {
            assert_eq!(AuditEvent::parse(event.as_str()), Some(*event));
        }
    }
}
