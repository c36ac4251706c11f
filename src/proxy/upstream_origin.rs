//! `UpstreamOrigin`: where an upstream is, and what requests name.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::uri::{Authority, Scheme};
use rustls::ClientConfig;

/// Where an upstream is.
pub(super) struct UpstreamOrigin {
    pub(super) host: url::Host,
    pub(super) port: u16,
    pub(super) scheme: Scheme,
    /// Of its URL.
    pub(super) authority: Authority,
    /// What requests name: that of its URL, or another one.
    pub(super) named: Authority,
    pub(super) host_header: HeaderValue,
    /// For https.
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) connect_timeout: Duration,
}
