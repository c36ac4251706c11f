//! The redirects that pages may answer with: to another page of ours, or to a verified location of a client. No other
//! file writes a `Location` of ours.

use http::header::{LOCATION, REFRESH};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::oauth::ClientLocation;
use crate::web::{Response, reply};

use super::routes::{Endpoint, EndpointRoute};

/// The path and query of a page of ours. Made only of a path in [`super::ROUTES`], so that it cannot lead to another
/// host.
pub(super) struct LocalPath(String);

impl LocalPath {
    /// Returns the path of a page.
    pub(super) fn to(page: Endpoint) -> Self {
        Self(EndpointRoute::to(page).path.to_owned())
    }

    /// Adds a parameter to the query, encoded.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        let mut parameter = url::form_urlencoded::Serializer::new(String::new());
        self.0.push_str(&parameter.append_pair(name, value).finish());
        self
    }
}

/// Redirects to a page of ours, named without a host, because the browser's cookies belong to the host name that it
/// used.
pub(super) fn to_page(path: &LocalPath) -> Response {
    see_other(&path.0)
}

/// Puts a redirect to a page of ours below the path of the public URL.
pub(super) fn put_below(public_path: &str, headers: &mut HeaderMap) {
    let own = headers.get(LOCATION).and_then(|location| location.to_str().ok()).filter(|at| at.starts_with('/'));
    let below = own.filter(|_| !public_path.is_empty()).map(|at| HeaderValue::try_from(format!("{public_path}{at}")));
    if let Some(Ok(below)) = below {
        headers.insert(LOCATION, below);
    }
}

/// Lets a browser open a page of ours after some seconds, without a script.
pub(super) fn reload(public_path: &str, headers: &mut HeaderMap, path: &LocalPath, seconds: u32) {
    if let Ok(value) = HeaderValue::from_str(&format!("{seconds}; url={public_path}{}", path.0)) {
        headers.insert(REFRESH, value);
    }
}

/// Redirects to a client.
pub(super) fn to_client(location: &ClientLocation) -> Response {
    see_other(location.as_str())
}

/// Redirects the browser with a GET. Always 303: 307 and 308 would forward a posted password (OAuth 2.1 "HTTP 307
/// Redirect").
fn see_other(location: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        tracing::error!("a redirect's target is not valid in a header");
        return reply::empty(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let mut response = reply::empty(StatusCode::SEE_OTHER);
    response.headers_mut().insert(LOCATION, location);
    reply::forbid_caching(response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{LocalPath, put_below, see_other, to_page};
    use crate::endpoints::routes::Endpoint;

    #[test]
    fn what_a_parameter_holds_stays_a_parameter_of_the_page() {
        let leads_to = |path: &LocalPath| to_page(path).headers()["location"].to_str().unwrap().to_owned();
        assert_eq!(leads_to(&LocalPath::to(Endpoint::Account)), "/account");
        assert_eq!(leads_to(&LocalPath::to(Endpoint::Login).with("t", "mcp_session_aZ9")), "/login?t=mcp_session_aZ9");
        let odd = LocalPath::to(Endpoint::Welcome).with("done", "//evil.example/\r\nSet-Cookie: x#").with("t", "&");
        assert_eq!(leads_to(&odd), "/?done=%2F%2Fevil.example%2F%0D%0ASet-Cookie%3A+x%23&t=%26");
    }

    #[test]
    fn only_a_page_of_ours_is_put_below_the_path_of_the_public_url() {
        for (location, expected) in [
            ("/login?t=a", "/GW/login?t=a"),
            ("/", "/GW/"),
            ("https://c.example/cb", "https://c.example/cb"),
            ("app:/cb", "app:/cb"),
        ] {
            let mut headers = see_other(location).headers().clone();
            put_below("", &mut headers);
            assert_eq!(headers["location"], location);
            put_below("/GW", &mut headers);
            assert_eq!(headers["location"], expected);
        }
    }

    #[test]
    fn a_target_with_a_line_break_never_becomes_a_header() {
        let response = see_other("https://c.example/cb?state=a\r\nSet-Cookie: x");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(response.headers().is_empty());
    }
}
