//! HTTP exchanges, shared by all test clients: requests, replies, and a cookie jar.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// An error that broke a connection.
pub(crate) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// An open connection.
pub(crate) type Connection = http1::SendRequest<Full<Bytes>>;

/// A reply, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The only value of a header; empty if there is none. More than one fails the test.
    pub(crate) fn header(&self, name: &str) -> &str {
        let values: Vec<_> = self.headers.get_all(name).iter().collect();
        assert!(values.len() < 2, "{name} comes {} times", values.len());
        values.first().map_or("", |value| value.to_str().expect("a readable header"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert!(self.header("content-type").starts_with("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap_or_else(|fault| panic!("{fault} in {self:?}"))
    }

    /// A string member of the JSON body; empty if there is none.
    pub(crate) fn member(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }

    /// The target of a redirect.
    pub(crate) fn location(&self) -> url::Url {
        url::Url::parse(self.header("location")).unwrap_or_else(|fault| panic!("{fault} in {self:?}"))
    }
}

pub(crate) fn request(
    method: Method,
    target: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let mut builder = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Full::new(body.into())).expect("a request")
}

pub(crate) fn encoded(form: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}

pub(crate) fn post_form(target: &str, form: &[(&str, &str)]) -> Request<Full<Bytes>> {
    request(Method::POST, target, &[("content-type", "application/x-www-form-urlencoded")], encoded(form))
}

/// Opens an HTTP connection over a stream.
///
/// # Errors
/// Any error of the connection.
pub(crate) async fn open(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Connection, Fault> {
    let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(driver);
    Ok(sender)
}

/// Sends a request and reads its answer to the end.
///
/// # Errors
/// Any error of the connection.
pub(crate) async fn exchange(connection: &mut Connection, request: Request<Full<Bytes>>) -> Result<Reply, Fault> {
    let (head, body) = connection.send_request(request).await?.into_parts();
    Ok(Reply { status: head.status.as_u16(), headers: head.headers, body: body.collect().await?.to_bytes() })
}

/// The cookies of a browser.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Jar(BTreeMap<String, String>);

impl std::ops::Deref for Jar {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl std::ops::DerefMut for Jar {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Jar {
    /// Adds the cookies to a request that has none.
    pub(crate) fn add_to(&self, request: &mut Request<Full<Bytes>>) {
        if !self.0.is_empty() && !request.headers().contains_key("cookie") {
            let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request.headers_mut().insert("cookie", pairs.join("; ").parse().expect("cookies"));
        }
    }

    /// Stores the cookies of a reply. RFC 6265bis 5.7: a browser drops a `__Host-` cookie without its attributes.
    pub(crate) fn keep(&mut self, reply: &Reply) {
        for set in reply.headers.get_all("set-cookie") {
            let text = set.to_str().expect("a readable cookie");
            let mut parts = text.split("; ");
            let (name, value) = parts.next().unwrap_or_default().split_once('=').expect("a cookie has a name");
            let attributes: Vec<_> = parts.collect();
            assert!(name.starts_with("__Host-mcp_"), "{text}");
            for wanted in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
                assert!(attributes.contains(&wanted), "{text}");
            }
            assert!(!attributes.iter().any(|attribute| attribute.starts_with("Domain")), "{text}");
            if attributes.contains(&"Max-Age=0") {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}
