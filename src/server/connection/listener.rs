//! The public listener: accepts, counts, and hands each connection to the worker that has the fewest.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

use super::hand_over::{Accepted, WorkerHandle};
use crate::server::worker::{OpenConnection, Process};
use crate::telemetry::ServerEvent;
use crate::web::peer;

/// Connections that the kernel keeps for us while we are busy; what nginx and others ask for.
const BACKLOG: u32 = 1024;
/// A client that acknowledges nothing for so long has vanished; by itself, Linux waits for 15 minutes.
const VANISHED_AFTER: Duration = Duration::from_secs(60);
/// Between two tries after the system refused a connection; doubled until the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Listens at an address.
///
/// # Errors
/// The address is in use, or not this machine's.
pub(in crate::server) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // So that a restart need not wait for the last connections of the process before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until `stop`.
pub(in crate::server) async fn run(
    listener: Arc<TcpListener>,
    workers: Vec<WorkerHandle>,
    process: Arc<Process>,
    stop: CancellationToken,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = FIRST_PAUSE;
                if let Err(event) = hand_over(stream, peer, &workers, &process) {
                    process.metrics.server(event);
                }
            }
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                // Without file descriptors the connection stays in the kernel's queue, and the listener is
                // ready again at once: only a pause keeps this from spinning.
                process.metrics.server(ServerEvent::AcceptFailed);
                if pause == FIRST_PAUSE {
                    tracing::error!(%error, "no connection can be accepted; trying again");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn is_the_peers(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    [ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted].contains(&error.kind())
}

/// `stall`: how long a client may take nothing, which looks the same from here once the system's buffer is full.
fn prepare(stream: &TcpStream, stall: Duration) -> std::io::Result<()> {
    // Each small answer would wait for the acknowledgement of the one before.
    stream.set_nodelay(true)?;
    // RFC 5482: small pieces of a stream fit the system's buffer whether anybody is there or not.
    let limit = u32::try_from(stall.max(VANISHED_AFTER).as_millis()).unwrap_or(u32::MAX);
    Ok(set_tcp_user_timeout(stream, limit)?)
}

fn hand_over(
    stream: TcpStream,
    peer: SocketAddr,
    workers: &[WorkerHandle],
    process: &Process,
) -> Result<(), ServerEvent> {
    let overloaded = || ServerEvent::RefusedTotal;
    let first = workers.first().ok_or_else(overloaded)?;
    let snapshot = first.worker.snapshot();
    let config = &snapshot.config;
    // Behind a trusted proxy the address is not the caller's, and one address has them all.
    let address = Some(peer.ip()).filter(|peer| !peer::is_trusted(*peer, &config.public.trusted_proxies));
    let permit = match process.admission.admit(address, &config.limits) {
        Ok(permit) => permit,
        Err(event) => {
            process.admission.tell(event, peer.ip().to_canonical());
            return Ok(());
        }
    };
    prepare(&stream, config.timeouts.write_stall).map_err(|_| ServerEvent::AcceptFailed)?;
    let stream = stream.into_std().map_err(|_| ServerEvent::AcceptFailed)?;
    let handle = workers.iter().min_by_key(|handle| handle.worker.open()).unwrap_or(first);
    let counted = OpenConnection::of(&handle.worker);
    handle.hand_over.try_send(Accepted { stream, peer, permit, counted }).map_err(|_| ServerEvent::RefusedTotal)?;
    process.metrics.server(ServerEvent::Accepted);
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::net::sockopt::tcp_user_timeout;
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn a_client_that_vanished_is_given_up_in_a_minute_or_when_it_may_be_slow_for_no_longer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        for (stall, limit) in [(1, 60_000), (3600, 3_600_000)] {
            super::prepare(&accepted, std::time::Duration::from_secs(stall)).unwrap();
            assert_eq!(tcp_user_timeout(&accepted).unwrap(), limit);
        }
    }
}
