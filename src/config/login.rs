//! What people meet who sign in: how long it lasts, how passwords are kept, whose pages they are.

use crate::oauth::Lifetime;

/// Login, sessions, consent.
#[derive(Debug, Clone)]
pub struct LoginPolicy {
    /// Session unused; default 1 h.
    pub session_idle: Lifetime,
    /// Session in all; default 24 h.
    pub session_absolute: Lifetime,
    /// Pending authorization; default 10 min.
    pub interaction: Lifetime,
    /// Link to set a first password; default 1 h.
    pub setup_link: Lifetime,
    /// Link to set another password; default 10 min.
    pub reset_link: Lifetime,
    /// Shortest password; default 12.
    pub min_password: usize,
    /// Concurrent argon2 computations; default 2.
    pub hash_slots: usize,
    /// argon2 memory in KiB; default 65536.
    pub argon2_memory_kib: u32,
    /// argon2 passes; default 3.
    pub argon2_passes: u32,
    /// Name shown on the pages.
    pub product_name: String,
}
