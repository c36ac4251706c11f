//! The numbered SQL files, their order and checksums.

use sha2::{Digest, Sha256};

use super::{Result, StoreError};

/// One step of the schema.
#[derive(Debug)]
pub(super) struct Migration {
    /// Its number, from 1 without gaps.
    pub(super) number: u32,
    /// The file's name without number and extension.
    pub(super) name: &'static str,
    /// The SQL of the step.
    pub(super) sql: &'static str,
}

/// All steps, in order. A released file is never edited again: a change is a new file. What `ALTER TABLE` cannot do
/// needs a new table: create it, copy the rows, drop the old table, rename the new one, and recreate its indexes and
/// triggers. Foreign keys are not enforced meanwhile, and checked at the end. First drop the triggers of all tables,
/// and recreate them at the end; for a table with `AUTOINCREMENT`, also carry over its number in `sqlite_sequence`.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, name: "core", sql: include_str!("migrations/0001_core.sql") },
    Migration { number: 2, name: "document_age", sql: include_str!("migrations/0002_document_age.sql") },
    Migration { number: 3, name: "interaction_source", sql: include_str!("migrations/0003_interaction_source.sql") },
    Migration { number: 4, name: "login_network", sql: include_str!("migrations/0004_login_network.sql") },
    Migration { number: 5, name: "failed_logins", sql: include_str!("migrations/0005_failed_logins.sql") },
    Migration { number: 6, name: "interaction_place", sql: include_str!("migrations/0006_interaction_place.sql") },
    Migration { number: 7, name: "indexes", sql: include_str!("migrations/0007_indexes.sql") },
    Migration { number: 8, name: "lost_answers", sql: include_str!("migrations/0008_lost_answers.sql") },
    Migration { number: 9, name: "clock", sql: include_str!("migrations/0009_clock.sql") },
    Migration { number: 10, name: "login_failure", sql: include_str!("migrations/0010_login_failure.sql") },
    Migration { number: 11, name: "registrations", sql: include_str!("migrations/0011_registrations.sql") },
    Migration { number: 12, name: "audit_size", sql: include_str!("migrations/0012_audit_size.sql") },
    Migration { number: 13, name: "former_names", sql: include_str!("migrations/0013_former_names.sql") },
    Migration { number: 14, name: "document_source", sql: include_str!("migrations/0014_document_source.sql") },
    Migration { number: 15, name: "setup_link_made", sql: include_str!("migrations/0015_setup_link_made.sql") },
    Migration { number: 16, name: "account_kind", sql: include_str!("migrations/0016_account_kind.sql") },
    Migration { number: 17, name: "ephemeral", sql: include_str!("migrations/0017_ephemeral.sql") },
    Migration { number: 18, name: "last_use", sql: include_str!("migrations/0018_last_use.sql") },
    Migration { number: 19, name: "group_member", sql: include_str!("migrations/0019_group_member.sql") },
    Migration { number: 20, name: "exclusions", sql: include_str!("migrations/0020_exclusions.sql") },
    Migration { number: 21, name: "catalogue", sql: include_str!("migrations/0021_catalogue.sql") },
    Migration { number: 22, name: "quota", sql: include_str!("migrations/0022_quota.sql") },
    Migration { number: 23, name: "left_out", sql: include_str!("migrations/0023_left_out.sql") },
    Migration { number: 24, name: "listed_names", sql: include_str!("migrations/0024_listed_names.sql") },
    Migration { number: 25, name: "milder_tools", sql: include_str!("migrations/0025_milder_tools.sql") },
    Migration { number: 26, name: "client_last_use", sql: include_str!("migrations/0026_client_last_use.sql") },
    Migration { number: 27, name: "api_key", sql: include_str!("migrations/0027_api_key.sql") },
    Migration { number: 28, name: "by_assertion", sql: include_str!("migrations/0028_by_assertion.sql") },
    Migration { number: 29, name: "acting", sql: include_str!("migrations/0029_acting.sql") },
    Migration { number: 30, name: "table_mark", sql: include_str!("migrations/0030_table_mark.sql") },
    Migration { number: 31, name: "client_sessions", sql: include_str!("migrations/0031_client_sessions.sql") },
    Migration { number: 32, name: "client_decision", sql: include_str!("migrations/0032_client_decision.sql") },
    Migration { number: 33, name: "succession", sql: include_str!("migrations/0033_succession.sql") },
    Migration { number: 34, name: "workload", sql: include_str!("migrations/0034_workload.sql") },
];

/// A step that was applied to a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Applied {
    /// The number of the step.
    pub(super) number: u64,
    /// The name of the step.
    pub(super) name: String,
    /// SHA-256 of the SQL when it was applied.
    pub(super) checksum: Vec<u8>,
}

impl Migration {
    /// Returns SHA-256 of the SQL.
    pub(super) fn checksum(&self) -> [u8; 32] {
        Sha256::digest(self.sql).into()
    }

    fn is(&self, applied: &Applied) -> bool {
        u64::from(self.number) == applied.number && self.checksum() == *applied.checksum
    }
}

/// Returns the steps that still have to be applied to a store, given the applied ones in order.
///
/// # Errors
/// `Unavailable` when the store was made by a newer program, `Corrupt` when an applied step is not the one known here.
pub(super) fn outstanding<'m>(known: &'m [Migration], applied: &[Applied]) -> Result<&'m [Migration]> {
    if let Some(newer) = applied.get(known.len()) {
        return Err(StoreError::Unavailable(format!(
            "its schema was created by a newer program: it has migration {} ({}), but this program knows {}; start \
             the newer program, or restore a backup from before the upgrade",
            newer.number,
            newer.name,
            known.len()
        )));
    }
    if let Some((known, applied)) = known.iter().zip(applied).find(|(known, applied)| !known.is(applied)) {
        return Err(StoreError::Corrupt(format!(
            "migration {} ({}) was applied with other contents than {} ({}) of this program",
            applied.number, applied.name, known.number, known.name
        )));
    }
    Ok(known.get(applied.len()..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Migration] = &[
        Migration { number: 1, name: "one", sql: "CREATE TABLE a (b)" },
        Migration { number: 2, name: "two", sql: "CREATE TABLE c (d)" },
    ];

    fn applied(migration: &Migration) -> Applied {
        Applied {
            number: migration.number.into(),
            name: migration.name.to_owned(),
            checksum: migration.checksum().to_vec(),
        }
    }

    #[test]
    fn what_is_missing_is_outstanding_in_order() {
        assert_eq!(outstanding(KNOWN, &[]).unwrap().len(), 2);
        assert_eq!(outstanding(KNOWN, &[applied(&KNOWN[0])]).unwrap()[0].name, "two");
        assert!(outstanding(KNOWN, &[applied(&KNOWN[0]), applied(&KNOWN[1])]).unwrap().is_empty());
    }

    #[test]
    fn cf_08_a_newer_schema_is_refused_with_a_remedy() {
        let newer = Applied { number: 3, name: "three".to_owned(), checksum: vec![] };
        let refused = outstanding(KNOWN, &[applied(&KNOWN[0]), applied(&KNOWN[1]), newer]).unwrap_err().to_string();
        assert!(refused.contains("migration 3 (three)") && refused.contains("newer program"), "{refused}");
    }

    #[test]
    fn a_changed_migration_is_refused() {
        let changed = Applied { checksum: vec![0; 32], ..applied(&KNOWN[0]) };
        assert!(matches!(outstanding(KNOWN, &[changed]), Err(StoreError::Corrupt(_))));
    }

    #[test]
    fn the_files_are_numbered_without_gaps() {
        assert!((1u32..).zip(MIGRATIONS).all(|(number, migration)| migration.number == number));
    }
}
