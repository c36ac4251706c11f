//! `ROUTES`: every path that is answered here, with its methods, its face, and its endpoint.

use http::Method;

use super::metadata;
use crate::issuer::Face;
use crate::web::pages;

/// One path, or everything below one.
pub struct EndpointRoute {
    /// The path. One that ends with a slash (except the root) stands for everything below it.
    pub path: &'static str,
    /// The methods as in `Allow`. OPTIONS comes last where pages of any origin may use the path.
    pub methods: &'static str,
    pub(super) face: Face,
    pub(super) endpoint: Endpoint,
}

/// What answers a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Account,
    AccountKeys,
    AccountPassword,
    AccountResume,
    AccountRevoke,
    Asset,
    Authorize,
    Consent,
    Document,
    Introspect,
    Login,
    Logout,
    Register,
    Revoke,
    Setup,
    SwitchAccount,
    Token,
    Welcome,
}

/// All routes. Other paths are not served here, and no upstream may use one of these.
pub static ROUTES: [EndpointRoute; 18] = [
    EndpointRoute::page("/", "GET, HEAD", Endpoint::Welcome),
    EndpointRoute::page("/account", "GET", Endpoint::Account),
    EndpointRoute::page("/account/keys", "POST", Endpoint::AccountKeys),
    EndpointRoute::page("/account/password", "POST", Endpoint::AccountPassword),
    EndpointRoute::page("/account/resume", "POST", Endpoint::AccountResume),
    EndpointRoute::page("/account/revoke", "POST", Endpoint::AccountRevoke),
    EndpointRoute::page("/authorize", "GET, POST", Endpoint::Authorize),
    EndpointRoute::page("/consent", "GET, POST", Endpoint::Consent),
    EndpointRoute::server("/introspect", Face::Introspection, Endpoint::Introspect),
    EndpointRoute::page("/login", "GET, POST", Endpoint::Login),
    EndpointRoute::page("/logout", "POST", Endpoint::Logout),
    EndpointRoute::client("/register", Face::Registration, Endpoint::Register),
    EndpointRoute::client("/revoke", Face::Token, Endpoint::Revoke),
    EndpointRoute::page("/setup", "GET, POST", Endpoint::Setup),
    EndpointRoute::page("/switch-account", "POST", Endpoint::SwitchAccount),
    EndpointRoute::client("/token", Face::Token, Endpoint::Token),
    EndpointRoute::page(metadata::WELL_KNOWN, "GET, HEAD, OPTIONS", Endpoint::Document),
    EndpointRoute::page(pages::ASSETS, "GET, HEAD", Endpoint::Asset),
];

impl EndpointRoute {
    const fn page(path: &'static str, methods: &'static str, endpoint: Endpoint) -> Self {
        Self { path, methods, face: Face::Page, endpoint }
    }

    /// Makes the route of an endpoint that clients post to, from pages of any origin too.
    const fn client(path: &'static str, face: Face, endpoint: Endpoint) -> Self {
        Self { path, methods: "POST, OPTIONS", face, endpoint }
    }

    /// Makes the route of an endpoint that servers post to, and no page of another origin.
    const fn server(path: &'static str, face: Face, endpoint: Endpoint) -> Self {
        Self { path, methods: "POST", face, endpoint }
    }

    /// Returns the route of an endpoint. Each has one; the root stands in for one that would not.
    pub(super) fn to(endpoint: Endpoint) -> &'static Self {
        let [root, ..] = &ROUTES;
        ROUTES.iter().find(|route| route.endpoint == endpoint).unwrap_or(root)
    }

    /// Finds the route of a path exactly as sent: nothing is decoded or normalized, so no two spellings mean the same
    /// resource.
    pub(super) fn of(path: &str) -> Option<&'static Self> {
        let is_below = |known: &str| known.len() > 1 && known.ends_with('/') && path.starts_with(known);
        ROUTES.iter().find(|route| route.path == path || is_below(route.path))
    }

    /// Returns whether the route allows a method.
    pub(super) fn allows(&self, method: &Method) -> bool {
        self.methods.split(", ").any(|allowed| allowed == method.as_str())
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{EndpointRoute, ROUTES};
    use crate::oauth::AuthorizationServerMetadata;

    fn expect(path: &str, method: &Method, named: &str) {
        let route = EndpointRoute::of(path).unwrap_or_else(|| panic!("{named} leads to {path}, which nothing answers"));
        assert!(route.allows(method), "{named} leads to {path}, which has no {method}");
    }

    #[test]
    fn metadata_names_paths_that_are_answered() {
        let told = AuthorizationServerMetadata::new("https://gw", Vec::new(), true, true);
        expect(told.authorization_endpoint.strip_prefix("https://gw").unwrap(), &Method::GET, "metadata");
        let registration = told.registration_endpoint.unwrap();
        let others = [told.token_endpoint, told.revocation_endpoint, told.introspection_endpoint, registration];
        for endpoint in others.into_iter().chain([told.authorization_endpoint]) {
            expect(endpoint.strip_prefix("https://gw").unwrap(), &Method::POST, "metadata");
        }
    }

    /// Returns our own paths in a text: each follows `mark` and ends where its parameters begin.
    fn paths<'t>(text: &'t str, mark: &str) -> Vec<&'t str> {
        let ends = |c: char| matches!(c, '"' | '?' | '#' | '{');
        let after = text.split(mark).skip(1).filter_map(|rest| rest.split(ends).next());
        let is_own = |path: &&str| path.as_bytes().get(1).is_some_and(u8::is_ascii_lowercase);
        after.filter(|path| path.starts_with('/')).filter(is_own).collect()
    }

    /// Endpoints that a source redirects to.
    fn redirects(text: &str) -> impl Iterator<Item = &'static EndpointRoute> {
        text.split("LocalPath::to(Endpoint::").skip(1).map(|rest| {
            let name = rest.split(')').next().unwrap_or_default();
            ROUTES.iter().find(|route| format!("{:?}", route.endpoint) == name).expect("a route")
        })
    }

    #[test]
    fn pages_and_redirects_lead_to_paths_that_are_answered() {
        let mut seen = 0;
        for folder in ["src/web/pages", "src/endpoints/pages", "src/endpoints", "src/issuer/authorization"] {
            for entry in std::fs::read_dir(format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"))).unwrap() {
                let file = entry.unwrap().path();
                let named = file.display().to_string();
                let marks: &[(&str, Method)] = match file.extension().and_then(|e| e.to_str()) {
                    Some("html") => {
                        &[("action=\"{{ frame.path }}", Method::POST), ("href=\"{{ frame.path }}", Method::GET)]
                    }
                    Some("rs") if !named.ends_with("routes.rs") => &[("\"", Method::GET)],
                    _ => continue,
                };
                let text = std::fs::read_to_string(&file).unwrap();
                for route in redirects(&text).filter(|_| !named.ends_with("routes.rs")) {
                    seen += 1;
                    expect(route.path, &Method::GET, &named);
                }
                for (mark, method) in marks {
                    for path in paths(&text, mark) {
                        seen += 1;
                        expect(path, method, &named);
                    }
                }
            }
        }
        assert!(seen > 10, "only {seen} paths were found");
    }
}
