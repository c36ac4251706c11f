//! `GrantType`: the grant types that this server supports (RFC 6749 1.3).

macro_rules! grant_types {
    ($($(#[$doc:meta])* $grant:ident = $text:literal;)*) => {
        /// The grant types of RFC 6749 that this server supports.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum GrantType { $($(#[$doc])* $grant,)* }

        impl GrantType {
            /// All grant types, in the order used in metadata and registrations.
            pub const ALL: &'static [Self] = &[$(Self::$grant,)*];

            /// Returns the registered name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$grant => $text,)* }
            }
        }
    };
}

grant_types! {
    /// The authorization code grant (RFC 6749 4.1).
    AuthorizationCode = "authorization_code";
    /// The client credentials grant (RFC 6749 4.4).
    ClientCredentials = "client_credentials";
    /// The refresh token grant (RFC 6749 6).
    RefreshToken = "refresh_token";
    /// A signed assertion as a grant (RFC 7523 2.1): a client acts for a person who is absent.
    JwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
}

impl GrantType {
    /// Parses the registered name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|grant| grant.as_str() == text)
    }

    /// Returns whether nobody is asked before a client gets a token by such a grant.
    #[must_use]
    pub const fn is_without_person(self) -> bool {
        match self {
            Self::ClientCredentials | Self::JwtBearer => true,
            Self::AuthorizationCode | Self::RefreshToken => false,
        }
    }

    /// Returns the registered names of all grant types.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|grant| grant.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::GrantType;
    use crate::oauth::{AuthorizationServerMetadata, Brand, Form, Rule, TokenKeys, TokenRequest};

    #[test]
    fn every_grant_type_is_one_of_metadata_of_the_token_endpoint_and_of_its_words() {
        let names: Vec<_> = GrantType::names().collect();
        let metadata = AuthorizationServerMetadata::new("https://gw", Vec::new(), true, true);
        assert_eq!(metadata.grant_types_supported, names);
        assert_eq!(Rule::GrantTypeUnsupported.expected(), names.join(" or "));
        let keys = TokenKeys::new(vec![(1, [1; 32])], Brand::parse("mcp").unwrap()).unwrap();
        for name in names {
            assert_eq!(GrantType::parse(name).unwrap().as_str(), name);
            // Without its other parameters: an error, if there is one, is about a missing one.
            let form = Form::parse(format!("grant_type={name}").as_bytes()).unwrap();
            let error = TokenRequest::read(&form, &keys).err();
            assert!(error.is_none_or(|e| e.rule() != Rule::GrantTypeUnsupported), "{name}");
        }
        let form = Form::parse(b"grant_type=password").unwrap();
        assert!(TokenRequest::read(&form, &keys).is_err_and(|e| e.rule() == Rule::GrantTypeUnsupported));
    }
}
