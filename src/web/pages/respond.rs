//! How a page becomes a response.

use askama::Template;
use http::header::{CONTENT_SECURITY_POLICY, HeaderName};
use http::{HeaderValue, StatusCode};

use crate::web::{Response, reply};

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Where a page's forms lead in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormTarget {
    /// To other pages of ours.
    Home,
    /// Perhaps, by a redirect, to another site: to a client.
    Elsewhere,
}

/// Makes a response of a page.
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
        // No form-action: Chromium and Safari hold it against every hop of the redirect that follows the post. With
        // 'self' no answer would reach a client, and with the redirect's own origin none that hops on to an app's
        // scheme from there. No form of these pages names another target than ours, and nothing of a client's goes
        // into them unescaped.
        // No Cross-Origin-Opener-Policy: a client that opened us in a pop-up waits for its window to come back.
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
