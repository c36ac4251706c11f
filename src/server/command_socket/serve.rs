//! The server's side: commands are received, carried out and answered.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::geteuid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

use super::message::{CommandReply, CommandRequest, LONGEST, VERSION, line};
use super::place::{CommandSocket, SocketPlace};
use crate::issuer::{Administration, AdministrationError, Services};
use crate::oauth::TenantId;
use crate::store::StoreError;
use crate::sync::repeat;
use crate::token_cache::TokenCache;

/// The most concurrent connections.
const MOST: usize = 8;
/// Time limit for a connection.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failure to accept.
const PAUSE: Duration = Duration::from_millis(200);
/// How often to check that the socket is still there.
const LOOK: Duration = Duration::from_secs(3);

/// Carries out commands.
#[derive(Clone)]
pub(in crate::server) struct CommandHandler {
    pub(in crate::server) services: Services,
    pub(in crate::server) cache: Arc<TokenCache>,
}

/// Serves commands for ever.
pub(in crate::server) async fn run(place: Arc<SocketPlace>, handler: CommandHandler) {
    let watched = Arc::downgrade(&place);
    let looks = repeat(LOOK, move || {
        if let Some(place) = watched.upgrade() {
            place.look();
        }
    });
    tokio::join!(looks, accept_all(&place, &handler));
}

/// Serves commands from whichever socket the place currently has, for ever.
async fn accept_all(place: &SocketPlace, handler: &CommandHandler) {
    let connections = Arc::new(Semaphore::new(MOST));
    loop {
        let socket = place.socket();
        let accept = async {
            match &socket {
                Some(socket) => accept(socket, &connections, handler).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = accept => {}
            () = place.changed.notified() => {}
        }
    }
}

/// Serves commands on one socket for ever.
async fn accept(socket: &CommandSocket, connections: &Arc<Semaphore>, handler: &CommandHandler) {
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(connections).acquire_owned().await else { return };
        match socket.listener.accept().await {
            Ok((stream, _)) => {
                let handler = handler.clone();
                drop(tokio::spawn(async move {
                    let served = tokio::time::timeout(TIMEOUT, serve(stream, &handler)).await;
                    match served {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::warn!(%error, "a command was not answered"),
                        Err(_) => tracing::warn!("a command was not answered in time"),
                    }
                    drop(place);
                }));
            }
            Err(error) => {
                tracing::warn!(%error, "the command socket cannot accept connections");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(mut stream: UnixStream, handler: &CommandHandler) -> io::Result<()> {
    let peer = stream.peer_cred()?.uid();
    if !is_heard(peer, geteuid().as_raw()) {
        return Err(io::Error::other(format!(
            "it comes from user {peer}, who is neither root nor the user of this server"
        )));
    }
    let (from, mut to) = stream.split();
    let mut asked = Vec::new();
    tokio::io::BufReader::new(from.take(LONGEST)).read_until(b'\n', &mut asked).await?;
    let answer = handler.answer(&asked).await;
    to.write_all(&line(&answer)?).await
}

/// Returns whether a server that runs as user `ours` accepts commands from this user.
const fn is_heard(peer: u32, ours: u32) -> bool {
    peer == 0 || peer == ours
}

impl CommandHandler {
    async fn answer(&self, asked: &[u8]) -> CommandReply {
        let question: CommandRequest = match serde_json::from_slice(asked) {
            Ok(question) => question,
            Err(error) => {
                return CommandReply::Failed(format!("the running server does not understand the request: {error}"));
            }
        };
        if question.version != VERSION {
            return CommandReply::Failed(format!(
                "the running server uses version {VERSION}, not {}",
                question.version
            ));
        }
        let Some(tenant) = TenantId::parse(&question.tenant) else {
            return CommandReply::Failed("the running server does not know this tenant".to_owned());
        };
        let administration = Administration::new(self.services.clone(), tenant);
        match administration.withdraw(&question.withdraw).await {
            Ok(withdrawn) => {
                self.cache.apply_stored().await;
                CommandReply::Done(withdrawn)
            }
            Err(AdministrationError::Store(StoreError::NotStored)) => CommandReply::NotStored,
            Err(AdministrationError::Store(error)) => CommandReply::Failed(error.to_string()),
            Err(refused) => CommandReply::Refused(refused.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_user_of_the_server_are_heard() {
        for (peer, ours, wished) in [(0, 1000, true), (1000, 1000, true), (1001, 1000, false), (1000, 0, false)] {
            assert_eq!(is_heard(peer, ours), wished, "{peer} {ours}");
        }
    }
}
