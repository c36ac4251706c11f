//! `OwnForm`: proof that a form was sent from one of our own pages, opened in this browser. Whatever a handler does for
//! a person requires one.

use crate::oauth::{Form, ScopeSet, ScopeToken};
use crate::web::FormKey;

use super::rejection::PageRejection;

/// A form as received. Its transaction and ticks can be read, so that the page can be shown again; everything else only
/// after its token was checked.
pub(super) struct UncheckedForm(Form);

/// A form whose token was checked. Made only by [`UncheckedForm::check`].
#[derive(Debug)]
pub(super) struct OwnForm(Form);

/// The fields of the form behind a one-time link.
pub(super) struct LinkForm<'f> {
    pub(super) link: &'f str,
    pub(super) password: &'f str,
    pub(super) repeat: &'f str,
}

impl UncheckedForm {
    /// Wraps a form that was not sent from another site.
    pub(super) const fn new(form: Form) -> Self {
        Self(form)
    }

    /// Returns the id of the transaction that it names.
    pub(super) fn transaction(&self) -> &str {
        self.0.get("t").unwrap_or_default()
    }

    /// Returns the scopes that are ticked.
    pub(super) fn ticked(&self) -> ScopeSet {
        self.0.all("scope").filter_map(|scope| ScopeToken::parse(scope).ok()).collect()
    }

    /// Checks the form's token against the browser's cookies and the form's purpose.
    pub(super) fn check(self, key: Option<&FormKey>, purpose: &str) -> Result<OwnForm, PageRejection> {
        let presented = self.0.get("form_token").unwrap_or_default();
        if key.is_some_and(|key| key.accepts(purpose, presented)) {
            Ok(OwnForm(self.0))
        } else {
            Err(PageRejection::StaleForm)
        }
    }

    /// Reads the form behind a one-time link. Only the owner knows the link, so it needs no other token.
    pub(super) fn by_link(&self) -> LinkForm<'_> {
        let text = |name| self.0.get(name).unwrap_or_default();
        LinkForm { link: text("link"), password: text("password"), repeat: text("repeat") }
    }
}

impl OwnForm {
    /// Returns a field; empty if it is absent.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_default()
    }

    /// Returns whether the form has a field.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }
}
