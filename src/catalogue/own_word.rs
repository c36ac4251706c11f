//! `OwnWord`: what tools have said of themselves to the gateway's own client.

use std::collections::HashMap;

use super::offers::{self, ListedTool, Offers};
use super::pins::KnownTool;
use crate::policy::Said;
use crate::time::Timestamp;

/// The most tools that are remembered, those that are gone included.
const MOST_REMEMBERED: usize = 2 * offers::MOST_ENTRIES;

/// By tool, what it has said in the lists of the own client, or what an operator approved.
#[derive(Debug, Default)]
pub(super) struct OwnWord(HashMap<Box<str>, Said>);

impl OwnWord {
    pub(super) fn of(&self, tool: &str) -> Option<Said> {
        self.0.get(tool).copied()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&str, Said)> {
        self.0.iter().map(|(name, said)| (&**name, *said))
    }

    /// Takes what the own client listed.
    pub(super) fn learn(&mut self, offers: &Offers, at: Timestamp) {
        let is_full = self.0.len() > MOST_REMEMBERED;
        let listed: HashMap<&str, &ListedTool> = offers.tools.iter().map(|tool| (&*tool.name, tool)).collect();
        self.0.retain(|name, said| {
            let is_gone = !listed.contains_key(&**name);
            if is_gone {
                *said = said.silent();
            }
            !(is_gone && is_full)
        });
        for tool in &offers.tools {
            let said =
                self.of(&tool.name).map_or_else(|| Said::only(tool.annotations), |s| s.then(tool.annotations, at));
            self.0.insert(tool.name.as_str().into(), said);
        }
    }

    /// Takes what is stored in the place of what is remembered, and then what the own client listed last, which may not
    /// be stored yet. Returns the tools of which something milder counts now, as approved or for the first time.
    pub(super) fn adopt(&mut self, stored: &[KnownTool], listed: &[ListedTool], at: Timestamp) -> Vec<Box<str>> {
        let stored = stored.iter().filter_map(|tool| Some((tool.name.as_str().into(), tool.said?)));
        let before = std::mem::replace(&mut self.0, stored.collect());
        for tool in listed {
            let known = before.get(&*tool.name).filter(|known| known.last == tool.annotations);
            let at = known.and_then(|known| known.milder_since).unwrap_or(at);
            let said =
                self.of(&tool.name).map_or_else(|| Said::only(tool.annotations), |s| s.then(tool.annotations, at));
            self.0.insert(tool.name.as_str().into(), said);
        }
        let is_milder = |name: &str, now: Said| {
            let before = before.get(name).map(|before| before.most_dangerous);
            before.is_none_or(|before| before.most_dangerous(now.most_dangerous) != now.most_dangerous)
        };
        self.all().filter(|(name, now)| is_milder(name, *now)).map(|(name, _)| name.into()).collect()
    }
}
