//! `RememberedTools`: the tools that a caller called last and whose every call its rules let pass, so that the next
//! call of one costs no look-up.

use std::sync::Mutex;

use crate::sync::lock;

/// How many tools are remembered.
const MOST: usize = 8;
/// The longest name that is remembered, in bytes.
const LONGEST: usize = 64;

/// The last few tools of a caller. Nothing is removed: what is remembered depends on the caller and its rules alone,
/// and where these change, there is another caller.
#[derive(Default)]
pub(super) struct RememberedTools(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    /// Empty where there is none.
    names: [Box<str>; MOST],
    /// Where the next one goes.
    next: usize,
}

impl RememberedTools {
    /// The most bytes that it keeps besides itself.
    pub(super) const MOST_BYTES: usize = MOST * LONGEST;

    pub(super) fn has(&self, tool: &str) -> bool {
        !tool.is_empty() && lock(&self.0).names.iter().any(|name| **name == *tool)
    }

    /// Adds a tool, in the place of the oldest.
    pub(super) fn add(&self, tool: &str) {
        if tool.len() > LONGEST {
            return;
        }
        let mut remembered = lock(&self.0);
        let Remembered { names, next } = &mut *remembered;
        if let Some(name) = names.get_mut(*next) {
            *name = tool.into();
        }
        *next = (*next + 1) % MOST;
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, MOST, RememberedTools};

    #[test]
    fn the_last_few_tools_are_remembered() {
        let tools = RememberedTools::default();
        assert!(!tools.has(""));
        for n in 0..MOST {
            tools.add(&n.to_string());
        }
        assert!((0..MOST).all(|n| tools.has(&n.to_string())));
        tools.add("new");
        assert!(tools.has("new") && !tools.has("0") && tools.has("1"));
        let long = "x".repeat(LONGEST + 1);
        tools.add(&long);
        assert!(!tools.has(&long) && tools.has("1"));
    }
}
