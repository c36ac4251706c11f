//! Which faults concern a command that only works on data.

use super::Overrides;

/// Returns whether a fault of a key concerns the program that was started. A revocation must not fail because of an
/// upstream's secret, or a file that only the server's user may read.
pub(super) fn concerns(key: &str, overrides: &Overrides) -> bool {
    let is_secret = is_secret(key) && !overrides.with_secrets;
    !overrides.data_only || !(is_for_the_server(key) || is_secret)
}

/// Returns whether a key only matters to a server: certificates, CA files, upstreams' headers.
fn is_for_the_server(key: &str) -> bool {
    let of_upstream = key.strip_prefix("upstream[").and_then(|rest| Some(rest.split_once("].")?.1));
    let of_listeners = ["listen.certificate", "listen.key", "listen.health_path", "operator.address"].contains(&key);
    of_listeners
        || key.starts_with("well_known[")
        || key.starts_with("workload[")
        || matches!(key, "--operator-listen" | "outbound.extra_ca_file" | "login.logo")
        || of_upstream.is_some_and(|key| key == "ca_file" || key == "headers" || key.starts_with("headers."))
}

/// Returns whether a key has what clients and accounts of the file prove themselves by.
fn is_secret(key: &str) -> bool {
    let name = key.strip_prefix("client[").or_else(|| key.strip_prefix("account["));
    let name = name.and_then(|rest| Some(rest.split_once("].")?.1));
    name.is_some_and(|name| ["secret", "jwks", "password"].contains(&name))
}
