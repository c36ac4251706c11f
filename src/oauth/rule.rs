//! `Rule`: everything that a request to the authorization server can be refused for, each with its word in the log, its
//! OAuth error code, and what would have been right. A test keeps `docs/errors.md` in step with the table.

use super::ErrorCode;

macro_rules! code {
    (None) => {
        None
    };
    ($code:ident) => {
        Some(ErrorCode::$code)
    };
}

macro_rules! rules {
    ($($rule:ident = $label:literal, $code:ident, $expected:literal;)*) => {
        /// A rule that a request broke.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "what it expects says it")]
        pub enum Rule { $($rule,)* }

        impl Rule {
            /// All rules, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$rule,)*];

            /// Returns the rule's word in the log and the audit trail.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$rule => $label,)* }
            }

            /// Returns the OAuth error code of the answer; `None` where the answer has another form.
            #[must_use]
            pub const fn code(self) -> Option<ErrorCode> {
                match self { $(Self::$rule => code!($code),)* }
            }

            /// Returns what would have been accepted, for the log.
            #[must_use]
            pub const fn expected(self) -> &'static str {
                match self { $(Self::$rule => $expected,)* }
            }
        }
    };
}

rules! {
    // Any request.
    ContentType = "content_type", None, "Content-Type application/x-www-form-urlencoded; at /register application/json";
    ContentEncoding = "content_encoding", None, "a body without Content-Encoding";
    BodyTooLarge = "body_too_large", None, "a body of at most limits.oauth_body bytes";
    BodyTooSlow = "body_too_slow", None, "the whole body within timeouts.oauth_body, and 1 KiB a second after its first 5 s";
    BodyBrokenOff = "body_broken_off", None, "the whole body";
    MalformedForm = "malformed_form", None, "percent-encoded UTF-8";
    TooManyFields = "too_many_fields", None, "at most 64 parameters";
    ParameterRepeated = "parameter_repeated", InvalidRequest, "each parameter once";
    RateLimited = "rate_limited", None, "fewer requests from one address, or from its network";

    // Pages.
    CrossSite = "cross_site", None, "a form sent from one of the gateway's own pages";
    FormToken = "form_token", None, "the form of a page that this browser opened after it last signed in or out";
    NoTransactionCookie = "no_transaction_cookie", None, "the browser that began the sign-in, with cookies enabled";
    RepeatedCookie = "repeated_cookie", None, "each of the gateway's cookies once";
    RepeatedField = "repeated_field", None, "each field of a page's form once";
    DecisionMissing = "decision_missing", InvalidRequest, "decision=approve or decision=deny";
    DeadLink = "dead_link", None, "the newest set-password link, unused and not expired";
    SignInUnreadable = "sign_in_unreadable", None, "the URL and the cookie of a pending sign-in";
    SignInUnknown = "sign_in_unknown_or_expired", None, "a sign-in that this browser began here";
    SignInDamaged = "sign_in_damaged", None, "an undamaged record of the pending sign-in: check the disk";
    SignInOfAnotherSession = "sign_in_of_another_session", None, "a decision by the session that was shown the page";
    SignInBeforeLogin = "sign_in_before_login", None, "a login before the decision";
    SignInEnded = "sign_in_ended", None, "a sign-in that has not been decided yet";
    SignInExpired = "transaction_expired", None, "a decision within login.interaction";
    ScopesGone = "scopes_gone", None, "a requested scope that is still configured";
    AccountOrResourceGone = "account_or_resource_gone", None, "an enabled account, and a configured upstream";
    WrongPassword = "wrong_password", None, "the name and password of an enabled account";
    LoginThrottled = "login_throttled", None, "fewer wrong passwords (per name, per network, in total), and a free \
                                               slot for the check";
    PasswordPoor = "password_poor", None, "a new password of at least login.min_password characters and at most 1024 \
                                           bytes that is hard to guess";
    PasswordsDiffer = "passwords_differ", None, "the same new password twice";

    // The client of a request.
    ClientIdMissing = "client_id_missing", InvalidRequest, "client_id";
    ClientIdMalformed = "client_id_malformed", InvalidRequest, "1 to 2048 printable ASCII characters";
    ClientUnknown = "unknown_client", InvalidClient, "a client that is registered here and enabled: remove the \
                                                      connection in the client and connect again";
    ClientDisabled = "client_disabled", InvalidClient, "an enabled client: mcpgate client enable";
    ClientNoLongerWelcome = "client_disabled_or_changed", InvalidClient, "a client that is still enabled and still \
                                                                          has this redirect URI";
    DocumentNotAllowed = "metadata_document_not_allowed", InvalidClient, "a URL that \
                                                                          client_id_metadata_documents.mode and \
                                                                          client_id_metadata_documents.allow admit, \
                                                                          with a public host unless \
                                                                          outbound.allow_addresses is set";
    DocumentRefused = "metadata_document_refused", InvalidClient, "a readable metadata document that obeys the rules";
    DocumentUnreachable = "metadata_document_unreachable", TemporarilyUnavailable, "an answer from the client's host";
    TooManyDocuments = "too_many_metadata_documents", None, "fewer new metadata documents at a time, from one address and from one host";

    // The authorization request.
    RedirectUriNotRegistered = "redirect_uri_not_registered", InvalidRequest, "one of the client's redirect URIs, byte for byte";
    RedirectUriMissing = "redirect_uri_missing", InvalidRequest, "redirect_uri: the client has registered several";
    RedirectUriOwnOrigin = "redirect_uri_own_origin", InvalidRequest, "a redirect URI that does not lead to this gateway";
    RedirectHostNotListed = "redirect_host_not_listed", InvalidRequest, "a redirect URI that registration.hosts lists";
    StateMalformed = "state_malformed", InvalidRequest, "state once, and at most 4096 bytes";
    RequestObject = "request_object", RequestNotSupported, "plain parameters instead of request";
    RequestUri = "request_uri", RequestUriNotSupported, "plain parameters instead of request_uri";
    GrantNotRegistered = "grant_type_not_registered", UnauthorizedClient, "a grant type that the client has registered";
    ResponseTypeMissing = "response_type_missing", InvalidRequest, "response_type=code";
    ResponseTypeUnsupported = "response_type_unsupported", UnsupportedResponseType, "response_type=code";
    ResponseModeUnsupported = "response_mode_unsupported", InvalidRequest, "response_mode=query, or none";
    ChallengeMissing = "code_challenge_missing", InvalidRequest, "PKCE: code_challenge with code_challenge_method=S256";
    ChallengeMethodMissing = "code_challenge_method_missing", InvalidRequest, "code_challenge_method=S256";
    ChallengeMethodUnsupported = "code_challenge_method_unsupported", InvalidRequest, "code_challenge_method=S256";
    ChallengeMalformed = "code_challenge_malformed", InvalidRequest, "43 base64url characters without padding";
    PromptCombined = "prompt_combined", InvalidRequest, "prompt=none alone";
    LoginNeeded = "login_required", LoginRequired, "a signed-in browser, or a request without prompt=none";
    ConsentNeeded = "consent_required", ConsentRequired, "consent given before, or a request without prompt=none";
    AccountNotAdmitted = "account_not_admitted", AccessDenied, "an account that may hold a token for the resource with \
                                                                at least one of the scopes: upstream.allow_users, \
                                                                upstream.allow_groups";
    ClientWaits = "client_waits", AccessDenied, "a client that an operator has approved as it is now: mcpgate client approve";
    ClientRejected = "client_rejected", AccessDenied, "a client that no operator has rejected; mcpgate client approve lets it in after all";
    UserDenied = "user_denied", AccessDenied, "the user's approval";

    // What is asked for.
    ResourceMalformed = "resource_malformed", InvalidTarget, "the absolute URL of an MCP server, without fragment";
    ResourceAmbiguous = "resource_ambiguous", InvalidTarget, "one resource";
    ResourceMissing = "resource_missing", InvalidTarget, "resource: there are several MCP servers";
    ResourceUnknown = "resource_unknown", InvalidTarget, "an MCP server that this client may use";
    ResourceDiffers = "resource_differs", InvalidTarget, "the resource that was granted";
    ScopeMalformed = "scope_malformed", InvalidScope, "scopes of printable ASCII, separated by single spaces, at most 100";
    ScopeNotAllowed = "scope_not_allowed", InvalidScope, "scopes that the operator allowed this client";
    ScopeExceedsGrant = "scope_exceeds_grant", InvalidScope, "scopes that were granted";

    // Client authentication.
    AuthenticatesTwice = "client_authenticates_twice", InvalidRequest, "one of Authorization, client_secret, client_assertion";
    ClientIdMismatch = "client_id_mismatch", InvalidRequest, "the same client in client_id and Authorization";
    ClientNotNamed = "client_not_named", InvalidClient, "client_id, or HTTP Basic";
    AuthorizationMalformed = "authorization_malformed", InvalidClient, "Authorization: Basic with client id and secret";
    RepeatedAuthorization = "repeated_authorization", None, "one Authorization field";
    AssertionMalformed = "client_assertion_malformed", InvalidClient, "in client_assertion a JWT signed with ES256, EdDSA, \
                                                                       RS256 or PS256, and client_assertion_type \
                                                                       urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    AssertionRefused = "client_assertion_refused", InvalidClient, "iss and sub the client id, aud the issuer as one string, \
                                                                   exp at most 5 minutes ahead, nbf and iat not ahead, \
                                                                   a jti, typ JWT or none";
    AssertionUnexpected = "client_assertion_unexpected", InvalidClient, "a client that registered private_key_jwt";
    AssertionMissing = "client_assertion_missing", InvalidClient, "client_assertion: the client registered private_key_jwt";
    AssertionSignature = "client_assertion_signature", InvalidClient, "a signature by one of the client's keys";
    KeysUnusable = "client_keys_unusable", InvalidClient, "at jwks_uri a set of public keys within the bounds, from a public host";
    KeysUnreachable = "client_keys_unreachable", TemporarilyUnavailable, "an answer from the host of the client's jwks_uri";
    AssertionReplayed = "client_assertion_replayed", InvalidClient, "an assertion with a jti that was not used before";
    SecretWrong = "client_secret_wrong", InvalidClient, "the client's current secret";
    SecretMissing = "client_secret_missing", InvalidClient, "the secret that was issued to this client";
    SecretUnexpected = "client_secret_unexpected", InvalidClient, "no secret: the client registered as public, or with keys";

    // The token request.
    GrantTypeMissing = "grant_type_missing", InvalidRequest, "grant_type";
    GrantTypeUnsupported = "grant_type_unsupported", UnsupportedGrantType, "authorization_code or client_credentials or refresh_token or \
                                                                              urn:ietf:params:oauth:grant-type:jwt-bearer";
    ClientNotApproved = "client_not_approved", UnauthorizedClient, "a client that an operator has approved as it is now: mcpgate client approve";
    ServicesNotAllowed = "client_credentials_not_allowed", UnauthorizedClient, "a client that an operator added, or \
                                                                                registration.client_credentials = true";
    NothingGranted = "no_scope_granted", InvalidScope, "a scope that the operator granted this client, and that \
                                                        upstream.allow_users and upstream.scope let it hold";
    GrantAssertionMissing = "assertion_missing", InvalidRequest, "assertion, once";
    GrantAssertionMalformed = "assertion_malformed", InvalidGrant, "a JWT signed with ES256, EdDSA, RS256 or PS256";
    GrantAssertionRefused = "assertion_refused", InvalidGrant, "iss the client id, sub a login name, aud the issuer as one \
                                                                string, exp at most 5 minutes ahead, nbf and iat not \
                                                                ahead, a jti, typ JWT or none";
    GrantAssertionSignature = "assertion_signature", InvalidGrant, "a signature by one of the client's keys";
    GrantAssertionReplayed = "assertion_replayed", InvalidGrant, "an assertion with a jti that was not used before";
    ActingNotAllowed = "acting_not_allowed", UnauthorizedClient, "a client with keys that an operator added with \
                                                                  --may-act-for";
    ActingForNobody = "acting_for_nobody", InvalidGrant, "the login name of an enabled person in a group of the client's \
                                                          --may-act-for who may hold a token for the upstream";
    ActingEnded = "acting_ended", InvalidGrant, "a person for whom nobody ended that the client acts; they or an \
                                                 operator can lift that";
    WorkloadRefused = "workload_token_refused", InvalidGrant, "aud exactly the audience of the [[workload]], exp at most 24 \
                                                               hours ahead, nbf and iat not ahead, a sub, typ JWT or none";
    WorkloadSignature = "workload_token_signature", InvalidGrant, "a signature by one of the keys of the [[workload]]";
    WorkloadUnknown = "workload_unknown", InvalidGrant, "a token of the issuer of a [[workload]] that says what all patterns \
                                                         of its claims ask for";
    WorkloadSwitchedOff = "workload_switched_off", InvalidGrant, "an enabled service account with a name that nobody else has, \
                                                                  and the client of workloads enabled";
    IssuerKeysUnreachable = "issuer_keys_unreachable", TemporarilyUnavailable, "a set of public keys at jwks_uri of the [[workload]]";
    CodeMissing = "code_missing", InvalidRequest, "code";
    CodeUnknown = "code_unknown", InvalidGrant, "a code that this gateway issued and still knows";
    CodeDead = "code_dead", InvalidGrant, "a code that has not expired and was not invalidated by three wrong \
                                           verifiers";
    CodeReplayed = "code_replayed", InvalidGrant, "a code that was not redeemed before; the grant of this one has \
                                                   ended";
    CodeDamaged = "code_damaged", InvalidGrant, "an undamaged record of the code: check the disk";
    CodeOfAnotherClient = "code_of_another_client", InvalidGrant, "the client that the code was issued to";
    VerifierWrong = "code_verifier_wrong", InvalidGrant, "the code_verifier whose S256 is the code_challenge";
    RedirectUriDiffers = "redirect_uri_differs", InvalidGrant, "the redirect URI of the authorization request, or none";
    AccessWithdrawn = "access_withdrawn", InvalidGrant, "an enabled account, a configured upstream, and at least one \
                                                         remaining scope";
    RefreshTokenMissing = "refresh_token_missing", InvalidRequest, "refresh_token";
    RefreshTokenUnknown = "refresh_token_unknown", InvalidGrant, "a refresh token that this gateway issued";
    RefreshTokenDead = "refresh_token_dead", InvalidGrant, "a refresh token within tokens.refresh_idle and tokens.refresh_absolute, not revoked";
    RefreshTokenReused = "refresh_token_reused", InvalidGrant, "the newest refresh token; an old one was presented \
                                                                after its successor was used, so the grant has ended";
    RefreshTokenInDoubt = "refresh_token_in_doubt", InvalidGrant, "the newest refresh token, because it is unknown \
                                                                   whether the successor of this one was used";
    RefreshTokenAhead = "refresh_token_ahead", InvalidGrant, "a store that is not older than the token";
    RefreshTokenOfAnotherClient = "refresh_token_of_another_client", InvalidGrant, "the client that the token was \
                                                                                    issued to";
    RefreshNeedsAssertion = "refresh_needs_client_assertion", InvalidGrant, "a client_assertion, as when the grant was made";
    RefreshNotGranted = "refresh_not_granted", InvalidGrant, "a grant that may be refreshed";
    TokenMissing = "token_missing", InvalidRequest, "token, once";
    TokenOfAnotherClient = "token_of_another_client", None, "the client that the token was issued to";
    TokenOfAnotherResource = "token_of_another_resource", None, "a token for the resource whose server asks";
    NotAResourceServer = "not_a_resource_server", None, "a client that an operator added as resource server of an \
                                                        upstream: mcpgate client add --resource-server";

    // Registration, and what a metadata document says.
    RegistrationClosed = "registration_closed", None, "registration.mode and registration.enabled that allow it, or a client added by the operator";
    DiskNearlyFull = "disk_nearly_full", None, "free space on the disk of the data directory";
    TooManyClients = "too_many_clients", None, "fewer clients than registration.max_clients";
    MetadataNotAnObject = "client_metadata_malformed", InvalidClientMetadata, "one JSON object without repeated members";
    MemberMalformed = "member_malformed", InvalidClientMetadata, "a member of the type that RFC 7591 defines";
    AuthMethodUnsupported = "auth_method_unsupported", InvalidClientMetadata, "a client authentication method that \
                                                                               the metadata list";
    GrantTypesUnsupported = "grant_types_unsupported", InvalidClientMetadata, "grant_types with authorization_code, \
                                                                                   or with client_credentials for a client with a secret or keys";
    ResponseTypesUnsupported = "response_types_unsupported", InvalidClientMetadata, "response_types with code";
    KeysMissing = "client_keys_missing", InvalidClientMetadata, "for private_key_jwt either jwks or jwks_uri";
    KeysRefused = "client_keys_refused", InvalidClientMetadata, "a set of public keys for ES256, EdDSA, RS256 or PS256, or its https URL";
    PrivateKey = "private_key_in_jwks", InvalidClientMetadata, "public keys only";
    RedirectUriRefused = "redirect_uri_refused", InvalidRedirectUri, "https, http to loopback, or a private-use scheme; exact, not on this gateway";
    DocumentNamesAnother = "document_names_another", InvalidClientMetadata, "client_id in the document equal to its URL";
    DocumentWithSecret = "document_with_secret", InvalidClientMetadata, "a document without a client secret";
    ClientNameMissing = "client_name_missing", InvalidClientMetadata, "client_name";
    StatementUnapproved = "software_statement_unapproved", UnapprovedSoftwareStatement, "no software_statement";
    StatementMalformed = "software_statement_malformed", InvalidSoftwareStatement, "no software_statement";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Rule;

    #[test]
    fn each_rule_has_a_word_of_its_own() {
        let words: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.label()).collect();
        assert_eq!(words.len(), Rule::ALL.len());
        assert!(words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }
}
