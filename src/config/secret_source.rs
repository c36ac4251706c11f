//! `${ENV}` and `${file:…}` references in string values; the only reader of the environment.
