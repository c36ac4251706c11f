//! `ErrorCode`: the registered error codes (RFC 6749 4.1.2.1, 5.2; RFC 7591 3.2.2; RFC 8707 2), each with its status
//! and what it blames.

/// What an error code blames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blamed {
    /// The client's registration: it cannot connect as registered.
    Client,
    /// This one request, which the client can change.
    Request,
    /// This server, or something behind it.
    Server,
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $code:ident = $text:literal, $status:literal, $blamed:ident;)*) => {
        /// A registered OAuth error code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $code,)* }

        impl ErrorCode {
            /// Returns the registered name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$code => $text,)* }
            }

            /// Returns the HTTP status of an answer with this code. RFC 6749 5.2: 400, except for a client that failed
            /// to authenticate.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$code => $status,)* }
            }

            /// Returns what the code blames.
            #[must_use]
            pub const fn blames(self) -> Blamed {
                match self { $(Self::$code => Blamed::$blamed,)* }
            }
        }
    };
}

error_codes! {
    /// The resource owner or the server denied the request.
    AccessDenied = "access_denied", 400, Request;
    /// OpenID Connect Core 3.1.2.6: `prompt=none`, but consent is needed.
    ConsentRequired = "consent_required", 400, Request;
    /// The client is unknown or could not be authenticated.
    InvalidClient = "invalid_client", 401, Client;
    /// RFC 7591 3.2.2: a registration member is unacceptable.
    InvalidClientMetadata = "invalid_client_metadata", 400, Request;
    /// The code or refresh token is invalid, expired, revoked or another client's.
    InvalidGrant = "invalid_grant", 400, Request;
    /// RFC 7591 3.2.2: a redirect URI is unacceptable.
    InvalidRedirectUri = "invalid_redirect_uri", 400, Request;
    /// A parameter is missing, repeated or malformed.
    InvalidRequest = "invalid_request", 400, Request;
    /// The requested scope is unknown, malformed or more than was granted.
    InvalidScope = "invalid_scope", 400, Request;
    /// RFC 7591 3.2.2: the software statement is invalid.
    InvalidSoftwareStatement = "invalid_software_statement", 400, Request;
    /// RFC 8707 2: the requested resource is unknown or unacceptable.
    InvalidTarget = "invalid_target", 400, Request;
    /// OpenID Connect Core 3.1.2.6: `prompt=none`, but nobody is logged in.
    LoginRequired = "login_required", 400, Request;
    /// RFC 9101 is not supported: no `request` parameter (OpenID Connect Core 3.1.2.6).
    RequestNotSupported = "request_not_supported", 400, Request;
    /// RFC 9101 is not supported: no `request_uri` parameter (OpenID Connect Core 3.1.2.6).
    RequestUriNotSupported = "request_uri_not_supported", 400, Request;
    /// The server cannot answer at the moment.
    TemporarilyUnavailable = "temporarily_unavailable", 503, Server;
    /// RFC 7591 3.2.2: the software statement is not approved here.
    UnapprovedSoftwareStatement = "unapproved_software_statement", 400, Request;
    /// The client may not use this grant or response type.
    UnauthorizedClient = "unauthorized_client", 400, Client;
    /// The grant type is not supported.
    UnsupportedGrantType = "unsupported_grant_type", 400, Request;
    /// The response type is not supported.
    UnsupportedResponseType = "unsupported_response_type", 400, Request;
}
