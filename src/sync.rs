//! Locks that stay usable after a panic of their holder, and work that is repeated on a thread of its own. The values
//! in the locks are still consistent after a panic, because every critical section of this program changes one value at
//! a time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// Locks a mutex.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks a read-write lock for reading.
pub fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks a read-write lock for writing.
pub fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `turn` repeatedly on a thread of its own, with `pause` in between, until the returned future is dropped. For
/// work that polls: a pause costs one system call here but several on a runtime, and `turn` may read files. What `turn`
/// owns may outlive the future by one call.
///
/// # Panics
/// When `turn` panics.
pub async fn repeat(pause: Duration, mut turn: impl FnMut() + Send + 'static) {
    /// Ends the thread when it is dropped.
    struct Until(Arc<(Mutex<bool>, Condvar)>);
    impl Drop for Until {
        fn drop(&mut self) {
            *lock(&self.0.0) = true;
            self.0.1.notify_one();
        }
    }
    let until = Until(Arc::default());
    let ended = Arc::clone(&until.0);
    let thread = tokio::task::spawn_blocking(move || {
        loop {
            turn();
            let waited = ended.1.wait_timeout_while(lock(&ended.0), pause, |ended| !*ended);
            if *waited.unwrap_or_else(PoisonError::into_inner).0 {
                return;
            }
        }
    });
    match thread.await.map_err(tokio::task::JoinError::try_into_panic) {
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime is shutting down.
        Ok(()) | Err(Err(_)) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use super::*;

    #[tokio::test]
    async fn what_is_repeated_ends_with_whoever_waits_for_it() {
        let turns = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&turns);
        let repeated = repeat(Duration::from_millis(1), move || {
            counted.fetch_add(1, SeqCst);
        });
        assert!(tokio::time::timeout(Duration::from_millis(100), repeated).await.is_err());
        assert!(turns.load(SeqCst) > 2, "{turns:?}");
        // The thread lets go of what it was given.
        while Arc::strong_count(&turns) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    #[should_panic(expected = "a defect")]
    async fn a_panic_of_what_is_repeated_is_one_of_whoever_waits_for_it() {
        repeat(Duration::ZERO, || panic!("a defect")).await;
    }
}
