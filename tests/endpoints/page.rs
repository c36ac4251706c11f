//! A person who uses the endpoints: the content of a page in a browser, and how its form is sent.

use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body_util::Full;
use mcpgate::web::cookie::CookieScope;

use super::browser::{self, Form, Transport, forms};
use super::http::Reply;
use super::password::PASSWORD;
use super::site::{ISSUER, NAME, Site};

pub(crate) type Browser<'a> = browser::Browser<&'a Site>;

impl Transport for &Site {
    async fn carry(&mut self, mut request: Request<Full<Bytes>>) -> Reply {
        request.headers_mut().insert("host", HeaderValue::from_static("gw.example"));
        self.send(request).await
    }
}

impl<'a> Browser<'a> {
    pub(crate) fn new(site: &'a Site) -> Self {
        Self::by(site, ISSUER.to_owned())
    }

    pub(crate) fn session(&self) -> Option<&String> {
        self.cookies.get(&cookie("s"))
    }

    /// Opens an authorization URL and follows it to the page that it leads to.
    pub(crate) async fn begin(&mut self, target: &str) -> Page {
        let answer = self.get(target).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let at = answer.header("location").to_owned();
        assert!(at.starts_with("/login?t=") || at.starts_with("/consent?t="), "{at}");
        self.page(&at).await
    }

    pub(crate) async fn page(&mut self, at: &str) -> Page {
        let answer = self.get(at).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Page::new(at, answer.text())
    }

    /// Logs in from a login page and returns the page that follows.
    pub(crate) async fn log_in(&mut self, login: &Page) -> Page {
        let answer = self.post("/login", &login.form(&[("username", NAME), ("password", PASSWORD)])).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        self.page(answer.header("location")).await
    }
}

/// The full name of one of our cookies.
pub(crate) fn cookie(name: &str) -> String {
    CookieScope::new("mcp", ISSUER).name(name)
}

pub(crate) struct Page {
    pub(crate) at: String,
    pub(crate) html: String,
    forms: Vec<Form>,
}

impl Page {
    pub(crate) fn new(at: &str, html: String) -> Self {
        Self { at: at.to_owned(), forms: forms(&html), html }
    }

    /// The transaction's id.
    pub(crate) fn transaction(&self) -> &str {
        self.at.split_once("t=").unwrap().1
    }

    /// The value of the first field of this name.
    pub(crate) fn hidden(&self, name: &str) -> &str {
        self.forms.iter().find_map(|form| form.get(name)).unwrap_or_else(|| panic!("{name} in {self}"))
    }

    /// The scopes whose boxes are ticked.
    pub(crate) fn ticked(&self) -> Vec<&str> {
        self.forms.iter().flat_map(|form| form.all("scope")).collect()
    }

    /// The form with its ticked boxes and the approval.
    pub(crate) fn approval(&self) -> Vec<(&str, &str)> {
        let ticked = self.ticked().into_iter().map(|scope| ("scope", scope));
        self.form(&[("decision", "approve")]).into_iter().chain(ticked).collect()
    }

    /// The form's hidden fields, and these.
    pub(crate) fn form<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let own = [("t", self.transaction()), ("form_token", self.hidden("form_token"))];
        let shown_at = self.forms.iter().find_map(|form| form.get("shown_at")).map(|at| ("shown_at", at));
        own.into_iter().chain(shown_at).chain(more.iter().copied()).collect()
    }
}

impl std::fmt::Display for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.at, self.html)
    }
}
