//! Why an endpoint refuses a request: unreadable input, a page, a client. The tables of the last two, and the answers,
//! are in `error_page` and `client_error`.

use http::StatusCode;

use crate::issuer::{AuthorizeRejection, TokenRejection};
use crate::oauth::{ErrorCode, FormError, Rule};
use crate::web::BodyError;

/// Why a request could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputRejection {
    /// The media type is not the one that the endpoint accepts.
    #[error("this endpoint does not accept the content type")]
    ContentType,
    /// The body is compressed.
    #[error("this endpoint accepts no encoded content")]
    ContentEncoding,
    /// There is more than one `Authorization` field.
    #[error("the request has more than one Authorization header")]
    RepeatedAuthorization,
    /// A field of a page's form appears twice.
    #[error("a field of the form occurs twice")]
    RepeatedField,
    /// The body could not be received.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The content of the form could not be parsed.
    #[error(transparent)]
    Form(#[from] FormError),
}

/// Why a browser gets an error page.
#[derive(Debug)]
pub(super) enum PageRejection {
    /// There is nothing at this path.
    NotFound,
    /// The post comes from a page that is not ours.
    CrossSite,
    /// The form's token is missing, or was made for other cookies.
    StaleForm,
    /// The transaction's cookie was not sent: the transaction has ended, or is another browser's.
    NoTransactionCookie,
    /// A cookie was sent twice with different values.
    RepeatedCookie,
    /// The set-password link is unknown, used or expired.
    DeadLink,
    /// The request could not be read.
    Input(InputRejection),
    /// The use case refused.
    Issuer(AuthorizeRejection),
}

/// Why a client gets an OAuth error.
#[derive(Debug)]
pub(super) enum ClientRejection {
    /// The request could not be read; `ErrorCode` is what the endpoint answers then.
    Input(InputRejection, ErrorCode),
    /// The use case refused.
    Issuer(TokenRejection),
}

impl From<InputRejection> for PageRejection {
    fn from(rejection: InputRejection) -> Self {
        Self::Input(rejection)
    }
}

impl From<AuthorizeRejection> for PageRejection {
    fn from(rejection: AuthorizeRejection) -> Self {
        Self::Issuer(rejection)
    }
}

impl From<TokenRejection> for ClientRejection {
    fn from(rejection: TokenRejection) -> Self {
        Self::Issuer(rejection)
    }
}

/// One row of the table of [`InputRejection`]; each variant's text is where it is declared.
#[derive(Debug, Clone, Copy)]
struct InputRow {
    /// The rule that was broken, for log and audit trail.
    rule: Rule,
    /// The status of a page, and of an answer to a client.
    status: StatusCode,
    /// The status of an answer to a client whose error code is `invalid_request`.
    as_invalid_request: StatusCode,
}

impl InputRow {
    const fn new(rule: Rule, status: StatusCode) -> Self {
        Self { rule, status, as_invalid_request: status }
    }
}

impl InputRejection {
    /// Returns the reason's row in the table. A new reason needs a row here, and its rule one in `docs/errors.md`.
    const fn row(&self) -> InputRow {
        match self {
            // RFC 6749 5.2: a token request of another media type is `invalid_request` and so 400, not 415.
            Self::ContentType => InputRow {
                as_invalid_request: StatusCode::BAD_REQUEST,
                ..InputRow::new(Rule::ContentType, StatusCode::UNSUPPORTED_MEDIA_TYPE)
            },
            Self::ContentEncoding => InputRow::new(Rule::ContentEncoding, StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::RepeatedAuthorization => InputRow::new(Rule::RepeatedAuthorization, StatusCode::BAD_REQUEST),
            Self::RepeatedField => InputRow::new(Rule::RepeatedField, StatusCode::BAD_REQUEST),
            Self::Body(BodyError::TooLarge) => InputRow::new(Rule::BodyTooLarge, StatusCode::PAYLOAD_TOO_LARGE),
            Self::Body(BodyError::Slow) => InputRow::new(Rule::BodyTooSlow, StatusCode::REQUEST_TIMEOUT),
            Self::Body(BodyError::Broken) => InputRow::new(Rule::BodyBrokenOff, StatusCode::BAD_REQUEST),
            Self::Form(FormError::TooManyFields) => InputRow::new(Rule::TooManyFields, StatusCode::BAD_REQUEST),
            Self::Form(FormError::Malformed) => InputRow::new(Rule::MalformedForm, StatusCode::BAD_REQUEST),
        }
    }

    /// Returns the rule that was broken.
    pub(super) const fn rule(&self) -> Rule {
        self.row().rule
    }

    /// Returns the status of a page with this reason.
    pub(super) const fn status(&self) -> StatusCode {
        self.row().status
    }

    /// Returns the status of an answer to a client with this error code.
    pub(super) fn status_with(&self, code: ErrorCode) -> StatusCode {
        let row = self.row();
        if code == ErrorCode::InvalidRequest { row.as_invalid_request } else { row.status }
    }
}
