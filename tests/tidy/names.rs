//! One name, one type: a name identifies its type without a look at the file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use syn::visit::{self, Visit};

/// Names that several types may have, and why.
const SHARED: &[(&str, &str)] = &[
    ("Arguments", "the options of a command, by the convention of clap: `serve::Arguments`"),
    ("Command", "the subcommands of a command, by the convention of clap: `user::Command`"),
    ("State", "what a lock guards, private to the type that holds the lock"),
];

/// Returns the names that two types have in different files, and the unused exceptions.
fn faults(sources: &[(PathBuf, String)]) -> Vec<String> {
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources {
        let tree = syn::parse_file(text).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        let mut types = Types::default();
        types.visit_file(&tree);
        for name in types.0 {
            files.entry(name).or_default().insert(path.display().to_string());
        }
    }
    let is_shared = |name: &str| SHARED.iter().any(|(shared, _)| *shared == name);
    let doubled = files.iter().filter(|(_, files)| files.len() > 1);
    let mut faults: Vec<_> = doubled
        .clone()
        .filter(|(name, _)| !is_shared(name))
        .map(|(name, files)| format!("{name}: {files:?}"))
        .collect();
    let unneeded = SHARED.iter().filter(|(shared, _)| !doubled.clone().any(|(name, _)| name == shared));
    faults.extend(unneeded.map(|(shared, _)| format!("{shared}: one type has this name now; take it from SHARED")));
    faults
}

/// The types that a file defines, without those of unit tests and associated types.
#[derive(Default)]
struct Types(Vec<String>);

impl<'a> Visit<'a> for Types {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !item.attrs.iter().any(crate::imports::is_test) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_struct(&mut self, item: &'a syn::ItemStruct) {
        self.0.push(item.ident.to_string());
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'a syn::ItemEnum) {
        self.0.push(item.ident.to_string());
    }

    fn visit_item_trait(&mut self, item: &'a syn::ItemTrait) {
        self.0.push(item.ident.to_string());
    }

    fn visit_item_type(&mut self, item: &'a syn::ItemType) {
        self.0.push(item.ident.to_string());
    }
}

#[test]
fn no_two_types_have_one_name() {
    let faults = faults(&super::sources("src"));
    assert!(faults.is_empty(), "name each for what it is:\n{}", faults.join("\n"));
}
