//! One store that is open twice, as by a server and a command: calls alternate between the handles, so that each must
//! find the writes of the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use mcpgate::store::Store;

use crate::every_method::*;

/// Methods that are meaningful within one process only: SQLite's `data_version` compares with earlier answers of the
/// same connection.
const OF_ONE_PROCESS: &[&str] = &["change_mark"];

pub(crate) struct TwoHandles {
    handles: [Arc<dyn Store>; 2],
    /// Whether the last call went to the second handle.
    was_second: AtomicBool,
}

impl TwoHandles {
    pub(crate) fn new(handles: [Arc<dyn Store>; 2]) -> Self {
        Self { handles, was_second: AtomicBool::new(true) }
    }

    fn handle(&self, method: &str) -> &dyn Store {
        let [first, second] = &self.handles;
        let is_first = OF_ONE_PROCESS.contains(&method) || self.was_second.fetch_xor(true, Ordering::Relaxed);
        if is_first { first.as_ref() } else { second.as_ref() }
    }

    /// The sum of both handles' figures.
    fn figures(&self) -> StoreStats {
        let [first, second] = [self.handles[0].stats(), self.handles[1].stats()];
        StoreStats { operations: first.operations + second.operations, ..first }
    }
}

macro_rules! alternating {
    ($($trait:ident { $(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)* $(+ $rest:item)? })*) => {
        $(#[async_trait]
        impl $trait for TwoHandles {
            $(async fn $name(&self, $($arg: $type),*) -> Result<$out, StoreError> {
                self.handle(stringify!($name)).$name($($arg),*).await
            })*
            $($rest)?
        })*
    };
}

every_method!(alternating);

impl Store for TwoHandles {}
