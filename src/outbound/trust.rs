//! Whose certificates are believed: the system's roots and what the operator adds.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Makes the TLS configuration of fetches: TLS 1.2 and 1.3, no client certificate, HTTP/1.1.
pub(super) fn client_config(extra_ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    let (known, _) = roots.add_parsable_certificates(system.certs);
    if known == 0 {
        // Not fatal: a small image without a CA bundle can still serve everybody who needs no fetch.
        tracing::warn!(
            errors = ?system.errors,
            "the system has no CA certificates: client metadata documents cannot be fetched (install ca-certificates)"
        );
    }
    if let Some(file) = extra_ca_file {
        let problem = |cause: String| format!("the CA file {} cannot be used: {cause}", file.display());
        let certificates = CertificateDer::pem_file_iter(file).map_err(|cause| problem(cause.to_string()))?;
        let before = roots.len();
        for certificate in certificates {
            let certificate = certificate.map_err(|cause| problem(cause.to_string()))?;
            roots.add(certificate).map_err(|cause| problem(cause.to_string()))?;
        }
        if roots.len() == before {
            return Err(problem("it holds no certificate".to_owned()));
        }
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|cause| cause.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
