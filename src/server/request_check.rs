//! Checks that a request is well formed and for us, before it is dispatched.

use std::net::IpAddr;

use http::header::{EXPECT, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Version};

use super::connection::Connection;
use super::host::{self, Hosts};
use super::request_refusal::RequestRefusal;
use crate::config::{Config, Listener};
use crate::policy::is_forwarded_method;
use crate::web::peer;

/// The field in which a proxy reports the host that it was asked for.
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Maximum length of a field value in bytes, far longer than any token, cookie or trace.
const LONGEST_VALUE: usize = 16 << 10;

/// Checks that a request is well formed, within the limits, and for us.
///
/// # Errors
/// `RequestRefusal` says why the request is refused.
pub(super) fn check(
    head: &Parts,
    connection: &Connection,
    hosts: &Hosts,
    config: &Config,
) -> Result<(), RequestRefusal> {
    let limits = &config.limits;
    if !is_forwarded_method(head.method.as_str()) {
        let is_connect = head.method == Method::CONNECT;
        return Err(if is_connect { RequestRefusal::Connect } else { RequestRefusal::Trace });
    }
    let uri = &head.uri;
    if uri.path().len() + uri.query().map_or(0, |query| query.len() + 1) > limits.request_target {
        return Err(RequestRefusal::TargetTooLong);
    }
    // RFC 9112 3.2: `*` and a bare authority are for OPTIONS and CONNECT, and not used here.
    if !uri.path().starts_with('/') || (uri.authority().is_some() && !is_web(uri.scheme_str())) {
        return Err(RequestRefusal::Target);
    }
    let mut size = 0;
    let (mut named, mut coded) = (None, false);
    for (name, value) in &head.headers {
        // As on the wire: name, colon, space, value, line end.
        size += name.as_str().len() + value.len() + 4;
        if value.len() > LONGEST_VALUE {
            return Err(RequestRefusal::FieldsTooLarge);
        }
        if name == HOST {
            // RFC 9112 3.2: more than one, or an invalid one, is answered 400.
            let host = value.to_str().map_err(|_| RequestRefusal::HostMalformed)?;
            if named.replace(host).is_some() {
                return Err(RequestRefusal::HostMalformed);
            }
        } else if name == TRANSFER_ENCODING {
            // RFC 9112 6.1: of what hyper accepts, a single coding is the only form that all servers behind us read the
            // same way.
            if std::mem::replace(&mut coded, true) || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(RequestRefusal::Framing);
            }
        } else if name == EXPECT && !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
            return Err(RequestRefusal::Expectation);
        }
    }
    if size > limits.head_bytes || head.headers.len() > limits.header_fields {
        return Err(RequestRefusal::FieldsTooLarge);
    }
    let target = uri.authority().map(http::uri::Authority::as_str);
    let authority = match (target, named) {
        // RFC 9113 8.3.1: a Host field must say what `:authority` says.
        (Some(target), Some(host)) if head.version == Version::HTTP_2 && !target.eq_ignore_ascii_case(host) => {
            return Err(RequestRefusal::HostMalformed);
        }
        (Some(target), None) if head.version == Version::HTTP_2 => target,
        // RFC 9112 3.2.2: the target's authority takes precedence, but a well-formed Host field must be present.
        (Some(target), Some(host)) => {
            hosts.read(host).ok_or(RequestRefusal::HostMalformed)?;
            target
        }
        (None, Some(host)) => host,
        (_, None) => return Err(RequestRefusal::HostMalformed),
    };
    let named = hosts.read(authority).ok_or(RequestRefusal::HostMalformed)?;
    // RFC 9110 7.4: a request for another host than the TLS server name belongs on another connection. SNI cannot
    // contain an address (RFC 6066 3), so for an address it is not compared.
    let misdirected =
        connection.server_name.as_deref().is_some_and(|sni| !named.is_address && !sni.eq_ignore_ascii_case(named.name));
    if misdirected
        || !(named.is_ours || is_forwarded_to_us(&head.headers, connection.peer, hosts, authority, &config.public))
    {
        return Err(RequestRefusal::Host);
    }
    Ok(())
}

/// Returns whether a trusted proxy reports that it was asked for one of our hosts. In `Host` proxies send their own
/// name or their upstream's, or leave the port out (nginx's `$host`); checking the port is up to them.
fn is_forwarded_to_us(fields: &HeaderMap, peer: IpAddr, hosts: &Hosts, authority: &str, public: &Listener) -> bool {
    if public.proxy_protocol || !peer::is_trusted(peer, &public.trusted_proxies) {
        return false;
    }
    let is_ours =
        |host: &str| hosts.has(host) || matches!(host::split(host), Some((name, None)) if hosts.has_name(name));
    let mut fields = fields.get_all(&X_FORWARDED_HOST).iter();
    match (fields.next(), fields.next()) {
        (None, _) => is_ours(authority),
        // Each proxy appends to the list on the right, as with X-Forwarded-For: only the entry of the nearest one is
        // trusted.
        (Some(field), None) => {
            field.to_str().is_ok_and(|list| list.rsplit(',').next().is_some_and(|h| is_ours(h.trim())))
        }
        (Some(_), Some(_)) => false,
    }
}

fn is_web(scheme: Option<&str>) -> bool {
    matches!(scheme, Some("http" | "https"))
}
