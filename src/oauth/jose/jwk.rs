//! `JwkSet`: public keys (RFC 7517), each with the algorithms that its type allows.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde_json::{Map, Value, json};

use super::{JoseFault, SignatureAlgorithm, member};
use crate::oauth::json::object;

/// The most keys of a set. Servers and clients publish up to ten.
const MAX_KEYS: usize = 50;
/// The largest set in bytes.
const MAX_BYTES: usize = 64 << 10;
/// The longest key id in bytes.
const MAX_ID: usize = 256;
/// The sizes of an RSA modulus in bytes: 2048 to 4096 bits. RFC 7518 3.3 asks for the former; larger keys than the
/// latter make everybody's verification slow, and nobody safer.
const RSA_MODULUS: std::ops::RangeInclusive<usize> = 256..=512;
/// How many keys of a set one signature is checked with: keys are chosen by whoever sends signatures.
const MAX_TRIES: usize = 4;
/// Members that only private and symmetric keys have (RFC 7518 6.2.2, 6.3.2, 6.4.1).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Public keys that signatures are checked with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JwkSet(Vec<PublicKey>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct PublicKey {
    id: Option<Box<str>>,
    /// The only algorithm that it may be used with, if it names one.
    algorithm: Option<SignatureAlgorithm>,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    /// A point of P-256, uncompressed.
    P256(Box<[u8]>),
    Ed25519(Box<[u8]>),
    Rsa {
        n: Box<[u8]>,
        e: Box<[u8]>,
    },
}

impl JwkSet {
    /// Parses a set (RFC 7517 5). Keys for other purposes, of other types or for other algorithms are left out.
    ///
    /// # Errors
    /// It is larger than 64 KiB or has more than 50 keys, no key that could be used, a key that is private, or two of
    /// the same id and type.
    pub fn parse(text: &[u8]) -> Result<Self, JoseFault> {
        if text.len() > MAX_BYTES {
            return Err(JoseFault("the key set is larger than 64 KiB"));
        }
        let members = object(text).ok_or(JoseFault("the key set is not one JSON object"))?;
        Self::of_members(&members)
    }

    /// Reads a set that is part of a larger document.
    ///
    /// # Errors
    /// As `parse`.
    pub fn of_members(members: &Map<String, Value>) -> Result<Self, JoseFault> {
        let entries = members.get("keys").and_then(Value::as_array).ok_or(JoseFault("the key set has no keys"))?;
        if entries.len() > MAX_KEYS {
            return Err(JoseFault("the key set has more than 50 keys"));
        }
        let mut keys: Vec<PublicKey> = Vec::with_capacity(entries.len());
        for entry in entries {
            let entry = entry.as_object().ok_or(JoseFault("a key is not a JSON object"))?;
            if PRIVATE.iter().any(|name| entry.contains_key(*name)) {
                return Err(JoseFault("the key set contains a private or a shared key"));
            }
            let Some(key) = PublicKey::read(entry)? else { continue };
            let doubles = |other: &PublicKey| {
                std::mem::discriminant(&other.material) == std::mem::discriminant(&key.material) && other.id == key.id
            };
            // RFC 7517 4.5: only keys of different types may have the same id.
            if key.id.is_some() && keys.iter().any(doubles) {
                return Err(JoseFault("two keys have the same kid"));
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(JoseFault("the key set has no key for ES256, EdDSA, RS256 or PS256"));
        }
        Ok(Self(keys))
    }

    /// Returns whether some key is in both sets.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().any(|key| other.0.iter().any(|theirs| theirs.material == key.material))
    }

    /// Checks that one of the keys made a signature. A signature that names a key is checked with those of that id and
    /// those without an id.
    ///
    /// # Errors
    /// None of them made it, or more than four could have.
    pub(super) fn verify(
        &self,
        (algorithm, id): (SignatureAlgorithm, Option<&str>),
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), JoseFault> {
        let named = |key: &&PublicKey| key.id.is_none() || id.is_none() || key.id.as_deref() == id;
        let candidates: Vec<_> = self.0.iter().filter(named).filter(|key| key.may_make(algorithm)).collect();
        if candidates.len() > MAX_TRIES {
            return Err(JoseFault("more than four keys could have made the signature: name one by kid"));
        }
        let is_made = candidates.iter().any(|key| key.verifies(algorithm, signed, signature));
        if is_made { Ok(()) } else { Err(JoseFault("none of the keys made the signature")) }
    }

    /// Returns the set with its usable keys and the members that are acted on.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let keys: Vec<_> = self.0.iter().map(PublicKey::to_json).collect();
        json!({ "keys": keys })
    }
}

impl PublicKey {
    /// Reads a key; `None` for one that is for something else.
    fn read(members: &Map<String, Value>) -> Result<Option<Self>, JoseFault> {
        let text = |name: &str| member(members, name).map_err(|()| MALFORMED);
        let bytes = |name: &str| text(name)?.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).ok_or(MALFORMED);
        // RFC 7517 4.2, 4.3: the purposes that the owner allows.
        let may_verify = match members.get("key_ops") {
            None => true,
            Some(allowed) => allowed.as_array().ok_or(MALFORMED)?.iter().any(|one| one.as_str() == Some("verify")),
        };
        if !may_verify || text("use")?.is_some_and(|purpose| purpose != "sig") {
            return Ok(None);
        }
        let algorithm = match text("alg")?.map(SignatureAlgorithm::parse) {
            Some(None) => return Ok(None),
            named => named.flatten(),
        };
        let material = match (text("kty")?, text("crv")?) {
            (Some("EC"), Some("P-256")) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                // RFC 7518 6.2.1.2: coordinates have the full length, with leading zeros.
                if x.len() != 32 || y.len() != 32 {
                    return Err(MALFORMED);
                }
                Material::P256([&[4], &*x, &*y].concat().into())
            }
            (Some("OKP"), Some("Ed25519")) => {
                Material::Ed25519(Some(bytes("x")?).filter(|x| x.len() == 32).ok_or(MALFORMED)?.into())
            }
            (Some("RSA"), _) => {
                // RFC 7518 2 allows no leading zeros, but some libraries write one.
                let [n, e] = [bytes("n")?, bytes("e")?].map(|number| without_zeros(&number));
                if !RSA_MODULUS.contains(&n.len()) {
                    return Err(JoseFault("an RSA key has fewer than 2048 bits, or more than 4096"));
                }
                Material::Rsa { n, e }
            }
            _ => return Ok(None),
        };
        let id = text("kid")?;
        if id.is_some_and(|id| id.len() > MAX_ID) {
            return Err(JoseFault("a kid is longer than 256 bytes"));
        }
        let key = Self { id: id.map(Box::from), algorithm, material };
        // A key that names an algorithm of another type is no use to anybody.
        Ok(Some(key).filter(|key| SignatureAlgorithm::ALL.into_iter().any(|algorithm| key.may_make(algorithm))))
    }

    /// Returns whether a signature under an algorithm could be this key's.
    fn may_make(&self, algorithm: SignatureAlgorithm) -> bool {
        use SignatureAlgorithm::{EdDsa, Es256, Ps256, Rs256};
        let is_of_type = match self.material {
            Material::P256(_) => matches!(algorithm, Es256),
            Material::Ed25519(_) => matches!(algorithm, EdDsa),
            Material::Rsa { .. } => matches!(algorithm, Rs256 | Ps256),
        };
        is_of_type && self.algorithm.is_none_or(|only| only == algorithm)
    }

    fn verifies(&self, algorithm: SignatureAlgorithm, signed: &[u8], signature: &[u8]) -> bool {
        use SignatureAlgorithm::{EdDsa, Es256, Ps256, Rs256};
        match (&self.material, algorithm) {
            (Material::P256(point), Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature)
            }
            (Material::Ed25519(key), EdDsa) => UnparsedPublicKey::new(&ED25519, key).verify(signed, signature),
            (Material::Rsa { n, e }, Rs256) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
            }
            (Material::Rsa { n, e }, Ps256) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PSS_2048_8192_SHA256, signed, signature)
            }
            (Material::P256(_), EdDsa | Rs256 | Ps256)
            | (Material::Ed25519(_), Es256 | Rs256 | Ps256)
            | (Material::Rsa { .. }, Es256 | EdDsa) => Err(ring::error::Unspecified),
        }
        .is_ok()
    }

    /// Returns the key as a JWK, with the members that are acted on.
    fn to_json(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut members = match &self.material {
            Material::P256(point) => {
                let (x, y) = point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
                json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
            }
            Material::Ed25519(x) => json!({"kty": "OKP", "crv": "Ed25519", "x": text(x)}),
            Material::Rsa { n, e } => json!({"kty": "RSA", "n": text(n), "e": text(e)}),
        };
        if let Some(members) = members.as_object_mut() {
            members.extend(self.id.iter().map(|id| ("kid".to_owned(), json!(id))));
            members.extend(self.algorithm.iter().map(|algorithm| ("alg".to_owned(), json!(algorithm.as_str()))));
        }
        members
    }
}

fn without_zeros(number: &[u8]) -> Box<[u8]> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}

/// A key whose parameters cannot be read.
const MALFORMED: JoseFault = JoseFault("a key has no readable parameters of its type");
