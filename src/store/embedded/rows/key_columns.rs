//! The columns of an API key and of a workload in the row of their grant.

use super::row::Columns;
use crate::oauth::{AddressRanges, KeyDetails, WorkloadIdentity};
use crate::store::Result;

/// Reads three columns: the name, the hint and the address ranges of a key, if the grant is one.
pub(super) fn details(c: &mut Columns<'_>) -> Result<Option<Box<KeyDetails>>> {
    let (name, hint, addresses) = (c.optional_text()?, c.optional_text()?, addresses(c)?);
    match (name, hint) {
        (Some(name), Some(hint)) => {
            Ok(Some(Box::new(KeyDetails { name: name.to_owned(), hint: hint.to_owned(), addresses })))
        }
        (None, None) if addresses.is_empty() => Ok(None),
        _ => Err(c.damaged("a whole API key")),
    }
}

/// Reads the workload of a grant.
pub(super) fn workload(c: &mut Columns<'_>) -> Result<Option<Box<WorkloadIdentity>>> {
    let Some(text) = c.optional_text()? else { return Ok(None) };
    WorkloadIdentity::parse(text).map(Box::new).map(Some).ok_or_else(|| c.damaged("a workload"))
}

/// Reads address ranges.
pub(super) fn addresses(c: &mut Columns<'_>) -> Result<AddressRanges> {
    let Some(text) = c.optional_text()? else { return Ok(AddressRanges::default()) };
    AddressRanges::parse(text.split(' ')).map_err(|_| c.damaged("address ranges"))
}
