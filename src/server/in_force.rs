//! `InForce`: the configuration in force, as a snapshot at each worker and on its own for work that is part of no
//! request. Both are replaced together, at all workers at once.

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use super::worker::{Snapshot, Worker};
use crate::config::Config;
use crate::sync::lock;

/// The configuration in force, everywhere it is read from.
pub(super) struct InForce {
    config: Arc<ArcSwap<Config>>,
    workers: Vec<Arc<Worker>>,
    /// Held while the configuration is replaced, by a reload or for the display name of an upstream.
    replacing: Mutex<()>,
}

impl InForce {
    /// Takes the configuration of the use cases, and the workers that serve with its snapshot.
    pub(super) fn new(config: Arc<ArcSwap<Config>>, workers: Vec<Arc<Worker>>) -> Self {
        Self { config, workers, replacing: Mutex::default() }
    }

    /// Returns the configuration in force.
    pub(super) fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// Returns the snapshot in force.
    pub(super) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.workers.first().map(|worker| worker.snapshot())
    }

    /// Puts a snapshot in force, for open answers too, and keeps the display names that upstreams gave themselves.
    pub(super) fn adopt(&self, snapshot: Snapshot) {
        let _replacing = lock(&self.replacing);
        let mut config = Config::clone(&snapshot.config);
        config.keep_titles(&self.config.load());
        // Before requests are served by it: none must be judged by an earlier table.
        for worker in &self.workers {
            worker.proxy.adopt(&snapshot.table);
        }
        self.replace(&Snapshot { config: Arc::new(config), ..snapshot });
    }

    /// Adopts the display name that an upstream gives itself.
    pub(super) fn adopt_title(&self, upstream: &str, title: &str) {
        let _replacing = lock(&self.replacing);
        let named = self.config.load().with_title(upstream, title);
        if let (Some(config), Some(snapshot)) = (named, self.snapshot()) {
            self.replace(&Snapshot { config: Arc::new(config), ..Snapshot::clone(&snapshot) });
            tracing::info!(upstream, title, "the pages show this upstream by the name that it gives itself");
        }
    }

    /// Prepares the snapshot at every worker and then switches all of them at once: a client that one worker sends to a
    /// new upstream must find it at every other.
    fn replace(&self, snapshot: &Snapshot) {
        self.config.store(Arc::clone(&snapshot.config));
        for worker in &self.workers {
            worker.prepare(snapshot.clone());
        }
        if let Some(worker) = self.workers.first() {
            worker.process.switch.turn();
        }
        self.workers.iter().for_each(|worker| worker.drop_former());
    }
}
