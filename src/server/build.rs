//! From a configuration to what workers serve with: routes, hosts, certificate.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;

use super::certificate;
use super::dev_certs;
use super::error::RunError;
use super::host::{self, Hosts};
use super::tls::TlsBase;
use super::worker::Snapshot;
use crate::clock::Clock;
use crate::config::{Config, TlsConfig};
use crate::proxy::RouteTable;

/// What stays the same over reloads.
pub(super) struct Builder {
    pub(super) tls: TlsBase,
    pub(super) clock: Arc<dyn Clock>,
    /// Where the built-in demo upstream is, if it runs.
    pub(super) demo: Option<SocketAddr>,
}

/// TLS of the public listener, the CA to trust if it is ours, and the end of the certificate in seconds of the epoch.
type Tls = (Option<Arc<ServerConfig>>, Option<PathBuf>, i64);

impl Builder {
    /// Makes the snapshot of a configuration; also the CA file that clients need, and when the certificate ends
    /// (seconds of the epoch, 0 without TLS).
    ///
    /// # Errors
    /// `RunError` when a certificate or CA file cannot be used.
    pub(super) fn snapshot(&self, mut config: Config) -> Result<(Snapshot, Option<PathBuf>, i64), RunError> {
        if let (Some(demo), Some(upstream)) = (self.demo, config.upstreams.first_mut()) {
            // The URL has a host, so it takes a port.
            let _infallible = upstream.url.set_port(Some(demo.port()));
        }
        let table = Arc::new(RouteTable::build(&config).map_err(RunError::Roots)?);
        let hosts = Arc::new(Hosts::new(&config));
        let (tls, ca, ends) = self.tls(&config)?;
        Ok((Snapshot { config: Arc::new(config), table, hosts, tls }, ca, ends))
    }

    fn tls(&self, config: &Config) -> Result<Tls, RunError> {
        let (chain, key, ca) = match &config.public.tls {
            TlsConfig::Off => return Ok((None, None, 0)),
            TlsConfig::Files { certificate, key } => (certificate.clone(), key.clone(), None),
            TlsConfig::Development => {
                let (_, authority) = config.public_url.split_once("://").unwrap_or(("", &config.public_url));
                let host = host::split(authority).map_or("localhost", |(host, _)| host);
                let made = dev_certs::ensure(&config.data_dir.join("certs"), host, self.clock.now())?;
                (made.certificate, made.key, Some(made.ca))
            }
        };
        let certificate = certificate::load(&chain, &key, &self.tls.provider, self.clock.now())?;
        let ends = i64::try_from(certificate.not_after.as_millis() / 1000).unwrap_or(i64::MAX);
        let server = self.tls.config(&certificate).map_err(|error| RunError::System(error.to_string()))?;
        Ok((Some(server), ca, ends))
    }
}
