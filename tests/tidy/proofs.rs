//! Proof types: only the check can create one.

use std::path::PathBuf;

use syn::visit::{self, Visit};

/// The proofs, and the files that define them.
const PROOFS: &[(&str, &str)] = &[
    ("Addressed", "src/proxy/addressed.rs"),
    ("Authenticated", "src/proxy/authenticate.rs"),
    ("AuthenticatedClient", "src/oauth/client_auth.rs"),
    ("CachedPrincipal", "src/proxy/cached_principal.rs"),
    ("ClientLocation", "src/oauth/redirect.rs"),
    ("Digest", "src/oauth/digest.rs"),
    ("LinkForm", "src/endpoints/visit/own_form.rs"),
    ("LocalPath", "src/endpoints/redirect.rs"),
    ("LoginName", "src/oauth/login_name.rs"),
    ("LoginNameHash", "src/oauth/login_name.rs"),
    ("OwnForm", "src/endpoints/visit/own_form.rs"),
    ("Permit", "src/proxy/permit.rs"),
    ("Permitted", "src/proxy/upstream/pool.rs"),
    ("Principal", "src/token_cache/entry.rs"),
    ("UncheckedForm", "src/endpoints/visit/own_form.rs"),
    ("ValidatedRequest", "src/oauth/validated_request.rs"),
    ("VerifiedRedirect", "src/oauth/redirect.rs"),
];

/// The traits that a proof may derive: none of them makes a value but from another. `Default` and `Deserialize` would.
const DERIVES: &[&str] = &["Debug", "Clone", "Copy", "PartialEq", "Eq", "PartialOrd", "Ord", "Hash"];

/// Collects the types whose documentation says that they are proofs.
#[derive(Default)]
struct Claims(Vec<String>);

impl<'a> Visit<'a> for Claims {
    fn visit_item_struct(&mut self, item: &'a syn::ItemStruct) {
        let documentation = item.attrs.iter().filter(|attribute| attribute.path().is_ident("doc"));
        let texts = documentation.filter_map(|attribute| {
            let syn::Expr::Lit(literal) = &attribute.meta.require_name_value().ok()?.value else { return None };
            let syn::Lit::Str(text) = &literal.lit else { return None };
            Some(text.value())
        });
        let text = texts.collect::<String>().to_lowercase();
        if text.contains(" made only ") || text.starts_with(" proof that ") {
            self.0.push(item.ident.to_string());
        }
    }
}

#[test]
fn what_is_called_a_proof_is_held_to_be_one() {
    let mut claimed = Claims::default();
    for (path, text) in crate::sources("src") {
        let tree = syn::parse_file(&text).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        claimed.visit_file(&tree);
    }
    let page = include_str!("../../docs/architecture.md");
    let told = page.split("**A check leaves a value behind.**").nth(1).and_then(|rest| rest.split(" have ").next());
    claimed.0.extend(told.expect("the list").split('`').skip(1).step_by(2).map(str::to_owned));
    assert!(claimed.0.len() > 15, "{:?}", claimed.0);
    claimed.0.retain(|name| !PROOFS.iter().any(|(proof, _)| proof == name));
    assert!(claimed.0.is_empty(), "not in PROOFS: {:?}", claimed.0);
}

/// Returns the faults of the proofs: a public field, or not exactly one place that creates one.
pub(crate) fn faults(sources: &[(PathBuf, String)]) -> Vec<String> {
    let mut faults = Vec::new();
    for (proof, file) in PROOFS {
        let Some((_, text)) = sources.iter().find(|(path, _)| path.ends_with(file)) else {
            faults.push(format!("{file}: the file is missing, and should define {proof}"));
            continue;
        };
        let tree = syn::parse_file(text).unwrap_or_else(|fault| panic!("{file}: {fault}"));
        let mut makers = Makers::of(proof);
        makers.visit_file(&tree);
        if makers.is_closed != Some(true) {
            faults.push(format!("{file}: {proof} is missing, or has a public field"));
        }
        for derived in makers.derives {
            faults.push(format!("{file}: {proof} derives {derived}, which is not in DERIVES"));
        }
        if makers.places != 1 {
            faults.push(format!("{file}: {} places create a {proof}; there must be exactly one", makers.places));
        }
    }
    faults
}

/// Finds the places that create a proof: `Proof { … }`, `Proof(…)`, `.map(Proof)`, and the same with `Self` in its own
/// `impl` blocks.
struct Makers<'p> {
    proof: &'p str,
    is_own: bool,
    is_closed: Option<bool>,
    /// What it derives besides [`DERIVES`].
    derives: Vec<String>,
    places: usize,
}

impl<'p> Makers<'p> {
    fn of(proof: &'p str) -> Self {
        Self { proof, is_own: false, is_closed: None, derives: Vec::new(), places: 0 }
    }

    fn makes(&self, path: &syn::Path) -> bool {
        path.segments.len() == 1 && (path.is_ident(self.proof) || (self.is_own && path.is_ident("Self")))
    }
}

impl<'a> Visit<'a> for Makers<'_> {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !item.attrs.iter().any(crate::imports::is_test) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_struct(&mut self, item: &'a syn::ItemStruct) {
        if item.ident == self.proof {
            self.is_closed = Some(item.fields.iter().all(|field| matches!(field.vis, syn::Visibility::Inherited)));
            self.derives = item.attrs.iter().flat_map(derives).collect();
            self.derives.retain(|name| !DERIVES.contains(&name.as_str()));
        }
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        let before = self.is_own;
        self.is_own = matches!(&*item.self_ty, syn::Type::Path(own)
            if own.path.segments.last().is_some_and(|name| name.ident == self.proof));
        visit::visit_item_impl(self, item);
        self.is_own = before;
    }

    fn visit_expr_struct(&mut self, made: &'a syn::ExprStruct) {
        self.places += usize::from(self.makes(&made.path));
        visit::visit_expr_struct(self, made);
    }

    /// Called, or passed as a function.
    fn visit_expr_path(&mut self, function: &'a syn::ExprPath) {
        self.places += usize::from(self.makes(&function.path));
        visit::visit_expr_path(self, function);
    }
}

/// The traits that an attribute derives. `cfg_attr` is not looked into.
fn derives(attribute: &syn::Attribute) -> Vec<String> {
    let syn::Meta::List(list) = &attribute.meta else { return Vec::new() };
    if list.path.is_ident("cfg_attr") {
        return vec!["what `cfg_attr` adds".to_owned()];
    }
    if !list.path.is_ident("derive") {
        return Vec::new();
    }
    let parse = syn::punctuated::Punctuated::<syn::Path, syn::Token![,]>::parse_terminated;
    let names = list.parse_args_with(parse).expect("the names of traits");
    names.iter().filter_map(|path| Some(path.segments.last()?.ident.to_string())).collect()
}

#[test]
fn a_proof_derives_nothing_that_makes_one() {
    for (attributes, refused) in [
        ("#[derive(Debug, Clone)]", vec![]),
        ("#[derive(Debug, Default)]", vec!["Default"]),
        ("#[derive(Clone)] #[derive(serde::Deserialize)]", vec!["Deserialize"]),
        ("#[cfg_attr(test, derive(Default))]", vec!["what `cfg_attr` adds"]),
    ] {
        let mut makers = Makers::of("Permit");
        makers.visit_file(&syn::parse_str(&format!("{attributes} struct Permit(Caller);")).expect("a struct"));
        assert_eq!(makers.derives, refused, "{attributes}");
    }
}
