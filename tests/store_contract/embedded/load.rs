//! Load: how long other writes wait while strangers begin authorizations as fast as the writer accepts them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mcpgate::store::{AuditEvent, Ephemeral, EphemeralLimits, EphemeralStep, Source, Store};

use super::opened;
use crate::wait;
use crate::world::*;

/// The gateway's limits, and the number of authorizations begun: the last third of them evicts others.
const LIMITS: EphemeralLimits = EphemeralLimits { of_host: 200, of_site: 800, of_session: 50, in_all: 20_000 };
const BEGUN: u32 = 30_000;
/// The number of concurrent writes.
const AT_ONCE: u32 = 50;
/// The longest wait allowed for another write. The machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_millis(500);

/// One of 4,000 hosts at 2,000 sites: each stays below its limit.
fn somewhere(n: u32) -> Source {
    let [_, _, a, b] = (n % 2000).to_be_bytes();
    let host = if n % 4000 < 2000 { 1 } else { 2 };
    Source { site: [10, a, b, 0].into(), host: [10, a, b, host].into() }
}

fn page(name: &str, source: Source) -> Ephemeral {
    Ephemeral { source, step: EphemeralStep::LogIn, ..interaction(name, START) }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn pending_authorizations_cost_the_writer_the_same_however_many_there_are() {
    let opened = opened();
    let store: Arc<dyn Store> = opened.store;
    wait(async {
        settle(&store).await;
        let own = page("own", Source { site: [192, 0, 2, 0].into(), host: [192, 0, 2, 1].into() });
        store.put_ephemeral(own.clone(), LIMITS).await.unwrap();
        let mut waits = Vec::new();
        for first in (0..BEGUN).step_by(AT_ONCE as usize) {
            let strangers = (first..first + AT_ONCE).map(|n| {
                let store = Arc::clone(&store);
                async move { store.put_ephemeral(page(&n.to_string(), somewhere(n)), LIMITS).await.unwrap() }
            });
            let other = async {
                let began = Instant::now();
                store.append_audit(row(AuditEvent::LoggedOut, START)).await.unwrap();
                began.elapsed()
            };
            let (_, waited) = tokio::join!(join_all(strangers), other);
            waits.push(waited);
        }
        assert!(
            store.find_ephemeral(&own.key, START).await.unwrap().is_some(),
            "the user's own authorization was evicted"
        );
        let longest = waits.iter().max().copied().unwrap();
        let third = waits.len() / 3;
        let (empty, full) = (median(waits[..third].to_vec()), median(waits[waits.len() - third..].to_vec()));
        println!("waits for the writer: {empty:?} at first, {full:?} when there is no room, {longest:?} at most");
        assert!(longest < PATIENCE, "{longest:?}");
        assert!(full < empty * 3 + Duration::from_millis(5), "{empty:?} grew to {full:?}");
    });
}
