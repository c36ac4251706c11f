//! `UpstreamOrigin`: where an upstream is, and what requests name.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::uri::{Authority, Scheme};
use rustls::ClientConfig;

/// Where an upstream is.
pub(in crate::proxy) struct UpstreamOrigin {
    pub(in crate::proxy) host: url::Host,
    pub(in crate::proxy) port: u16,
    pub(in crate::proxy) scheme: Scheme,
    /// Of its URL.
    pub(in crate::proxy) authority: Authority,
    /// What requests name: that of its URL, or another one.
    pub(in crate::proxy) named: Authority,
    pub(in crate::proxy) host_header: HeaderValue,
    /// For https.
    pub(in crate::proxy) tls: Option<Arc<ClientConfig>>,
    pub(in crate::proxy) connect_timeout: Duration,
}
