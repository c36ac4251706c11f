//! One worker: a thread with a runtime of its own, its connections, its upstream connections, its counters. It shares
//! the token cache and the route table with other cores.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::connection::activity::Activity;
use super::connection::admission::Admission;
use super::host::HostsOfListeners;
use super::switch::{Slots, Switch};
use super::tls::acceptor::ListenerTls;
use crate::clock::Clock;
use crate::config::Config;
use crate::endpoints::Endpoints;
use crate::entropy::Entropy;
use crate::proxy::{Proxy, RouteTable, Sessions};
use crate::sync::lock;
use crate::telemetry::Metrics;
use crate::token_cache::TokenCache;
use crate::web::RequestId;

/// What all workers share, none of it written while requests are served.
pub(super) struct Process {
    pub(super) endpoints: Endpoints,
    pub(super) metrics: Arc<Metrics>,
    pub(super) admission: Arc<Admission>,
    pub(super) cache: Arc<TokenCache>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) draining: AtomicBool,
    /// Which snapshot is in force, at every worker.
    pub(super) switch: Switch,
}

/// A configuration with everything built from it; replaced as a whole, so that no request sees two of them.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub(super) config: Arc<Config>,
    pub(super) table: Arc<RouteTable>,
    pub(super) hosts: Arc<HostsOfListeners>,
    pub(super) tls: Option<ListenerTls>,
}

/// A worker's state, used by its own thread only.
pub(super) struct Worker {
    pub(super) process: Arc<Process>,
    pub(super) proxy: Proxy,
    /// A snapshot per worker, so that loading it does not touch another core's cache line.
    snapshots: Slots<Snapshot>,
    ids: RequestIds,
    open: AtomicUsize,
    connections: Mutex<HashMap<u64, Arc<Activity>>>,
}

impl Worker {
    /// Makes a worker that serves with this snapshot.
    pub(super) fn new(process: Arc<Process>, snapshot: Snapshot, entropy: &dyn Entropy) -> Self {
        let (cache, clock, metrics) =
            (Arc::clone(&process.cache), Arc::clone(&process.clock), process.metrics.worker());
        Self {
            proxy: Proxy::new(cache, clock, metrics, Arc::clone(&process.sessions)),
            process,
            snapshots: Slots::new(snapshot),
            ids: RequestIds::new(entropy.random_16()),
            open: AtomicUsize::new(0),
            connections: Mutex::default(),
        }
    }

    /// Prepares the snapshot that the next turn of the switch puts in force.
    pub(super) fn prepare(&self, snapshot: Snapshot) {
        self.snapshots.prepare(&self.process.switch, snapshot);
    }

    /// Drops the former snapshot after the switch: it holds keys and routes that may have been withdrawn.
    pub(super) fn drop_former(&self) {
        self.snapshots.drop_former(&self.process.switch);
    }

    /// Returns the snapshot to serve a request with.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.load(&self.process.switch)
    }

    /// Returns a new request id.
    pub(super) fn request_id(&self) -> RequestId {
        self.ids.next()
    }

    /// Returns a number from 0 to 99 that differs from one call to the next.
    pub(super) fn jitter(&self) -> u32 {
        u32::try_from(self.ids.place().wrapping_mul(37) % 100).unwrap_or(0)
    }

    /// Returns the number of the worker's connections.
    pub(super) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Registers a connection, so that it can be told to end, until the entry is dropped.
    pub(super) fn enter(self: &Arc<Self>, activity: &Arc<Activity>) -> RegisteredConnection {
        let key = self.ids.place();
        self.lock().insert(key, Arc::clone(activity));
        // Draining may have begun since the connection was accepted, and then nobody else will tell it.
        if self.process.draining.load(Relaxed) {
            activity.wind_down();
        }
        RegisteredConnection { worker: Arc::clone(self), key }
    }

    /// Tells all connections to end when their requests have ended. `Process::draining` is set before.
    pub(super) fn wind_down(&self) {
        self.lock().values().for_each(|activity| activity.wind_down());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Activity>>> {
        lock(&self.connections)
    }
}

/// A connection among a worker's connections.
pub(super) struct RegisteredConnection {
    worker: Arc<Worker>,
    key: u64,
}

impl Drop for RegisteredConnection {
    fn drop(&mut self) {
        self.worker.lock().remove(&self.key);
    }
}

/// Counts a connection as one of a worker's, from being handed over to its end.
pub(super) struct OpenConnection(Arc<Worker>);

impl OpenConnection {
    /// Counts one more connection.
    pub(super) fn of(worker: &Arc<Worker>) -> Self {
        worker.open.fetch_add(1, Relaxed);
        Self(Arc::clone(worker))
    }

    /// Returns the worker that counts it.
    pub(super) fn worker(&self) -> &Arc<Worker> {
        &self.0
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// Makes request ids: 128 unique bits without a system call each time. They are not secret.
#[derive(Debug)]
struct RequestIds {
    prefix: [u8; 8],
    offset: u64,
    count: AtomicU64,
}

impl RequestIds {
    fn new(random: [u8; 16]) -> Self {
        let (mut prefix, mut offset) = ([0; 8], [0; 8]);
        prefix.iter_mut().chain(&mut offset).zip(random).for_each(|(to, from)| *to = from);
        Self { prefix, offset: u64::from_be_bytes(offset), count: AtomicU64::new(0) }
    }

    /// Returns the next number of this worker's counter.
    fn place(&self) -> u64 {
        self.count.fetch_add(1, Relaxed)
    }

    fn next(&self) -> RequestId {
        // Multiplying by an odd constant maps every counter value to a different number unlike its neighbours. The last
        // bit is the same in all ids.
        let number = (self.offset ^ self.place().wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 1;
        let mut bits = [0; 16];
        let (high, low) = bits.split_at_mut(8);
        high.copy_from_slice(&self.prefix);
        low.copy_from_slice(&number.to_be_bytes());
        RequestId::new(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::RequestIds;
    use std::collections::HashSet;

    #[test]
    fn request_ids_differ() {
        let (one, two) = (RequestIds::new([7; 16]), RequestIds::new([8; 16]));
        let ids: HashSet<_> = (0..1000).flat_map(|_| [one.next(), two.next()]).collect();
        assert_eq!(ids.len(), 2000);
    }
}
