//! Cookies of one issuer: named so that they do not collide with another issuer's on the same host, rejected if a name
//! is repeated, and set with all protective attributes.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

/// The values that a request sent under one cookie name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceivedCookie<'a> {
    /// There is no such cookie.
    Absent,
    /// There is exactly one value.
    Once(&'a str),
    /// Two or more values: none can be trusted, because there is no telling which one we set (RFC 6265bis 8.6).
    Repeated,
}

/// Reads the cookie `name`, compared exactly, from all `Cookie` fields (HTTP/2 may split them, RFC 9113 8.2.3).
#[must_use]
pub fn read<'a>(headers: &'a HeaderMap, name: &str) -> ReceivedCookie<'a> {
    // Compared as bytes: cookies of others on this host may contain any bytes (RFC 6265bis 5.6 only refuses control
    // characters), and must not hide ours.
    let mut values = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|field| field.as_bytes().split(|b| *b == b';'))
        .filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    match (values.next(), values.next()) {
        (None, _) => ReceivedCookie::Absent,
        // We only set ASCII; anything else under our name is not ours.
        (Some(value), None) => std::str::from_utf8(value).map_or(ReceivedCookie::Absent, ReceivedCookie::Once),
        (Some(_), Some(_)) => ReceivedCookie::Repeated,
    }
}

/// Returns the names of the cookies that begin with `prefix`, except the last `keep`: browsers send the oldest first
/// (RFC 6265 5.4).
#[must_use]
pub fn all_but_newest<'a>(headers: &'a HeaderMap, prefix: &str, keep: usize) -> Vec<&'a str> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|field| field.as_bytes().split(|b| *b == b';'));
    let names = pairs.filter_map(|pair| pair.trim_ascii().split(|b| *b == b'=').next());
    let mut ours: Vec<_> =
        names.filter_map(|name| std::str::from_utf8(name).ok()).filter(|name| name.starts_with(prefix)).collect();
    ours.truncate(ours.len().saturating_sub(keep));
    ours
}

/// The cookies of one issuer.
///
/// Browsers separate cookies by host and not by port (RFC 6265bis 8.5), so two gateways on one host would overwrite
/// each other's sign-ins. The names therefore contain a tag of the whole issuer, including the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieScope {
    prefix: String,
    path: String,
    secure: &'static str,
}

impl CookieScope {
    /// Takes the brand that names begin with, and the issuer.
    #[must_use]
    pub fn new(brand: &str, issuer: &str) -> Self {
        let authority_and_path = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
        let path =
            authority_and_path.find('/').map_or("", |at| authority_and_path.split_at(at).1).trim_end_matches('/');
        // RFC 6265bis 4.1.3: `__Host-` requires Secure, Path=/ and no Domain, so that no sibling host can set it. Below
        // a path only `__Secure-` is possible, which other programs on the host can set too. Plain http is only used
        // for this machine's own addresses, and browsers differ in whether they accept such cookies there.
        let (kind, secure, path) = match (issuer.starts_with("http://"), path) {
            (true, path) => ("", "", if path.is_empty() { "/" } else { path }),
            (false, "") => ("__Host-", " Secure;", "/"),
            (false, path) => ("__Secure-", " Secure;", path),
        };
        let digest = ring::digest::digest(&ring::digest::SHA256, issuer.as_bytes());
        let tag: String = digest.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Self { prefix: format!("{kind}{brand}_{tag}_"), path: path.to_owned(), secure }
    }

    /// Returns the full name of the cookie with the short name `name`.
    #[must_use]
    pub fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Sets a cookie by its full name, for the browser's session or for `max_age` seconds. Name and value must not come
    /// from a request.
    pub fn set(&self, headers: &mut HeaderMap, full_name: &str, value: &str, max_age: Option<u64>) {
        // Lax, not Strict: the authorization request arrives by a navigation from another site.
        let mut cookie = format!("{full_name}={value}; Path={};{} HttpOnly; SameSite=Lax", self.path, self.secure);
        if let Some(seconds) = max_age {
            cookie.push_str(&format!("; Max-Age={seconds}"));
        }
        if let Ok(field) = HeaderValue::try_from(cookie) {
            headers.append(SET_COOKIE, field);
        }
    }

    /// Makes the browser delete a cookie.
    pub fn expire(&self, headers: &mut HeaderMap, full_name: &str) {
        self.set(headers, full_name, "", Some(0));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{CookieScope, ReceivedCookie, read};
    use http::{HeaderMap, HeaderValue, header::COOKIE};

    fn headers(fields: &[&'static str]) -> HeaderMap {
        fields.iter().map(|f| (COOKIE, HeaderValue::from_static(f))).collect()
    }

    #[test]
    fn one_value_is_found_in_any_field() {
        let headers = headers(&["a=1; __Host-mcp_s=x", "b=2"]);
        assert_eq!(read(&headers, "__Host-mcp_s"), ReceivedCookie::Once("x"));
        assert_eq!(read(&headers, "b"), ReceivedCookie::Once("2"));
        assert_eq!(read(&headers, "__host-mcp_s"), ReceivedCookie::Absent);
        assert_eq!(read(&headers, "mcp_s"), ReceivedCookie::Absent);
    }

    #[test]
    fn a_foreign_cookie_of_any_bytes_does_not_hide_ours() {
        let headers: HeaderMap =
            [(COOKIE, HeaderValue::from_bytes(b"lang=\xe9\xff; __Host-mcp_s=x; \xfc=1; t=\xff").unwrap())]
                .into_iter()
                .collect();
        assert_eq!(read(&headers, "__Host-mcp_s"), ReceivedCookie::Once("x"));
        assert_eq!(read(&headers, "t"), ReceivedCookie::Absent);
    }

    #[test]
    fn two_values_of_one_name_count_for_nothing() {
        assert_eq!(read(&headers(&["s=1; s=2"]), "s"), ReceivedCookie::Repeated);
        assert_eq!(read(&headers(&["s=1", "s=1"]), "s"), ReceivedCookie::Repeated);
    }

    #[test]
    fn all_but_the_newest_are_told() {
        let headers = headers(&["t_1=a; x=b; t_2=c", "t_3=d; t_4"]);
        assert_eq!(super::all_but_newest(&headers, "t_", 2), ["t_1", "t_2"]);
        assert_eq!(super::all_but_newest(&headers, "t_", 4), [""; 0]);
    }

    #[test]
    fn a_cookie_has_every_protection() {
        let mut headers = HeaderMap::new();
        let scope = CookieScope::new("mcp", "https://gw.example");
        let (session, transaction) = (scope.name("s"), scope.name("t_1"));
        assert!(session.starts_with("__Host-mcp_") && session.ends_with("_s"), "{session}");
        scope.set(&mut headers, &session, "x", None);
        scope.set(&mut headers, &transaction, "y", Some(600));
        scope.expire(&mut headers, &session);
        let fields: Vec<_> = headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap().to_owned()).collect();
        assert_eq!(
            fields,
            [
                format!("{session}=x; Path=/; Secure; HttpOnly; SameSite=Lax"),
                format!("{transaction}=y; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"),
                format!("{session}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"),
            ]
        );
    }

    #[test]
    fn names_differ_by_issuer_and_port() {
        let issuers =
            ["https://gw.example", "https://gw.example:8443", "https://gw.example:9443", "https://other.example"];
        let names: BTreeSet<_> = issuers.iter().map(|issuer| CookieScope::new("mcp", issuer).name("s")).collect();
        assert_eq!(names.len(), issuers.len());
        assert!(names.iter().all(|name| name.starts_with("__Host-")));
        assert_eq!(CookieScope::new("mcp", issuers[0]), CookieScope::new("mcp", issuers[0]), "and stay the same");
    }

    #[test]
    fn below_a_path_a_cookie_is_secure_and_of_that_path() {
        let scope = CookieScope::new("mcp", "https://host.example/gateway/");
        let name = scope.name("s");
        assert!(name.starts_with("__Secure-mcp_"), "{name}");
        let mut headers = HeaderMap::new();
        scope.set(&mut headers, &name, "x", None);
        let field = headers.get("set-cookie").unwrap().to_str().unwrap();
        assert_eq!(field, format!("{name}=x; Path=/gateway; Secure; HttpOnly; SameSite=Lax"));
    }

    #[test]
    fn plain_http_gets_cookies_that_every_browser_keeps() {
        let scope = CookieScope::new("mcp", "http://localhost:8080");
        let name = scope.name("s");
        assert!(name.starts_with("mcp_"), "{name}");
        let mut headers = HeaderMap::new();
        scope.set(&mut headers, &name, "x", None);
        assert_eq!(headers["set-cookie"], format!("{name}=x; Path=/; HttpOnly; SameSite=Lax"));
    }
}
