//! Lists what an upstream offers, in a session of the gateway's own, for the catalogue: at start, when the upstream
//! says that a list changed or was found again after it was down, and from time to time.

use std::time::Duration;

use http::uri::PathAndQuery;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::own_client::OwnClient;
use super::own_session::OwnSession;
use crate::catalogue::{OfferKind, Offers};

/// How often lists are read again.
const EACH: Duration = Duration::from_mins(10);
/// The pause after a change; it doubles each time that there was nothing new, or that an attempt failed.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest pause after attempts that failed.
const LONGEST: Duration = Duration::from_hours(1);
/// How long all lists of an upstream may take.
const ALL: Duration = Duration::from_mins(1);
/// The most pages of a list that are read.
const MOST_PAGES: usize = 64;

/// How soon lists are read again.
struct ListingPauses {
    /// Not before that, even if the upstream says that a list changed.
    pause: Duration,
}

impl ListingPauses {
    /// Returns after how long lists are read again, if the upstream does not say before that one changed.
    fn after_lists(&mut self, has_changed: bool) -> Duration {
        self.pause = if has_changed { SHORTEST } else { (2 * self.pause).min(EACH) };
        EACH
    }

    /// Returns after how long the next attempt follows one that failed.
    fn after_failure(&mut self) -> Duration {
        self.pause = (2 * self.pause).min(LONGEST);
        self.pause
    }
}

impl OwnClient {
    /// Lists what the upstream offers again and again, if that is wanted, and soon after it was found again: then
    /// `target`, where it answers, is sent anew. Never ends.
    pub(in crate::proxy) async fn keep_listed(self, mut target: watch::Receiver<PathAndQuery>) {
        if !self.route.is_listed_here() {
            return std::future::pending().await;
        }
        let (mut pauses, mut is_told) = (ListingPauses { pause: SHORTEST }, false);
        loop {
            let (client, to) = (self.clone(), target.borrow_and_update().clone());
            // On a task of its own, which a reload does not stop before the session is ended.
            let listed = tokio::spawn(async move { client.list(&to).await });
            let longest = match listed.await {
                Ok(Ok(has_changed)) => {
                    is_told = false;
                    pauses.after_lists(has_changed)
                }
                Ok(Err(why)) => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::info!(
                            upstream = &*self.route.name,
                            "what the upstream offers is known only from the answers to its clients, since the \
                             gateway could not list it: {why}"
                        );
                    }
                    pauses.after_failure()
                }
                // The process ends.
                Err(_) => return std::future::pending().await,
            };
            let again = async {
                sleep(pauses.pause).await;
                let rest = longest.saturating_sub(pauses.pause);
                drop(timeout(rest, self.route.catalogue.change()).await);
            };
            let was_found_again = tokio::select! {
                () = again => false,
                Ok(()) = target.changed() => true,
            };
            if was_found_again {
                pauses.pause = SHORTEST;
                sleep(SHORTEST).await;
            }
        }
    }

    /// Lists what the upstream offers once, if that is wanted.
    pub(in crate::proxy) async fn list_once(&self, target: &PathAndQuery) {
        if self.route.is_listed_here()
            && let Err(why) = self.list(target).await
        {
            tracing::debug!(upstream = &*self.route.name, "the gateway could not list what it offers: {why}");
        }
    }

    /// Lists what the upstream offers, and adds it to the catalogue. Returns whether it has changed.
    ///
    /// # Errors
    /// The upstream does not let it, with the reason.
    pub(in crate::proxy) async fn list(&self, target: &PathAndQuery) -> Result<bool, String> {
        let catalogue = &self.route.catalogue;
        catalogue.await_lists();
        let _session = catalogue.session.lock().await;
        let offers = self.offers(target).await;
        match offers {
            Ok(offers) => Ok(catalogue.learn(offers)),
            Err(why) => {
                catalogue.give_up();
                Err(why)
            }
        }
    }

    async fn offers(&self, target: &PathAndQuery) -> Result<Offers, String> {
        let (mut session, capabilities) = OwnSession::begin(self, target).await?;
        let lists = timeout(ALL, Box::pin(lists(&mut session, &capabilities))).await;
        session.end().await;
        lists.unwrap_or_else(|_| Err(format!("its lists took longer than {ALL:?}")))
    }
}

/// Reads the lists that a server says it has.
async fn lists(session: &mut OwnSession<'_>, capabilities: &Value) -> Result<Offers, String> {
    let mut offers = Offers::default();
    for kind in OfferKind::ALL {
        if capabilities.get(kind.capability()).is_none() {
            continue;
        }
        match list(session, kind, &mut offers).await {
            // Tools are what the gateway needs; servers with resources need not know of templates.
            Err(why) if kind == OfferKind::Tools => return Err(why),
            Err(why) => tracing::debug!("{} cannot be read: {why}", kind.method()),
            Ok(()) => {}
        }
    }
    Ok(offers)
}

async fn list(session: &mut OwnSession<'_>, kind: OfferKind, offers: &mut Offers) -> Result<(), String> {
    let mut cursor = None;
    for _ in 0..MOST_PAGES {
        let result = session.ask(kind.method(), cursor.as_ref()).await?;
        if !offers.add(kind, &result) {
            return Err(format!("its answer to {} has no list", kind.method()));
        }
        match result.get("nextCursor").filter(|next| next.is_string() && Some(*next) != cursor.as_ref()) {
            Some(next) => cursor = Some(next.clone()),
            None => break,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{EACH, LONGEST, ListingPauses, SHORTEST};
    use std::time::Duration;

    #[test]
    fn lists_are_read_each_ten_minutes_and_news_of_no_change_makes_that_no_more_often() {
        let mut pauses = ListingPauses { pause: SHORTEST };
        assert_eq!((pauses.after_lists(true), pauses.pause), (Duration::from_mins(10), Duration::from_secs(1)));
        for seconds in [2, 4, 8, 16] {
            assert_eq!((pauses.after_lists(false), pauses.pause), (EACH, Duration::from_secs(seconds)));
        }
        for _ in 0..99 {
            pauses.after_lists(false);
        }
        assert_eq!(pauses.pause, EACH, "an upstream that says so all the time is asked as often as any");
        assert_eq!((pauses.after_lists(true), pauses.pause), (EACH, SHORTEST));
    }

    #[test]
    fn attempts_that_fail_come_ever_later_up_to_an_hour() {
        let mut pauses = ListingPauses { pause: SHORTEST };
        let waits: Vec<u64> = (0..13).map(|_| pauses.after_failure().as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, LONGEST.as_secs()]);
        assert_eq!((pauses.after_lists(false), pauses.pause), (EACH, EACH));
    }
}
