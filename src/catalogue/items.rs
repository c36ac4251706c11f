//! The prompts, resources and templates that a person was shown.

use super::{Catalogue, Listed, OfferKind};
use crate::sync::lock;

impl Catalogue {
    /// Notes a prompt, resource or template in a list that a person gets, hidden or not, if the lists of the gateway's
    /// own client are without it. Where those are not known there is nothing to compare, and nothing is kept.
    pub fn note_item(&self, person: &str, kind: OfferKind, name: &str) {
        let is_news = matches!(&*self.listed.borrow(), Listed::Known(own) if !own.has(kind, name));
        if is_news {
            lock(&self.shown_names).note(person, kind, name);
        }
    }

    /// Returns the names of a list of which only the answers to a person spoke.
    #[must_use]
    pub fn told(&self, person: &str, kind: OfferKind) -> Vec<String> {
        match kind {
            OfferKind::Tools => lock(&self.people).tools(person).map(|(name, _)| name.to_owned()).collect(),
            OfferKind::Prompts | OfferKind::Resources | OfferKind::Templates => {
                lock(&self.shown_names).of(person, kind)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::catalogue::{Catalogue, OfferKind, Offers};
    use crate::clock::ManualClock;
    use crate::time::Timestamp;
    use serde_json::json;

    #[test]
    fn what_a_person_is_shown_beyond_the_own_lists_is_known_of_that_person_alone() {
        let catalogue = Catalogue::new(Arc::new(ManualClock::new(Timestamp::default())));
        catalogue.note_item("ada", OfferKind::Prompts, "early");
        let mut offers = Offers::default();
        assert!(offers.add(OfferKind::Prompts, &json!({"prompts": [{"name": "greet"}]})));
        catalogue.learn(offers);
        for (kind, name) in
            [(OfferKind::Prompts, "greet"), (OfferKind::Prompts, "hers"), (OfferKind::Resources, "greet")]
        {
            catalogue.note_item("ada", kind, name);
        }
        let told = |person| OfferKind::ALL.map(|kind| catalogue.told(person, kind).concat());
        assert_eq!(told("ada"), ["", "hers", "greet", ""]);
        assert_eq!(told("bob"), ["", "", "", ""]);
    }
}
