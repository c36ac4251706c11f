//! The store's contract: one suite, every store. A failure means that a store breaks a promise that the use cases rely
//! on: single use, atomic deeds, revocation that reaches every token, an audit row beside every deed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test may stop at the first surprise"
)]

use std::sync::Arc;

use mcpgate::store::memory::MemoryStore;
use mcpgate::store::{EmbeddedStore, Store};

mod accounts;
mod audit;
mod changes;
mod clients;
mod clock;
mod codes;
mod decisions;
mod embedded;
mod ephemeral;
mod grants;
mod logins;
mod lost_answers;
mod processes;
mod races;
#[path = "../support/records.rs"]
mod records;
mod refresh;
mod services;
mod sessions;
mod sweep;
mod world;

/// Makes a test of each case for each store.
#[macro_export]
macro_rules! on_every_store {
    ($($case:ident),+ $(,)?) => {
        mod on_memory {
            $(#[test] fn $case() { $crate::run_on_memory(super::$case); })+
        }
        mod on_embedded {
            $(#[test] fn $case() { $crate::run_on_embedded(super::$case); })+
        }
    };
}

/// Lets a future run to its end on this thread.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(crate) fn run_on_memory<F: Future<Output = ()>>(case: impl FnOnce(Arc<dyn Store>) -> F) {
    wait(case(Arc::new(MemoryStore::new())));
}

/// Besides the case itself, the whole file must stand every check afterwards.
pub(crate) fn run_on_embedded<F: Future<Output = ()>>(case: impl FnOnce(Arc<dyn Store>) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> =
        Arc::new(EmbeddedStore::open(&folder.path().join("mcpgate.db"), None, world::START).unwrap());
    wait(async {
        case(Arc::clone(&store)).await;
        assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    });
}
