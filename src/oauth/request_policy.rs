//! `RequestPolicy`: the resources that there are, and how a request names one (RFC 8707).

use super::received_value::show_some;
use super::{Client, ClientOrigin, Form, OAuthError, ResourceIndicator, Rule, ScopeSet};

/// What a request is checked against: the resources and what may be requested of each.
#[derive(Debug, Clone)]
pub struct RequestPolicy {
    /// Every resource of the tenant, with the scopes that may be requested there and the default ones.
    pub resources: Vec<(ResourceIndicator, ScopeSet, ScopeSet)>,
    /// The URLs of upstreams that share a resource, each with that resource.
    pub shared: Vec<(ResourceIndicator, ResourceIndicator)>,
    /// The only resource of clients that registered themselves, if the operator set one.
    pub of_registered: Option<ResourceIndicator>,
    /// The resource of requests that name none, if the operator set one.
    pub default: Option<ResourceIndicator>,
}

impl RequestPolicy {
    /// Finds the resource of the request (RFC 8707 2); a token here has one audience. Unknown resources and those of
    /// other tenants are treated alike.
    ///
    /// Clients of 2025-03-26 send no resource, and some later ones send the origin instead of the MCP server's URL.
    /// Both are accepted when there is only one server, for the origin: one at that origin. The grant names that
    /// server, so that a second one added later changes nothing for them.
    ///
    /// # Errors
    /// `invalid_target`.
    pub fn resource(
        &self,
        form: &Form,
        client: &Client,
    ) -> Result<&(ResourceIndicator, ScopeSet, ScopeSet), OAuthError> {
        let refuse = |rule, words| {
            let there: Vec<_> = self.resources.iter().map(|(resource, ..)| resource.as_str()).collect();
            let error = OAuthError::new(rule, words).expected(format!("one of: {}", show_some(&there)));
            form.get("resource").map_or_else(|| error.clone(), |sent| error.clone().came("resource", sent))
        };
        let rows = self.meant(ResourceIndicator::of_form(form)?);
        let find = |wanted: &ResourceIndicator| rows.iter().find(|(resource, ..)| resource == wanted).copied();
        let registered = self.of_registered.as_ref().filter(|_| client.origin == ClientOrigin::Registered);
        let row = match (rows.as_slice(), client.resource.as_ref().or(registered), &self.default) {
            (_, Some(bound), _) => find(bound),
            ([], ..) => None,
            ([only], ..) => Some(*only),
            (_, None, default) => {
                let by_default = default.as_ref().and_then(find);
                let words = "there are several MCP servers here: send the URL of one as the resource";
                return by_default.ok_or_else(|| refuse(Rule::ResourceMissing, words));
            }
        };
        row.ok_or_else(|| {
            let words = "the resource is not an MCP server that this client may use: send the URL of one that it may \
                         use";
            refuse(Rule::ResourceUnknown, words)
        })
    }

    /// Returns the resources that a request may mean: the one that it names, all if it names none.
    fn meant(&self, sent: Option<ResourceIndicator>) -> Vec<&(ResourceIndicator, ScopeSet, ScopeSet)> {
        let Some(sent) = sent else { return self.resources.iter().collect() };
        // RFC 8707 2: the server may map what a client sends to a more general URI. Clients send the URL that they
        // call.
        let shared = self.shared.iter().find(|(url, _)| *url == sent);
        let sent = shared.map_or(&sent, |(_, resource)| resource);
        let exact: Vec<_> = self.resources.iter().filter(|(resource, ..)| resource == sent).collect();
        if exact.is_empty() {
            return self.resources.iter().filter(|(resource, ..)| sent.is_origin_of(resource)).collect();
        }
        exact
    }
}
