//! `__Host-` cookies: read so that a repeated name counts for nothing, written with every protecting attribute.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

/// What a request brought under one cookie name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received<'a> {
    /// Nothing.
    Absent,
    /// One value.
    Once(&'a str),
    /// Two or more: none is to be believed, for nobody knows which of them we set (RFC 6265bis 8.6).
    Repeated,
}

/// Reads the cookie `name`, compared exactly, over all Cookie fields (HTTP/2 may split them, RFC 9113 8.2.3).
#[must_use]
pub fn read<'a>(headers: &'a HeaderMap, name: &str) -> Received<'a> {
    // Compared as bytes: the cookies of others on this host may hold any of them (RFC 6265bis 5.6 refuses control
    // characters only), and must not hide ours.
    let mut values = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|field| field.as_bytes().split(|b| *b == b';'))
        .filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    match (values.next(), values.next()) {
        (None, _) => Received::Absent,
        // What we set is ASCII; anything else under our name is not ours.
        (Some(value), None) => std::str::from_utf8(value).map_or(Received::Absent, Received::Once),
        (Some(_), Some(_)) => Received::Repeated,
    }
}

/// Returns the names of the cookies that begin with `prefix`, but of the last `keep` of them: browsers send the oldest
/// first (RFC 6265 5.4).
#[must_use]
pub fn all_but_newest<'a>(headers: &'a HeaderMap, prefix: &str, keep: usize) -> Vec<&'a str> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|field| field.as_bytes().split(|b| *b == b';'));
    let names = pairs.filter_map(|pair| pair.trim_ascii().split(|b| *b == b'=').next());
    let mut ours: Vec<_> =
        names.filter_map(|name| std::str::from_utf8(name).ok()).filter(|name| name.starts_with(prefix)).collect();
    ours.truncate(ours.len().saturating_sub(keep));
    ours
}

/// Sets a cookie for the browser's session, or for `max_age` seconds. `name` begins with `__Host-`; name and value are
/// of our own making.
pub fn set(headers: &mut HeaderMap, name: &str, value: &str, max_age: Option<u64>) {
    // RFC 6265bis 4.1.3.2: `__Host-` asks for Secure, Path=/ and no Domain, so that no sibling host can set it.
    // Lax, not Strict: the authorization request arrives by a navigation from another site.
    let mut cookie = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax");
    if let Some(seconds) = max_age {
        cookie.push_str(&format!("; Max-Age={seconds}"));
    }
    if let Ok(field) = HeaderValue::try_from(cookie) {
        headers.append(SET_COOKIE, field);
    }
}

/// Makes the browser forget a cookie.
pub fn expire(headers: &mut HeaderMap, name: &str) {
    set(headers, name, "", Some(0));
}

#[cfg(test)]
mod tests {
    use super::{Received, expire, read, set};
    use http::{HeaderMap, HeaderValue, header::COOKIE};

    fn headers(fields: &[&'static str]) -> HeaderMap {
        fields.iter().map(|f| (COOKIE, HeaderValue::from_static(f))).collect()
    }

    #[test]
    fn one_value_is_found_in_any_field() {
        let headers = headers(&["a=1; __Host-mcp_s=x", "b=2"]);
        assert_eq!(read(&headers, "__Host-mcp_s"), Received::Once("x"));
        assert_eq!(read(&headers, "b"), Received::Once("2"));
        assert_eq!(read(&headers, "__host-mcp_s"), Received::Absent);
        assert_eq!(read(&headers, "mcp_s"), Received::Absent);
    }

    #[test]
    fn a_foreign_cookie_of_any_bytes_does_not_hide_ours() {
        let headers: HeaderMap =
            [(COOKIE, HeaderValue::from_bytes(b"lang=\xe9\xff; __Host-mcp_s=x; \xfc=1; t=\xff").unwrap())]
                .into_iter()
                .collect();
        assert_eq!(read(&headers, "__Host-mcp_s"), Received::Once("x"));
        assert_eq!(read(&headers, "t"), Received::Absent);
    }

    #[test]
    fn cn_06_two_values_of_one_name_count_for_nothing() {
        assert_eq!(read(&headers(&["s=1; s=2"]), "s"), Received::Repeated);
        assert_eq!(read(&headers(&["s=1", "s=1"]), "s"), Received::Repeated);
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
        set(&mut headers, "__Host-mcp_s", "x", None);
        set(&mut headers, "__Host-mcp_t_1", "y", Some(600));
        expire(&mut headers, "__Host-mcp_s");
        let fields: Vec<_> = headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(
            fields,
            [
                "__Host-mcp_s=x; Path=/; Secure; HttpOnly; SameSite=Lax",
                "__Host-mcp_t_1=y; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600",
                "__Host-mcp_s=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0",
            ]
        );
    }
}
