//! `Browser`: keeps cookies as a browser does, reads forms from pages, and follows no redirect by itself.

use mcpgate::web::cookie::CookieScope;

use super::http::{Jar, Reply, encoded};
use super::site::{ISSUER, NAME, PASSWORD, Site, request};

pub(crate) struct Browser<'a> {
    site: &'a Site,
    pub(crate) cookies: Jar,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(site: &'a Site) -> Self {
        Self { site, cookies: Jar::default() }
    }

    pub(crate) async fn get(&mut self, target: &str) -> Reply {
        self.send("GET", target, &[("sec-fetch-site", "cross-site")], "").await
    }

    /// Sends a form of one of our own pages: under `no-referrer` a browser says `Origin: null` then.
    pub(crate) async fn post(&mut self, path: &str, pairs: &[(&str, &str)]) -> Reply {
        self.post_from(path, pairs, &[("origin", "null"), ("sec-fetch-site", "same-origin")]).await
    }

    pub(crate) async fn post_from(&mut self, path: &str, pairs: &[(&str, &str)], from: &[(&str, &str)]) -> Reply {
        let fields = [&[("content-type", "application/x-www-form-urlencoded")], from].concat();
        self.send("POST", path, &fields, &encoded(pairs)).await
    }

    async fn send(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Reply {
        let mut request = request(method, target, fields, body.to_owned());
        self.cookies.add_to(&mut request);
        let reply = self.site.send(request).await;
        self.cookies.keep(&reply);
        reply
    }

    pub(crate) fn session(&self) -> Option<&String> {
        self.cookies.get(&cookie("s"))
    }

    /// Opens an authorization URL and follows it to the page of ours that it leads to.
    pub(crate) async fn open(&mut self, target: &str) -> Page {
        let answer = self.get(target).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let at = answer.header("location").to_owned();
        assert!(at.starts_with("/login?t=") || at.starts_with("/consent?t="), "{at}");
        self.page(&at).await
    }

    pub(crate) async fn page(&mut self, at: &str) -> Page {
        let answer = self.get(at).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Page { at: at.to_owned(), html: answer.text() }
    }

    /// Logs in from a login page; the page that follows.
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
}

impl Page {
    /// The transaction's id.
    pub(crate) fn transaction(&self) -> &str {
        self.at.split_once("t=").unwrap().1
    }

    /// The value of the first hidden field of this name.
    pub(crate) fn hidden(&self, name: &str) -> &str {
        let at = self.html.find(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{name} in {self}"));
        self.html[at..].split('"').nth(3).unwrap()
    }

    /// The scopes whose boxes are ticked.
    pub(crate) fn ticked(&self) -> Vec<&str> {
        let boxes =
            self.html.split("<input type=\"checkbox\" name=\"scope\"").skip(1).map(|rest| rest.split('>').next());
        let ticked = boxes.flatten().filter(|tag| tag.contains(" checked"));
        ticked.map(|tag| tag.split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap()).collect()
    }

    /// The form as it is, approved.
    pub(crate) fn approval(&self) -> Vec<(&str, &str)> {
        let ticked = self.ticked().into_iter().map(|scope| ("scope", scope));
        self.form(&[("decision", "approve")]).into_iter().chain(ticked).collect()
    }

    /// The form's hidden fields and these.
    pub(crate) fn form<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        [&[("t", self.transaction()), ("form_token", self.hidden("form_token"))], more].concat()
    }
}

impl std::fmt::Display for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.at, self.html)
    }
}
