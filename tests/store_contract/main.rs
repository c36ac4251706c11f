//! The store's contract: one suite, every store. A failure means that a store breaks a promise that the use cases rely
//! on: single use, atomic operations, revocation that reaches every token, an audit row with every change.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test may stop at the first surprise"
)]

use std::path::Path;
use std::sync::Arc;

use mcpgate::store::memory::MemoryStore;
use mcpgate::store::{EmbeddedStore, Store};

mod accounts;
mod acting;
mod audit;
mod catalogue;
mod changes;
mod client_changes;
mod client_decisions;
mod clients;
mod clock;
mod codes;
mod decisions;
mod embedded;
mod ephemeral;
#[path = "../support/every_method.rs"]
#[macro_use]
mod every_method;
mod grants;
mod groups;
mod keys;
mod left_out;
mod logins;
mod lost_answers;
mod processes;
mod quotas;
mod races;
#[path = "../support/records.rs"]
mod records;
mod refresh;
mod services;
mod sessions;
mod sweep;
mod tables;
mod two_handles;
mod world;

use two_handles::TwoHandles;

/// Makes a test of each case for each store, and for two handles of one store.
#[macro_export]
macro_rules! on_every_store {
    ($($case:ident),+ $(,)?) => {
        mod on_memory {
            $(#[test] fn $case() { $crate::run_on_memory(super::$case); })+
        }
        mod on_embedded {
            $(#[test] fn $case() { $crate::run_on_embedded(super::$case); })+
        }
        mod on_two_handles {
            $(#[test] fn $case() { $crate::run_on_two_handles(super::$case); })+
        }
    };
}

/// Runs a future to completion on this thread.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(crate) fn run_on_memory<F: Future<Output = ()>>(case: impl FnOnce(Arc<dyn Store>) -> F) {
    wait(case(Arc::new(MemoryStore::new())));
}

fn open(folder: &Path) -> Arc<dyn Store> {
    Arc::new(EmbeddedStore::open(&folder.join("mcpgate.db"), None, world::START).unwrap())
}

pub(crate) fn run_on_embedded<F: Future<Output = ()>>(case: impl FnOnce(Arc<dyn Store>) -> F) {
    let folder = tempfile::tempdir().unwrap();
    run_and_check(case, open(folder.path()));
}

pub(crate) fn run_on_two_handles<F: Future<Output = ()>>(case: impl FnOnce(Arc<dyn Store>) -> F) {
    let folder = tempfile::tempdir().unwrap();
    run_and_check(case, Arc::new(TwoHandles::new([(); 2].map(|()| open(folder.path())))));
}

/// After the case, the file must also pass every check.
fn run_and_check<F: Future<Output = ()>>(case: impl FnOnce(Arc<dyn Store>) -> F, store: Arc<dyn Store>) {
    wait(async {
        case(Arc::clone(&store)).await;
        assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    });
}
