//! The pages as templates, and how one becomes a response. askama escapes every value; there is no script.

use askama::Template;
use http::header::{CONTENT_SECURITY_POLICY, HeaderName};
use http::{HeaderValue, StatusCode};

use crate::config::{Config, PageLinks};
use crate::issuer::{AccountView, AskedScope, ConsentView, Identity};
use crate::oauth::{Lifetime, ScopeSet};
use crate::web::{Response, reply};

use super::assets;

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// What every page shows around its content.
pub(super) struct Frame<'a> {
    product: &'a str,
    style: &'static str,
    logo: String,
    logo_type: &'static str,
    /// Whether the logo is the operator's, of whatever width.
    logo_is_own: bool,
    links: &'a PageLinks,
}

impl<'a> Frame<'a> {
    /// Takes from the configuration whose pages these are.
    pub(super) fn new(config: &'a Config) -> Self {
        let (logo, logo_type) = assets::logo(config);
        Self {
            product: &config.login.product_name,
            style: &assets::STYLE.path,
            logo,
            logo_type,
            logo_is_own: config.login.logo.is_some(),
            links: &config.login.links,
        }
    }

    /// Returns the pages of the operator that every page links to, each with its words.
    fn footer(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let PageLinks { support, privacy, terms } = self.links;
        let links = [(support, "Support"), (privacy, "Privacy"), (terms, "Terms of use")];
        links.into_iter().filter_map(|(url, words)| Some((url.as_deref()?, words)))
    }
}

/// Where a page's forms lead in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FormTarget {
    /// To other pages of ours.
    Home,
    /// By a redirect to the client, perhaps.
    ToClient,
}

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

/// How many scopes without a mark are shown at once, so that the buttons are near on a small screen.
const SCOPES_SHOWN: usize = 4;

/// Scopes that stand together on the consent page.
struct ScopeGroup<'a> {
    scopes: Vec<(usize, &'a AskedScope)>,
    /// Whether they are behind a line that opens them.
    is_folded: bool,
    is_open: bool,
    titles: String,
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
    pub(super) ticked: Option<&'a ScopeSet>,
    pub(super) lifetime: String,
    pub(super) remembered: Option<String>,
    pub(super) problem: Option<&'a str>,
}

impl<'a> ConsentPage<'a> {
    /// Returns whether the box of a scope is ticked: as the reader left it, and before that as the client asks.
    fn is_ticked(&self, scope: &AskedScope) -> bool {
        self.ticked.map_or(scope.preticked, |ticked| ticked.contains(scope.name.as_str()))
    }

    /// Returns whether a scope is shown that can do harm.
    fn has_sensitive(&self) -> bool {
        self.view.scopes.iter().any(|scope| scope.sensitive)
    }

    /// Says how many scopes there are: people who see only the buttons must know that there is more to read.
    fn count(&self) -> String {
        let (all, sensitive) =
            (self.view.scopes.len(), self.view.scopes.iter().filter(|scope| scope.sensitive).count());
        let all = format!("{all} permission{}", if all == 1 { "" } else { "s" });
        if sensitive == 0 { all } else { format!("{all}, {sensitive} sensitive") }
    }

    /// Returns the scopes in the order in which they are shown, each with its place in the whole. Those that can do harm come
    /// first; of many others the last are folded.
    fn groups(&self) -> Vec<ScopeGroup<'a>> {
        let (sensitive, plain): (Vec<_>, Vec<_>) = self.view.scopes.iter().partition(|scope| scope.sensitive);
        // Nothing is gained by folding a single one.
        let open = if plain.len() > SCOPES_SHOWN + 1 { SCOPES_SHOWN } else { plain.len() };
        let (shown, folded) = plain.split_at_checked(open).unwrap_or_default();
        let groups = [(sensitive.as_slice(), false), (shown, false), (folded, true)];
        let mut place = 0;
        let mut numbered = |scopes: &[&'a AskedScope]| {
            scopes
                .iter()
                .map(|scope| {
                    place += 1;
                    (place, *scope)
                })
                .collect()
        };
        groups
            .into_iter()
            .filter(|(scopes, _)| !scopes.is_empty())
            .map(|(scopes, is_folded)| ScopeGroup {
                scopes: numbered(scopes),
                is_folded,
                // Whoever has ticked or unticked something sees all of it.
                is_open: self.ticked.is_some(),
                titles: scopes.iter().map(|scope| scope.title.as_str()).collect::<Vec<_>>().join(", "),
            })
            .collect()
    }
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

/// A page that says one thing and offers one way on.
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
    pub(super) link: Option<(&'a str, &'a str)>,
    pub(super) reference: Option<&'a str>,
}

/// Makes a response of a page.
pub(super) fn respond(status: StatusCode, page: &impl Template, leads: FormTarget) -> Response {
    let Ok(html) = page.render() else {
        tracing::error!("a page could not be rendered");
        return reply::empty(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let mut response = reply::uncached(status, "text/html; charset=utf-8", html);
    let headers = response.headers_mut();
    match leads {
        FormTarget::Home => {
            headers.insert(
                CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(
                    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                     frame-ancestors 'none'",
                ),
            );
            headers.insert(CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin"));
        }
        // No form-action: Chromium and Safari hold it against every hop of the redirect that follows the post. With
        // 'self' no answer would reach a client, and with the redirect's own origin none that hops on to an app's
        // scheme from there. No form of these pages names another target than ours, and nothing of a client's goes
        // into them unescaped.
        // No Cross-Origin-Opener-Policy: a client that opened us in a pop-up waits for its window to come back.
        FormTarget::ToClient => {
            headers.insert(
                CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(
                    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'",
                ),
            );
        }
    }
    response
}

/// Writes a span of time in words, rounded up: what is promised as the most must not be less than the truth.
pub(super) fn in_words(lifetime: Lifetime) -> String {
    let seconds = lifetime.as_millis().div_ceil(1_000);
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds.div_ceil(60), "minute"),
        3_600..86_400 => (seconds.div_ceil(3_600), "hour"),
        _ => (seconds.div_ceil(86_400), "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::in_words;
    use crate::oauth::Lifetime;

    #[test]
    fn spans_are_said_in_whole_units_never_too_few() {
        for (seconds, words) in [
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (61, "2 minutes"),
            (3_600, "1 hour"),
            (5_400, "2 hours"),
            (86_400, "1 day"),
            (7_776_000, "90 days"),
        ] {
            assert_eq!(in_words(Lifetime::from_secs(seconds)), words);
        }
        assert_eq!(in_words(Lifetime::from_millis(1)), "1 second");
    }
}
