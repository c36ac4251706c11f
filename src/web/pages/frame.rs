//! `Frame`: what `layout.html` shows around the content of a page.

use super::assets;
use crate::config::{Config, PageLinks};

/// What every page shows around its content.
pub struct Frame<'a> {
    /// The operator's name for this gateway.
    pub product: &'a str,
    /// The path of the public URL, which all our own pages are below.
    pub path: &'a str,
    /// The path of the style sheet.
    pub style: String,
    /// The path of the logo.
    pub logo: String,
    /// The media type of the logo.
    pub logo_type: &'static str,
    /// Whether the logo is the operator's, which may have any width.
    pub logo_is_own: bool,
    /// The operator's own pages.
    pub links: &'a PageLinks,
}

impl<'a> Frame<'a> {
    /// Takes the values from the configuration.
    #[must_use]
    pub fn new(config: &'a Config) -> Self {
        let (logo, logo_type) = assets::logo(config);
        Self {
            product: &config.login.product_name,
            path: &config.public_path,
            style: format!("{}{}", config.public_path, assets::STYLE.path),
            logo: format!("{}{logo}", config.public_path),
            logo_type,
            logo_is_own: config.login.logo.is_some(),
            links: &config.login.links,
        }
    }

    /// Returns the operator's pages that every page links to, each with its link text.
    pub fn footer(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let PageLinks { support, privacy, terms } = self.links;
        let links = [(support, "Support"), (privacy, "Privacy"), (terms, "Terms of use")];
        links.into_iter().filter_map(|(url, words)| Some((url.as_deref()?, words)))
    }
}
