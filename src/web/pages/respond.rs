//! Turns pages into responses.

use askama::Template;
use http::header::{CONTENT_SECURITY_POLICY, HeaderName};
use http::{HeaderValue, StatusCode};

use crate::web::{Response, reply};

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Where the forms of a page lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormTarget {
    /// Only to our own pages.
    Home,
    /// Possibly to another site, by a redirect to a client.
    Elsewhere,
}

/// Turns a page into a response.
#[must_use]
pub fn respond(status: StatusCode, page: &impl Template, leads: FormTarget) -> Response {
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
        // No form-action: Chromium and Safari apply it to every hop of the redirects after the post. With 'self' no
        // answer would reach a client, and with the origin of the redirect URI none that is redirected from there to an
        // app's scheme. The forms of these pages only have our own targets, and nothing from a client goes into them
        // unescaped. No Cross-Origin-Opener-Policy: a client that opened us in a pop-up waits for the window to come
        // back.
        FormTarget::Elsewhere => {
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
