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
    /// Both are accepted when there is only one server; the grant names that server, so that a second one added later
    /// changes nothing for them.
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
        let find = |wanted: &ResourceIndicator| self.resources.iter().find(|(resource, ..)| resource == wanted);
        let is_bare_origin = |sent: &ResourceIndicator| {
            find(sent).is_none() && self.resources.iter().any(|(resource, ..)| sent.is_origin_of(resource))
        };
        // RFC 8707 2: the server may map what a client sends to a more general URI. Clients send the URL that they
        // call.
        let shared = |sent: &ResourceIndicator| self.shared.iter().find(|(url, _)| url == sent);
        let meant = |sent: ResourceIndicator| shared(&sent).map_or(sent, |(_, resource)| resource.clone());
        let sent = ResourceIndicator::of_form(form)?.filter(|sent| !is_bare_origin(sent)).map(meant);
        let registered = self.of_registered.as_ref().filter(|_| client.origin == ClientOrigin::Registered);
        let row = match (sent, client.resource.as_ref().or(registered)) {
            (Some(sent), Some(bound)) if sent != *bound => None,
            (Some(wanted), _) => find(&wanted),
            (None, Some(bound)) => find(bound),
            (None, None) => match (self.resources.as_slice(), &self.default) {
                ([only], _) => Some(only),
                (_, Some(default)) => find(default),
                _ => {
                    return Err(refuse(
                        Rule::ResourceMissing,
                        "there are several MCP servers here: send the URL of one as the resource",
                    ));
                }
            },
        };
        row.ok_or_else(|| {
            let words = "the resource is not an MCP server that this client may use: send the URL of one that it may \
                         use";
            refuse(Rule::ResourceUnknown, words)
        })
    }
}
