//! From what was written to `Config`, collecting every `Problem`.

use std::path::Path;

use super::{Config, Overrides, Problem};

pub(super) fn load(_file: Option<&Path>, _overrides: &Overrides) -> Result<Config, Vec<Problem>> {
    todo!()
}
