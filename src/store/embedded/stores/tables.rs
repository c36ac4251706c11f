//! `TableStore`: what tables of the configuration file have made.

use crate::oauth::TenantId;
use crate::store::embedded::rows::table_marks;
use crate::store::{AuditRow, Result, TableMark, TableStep};

implement! { TableStore:
    read table_marks(tenant: &TenantId) -> Vec<TableMark> = |db| table_marks::list(db, &tenant);
    + async fn apply_tables(&self, steps: Vec<(TableStep, AuditRow)>) -> Result<u64> {
        self.write(move |db| table_marks::apply(db, steps)).await
    }
}
