//! The columns of an API key in the row of its grant.

use super::row::Columns;
use crate::oauth::{AddressRanges, KeyDetails};
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

/// Reads address ranges.
pub(super) fn addresses(c: &mut Columns<'_>) -> Result<AddressRanges> {
    let Some(text) = c.optional_text()? else { return Ok(AddressRanges::default()) };
    AddressRanges::parse(text.split(' ')).map_err(|_| c.damaged("address ranges"))
}
