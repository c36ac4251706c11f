//! `Subject`: on whose behalf access is granted, a person or a program that acts for itself.

use std::sync::Arc;

/// An account's stable id, never reused, never a name: 1 to 128 printable ASCII characters without space.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(Arc<str>);

impl AccountId {
    /// Parses an id of 1 to 128 printable ASCII characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (!text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_graphic())).then(|| Self(text.into()))
    }
    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// On whose behalf a client acts: an account and its kind. Ids are unique across kinds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A person, who signs in and consents.
    Person(AccountId),
    /// A program that acts for itself: nobody signs in as it, and nobody is asked for consent.
    Service(AccountId),
}

impl Subject {
    /// Returns the account's id.
    #[must_use]
    pub const fn id(&self) -> &AccountId {
        match self {
            Self::Person(id) | Self::Service(id) => id,
        }
    }
    /// Returns the account's id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.id().as_str()
    }
    /// Returns the word for the kind of account.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Person(_) => "person",
            Self::Service(_) => "service",
        }
    }
    /// Makes a subject from the word for its kind; `None` for an unknown word.
    #[must_use]
    pub fn of_kind(kind: &str, id: AccountId) -> Option<Self> {
        [Self::Person, Self::Service].into_iter().map(|of| of(id.clone())).find(|subject| subject.kind() == kind)
    }
    /// Returns whether the subject is a person.
    #[must_use]
    pub const fn is_person(&self) -> bool {
        match self {
            Self::Person(_) => true,
            Self::Service(_) => false,
        }
    }
}
