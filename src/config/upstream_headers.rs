//! The rules for header fields towards an upstream: those that the operator sets, and those of clients that may be
//! passed.

use http::{HeaderName, HeaderValue};

use super::check::Check;
use super::field_name::{fault_of_own, fault_of_passed, folded};
use super::problem::Setting;
use super::value::Entries;

const NO_NAME: (&str, &str) = ("this is not the name of a header", "write letters, digits and -");

/// Checks the entries of `upstream.headers`.
pub(super) fn own(check: &Check<'_>, entries: &Setting<Entries>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for entry in &entries.value.0 {
        let key = format!("{}.{}", entries.key, entry.name);
        let wrong = |(fault, remedy): (&str, &str)| {
            check.report.add(Some(check.report.line_of(entry.offset)), &key, fault, remedy);
        };
        let Ok(name) = HeaderName::try_from(&entry.name) else {
            wrong(NO_NAME);
            continue;
        };
        fault_of_own(&name).into_iter().for_each(wrong);
        if headers.iter().any(|(other, _)| *other == name) {
            wrong(("this header is listed twice", "keep one"));
        }
        let Ok(mut value) = HeaderValue::try_from(&entry.value) else {
            wrong(("its value has characters that are not allowed in a header", "write printable text in one line"));
            continue;
        };
        value.set_sensitive(true);
        headers.push((name, value));
    }
    headers
}

/// Checks `upstream.pass_headers` against the headers that are set for the same upstream.
pub(super) fn passed(
    check: &Check<'_>,
    names: &Setting<Vec<String>>,
    own: &[(HeaderName, HeaderValue)],
) -> Vec<HeaderName> {
    let mut passed: Vec<HeaderName> = Vec::new();
    for (index, text) in names.value.iter().enumerate() {
        let wrong = |(fault, remedy): (&str, &str)| check.report.wrong_entry(names, index, fault, remedy);
        let Ok(name) = HeaderName::try_from(text) else {
            wrong(NO_NAME);
            continue;
        };
        fault_of_passed(&name).into_iter().for_each(wrong);
        let is_same = |other: &HeaderName| folded(other) == folded(&name);
        if passed.iter().any(is_same) {
            wrong(("this header is listed twice", "keep one"));
        }
        if own.iter().any(|(other, _)| is_same(other)) {
            wrong((
                "headers sets this header in every request, so the client's value would never be forwarded",
                "remove one of the two",
            ));
        }
        passed.push(name);
    }
    passed
}
