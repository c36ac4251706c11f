//! The rules for `[tokens]`: which lifetimes fit together.

use super::check::Check;
use super::policy::TokenPolicy;
use super::policy_file::Tokens;
use super::problem::Setting;
use crate::oauth::Lifetime;

/// Checks the lifetimes of tokens and codes.
pub(super) fn policy(check: &Check<'_>, tokens: &Tokens) -> TokenPolicy {
    if tokens.refresh_idle.value > tokens.refresh_absolute.value {
        check.report.wrong(&tokens.refresh_idle, "this is longer than refresh_absolute", "make it shorter");
    }
    TokenPolicy {
        access: tokens.access.value,
        code: tokens.code.value,
        refresh_idle: tokens.refresh_idle.value,
        refresh_absolute: tokens.refresh_absolute.value,
        refresh_grace: tokens.refresh_grace.value,
        refresh_lost_answer: tokens.refresh_lost_answer.value,
        secret_overlap: tokens.secret_overlap.value,
        secret_age_warning: tokens.secret_age_warning.value,
        access_longest: longest(check, tokens.access_longest.as_ref(), (&tokens.access, "access")),
        refresh_longest: longest(
            check,
            tokens.refresh_longest.as_ref(),
            (&tokens.refresh_absolute, "refresh_absolute"),
        ),
        key_longest: tokens.key_longest.as_ref().map(|longest| longest.value),
    }
}

/// Returns the most that a single client may be given; by default what all have, which is never more.
fn longest(
    check: &Check<'_>,
    written: Option<&Setting<Lifetime>>,
    (all, name): (&Setting<Lifetime>, &str),
) -> Lifetime {
    let Some(longest) = written else { return all.value };
    if longest.value < all.value {
        check.report.wrong(longest, format!("this is shorter than {name}"), "make it longer, or remove it");
    }
    longest.value
}
