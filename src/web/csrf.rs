//! Protection against cross-site request forgery: form tokens bound to the browser's cookies, and a check of the
//! request's origin.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::ORIGIN;
use ring::hmac;

/// Makes and checks form tokens for one browser. The key is derived from its secret cookies, which nobody else knows.
/// Nothing is stored, and a token becomes invalid with its cookies.
pub struct FormKey(hmac::Key);

impl FormKey {
    /// Takes the secret values of the form's cookies; `None` when any is empty, since the key would be known to
    /// everybody.
    #[must_use]
    pub fn new(cookies: &[&str]) -> Option<Self> {
        if cookies.is_empty() || cookies.iter().any(|c| c.is_empty()) {
            return None;
        }
        // A header cannot contain NUL, so no two lists of cookies give the same key.
        Some(Self(hmac::Key::new(hmac::HMAC_SHA256, cookies.join("\0").as_bytes())))
    }

    /// Returns the token for the forms of one `purpose`.
    #[must_use]
    pub fn token(&self, purpose: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, purpose.as_bytes()))
    }

    /// Returns whether `presented` is this browser's token for `purpose`; takes the same time for every wrong token.
    #[must_use]
    pub fn accepts(&self, purpose: &str, presented: &str) -> bool {
        URL_SAFE_NO_PAD.decode(presented).is_ok_and(|tag| hmac::verify(&self.0, purpose.as_bytes(), &tag).is_ok())
    }
}

/// Returns whether a form was posted by a page that is not ours; `is_ours` decides about an origin.
#[must_use]
pub fn is_cross_site(headers: &HeaderMap, is_ours: impl Fn(&str) -> bool) -> bool {
    // Fetch Metadata: a sibling subdomain (`same-site`) counts as foreign; `none` is the user's own action.
    let mut sites = headers.get_all("sec-fetch-site").iter().peekable();
    let says_whence = sites.peek().is_some();
    if sites.any(|site| site != "same-origin" && site != "none") {
        return true;
    }
    // Our pages send `Referrer-Policy: no-referrer`, which makes browsers send `Origin: null` on the pages' own posts
    // (Fetch 3.1). Sandboxed frames of strangers send it too, so `null` passes only if Sec-Fetch-Site confirms it.
    headers.get_all(ORIGIN).iter().any(|origin| match origin.to_str() {
        Ok("null") => !says_whence,
        Ok(origin) => !is_ours(origin),
        Err(_) => true,
    })
}

#[cfg(test)]
mod tests {
    use super::{FormKey, is_cross_site};
    use http::HeaderMap;

    #[test]
    fn a_token_is_good_for_its_cookies_and_its_purpose_only() {
        let key = FormKey::new(&["transaction", "session"]).unwrap();
        let token = key.token("consent");
        assert!(key.accepts("consent", &token));
        assert!(!key.accepts("login", &token));
        assert!(!key.accepts("consent", ""));
        assert!(!key.accepts("consent", &token[1..]));
        for other in [&["transaction"][..], &["session", "transaction"], &["transactionsession"], &["transaction", "s"]]
        {
            assert!(!FormKey::new(other).unwrap().accepts("consent", &token), "{other:?}");
        }
    }

    #[test]
    fn without_secret_cookies_there_is_no_key() {
        assert!(FormKey::new(&[]).is_none());
        assert!(FormKey::new(&["transaction", ""]).is_none());
    }

    fn cross(fields: &[(&'static str, &str)]) -> bool {
        let headers: HeaderMap =
            fields.iter().map(|(n, v)| (http::HeaderName::from_static(n), v.parse().unwrap())).collect();
        is_cross_site(&headers, |origin| origin == "https://gw")
    }

    #[test]
    fn posts_from_elsewhere_are_seen() {
        assert!(cross(&[("origin", "https://evil")]));
        assert!(cross(&[("sec-fetch-site", "cross-site")]));
        assert!(cross(&[("sec-fetch-site", "same-site"), ("origin", "null")]));
        assert!(cross(&[("sec-fetch-site", "same-origin"), ("origin", "https://evil")]));
        assert!(cross(&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")]));
        assert!(cross(&[("origin", "https://gw.evil")]));
        assert!(cross(&[("origin", "http://gw")]));
        assert!(cross(&[("origin", "null")]));
    }

    #[test]
    fn own_posts_pass() {
        assert!(!cross(&[("origin", "https://gw"), ("sec-fetch-site", "same-origin")]));
        assert!(!cross(&[("origin", "null"), ("sec-fetch-site", "same-origin")]));
        assert!(!cross(&[("origin", "https://gw")]));
        assert!(!cross(&[("sec-fetch-site", "none")]));
        assert!(!cross(&[]));
    }
}
