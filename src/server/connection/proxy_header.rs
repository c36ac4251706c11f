//! The PROXY header of a load balancer that passes TLS through (PROXY protocol, versions 1 and 2).

use std::net::IpAddr;

use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Maximum length of a header: version 1 has at most 107 bytes, and in version 2 there is room for the addresses and
/// some 500 bytes of extensions.
const MAX_BYTES: usize = 536;
/// Bytes that can be read in either version: version 2's signature has 12, and the shortest line of version 1 has 15.
const COMMON: usize = 12;
/// Length of version 2's signature with version, command, family and length.
const FIXED: usize = 16;

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyHeaderError {
    /// The connection broke off.
    #[error("the connection ended within the PROXY header")]
    Broken(#[from] std::io::Error),
    /// Something other than a PROXY header was received.
    #[error("this is not a PROXY header, or it is too long")]
    Malformed,
}

/// Reads the header and not a byte more; returns the client's address, or `None` when the proxy connects for itself.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<IpAddr>, ProxyHeaderError> {
    let mut head = vec![0; COMMON];
    stream.read_exact(&mut head).await?;
    if head == v2::PROTOCOL_PREFIX {
        read_more(stream, &mut head, FIXED - COMMON).await?;
        let length = head.get(FIXED - 2..).and_then(|l| l.try_into().ok()).map_or(0, u16::from_be_bytes);
        if usize::from(length) > MAX_BYTES - FIXED {
            return Err(ProxyHeaderError::Malformed);
        }
        read_more(stream, &mut head, usize::from(length)).await?;
    } else if head.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        // A line has no length prefix, so it is read byte by byte: what follows belongs to TLS.
        while head.last() != Some(&b'\n') {
            if head.len() >= 107 {
                return Err(ProxyHeaderError::Malformed);
            }
            read_more(stream, &mut head, 1).await?;
        }
    } else {
        return Err(ProxyHeaderError::Malformed);
    }
    match HeaderResult::parse(&head) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(a) => Some(IpAddr::from(a.source_address)),
            v1::Addresses::Tcp6(a) => Some(IpAddr::from(a.source_address)),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) => Ok(match (header.command, header.addresses) {
            // A health check by the proxy itself: its own address is used.
            (v2::Command::Local, _) => None,
            (v2::Command::Proxy, v2::Addresses::IPv4(a)) => Some(IpAddr::from(a.source_address)),
            (v2::Command::Proxy, v2::Addresses::IPv6(a)) => Some(IpAddr::from(a.source_address)),
            (v2::Command::Proxy, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
        }),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Err(ProxyHeaderError::Malformed),
    }
}

async fn read_more(stream: &mut (impl AsyncRead + Unpin), head: &mut Vec<u8>, more: usize) -> std::io::Result<()> {
    let have = head.len();
    head.resize(have + more, 0);
    stream.read_exact(head.get_mut(have..).unwrap_or_default()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::read;
    use std::net::IpAddr;

    async fn parse(bytes: &[u8]) -> Result<(Option<IpAddr>, Vec<u8>), String> {
        let mut rest = bytes;
        let address = read(&mut rest).await.map_err(|e| e.to_string())?;
        Ok((address, rest.to_vec()))
    }

    fn v2(command: u8, family: u8, addresses: &[u8], extensions: usize) -> Vec<u8> {
        let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        bytes.extend([0x20 | command, family]);
        let mut body = addresses.to_vec();
        // One extension (PP2_TYPE_NOOP) of the given length.
        if extensions > 2 {
            body.push(0x04);
            body.extend(u16::try_from(extensions - 3).unwrap().to_be_bytes());
            body.resize(addresses.len() + extensions, 0);
        }
        bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[tokio::test]
    async fn hd_08_headers_give_the_client_and_leave_the_rest() {
        let four = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0x01, 0xbb];
        let mut six = [0; 36];
        six[..16].copy_from_slice(&"2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets());
        let one: Option<IpAddr> = Some("192.0.2.7".parse().unwrap());
        for (name, header, wanted) in [
            ("v1 TCP4", b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 443\r\n".to_vec(), one),
            ("v1 TCP6", b"PROXY TCP6 2001:db8::7 ::1 4660 443\r\n".to_vec(), Some("2001:db8::7".parse().unwrap())),
            ("v1 UNKNOWN", b"PROXY UNKNOWN\r\n".to_vec(), None),
            ("v2 IPv4", v2(1, 0x11, &four, 0), one),
            ("v2 IPv4 with extensions", v2(1, 0x11, &four, 500), one),
            ("v2 IPv6", v2(1, 0x21, &six, 0), Some("2001:db8::7".parse().unwrap())),
            ("v2 LOCAL", v2(0, 0x11, &four, 0), None),
            ("v2 unspecified", v2(1, 0x00, &[], 0), None),
        ] {
            let mut bytes = header;
            bytes.extend(b"\x16\x03\x01rest");
            assert_eq!(parse(&bytes).await, Ok((wanted, b"\x16\x03\x01rest".to_vec())), "{name}");
        }
    }

    #[tokio::test]
    async fn hd_08_anything_else_is_refused() {
        let four = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0x01, 0xbb];
        let mut truncated = v2(1, 0x11, &four, 0);
        truncated.truncate(20);
        let mut wrong_version = v2(1, 0x11, &four, 0);
        wrong_version[12] = 0x31;
        for (name, bytes) in [
            ("no header", b"GET / HTTP/1.1\r\nHost: gw\r\n\r\n".to_vec()),
            ("TLS at once", [b"\x16\x03\x01\x02\x00\x01".as_slice(), &[0; 40]].concat()),
            ("truncated", truncated),
            ("4 KB of extensions", v2(1, 0x11, &four, 4096)),
            ("wrong version", wrong_version),
            ("v1 too long", [b"PROXY TCP4 ".as_slice(), &[b'1'; 200], b"\r\n"].concat()),
            ("v1 nonsense", b"PROXY TCP4 192.0.2.999 10.0.0.1 1 2\r\n".to_vec()),
            ("v1 cut off", b"PROXY TCP4 192.0.2".to_vec()),
        ] {
            assert!(parse(&bytes).await.is_err(), "{name}");
        }
    }
}
