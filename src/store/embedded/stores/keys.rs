//! `KeyStore`: API keys.

use crate::store::embedded::rows::keys;
use crate::store::{Issued, KeyAdded, NewKey, Result, RotateKey};

implement! { KeyStore:
    write insert_key(key: NewKey) -> KeyAdded = |db| keys::insert(db, &key);
    write rotate_key(by: RotateKey) -> Option<Issued> = |db| keys::rotate(db, &by);
}
