//! GET /: for people who come without an application; also confirms that an action is done.

use http::StatusCode;

use crate::web::Response;
use crate::web::pages::{self, FormTarget, Frame};

use super::page::WelcomePage;
use super::visit::Visit;

/// Shows the page. The query names what was done from a fixed list, so that nobody can put their own text onto it.
pub(super) fn get(visit: &Visit<'_>) -> Response {
    let done = visit.query().ok().and_then(|query| query.get("done").map(str::to_owned));
    let (heading, text, action) = match done.as_deref() {
        Some("signed-out") => (
            "You are signed out",
            "Applications that you have connected stay connected until you disconnect them.",
            "Sign in again",
        ),
        Some("signed-out-with-applications") => (
            "You are signed out",
            "The applications that you had connected are disconnected. API keys, if you have any, stay valid.",
            "Sign in again",
        ),
        Some("signed-out-everywhere") => (
            "You are signed out everywhere",
            "All browsers are signed out of your account, and no application is connected to it anymore.",
            "Sign in again",
        ),
        Some("password-set") => {
            ("Your password is set", "You can sign in with it from now on, here and from your applications.", "Sign in")
        }
        _ => (
            "Welcome",
            "This gateway lets the applications that you approve use services on your behalf. Connect an application \
             from within it; here you can see the connected applications and disconnect them.",
            "Your account",
        ),
    };
    let page = WelcomePage { frame: Frame::new(visit.config()), heading, text, action };
    pages::respond(StatusCode::OK, &page, FormTarget::Home)
}
