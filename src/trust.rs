//! Whose certificates are believed on the way out: the system's roots, and what the operator adds.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::files;

/// Returns the certificates of the system's roots, as far as they can be read.
#[must_use]
pub fn system_certificates() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

/// Reads the system's roots; odd certificates among good ones are left out.
///
/// # Errors
/// There are none.
pub fn system_roots() -> Result<RootCertStore, String> {
    let read = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(read.certs);
    if added == 0 {
        let why = read.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        return Err(format!("the system's root certificates: {why} (install ca-certificates)"));
    }
    Ok(roots)
}

/// Makes a configuration that believes `roots` and those in the file `extra`: TLS 1.2 and 1.3, no client certificate,
/// and one of `protocols`, the dearest first (RFC 7301).
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub fn client_config(
    mut roots: RootCertStore,
    extra: Option<&Path>,
    protocols: &[&[u8]],
) -> Result<Arc<ClientConfig>, String> {
    if let Some(file) = extra {
        let fault = |cause: &dyn std::fmt::Display| format!("the CA file {}: {cause}", file.display());
        let before = roots.len();
        let pem = files::read(file, files::LARGEST_PEM).map_err(|cause| fault(&cause))?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate.map_err(|cause| fault(&cause))?).map_err(|cause| fault(&cause))?;
        }
        if roots.len() == before {
            return Err(fault(&"it holds no certificate"));
        }
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|cause| cause.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}
