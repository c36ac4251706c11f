//! A store that fails on demand: at one call, before or after the change, or in one of the ways that a whole store can
//! fail. It counts its calls, too.
#![allow(dead_code, reason = "each of the test programs that share it uses a part of it")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use mcpgate::store::Store;
use tokio::sync::watch;

use every_method::*;

#[path = "every_method.rs"]
#[macro_use]
mod every_method;

/// When a fault occurs within a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultPoint {
    /// Before the change: nothing is changed.
    Before,
    /// After the change: the acknowledgement is lost.
    After,
}

/// The state of the whole store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    /// Every call fails.
    Down,
    /// Every call waits until the state changes; token lookups read first and then wait.
    Held,
    /// The change log has a row that cannot be read.
    Damaged,
    /// The same, and the tokens that fill the cache are withheld until the state changes.
    DamagedAndSlow,
    /// These tokens are read, but withheld until the state changes.
    Slow,
}

pub(crate) struct FailingStore {
    pub(crate) inner: Arc<dyn Store>,
    /// The number of calls before the fault, and its point within the call.
    fault: Mutex<Option<(usize, FaultPoint)>>,
    /// The number of calls before another writer changes the store, and its change: it runs between two calls.
    pub(crate) meanwhile: Mutex<Option<(usize, BoxFuture<'static, ()>)>>,
    state: watch::Sender<State>,
    calls: Mutex<HashMap<&'static str, usize>>,
}

/// Methods that do not count towards a fault: tests and maintenance call them.
const UNCOUNTED: &[&str] = &[
    "audit_after",
    "audit_before",
    "audit_since",
    "newest_audit",
    "prune_audit",
    "change_mark",
    "changes_after",
    "newest_change",
    "clock_note",
    "note_time",
    "accept_time",
    "turn_back",
    "shorten_secrets",
    "sweep",
    "backup",
    "check",
];

impl FailingStore {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            fault: Mutex::default(),
            meanwhile: Mutex::default(),
            state: watch::Sender::new(State::Open),
            calls: Mutex::default(),
        }
    }

    /// The `n`-th call from now on (0 is the next) fails, once.
    pub(crate) fn fail_at(&self, n: usize, point: FaultPoint) {
        *self.fault.lock().unwrap() = Some((n, point));
    }

    /// Removes the fault; returns whether it occurred.
    pub(crate) fn mend(&self) -> bool {
        self.fault.lock().unwrap().take().is_none()
    }

    pub(crate) fn set(&self, state: State) {
        self.state.send_replace(state);
    }

    /// How often this method was called.
    pub(crate) fn calls(&self, name: &str) -> usize {
        self.calls.lock().unwrap().get(name).copied().unwrap_or_default()
    }

    fn figures(&self) -> StoreStats {
        self.inner.stats()
    }

    async fn before(&self, name: &'static str) -> Result<Option<FaultPoint>, StoreError> {
        *self.calls.lock().unwrap().entry(name).or_default() += 1;
        if UNCOUNTED.contains(&name) {
            return Ok(None);
        }
        let change = due(&mut self.meanwhile.lock().unwrap());
        if let Some(change) = change {
            change.await;
        }
        match due(&mut self.fault.lock().unwrap()) {
            Some(FaultPoint::Before) => Err(fault()),
            struck => Ok(struck),
        }
    }

    async fn after(&self, name: &'static str) -> Result<(), StoreError> {
        let waits = |state: State| match state {
            State::Held => true,
            State::DamagedAndSlow | State::Slow => name == "live_access_tokens",
            State::Open | State::Down | State::Damaged => false,
        };
        let mut state = self.state.subscribe();
        match *state.wait_for(|s| !waits(*s)).await.unwrap() {
            State::Damaged | State::DamagedAndSlow if name == "changes_after" => {
                Err(StoreError::Corrupt("the test says so".to_owned()))
            }
            State::Open | State::Damaged | State::DamagedAndSlow | State::Slow => Ok(()),
            State::Down | State::Held => Err(fault()),
        }
    }
}

/// Counts a call and returns the fault due at it.
fn due<T>(planned: &mut Option<(usize, T)>) -> Option<T> {
    match planned {
        Some((0, _)) => planned.take().map(|(_, what)| what),
        Some((n, _)) => {
            *n -= 1;
            None
        }
        None => None,
    }
}

fn fault() -> StoreError {
    StoreError::Unavailable("the test says so".to_owned())
}

impl Store for FailingStore {}

macro_rules! failing {
    ($($trait:ident { $(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)* $(+ $rest:item)? })*) => {
        $(#[async_trait]
        impl $trait for FailingStore {
            $(async fn $name(&self, $($arg: $type),*) -> Result<$out, StoreError> {
                let struck = self.before(stringify!($name)).await?;
                let answer = self.inner.$name($($arg),*).await;
                self.after(stringify!($name)).await?;
                if struck.is_some() { Err(fault()) } else { answer }
            })*
            $($rest)?
        })*
    };
}

every_method!(failing);
