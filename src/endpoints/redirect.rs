//! The redirects that pages may answer with: to another page of ours, or to a verified location of a client.

use crate::oauth::ClientLocation;
use crate::web::{Response, reply};

/// Redirects to a page of ours, given by path and query.
pub(super) fn to_page(path: &str) -> Response {
    let is_ours = path.starts_with('/') && !path.starts_with("//");
    reply::see_other(if is_ours { path } else { "/" })
}

/// Redirects to a client.
pub(super) fn to_client(location: &ClientLocation) -> Response {
    reply::see_other(location.as_str())
}

#[cfg(test)]
mod tests {
    use super::to_page;

    #[test]
    fn what_is_no_path_of_ours_leads_to_the_first_page() {
        for (path, leads_to) in [("/login?t=a", "/login?t=a"), ("//evil.example", "/"), ("https://evil.example", "/")] {
            assert_eq!(to_page(path).headers()["location"], leads_to);
        }
    }
}
