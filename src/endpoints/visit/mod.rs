//! `Visit`: one request to an endpoint, and how its cookies, query and form are read.
//!
//! `without_form.rs` has the use cases that any request may call. All others act for a person and need a form of one of
//! our own pages (`own_form.rs`): a handler cannot reach them without it.

use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, REFERER};
use http::{HeaderMap, request::Parts};

use crate::config::Config;
use crate::issuer::{Face, Handles, IssuerRequest, SessionSecret, Transaction};
use crate::oauth::{Form, ReceivedValue, Rule};
use crate::web::cookie::{self, CookieScope, ReceivedCookie};
use crate::web::{FormKey, Pace, RequestBody, read_bounded};

use super::rejection::{InputRejection, PageRejection};

pub(super) mod own_form;
mod without_form;

/// Separates the secret and the id in a transaction's cookie; neither contains it.
const ID_MARK: char = '.';

/// How many characters of a transaction's id its cookie name contains: enough (62^16) that no two transactions of a
/// browser collide.
const TAG_LENGTH: usize = 16;
/// How many transaction cookies a browser keeps: more sign-ins than anybody has open at once; the cookies take about 2
/// KB.
const TRANSACTIONS_KEPT: usize = 10;

const FORM: &str = "application/x-www-form-urlencoded";

/// One request: its head, and the issuer's request with caller and configuration.
pub(super) struct Visit<'a> {
    /// Private, so that handlers cannot reach it.
    issuer: IssuerRequest<'a>,
    pub(super) head: Parts,
}

impl<'a> Visit<'a> {
    pub(super) fn new(issuer: IssuerRequest<'a>, head: Parts) -> Self {
        Self { issuer, head }
    }

    /// Returns the configuration under which the request is answered.
    pub(super) fn config(&self) -> &Arc<Config> {
        self.issuer.config()
    }

    /// Records that a face refused the request, with the field that broke the rule, if one did.
    pub(super) async fn record(&self, face: Face, rule: Rule) {
        let told_by = [
            (Rule::ContentType, "Content-Type"),
            (Rule::ContentEncoding, "Content-Encoding"),
            (Rule::CrossSite, "Origin"),
        ];
        let came = told_by.iter().find(|(of, _)| *of == rule).map(|(_, name)| {
            let values = self.head.headers.get_all(*name).iter();
            let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            ReceivedValue::new(name, &values.join(", "))
        });
        self.issuer.record_refused_by(face, rule, came.as_ref()).await;
    }

    /// Parses the query string.
    pub(super) fn query(&self) -> Result<Form, InputRejection> {
        Ok(Form::parse(self.head.uri.query().unwrap_or_default().as_bytes())?)
    }

    /// Reads a urlencoded body; no other media type is accepted.
    pub(super) async fn form(&self, body: RequestBody) -> Result<Form, InputRejection> {
        let bytes = self.body(body, FORM).await?;
        Ok(Form::parse(&bytes)?)
    }

    /// Reads the query of one of our own pages that read the store; charges the budget of pages and forms first.
    pub(super) async fn own_query(&self) -> Result<Form, PageRejection> {
        self.issuer.admit_form().await?;
        Ok(self.query()?)
    }

    /// Reads an uncompressed body of this media type, up to the size limit.
    pub(super) async fn body(&self, body: RequestBody, media_type: &str) -> Result<bytes::Bytes, InputRejection> {
        let headers = &self.head.headers;
        if !is_media_type(headers, media_type) {
            return Err(InputRejection::ContentType);
        }
        // Nobody compresses a form; a decoder would only let decompression bombs in.
        if headers.get_all(CONTENT_ENCODING).iter().any(|coding| coding != "identity") {
            return Err(InputRejection::ContentEncoding);
        }
        let pace = Pace { total: self.config().timeouts.oauth_body, grace: Pace::CLIENTS_GRACE };
        Ok(read_bounded(body, self.config().limits.oauth_body, pace).await?)
    }

    /// Reads the `Authorization` field; `Err` when there is more than one.
    pub(super) fn authorization(&self) -> Result<Option<&[u8]>, InputRejection> {
        let mut fields = self.head.headers.get_all(http::header::AUTHORIZATION).iter();
        match (fields.next(), fields.next()) {
            (field, None) => Ok(field.map(http::HeaderValue::as_bytes)),
            (_, Some(_)) => Err(InputRejection::RepeatedAuthorization),
        }
    }

    /// Returns the `Referer`, if there is exactly one and the request is a top-level navigation: what a page loads into
    /// a frame or by script was not opened by the user (Fetch metadata 2.1, 2.2).
    pub(super) fn referer(&self) -> Option<&str> {
        let headers = &self.head.headers;
        let is_or_absent = |name: &str, wanted: &str| headers.get_all(name).iter().all(|value| value == wanted);
        let opens_a_page = is_or_absent("sec-fetch-dest", "document") && is_or_absent("sec-fetch-mode", "navigate");
        let mut fields = headers.get_all(REFERER).iter();
        let (Some(field), None) = (fields.next(), fields.next()) else { return None };
        field.to_str().ok().filter(|_| opens_a_page)
    }

    /// Returns the value of the session cookie, which the issuer has yet to check.
    pub(super) fn session(&self) -> Result<Option<&str>, PageRejection> {
        self.cookie(&self.session_cookie_name())
    }

    /// Collects the handles that the request sends for the transaction with this id.
    pub(super) fn handles(&self, id: &str) -> Result<Handles, PageRejection> {
        let cookie = match self.transaction_cookie_name(id) {
            Some(name) => self.cookie(&name)?,
            None => None,
        };
        Ok(Handles {
            transaction: id.to_owned(),
            cookie: cookie.map(|value| value.split_once(ID_MARK).map_or(value, |(secret, _)| secret).to_owned()),
            session: self.session()?.map(str::to_owned),
        })
    }

    /// Returns the handles of the transaction that this browser began last, with a session that it has just been given.
    pub(super) fn newest_transaction(&self, session: &SessionSecret) -> Result<Option<Handles>, PageRejection> {
        let prefix = self.transaction_cookie_prefix();
        let Some(name) = cookie::all_but_newest(&self.head.headers, &prefix, 0).pop() else { return Ok(None) };
        let both = self.cookie(name)?.and_then(|value| value.split_once(ID_MARK));
        Ok(both.map(|(secret, id)| Handles {
            transaction: id.to_owned(),
            cookie: Some(secret.to_owned()),
            session: Some(session.reveal().to_owned()),
        }))
    }

    /// Sets the transaction's cookie. Each transaction has its own, so that tabs do not interfere.
    pub(super) fn set_transaction_cookie(&self, headers: &mut HeaderMap, transaction: &Transaction) {
        if let Some(name) = self.transaction_cookie_name(&transaction.id) {
            // It lives no longer than the transaction, so that cookies do not pile up. The id is included for the one
            // page that does not have it in its URL, that of a set-password link. The id alone is useless: the secret
            // is only here.
            let value = format!("{}{ID_MARK}{}", transaction.cookie.reveal(), transaction.id);
            self.cookies().set(headers, &name, &value, Some(transaction.lifetime.as_secs()));
        }
    }

    /// Expires the cookies of all but the newest transactions: abandoned sign-ins, or ones that some page started in
    /// the user's name, must not pile up until the head of every request is too large.
    pub(super) fn expire_old_transactions(&self, headers: &mut HeaderMap) {
        let prefix = self.transaction_cookie_prefix();
        for name in cookie::all_but_newest(&self.head.headers, &prefix, TRANSACTIONS_KEPT) {
            let tag = name.strip_prefix(&prefix).unwrap_or_default();
            // Only names that we may have set, because the name goes into a header of the answer.
            if tag.len() == TAG_LENGTH && tag.bytes().all(|b| b.is_ascii_alphanumeric()) {
                self.cookies().expire(headers, name);
            }
        }
    }

    /// Expires the transaction's cookie when it has ended.
    pub(super) fn expire_transaction_cookie(&self, headers: &mut HeaderMap, id: &str) {
        if let Some(name) = self.transaction_cookie_name(id) {
            self.cookies().expire(headers, &name);
        }
    }

    /// Sets the session cookie.
    pub(super) fn set_session_cookie(&self, headers: &mut HeaderMap, value: &SessionSecret) {
        self.cookies().set(headers, &self.session_cookie_name(), value.reveal(), None);
    }

    /// Expires the session cookie.
    pub(super) fn expire_session_cookie(&self, headers: &mut HeaderMap) {
        self.cookies().expire(headers, &self.session_cookie_name());
    }

    fn cookie(&self, name: &str) -> Result<Option<&str>, PageRejection> {
        match cookie::read(&self.head.headers, name) {
            ReceivedCookie::Absent => Ok(None),
            ReceivedCookie::Once(value) => Ok(Some(value).filter(|v| !v.is_empty())),
            ReceivedCookie::Repeated => Err(PageRejection::RepeatedCookie),
        }
    }

    fn cookies(&self) -> CookieScope {
        CookieScope::new(self.config().brand.as_str(), &self.config().public_url)
    }

    fn session_cookie_name(&self) -> String {
        self.cookies().name("s")
    }

    /// Returns the name of a transaction's cookie. The id comes from the URL, so only characters that are allowed in a
    /// cookie name are used.
    fn transaction_cookie_name(&self, id: &str) -> Option<String> {
        let tag = id.rsplit('_').next().and_then(|random| random.get(..TAG_LENGTH))?;
        tag.bytes().all(|b| b.is_ascii_alphanumeric()).then(|| self.transaction_cookie_prefix() + tag)
    }

    fn transaction_cookie_prefix(&self) -> String {
        self.cookies().name("t_")
    }
}

/// Returns the key for the tokens of a transaction's forms: before login from its cookie alone, after it (see
/// `consent_key`) from the session too.
pub(super) fn login_key(handles: &Handles) -> Option<FormKey> {
    FormKey::new(&[handles.cookie.as_deref()?])
}

/// Like `login_key`, after login: the session is part of the key.
pub(super) fn consent_key(handles: &Handles) -> Option<FormKey> {
    FormKey::new(&[handles.cookie.as_deref()?, handles.session.as_deref()?])
}

fn is_media_type(headers: &HeaderMap, wanted: &str) -> bool {
    let mut fields = headers.get_all(CONTENT_TYPE).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return false };
    let essence = field.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(wanted)
}
