//! Which TLS cipher suites are used, and in which order, towards clients and towards others.
//!
//! All of them encrypt with an AEAD cipher and exchange keys ephemerally. AES-128 comes before AES-256: the suites of
//! AES-256 hash with SHA-384, for which few processors have instructions.

use rustls::crypto::ring::cipher_suite as suites;
use rustls::crypto::{CryptoProvider, ring};
use rustls::{CipherSuite, SupportedCipherSuite};

use crate::config::MinimumKeyBits;

/// The cipher whose suites come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreferredCipher {
    /// AES-GCM, the fastest if the processor has instructions for it.
    Aes,
    /// ChaCha20-Poly1305, the fastest without them.
    ChaCha20,
}

impl PreferredCipher {
    /// Returns the cipher that a client names first. A client without instructions for AES names ChaCha20 before any
    /// AES suite.
    #[must_use]
    pub fn of_client(named: &[CipherSuite]) -> Self {
        named.iter().find_map(|suite| Self::of(*suite)).unwrap_or(Self::Aes)
    }

    /// Returns the cipher of a suite; `None` if the suite is never used.
    fn of(suite: CipherSuite) -> Option<Self> {
        let has = |suites: [SupportedCipherSuite; 3]| suites.iter().any(|own| own.suite() == suite);
        if has(chacha20()) { Some(Self::ChaCha20) } else { (has(aes_128()) || has(aes_256())).then_some(Self::Aes) }
    }
}

/// Returns ring's cryptography with the cipher suites that may be used, in order of preference.
#[must_use]
pub fn provider(minimum: MinimumKeyBits, preferred: PreferredCipher) -> CryptoProvider {
    let mut cipher_suites = match minimum {
        MinimumKeyBits::Bits128 => [aes_128(), aes_256()].concat(),
        MinimumKeyBits::Bits256 => aes_256().to_vec(),
    };
    // The key of ChaCha20 has 256 bits.
    match preferred {
        PreferredCipher::Aes => cipher_suites.extend(chacha20()),
        PreferredCipher::ChaCha20 => drop(cipher_suites.splice(..0, chacha20())),
    }
    // TLS 1.3 first.
    cipher_suites.sort_by_key(|suite| suite.tls13().is_none());
    CryptoProvider { cipher_suites, ..ring::default_provider() }
}

fn aes_128() -> [SupportedCipherSuite; 3] {
    [
        suites::TLS13_AES_128_GCM_SHA256,
        suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ]
}

fn aes_256() -> [SupportedCipherSuite; 3] {
    [
        suites::TLS13_AES_256_GCM_SHA384,
        suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ]
}

fn chacha20() -> [SupportedCipherSuite; 3] {
    [
        suites::TLS13_CHACHA20_POLY1305_SHA256,
        suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(minimum: MinimumKeyBits, preferred: PreferredCipher) -> Vec<String> {
        let suites = provider(minimum, preferred).cipher_suites;
        suites.iter().map(|suite| format!("{:?}", suite.suite())).collect()
    }

    #[test]
    fn every_suite_is_in_its_place() {
        let by_default = order(MinimumKeyBits::Bits128, PreferredCipher::Aes);
        assert_eq!(
            by_default,
            [
                "TLS13_AES_128_GCM_SHA256",
                "TLS13_AES_256_GCM_SHA384",
                "TLS13_CHACHA20_POLY1305_SHA256",
                "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
                "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
                "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
                "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            ]
        );
        let [mut mobile, mut strict] =
            [(MinimumKeyBits::Bits128, PreferredCipher::ChaCha20), (MinimumKeyBits::Bits256, PreferredCipher::Aes)]
                .map(|(minimum, preferred)| order(minimum, preferred));
        assert!(mobile[0].contains("CHACHA20") && mobile[3].contains("CHACHA20") && mobile[4].contains("CHACHA20"));
        // The rest is in the same order.
        mobile.retain(|suite| !suite.contains("CHACHA20"));
        strict.retain(|suite| !suite.contains("CHACHA20"));
        let of_aes = |key: &str| by_default.iter().filter(|suite| suite.contains(key)).cloned().collect::<Vec<_>>();
        assert_eq!((mobile, strict), (of_aes("AES"), of_aes("AES_256")));
    }

    #[test]
    fn a_client_prefers_the_cipher_that_it_names_first() {
        let [grease, cbc] = [CipherSuite::Unknown(0x1a1a), CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA];
        let aes = CipherSuite::TLS13_AES_128_GCM_SHA256;
        let old_aes = CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384;
        let chacha20 = CipherSuite::TLS13_CHACHA20_POLY1305_SHA256;
        for (named, preferred) in [
            (&[grease, chacha20, aes][..], PreferredCipher::ChaCha20),
            (&[cbc, chacha20], PreferredCipher::ChaCha20),
            (&[aes, chacha20], PreferredCipher::Aes),
            (&[old_aes, chacha20, aes], PreferredCipher::Aes),
            (&[grease, cbc], PreferredCipher::Aes),
            (&[], PreferredCipher::Aes),
        ] {
            assert_eq!(PreferredCipher::of_client(named), preferred, "{named:?}");
        }
    }
}
