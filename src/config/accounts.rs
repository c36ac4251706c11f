//! The rules for accounts that the file describes.

use std::collections::BTreeMap;

use argon2::password_hash::phc::PasswordHash;
use argon2::{ARGON2ID_IDENT, Params};
use zeroize::Zeroizing;

use super::check::Check;
use super::client_file::WrittenAccount;
use super::declared::{DeclaredAccount, DeclaredClient, FirstPassword, RecordTable};
use super::problem::Setting;
use super::settings::Config;
use super::table_id::{IdRules, SeenIds, declared, expect_new};
use crate::oauth::{GrantType, LoginName};

/// What a hash may ask for: `login.argon2_memory` in KiB, `login.argon2_passes`, and lanes.
const MEMORY: std::ops::RangeInclusive<u32> = 19 * 1024..=1024 * 1024;
const PASSES: std::ops::RangeInclusive<u32> = 2..=20;
const LANES: std::ops::RangeInclusive<u32> = 1..=16;
/// The shortest output of a hash, in bytes.
const OUTPUT: usize = 16;

/// The actors of the audit trail that are no account: commands, and this file.
const ACTORS: [&str; 2] = ["operator", "file"];

/// Checks all accounts. `config` is the rest of the configuration, with the clients of the file.
pub(super) fn all(check: &Check<'_>, written: &[WrittenAccount], config: &Config) -> Vec<RecordTable<DeclaredAccount>> {
    let rules = IdRules { brand: &config.brand, kept: (&ACTORS, &["user_"]) };
    let (mut seen, mut names) = (SeenIds::new(), BTreeMap::new());
    let mut found = Vec::new();
    for account in written {
        let Some(id) = account.id.as_ref().filter(|id| rules.judge(check, id, false)) else { continue };
        expect_new(check, id, &mut seen);
        if let Some(client) = config.clients.iter().find(|client| client.id.eq_ignore_ascii_case(&id.value)) {
            let line = client.line.unwrap_or_default();
            check.report.wrong(id, format!("the client of line {line} has this id"), "write another one");
        }
        let read = || {
            let name = login_name(check, account, id)?;
            if let Some(line) = names.insert(name.clone(), id.line).flatten() {
                let fault = format!("the account of line {line} has this login name");
                check.report.wrong(account.name.as_ref().unwrap_or(id), fault, "write another one");
            }
            if let Some(client) = config.clients.iter().find(|client| acts_as(client, &name)) {
                let line = client.line.unwrap_or_default();
                let fault = format!("the client of line {line} acts under this name");
                check.report.wrong(account.name.as_ref().unwrap_or(id), fault, "write another one");
            }
            let password = match &account.password {
                Some(password) => Some(first_password(check, password)?),
                // It may be in a file that cannot be read.
                None if check.report.names(&password_key(id)) => return None,
                None => None,
            };
            Some(DeclaredAccount { name, password, disabled: account.disabled.as_ref().map(|disabled| disabled.value) })
        };
        found.push(declared(id, (&account.adopt, &account.removed), read));
    }
    found
}

/// Returns the login name of an account, which is its id if the table has no other. Reports what cannot be one.
fn login_name(check: &Check<'_>, account: &WrittenAccount, id: &Setting<String>) -> Option<LoginName> {
    let written = account.name.as_ref().unwrap_or(id);
    let name = LoginName::parse(&written.value);
    if name.is_none() {
        let remedy = "write 1 to 128 of a-z, 0-9 and .-_@+";
        check.report.wrong(written, "this cannot be a login name", remedy);
    }
    name
}

fn password_key(id: &Setting<String>) -> String {
    format!("{}.password", id.key.strip_suffix(".id").unwrap_or(&id.key))
}

/// Returns whether a client acts for itself under a name.
fn acts_as(client: &RecordTable<DeclaredClient>, name: &LoginName) -> bool {
    let wanted = client.present();
    wanted.is_some_and(|wanted| wanted.metadata.grant_types.contains(&GrantType::ClientCredentials))
        && client.id == name.as_str()
}

/// Reads the password of an account, or its hash.
fn first_password(check: &Check<'_>, password: &Setting<String>) -> Option<FirstPassword> {
    let text = password.value.as_str();
    if text.starts_with("$argon2") {
        if is_usable(text) {
            return Some(FirstPassword::Hash(text.to_owned()));
        }
        let fault = "this hash cannot be used, or is too cheap or too expensive to compare with";
        let remedy = "write an argon2id hash of 19 MiB to 1 GiB and 2 to 20 passes, or the password as ${file:PATH}";
        check.report.wrong(password, fault, remedy);
        return None;
    }
    if text.starts_with('$') {
        let fault = "this looks like a hash, but not like one of argon2id, which alone can be used";
        check.report.wrong(password, fault, "write a hash of argon2id, or the password as ${file:PATH}");
        return None;
    }
    if !check.report.is_reference(&password.key) {
        let remedy = "write it to a file of its own, as ${file:PATH}, or write its hash";
        check.report.wrong(password, "a password does not belong in this file", remedy);
        return None;
    }
    Some(FirstPassword::Text(Zeroizing::new(text.to_owned())))
}

fn is_usable(phc: &str) -> bool {
    let Ok(hash) = PasswordHash::new(phc) else { return false };
    let params = Params::try_from(&hash).ok();
    hash.algorithm == ARGON2ID_IDENT
        && hash.salt.is_some()
        && hash.hash.is_some_and(|output| output.len() >= OUTPUT)
        && params.is_some_and(|params| {
            MEMORY.contains(&params.m_cost()) && PASSES.contains(&params.t_cost()) && LANES.contains(&params.p_cost())
        })
}

/// Returns the groups of the accounts that are to be there, by login name; the names of groups are checked elsewhere.
pub(super) fn with_groups(written: &[WrittenAccount]) -> impl Iterator<Item = (LoginName, &Setting<Vec<String>>)> {
    written.iter().filter(|account| !account.removed.value).filter_map(|account| {
        let name = account.name.as_ref().or(account.id.as_ref())?;
        Some((LoginName::parse(&name.value)?, &account.groups))
    })
}
