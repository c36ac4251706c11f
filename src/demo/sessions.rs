//! Sessions, for the revisions that have them.

use std::collections::VecDeque;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::watch;

use crate::entropy::{Entropy, SystemEntropy};
use crate::sync::lock;

/// The most sessions, more than a demonstration needs; beyond that the oldest is dropped.
const MAX_SESSIONS: usize = 1000;

#[derive(Debug)]
struct Session {
    id: String,
    version: &'static str,
    ended: watch::Sender<bool>,
}

/// All sessions, oldest first.
#[derive(Debug, Default)]
pub(super) struct DemoSessions {
    open: Mutex<VecDeque<Session>>,
    entropy: SystemEntropy,
}

impl DemoSessions {
    fn with<T>(&self, act: impl FnOnce(&mut VecDeque<Session>) -> T) -> T {
        act(&mut lock(&self.open))
    }

    /// Opens a session of a revision and returns its id.
    pub(super) fn open(&self, version: &'static str) -> String {
        let id = URL_SAFE_NO_PAD.encode(self.entropy.random_16());
        let session = Session { id: id.clone(), version, ended: watch::Sender::new(false) };
        self.with(|open| {
            if open.len() >= MAX_SESSIONS {
                open.pop_front();
            }
            open.push_back(session);
        });
        id
    }

    /// The revision of a session, and the signal of its end.
    pub(super) fn find(&self, id: &str) -> Option<(&'static str, watch::Receiver<bool>)> {
        self.with(|open| open.iter().find(|s| s.id == id).map(|s| (s.version, s.ended.subscribe())))
    }

    /// Ends a session; returns whether there was one.
    pub(super) fn end(&self, id: &str) -> bool {
        self.with(|open| {
            let at = open.iter().position(|s| s.id == id);
            at.and_then(|at| open.remove(at)).map(|s| s.ended.send_replace(true)).is_some()
        })
    }
}
