//! The columns of where somebody signed in from: an address and a user agent, side by side.

use super::row::Columns;
use crate::oauth::SignInOrigin;
use crate::store::Result;

/// Reads both columns.
pub(super) fn read(c: &mut Columns<'_>) -> Result<Option<Box<SignInOrigin>>> {
    let address = c.optional_text()?.map(|text| text.parse().map_err(|_| c.damaged("an address"))).transpose()?;
    let user_agent = c.optional_text()?.map(str::to_owned);
    Ok(address.map(|address| Box::new(SignInOrigin::from_stored(address, user_agent))))
}

/// Returns the value of the first column.
pub(super) fn address(origin: Option<&SignInOrigin>) -> Option<String> {
    origin.map(|origin| origin.address.to_string())
}

/// Returns the value of the second column.
pub(super) fn user_agent(origin: Option<&SignInOrigin>) -> Option<&str> {
    origin.and_then(SignInOrigin::user_agent)
}
