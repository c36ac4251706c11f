//! Resolves names: the system's resolver blocks and cannot be cancelled, so it gets a limited number of threads.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The most concurrent look-ups. Names whose servers do not answer occupy a thread for as long as the resolver tries
/// (some 20 seconds), however soon we give up.
const AT_ONCE: usize = 32;

/// The bounded resolver.
#[derive(Debug)]
pub(super) struct BoundedResolver(Arc<Semaphore>);

impl BoundedResolver {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }

    /// Returns the addresses of a host; `None` if it has none, or none in time (CI-20). The system's search list may
    /// apply, which does no harm because the certificate must name the host itself.
    pub(super) async fn addresses(&self, host: &str, port: u16, limit: Duration) -> Option<Vec<SocketAddr>> {
        let host = host.to_owned();
        let ask = move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
        timeout(limit, self.blocking(ask)).await.ok()?
    }

    async fn blocking<T: Send + 'static>(&self, ask: impl FnOnce() -> io::Result<T> + Send + 'static) -> Option<T> {
        let place = Arc::clone(&self.0).acquire_owned().await.ok()?;
        let answer = tokio::task::spawn_blocking(move || {
            let answer = ask();
            // Released here, when the thread is free, and not when the caller has given up.
            drop(place);
            answer
        });
        answer.await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::transport::DNS_TIME;
    use super::*;
    use tokio::time::Instant;

    #[tokio::test]
    async fn ci_20_a_name_is_given_up_when_its_time_is_over() {
        let busy = BoundedResolver(Arc::new(Semaphore::new(0)));
        let (began, limit) = (Instant::now(), Duration::from_millis(50));
        assert_eq!(busy.addresses("c.example", 443, limit).await, None);
        assert!(began.elapsed() >= limit && began.elapsed() < DNS_TIME);
        assert_eq!(DNS_TIME, Duration::from_secs(3));
    }

    #[tokio::test]
    async fn a_look_up_that_was_given_up_keeps_its_place_until_it_returns() {
        let lookup = BoundedResolver(Arc::new(Semaphore::new(1)));
        let (release, hang) = std::sync::mpsc::channel::<()>();
        let soon = Duration::from_millis(50);
        let hung = timeout(soon, lookup.blocking(move || Ok(hang.recv().is_err()))).await;
        assert!(hung.is_err(), "nobody waits for it any longer");
        let next = timeout(soon, lookup.blocking(|| Ok(()))).await;
        assert!(next.is_err(), "its thread is still busy: no second one is started");
        drop(release);
        assert_eq!(lookup.blocking(|| Ok(7)).await, Some(7));
    }
}
