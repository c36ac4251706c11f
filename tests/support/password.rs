//! The password of every account, except in tests of passwords.

pub(crate) const PASSWORD: &str = "seven-boats-on-a-quiet-lake";
