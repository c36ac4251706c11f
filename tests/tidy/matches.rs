//! No `_` in a match on an error or a refusal. Clippy's `wildcard_enum_match_arm` sees a `_` that is a whole arm; this
//! test also finds one in a tuple or in another variant, where it hides a new variant just as well.

use std::collections::BTreeMap;
use std::path::PathBuf;

use syn::visit::{self, Visit};

/// The endings of the names of enums that are reasons for a refusal or a failure.
const KINDS: &[&str] = &["Error", "Rejection", "Refusal", "Refused", "Fault", "Failure", "Cause", "Rule", "Blamed"];

/// A position in the patterns of a match.
#[derive(Default)]
struct Place {
    /// The enum of a variant, if it is one of those.
    variant_of: Option<String>,
    has_wildcard: bool,
}

/// Returns the wildcards in matches on errors and refusals.
pub(crate) fn faults(sources: &[(PathBuf, String)]) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in sources {
        let file = path.display().to_string();
        let tree = syn::parse_file(text).unwrap_or_else(|fault| panic!("{file}: {fault}"));
        let mut matches = Matches::default();
        matches.visit_file(&tree);
        faults.extend(matches.hidden.into_iter().map(|name| format!("{file}: a `_` hides new variants of `{name}`")));
    }
    faults
}

#[derive(Default)]
struct Matches {
    /// The type that `Self` stands for.
    own: String,
    /// The enums whose variants a wildcard hides.
    hidden: Vec<String>,
}

impl<'a> Visit<'a> for Matches {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !item.attrs.iter().any(crate::imports::is_test) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        let outer = std::mem::take(&mut self.own);
        if let syn::Type::Path(own) = &*item.self_ty {
            self.own = own.path.segments.last().map(|name| name.ident.to_string()).unwrap_or_default();
        }
        visit::visit_item_impl(self, item);
        self.own = outer;
    }

    fn visit_expr_match(&mut self, expression: &'a syn::ExprMatch) {
        let mut places = BTreeMap::new();
        for arm in &expression.arms {
            self.note(&arm.pat, arm.guard.is_some(), String::new(), &mut places);
        }
        let is_below = |place: &str, outer: &str| place == outer || place.starts_with(&format!("{outer}/"));
        for (place, found) in &places {
            let Some(name) = &found.variant_of else { continue };
            if places.iter().any(|(outer, found)| found.has_wildcard && is_below(place, outer)) {
                self.hidden.push(name.clone());
            }
        }
        visit::visit_expr_match(self, expression);
    }
}

impl Matches {
    /// Records the patterns at a position and at those below it.
    #[expect(clippy::wildcard_enum_match_arm, reason = "syn's patterns may become more")]
    fn note(&self, pattern: &syn::Pat, is_guarded: bool, at: String, places: &mut BTreeMap<String, Place>) {
        let mut parts = |name: &str, parts: &syn::punctuated::Punctuated<syn::Pat, syn::Token![,]>| {
            for (number, part) in parts.iter().enumerate() {
                self.note(part, is_guarded, format!("{at}/{name}{number}"), places);
            }
        };
        match pattern {
            syn::Pat::Wild(_) => places.entry(at).or_default().has_wildcard |= !is_guarded,
            syn::Pat::Tuple(tuple) => parts("", &tuple.elems),
            syn::Pat::TupleStruct(variant) => {
                let name = variant.path.segments.last().map(|name| name.ident.to_string()).unwrap_or_default();
                parts(&name, &variant.elems);
                self.note_variant(&variant.path, at, places);
            }
            syn::Pat::Path(variant) => self.note_variant(&variant.path, at, places),
            syn::Pat::Struct(variant) => self.note_variant(&variant.path, at, places),
            syn::Pat::Or(or) => or.cases.iter().for_each(|case| self.note(case, is_guarded, at.clone(), places)),
            syn::Pat::Reference(to) => self.note(&to.pat, is_guarded, at, places),
            syn::Pat::Paren(inner) => self.note(&inner.pat, is_guarded, at, places),
            syn::Pat::Ident(name) => {
                if let Some((_, inner)) = &name.subpat {
                    self.note(inner, is_guarded, at, places);
                }
            }
            _ => {}
        }
    }

    fn note_variant(&self, variant: &syn::Path, at: String, places: &mut BTreeMap<String, Place>) {
        let mut names = variant.segments.iter().rev().skip(1).map(|name| name.ident.to_string());
        let Some(name) = names.next().map(|name| if name == "Self" { self.own.clone() } else { name }) else { return };
        if KINDS.iter().any(|kind| name.ends_with(kind)) {
            places.entry(at).or_default().variant_of = Some(name);
        }
    }
}

#[test]
fn a_wildcard_is_found_wherever_it_stands() {
    let found = |arms: &str| {
        let text = format!("impl Fault {{ fn f() {{ match x {{ {arms} }} }} }}");
        faults(&[(PathBuf::from("x.rs"), text)]).len()
    };
    for (arms, expected) in [
        ("Fault::Slow => 1, Fault::Gone => 2", 0),
        ("(Fault::Slow, _) => 1, (Fault::Gone, _) => 2", 0),
        ("(Fault::Slow, 1) => 1, (Fault::Gone | Fault::Slow, _) => 2", 0),
        ("Err(Fault::Slow) => 1, Err(fault) => fault.into(), Ok(_) => 2", 0),
        ("(Self::Slow, 1) => 1, _ if late => 2, (Self::Slow | Self::Gone, _) => 3", 0),
        ("(Fault::Slow, 1) => 1, _ => 2", 1),
        ("(Self::Slow, 1) => 1, (_, _) => 2", 1),
        ("(&Fault::Slow, 1) => 1, (_, 2) => 2", 1),
        ("Err(Fault::Slow) => 1, Ok(()) | Err(_) => 2", 1),
        ("Some((1, Fault::Slow)) => 1, Some((_, _)) | None => 2", 1),
    ] {
        assert_eq!(found(arms), expected, "{arms}");
    }
}
