//! Parses listen addresses as written on the command line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Parses an address with its port, `localhost` with a port, or a port alone, which means 127.0.0.1.
pub(super) fn parse(text: &str) -> Result<SocketAddr, String> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let local = port(text.strip_prefix("localhost:").unwrap_or(text));
    let local = local.map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    let expected = |_| {
        // In other programs `:8443` means every address of the machine, which nobody should open by accident.
        let port = text.rsplit(':').next().and_then(port).unwrap_or(8443);
        format!("write {port} or 127.0.0.1:{port} for this machine only, or 0.0.0.0:{port} or [::]:{port} for all")
    };
    local.map_or_else(|| text.parse().map_err(expected), Ok)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_port_alone_is_one_of_this_machine() {
        for (written, meant) in [
            ("8443", "127.0.0.1:8443"),
            ("0", "127.0.0.1:0"),
            ("localhost:8443", "127.0.0.1:8443"),
            ("0.0.0.0:443", "0.0.0.0:443"),
            ("[::1]:9090", "[::1]:9090"),
        ] {
            assert_eq!(parse(written).map(|address| address.to_string()).as_deref(), Ok(meant), "{written}");
        }
        for (wrong, example) in [
            (":9443", "9443 or 127.0.0.1:9443"),
            ("*:9443", "0.0.0.0:9443"),
            ("70000", "127.0.0.1:8443"),
            ("+80", "127.0.0.1:8443"),
            ("127.0.0.1", "127.0.0.1:8443"),
            ("mcp.example.com:443", "127.0.0.1:443"),
            ("", "127.0.0.1:8443"),
        ] {
            assert!(parse(wrong).is_err_and(|said| said.contains(example)), "{wrong}");
        }
    }
}
