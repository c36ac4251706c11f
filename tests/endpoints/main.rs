//! The endpoints over real sockets, with a browser's cookies and without its tolerance. A failure means that a client
//! or a person meets other HTTP than protocol.md 2 and security.md 2 promise. Names carry the ids of the cases.

mod account;
mod authorize;
mod browser;
mod clients;
mod consent;
mod hygiene;
mod login;
mod metadata;
mod setup;
mod site;
