//! What tables of the file say about single clients and accounts, which are kept in the store.

use std::path::Path;

use zeroize::Zeroizing;

use crate::oauth::{ClientLifetimes, ClientMetadata, ClientSecretHash, Digest, LoginName, ResourceIndicator};

/// A client or account that a table of the file describes.
#[derive(Debug, Clone)]
pub struct RecordTable<T> {
    /// The id in the table; no two are alike but for upper and lower case.
    pub id: String,
    /// The line of the id.
    pub line: Option<usize>,
    /// Whether the table may take over what it has not made.
    pub adopt: bool,
    /// What it asks for.
    pub wish: Wish<T>,
}

/// What a table asks for.
#[derive(Debug, Clone)]
pub enum Wish<T> {
    /// That there is one like this.
    Present(T),
    /// That there is none.
    Removed,
    /// It is not known, because a file that it names cannot be read. Only commands that need no secrets get this.
    Unreadable,
}

/// A client as a table describes it.
#[derive(Debug, Clone)]
pub struct DeclaredClient {
    /// Its metadata, by the rules for all clients.
    pub metadata: ClientMetadata,
    /// The only resource that it may use.
    pub resource: Option<ResourceIndicator>,
    /// How long its tokens live, where the table says so.
    pub lifetimes: ClientLifetimes,
    /// The hash of its secret; `None` for one without.
    pub secret: Option<Digest<ClientSecretHash>>,
    /// Whether it is disabled; `None` if commands decide that.
    pub disabled: Option<bool>,
}

/// An account as a table describes it.
#[derive(Debug, Clone)]
pub struct DeclaredAccount {
    /// Its login name.
    pub name: LoginName,
    /// The password that it begins with.
    pub password: Option<FirstPassword>,
    /// Whether it is disabled; `None` if commands decide that.
    pub disabled: Option<bool>,
}

/// The password that an account begins with.
#[derive(Clone)]
pub enum FirstPassword {
    /// Its argon2id hash, as a PHC string.
    Hash(String),
    /// The password itself, from a file or a variable.
    Text(Zeroizing<String>),
}

impl std::fmt::Debug for FirstPassword {
    /// Leaves out password and hash.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Hash(_) => "Hash(..)",
            Self::Text(_) => "Text(..)",
        })
    }
}

impl RecordTable<DeclaredClient> {
    /// Returns whether it has the client disabled.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.present().is_some_and(|wanted| wanted.disabled == Some(true))
    }
}

impl RecordTable<DeclaredAccount> {
    /// Returns whether it has the account disabled.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.present().is_some_and(|wanted| wanted.disabled == Some(true))
    }
}

impl<T> RecordTable<T> {
    /// Returns what is to be there, if anything is.
    pub const fn present(&self) -> Option<&T> {
        match &self.wish {
            Wish::Present(wanted) => Some(wanted),
            Wish::Removed | Wish::Unreadable => None,
        }
    }

    /// Returns whether it asks for removal.
    pub const fn is_removal(&self) -> bool {
        matches!(self.wish, Wish::Removed)
    }

    /// Names the place of the table in the file, as `gateway.toml:12`.
    #[must_use]
    pub fn place(&self, file: Option<&Path>) -> String {
        let file = file.map_or_else(|| "the configuration".to_owned(), |file| file.display().to_string());
        match self.line {
            Some(line) => format!("{file}:{line}"),
            None => file,
        }
    }
}
