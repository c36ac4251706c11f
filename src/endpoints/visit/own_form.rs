//! `OwnForm`: proof that a form was sent from one of our own pages, opened in this browser. Whatever a handler does for
//! a person requires one, or the form of a one-time link.

use super::{FORM, Visit};
use crate::endpoints::rejection::{InputRejection, PageRejection};
use crate::issuer::{IssuerRequest, SetupOutcome, ShownGroup, Ticked};
use crate::oauth::{Form, ScopeSet, ScopeToken, Timestamp};
use crate::web::{FormKey, RequestBody, is_cross_site};

/// A form that was not sent from another site. Its transaction and ticks can be read, so that the page can be shown
/// again; everything else only after its token was checked. Made only by [`Visit::own_form`].
pub(in crate::endpoints) struct UncheckedForm(Form);

/// A form whose token was checked. Made only by [`UncheckedForm::check`].
#[derive(Debug)]
#[must_use = "the use cases that the form asks for are called by it"]
pub(in crate::endpoints) struct OwnForm(Form);

/// The form behind a one-time link. Only the owner knows the link, so it needs no other token. Made only by
/// [`UncheckedForm::by_link`].
pub(in crate::endpoints) struct LinkForm<'f>(&'f Form);

impl Visit<'_> {
    /// Reads the form of one of our own pages; its token must still be checked.
    pub(in crate::endpoints) async fn own_form(&self, body: RequestBody) -> Result<UncheckedForm, PageRejection> {
        // Checked before anything in the request is read or acted on.
        let own = self.config().own_origins();
        if is_cross_site(&self.head.headers, |origin| own.iter().any(|own| own == origin)) {
            return Err(PageRejection::CrossSite);
        }
        self.issuer.admit_form().await?;
        let bytes = self.body(body, FORM).await?;
        let form = Form::parse_page(&bytes).map_err(InputRejection::from)?;
        // Our pages send each field once except what is ticked: with two decisions there is no telling which was
        // meant.
        if form.first_repeated_but(&["scope", "group", "tool"]).is_some() {
            return Err(InputRejection::RepeatedField.into());
        }
        Ok(UncheckedForm(form))
    }
}

impl UncheckedForm {
    /// Returns the id of the transaction that it names.
    pub(in crate::endpoints) fn transaction(&self) -> &str {
        self.0.get("t").unwrap_or_default()
    }

    /// Returns the field that says which tools the page listed.
    pub(in crate::endpoints) fn listed(&self) -> &str {
        self.0.get("listed").unwrap_or_default()
    }

    /// Returns the field that says when the page was made.
    pub(in crate::endpoints) fn shown_at(&self) -> &str {
        self.0.get("shown_at").unwrap_or_default()
    }

    /// Returns what is ticked.
    pub(in crate::endpoints) fn ticked(&self) -> Ticked {
        let scopes = self.0.all("scope").filter_map(|scope| ScopeToken::parse(scope).ok()).collect();
        let indices = |name| self.0.all(name).filter_map(|index| index.parse().ok()).collect();
        let shown_at = Timestamp::from_millis(self.shown_at().parse().unwrap_or_default());
        Ticked::new(scopes, ShownGroup::parse_field(self.listed()), &indices("group"), &indices("tool"))
            .shown_at(shown_at)
    }

    /// Checks the form's token against the browser's cookies and the form's purpose.
    pub(in crate::endpoints) fn check(self, key: Option<&FormKey>, purpose: &str) -> Result<OwnForm, PageRejection> {
        let presented = self.0.get("form_token").unwrap_or_default();
        if key.is_some_and(|key| key.accepts(purpose, presented)) {
            Ok(OwnForm(self.0))
        } else {
            Err(PageRejection::StaleForm)
        }
    }

    /// Returns it as the form behind a one-time link.
    pub(in crate::endpoints) fn by_link(&self) -> LinkForm<'_> {
        LinkForm(&self.0)
    }
}

impl OwnForm {
    /// Returns the use cases that act for the person who sent the form.
    pub(in crate::endpoints) fn issuer<'v, 'r>(&self, visit: &'v Visit<'r>) -> &'v IssuerRequest<'r> {
        &visit.issuer
    }

    /// Returns a field; empty if it is absent.
    pub(in crate::endpoints) fn text(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_default()
    }

    /// Returns the scopes that are ticked.
    pub(in crate::endpoints) fn scopes(&self) -> ScopeSet {
        self.0.all("scope").filter_map(|scope| ScopeToken::parse(scope).ok()).collect()
    }

    /// Returns whether a field is there.
    pub(in crate::endpoints) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }
}

impl LinkForm<'_> {
    /// Returns the secret of the link.
    pub(in crate::endpoints) fn link(&self) -> &str {
        self.text("link")
    }

    /// Returns whether the repeated password is the same.
    pub(in crate::endpoints) fn repeats_password(&self) -> bool {
        self.text("repeat") == self.text("password")
    }

    /// Sets the password in the form.
    pub(in crate::endpoints) async fn redeem(&self, visit: &Visit<'_>) -> Result<SetupOutcome, PageRejection> {
        Ok(visit.issuer.redeem_setup(self.link(), self.text("password"), visit.session()?).await?)
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_default()
    }
}
