//! The public listener: accepts and counts connections, and hands each to the worker that has the fewest.

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

/// Length of the kernel's queue of connections to be accepted; nginx and others use similar values.
const BACKLOG: u32 = 1024;
/// How long a client may acknowledge nothing before it counts as gone; Linux waits for 15 minutes by default.
const VANISHED_AFTER: Duration = Duration::from_secs(60);
/// Pause after the system refused to accept; doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Listens at an address.
///
/// # Errors
/// The address is in use, or does not belong to this machine.
pub(in crate::server) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // So that a restart need not wait for the last connections of the previous process.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections until `stop`.
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
                // When file descriptors run out, the connection stays in the kernel's queue and the listener is ready
                // again at once: only a pause keeps this from spinning.
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

/// Sets socket options. `stall` is how long a client may read nothing, which looks like a vanished client once the
/// system's buffer is full.
fn prepare(stream: &TcpStream, stall: Duration) -> std::io::Result<()> {
    // Otherwise each small answer would wait for the acknowledgement of the previous one.
    stream.set_nodelay(true)?;
    // RFC 5482: small pieces of a stream fit into the system's buffer even if the client has vanished.
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
    // Behind a trusted proxy all connections come from its address, which says nothing about the client.
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
