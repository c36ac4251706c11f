//! `Browser`: keeps cookies as a browser does, and reads and submits the forms of the gateway's pages. It sends
//! requests over a [`Transport`]: TLS to a running gateway in `page.rs`, no network in `tests/endpoints/page.rs`.
#![allow(dead_code, reason = "each of the test programs that share it uses a part of it")]

use bytes::Bytes;
use http::HeaderValue;
use http_body_util::Full;
use hyper::{Method, Request};

use super::http::{Jar, Reply, encoded, request};

/// What browsers say of themselves, with a character that turns text round, and what is kept of it.
pub(crate) const USER_AGENT: &str = "Test\u{202e} caf\u{e9}/1.0";
pub(crate) const SHOWN_AGENT: &str = "Test caf\u{e9}/1.0";

/// The transport of a browser's requests.
pub(crate) trait Transport {
    async fn carry(&mut self, request: Request<Full<Bytes>>) -> Reply;
}

pub(crate) struct Browser<T> {
    pub(crate) client: T,
    /// The gateway's URL.
    pub(crate) origin: String,
    pub(crate) cookies: Jar,
}

impl<T: Transport> Browser<T> {
    pub(crate) fn by(client: T, origin: String) -> Self {
        Self { client, origin, cookies: Jar::default() }
    }

    /// Sends a request with the cookies and stores those that are set; follows no redirect.
    pub(crate) async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Reply {
        self.cookies.add_to(&mut request);
        let agent = HeaderValue::from_bytes(USER_AGENT.as_bytes()).unwrap();
        request.headers_mut().entry("user-agent").or_insert(agent);
        let reply = self.client.carry(request).await;
        self.cookies.keep(&reply);
        reply
    }

    /// Opens a link on another site's page; follows no redirect.
    pub(crate) async fn get(&mut self, target: &str) -> Reply {
        self.send(request(Method::GET, target, &[("sec-fetch-site", "cross-site")], Bytes::new())).await
    }

    /// Opens a link and follows redirects up to a page, or to a redirect to another site.
    pub(crate) async fn open(&mut self, target: &str) -> Reply {
        let reply = self.get(target).await;
        self.settle(reply).await
    }

    pub(crate) async fn settle(&mut self, mut reply: Reply) -> Reply {
        for _ in 0..5 {
            let target = match reply.header("location") {
                at if at.starts_with('/') => at.to_owned(),
                at => match at.strip_prefix(&self.origin) {
                    Some(path) => path.to_owned(),
                    None => return reply,
                },
            };
            reply = self.get(&target).await;
        }
        panic!("the gateway redirects in a circle: {reply:?}");
    }

    /// Submits fields as a form of one of the gateway's own pages: under `no-referrer` a browser sends `Origin: null`.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.post_from(path, fields, &[("origin", "null"), ("sec-fetch-site", "same-origin")]).await
    }

    pub(crate) async fn post_from(&mut self, path: &str, fields: &[(&str, &str)], from: &[(&str, &str)]) -> Reply {
        let headers = [&[("content-type", "application/x-www-form-urlencoded")], from].concat();
        self.send(request(Method::POST, path, &headers, encoded(fields))).await
    }

    /// Sends a form as it is; follows no redirect.
    pub(crate) async fn submit(&mut self, form: &Form) -> Reply {
        let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.post(&form.action, &fields).await
    }
}

/// A form of a page: its target and its fields.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Form {
    /// Replaces the value of a field, or adds the field.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn unescaped(text: &str) -> String {
    let mut plain = text.to_owned();
    for (entity, character) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&#39;", "'"), ("&#x27;", "'")]
    {
        plain = plain.replace(entity, character);
    }
    plain.replace("&#38;", "&").replace("&amp;", "&")
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    let rest = tag.get(start..)?;
    rest.split_once('"').map(|(value, _)| unescaped(value))
}

/// The forms of a page, without its buttons: the caller presses one.
pub(crate) fn forms(html: &str) -> Vec<Form> {
    html.split("<form")
        .skip(1)
        .map(|rest| {
            let inside = rest.split("</form>").next().unwrap_or_default();
            let fields = inside.split("<input").skip(1).filter_map(|tag| {
                let tag = tag.split('>').next().unwrap_or_default();
                let unticked = tag.contains("type=\"checkbox\"") && !tag.contains(" checked");
                let name = attribute(tag, "name").filter(|_| !unticked)?;
                Some((name, attribute(tag, "value").unwrap_or_default()))
            });
            Form { action: attribute(inside, "action").unwrap_or_default(), fields: fields.collect() }
        })
        .collect()
}
