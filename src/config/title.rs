//! Display names that upstreams give themselves, where the operator has set none.

use unicode_normalization::UnicodeNormalization as _;

use super::Config;

/// Returns whether a title contains the host as a separate word, in any spelling.
fn names(title: &str, host: &str) -> bool {
    let folded = |text: &str| text.nfkc().collect::<String>().to_lowercase();
    // Brackets belong to the URL, not to the IPv6 address.
    let (title, host) = (folded(title), folded(host.trim_matches(['[', ']'])));
    let is_part = |c: char| c.is_alphanumeric() || c == '-';
    title.match_indices(&host).any(|(at, _)| {
        let (before, rest) = title.split_at(at);
        let after = rest.strip_prefix(host.as_str()).unwrap_or_default();
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

impl Config {
    /// Returns this configuration with an upstream's own title as its display name; `None` if nothing changes. A title
    /// that contains the server's address is ignored, since users should not learn it.
    #[must_use]
    pub fn with_title(&self, upstream: &str, title: &str) -> Option<Self> {
        let at = self.upstreams.iter().position(|known| {
            known.name == upstream
                && known.takes_title
                && known.display_name != title
                && !known.url.host_str().is_some_and(|host| names(title, host))
        })?;
        let mut changed = self.clone();
        title.clone_into(&mut changed.upstreams.get_mut(at)?.display_name);
        Some(changed)
    }

    /// Keeps the titles that upstreams had in the previous configuration, if their URL is the same.
    pub fn keep_titles(&mut self, before: &Self) {
        for upstream in self.upstreams.iter_mut().filter(|upstream| upstream.takes_title) {
            let known = before.upstreams.iter().find(|known| known.name == upstream.name && known.url == upstream.url);
            if let Some(known) = known {
                upstream.display_name.clone_from(&known.display_name);
            }
        }
    }
}
