//! What calls of tools are judged by: what a person and the gateway's own client were told of them.

use super::people::Told;
use super::{Catalogue, Listed, ListedTool, ToolCaller};
use crate::policy::{Annotations, Said};
use crate::sync::lock;

impl Catalogue {
    /// Notes what an answer to a caller says of a tool, and the `ui://` resources that it names there. Returns what
    /// their calls of it are judged by from now on, as [`Self::annotations`].
    pub fn note(&self, caller: ToolCaller<'_>, tool: &str, (says, ui): (Annotations, &[String])) -> Annotations {
        let own = lock(&self.own_word).of(tool);
        let is_own_ui = ui.is_empty() || self.own_ui(|own| own.names_all(tool, ui)).unwrap_or(false);
        // Where the own client was told the same, there is nothing to remember.
        let (uris, is_known) = (if is_own_ui { &[] } else { ui }, own.is_some_and(|own| own.last == says));
        let told = Told { says, uris, is_known, clock: &*self.clock };
        caller.judged_by([lock(&self.people).note(caller.person, tool, &told), own])
    }

    /// Returns what a caller's calls of a tool are judged by: the more dangerous of what counts, for their consent, of
    /// what the answers to this person and those to the gateway's own client said of it.
    #[must_use]
    pub fn annotations(&self, caller: ToolCaller<'_>, tool: &str) -> Annotations {
        let own = lock(&self.own_word).of(tool);
        self.judged_by(caller, tool, own)
    }

    /// Returns what a caller's calls of a tool are judged by if this is what the own client was told of it.
    #[must_use]
    pub fn judged_by(&self, caller: ToolCaller<'_>, tool: &str, own: Option<Said>) -> Annotations {
        caller.judged_by([lock(&self.people).said(caller.person, tool), own])
    }

    /// Returns the tools that are offered to a caller: those that the own client listed, in their order, and those that
    /// only the answers to this person spoke of, by name; each with the annotations that the caller's calls are judged
    /// by. Waits for lists that are awaited. `None` if nothing is known.
    pub async fn offered(&self, caller: ToolCaller<'_>) -> Option<Vec<ListedTool>> {
        let mut listed = self.listed.subscribe();
        let known = listed.wait_for(|listed| !matches!(listed, Listed::Awaited)).await.ok()?.clone();
        let (mut tools, is_known) = match known {
            Listed::Known(offers) => (offers.tools.clone(), true),
            Listed::NotAsked | Listed::Awaited | Listed::Refused => (Vec::new(), false),
        };
        let names: std::collections::HashSet<_> = tools.iter().map(|tool| tool.name.clone()).collect();
        let own_word = lock(&self.own_word);
        let people = lock(&self.people);
        for tool in &mut tools {
            tool.annotations = caller.judged_by([people.said(caller.person, &tool.name), own_word.of(&tool.name)]);
        }
        let told = people.tools(caller.person).filter(|(name, _)| !names.contains(*name));
        let mut told: Vec<_> = told
            .map(|(name, told)| ListedTool {
                name: name.to_owned(),
                title: None,
                annotations: caller.judged_by([Some(told), own_word.of(name)]),
                definition: None,
            })
            .collect();
        drop((own_word, people));
        told.sort_by(|a, b| a.name.cmp(&b.name));
        tools.append(&mut told);
        (is_known || !tools.is_empty()).then_some(tools)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::catalogue::{Catalogue, KnownTool, OfferKind, Offers, ToolCaller};
    use crate::clock::{Clock, ManualClock};
    use crate::policy::{Annotations, Said};
    use crate::time::{Lifetime, Timestamp};
    use serde_json::json;

    const MILD: Annotations = Annotations::of(Some(true), None, Some(false));
    const HARMFUL: Annotations = Annotations::of(Some(false), None, Some(false));

    fn listing(is_read_only: bool, name: &str) -> Offers {
        let mut offers = Offers::default();
        let says = json!({"readOnlyHint": is_read_only, "openWorldHint": false});
        assert!(offers.add(OfferKind::Tools, &json!({"tools": [{"name": name, "title": "T", "annotations": says}]})));
        offers
    }

    fn caller(person: &str) -> ToolCaller<'_> {
        ToolCaller { person, consented_at: Timestamp::default() }
    }

    /// A catalogue whose clock a test moves.
    fn at_noon() -> (Catalogue, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(12 * 3600)));
        (Catalogue::new(Arc::<ManualClock>::clone(&clock)), clock)
    }

    #[test]
    fn the_most_dangerous_that_a_person_was_told_counts_for_that_person() {
        let (catalogue, _) = at_noon();
        let (ada, bob) = (caller("ada"), caller("bob"));
        assert_eq!(catalogue.annotations(ada, "add"), Annotations::UNKNOWN);
        catalogue.note(ada, "add", (MILD, &[]));
        assert_eq!(catalogue.annotations(ada, "add"), MILD);
        assert_eq!(catalogue.annotations(bob, "add"), Annotations::UNKNOWN);
        catalogue.note(ada, "add", (Annotations::of(None, Some(false), Some(false)), &[]));
        let both = catalogue.annotations(ada, "add");
        assert!(!both.read_only && !both.destructive && !both.open_world);
        catalogue.note(ada, "add", (MILD, &[]));
        assert_eq!(catalogue.annotations(ada, "add"), both, "it does not become milder");
    }

    #[test]
    fn what_the_own_client_listed_counts_for_everybody_and_does_not_become_milder() {
        let (catalogue, _) = at_noon();
        let (ada, bob) = (caller("ada"), caller("bob"));
        assert!(catalogue.learn(listing(true, "add")));
        assert_eq!(catalogue.annotations(ada, "add"), MILD);
        catalogue.note(ada, "add", (Annotations::UNKNOWN, &[]));
        assert!(catalogue.annotations(ada, "add").destructive);
        assert!(!catalogue.learn(listing(true, "add")), "nothing has changed");
        assert!(catalogue.learn(listing(false, "add")) && catalogue.learn(listing(true, "sub")));
        assert!(catalogue.learn(listing(true, "add")));
        assert!(!catalogue.annotations(bob, "add").read_only, "a tool that was gone is no new one");
    }

    #[tokio::test]
    async fn what_becomes_milder_counts_for_those_who_consent_after_it() {
        let (catalogue, clock) = at_noon();
        let hour = |hours: u64| Timestamp::from_secs((12 + hours) * 3600);
        let consented = |hours| ToolCaller { person: "ada", consented_at: hour(hours).plus(Lifetime::from_secs(60)) };
        let pass = || clock.advance(Lifetime::from_secs(3600));
        let told = |hours| catalogue.annotations(consented(hours), "add");
        // By noon it destroys, and from one on it reads.
        catalogue.learn(listing(false, "add"));
        pass();
        catalogue.learn(listing(true, "add"));
        assert_eq!((told(0), told(1)), (HARMFUL, MILD));
        let page = catalogue.offered(consented(1)).await.unwrap();
        assert_eq!(page[0].annotations, MILD, "the page says as what it counts");
        // For a minute it destroys again: who consented before it gains nothing when that is over.
        pass();
        catalogue.learn(listing(false, "add"));
        assert_eq!((told(1), told(2)), (HARMFUL, HARMFUL));
        catalogue.learn(listing(true, "add"));
        assert_eq!((told(1), told(2)), (HARMFUL, MILD));
        // What one person is told counts for that person, in the same way.
        pass();
        catalogue.note(consented(2), "add", (HARMFUL, &[]));
        assert_eq!((told(2), told(3)), (HARMFUL, HARMFUL));
        assert_eq!(catalogue.note(consented(2), "add", (MILD, &[])), HARMFUL);
        assert_eq!((told(2), told(3)), (HARMFUL, MILD));
        let bob = ToolCaller { person: "bob", ..consented(2) };
        assert_eq!(catalogue.annotations(bob, "add"), MILD);
        assert_eq!(catalogue.annotations(caller("bob"), "add"), HARMFUL, "nobody without a consent gains");
    }

    #[test]
    fn since_when_it_is_milder_outlives_a_restart_and_what_is_listed_meanwhile_counts_at_once() {
        let (catalogue, clock) = at_noon();
        let noon = clock.now();
        let known = |said| KnownTool { name: "add".to_owned(), said: Some(said), pinned: None };
        let milder = Said::only(HARMFUL).then(MILD, noon);
        let says = |hours: u64| {
            let consented_at = noon.plus(Lifetime::from_secs(3600 * hours + 60));
            catalogue.annotations(ToolCaller { person: "ada", consented_at }, "add")
        };
        catalogue.adopt(&[known(milder)]);
        clock.advance(Lifetime::from_secs(3600));
        catalogue.learn(listing(true, "add"));
        assert_eq!(says(0), MILD, "it says the same as before the restart");
        catalogue.learn(listing(false, "add"));
        catalogue.adopt(&[known(milder)]);
        assert_eq!((says(0), says(1)), (HARMFUL, HARMFUL), "the list is not stored yet");
        catalogue.learn(listing(true, "add"));
        clock.advance(Lifetime::from_secs(3600));
        catalogue.adopt(&[known(Said::only(HARMFUL))]);
        assert_eq!((says(0), says(1)), (HARMFUL, MILD), "it began when it was listed");
        catalogue.adopt(&[known(Said::only(MILD))]);
        assert_eq!(catalogue.annotations(caller("ada"), "add"), MILD, "it was approved");
    }

    #[tokio::test]
    async fn what_is_offered_to_a_person_is_no_others_business() {
        let (catalogue, _) = at_noon();
        assert_eq!(catalogue.offered(caller("ada")).await, None);
        catalogue.note(caller("ada"), "hers", (MILD, &[]));
        let names = async |person| {
            let tools = catalogue.offered(caller(person)).await?;
            Some(tools.into_iter().map(|tool| (tool.name, tool.title)).collect::<Vec<_>>())
        };
        assert_eq!(names("ada").await.unwrap(), [("hers".to_owned(), None)]);
        catalogue.await_lists();
        assert!(futures_util::FutureExt::now_or_never(names("bob")).is_none(), "lists are awaited");
        let listed = ("add".to_owned(), Some("T".to_owned()));
        catalogue.learn(listing(true, "add"));
        catalogue.give_up();
        assert_eq!(names("bob").await.unwrap(), std::slice::from_ref(&listed));
        assert_eq!(names("ada").await.unwrap(), [listed, ("hers".to_owned(), None)]);
        catalogue.note(caller("ada"), "add", (Annotations::of(None, None, None), &[]));
        let says = async |person| catalogue.offered(caller(person)).await.unwrap()[0].annotations;
        assert_eq!((says("ada").await.read_only, says("bob").await), (false, MILD), "as calls are judged");
    }
}
