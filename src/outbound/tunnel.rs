//! A connection through the operator's egress proxy: HTTP CONNECT, and inside it TLS to the origin as without a proxy.

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use super::exchange::{self, AGENT};
use super::fetch::FetchError;
use super::target::Target;

/// Asks the proxy at the other end of `stream` for a connection to the target.
pub(super) async fn open(stream: TcpStream, target: &Target) -> Result<TokioIo<Upgraded>, FetchError> {
    let authority = target.with_port();
    // RFC 9110 9.3.6: the target is host and port, even for the scheme's default port.
    let request = Request::connect(&authority)
        .header(HOST, &authority)
        .header(USER_AGENT, AGENT)
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Refused)?;
    let handshake = exchange::client().handshake(TokioIo::new(stream)).await;
    let (mut sender, driver) = handshake.map_err(|_| FetchError::Connect)?;
    // It ends with the answer, after which the connection is no longer HTTP.
    let _driver = AbortOnDropHandle::new(tokio::spawn(driver.with_upgrades()));
    let answer = sender.send_request(request).await.map_err(|_| FetchError::Connect)?;
    match answer.status() {
        status if status.is_success() => {}
        // The proxy has decided that the address may not be reached.
        StatusCode::FORBIDDEN => return Err(FetchError::Refused),
        _ => return Err(FetchError::Connect),
    }
    hyper::upgrade::on(answer).await.map(TokioIo::new).map_err(|_| FetchError::Connect)
}
