//! What the use cases return to the faces: the next step, the content of each page, the outcome of each action.

use std::fmt;

use super::account_view::FailedLogins;
use super::tools::{GroupView, Ticked, ToolsKnown};
use crate::oauth::{Client, ClientLocation, ClientSecret, LeftOut, Lifetime, ScopeSet, ScopeToken, Timestamp};
use crate::store::{SessionSecret, TransactionSecret};

/// What the browser does next.
pub enum Step {
    /// Show the login page of this transaction.
    LogIn,
    /// Show the consent page of this transaction.
    Consent,
    /// Show the account page.
    Account,
    /// Redirect to the client's redirect URI, complete with code or error.
    Redirect(ClientLocation),
}

impl fmt::Debug for Step {
    /// Leaves out the Location, which may carry a code.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LogIn => "LogIn",
            Self::Consent => "Consent",
            Self::Account => "Account",
            Self::Redirect(_) => "Redirect(..)",
        })
    }
}

/// A browser's two handles on a pending authorization: `id` travels in URLs and forms, `cookie` in
/// `__Host-<brand>_<issuer>_t_<id>`. Both are needed at every step.
pub struct Transaction {
    /// The id: the text of an `EphemeralSecret`.
    pub id: String,
    /// The cookie's value.
    pub cookie: TransactionSecret,
    /// How long the browser keeps the cookie.
    pub lifetime: Lifetime,
}

impl fmt::Debug for Transaction {
    /// Leaves out the id, which is half of what is needed to act on the transaction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transaction(..)")
    }
}

/// A started authorization.
#[derive(Debug)]
pub struct Started {
    /// What is next.
    pub step: Step,
    /// The transaction that was begun; `None` when the step is a redirect.
    pub transaction: Option<Transaction>,
}

/// What an HTTP request sends to act on a transaction; none of it verified.
#[derive(Clone, Default)]
pub struct Handles {
    /// The transaction id from the URL or form.
    pub transaction: String,
    /// The value of the transaction's cookie, if it was sent exactly once.
    pub cookie: Option<String>,
    /// The value of the session cookie, if it was sent exactly once.
    pub session: Option<String>,
}

impl fmt::Debug for Handles {
    /// Leaves out the values, which are credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handles(..)")
    }
}

/// What the login page shows.
#[derive(Debug, Clone)]
pub struct LoginView {
    /// The client's display name, or `None` for the account page.
    pub client_name: Option<String>,
    /// Whether the client gave a name, so that `client_name` is its own.
    pub client_has_name: bool,
    /// The upstream's display name.
    pub resource_name: Option<String>,
}

/// A scope on a consent page, as the configuration describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedScope {
    /// The scope's token, as in requests.
    pub name: ScopeToken,
    /// Its short title.
    pub title: String,
    /// What it allows; may be empty.
    pub description: String,
    /// Whether it, or a scope that it includes, can do harm, which the page marks.
    pub sensitive: bool,
    /// Whether the client asks for it.
    pub is_requested: bool,
    /// Whether the client holds it already, by itself or because it holds a scope that includes it.
    pub is_held: bool,
    /// Whether its box is ticked when the page is first shown.
    pub preticked: bool,
    /// The tools that stand below it.
    pub groups: Vec<GroupView>,
    /// How many tools that stand below other scopes it opens too.
    pub opens_elsewhere: usize,
    /// The scopes that it includes, directly or not, as far as the person may hold them: granted with it.
    pub includes: ScopeSet,
    /// Their titles, in the order of the configuration.
    pub included_titles: Vec<String>,
}

impl AskedScope {
    /// Returns the titles of the scopes that it includes, as the end of a sentence.
    #[must_use]
    pub fn included_in_words(&self) -> String {
        let quoted: Vec<_> = self.included_titles.iter().map(|title| format!("“{title}”")).collect();
        match quoted.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, first)) => format!("{} and {last}", first.join(", ")),
            None => String::new(),
        }
    }
}

/// What is known of a client, for one particular request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// An operator added it.
    Added,
    /// It is described by a verified publisher at this host, and the code goes to a site that the document names.
    Published(String),
    /// A program on the user's computer receives the code, and any program there can claim to be any client.
    OnThisComputer,
    /// A site that nobody has checked receives the code.
    Unverified,
}

/// What the consent page shows: the client, where the code goes, what would be allowed, and for which account.
#[derive(Debug, Clone)]
pub struct ConsentView {
    /// The client's self-asserted name, sanitized and truncated; general words when it has none.
    pub client_name: String,
    /// Whether the client has a name.
    pub client_has_name: bool,
    /// What is known of the client.
    pub identity: Identity,
    /// What its name could be mistaken for: a client that an operator added, this gateway, or a widely known
    /// application.
    pub looks_like: Option<String>,
    /// The host of the client-id URL, for metadata documents.
    pub client_host: Option<String>,
    /// The date of the copy that stands in for the client's document, if one does.
    pub copied: Option<Timestamp>,
    /// Where the code goes: a host, or the scheme of a private-use URI.
    pub redirect_host: String,
    /// Whether that is the scheme of a private-use URI: the code goes to the application that registered it.
    pub redirect_is_scheme: bool,
    /// Whether any program on the user's machine can receive the code, which the page warns about.
    pub redirect_is_local: bool,
    /// The upstream's display name.
    pub resource_name: String,
    /// The upstream's URL.
    pub resource: String,
    /// When the page was made. What the upstream's tools say of themselves later does not count for what is approved.
    pub shown_at: Timestamp,
    /// The scopes that the client asks for or holds already, in the order of the configuration; empty when it asks for
    /// everything.
    pub scopes: Vec<AskedScope>,
    /// What is known of the upstream's tools.
    pub tools: ToolsKnown,
    /// The account's login name.
    pub account: String,
    /// Failed logins that the account's owner should know of.
    pub failed_logins: Option<FailedLogins>,
    /// How long the access lasts at most.
    pub lifetime: Lifetime,
    /// How long an approval covers later requests for the same, if it is remembered.
    pub remembered: Option<Lifetime>,
}

impl ConsentView {
    /// Returns the host of the client's document, unless the page already names it as the publisher.
    #[must_use]
    pub fn described_at(&self) -> Option<&str> {
        self.client_host.as_deref().filter(|_| !matches!(self.identity, Identity::Published(_)))
    }
}

/// What the page shows to a person who may not give what is asked for.
#[derive(Debug, Clone)]
pub struct NoAccessView {
    /// The client's display name.
    pub client_name: String,
    /// Whether the client gave a name, so that `client_name` is its own.
    pub client_has_name: bool,
    /// The upstream's display name.
    pub resource_name: String,
    /// The account's login name.
    pub account: String,
}

/// What the page shows to a person whose client an operator has not let in.
#[derive(Debug, Clone)]
pub struct WaitingView {
    /// The client's display name.
    pub client_name: String,
    /// Whether the client gave a name.
    pub client_has_name: bool,
    /// The client's id, by which an operator finds it.
    pub client_id: String,
    /// The upstream's display name.
    pub resource_name: String,
    /// The account's login name.
    pub account: String,
    /// For how long the sign-in still waits; `None` if the client was rejected.
    pub rest: Option<Lifetime>,
}

/// What a transaction's page shows now.
#[derive(Debug, Clone)]
pub enum View {
    /// The login form.
    LogIn(LoginView),
    /// The consent form.
    Consent(Box<ConsentView>),
    /// The person who is signed in may hold no token of the kind that is asked for.
    NoAccess(NoAccessView),
    /// No operator has let the client in.
    Waiting(WaitingView),
    /// The session may see the account page: go there.
    Account,
}

/// The outcome of a login attempt.
#[derive(Debug)]
pub enum LoginOutcome {
    /// Logged in: set the session cookie and continue. The old session has ended (CN-05).
    LoggedIn {
        /// The new session cookie's value.
        session: SessionSecret,
        /// What is next.
        step: Step,
    },
    /// Unknown name, wrong password or disabled account: the same answer for all three (LI-04).
    Refused,
    /// Too many failures; try again after this long.
    Throttled(Lifetime),
}

/// What the user decided on the consent page.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Approved, with what was ticked on the page.
    Approve(Ticked),
    /// Denied, so that the client gets `access_denied`.
    Deny,
}

/// A successful registration (RFC 7591 3.2.1).
#[derive(Debug)]
pub struct Registered {
    /// The registered client.
    pub client: Client,
    /// Its secret, for a confidential one; shown this once.
    pub secret: Option<ClientSecret>,
    /// Metadata that was sent but not registered.
    pub left_out: Vec<LeftOut>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuer::AuthorizeRejection;
    use crate::oauth::RegisteredRedirects;

    #[test]
    fn lk_no_code_cookie_or_id_is_printed() {
        let registered = RegisteredRedirects::from_stored(vec!["https://client.example/cb".to_owned()]);
        let location = registered.verify(None).unwrap().location(&[("code", "s3cret")]);
        let handles = Handles {
            transaction: "s3cret".to_owned(),
            cookie: Some("s3cret".to_owned()),
            session: Some("s3cret".to_owned()),
        };
        let printed =
            format!("{handles:?} {:?} {:?}", Step::Redirect(location.clone()), AuthorizeRejection::Redirect(location));
        assert_eq!(printed, "Handles(..) Redirect(..) Redirect(..)");
    }
}
