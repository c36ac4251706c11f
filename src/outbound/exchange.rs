//! One GET over one connection: the result is 200 with unencoded JSON of bounded size, or an error.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, SERVER, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;

use super::fetch::{FetchError, Fetched, TOTAL_TIME};
use super::freshness::Freshness;
use super::target::Target;
use crate::web::{BodyError, Pace, read_bounded};

/// The most header fields of an answer, and below the largest head in bytes.
const MAX_FIELDS: usize = 64;
const MAX_HEAD: usize = 32 * 1024;

/// The minimum speed of a document, within the total time of the fetch: somebody waits for it in a browser, and others
/// wait for its place.
const PACE: Pace = Pace { total: TOTAL_TIME, grace: Duration::from_secs(2) };

/// How many bytes of a refusal are read, and below how long that may take.
const EXCERPT: usize = 2048;
const EXCERPT_TIME: Duration = Duration::from_millis(500);

/// The value of `User-Agent`.
pub(super) const AGENT: &str = concat!("mcpgate/", env!("CARGO_PKG_VERSION"));

/// Returns the HTTP settings for servers that strangers name.
pub(super) fn client() -> http1::Builder {
    let mut connection = http1::Builder::new();
    connection.max_headers(MAX_FIELDS).max_buf_size(MAX_HEAD);
    connection
}

/// Fetches the target over an established TLS connection.
pub(super) async fn get(
    secured: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    target: &Target,
    max_bytes: usize,
) -> Result<Fetched, FetchError> {
    let request = Request::get(&target.path)
        .header(HOST, &target.authority)
        .header(ACCEPT, "application/json")
        // Encoded answers are refused below, so ask for none (CI-07).
        .header(ACCEPT_ENCODING, "identity")
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Refused)?;
    let (mut sender, driver) = client().handshake(TokioIo::new(secured)).await.map_err(|_| FetchError::Protocol)?;
    // The connection ends with this call, whatever the outcome.
    let _driver = AbortOnDropHandle::new(tokio::spawn(driver));
    let answer = sender.send_request(request).await.map_err(|_| FetchError::Protocol)?;
    // CIMD "Client Information Document": 200 is the only success; a redirect is not followed (CI-06).
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status { code: answer.status().as_u16(), said: said(answer).await });
    }
    check_type(answer.headers())?;
    let Freshness { max_age, no_store } = Freshness::read(answer.headers());
    // A declared length only counts if it is too large (CI-07).
    let body = read_bounded(answer.into_body(), max_bytes, PACE).await.map_err(|error| match error {
        BodyError::TooLarge => FetchError::TooLarge,
        BodyError::Slow => FetchError::Slow,
        BodyError::Broken => FetchError::Protocol,
    })?;
    Ok(Fetched { body, max_age, no_store })
}

/// Returns the server's own text about a refusal, in one line. It comes from outside, so it is truncated and made
/// printable ASCII.
async fn said<B: http_body::Body<Data = Bytes> + Unpin>(answer: Response<B>) -> String {
    let server = answer.headers().get(SERVER).map(|value| printable(value.as_bytes(), 40));
    // The beginning is enough: error pages of edge servers identify themselves in the title.
    let start = tokio::time::timeout(EXCERPT_TIME, answer.into_body().frame()).await.ok().flatten();
    let start = start.and_then(Result::ok).and_then(|frame| frame.into_data().ok()).unwrap_or_default();
    let start = start.get(..EXCERPT).unwrap_or(&start);
    let after = |text: &[u8]| start.windows(text.len()).position(|found| found == text).map(|at| at + text.len());
    let title = after(b"<title>").and_then(|at| start.get(at..)).and_then(|rest| rest.split(|b| *b == b'<').next());
    let excerpt = printable(title.unwrap_or(start), 80);
    let server = server.filter(|name| !name.is_empty()).map(|name| format!("Server: {name}"));
    let excerpt = Some(excerpt).filter(|text| !text.is_empty()).map(|text| format!("\"{text}\""));
    server.into_iter().chain(excerpt).collect::<Vec<_>>().join(", ")
}

/// Returns bytes as one line of printable ASCII without quotes, of at most `most` characters.
fn printable(bytes: &[u8], most: usize) -> String {
    let shown = |b: &u8| if b.is_ascii_graphic() && !matches!(b, b'"' | b'\\') { char::from(*b) } else { ' ' };
    let text: String = bytes.iter().map(shown).collect();
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ").chars().take(most).collect()
}

/// Checks the type: `application/json` or `application/*+json`, not encoded.
fn check_type(headers: &HeaderMap) -> Result<(), FetchError> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let subtype = essence.strip_prefix("application/").unwrap_or_default();
    let plain = headers.get_all(CONTENT_ENCODING).iter().all(|encoding| encoding.as_bytes() == b"identity");
    if plain && (subtype == "json" || subtype.ends_with("+json")) { Ok(()) } else { Err(FetchError::ContentType) }
}
