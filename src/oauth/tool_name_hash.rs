//! `ToolNameHash`: stands for the name of a tool where there is no room for its text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Digest;

/// The first 48 bits of SHA-256 of a tool's name. Names that share one count as the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToolNameHash([u8; 6]);

impl ToolNameHash {
    /// The length of its text: letters, digits, `-` and `_`.
    pub const TEXT: usize = 8;

    /// Hashes a name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let mut bytes = [0; 6];
        bytes.iter_mut().zip(Digest::<str>::of(name.as_bytes()).as_bytes()).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }

    /// Returns its text.
    #[must_use]
    pub fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Parses its text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::ToolNameHash;

    #[test]
    fn its_text_reads_back() {
        for name in ["", "a", "search_web", &"ä".repeat(9999)] {
            let hash = ToolNameHash::of(name);
            let text = hash.to_text();
            assert_eq!((text.len(), ToolNameHash::parse(&text)), (ToolNameHash::TEXT, Some(hash)), "{name}");
        }
        assert_ne!(ToolNameHash::of("a"), ToolNameHash::of("A"));
        for bad in ["", "AAAA", "AAAAAAAAAAAA", "AAAA AAA", "AAAAAAA="] {
            assert_eq!(ToolNameHash::parse(bad), None, "{bad}");
        }
    }
}
