//! Names of upstreams that the operator left to the servers themselves.

use unicode_normalization::UnicodeNormalization as _;

use super::Config;

/// Returns whether a title has the host in it, as a word of its own however it is written.
fn names(title: &str, host: &str) -> bool {
    let folded = |text: &str| text.nfkc().collect::<String>().to_lowercase();
    // Brackets belong to a URL, not to an IPv6 address.
    let (title, host) = (folded(title), folded(host.trim_matches(['[', ']'])));
    let is_part = |c: char| c.is_alphanumeric() || c == '-';
    title.match_indices(&host).any(|(at, _)| {
        let (before, rest) = title.split_at(at);
        let after = rest.strip_prefix(host.as_str()).unwrap_or_default();
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

impl Config {
    /// Returns this configuration with what an upstream calls itself as its name; `None` where nothing changes. A title
    /// that holds the server's address is left alone: people who connect need not learn it.
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

    /// Takes over the titles that upstreams had in the configuration before, as far as they are where they were.
    pub fn keep_titles(&mut self, before: &Self) {
        for upstream in self.upstreams.iter_mut().filter(|upstream| upstream.takes_title) {
            let known = before.upstreams.iter().find(|known| known.name == upstream.name && known.url == upstream.url);
            if let Some(known) = known {
                upstream.display_name.clone_from(&known.display_name);
            }
        }
    }
}
