//! `Jws`: a signed text in the compact form (RFC 7515 3.1), read before it is verified.

use super::{Claims, JoseFault, JwkSet, SignatureAlgorithm, member};
use crate::oauth::json;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The longest signed text in bytes.
const MAX_BYTES: usize = 16 << 10;

/// A signed set of claims whose signature is not checked yet. What it says of itself may be used to find the keys, and
/// for nothing else.
#[derive(Debug, Clone)]
pub struct Jws {
    signed: Box<str>,
    signature: Vec<u8>,
    algorithm: SignatureAlgorithm,
    key_id: Option<String>,
    kind: Option<String>,
    claims: Claims,
}

impl Jws {
    /// Reads a signed set of claims (RFC 7519 7.2).
    ///
    /// # Errors
    /// Not the compact form, longer than 16 KiB, an algorithm that is not allowed, an extension that must be understood
    /// (RFC 7515 4.1.11), or JSON that two parsers could read differently.
    pub fn read(text: &str) -> Result<Self, JoseFault> {
        if text.len() > MAX_BYTES {
            return Err(JoseFault("the signed text is longer than 16 KiB"));
        }
        const COMPACT: JoseFault = JoseFault("not three parts of base64url, separated by dots");
        let (signed, signature) = text.rsplit_once('.').ok_or(COMPACT)?;
        let (header, payload) = signed.split_once('.').ok_or(COMPACT)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| COMPACT);
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let header = json::object(&header).ok_or(JoseFault("the header is not one JSON object"))?;
        let payload = json::object(&payload).ok_or(JoseFault("the claims are not one JSON object"))?;
        // RFC 7515 4.1.11: an extension that is not understood must not be ignored. Ours understands none.
        if header.contains_key("crit") {
            return Err(JoseFault("the header names an extension that must be understood (crit)"));
        }
        let text = |name: &'static str, fault| member(&header, name).map_err(|()| JoseFault(fault));
        let algorithm = text("alg", "alg is not a string")?.ok_or(JoseFault("the header has no alg"))?;
        // RFC 7515 4.1.2 to 4.1.8: keys and their URLs in a header are never looked at.
        Ok(Self {
            signed: signed.into(),
            signature,
            algorithm: SignatureAlgorithm::parse(algorithm).ok_or(JoseFault("alg is not one that is allowed"))?,
            key_id: text("kid", "kid is not a string")?.map(str::to_owned),
            kind: text("typ", "typ is not a string")?.map(str::to_owned),
            claims: Claims::read(payload)?,
        })
    }

    /// Returns the claims before the signature is checked: they may be refused, but not believed.
    #[must_use]
    pub const fn unproved(&self) -> &Claims {
        &self.claims
    }

    /// Returns what kind of token it says it is (`typ`).
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    /// Checks the signature, and returns the claims.
    ///
    /// # Errors
    /// None of the keys made it, or more than four could have.
    pub fn verify(&self, keys: &JwkSet) -> Result<&Claims, JoseFault> {
        let by = (self.algorithm, self.key_id.as_deref());
        keys.verify(by, self.signed.as_bytes(), &self.signature)?;
        Ok(&self.claims)
    }
}
