//! Conversion between SQL values and the types of the rules. A value that does not parse is damage, never a default.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Params, Row, ToSql};

use crate::oauth::{
    AccountId, ClientId, Digest, Exclusions, GrantId, Lifetime, LoginName, LoginNameHash, ResourceIndicator, ScopeSet,
    Subject, TenantId, Timestamp,
};
use crate::store::{Result, StoreError};

/// The most problems reported for one table: enough to see the extent.
const TOLD: usize = 20;

macro_rules! stored_as_text {
    ($($name:ident),*) => {
        $(impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.as_str().as_bytes())))
            }
        })*
    };
}

macro_rules! stored_as_bytes {
    ($($name:ident),*) => {
        $(impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.as_bytes())))
            }
        })*
    };
}

macro_rules! stored_as_millis {
    ($($name:ident),*) => {
        $(impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Owned(Value::Integer(storable(self.as_millis()))))
            }
        })*
    };
}

/// Returns a number as SQLite can hold it. Only the end "never" exceeds its range, and remains "never" for practical
/// purposes.
pub(crate) fn storable(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

stored_as_text!(ClientId, LoginName, ResourceIndicator, AccountId, TenantId);
stored_as_bytes!(GrantId, LoginNameHash);
stored_as_millis!(Lifetime, Timestamp);

impl<Of: ?Sized> ToSql for Digest<Of> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.as_bytes())))
    }
}

impl ToSql for ScopeSet {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(Value::Text(self.to_string())))
    }
}

/// The columns of one row, read from left to right, in the order of the SELECT list next to the reader.
pub(crate) struct Columns<'r> {
    row: &'r Row<'r>,
    next: usize,
}

impl<'r> Columns<'r> {
    fn value(&mut self) -> Result<ValueRef<'r>> {
        let value = self.row.get_ref(self.next)?;
        self.next += 1;
        Ok(value)
    }

    pub(super) fn damaged(&self, wanted: &str) -> StoreError {
        let column = self.next.saturating_sub(1);
        let name = self.row.as_ref().column_name(column).unwrap_or("?");
        StoreError::Corrupt(format!("the column `{name}` does not hold {wanted}"))
    }

    pub(crate) fn optional_text(&mut self) -> Result<Option<&'r str>> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(text) => std::str::from_utf8(text).map(Some).map_err(|_| self.damaged("UTF-8")),
            ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => Err(self.damaged("a text")),
        }
    }

    pub(crate) fn text(&mut self) -> Result<&'r str> {
        self.optional_text()?.ok_or_else(|| self.damaged("a text"))
    }

    pub(crate) fn optional_bytes(&mut self) -> Result<Option<&'r [u8]>> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(bytes) => Ok(Some(bytes)),
            ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Text(_) => Err(self.damaged("bytes")),
        }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'r [u8]> {
        self.optional_bytes()?.ok_or_else(|| self.damaged("bytes"))
    }

    pub(crate) fn optional_number(&mut self) -> Result<Option<u64>> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(n) => u64::try_from(n).map(Some).map_err(|_| self.damaged("a natural number")),
            ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => Err(self.damaged("a number")),
        }
    }

    pub(crate) fn number(&mut self) -> Result<u64> {
        self.optional_number()?.ok_or_else(|| self.damaged("a number"))
    }

    pub(crate) fn small<N: TryFrom<u64>>(&mut self) -> Result<N> {
        N::try_from(self.number()?).map_err(|_| self.damaged("a small number"))
    }

    /// Reads a row number, to be used in another query.
    pub(crate) fn no(&mut self) -> Result<i64> {
        i64::try_from(self.number()?).map_err(|_| self.damaged("a row number"))
    }

    pub(crate) fn flag(&mut self) -> Result<bool> {
        match self.number()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.damaged("0 or 1")),
        }
    }

    pub(crate) fn optional_moment(&mut self) -> Result<Option<Timestamp>> {
        Ok(self.optional_number()?.map(Timestamp::from_millis))
    }

    pub(crate) fn moment(&mut self) -> Result<Timestamp> {
        self.number().map(Timestamp::from_millis)
    }

    pub(crate) fn optional_hash<Of>(&mut self) -> Result<Option<Digest<Of>>> {
        let Some(bytes) = self.optional_bytes()? else { return Ok(None) };
        bytes.try_into().map(|hash| Some(Digest::from_stored(hash))).map_err(|_| self.damaged("a SHA-256"))
    }

    pub(crate) fn hash<Of>(&mut self) -> Result<Digest<Of>> {
        self.optional_hash()?.ok_or_else(|| self.damaged("a SHA-256"))
    }

    pub(crate) fn grant(&mut self) -> Result<GrantId> {
        self.bytes()?.try_into().map(GrantId).map_err(|_| self.damaged("a grant id"))
    }

    /// Reads a text with a parser that returns `None` for invalid values.
    pub(crate) fn word<T>(&mut self, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        parse(self.text()?).ok_or_else(|| self.damaged("one of its words"))
    }

    pub(crate) fn tenant(&mut self) -> Result<TenantId> {
        self.word(TenantId::parse)
    }

    pub(crate) fn client(&mut self) -> Result<ClientId> {
        self.word(ClientId::parse)
    }

    pub(crate) fn account(&mut self) -> Result<AccountId> {
        self.word(AccountId::parse)
    }

    /// Reads two columns of an account: `subject` and `kind`.
    pub(crate) fn subject(&mut self) -> Result<Subject> {
        let account = self.account()?;
        self.word(|kind| Subject::of_kind(kind, account))
    }

    pub(crate) fn optional_resource(&mut self) -> Result<Option<ResourceIndicator>> {
        Ok(self.optional_text()?.map(ResourceIndicator::from_stored))
    }

    pub(crate) fn resource(&mut self) -> Result<ResourceIndicator> {
        self.text().map(ResourceIndicator::from_stored)
    }

    pub(crate) fn scopes(&mut self) -> Result<ScopeSet> {
        self.word(ScopeSet::from_stored)
    }

    pub(crate) fn exclusions(&mut self) -> Result<Exclusions> {
        let Some(text) = self.optional_text()? else { return Ok(Exclusions::default()) };
        Exclusions::parse(text).ok_or_else(|| self.damaged("exclusions"))
    }
}

/// Reads the first row of a query.
pub(crate) fn one<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&mut Columns<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let found = rows.next()?.map(|row| read(&mut Columns { row, next: 0 })).transpose();
    drop(rows);
    #[cfg(test)]
    crate::store::embedded::cost::note(db, sql, &statement);
    found
}

/// Reads all rows of a query.
pub(crate) fn all<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&mut Columns<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(&mut Columns { row, next: 0 })?);
    }
    drop(rows);
    #[cfg(test)]
    crate::store::embedded::cost::note(db, sql, &statement);
    Ok(found)
}

/// Reads the rows of a query one by one, until `read` returns false.
pub(crate) fn each(
    db: &Connection,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&mut Columns<'_>) -> Result<bool>,
) -> Result<()> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        if !read(&mut Columns { row, next: 0 })? {
            break;
        }
    }
    drop(rows);
    #[cfg(test)]
    crate::store::embedded::cost::note(db, sql, &statement);
    Ok(())
}

/// Reads every row of a query, and reports those that cannot be read.
pub(crate) fn unreadable(
    db: &Connection,
    sql: &str,
    what: &str,
    mut read: impl FnMut(&mut Columns<'_>) -> Result<()>,
) -> Result<Vec<String>> {
    let mut told = Vec::new();
    let all = all(db, sql, [], |c| {
        if let Err(error) = read(c)
            && told.len() < TOLD
        {
            told.push(format!("{what}: {error}"));
        }
        Ok(())
    });
    if let Err(error) = all {
        told.push(format!("{what}: {error}"));
    }
    Ok(told)
}

/// Reads the single number that a query without parameters returns.
pub(crate) fn number(db: &Connection, sql: &str) -> Result<u64> {
    one(db, sql, [], |c| c.number())?.ok_or_else(|| StoreError::Corrupt(format!("no answer to: {sql}")))
}

/// Changes rows; returns how many.
pub(crate) fn execute(db: &Connection, sql: &str, params: impl Params) -> Result<usize> {
    let mut statement = db.prepare_cached(sql)?;
    let changed = statement.execute(params)?;
    #[cfg(test)]
    crate::store::embedded::cost::note(db, sql, &statement);
    Ok(changed)
}

/// Changes exactly one row. Any other number means that the row differs from what this transaction has read.
pub(crate) fn execute_once(db: &Connection, sql: &str, params: impl Params) -> Result<()> {
    match execute(db, sql, params)? {
        1 => Ok(()),
        n => Err(StoreError::Conflict(format!("{n} rows changed where one was expected"))),
    }
}
