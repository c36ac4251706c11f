//! Logs refused connections: one line per site and minute, so that a flood of connections does not flood the log.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::network::site;
use crate::sync::lock;
use crate::telemetry::ServerEvent;

const MINUTE: Duration = Duration::from_secs(60);

/// The most sites that get a line per minute; further ones are only counted in the metrics.
const MOST: usize = 60;

/// The configuration keys of the limits.
const KEYS: [(ServerEvent, &str); 3] = [
    (ServerEvent::RefusedTotal, "limits.connections"),
    (ServerEvent::RefusedAddress, "limits.connections_per_address"),
    (ServerEvent::RefusedSite, "limits.connections_per_site"),
];

/// The sites that had a line recently.
#[derive(Debug, Default)]
pub(super) struct RecentRefusals(Mutex<HashMap<IpAddr, Instant>>);

impl RecentRefusals {
    /// Logs that a connection from `address` was refused, unless its site already has a line.
    pub(super) fn tell(&self, event: ServerEvent, address: IpAddr) {
        let key = KEYS.iter().find(|(of, _)| *of == event).map(|(_, key)| *key);
        if !self.admit_line(address, Instant::now()) {
            return;
        }
        tracing::warn!(
            reason = event.label(),
            key,
            %address,
            "a connection was refused, because none of those that count against this limit is idle; for a minute, \
             further ones from its site are only counted"
        );
    }

    fn admit_line(&self, address: IpAddr, now: Instant) -> bool {
        let mut told = lock(&self.0);
        told.retain(|_, at| now.saturating_duration_since(*at) < MINUTE);
        let is_new = told.len() < MOST && !told.contains_key(&site(address));
        if is_new {
            told.insert(site(address), now);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ds_05_a_site_has_one_line_a_minute_and_all_of_them_together_sixty() {
        let (refused, now) = (RecentRefusals::default(), Instant::now());
        let told = |n: u32, now| refused.admit_line(IpAddr::from(n.to_be_bytes()), now);
        assert!(told(0x0a00_0001, now) && !told(0x0a00_0001, now) && !told(0x0a00_00ff, now + MINUTE / 2));
        assert_eq!((1..1000_u32).filter(|n| told(0x0a00_0001 + (n << 8), now)).count(), MOST - 1);
        assert!(told(0x0a00_0001, now + MINUTE));
    }
}
