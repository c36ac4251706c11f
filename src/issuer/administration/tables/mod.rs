//! Clients and accounts that tables of the configuration file describe: how the store differs from them, and the steps
//! that make it like them.
//!
//! For: a start, a reload, and `mcpgate apply`. A plan is made from the configuration and the store; it is then carried
//! out in one transaction, or not at all. Start with `plan.rs`; `clients.rs` and `accounts.rs` compare, `marks.rs` says
//! what commands may still change.

mod accounts;
mod apply;
mod clients;
mod difference;
mod marks;
mod plan;

pub use difference::{TableAction, TableChange, TableDifference, TableKind};
pub use marks::ListedTable;
pub(super) use marks::{CHANGE_THERE, ENABLE_THERE, REMOVE_THERE};
pub use plan::{TableOptions, TablePlan};
