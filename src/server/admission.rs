//! How many connections there may be: in all, and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::network::host;
use crate::telemetry::ServerEvent;

/// Counts the open connections.
#[derive(Debug, Default)]
pub(super) struct Admission {
    open: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    none_left: Notify,
}

/// A place that a connection holds while it lives.
#[derive(Debug)]
pub(super) struct Permit {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
}

impl Admission {
    /// Takes a place among `limit`.
    ///
    /// # Errors
    /// There is none left.
    pub(super) fn admit(self: &Arc<Self>, limit: usize) -> Result<Permit, ServerEvent> {
        let permit = Permit { admission: Arc::clone(self), address: None };
        // The permit is made first, so that a refusal gives the place back like any other end.
        if self.open.fetch_add(1, SeqCst) < limit { Ok(permit) } else { Err(ServerEvent::RefusedTotal) }
    }

    /// Returns the number of open connections.
    pub(super) fn open(&self) -> usize {
        self.open.load(SeqCst)
    }

    /// Waits until no connection is open. None may be admitted meanwhile.
    pub(super) async fn empty(&self) {
        loop {
            let none_left = self.none_left.notified();
            if self.open() == 0 {
                return;
            }
            none_left.await;
        }
    }
}

impl Permit {
    /// Takes a place among the `limit` of this address.
    ///
    /// # Errors
    /// There is none left.
    pub(super) fn claim(&mut self, address: IpAddr, limit: usize) -> Result<(), ServerEvent> {
        let address = host(address);
        let mut by_address = self.admission.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let open = by_address.entry(address).or_default();
        if *open >= limit {
            return Err(ServerEvent::RefusedAddress);
        }
        *open += 1;
        self.address = Some(address);
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            let mut by_address = self.admission.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(open) = by_address.get_mut(&address) {
                *open -= 1;
                if *open == 0 {
                    by_address.remove(&address);
                }
            }
        }
        if self.admission.open.fetch_sub(1, SeqCst) == 1 {
            self.admission.none_left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Admission;
    use std::sync::Arc;

    #[test]
    fn ds_05_places_are_counted_and_given_back() {
        let admission = Arc::new(Admission::default());
        let mut first = admission.admit(2).unwrap();
        let mut second = admission.admit(2).unwrap();
        assert!(admission.admit(2).is_err());
        first.claim("2001:db8::1".parse().unwrap(), 1).unwrap();
        assert!(second.claim("2001:db8::2".parse().unwrap(), 1).is_err(), "the same /64");
        second.claim("192.0.2.1".parse().unwrap(), 1).unwrap();
        drop(first);
        assert_eq!(admission.open(), 1);
        let mut third = admission.admit(2).unwrap();
        third.claim("2001:db8::3".parse().unwrap(), 1).unwrap();
        assert!(admission.admit(2).unwrap_err() == crate::telemetry::ServerEvent::RefusedTotal);
        drop((second, third));
        assert_eq!(admission.open(), 0);
        assert!(admission.by_address.lock().unwrap().is_empty());
    }
}
