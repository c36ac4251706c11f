//! One GET over one connection: 200, plain JSON, of bounded size, or an error.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;

use super::freshness::Freshness;
use super::{FetchError, Fetched, TOTAL_TIME, Target};
use crate::web::{BodyError, Pace, read_bounded};

/// The longest head of an answer.
const MAX_FIELDS: usize = 64;
const MAX_HEAD: usize = 32 * 1024;

/// How slowly a document may come; the time in all is that of the whole fetch. Somebody waits for it in a browser, and
/// others wait for its place.
const PACE: Pace = Pace { total: TOTAL_TIME, grace: Duration::from_secs(2) };

/// Who asks.
pub(super) const AGENT: &str = concat!("mcpgate/", env!("CARGO_PKG_VERSION"));

/// Returns how HTTP is spoken to strangers.
pub(super) fn client() -> http1::Builder {
    let mut connection = http1::Builder::new();
    connection.max_headers(MAX_FIELDS).max_buf_size(MAX_HEAD);
    connection
}

/// Fetches the target over a connection that is secured already.
pub(super) async fn get(
    secured: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    target: &Target,
    max_bytes: usize,
) -> Result<Fetched, FetchError> {
    let request = Request::get(&target.path)
        .header(HOST, &target.authority)
        .header(ACCEPT, "application/json")
        // Encoded answers are refused below; saying so first is only polite (CI-07).
        .header(ACCEPT_ENCODING, "identity")
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Refused)?;
    let (mut sender, driver) = client().handshake(TokioIo::new(secured)).await.map_err(|_| FetchError::Protocol)?;
    // The connection dies with this call, however it ends.
    let _driver = AbortOnDropHandle::new(tokio::spawn(driver));
    let answer = sender.send_request(request).await.map_err(|_| FetchError::Protocol)?;
    // CIMD "Client Information Document": 200 is the only success; a redirect is not followed (CI-06).
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status(answer.status().as_u16()));
    }
    check_type(answer.headers())?;
    let Freshness { max_age, no_store } = Freshness::read(answer.headers());
    // What the length says is only believed when it is too much (CI-07).
    let body = read_bounded(answer.into_body(), max_bytes, PACE).await.map_err(|error| match error {
        BodyError::TooLarge => FetchError::TooLarge,
        BodyError::Slow => FetchError::Slow,
        BodyError::Broken => FetchError::Protocol,
    })?;
    Ok(Fetched { body, max_age, no_store })
}

/// `application/json` or `application/*+json`, in the clear.
fn check_type(headers: &HeaderMap) -> Result<(), FetchError> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let subtype = essence.strip_prefix("application/").unwrap_or_default();
    let plain = headers.get_all(CONTENT_ENCODING).iter().all(|encoding| encoding.as_bytes() == b"identity");
    if plain && (subtype == "json" || subtype.ends_with("+json")) { Ok(()) } else { Err(FetchError::ContentType) }
}
