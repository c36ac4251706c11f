//! `ProtocolVersion`: what each revision requires of methods, headers, sessions.

/// The era of a request, from its `MCP-Protocol-Version` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolVersion {
    /// No header: the rules of 2025-03-26.
    Absent,
    /// A date before 2026-07-28.
    Legacy {
        /// Whether it is 2025-03-26 or older, where batches exist.
        batches: bool,
    },
    /// 2026-07-28: POST only, no sessions, routing headers.
    Modern,
    /// A version whose rules the gateway does not know, so that such messages cannot be interpreted.
    Unknown {
        /// Whether it is a date after 2026-07-28, and so not negotiated by `initialize`.
        modern: bool,
    },
}

/// The revisions with a handshake whose rules the gateway knows.
const LEGACY_VERSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// The revisions without one, in which every request names its own.
pub const STATELESS_VERSIONS: [&str; 1] = ["2026-07-28"];
/// The first revision without sessions, GET and batches.
const FIRST_MODERN: &[u8] = b"2026-07-28";
/// The last revision with batches.
const LAST_WITH_BATCHES: &[u8] = b"2025-03-26";

impl ProtocolVersion {
    /// Reads the header's value.
    #[must_use]
    pub fn read(header: Option<&[u8]>) -> Self {
        let Some(value) = header.map(<[u8]>::trim_ascii) else { return Self::Absent };
        let is_date = value.len() == FIRST_MODERN.len()
            && value
                .iter()
                .zip(FIRST_MODERN)
                .all(|(b, like)| if *like == b'-' { *b == b'-' } else { b.is_ascii_digit() });
        // ISO 8601 dates of one length sort as bytes do.
        let modern = is_date && value >= FIRST_MODERN;
        let mut known = LEGACY_VERSIONS.iter().chain(&STATELESS_VERSIONS);
        match known.any(|known| known.as_bytes() == value) {
            false => Self::Unknown { modern },
            true if modern => Self::Modern,
            true => Self::Legacy { batches: value <= LAST_WITH_BATCHES },
        }
    }
    /// Returns whether the revision is stateless (2026-07-28 on).
    #[must_use]
    pub fn is_modern(self) -> bool {
        matches!(self, Self::Modern | Self::Unknown { modern: true })
    }
    /// Returns whether JSON-RPC batches are allowed.
    #[must_use]
    pub fn allows_batch(self) -> bool {
        matches!(self, Self::Absent | Self::Legacy { batches: true })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::ProtocolVersion::{self, Absent, Legacy, Modern, Unknown};
    use super::{LEGACY_VERSIONS, STATELESS_VERSIONS};

    /// The tests of the presets go by that file.
    #[test]
    fn the_requests_of_every_known_revision_are_listed() {
        let listed = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/client_requests.txt"));
        let lines = listed.lines().filter(|line| !line.starts_with('#'));
        let revisions: BTreeSet<&str> = lines.map(|line| line.split_once(' ').unwrap().0).collect();
        assert_eq!(revisions, LEGACY_VERSIONS.into_iter().chain(STATELESS_VERSIONS).collect());
    }

    #[test]
    fn the_version_decides_the_era() {
        let (ahead, odd) = (Unknown { modern: true }, Unknown { modern: false });
        let cases: &[(Option<&[u8]>, ProtocolVersion)] = &[
            (None, Absent),
            (Some(b"2024-11-05"), Legacy { batches: true }),
            (Some(b"2025-03-26"), Legacy { batches: true }),
            (Some(b"2025-06-18"), Legacy { batches: false }),
            (Some(b" 2025-11-25 "), Legacy { batches: false }),
            (Some(b"1999-01-01"), odd),
            (Some(b"2026-07-27"), odd),
            (Some(b"2026-07-28"), Modern),
            (Some(b"2027-01-01"), ahead),
            (Some(b""), odd),
            (Some(b"draft"), odd),
            (Some(b"2026-07-28x"), odd),
            (Some(b"2026/07/28"), odd),
            (Some("２026-07".as_bytes()), odd),
        ];
        for (header, expected) in cases {
            assert_eq!(ProtocolVersion::read(*header), *expected, "{header:?}");
        }
    }
}
