//! `SignInOrigin`: from which address and with which program somebody signed in, so that a person or an operator can
//! tell a session apart from the others. No decision depends on it.

use std::net::IpAddr;

use super::is_shown;

/// The most characters that are kept of a user agent. Those of browsers have about 120.
const MAX_USER_AGENT: usize = 200;

/// Where somebody signed in from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInOrigin {
    /// The address, as it was when they signed in.
    pub address: IpAddr,
    user_agent: Option<String>,
}

impl SignInOrigin {
    /// Makes it from an address and from what the browser says of itself (RFC 9110 10.1.5), which anybody can choose:
    /// it becomes one line of bounded length, without characters that control a terminal or hide.
    #[must_use]
    pub fn new(address: IpAddr, user_agent: Option<&str>) -> Self {
        // Bounded before it is cleaned: what is invisible does not count, but only so much is looked at.
        let bounded = user_agent.unwrap_or_default().chars().take(4 * MAX_USER_AGENT);
        let shown: String = bounded.map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| is_shown(*c)).collect();
        let line = shown.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        let user_agent: String = line.chars().take(MAX_USER_AGENT).collect();
        Self { address, user_agent: Some(user_agent.trim_end().to_owned()).filter(|text| !text.is_empty()) }
    }

    /// Returns what the store holds, which was cleaned before it was stored.
    #[must_use]
    pub fn from_stored(address: IpAddr, user_agent: Option<String>) -> Self {
        Self { address, user_agent }
    }

    /// Returns what the browser said of itself, if it did.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(user_agent: &str) -> Option<String> {
        SignInOrigin::new([192, 0, 2, 7].into(), Some(user_agent)).user_agent
    }

    #[test]
    fn a_user_agent_is_one_short_line_that_can_be_shown() {
        for (sent, shown) in [
            ("Mozilla/5.0 (X11; Linux x86_64)", Some("Mozilla/5.0 (X11; Linux x86_64)")),
            ("a\u{1b}[31mb\r\n c\u{202e}d\u{0}", Some("a[31mb cd")),
            (" \t ", None),
            ("", None),
        ] {
            assert_eq!(kept(sent).as_deref(), shown, "{sent:?}");
        }
        assert_eq!(kept(&"\u{e9}".repeat(10_000)).unwrap().chars().count(), MAX_USER_AGENT);
        assert_eq!(kept(&format!("{}x", "\u{200b}".repeat(10_000))), None);
        let long = kept(&"word ".repeat(100)).unwrap();
        assert!(long.chars().count() <= MAX_USER_AGENT && long.ends_with("word"), "{long:?}");
    }
}
