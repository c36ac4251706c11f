//! The mirror of the table of gateway.toml for workloads.

use std::path::PathBuf;

use ipnet::IpNet;

use super::table::table;
use super::value::Entries;

table! {
    /// A workload without a stored secret: a job or a service with tokens of another issuer (GitHub Actions,
    /// Kubernetes), which it exchanges at `/token` for tokens of ten minutes (RFC 7523 2.1). A token must match one
    /// table in all that it says.
    Workload at "workload" repeated {
        /// The issuer of its tokens, exactly as in `iss`.
        issuer: String = required;
        /// The https URL of the issuer's keys. Fetched when first needed, and again when they are old.
        jwks_uri: String = none;
        /// A file with these keys, a JSON Web Key Set, instead of `jwks_uri`. Reloaded with the configuration.
        jwks_file: PathBuf = none;
        /// PEM file with a CA for `jwks_uri`, in addition to the system's.
        ca_file: PathBuf = none;
        /// Addresses or networks that are allowed for `jwks_uri` although they are not public. With it, the URL is
        /// fetched without `outbound.proxy`.
        allow_addresses: Vec<IpNet> = [];
        /// The audience of its tokens, exactly as in `aud`: one string, or a list of only this one. Choose one that no
        /// other service accepts, such as the `public_url`.
        audience: String = required;
        /// What its tokens must say: claims that are strings, each with a pattern for the whole value, in which `*`
        /// stands for any characters. At least one must tell whose workload it is (`sub`, `repository`).
        claims: Entries = {};
        /// The name of the service account as which it acts, in `allow_users`, groups and rules; added with its first
        /// token.
        account: String = required;
        /// The name of the upstream that it may use.
        upstream: String = required;
        /// The scopes that it gets there.
        scopes: Vec<String> = [];
    }
}
