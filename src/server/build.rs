//! Builds what workers serve with from a configuration: routes, hosts, certificate.

use std::net::SocketAddr;
use std::sync::Arc;

use super::error::RunError;
use super::host::{self, HostsOfListeners};
use super::tls::acceptor::TlsBase;
use super::tls::certificate;
use super::tls::dev_certs;
use super::tls::dev_certs::DevelopmentFiles;
use super::worker::Snapshot;
use crate::clock::Clock;
use crate::config::{Config, TlsConfig};
use crate::data_dir::CERTIFICATES;
use crate::outbound::Dialer;
use crate::proxy::RouteTable;

/// What stays the same across reloads.
pub(super) struct Builder {
    pub(super) tls: TlsBase,
    pub(super) clock: Arc<dyn Clock>,
    /// The address of the built-in demo upstream, if it runs.
    pub(super) demo: Option<SocketAddr>,
}

/// What was built from a configuration.
pub(super) struct Built {
    pub(super) snapshot: Snapshot,
    pub(super) dialer: Dialer,
    /// The files of the development certificate, if one is used.
    pub(super) development: Option<DevelopmentFiles>,
    /// When the certificate expires, in seconds since the epoch; 0 without TLS.
    pub(super) certificate_ends: i64,
}

impl Builder {
    /// Makes the snapshot of a configuration, which replaces the one with the table `before`; logs warnings about
    /// dangerous settings.
    ///
    /// # Errors
    /// `RunError` when a certificate or CA file cannot be used.
    pub(super) fn snapshot(&self, mut config: Config, before: Option<&RouteTable>) -> Result<Built, RunError> {
        for warning in config.warnings() {
            tracing::warn!(warning, "the configuration has a dangerous or probably unintended setting");
        }
        if let (Some(demo), Some(upstream)) = (self.demo, config.upstreams.first_mut()) {
            // The URL has a host, so setting a port cannot fail.
            let _infallible = upstream.url.set_port(Some(demo.port()));
        }
        let build = || RouteTable::build(&config, Arc::clone(&self.clock));
        let table = before.map_or_else(build, |before| before.rebuild(&config));
        let table = Arc::new(table.map_err(RunError::Roots)?);
        let hosts = Arc::new(HostsOfListeners::new(&config));
        let dialer = Dialer::of(&config).map_err(RunError::Roots)?;
        let (chain, key, development) = match &config.public.tls {
            TlsConfig::Off => {
                let snapshot = Snapshot { config: Arc::new(config), table, hosts, tls: None };
                return Ok(Built { snapshot, dialer, development: None, certificate_ends: 0 });
            }
            TlsConfig::Files { certificate, key } => (certificate.clone(), key.clone(), None),
            TlsConfig::Development => {
                let hosts: Vec<&str> = config.public_urls().map(host::of_origin).collect();
                let made = dev_certs::ensure(&config.data_dir.join(CERTIFICATES), &hosts, self.clock.now())?;
                (made.certificate.clone(), made.key.clone(), Some(made))
            }
        };
        let certificate = certificate::load(&chain, &key, &self.tls.provider, self.clock.now())?;
        for warning in certificate.doubts(&config, self.clock.now()) {
            tracing::warn!(warning, "the certificate should be replaced");
        }
        let certificate_ends = i64::try_from(certificate.not_after.as_millis() / 1000).unwrap_or(i64::MAX);
        let by_name = development.as_ref().map(|made| made.by_name.clone());
        let by_name = by_name.map(|file| certificate::load(&file, &key, &self.tls.provider, self.clock.now()));
        let tls = self.tls.listener(&certificate, by_name.transpose()?.as_ref(), config.minimum_key_bits);
        let tls = Some(tls.map_err(RunError::system)?);
        let snapshot = Snapshot { config: Arc::new(config), table, hosts, tls };
        Ok(Built { snapshot, dialer, development, certificate_ends })
    }
}
