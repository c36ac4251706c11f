//! The one outbound dialer for URLs that others name: https only, public addresses only, no redirects, bounded.
//!
//! For: Client ID Metadata Documents and the key sets of clients, and later federated metadata. Not for: upstreams,
//! which the operator has configured. Start with `Dialer`; `guard` has the table of addresses.

mod budget;
mod dialer;
mod exchange;
mod fetch;
mod freshness;
mod guard;
mod lookup;
mod target;
mod transport;
mod tunnel;

pub use dialer::Dialer;
pub use fetch::{Fetch, FetchError, Fetched};
