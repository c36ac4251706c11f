//! What a new configuration may not change under a running gateway, and what an operator should be warned of.

use super::{Config, TlsConfig, is_loopback};

impl Config {
    /// Returns the keys in which `newer` differs and that only a restart can change.
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

    /// Returns what is allowed but dangerous in this configuration, one sentence each (CF-05).
    #[must_use]
    pub fn warnings(&self) -> Vec<&'static str> {
        let public_url = url::Url::parse(&self.public_url).ok();
        let is_local = public_url.as_ref().is_some_and(is_loopback);
        let is_plain = public_url.as_ref().is_some_and(|url| url.scheme() == "http");
        let dangers = [
            (
                !self.operator.ip().is_loopback(),
                "operator.danger_open_to_network: whoever reaches the operator listener reads health and metrics",
            ),
            (
                self.public.tls == TlsConfig::Development && !is_local,
                "listen.tls is development: only those connect who were made to trust the CA below data_dir",
            ),
            (
                is_plain,
                "--public-url is plain http: passwords and tokens travel in clear text; never let anything forward this \
                 port to another machine",
            ),
            (
                self.public.tls == TlsConfig::Off && !self.public.address.ip().is_loopback(),
                "listen.tls is off: tokens travel in clear text between the load balancer and this machine",
            ),
            (
                !self.outbound.allow_addresses.is_empty(),
                "outbound.allow_addresses: the gateway fetches metadata documents from addresses that are not public",
            ),
            (
                self.outbound.proxy.is_some(),
                "outbound.proxy: the proxy resolves the names of metadata documents; the gateway does not see their \
                 addresses, so the proxy must refuse those that are not public",
            ),
        ];
        dangers.into_iter().filter_map(|(is_so, sentence)| is_so.then_some(sentence)).collect()
    }
}
