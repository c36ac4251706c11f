//! Reads the server's certificate chain and key from PEM files, and refuses what clients would refuse.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::SignatureAlgorithm;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use crate::config::{Config, TlsConfig};
use crate::files::{self, ReadError};
use crate::oauth::{Lifetime, Timestamp};
use crate::server::host;

/// Why the certificate or key cannot be used; names the file and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {}", .0.display(), .1)]
    Closed(PathBuf, ReadError),
    /// A file contains no PEM of the expected kind.
    #[error("{}: cannot be read as PEM: {}", .0.display(), .1)]
    Unreadable(PathBuf, rustls::pki_types::pem::Error),
    /// The chain has no certificate.
    #[error("{}: contains no certificate", .0.display())]
    Empty(PathBuf),
    /// Any user on this machine can read or change the key.
    #[error("{}: every user of this machine may read this key; set its mode to 0600", .0.display())]
    Exposed(PathBuf),
    /// The certificate has expired.
    #[error("{}: the certificate has expired; renew it", .0.display())]
    Expired(PathBuf),
    /// The certificate is not valid yet.
    #[error("{}: the certificate is not valid yet; check the clock", .0.display())]
    NotYet(PathBuf),
    /// Certificate and key do not belong together.
    #[error("{}: this key does not belong to the certificate", .0.display())]
    Mismatch(PathBuf),
    /// rustls does not support this kind of key or certificate.
    #[error("{}: certificate and key cannot be used together: {}", .0.display(), .1)]
    Unusable(PathBuf, rustls::Error),
}

/// A chain with its key, and when the certificate expires.
#[derive(Debug)]
pub(in crate::server) struct Certificate {
    pub(in crate::server) key: Arc<CertifiedKey>,
    pub(in crate::server) not_after: Timestamp,
}

/// Reads a chain and its key.
///
/// # Errors
/// `CertificateError`.
pub(in crate::server) fn load(
    chain_file: &Path,
    key_file: &Path,
    provider: &CryptoProvider,
    now: Timestamp,
) -> Result<Certificate, CertificateError> {
    let read = |file: &Path| {
        let read = files::read_with_mode(file, files::LARGEST_PEM);
        read.map_err(|e| CertificateError::Closed(file.to_owned(), e))
    };
    let (pem, _) = read(chain_file)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|e| CertificateError::Unreadable(chain_file.to_owned(), e))?;
    let leaf = chain.first().ok_or_else(|| CertificateError::Empty(chain_file.to_owned()))?;
    let (from, until) = validity(leaf).ok_or_else(|| {
        let reason = rustls::Error::InvalidCertificate(rustls::CertificateError::BadEncoding);
        CertificateError::Unusable(chain_file.to_owned(), reason)
    })?;
    if now > until {
        return Err(CertificateError::Expired(chain_file.to_owned()));
    }
    if now < from {
        return Err(CertificateError::NotYet(chain_file.to_owned()));
    }
    let (pem, mode) = read(key_file)?;
    let pem = Zeroizing::new(pem);
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|e| CertificateError::Unreadable(key_file.to_owned(), e))?;
    // The last three bits are the permissions of all other users.
    if mode & 0o007 != 0 {
        return Err(CertificateError::Exposed(key_file.to_owned()));
    }
    let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        let strangers = matches!(error, rustls::Error::InconsistentKeys(_));
        if strangers {
            CertificateError::Mismatch(key_file.to_owned())
        } else {
            CertificateError::Unusable(chain_file.to_owned(), error)
        }
    })?;
    Ok(Certificate { key: Arc::new(key), not_after: until })
}

/// Reads the certificate files of a configuration, as a start does; returns warnings about what does not prevent the
/// start.
///
/// # Errors
/// `CertificateError`.
pub fn look_over(config: &Config, now: Timestamp) -> Result<Vec<String>, CertificateError> {
    let TlsConfig::Files { certificate, key } = &config.public.tls else { return Ok(Vec::new()) };
    Ok(load(certificate, key, &rustls::crypto::ring::default_provider(), now)?.doubts(config, now))
}

impl Certificate {
    /// Returns warnings about what clients will refuse, now or soon, and about what makes handshakes slow.
    pub(in crate::server) fn doubts(&self, config: &Config, now: Timestamp) -> Vec<String> {
        let mut doubts = Vec::new();
        let own = host::of_origin(&config.public_url);
        let others: BTreeSet<&str> = config.public_urls().map(host::of_origin).filter(|host| *host != own).collect();
        for host in std::iter::once(own).chain(others).filter(|host| !self.is_for(host)) {
            let whose = if host == own { "public_url" } else { "an upstream's public_url" };
            doubts.push(format!("the certificate is not for {host}, the host of {whose}"));
        }
        let left = self.not_after.since(now);
        if left < WARN_BEFORE {
            doubts.push(format!("the certificate expires in {} days", left.as_secs() / 86_400));
        }
        if self.key.key.algorithm() == SignatureAlgorithm::RSA {
            doubts.push(
                "the certificate has an RSA key, with which one signature costs as much CPU time as several handshakes \
                 with ECDSA: use a certificate with an ECDSA P-256 key"
                    .to_owned(),
            );
        }
        doubts
    }

    fn is_for(&self, host: &str) -> bool {
        let name = ServerName::try_from(host.trim_matches(['[', ']']));
        let leaf = self.key.cert.first().and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
        leaf.zip(name.ok()).is_some_and(|(leaf, name)| verify_server_name(&leaf, &name).is_ok())
    }
}

/// How long before its expiry a certificate should have been renewed; ACME certificates live for 90 days or less.
const WARN_BEFORE: Lifetime = Lifetime::from_secs(14 * 86_400);

/// DER tags, as used in RFC 5280 4.1.
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;

/// Reads notBefore and notAfter (RFC 5280 4.1.2.5); rustls does not check the dates of the server's own certificate.
fn validity(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (_, certificate, _) = element(certificate)?;
    let (_, fields, _) = element(certificate)?;
    let (tag, _, after_version) = element(fields)?;
    let fields = if tag == VERSION { after_version } else { fields };
    let (_, _serial, fields) = element(fields)?;
    let (_, _algorithm, fields) = element(fields)?;
    let (_, _issuer, fields) = element(fields)?;
    let (tag, validity, _) = element(fields)?;
    let (from_tag, from, rest) = element(validity)?;
    let (until_tag, until, _) = element(rest)?;
    (tag == SEQUENCE).then_some((time(from_tag, from)?, time(until_tag, until)?))
}

/// Splits one DER element off: tag, content, rest.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short @ 0..=0x7f => (usize::from(*short), rest),
        // Three length bytes allow 16 MiB; no certificate is larger.
        long @ 0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

fn time(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let text = match tag {
        // RFC 5280 4.1.2.5.1: two digits of year, 1950 to 2049.
        UTC_TIME => format!("{}{text}", if text < "50" { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let format = time::macros::format_description!("[year][month][day][hour][minute][second]");
    let moment = time::PrimitiveDateTime::parse(&text, format).ok()?.assume_utc();
    Some(Timestamp::from_millis(u64::try_from(moment.unix_timestamp()).unwrap_or(0).saturating_mul(1000)))
}

#[cfg(test)]
mod tests {
    use super::{CertificateError, load};
    use crate::oauth::Timestamp;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    const NOON: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn write(folder: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        let file = folder.join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    fn made(from: i32, until: i32) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn tl_07_bad_certificates_are_refused_each_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let provider = rustls::crypto::ring::default_provider();
        let (good, key) = made(2020, 2060);
        let good_file = write(at, "good.pem", &good, 0o644);
        let key_file = write(at, "key.pem", &key, 0o600);
        let try_load = |chain: &Path, key: &Path| load(chain, key, &provider, NOON);

        // 2060-01-01 is a GeneralizedTime, 2020-01-01 a UTCTime.
        assert_eq!(try_load(&good_file, &key_file).unwrap().not_after, Timestamp::from_millis(2_840_140_800_000));

        let half = write(at, "half.pem", &good[..good.len() / 2], 0o644);
        assert!(matches!(
            try_load(&half, &key_file),
            Err(CertificateError::Unreadable(..) | CertificateError::Empty(_))
        ));
        let empty = write(at, "empty.pem", "", 0o644);
        assert!(matches!(try_load(&empty, &key_file), Err(CertificateError::Empty(_))));
        assert!(matches!(try_load(&at.join("none.pem"), &key_file), Err(CertificateError::Closed(..))));
        assert!(matches!(try_load(Path::new("/dev/zero"), &key_file), Err(CertificateError::Closed(..))));
        assert!(matches!(try_load(&good_file, at), Err(CertificateError::Closed(..))));
        assert!(matches!(try_load(&good_file, &empty), Err(CertificateError::Unreadable(..))));

        let (expired, expired_key) = made(2020, 2021);
        let expired = write(at, "expired.pem", &expired, 0o644);
        let expired_key = write(at, "expired-key.pem", &expired_key, 0o600);
        assert!(matches!(try_load(&expired, &expired_key), Err(CertificateError::Expired(_))));
        let (future, future_key) = made(2050, 2060);
        let future = write(at, "future.pem", &future, 0o644);
        let future_key = write(at, "future-key.pem", &future_key, 0o600);
        assert!(matches!(try_load(&future, &future_key), Err(CertificateError::NotYet(_))));

        assert!(matches!(try_load(&good_file, &expired_key), Err(CertificateError::Mismatch(_))));
        let open = write(at, "open.pem", &key, 0o644);
        assert!(matches!(try_load(&good_file, &open), Err(CertificateError::Exposed(_))));
    }
}
