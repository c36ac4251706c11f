//! Reloads the configuration of a running gateway: it is read, checked and adopted as a whole, or not at all. The keys
//! are reread with it but adopted independently.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::build::Builder;
use super::fetch::ExchangeableDialer;
use super::in_force::InForce;
use super::offered_tools::ToolsInForce;
use super::operator::Operator;
use crate::config::{Config, Overrides, TlsConfig};
use crate::data_dir::keys::{self, Keys};
use crate::files;
use crate::issuer::Issuer;
use crate::telemetry::ServerEvent;

/// The longest wait for changes to settle: a folder that keeps changing must not delay a reload for ever.
const LONGEST: Duration = Duration::from_secs(5);
/// How long nothing must have changed before a reload: files are rarely written in one go, and certificate and key are
/// two files.
const SETTLE: Duration = Duration::from_millis(500);

/// What a reload needs.
pub(super) struct Reloader {
    pub(super) file: Option<PathBuf>,
    pub(super) overrides: Overrides,
    pub(super) builder: Builder,
    pub(super) in_force: Arc<InForce>,
    pub(super) dialer: Arc<ExchangeableDialer>,
    pub(super) tools: Arc<ToolsInForce>,
    pub(super) operator: Arc<Operator>,
    pub(super) issuer: Arc<Issuer>,
}

impl Reloader {
    /// Rereads the keys, the configuration and all files it names, and adopts them, or logs why not.
    pub(super) fn reload(&self) {
        self.reload_keys();
        let metrics = &self.operator.process.metrics;
        let adopted = self.adopt();
        self.operator.reloads.note(adopted.is_ok(), self.operator.process.clock.now());
        match adopted {
            Ok(()) => {
                metrics.server(ServerEvent::ConfigurationReloaded);
                tracing::info!(event = "config.reloaded", "the new configuration is in force");
            }
            Err(problems) => {
                metrics.server(ServerEvent::ConfigurationRejected);
                for problem in &problems {
                    tracing::error!(event = "config.rejected", %problem, "the new configuration is refused");
                }
                tracing::error!(event = "config.rejected", "keeping the current configuration");
            }
        }
    }

    /// Adopts the keys as they are in the files now, whatever happens to the configuration: a removed key must not stay
    /// in use because of a fault elsewhere.
    fn reload_keys(&self) {
        let config = self.in_force.config();
        match keys::load(&config.data_dir, &config.brand) {
            Ok(Keys { token, session, ticket_secrets }) => {
                self.builder.tls.tickets.exchange(&ticket_secrets);
                let tokens = self.issuer.exchange_keys(&Arc::new(token));
                let sessions = self.operator.process.sessions.exchange_key(&session);
                if tokens || sessions {
                    tracing::warn!(event = "keys.reloaded", "the keys have changed, and the new ones are in force");
                }
            }
            Err(error) => tracing::error!(event = "keys.rejected", %error, "keeping the current keys"),
        }
    }

    fn adopt(&self) -> Result<(), Vec<String>> {
        let words = |problems: Vec<_>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        let config = Config::load(self.file.as_deref(), &self.overrides).map_err(words)?;
        let fixed = self.in_force.config().needs_restart(&config);
        if !fixed.is_empty() {
            return Err(fixed.iter().map(|key| format!("{key}: only a restart can change it")).collect());
        }
        let serving = self.in_force.snapshot();
        let before = serving.as_ref().map(|snapshot| &*snapshot.table);
        let built = self.builder.snapshot(config, before).map_err(|error| vec![error.to_string()])?;
        self.follow_tables(&built.snapshot.config)?;
        // Nothing can fail from here on.
        self.dialer.exchange(built.dialer);
        self.tools.exchange(&built.snapshot);
        self.in_force.adopt(built.snapshot.clone());
        self.operator.upstreams.watch(&built.snapshot.table);
        self.operator.certificate_ends.store(built.certificate_ends, Relaxed);
        Ok(())
    }

    /// Makes the store as the clients and accounts of a new configuration say, on a thread that may block.
    fn follow_tables(&self, config: &Arc<Config>) -> Result<(), Vec<String>> {
        let followed = Handle::current().block_on(self.issuer.follow_tables(Arc::clone(config)));
        followed.map_err(|error| error.to_string().lines().map(str::to_owned).collect())
    }

    /// Returns the files whose change triggers a reload.
    fn files(&self) -> Vec<PathBuf> {
        let config = self.in_force.config();
        let mut files: Vec<_> = self.file.iter().cloned().collect();
        files.extend(keys::files(&config.data_dir));
        files.extend(config.referenced_files.iter().cloned());
        files.extend(config.outbound.extra_ca_file.iter().cloned());
        files.extend(config.workloads.iter().flat_map(|workload| workload.keys.files()));
        files.extend(config.login.logo.iter().map(|logo| logo.file.clone()));
        files.extend(config.upstreams.iter().filter_map(|u| u.ca_file.clone()));
        files.extend(config.well_known.iter().filter_map(|answer| answer.file.clone()));
        match &config.public.tls {
            TlsConfig::Files { certificate, key } => files.extend([certificate.clone(), key.clone()]),
            TlsConfig::Development | TlsConfig::Off => {}
        }
        files
    }

    /// Returns a digest of the files' current content.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for file in self.files() {
            // A missing or unreadable file is a state like any other.
            let content = files::read(&file, files::LARGEST_PEM).map(Zeroizing::new);
            let content = content.unwrap_or_else(|error| error.to_string().into_bytes().into());
            hash.update(u64::try_from(content.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(content.as_slice());
        }
        hash.finalize().into()
    }
}

/// Watches the folders of the files that a reload reads. Editors and Kubernetes replace files instead of writing them,
/// which would end a watch on the file itself.
pub(super) struct FileWatch {
    changed: mpsc::Receiver<()>,
    /// Whether `settled` has returned since the watch began.
    has_looked: bool,
    _watcher: RecommendedWatcher,
}

impl FileWatch {
    /// Starts watching.
    ///
    /// # Errors
    /// The system has no watches left, or a folder cannot be opened.
    pub(super) fn start(reloader: &Reloader) -> notify::Result<Self> {
        let (tell, changed) = mpsc::channel(1);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                // If the channel is full, a change has already been reported.
                let _told = tell.try_send(());
            }
        })?;
        let mut folders: Vec<PathBuf> = reloader.files().iter().map(|file| folder(file).to_owned()).collect();
        folders.sort();
        folders.dedup();
        for folder in &folders {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        Ok(Self { changed, has_looked: false, _watcher: watcher })
    }

    /// Waits until something has changed in the folders and then settled. The first call does not wait for a change,
    /// because changes before the watch began are not reported.
    pub(super) async fn settled(&mut self) {
        if self.has_looked && self.changed.recv().await.is_none() {
            tracing::error!("files are no longer watched because the watcher ended; send SIGHUP after a change");
            std::future::pending::<()>().await;
        }
        let rest = async { while let Ok(Some(())) = tokio::time::timeout(SETTLE, self.changed.recv()).await {} };
        // Whether it settled or timed out, the files are compared now.
        drop(tokio::time::timeout(LONGEST, rest).await);
        self.has_looked = true;
    }
}

fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_written_while_the_watch_begins_is_looked_at_when_it_is_whole() {
        let (tell, changed) = mpsc::channel(1);
        let mut watch =
            FileWatch { changed, has_looked: false, _watcher: notify::recommended_watcher(|_| {}).expect("a watcher") };
        let began = tokio::time::Instant::now();
        let writing = async {
            for _ in 0..3 {
                tokio::time::sleep(SETTLE / 2).await;
                tell.try_send(()).expect("room");
            }
            tokio::time::Instant::now()
        };
        let ((), written) = tokio::join!(watch.settled(), writing);
        assert!(written.elapsed() >= SETTLE, "{:?} after the beginning", began.elapsed());
        tell.try_send(()).expect("room");
        watch.settled().await;
        let unchanged = tokio::time::timeout(2 * SETTLE, watch.settled()).await;
        assert!(unchanged.is_err(), "nothing has changed");
    }
}
