//! The mirror of the tables of gateway.toml for listeners and TLS.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::file_words::{Hsts, TlsMode};
use super::settings::MinimumKeyBits;
use super::table::table;
use crate::oauth::Lifetime;

table! {
    /// The public listener: OAuth, metadata and the upstreams' paths.
    Listen at "listen" {
        /// The address to listen on. `serve` uses `0.0.0.0:8443`, `up` uses `127.0.0.1:8443`. A change needs a restart.
        address: SocketAddr = none;
        /// Where TLS ends: at the gateway, with a certificate from `files` (the default of `serve`) or from the
        /// `development` CA in the data directory (the default of `up`); or, with `off`, at a load balancer in front,
        /// which must be listed in `trusted_proxies` and needs an explicit `public_url`. A change to or from `off`
        /// needs a restart.
        tls: TlsMode = none;
        /// The certificate chain in PEM, with the server's own certificate first. Reloaded with the configuration.
        certificate: PathBuf = none;
        /// The private key of the certificate in PEM, readable only by its owner and group. Reloaded with the
        /// configuration.
        key: PathBuf = none;
        /// Addresses or networks whose `X-Forwarded-For` (or PROXY header) is believed.
        trusted_proxies: Vec<IpNet> = [];
        /// Whether connections from trusted proxies must begin with a PROXY header, version 1 or 2. A change needs a
        /// restart.
        proxy_protocol: bool = false;
        /// A path such as `/healthz` at which the gateway answers health checks of load balancers, whatever their Host:
        /// 200, or 503 while it is stopping or cannot check tokens. There is none by default; the operator listener has
        /// a path with more detail.
        health_path: String = none;
        /// The scope of `Strict-Transport-Security` (RFC 6797), which makes browsers use https only: the `host` of
        /// `public_url` with all its ports, its `subdomains` too, or `off`. It is never sent for a host on this
        /// machine.
        hsts: Hsts = "host";
        /// How long browsers remember `hsts`; `"0s"` makes them forget it.
        hsts_max_age: Lifetime = "730d", "0s" to "3650d";
    }
}

table! {
    /// TLS of every connection that the gateway accepts or makes: from clients, to upstreams, for fetches.
    Tls at "tls" {
        /// The least length of a cipher's key in bits. With `256`, AES-128 is refused, and a client or server that has
        /// neither AES-256-GCM nor ChaCha20-Poly1305 cannot connect. With `128`, AES-128-GCM is preferred.
        minimum_key_bits: MinimumKeyBits = 128;
    }
}

table! {
    /// The operator listener: health, readiness and metrics, over plain HTTP without login.
    Operator at "operator" {
        /// The address to listen on. A change needs a restart.
        address: SocketAddr = "127.0.0.1:9090";
        /// Allows an address that is not loopback. Everybody who reaches it can read the metrics, so restrict access by
        /// other means.
        danger_open_to_network: bool = false;
    }
}
