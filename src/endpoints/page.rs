//! The page templates. askama escapes every value; there are no scripts.

use askama::Template;

use super::tool_boxes::{self, GroupBox};
use crate::issuer::{
    AccountView, AskedScope, ConsentView, Identity, NoAccessView, Ticked, ToolsKnown, UsableTools, WaitingView,
};
use crate::web::pages::Frame;

/// The login form.
#[derive(Template)]
#[template(path = "login.html", config = "src/endpoints/askama.toml")]
pub(super) struct LoginPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) transaction: &'a str,
    pub(super) form_token: &'a str,
    pub(super) client_name: Option<&'a str>,
    pub(super) client_has_name: bool,
    pub(super) resource_name: Option<&'a str>,
    pub(super) username: &'a str,
    pub(super) problem: Option<&'a str>,
}

/// How many harmless scopes are shown unfolded, so that the buttons stay near on a small screen.
const SCOPES_SHOWN: usize = 4;

/// A group of scopes on the consent page.
struct ScopeGroup<'a> {
    scopes: Vec<(usize, &'a AskedScope)>,
    /// Whether the group is folded until it is opened.
    is_folded: bool,
    is_open: bool,
    titles: String,
}

/// The scopes that are new, or those that the client holds already.
struct ScopeSection<'a> {
    is_held: bool,
    groups: Vec<ScopeGroup<'a>>,
}

/// The consent form.
#[derive(Template)]
#[template(path = "consent.html", config = "src/endpoints/askama.toml")]
pub(super) struct ConsentPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) transaction: &'a str,
    pub(super) form_token: &'a str,
    pub(super) switch_token: &'a str,
    pub(super) view: &'a ConsentView,
    /// What the reader has ticked so far; `None` when the page is shown for the first time.
    pub(super) ticked: Option<&'a Ticked>,
    /// The field that says which tools the page lists; empty if none.
    pub(super) listed: &'a str,
    pub(super) lifetime: String,
    pub(super) remembered: Option<String>,
    pub(super) problem: Option<&'a str>,
}

impl<'a> ConsentPage<'a> {
    /// Returns whether a scope's box is ticked: as the user left it, or initially as the client asks.
    fn is_ticked(&self, scope: &AskedScope) -> bool {
        self.ticked.map_or(scope.preticked, |ticked| ticked.scopes.contains(scope.name.as_str()))
    }

    /// Returns the boxes of the tools below a scope.
    fn tools(&self, scope: &'a AskedScope) -> Vec<GroupBox<'a>> {
        tool_boxes::below(self.view, scope, self.ticked)
    }

    /// Returns whether the page lists tools.
    fn lists_tools(&self) -> bool {
        !self.listed.is_empty()
    }

    /// Returns whether the page shows a scope that can do harm.
    fn has_sensitive(&self) -> bool {
        self.view.scopes.iter().any(|scope| scope.sensitive)
    }

    /// Returns the sentence with the number of scopes that are asked for: people who see only the buttons must know
    /// that there is more to read.
    fn count(&self) -> String {
        let asked: Vec<_> = self.view.scopes.iter().filter(|scope| scope.is_requested).collect();
        let count = |is: fn(&AskedScope) -> bool| asked.iter().filter(|scope| is(scope)).count();
        let all = format!("{} permission{}", asked.len(), if asked.len() == 1 { "" } else { "s" });
        let new = Some(count(|scope| !scope.is_held)).filter(|new| *new > 0 && self.is_step_up());
        let new = new.map(|new| format!(", {new} new")).unwrap_or_default();
        let sensitive = count(|scope| scope.sensitive);
        let sensitive = if sensitive == 0 { String::new() } else { format!(", {sensitive} sensitive") };
        all + &new + &sensitive
    }

    /// Returns whether the client holds some of the scopes already.
    fn is_step_up(&self) -> bool {
        self.view.scopes.iter().any(|scope| scope.is_held)
    }

    /// Returns the scopes in display order, what is new before what the client holds already.
    fn sections(&self) -> Vec<ScopeSection<'a>> {
        let mut place = 0;
        let mut section = |is_held| {
            let scopes: Vec<_> = self.view.scopes.iter().filter(|scope| scope.is_held == is_held).collect();
            ScopeSection { is_held, groups: self.groups(&scopes, &mut place) }
        };
        let sections = [section(false), section(true)];
        sections.into_iter().filter(|section| !section.groups.is_empty()).collect()
    }

    /// Returns scopes in display order, each with its place among all. Those that can do harm come first; if there are
    /// many others, the last ones are folded.
    fn groups(&self, scopes: &[&'a AskedScope], place: &mut usize) -> Vec<ScopeGroup<'a>> {
        let (sensitive, plain): (Vec<_>, Vec<_>) = scopes.iter().copied().partition(|scope| scope.sensitive);
        // Folding a single one would save no space.
        let open = if plain.len() > SCOPES_SHOWN + 1 { SCOPES_SHOWN } else { plain.len() };
        let (shown, folded) = plain.split_at_checked(open).unwrap_or_default();
        let groups = [(sensitive.as_slice(), false), (shown, false), (folded, true)];
        let mut numbered = |scopes: &[&'a AskedScope]| {
            scopes
                .iter()
                .map(|scope| {
                    *place += 1;
                    (*place, *scope)
                })
                .collect()
        };
        groups
            .into_iter()
            .filter(|(scopes, _)| !scopes.is_empty())
            .map(|(scopes, is_folded)| ScopeGroup {
                scopes: numbered(scopes),
                is_folded,
                // A user who has changed the ticks sees all of them.
                is_open: self.ticked.is_some(),
                titles: scopes.iter().map(|scope| scope.title.as_str()).collect::<Vec<_>>().join(", "),
            })
            .collect()
    }
}

/// What a person sees whose account may not give what is asked for.
#[derive(Template)]
#[template(path = "no_access.html", config = "src/endpoints/askama.toml")]
pub(super) struct NoAccessPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) transaction: &'a str,
    pub(super) form_token: &'a str,
    pub(super) switch_token: &'a str,
    pub(super) view: &'a NoAccessView,
}

/// What a person sees whose client no operator has let in.
#[derive(Template)]
#[template(path = "waiting.html", config = "src/endpoints/askama.toml")]
pub(super) struct WaitingPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) transaction: &'a str,
    pub(super) form_token: &'a str,
    pub(super) switch_token: &'a str,
    pub(super) view: &'a WaitingView,
    /// For how long the sign-in still waits, in words; `None` if there is nothing to wait for.
    pub(super) rest: Option<String>,
    /// After how many seconds the page reloads itself.
    pub(super) every: u32,
    /// Whether its reader wants it to stay as it is.
    pub(super) is_still: bool,
}

/// The account with its connected applications.
#[derive(Template)]
#[template(path = "account.html", config = "src/endpoints/askama.toml")]
pub(super) struct AccountPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) form_token: &'a str,
    pub(super) view: &'a AccountView,
    pub(super) minimum: usize,
    pub(super) notice: Option<&'a str>,
    /// Why the password was not changed.
    pub(super) problem: Option<&'a str>,
    /// How long a new API key may live: the word of each choice, and its label.
    pub(super) lifetimes: Vec<(&'static str, String)>,
    /// For which upstream no API key was made, and why.
    pub(super) key_problem: Option<(&'a str, &'a str)>,
}

impl AccountPage<'_> {
    /// Returns why no API key was made for an upstream, if one was wanted.
    fn problem_at(&self, upstream: &str) -> Option<&str> {
        self.key_problem.filter(|(of, _)| *of == upstream).map(|(_, why)| why)
    }
}

/// An API key that was just made.
#[derive(Template)]
#[template(path = "key_made.html", config = "src/endpoints/askama.toml")]
pub(super) struct KeyMadePage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) name: &'a str,
    pub(super) key: &'a str,
    /// The day on which it ends; `None` if it does not.
    pub(super) until: Option<String>,
}

/// The form behind a set-password link.
#[derive(Template)]
#[template(path = "setup.html", config = "src/endpoints/askama.toml")]
pub(super) struct SetupPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) link: &'a str,
    pub(super) account: &'a str,
    pub(super) minimum: usize,
    pub(super) problem: Option<&'a str>,
}

/// A page with one message and one link.
#[derive(Template)]
#[template(path = "welcome.html", config = "src/endpoints/askama.toml")]
pub(super) struct WelcomePage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) heading: &'a str,
    pub(super) text: &'a str,
    pub(super) action: &'a str,
}

/// A refusal: what happened, and what to do now.
#[derive(Template)]
#[template(path = "error.html", config = "src/endpoints/askama.toml")]
pub(super) struct ErrorPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) heading: &'a str,
    pub(super) text: &'a str,
    pub(super) remedy: &'a str,
    pub(super) code: Option<&'a str>,
    /// The first one is what the page suggests.
    pub(super) links: Vec<(&'a str, &'a str)>,
    pub(super) reference: Option<&'a str>,
}
