//! `Browser`: keeps cookies as a browser does, reads forms from pages, and follows no redirect by itself.

use std::collections::BTreeMap;

use mcpgate::web::cookie::CookieScope;

use super::site::{Answer, ISSUER, NAME, PASSWORD, Site, encode, request};

pub(crate) struct Browser<'a> {
    site: &'a Site,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(site: &'a Site) -> Self {
        Self { site, cookies: BTreeMap::new() }
    }

    pub(crate) async fn get(&mut self, target: &str) -> Answer {
        self.send("GET", target, &[("sec-fetch-site", "cross-site")], "").await
    }

    /// Sends a form of one of our own pages: under `no-referrer` a browser says `Origin: null` then.
    pub(crate) async fn post(&mut self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        self.post_from(path, pairs, &[("origin", "null"), ("sec-fetch-site", "same-origin")]).await
    }

    pub(crate) async fn post_from(&mut self, path: &str, pairs: &[(&str, &str)], from: &[(&str, &str)]) -> Answer {
        let fields = [&[("content-type", "application/x-www-form-urlencoded")], from].concat();
        self.send("POST", path, &fields, &encode(pairs)).await
    }

    async fn send(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let cookies = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("; ");
        let mut fields = fields.to_vec();
        if !cookies.is_empty() {
            fields.push(("cookie", &cookies));
        }
        let answer = self.site.send(request(method, target, &fields, body.to_owned().into())).await;
        for field in answer.headers.get_all("set-cookie") {
            self.keep(field.to_str().unwrap());
        }
        answer
    }

    /// RFC 6265bis 5.7: what `__Host-` asks for, or the cookie is dropped.
    fn keep(&mut self, field: &str) {
        let mut parts = field.split("; ");
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        let attributes: Vec<_> = parts.collect();
        assert!(name.starts_with("__Host-mcp_"), "{field}");
        for wanted in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
            assert!(attributes.contains(&wanted), "{field}");
        }
        assert!(!attributes.iter().any(|a| a.starts_with("Domain")), "{field}");
        if attributes.contains(&"Max-Age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
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
        Page { at: at.to_owned(), html: answer.body }
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
