//! The `ui://` resources that tools name, as a person was told.

use super::ui_names::UiNames;
use super::{Catalogue, Listed};
use crate::sync::lock;

impl Catalogue {
    /// Returns the tools that name a `ui://` resource, as the gateway's own client or this person was told.
    #[must_use]
    pub fn naming(&self, person: &str, uri: &str) -> Vec<Box<str>> {
        let tools = |names: &UiNames| -> Vec<Box<str>> { names.tools(uri).map(Into::into).collect() };
        let mut all = self.own_ui(tools).unwrap_or_default();
        all.extend(lock(&self.people).ui(person).map(tools).unwrap_or_default());
        all
    }

    /// Returns the `ui://` resources that tools name, as the gateway's own client or this person was told.
    #[must_use]
    pub fn ui_resources(&self, person: &str) -> Vec<Box<str>> {
        let uris = |names: &UiNames| -> Vec<Box<str>> { names.uris().map(Into::into).collect() };
        let mut all = self.own_ui(uris).unwrap_or_default();
        all.extend(lock(&self.people).ui(person).map(uris).unwrap_or_default());
        all
    }

    /// Returns something of what the gateway's own client was told, if it was.
    pub(super) fn own_ui<T>(&self, of: impl Fn(&UiNames) -> T) -> Option<T> {
        if let Listed::Known(offers) = &*self.listed.borrow() { Some(of(&offers.ui)) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::UiNames;
    use crate::catalogue::{Catalogue, OfferKind, Offers, ToolCaller};
    use crate::clock::ManualClock;
    use crate::policy::Annotations;
    use crate::time::Timestamp;
    use serde_json::json;

    #[test]
    fn what_tools_name_to_a_person_serves_that_person_alone() {
        let catalogue = Catalogue::new(Arc::new(ManualClock::new(Timestamp::default())));
        let ada = ToolCaller { person: "ada", consented_at: Timestamp::default() };
        let tool = |name: &str, uri: &str| json!({"name": name, "_meta": {"ui": {"resourceUri": uri}}});
        let mut offers = Offers::default();
        offers.add(OfferKind::Tools, &json!({"tools": [tool("add", "ui://a"), tool("sub", "ui://a")]}));
        catalogue.learn(offers);
        let naming = |person: &str, uri: &str| catalogue.naming(person, uri).concat();
        let (a, hers) = (["ui://a".to_owned()], ["ui://hers".to_owned()]);
        catalogue.note(ada, "add", (Annotations::UNKNOWN, &a));
        let kept = catalogue.people.lock().unwrap().ui("ada").map_or(0, UiNames::bytes);
        assert_eq!(kept, 0, "the own client was told the same");
        catalogue.note(ada, "add", (Annotations::UNKNOWN, &hers));
        assert_eq!((naming("ada", "ui://hers"), naming("bob", "ui://hers")), ("add".to_owned(), String::new()));
        assert_eq!((naming("ada", "ui://a"), naming("bob", "ui://a")), ("addsub".to_owned(), "addsub".to_owned()));
        assert_eq!((catalogue.ui_resources("ada").len(), catalogue.ui_resources("bob").len()), (2, 1));
        catalogue.note(ada, "add", (Annotations::UNKNOWN, &a));
        assert_eq!(naming("ada", "ui://hers"), "", "the latest counts");
        catalogue.learn(Offers::default());
        assert_eq!(naming("ada", "ui://a"), "");
    }
}
