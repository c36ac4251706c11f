//! What a new configuration may not change under a running gateway.

use super::{Config, TlsConfig};

impl Config {
    /// Returns the keys that differ in `newer` and that only a restart can change.
    #[must_use]
    pub fn needs_restart(&self, newer: &Self) -> Vec<&'static str> {
        let tls_off = |config: &Self| config.public.tls == TlsConfig::Off;
        let changed = [
            ("public_url", self.public_url != newer.public_url),
            ("data_dir", self.data_dir != newer.data_dir),
            ("workers", self.workers != newer.workers),
            ("brand", self.brand != newer.brand),
            ("listen.address", self.public.address != newer.public.address),
            ("listen.tls", tls_off(self) != tls_off(newer)),
            ("listen.proxy_protocol", self.public.proxy_protocol != newer.public.proxy_protocol),
            ("upstream.public_url", !self.public_urls().skip(1).eq(newer.public_urls().skip(1))),
            ("upstream.listen", self.listens_elsewhere(newer)),
            ("operator.address", self.operator != newer.operator),
            ("login.hash_slots", self.login.hash_slots != newer.login.hash_slots),
            ("limits.tokens_in_memory", self.limits.tokens_in_memory != newer.limits.tokens_in_memory),
            ("rates.store_reads_per_second", self.rates.store_reads_per_second != newer.rates.store_reads_per_second),
            ("log.format", self.log.json != newer.log.json),
            ("log.filter", self.log.filter != newer.log.filter),
            ("reload.max_stale", self.max_stale != newer.max_stale),
        ];
        changed.into_iter().filter_map(|(key, changed)| changed.then_some(key)).collect()
    }
}
