//! Limits on open connections: in total, per site, per address. When a limit is reached, a new connection replaces the
//! one that has been waiting for its peer the longest. Some places are kept for clients that have shown a good access
//! token.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::activity::Activity;
use super::refused::RecentRefusals;
use super::table::{Member, Reclaimed, Table};
use crate::config::Limits;
use crate::network::host;
use crate::sync::lock;
use crate::telemetry::{Metrics, ServerEvent};

/// The open connections.
#[derive(Debug)]
pub(in crate::server) struct Admission {
    table: Mutex<Table>,
    /// Includes those that were reclaimed and are about to close.
    open: AtomicUsize,
    none_left: Notify,
    metrics: Arc<Metrics>,
    refused: RecentRefusals,
}

/// A place that a connection holds until it ends or is reclaimed.
#[derive(Debug)]
pub(in crate::server) struct ConnectionSlot {
    admission: Arc<Admission>,
    number: u64,
    activity: Arc<Activity>,
}

impl Admission {
    pub(in crate::server) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            table: Mutex::default(),
            open: AtomicUsize::new(0),
            none_left: Notify::new(),
            metrics,
            refused: RecentRefusals::default(),
        }
    }

    /// Admits a connection from `address`, or from a trusted proxy (`None`). If necessary, another one is told to
    /// close.
    ///
    /// # Errors
    /// A limit is reached, and every connection that could make room has a request in progress.
    pub(in crate::server) fn admit(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        limits: &Limits,
    ) -> Result<ConnectionSlot, ServerEvent> {
        let activity = Arc::new(Activity::new());
        let mut table = self.lock();
        let is_known = table.is_known(address);
        let reclaimed = table.make_room(address, is_known, limits);
        self.note(&reclaimed);
        reclaimed.event?;
        let number = table.number();
        table.insert(number, Member { activity: Arc::clone(&activity), address, is_known });
        drop(table);
        self.open.fetch_add(1, SeqCst);
        Ok(ConnectionSlot { admission: Arc::clone(self), number, activity })
    }

    /// Counts and logs a connection from `address` that was refused because of a limit.
    pub(in crate::server) fn tell(&self, event: ServerEvent, address: IpAddr) {
        self.metrics.server(event);
        self.refused.tell(event, address);
    }

    /// Returns the number of open connections.
    pub(in crate::server) fn open(&self) -> usize {
        self.open.load(SeqCst)
    }

    /// Waits until no connection is open. None may be admitted meanwhile.
    pub(in crate::server) async fn empty(&self) {
        loop {
            let none_left = self.none_left.notified();
            if self.open() == 0 {
                return;
            }
            none_left.await;
        }
    }

    fn note(&self, reclaimed: &Reclaimed) {
        (0..reclaimed.count).for_each(|_| self.metrics.server(ServerEvent::Reclaimed));
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }
}

impl ConnectionSlot {
    /// Returns what the connection is doing.
    pub(in crate::server) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Counts the connection against the limits of an address that was not known when it was admitted.
    ///
    /// # Errors
    /// As `Admission::admit`; the connection then no longer holds a place.
    pub(in crate::server) fn claim(&self, address: IpAddr, limits: &Limits) -> Result<(), ServerEvent> {
        let mut table = self.admission.lock();
        // If it was reclaimed meanwhile, it is about to close.
        let Some(member) = table.remove(self.number) else { return Ok(()) };
        let is_known = table.is_known(Some(address));
        let reclaimed = table.make_room(Some(address), is_known, limits);
        self.admission.note(&reclaimed);
        reclaimed.event?;
        table.insert(self.number, Member { address: Some(address), is_known, ..member });
        Ok(())
    }

    /// Records that a good access token was shown on the connection.
    pub(in crate::server) fn mark_known(&self) {
        if self.activity.is_known() {
            return;
        }
        self.activity.mark_known();
        let mut table = self.admission.lock();
        let Some(member) = table.remove(self.number) else { return };
        if let Some(address) = member.address {
            table.familiar.remember(host(address), Instant::now());
        }
        table.insert(self.number, Member { is_known: true, ..member });
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.admission.lock().remove(self.number);
        if self.admission.open.fetch_sub(1, SeqCst) == 1 {
            self.admission.none_left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Admission, ConnectionSlot};
    use crate::config::{Config, Limits, Overrides};
    use crate::telemetry::{Exposition, Metrics, ServerEvent};

    fn limits(all: usize, site: usize, address: usize) -> Limits {
        let folder = tempfile::tempdir().unwrap();
        let overrides = Overrides { data_dir: Some(folder.path().to_owned()), up: true, ..Overrides::default() };
        let limits = Config::load(None, &overrides).unwrap().limits;
        Limits { connections: all, connections_per_site: site, connections_per_address: address, ..limits }
    }

    struct World {
        admission: Arc<Admission>,
        metrics: Arc<Metrics>,
        limits: Limits,
        /// Advances with each connection, so that each is idle for longer than the next.
        time: Instant,
    }

    impl World {
        fn new(all: usize, site: usize, address: usize) -> Self {
            let metrics = Metrics::new(&[]);
            let admission = Arc::new(Admission::new(Arc::clone(&metrics)));
            Self { admission, metrics, limits: limits(all, site, address), time: Instant::now() }
        }

        fn open(&mut self, address: &str) -> Result<ConnectionSlot, ServerEvent> {
            let address = address.parse::<IpAddr>().unwrap();
            let permit = self.admission.admit(Some(address), &self.limits)?;
            self.time += Duration::from_millis(1);
            permit.activity().rests_since(self.time);
            Ok(permit)
        }

        /// Opens this many connections, each from another site.
        fn fill(&mut self, count: usize) -> Vec<ConnectionSlot> {
            (0..count).map(|n| self.open(&format!("10.{}.{}.1", n / 256, n % 256)).unwrap()).collect()
        }

        fn reclaimed(&self) -> usize {
            let mut out = Exposition::default();
            self.metrics.expose(&mut out);
            let text = out.finish();
            let line = text.lines().find_map(|l| l.strip_prefix(r#"mcpgate_server_events_total{event="reclaimed"} "#));
            line.unwrap().parse().unwrap()
        }
    }

    fn gone(permits: &[ConnectionSlot]) -> Vec<usize> {
        permits.iter().enumerate().filter(|(_, p)| p.activity().is_reclaimed()).map(|(n, _)| n).collect()
    }

    #[test]
    fn ds_05_places_are_counted_and_given_back() {
        let mut world = World::new(10, 10, 10);
        let permits = world.fill(9);
        assert_eq!(world.admission.open(), 9);
        drop(permits);
        assert_eq!(world.admission.open(), 0);
        let table = world.admission.lock();
        assert!(table.members.is_empty() && table.hosts.is_empty() && table.sites.is_empty());
        assert_eq!((table.strangers.len(), table.known.len()), (0, 0));
    }

    #[test]
    fn ds_05_beyond_each_bound_the_longest_idle_within_it_makes_room() {
        let mut world = World::new(100, 4, 2);
        let other = world.open("192.0.3.1").unwrap();
        let addresses = ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"];
        let permits: Vec<_> = addresses.iter().map(|address| world.open(address).unwrap()).collect();
        assert_eq!(gone(&permits), [0, 1], "one of the address, then one of the site");
        assert!(!other.activity().is_reclaimed());
        let mut world = World::new(100, 4, 2);
        let hosts = ["2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:1::3", "2001:db8:0:2::1", "2001:db8:0:3::1"];
        let permits: Vec<_> = hosts.iter().map(|address| world.open(address).unwrap()).collect();
        assert_eq!(gone(&permits), [0], "a /64 is an address");
        let _last = world.open("2001:db8:0:4::1").unwrap();
        assert_eq!(gone(&permits), [0, 1], "a /48 is a site");
        let mut world = World::new(10, 10, 10);
        let mut permits = world.fill(9);
        permits.extend(world.fill(3));
        assert_eq!((gone(&permits), world.reclaimed()), (vec![0, 1, 2], 3), "a tenth is kept");
        assert_eq!(world.admission.open(), 12, "they have not closed yet");
    }

    #[test]
    fn ds_05_a_connection_with_a_request_under_way_is_left_alone() {
        let mut world = World::new(10, 4, 2);
        let busy: Vec<_> = (1..=2).map(|n| world.open(&format!("192.0.2.{n}")).unwrap()).collect();
        for permit in &busy {
            permit.activity().begin_request();
        }
        let twin = world.open("192.0.2.1").unwrap();
        let _third = world.open("192.0.2.1").unwrap();
        assert!(twin.activity().is_reclaimed() && gone(&busy).is_empty());
        let _more = world.open("192.0.2.2").unwrap();
        let table = world.admission.lock().members.len();
        assert_eq!(table, 4);
        let all: Vec<_> = world.admission.lock().members.values().map(|m| Arc::clone(&m.activity)).collect();
        for activity in &all {
            activity.begin_request();
        }
        assert_eq!(world.open("192.0.2.1").unwrap_err(), ServerEvent::RefusedAddress);
        assert_eq!(world.open("192.0.2.3").unwrap_err(), ServerEvent::RefusedSite);
        let rest = world.fill(5);
        for permit in &rest {
            permit.activity().begin_request();
        }
        // A search that found nobody is not repeated at once.
        assert_eq!(world.open("192.0.3.1").unwrap_err(), ServerEvent::RefusedTotal);
    }

    #[test]
    fn ds_05_strangers_leave_a_share_to_those_who_have_shown_a_good_token() {
        let mut world = World::new(20, 20, 20);
        let known = [world.open("192.0.2.1").unwrap(), world.open("192.0.2.1").unwrap()];
        known.iter().for_each(ConnectionSlot::mark_known);
        let strangers = world.fill(100);
        assert!(gone(&known).is_empty(), "they were idle for longer than anybody");
        assert_eq!(gone(&strangers).len(), 100 - 18);
        // From an address where a good token was shown, a connection is admitted even if all strangers are busy.
        let left = strangers.iter().filter(|permit| !permit.activity().is_reclaimed());
        for permit in left {
            permit.activity().begin_request();
        }
        assert_eq!(world.open("192.0.3.1").unwrap_err(), ServerEvent::RefusedTotal);
        let third = world.open("192.0.2.1").unwrap();
        assert_eq!(gone(&known), [0], "in the place of one of its own");
        // Beyond their share, known connections make room like all others.
        drop((strangers, third));
        let many: Vec<_> = (0..20).map(|_| world.open("192.0.2.1").unwrap()).collect();
        assert_eq!((gone(&known), gone(&many)), (vec![0, 1], vec![]));
        let _stranger = world.open("192.0.3.1").unwrap();
        assert_eq!(gone(&many), [0]);
    }

    #[test]
    fn ds_05_a_proxys_connections_count_for_the_clients_it_names() {
        let mut world = World::new(10, 10, 1);
        let proxied: Vec<_> = (0..3).map(|_| world.admission.admit(None, &world.limits).unwrap()).collect();
        let client: IpAddr = "192.0.2.1".parse().unwrap();
        proxied[0].claim(client, &world.limits).unwrap();
        proxied[1].claim(client, &world.limits).unwrap();
        assert_eq!(gone(&proxied), [0]);
        proxied[1].activity().begin_request();
        assert_eq!(proxied[2].claim(client, &world.limits), Err(ServerEvent::RefusedAddress));
        assert!(world.open("192.0.2.1").is_err());
        drop(proxied);
        world.open("192.0.2.1").unwrap();
    }
}
