//! What a store must do, as this one does it: each method is one read or one write of the rows.
//!
//! For: choosing between a read, a write and an urgent write, and limits on what comes in. Not for SQL, which is beside the
//! columns. A file for each trait; nobody names them. Start with `grants.rs`, then `reuse.rs`.

mod accounts;
mod audit;
mod change_log;
mod clients;
mod clock;
mod ephemeral;
mod grants;
mod logins;
mod reuse;
mod sessions;
mod upkeep;
