//! The development CA and a certificate for this machine's own names: TLS for local development, without warnings in
//! browsers that trust `ca.pem`. Never for a public name.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use crate::files::private::{self, Closed, PrivateFileError};
use crate::files::{LARGEST_PEM, ReadError, read};
use crate::oauth::Timestamp;
use crate::trust;

/// Validity of the certificate in days; browsers refuse more than 398.
const SERVER_DAYS: i64 = 365;
/// Validity of the CA in days: long enough that nobody soon has to trust a new one.
const CA_DAYS: i64 = 5 * 365;
/// How long before its expiry a certificate is renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How far the start of validity is backdated, because clocks of containers and virtual machines lag.
const BACKDATE: time::Duration = time::Duration::days(1);

/// The files of the development certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevelopmentFiles {
    /// The CA to trust: `ca.pem`.
    pub ca: PathBuf,
    /// The chain to serve: `server.pem`.
    pub certificate: PathBuf,
    /// The same without addresses, for clients that send a server name: `server-dns.pem`. BoringSSL (in Claude Code,
    /// for example) does not support name constraints on addresses, and refuses certificates that contain an address if
    /// their CA has such constraints.
    pub by_name: PathBuf,
    /// The key of both: `server-key.pem`.
    pub key: PathBuf,
    /// The system's roots together with the CA, for programs that trust either the system's store or one file:
    /// `bundle.pem`. `None` when the system has no roots.
    pub bundle: Option<PathBuf>,
}

/// Returns the path of the CA certificate in a folder.
#[must_use]
pub fn ca_file(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}

/// Why there are no development certificates.
#[derive(Debug, thiserror::Error)]
pub enum DevCertsError {
    /// A file cannot be read, or others may read a key or change a certificate.
    #[error(transparent)]
    Private(#[from] PrivateFileError),
    /// A file cannot be made.
    #[error("{}: {source}", path.display())]
    File {
        /// The file that could not be made.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A certificate cannot be made.
    #[error("a certificate cannot be created: {0}")]
    Making(#[from] rcgen::Error),
    /// The CA is damaged, has expired, or does not allow a name.
    #[error(
        "{}: this CA has expired, is damaged, or was not created for {names}; remove it to get a new one, which \
         clients must then be made to trust",
        path.display()
    )]
    Ca {
        /// The file of the CA.
        path: PathBuf,
        /// The names that it should allow.
        names: String,
    },
}

/// Makes the CA, and the certificate for `localhost`, `127.0.0.1`, `::1` and `hosts`, if they are missing or expire
/// soon. An existing CA is kept.
///
/// # Errors
/// `DevCertsError`.
pub fn ensure(folder: &Path, hosts: &[&str], now: Timestamp) -> Result<DevelopmentFiles, DevCertsError> {
    let mut files = DevelopmentFiles {
        ca: ca_file(folder),
        certificate: folder.join("server.pem"),
        by_name: folder.join("server-dns.pem"),
        key: folder.join("server-key.pem"),
        bundle: None,
    };
    let names = names(hosts);
    let ca_key_file = folder.join("ca-key.pem");
    private::make_folder(folder).map_err(|source| DevCertsError::File { path: folder.to_owned(), source })?;
    private::check(folder, Closed::ToWriting)?;
    for file in [&files.ca, &files.certificate, &files.by_name] {
        private::check(file, Closed::ToWriting)?;
    }
    // Checked even if they are not read: with the key of a trusted CA anyone could impersonate this machine.
    for key in [&ca_key_file, &files.key] {
        private::check(key, Closed::ToReading)?;
    }
    if !files.ca.exists() || !ca_key_file.exists() {
        make_ca(&files.ca, &ca_key_file, &names, now)?;
    }
    if accepted(&files, &names, now).is_err() {
        make_server(&files, &ca_key_file, &names, now)?;
        if let Err(why) = accepted(&files, &names, now) {
            tracing::debug!(why, "the development CA is not accepted");
            return Err(DevCertsError::Ca { path: files.ca, names: names.join(", ") });
        }
    }
    files.bundle = make_bundle(&files.ca, folder.join("bundle.pem"))?;
    Ok(files)
}

/// Writes the system's current roots and the CA into one file.
fn make_bundle(ca: &Path, bundle: PathBuf) -> Result<Option<PathBuf>, DevCertsError> {
    private::check(&bundle, Closed::ToWriting)?;
    let at = |source: ReadError| DevCertsError::File { path: ca.to_owned(), source: std::io::Error::other(source) };
    let own = read(ca, LARGEST_PEM).map_err(at)?;
    let own_der = CertificateDer::from_pem_slice(&own).ok();
    let mut pem = own;
    let mut roots = 0;
    // The environment variable that names the bundle may be set for this process too, so our own CA is not added twice.
    for root in trust::system_certificates().iter().filter(|root| own_der.as_ref() != Some(*root)) {
        let encoded = STANDARD.encode(root);
        pem.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
        // RFC 7468 2: lines of 64 characters.
        for line in encoded.as_bytes().chunks(64) {
            pem.extend_from_slice(line);
            pem.push(b'\n');
        }
        pem.extend_from_slice(b"-----END CERTIFICATE-----\n");
        roots += 1;
    }
    if roots == 0 {
        // A bundle with only our CA would make programs distrust all other servers. One from an earlier start may stay.
        return Ok(bundle.exists().then_some(bundle));
    }
    if !read(&bundle, LARGEST_PEM).is_ok_and(|written| written == pem) {
        private::replace(&bundle, 0o644, &pem)
            .map_err(|source| DevCertsError::File { path: bundle.clone(), source })?;
    }
    Ok(Some(bundle))
}

fn names(hosts: &[&str]) -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    for host in hosts {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if !names.contains(&host) {
            names.push(host);
        }
    }
    names
}

fn make_ca(file: &Path, key_file: &Path, names: &[String], now: Timestamp) -> Result<(), DevCertsError> {
    // rcgen takes randomness for keys from ring, as `SystemEntropy` does.
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut params = ca_params(&key);
    (params.not_before, params.not_after) = validity(now, CA_DAYS);
    // A stolen key of a trusted CA could impersonate any host; the constraints limit this one to this machine.
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: names.iter().map(|name| subtree(name)).collect(),
        excluded_subtrees: Vec::new(),
    });
    let certificate = params.self_signed(&key)?;
    write(key_file, 0o600, &key.serialize_pem())?;
    write(file, 0o644, &certificate.pem())
}

/// Makes the CA's parameters from its key alone, so that the issuer of a later certificate equals the subject of the
/// existing CA.
fn ca_params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = rcgen::DistinguishedName::new();
    // Two CAs with the same name confuse verifiers that choose by name.
    let id: String = params.key_identifier(key).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name.push(DnType::CommonName, format!("mcpgate development CA {id}"));
    params
}

fn make_server(files: &DevelopmentFiles, ca_key: &Path, names: &[String], now: Timestamp) -> Result<(), DevCertsError> {
    let ca_key_pem = private::read(ca_key).map(zeroize::Zeroizing::new)?;
    let ca_key = KeyPair::from_pem(&ca_key_pem)?;
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let issuer = Issuer::new(ca_params(&ca_key), &ca_key);
    write(&files.key, 0o600, &key.serialize_pem())?;
    write(&files.by_name, 0o644, &server_params(without_addresses(names), now)?.signed_by(&key, &issuer)?.pem())?;
    write(&files.certificate, 0o644, &server_params(names.to_vec(), now)?.signed_by(&key, &issuer)?.pem())
}

fn without_addresses(names: &[String]) -> Vec<String> {
    names.iter().filter(|name| name.parse::<IpAddr>().is_err()).cloned().collect()
}

fn server_params(names: Vec<String>, now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "mcpgate development");
    (params.not_before, params.not_after) = validity(now, SERVER_DAYS);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Python's strict verification requires it.
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// Verifies the certificates as a client does, for the day on which they would have to be renewed.
fn accepted(files: &DevelopmentFiles, names: &[String], now: Timestamp) -> Result<(), String> {
    verified(files, &files.by_name, &without_addresses(names), now)?;
    verified(files, &files.certificate, names, now)
}

fn verified(files: &DevelopmentFiles, chain: &Path, names: &[String], now: Timestamp) -> Result<(), String> {
    let read = |path| read(path, LARGEST_PEM).map_err(|e| e.to_string());
    let certificate = |path| CertificateDer::from_pem_slice(&read(path)?).map_err(|e| e.to_string());
    let (ca, server) = (certificate(&files.ca)?, certificate(chain)?);
    let key = PrivateKeyDer::from_pem_slice(&zeroize::Zeroizing::new(read(&files.key)?)).map_err(|e| e.to_string())?;
    let provider = Arc::new(ring::default_provider());
    // Fails unless key and certificate belong together: a crash may have happened between writing the two files.
    CertifiedKey::from_der(vec![server.clone()], key, &provider).map_err(|e| e.to_string())?;
    let mut roots = RootCertStore::empty();
    roots.add(ca).map_err(|e| e.to_string())?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = verifier.map_err(|e| e.to_string())?;
    let then = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()).saturating_add(RENEW_BEFORE));
    for name in names {
        let name = ServerName::try_from(name.as_str()).map_err(|e| e.to_string())?;
        verifier.verify_server_cert(&server, &[], &name, &[], then).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn subtree(name: &str) -> GeneralSubtree {
    match name.parse() {
        Ok(IpAddr::V4(address)) if address == Ipv4Addr::LOCALHOST => {
            GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([127, 0, 0, 0], 8))
        }
        Ok(IpAddr::V4(address)) => GeneralSubtree::IpAddress(CidrSubnet::V4(address.octets(), [255; 4])),
        Ok(IpAddr::V6(address)) => GeneralSubtree::IpAddress(CidrSubnet::V6(address.octets(), [255; 16])),
        Err(_) => GeneralSubtree::DnsName(name.to_owned()),
    }
}

fn validity(now: Timestamp, days: i64) -> (OffsetDateTime, OffsetDateTime) {
    let seconds = i64::try_from(now.as_secs()).unwrap_or_default();
    let now = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    (now.saturating_sub(BACKDATE), now.saturating_add(time::Duration::days(days)))
}

fn write(path: &Path, mode: u32, pem: &str) -> Result<(), DevCertsError> {
    private::replace(path, mode, pem.as_bytes()).map_err(|source| DevCertsError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::Lifetime;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn days(days: u64) -> Timestamp {
        NOW.plus(Lifetime::from_secs(days * 86_400))
    }

    fn read(files: &DevelopmentFiles) -> [String; 3] {
        [&files.ca, &files.certificate, &files.key].map(|f| std::fs::read_to_string(f).unwrap())
    }

    #[test]
    fn certificates_are_kept_until_they_end_soon_and_the_ca_longer() {
        let dir = tempfile::tempdir().unwrap();
        let files = ensure(dir.path(), &[], NOW).unwrap();
        let first = read(&files);
        ensure(dir.path(), &[], days(357)).unwrap();
        assert_eq!(read(&files), first);
        ensure(dir.path(), &[], days(359)).unwrap();
        let renewed = read(&files);
        assert_eq!(renewed[0], first[0]);
        assert_ne!((&renewed[1], &renewed[2]), (&first[1], &first[2]));
    }

    #[test]
    fn clients_that_ask_by_name_get_a_certificate_without_addresses() {
        let dir = tempfile::tempdir().unwrap();
        let files = ensure(dir.path(), &["gateway.test", "10.0.0.7"], NOW).unwrap();
        let good = |file, name: &str| verified(&files, file, &[name.to_owned()], NOW).is_ok();
        for (name, by_name) in [("localhost", true), ("gateway.test", true), ("127.0.0.1", false), ("10.0.0.7", false)]
        {
            assert!(good(&files.certificate, name), "{name}");
            assert_eq!(good(&files.by_name, name), by_name, "{name}");
        }
        // A folder from an earlier version has no such file; the CA that clients trust is kept.
        let first = read(&files);
        std::fs::remove_file(&files.by_name).unwrap();
        ensure(dir.path(), &["gateway.test", "10.0.0.7"], NOW).unwrap();
        assert_eq!(read(&files)[0], first[0]);
        assert!(good(&files.by_name, "localhost"));
    }

    #[test]
    fn keys_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        ensure(dir.path(), &[], NOW).unwrap();
        for file in ["ca-key.pem", "server-key.pem"] {
            assert_eq!(std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn a_lost_or_foreign_half_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let files = ensure(dir.path(), &[], NOW).unwrap();
        std::fs::remove_file(&files.key).unwrap();
        ensure(dir.path(), &[], NOW).unwrap();
        let other = tempfile::tempdir().unwrap();
        let foreign = ensure(other.path(), &[], NOW).unwrap();
        std::fs::copy(&foreign.certificate, &files.certificate).unwrap();
        ensure(dir.path(), &[], NOW).unwrap();
        assert_eq!(accepted(&files, &names(&[]), NOW), Ok(()));
    }

    #[test]
    fn the_ca_vouches_for_this_machine_only() {
        let dir = tempfile::tempdir().unwrap();
        ensure(dir.path(), &["[::1]"], NOW).unwrap();
        let error = ensure(dir.path(), &["mcp.example.com"], NOW).unwrap_err().to_string();
        assert!(error.contains("not created for localhost, 127.0.0.1, ::1, mcp.example.com; remove it"), "{error}");
        let fresh = tempfile::tempdir().unwrap();
        assert!(ensure(fresh.path(), &["gateway.test", "other.test"], NOW).is_ok());
        assert!(ensure(fresh.path(), &["other.test"], NOW).is_ok());
    }

    #[test]
    fn the_bundle_holds_the_systems_roots_and_ours() {
        let dir = tempfile::tempdir().unwrap();
        let files = ensure(dir.path(), &[], NOW).unwrap();
        let bundle = files.bundle.expect("machines that run this have root certificates");
        let pem = std::fs::read(&bundle).unwrap();
        let held: Vec<_> = CertificateDer::pem_slice_iter(&pem).map(Result::unwrap).collect();
        let own = CertificateDer::from_pem_slice(&std::fs::read(&files.ca).unwrap()).unwrap();
        assert_eq!(held.iter().filter(|held| **held == own).count(), 1);
        assert_eq!(held.len(), trust::system_certificates().len() + 1);
        let written = std::fs::metadata(&bundle).unwrap().modified().unwrap();
        ensure(dir.path(), &[], NOW).unwrap();
        assert_eq!(std::fs::metadata(&bundle).unwrap().modified().unwrap(), written, "and is written when it changes");
    }
}
