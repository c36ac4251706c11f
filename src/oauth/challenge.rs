//! `BearerChallenge`: the `WWW-Authenticate` value (RFC 6750 3, RFC 9728 5.1).

use super::ScopeSet;

/// A Bearer challenge; without `error` when the request had no credentials (RFC 6750 3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BearerChallenge<'a> {
    /// `invalid_token`, `insufficient_scope`, `invalid_request`, or none.
    pub error: Option<&'static str>,
    /// Printable ASCII without quote and backslash.
    pub error_description: Option<&'a str>,
    /// The scopes that the client should request.
    pub scope: Option<&'a ScopeSet>,
    /// Absolute URL of the protected resource metadata.
    pub resource_metadata: &'a str,
}

impl BearerChallenge<'_> {
    /// Returns the header value, all members quoted, `Bearer` first.
    #[must_use]
    pub fn to_header(&self) -> String {
        let scope = self.scope.filter(|scope| !scope.is_empty()).map(ToString::to_string);
        let mut header = "Bearer".to_owned();
        let mut separator = " ";
        for (name, value) in [
            ("error", self.error),
            ("error_description", self.error_description),
            ("resource_metadata", Some(self.resource_metadata)),
            ("scope", scope.as_deref()),
        ] {
            let Some(value) = value else { continue };
            header.push_str(separator);
            header.push_str(name);
            header.push_str("=\"");
            // RFC 6750 3: only %x20-21 %x23-5B %x5D-7E are allowed here; anything else would end the quoted string.
            header.extend(value.chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')));
            header.push('"');
            separator = ", ";
        }
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = "https://gw/.well-known/oauth-protected-resource/mcp";

    #[test]
    fn no_credentials_no_error() {
        let scope = ScopeSet::parse("b a").unwrap();
        let challenge =
            BearerChallenge { error: None, error_description: None, scope: Some(&scope), resource_metadata: METADATA };
        assert_eq!(challenge.to_header(), format!("Bearer resource_metadata=\"{METADATA}\", scope=\"a b\""));
    }

    #[test]
    fn a_description_cannot_leave_its_quotes() {
        let challenge = BearerChallenge {
            error: Some("invalid_token"),
            error_description: Some("x\", error=\"\\y\r\nSet-Cookie: z\u{e9}"),
            scope: Some(&ScopeSet::default()),
            resource_metadata: METADATA,
        };
        assert_eq!(
            challenge.to_header(),
            format!(
                "Bearer error=\"invalid_token\", error_description=\"x, error=ySet-Cookie: z\", \
                 resource_metadata=\"{METADATA}\""
            )
        );
    }
}
