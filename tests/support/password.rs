//! The password of everybody in these tests, unless one is about passwords.

pub(crate) const PASSWORD: &str = "seven-boats-on-a-quiet-lake";
