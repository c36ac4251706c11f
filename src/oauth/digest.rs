//! `Digest`: the form in which secrets are stored and looked up, typed by what it is the digest of.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use ring::digest::{SHA256, digest};

/// SHA-256 of a secret, the only form in which it is stored or used as a key. `Of` is the type of the secret, or of
/// what it leads to, so that the digest of a code cannot be used to look up a token.
pub struct Digest<Of: ?Sized>([u8; 32], PhantomData<fn(&Of)>);

impl<Of: ?Sized> Digest<Of> {
    /// Hashes a secret as presented.
    #[must_use]
    pub fn of(presented: &[u8]) -> Self {
        // By ring, which is also fast on processors without instructions for SHA-256, and every request needs this.
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(digest(&SHA256, presented).as_ref()).for_each(|(to, from)| *to = *from);
        Self::from_stored(bytes)
    }
    /// Restores a digest from the bytes that `as_bytes` returned.
    #[must_use]
    pub const fn from_stored(bytes: [u8; 32]) -> Self {
        Self(bytes, PhantomData)
    }
    /// Returns the bytes, for storing them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

// Derived impls would require the same traits of `Of`.
impl<Of: ?Sized> Clone for Digest<Of> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Of: ?Sized> Copy for Digest<Of> {}

impl<Of: ?Sized> PartialEq for Digest<Of> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<Of: ?Sized> Eq for Digest<Of> {}

impl<Of: ?Sized> Hash for Digest<Of> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<Of: ?Sized> fmt::Debug for Digest<Of> {
    /// Prints the first four bytes: enough to tell two apart, too few to be of use.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Digest({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}
