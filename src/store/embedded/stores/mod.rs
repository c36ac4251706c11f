//! This store's implementation of the store traits: each method is one read or one write of the rows.
//!
//! For: choosing between a read, a write and an urgent write. Not for: SQL and limits (`rows`). There is a file for
//! each trait; no other module names them. Start with `grants.rs`, then `reuse.rs`.

use super::EmbeddedStore;
use crate::store::Store;

/// Implements a trait with a line for each method that is one `read`, one `write`, or one `write_urgently(audit)`: a
/// write that ends access, with its audit row. `db` is the connection; borrowed arguments are copied for the worker
/// thread. Methods that do more follow, each after a `+`.
macro_rules! implement {
    ($trait:ident: $(
        $how:ident $(($by:ident))? $name:ident($($arg:ident: $(&$lent:tt)? $($own:ident $(<$of:ident>)?)?),*) -> $out:ty
            = |$db:ident| $work:expr;
    )* $(+ $more:item)*) => {
        #[async_trait::async_trait]
        impl crate::store::$trait for crate::store::embedded::EmbeddedStore {
            $(async fn $name(&self, $($arg: $(&$lent)? $($own $(<$of>)?)?),*) -> Result<$out> {
                $($(let $arg = <$lent>::to_owned($arg);)?)*
                self.$how($(EndedBy::of(&$by),)? move |$db| $work).await
            })*
            $($more)*
        }
    };
}

mod accounts;
mod audit;
mod catalogue;
mod change_log;
mod clients;
mod clock;
mod ephemeral;
mod grants;
mod groups;
mod keys;
mod logins;
mod quotas;
mod reuse;
mod sessions;
mod tables;
mod upkeep;

impl Store for EmbeddedStore {}
