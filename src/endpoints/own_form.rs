//! `OwnForm`: the proof that a form was sent from one of our own pages, which this browser opened. What a handler does for
//! a person, it does with one of these.

use crate::oauth::{Form, ScopeSet, ScopeToken};
use crate::web::FormKey;

use super::rejection::PageRejection;

/// A form as it came. It says which transaction it is of and what was ticked, so that a page can be shown again; all else
/// is behind its token.
pub(super) struct UncheckedForm(Form);

/// A form whose token was checked. Made only by [`UncheckedForm::check`].
#[derive(Debug)]
pub(super) struct OwnForm(Form);

/// What the form of a one-time link says.
pub(super) struct LinkForm<'f> {
    pub(super) link: &'f str,
    pub(super) password: &'f str,
    pub(super) repeat: &'f str,
}

impl UncheckedForm {
    /// Takes a form that no other site has sent.
    pub(super) const fn new(form: Form) -> Self {
        Self(form)
    }

    /// Returns the id of the transaction that it names.
    pub(super) fn transaction(&self) -> &str {
        self.0.get("t").unwrap_or_default()
    }

    /// Returns which permissions are ticked.
    pub(super) fn ticked(&self) -> ScopeSet {
        self.0.all("scope").filter_map(|scope| ScopeToken::parse(scope).ok()).collect()
    }

    /// Checks its token against the cookies that the page was made for, and against what it is for.
    pub(super) fn check(self, key: Option<&FormKey>, purpose: &str) -> Result<OwnForm, PageRejection> {
        let presented = self.0.get("form_token").unwrap_or_default();
        if key.is_some_and(|key| key.accepts(purpose, presented)) {
            Ok(OwnForm(self.0))
        } else {
            Err(PageRejection::StaleForm)
        }
    }

    /// Takes the form of a one-time link, which is itself what only its owner knows: it needs no other token.
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

    /// Returns whether a field is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }
}
