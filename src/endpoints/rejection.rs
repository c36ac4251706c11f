//! Why an endpoint refuses: of what was sent to it, of a page, of a client. Which answer follows is said in `error_page` and
//! `client_error`.

use http::StatusCode;

use crate::issuer::{AuthorizeRejection, TokenRejection};
use crate::oauth::{ErrorCode, FormError, Rule};
use crate::web::BodyError;

/// Why a request could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputRejection {
    /// Not the media type that the endpoint takes.
    #[error("the content type is not the one that this endpoint takes")]
    ContentType,
    /// A compressed body.
    #[error("this endpoint takes no encoded content")]
    ContentEncoding,
    /// More than one Authorization field.
    #[error("the request has more than one Authorization header")]
    RepeatedAuthorization,
    /// One field of a page's form with two values.
    #[error("a field of the form came twice")]
    RepeatedField,
    /// The body itself.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// What is in it.
    #[error(transparent)]
    Form(#[from] FormError),
}

/// Why a browser gets an error page.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageRejection {
    /// There is nothing at this path.
    #[error("no such page")]
    NotFound,
    /// The post comes from a page that is not ours.
    #[error("posted from another site")]
    CrossSite,
    /// The form's token is missing, or for other cookies.
    #[error("the form token is missing or not this browser's")]
    StaleForm,
    /// The cookie of the transaction did not come: it has ended, or is another browser's.
    #[error("the transaction's cookie did not come along")]
    NoTransactionCookie,
    /// One cookie name with two values.
    #[error("a cookie came twice")]
    RepeatedCookie,
    /// An unknown, used or expired set-password link.
    #[error("the set-password link is unknown, used or expired")]
    DeadLink,
    /// The request could not be read.
    #[error(transparent)]
    Input(#[from] InputRejection),
    /// The use case refused.
    #[error("refused by the authorization server")]
    Issuer(AuthorizeRejection),
}

/// Why a client gets an OAuth error.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientRejection {
    /// The request could not be read; `ErrorCode` is the endpoint's word for that.
    #[error("{0}")]
    Input(InputRejection, ErrorCode),
    /// The use case refused.
    #[error("refused by the authorization server")]
    Issuer(TokenRejection),
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

impl InputRejection {
    /// Returns the rule for log and audit trail.
    const fn rule(&self) -> Rule {
        match self {
            Self::ContentType => Rule::ContentType,
            Self::ContentEncoding => Rule::ContentEncoding,
            Self::RepeatedAuthorization => Rule::RepeatedAuthorization,
            Self::Body(BodyError::TooLarge) => Rule::BodyTooLarge,
            Self::Body(BodyError::Slow) => Rule::BodyTooSlow,
            Self::Body(BodyError::Broken) => Rule::BodyBrokenOff,
            Self::Form(FormError::TooManyFields) => Rule::TooManyFields,
            Self::Form(FormError::Malformed) => Rule::MalformedForm,
            Self::RepeatedField => Rule::RepeatedField,
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::ContentType | Self::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Body(BodyError::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::Slow) => StatusCode::REQUEST_TIMEOUT,
            Self::RepeatedAuthorization
            | Self::RepeatedField
            | Self::Body(BodyError::Broken)
            | Self::Form(FormError::TooManyFields | FormError::Malformed) => StatusCode::BAD_REQUEST,
        }
    }
}

impl ClientRejection {
    /// Returns the rule that was broken, if no use case has recorded it.
    pub(super) const fn unrecorded(&self) -> Option<Rule> {
        match self {
            Self::Input(cause, _) => Some(cause.rule()),
            Self::Issuer(_) => None,
        }
    }
}

impl PageRejection {
    /// Returns the rule that was broken, if no use case has recorded it.
    pub(super) const fn unrecorded(&self) -> Option<Rule> {
        match self {
            Self::CrossSite => Some(Rule::CrossSite),
            Self::StaleForm => Some(Rule::FormToken),
            Self::NoTransactionCookie => Some(Rule::NoTransactionCookie),
            Self::RepeatedCookie => Some(Rule::RepeatedCookie),
            Self::DeadLink => Some(Rule::DeadLink),
            Self::Input(cause) => Some(cause.rule()),
            // Nothing was tried that was worth a row, or the use case wrote it.
            Self::NotFound | Self::Issuer(_) => None,
        }
    }
}
