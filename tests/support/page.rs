//! A person: a client with a cookie jar that reads the gateway's forms and fills them in, and follows its redirects as
//! long as they stay at the gateway.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};

use super::client::{Client, Reply, post_form, request};
use super::gateway::{Home, PASSWORD};
use super::http::Jar;

/// A form of a page: where it goes and what it holds.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Form {
    /// Puts a value in place of the field's own, or adds it.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
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

/// The forms of a page, without its buttons: pressing one is the caller's deed.
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

/// A person's browser, with its cookies.
pub(crate) struct Browser {
    pub(crate) client: Client,
    pub(crate) origin: String,
    pub(crate) cookies: Jar,
}

impl Browser {
    pub(crate) fn new(home: &Home) -> Self {
        Self { client: Client::new(home), origin: home.origin(), cookies: Jar::default() }
    }

    /// Sends a request with the cookies and keeps what is set; follows nothing.
    pub(crate) async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Reply {
        self.cookies.add_to(&mut request);
        let reply = self.client.send(request).await;
        self.cookies.keep(&reply);
        reply
    }

    /// Follows redirects until a page, or until one leads away from the gateway.
    pub(crate) async fn settle(&mut self, mut reply: Reply) -> Reply {
        for _ in 0..5 {
            let target = match reply.header("location") {
                at if at.starts_with('/') => at.to_owned(),
                at => match at.strip_prefix(&self.origin) {
                    Some(path) => path.to_owned(),
                    None => return reply,
                },
            };
            reply = self.send(request(Method::GET, &target, &[], Bytes::new())).await;
        }
        panic!("the gateway redirects in a circle: {reply:?}");
    }

    pub(crate) async fn open(&mut self, target: &str) -> Reply {
        let reply = self.send(request(Method::GET, target, &[], Bytes::new())).await;
        self.settle(reply).await
    }

    /// Submits a form as a browser would from the gateway's own page; follows nothing.
    pub(crate) async fn submit(&mut self, form: &Form) -> Reply {
        let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut request = post_form(&form.action, &fields);
        let headers = request.headers_mut();
        headers.insert("origin", self.origin.parse().expect("an origin"));
        headers.insert("sec-fetch-site", "same-origin".parse().expect("a value"));
        self.send(request).await
    }

    /// Fills in the login page and goes on to what follows.
    pub(crate) async fn log_in(&mut self, page: &Reply, name: &str, password: &str) -> Reply {
        let mut form = form_to(page, "/login");
        form.set("username", name);
        form.set("password", password);
        let reply = self.submit(&form).await;
        self.settle(reply).await
    }

    /// Opens an authorization URL and logs in as `admin` if asked; ends at the consent page or wherever else.
    pub(crate) async fn ask(&mut self, target: &str) -> Reply {
        let page = self.open(target).await;
        if page.text().contains("action=\"/login\"") { self.log_in(&page, "admin", PASSWORD).await } else { page }
    }

    /// Presses a button of the consent page: `approve` or `deny`.
    pub(crate) async fn decide(&mut self, page: &Reply, decision: &str) -> Reply {
        let mut form = form_to(page, "/consent");
        form.set("decision", decision);
        self.submit(&form).await
    }
}

/// The form of a page that goes to `action`.
pub(crate) fn form_to(page: &Reply, action: &str) -> Form {
    let found = forms(&page.text()).into_iter().find(|form| form.action == action);
    found.unwrap_or_else(|| panic!("no form to {action} in {} {:?}\n{}", page.status, page.headers, page.text()))
}
