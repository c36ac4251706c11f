//! Copies of the metadata documents of large clients. Their edge servers block some data centres (claude.ai answers
//! them 403 with a page for browsers), and from there nobody could sign in without a copy.
//!
//! The copies agree with what several people who could fetch the documents have recorded. A document that can be
//! fetched always takes precedence. docs/clients.md has the date of each, and what is left out of ChatGPT's.

use crate::oauth::Timestamp;

/// A copy of a metadata document that comes with the program.
pub(in crate::issuer) struct Shipped {
    /// The URL that it is a copy of.
    pub(in crate::issuer) url: &'static str,
    /// The JSON text of the document.
    pub(in crate::issuer) content: &'static str,
    /// The day on which the document was last known to have this content.
    pub(in crate::issuer) seen: Timestamp,
}

const SHIPPED: [Shipped; 4] = [
    Shipped {
        url: "https://claude.ai/oauth/mcp-oauth-client-metadata",
        content: include_str!("publishers/claude.json"),
        // 29 September 2026.
        seen: Timestamp::from_secs(1_790_640_000),
    },
    Shipped {
        url: "https://claude.ai/oauth/claude-code-client-metadata",
        content: include_str!("publishers/claude_code.json"),
        // 1 October 2026.
        seen: Timestamp::from_secs(1_790_812_800),
    },
    Shipped {
        url: "https://chatgpt.com/oauth/client.json",
        content: include_str!("publishers/chatgpt.json"),
        // 24 September 2026.
        seen: Timestamp::from_secs(1_790_208_000),
    },
    Shipped {
        url: "https://vscode.dev/oauth/client-metadata.json",
        content: include_str!("publishers/vscode.json"),
        // 8 September 2026.
        seen: Timestamp::from_secs(1_788_825_600),
    },
];

/// Finds the copy of the document at `url`.
pub(in crate::issuer) fn copy_of(url: &str) -> Option<&'static Shipped> {
    SHIPPED.iter().find(|shipped| shipped.url == url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};
    use crate::oauth::{AuthMethod, ClientMetadata, MetadataDocumentUrl, RegistrationPolicy};

    #[test]
    fn each_shipped_document_is_a_client_that_is_sent_to_its_publisher_or_to_the_users_computer() {
        for Shipped { url, content, .. } in &SHIPPED {
            let at = MetadataDocumentUrl::parse(url, false).unwrap();
            let read = ClientMetadata::from_metadata_document(content.as_bytes(), &at, &RegistrationPolicy::default());
            let read = read.unwrap();
            assert_eq!(read.left_out, [], "{url}");
            assert_eq!(read.metadata.token_endpoint_auth_method, AuthMethod::None, "{url}");
            for redirect in read.metadata.redirect_uris.as_slice() {
                assert!(redirect.is_loopback() || redirect.display_host() == at.host(), "{url}: {}", redirect.as_str());
            }
        }
    }

    #[test]
    fn the_documentation_says_how_old_each_copy_is() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/clients.md");
        let page = std::fs::read_to_string(page).unwrap();
        for Shipped { url, seen, .. } in &SHIPPED {
            let row = format!("| `{url}` | {} |\n", seen.day());
            assert!(page.contains(&row), "{row}");
        }
    }

    #[test]
    fn the_publishers_that_are_trusted_from_the_start_have_a_copy_each() {
        let overrides =
            Overrides { up: true, upstream: Some("http://127.0.0.1:1/mcp".to_owned()), ..Overrides::default() };
        let trusted = Config::load(None, &overrides).unwrap().metadata_documents.verified_publishers;
        assert_eq!(trusted, SHIPPED.map(|shipped| shipped.url));
    }
}
