//! Sends one request on a shared HTTP/2 connection.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures_util::FutureExt as _;
use h2::Reason;
use h2::client::SendRequest;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Request, Response};
use http_body::Body as _;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::received::Received;
use super::request_body::{Outgoing, Piece};
use super::unsent::{Sent, Unsent};

/// Why there is no answer.
pub(in crate::proxy) enum SendFailure {
    /// The connection takes no more requests; the request is returned.
    Unsent(h2::Error, Box<Request<Outgoing>>),
    /// At least a part of the request was sent.
    Broken(h2::Error),
}

/// Sends a request and waits for the head of its answer. Dropping this cancels the request. `stop` ends what is still
/// being sent then.
pub(in crate::proxy) async fn send(
    sender: SendRequest<Piece>,
    request: Request<Outgoing>,
    stop: CancellationToken,
) -> Result<Response<Received>, SendFailure> {
    let mut sender = match sender.ready().await {
        Ok(sender) => sender,
        Err(error) => return Err(SendFailure::Unsent(error, Box::new(request))),
    };
    let (mut head, body) = request.into_parts();
    // RFC 9110 8.6.
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0 || has_content(&head.method)) {
        head.headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    let is_whole = body.is_end_stream();
    let (answer, stream) = sender.send_request(Request::from_parts(head, ()), is_whole).map_err(SendFailure::Broken)?;
    drop(sender);
    let mut sending = BodyInFlight { sent: Sent::new(stream), body, offered: None };
    // Most bodies can be passed to h2 at once.
    let unsent = if is_whole || (&mut sending).now_or_never().is_some() {
        Unsent::Queued(sending.end())
    } else {
        let (keep, dropped) = oneshot::channel();
        let sending = sending.unless_given_up(dropped);
        drop(tokio::spawn(async move { stop.run_until_cancelled_owned(sending).await }));
        Unsent::Waiting { _keep: keep }
    };
    let (head, stream) = answer.await.map_err(SendFailure::Broken)?.into_parts();
    let body = Received::new(stream, &head.headers, unsent.rest());
    Ok(Response::from_parts(head, body))
}

/// Returns whether a request with this method is expected to have content, so that an empty body needs `Content-Length:
/// 0` (RFC 9110 8.6).
fn has_content(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::DELETE].contains(method)
}

/// A body that is being sent; ends when it is sent, or when sending the rest is useless.
struct BodyInFlight {
    sent: Sent,
    body: Outgoing,
    /// A part that is waiting for the peer's window, and whether it is the last.
    offered: Option<(Piece, bool)>,
}

impl BodyInFlight {
    fn end(self) -> Sent {
        self.sent
    }

    /// Sends the body until the answer is no longer needed.
    async fn unless_given_up(mut self, mut dropped: oneshot::Receiver<Infallible>) {
        tokio::select! {
            biased;
            _ = &mut dropped => self.sent.stream.send_reset(Reason::CANCEL),
            () = &mut self => {
                let sent = self.end();
                if !sent.is_complete() {
                    let _given_up = dropped.await;
                }
            }
        }
    }
}

impl Future for BodyInFlight {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { sent, body, offered } = self.get_mut();
        loop {
            // The peer does not want the rest.
            if sent.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(());
            }
            if offered.is_some() {
                while sent.stream.capacity() == 0 {
                    let Some(Ok(_)) = ready!(sent.stream.poll_capacity(cx)) else { return Poll::Ready(()) };
                }
            }
            let (piece, is_last) = match offered.take() {
                Some(offered) => offered,
                None => match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        let Ok(piece) = frame.into_data() else { continue };
                        let is_last = body.is_end_stream();
                        if piece.has_remaining() {
                            // Reserve only one byte: reserving all that is left of the connection's window would block
                            // other streams. h2 requests the rest.
                            sent.stream.reserve_capacity(1);
                            *offered = Some((piece, is_last));
                            continue;
                        }
                        (piece, is_last)
                    }
                    Some(Err(_)) => {
                        sent.stream.send_reset(Reason::INTERNAL_ERROR);
                        return Poll::Ready(());
                    }
                    None => (Bytes::new().into(), true),
                },
            };
            if sent.give(piece, is_last).is_err() || is_last {
                return Poll::Ready(());
            }
        }
    }
}
