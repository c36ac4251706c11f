//! Which certificates are trusted for outgoing connections: the system's roots, and those that the operator adds.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::cipher_suites::{self, PreferredCipher};
use crate::config::MinimumKeyBits;
use crate::{config, files};

/// The most entries read from a folder of roots. Debian's has some 450.
const MOST_ENTRIES: usize = 10_000;
/// The most bytes read from all files of such a folder. Debian's have some 700 KB.
const LARGEST_FOLDER: usize = 16 << 20;

/// Returns the certificates of the system's roots, as far as they can be read.
#[must_use]
pub fn system_certificates() -> Vec<CertificateDer<'static>> {
    load().certificates
}

/// Reads the system's roots; unusable certificates are left out.
///
/// # Errors
/// No usable root was found.
pub fn system_roots() -> Result<RootCertStore, String> {
    let SystemRoots { certificates, faults } = load();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    let first = faults.into_iter().next();
    if added == 0 {
        let why = first.unwrap_or_else(|| "there are none".to_owned());
        return Err(format!("the system's root certificates: {why} (install ca-certificates)"));
    }
    if let Some(fault) = first {
        tracing::warn!(fault, "some of the system's root certificates cannot be read");
    }
    Ok(roots)
}

/// The system's roots that were read, and the errors met.
#[derive(Default)]
struct SystemRoots {
    certificates: Vec<CertificateDer<'static>>,
    faults: Vec<String>,
}

/// Reads the roots named in the environment, as OpenSSL does, or else those in the usual places.
fn load() -> SystemRoots {
    let (file, folders) = config::roots_of_environment();
    if file.is_some() || folders.is_some() {
        return SystemRoots::named(file.as_deref(), folders.as_deref());
    }
    let read = rustls_native_certs::load_native_certs();
    SystemRoots { certificates: read.certs, faults: read.errors.iter().map(ToString::to_string).collect() }
}

impl SystemRoots {
    /// Reads a file and folders (separated by colons). The names come from outside, so time and memory are bounded
    /// whatever is there.
    fn named(file: Option<&OsStr>, folders: Option<&OsStr>) -> Self {
        let mut roots = Self::default();
        if let Some(file) = file.map(Path::new)
            && let Err(cause) = roots.read(file)
        {
            roots.faults.push(format!("SSL_CERT_FILE: {}: {cause}", file.display()));
        }
        for folder in
            folders.into_iter().flat_map(std::env::split_paths).filter(|folder| !folder.as_os_str().is_empty())
        {
            if let Err(cause) = roots.read_folder(&folder) {
                roots.faults.push(format!("SSL_CERT_DIR: {}: {cause}", folder.display()));
            }
        }
        roots.certificates.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
        roots.certificates.dedup();
        roots
    }

    /// Reads a file of certificates; returns its size in bytes.
    fn read(&mut self, file: &Path) -> Result<usize, files::ReadError> {
        let pem = files::read(file, files::LARGEST_PEM)?;
        self.certificates.extend(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
        Ok(pem.len())
    }

    /// Reads the certificate files in a folder; anything else there is ignored.
    fn read_folder(&mut self, folder: &Path) -> Result<(), String> {
        let entries = std::fs::read_dir(folder).map_err(|cause| cause.to_string())?;
        let mut room = LARGEST_FOLDER;
        let paths: Vec<PathBuf> = entries.take(MOST_ENTRIES).filter_map(|entry| Some(entry.ok()?.path())).collect();
        for path in paths {
            let Ok(read) = self.read(&path) else { continue };
            room = room.checked_sub(read).ok_or_else(|| format!("it has more than {} MiB", LARGEST_FOLDER >> 20))?;
        }
        Ok(())
    }
}

/// Makes a TLS configuration that trusts `roots` and the certificates in the file `extra`: TLS 1.2 and 1.3, no client
/// certificate, no cipher with a key shorter than `minimum`, and `protocols` in order of preference (RFC 7301).
///
/// # Errors
/// The file cannot be read, or contains no certificate.
pub fn client_config(
    mut roots: RootCertStore,
    extra: Option<&Path>,
    minimum: MinimumKeyBits,
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
    let provider = cipher_suites::provider(minimum, PreferredCipher::Aes);
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|cause| cause.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::{Duration, Instant};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn certificate(name: &str) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap().pem()
    }

    #[test]
    fn named_roots_that_are_no_plain_files_are_left_out_at_once_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("folder")).unwrap();
        mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        mknodat(CWD, at("folder/pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        std::fs::File::create(at("folder/huge")).unwrap().set_len(1 << 40).unwrap();
        std::fs::write(at("folder/good"), certificate("a.example")).unwrap();
        std::fs::write(at("folder/odd"), "nothing").unwrap();
        symlink("good", at("folder/0f0f0f0f.0")).unwrap();
        symlink("gone", at("folder/1f1f1f1f.0")).unwrap();
        symlink("/dev/zero", at("folder/2f2f2f2f.0")).unwrap();
        std::fs::write(at("bundle"), certificate("b.example") + &certificate("c.example")).unwrap();
        let began = Instant::now();
        for (file, fault) in [
            ("pipe", "it is a named pipe, not a plain file"),
            ("folder", "it is a folder, not a plain file"),
            ("folder/huge", "it is larger than 4096 KiB"),
            ("gone", "No such file or directory (os error 2)"),
        ] {
            let read = SystemRoots::named(Some(at(file).as_os_str()), Some(at("folder").as_os_str()));
            assert_eq!(read.certificates.len(), 1, "that of the folder");
            assert_eq!(read.faults, [format!("SSL_CERT_FILE: {}: {fault}", at(file).display())]);
        }
        let folders = std::env::join_paths([at("gone"), at("folder")]).unwrap();
        let read = SystemRoots::named(Some(at("bundle").as_os_str()), Some(&folders));
        assert_eq!((read.certificates.len(), read.faults.len()), (3, 1));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }

    #[test]
    fn a_folder_is_read_up_to_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..5 {
            std::fs::write(folder.path().join(n.to_string()), vec![b'x'; 4 << 20]).unwrap();
        }
        let read = SystemRoots::named(None, Some(folder.path().as_os_str()));
        assert_eq!(read.faults, [format!("SSL_CERT_DIR: {}: it has more than 16 MiB", folder.path().display())]);
    }
}
