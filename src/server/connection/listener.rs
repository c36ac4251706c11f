//! The public listener, and those of upstreams: accepts and counts connections. A single worker accepts its connections
//! itself; with more, the control path's thread accepts and hands each to the worker that has the fewest.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::set_tcp_user_timeout;
use rustix::net::{SocketFlags, acceptfrom_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpSocket;
use tokio_util::sync::CancellationToken;

use super::hand_over::{Accepted, WorkerHandle};
use super::serve;
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
pub(in crate::server) fn bind(address: SocketAddr) -> io::Result<tokio::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // So that a restart need not wait for the last connections of the previous process.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections until `stop`, at a listener with its place among all. With one worker, to be run on its runtime
/// ([`WorkerHandle::runtime`]).
pub(in crate::server) async fn run(
    (listener, place): (Arc<TcpListener>, usize),
    workers: Vec<WorkerHandle>,
    process: Arc<Process>,
    stop: CancellationToken,
) {
    let listener = match watch(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener cannot be watched"),
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.async_io(Interest::READABLE, |listener| accept(listener)) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = FIRST_PAUSE;
                if let Err(event) = take((stream, peer, place), &workers, &process) {
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

/// Registers the listener, and not with tokio's own type, which would register each accepted socket as well.
#[expect(deprecated, reason = "its replacement is unsafe, because a descriptor must stay open; a listener's does")]
fn watch(listener: Arc<TcpListener>) -> io::Result<AsyncFd<Arc<TcpListener>>> {
    AsyncFd::with_interest(listener, Interest::READABLE)
}

/// Accepts a connection, but does not register its socket with this thread's runtime: it is registered once, by the
/// worker that serves it.
fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (socket, peer) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let peer = peer.and_then(|peer| peer.try_into().ok()).ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((socket.into(), peer))
}

fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    [ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted].contains(&error.kind())
}

/// Sets socket options. `stall` is how long a client may read nothing, which looks like a vanished client once the
/// system's buffer is full.
fn prepare(stream: &TcpStream, stall: Duration) -> io::Result<()> {
    // Otherwise each small answer would wait for the acknowledgement of the previous one.
    stream.set_nodelay(true)?;
    // RFC 5482: small pieces of a stream fit into the system's buffer even if the client has vanished.
    let limit = u32::try_from(stall.max(VANISHED_AFTER).as_millis()).unwrap_or(u32::MAX);
    Ok(set_tcp_user_timeout(stream, limit)?)
}

/// Serves a connection with the worker that has the fewest, if it is admitted.
fn take(
    (stream, peer, listener): (TcpStream, SocketAddr, usize),
    workers: &[WorkerHandle],
    process: &Process,
) -> Result<(), ServerEvent> {
    let overloaded = || ServerEvent::RefusedTotal;
    let handle = workers.iter().min_by_key(|handle| handle.worker.open()).ok_or_else(overloaded)?;
    let snapshot = handle.worker.snapshot();
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
    let counted = OpenConnection::of(&handle.worker);
    let accepted = Accepted { stream, peer, listener, permit, counted };
    if workers.len() == 1 {
        drop(tokio::spawn(serve::serve(accepted)));
    } else {
        handle.hand_over.try_send(accepted).map_err(|_| overloaded())?;
    }
    process.metrics.server(ServerEvent::Accepted);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use rustix::fs::{OFlags, fcntl_getfl};
    use rustix::io::{FdFlags, fcntl_getfd};
    use rustix::net::sockopt::tcp_user_timeout;

    use super::{accept, prepare};

    #[test]
    fn a_client_that_vanished_is_given_up_in_a_minute_or_when_it_may_be_slow_for_no_longer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, peer) = accept(&listener).unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        for (stall, limit) in [(1, 60_000), (3600, 3_600_000)] {
            prepare(&accepted, Duration::from_secs(stall)).unwrap();
            assert_eq!(tcp_user_timeout(&accepted).unwrap(), limit);
        }
        assert!(fcntl_getfl(&accepted).unwrap().contains(OFlags::NONBLOCK));
        assert!(fcntl_getfd(&accepted).unwrap().contains(FdFlags::CLOEXEC));
    }
}
