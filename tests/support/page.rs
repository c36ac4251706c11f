//! A user of a running gateway: signs in, decides, and follows the gateway's redirects.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;

pub(crate) use super::browser::Form;
use super::browser::{self, Transport, forms};
use super::client::{Client, Reply};
use super::gateway::Home;
use super::password::PASSWORD;

pub(crate) type Browser = browser::Browser<Client>;

impl Transport for Client {
    async fn carry(&mut self, request: Request<Full<Bytes>>) -> Reply {
        self.send(request).await
    }
}

impl Browser {
    pub(crate) fn new(home: &Home) -> Self {
        Self::by(Client::new(home), home.origin())
    }

    /// Fills in the login page and follows the redirects.
    pub(crate) async fn log_in(&mut self, page: &Reply, name: &str, password: &str) -> Reply {
        let mut form = form_to(page, "/login");
        form.set("username", name);
        form.set("password", password);
        let reply = self.submit(&form).await;
        self.settle(reply).await
    }

    /// Opens an authorization URL and logs in as `admin` if asked; returns the consent page or whatever page follows.
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

/// The form on a page with this `action`.
pub(crate) fn form_to(page: &Reply, action: &str) -> Form {
    let found = forms(&page.text()).into_iter().find(|form| form.action == action);
    found.unwrap_or_else(|| panic!("no form to {action} in {} {:?}\n{}", page.status, page.headers, page.text()))
}
