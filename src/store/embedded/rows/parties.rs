//! The part of a query by which a filter selects rows of accounts, clients and resources.

use crate::store::GrantFilter;

/// Returns the part of a WHERE clause that selects by ?1 (tenant), ?2 (subject) and ?3 (client), of which the last two
/// may be NULL, in a form that an index serves whichever are given.
pub(super) const fn of_parties(of: &GrantFilter) -> &'static str {
    match (&of.subject, &of.client) {
        (Some(_), Some(_)) => {
            "account_no = (SELECT no FROM account WHERE tenant = ?1 AND subject = ?2)
             AND client_no = (SELECT no FROM client WHERE tenant = ?1 AND client_id = ?3)"
        }
        (Some(_), None) => "account_no = (SELECT no FROM account WHERE tenant = ?1 AND subject = ?2) AND ?3 IS NULL",
        (None, Some(_)) => "client_no = (SELECT no FROM client WHERE tenant = ?1 AND client_id = ?3) AND ?2 IS NULL",
        (None, None) => "account_no IN (SELECT no FROM account WHERE tenant = ?1) AND ?2 IS NULL AND ?3 IS NULL",
    }
}

/// Returns the part of a WHERE clause that selects rows of `table` so, and by ?4 (resource), which may be NULL.
pub(super) fn selected(of: &GrantFilter, table: &str) -> String {
    format!("{table}.{} AND (?4 IS NULL OR {table}.resource = ?4)", of_parties(of))
}
