//! A function that is named like a question returns the answer and changes nothing.

use std::path::PathBuf;

use syn::visit::{self, Visit};

/// The beginnings of names that are questions.
const QUESTIONS: &[&str] = &["is_", "has_", "are_", "can_", "may_", "was_"];

/// Questions that record something, the files that define them, and why they may.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("is_proven", "src/token_cache/proof.rs", "remembers the answer, so that the MAC is computed once"),
    ("is_revoked", "src/proxy/response/stream_handle.rs", "remembers the generation for which the answer was no"),
];

/// Calls that change shared state: atomics, and the write methods of the store and the limits.
const WRITES: &[&str] = &["compare_exchange", "fetch_add", "fetch_and", "fetch_or", "fetch_sub", "store", "swap"];
const WRITE_VERBS: &[&str] = &[
    "add_", "admit_", "advance_", "append_", "charge_", "delete_", "end_", "insert_", "note_", "put_", "record_",
    "remove_", "revoke_", "set_", "update_",
];
/// Calls that change a collection, which count in a function that takes a lock.
const CHANGES: &[&str] =
    &["clear", "entry", "get_mut", "insert", "pop", "pop_front", "push", "push_back", "remove", "retain", "take"];

/// Returns the functions of these files that are named like questions and change something.
pub(crate) fn faults(sources: &[(PathBuf, String)]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut excused = 0;
    for (path, text) in sources {
        let file = path.display().to_string();
        let tree = syn::parse_file(text).unwrap_or_else(|fault| panic!("{file}: {fault}"));
        let mut questions = Questions::default();
        questions.visit_file(&tree);
        for (name, change) in questions.acting {
            if EXCEPTIONS.iter().any(|(excepted, place, _)| *excepted == name && *place == file) {
                excused += 1;
            } else {
                faults.push(format!("{file}: `{name}` {change}: give it a name that says so"));
            }
        }
    }
    if excused != EXCEPTIONS.len() && sources.len() > 1 {
        faults.push(format!("{excused} functions need an exception, and there are {}", EXCEPTIONS.len()));
    }
    faults
}

/// Looks for questions that act.
#[derive(Default)]
struct Questions {
    acting: Vec<(String, String)>,
}

impl Questions {
    fn look_at(&mut self, signature: &syn::Signature, body: Option<&syn::Block>) {
        let name = signature.ident.to_string();
        if !QUESTIONS.iter().any(|question| name.starts_with(question)) {
            return;
        }
        let takes_mut = signature.inputs.iter().any(|input| match input {
            syn::FnArg::Receiver(own) => own.mutability.is_some() && own.reference.is_some(),
            syn::FnArg::Typed(other) => matches!(&*other.ty, syn::Type::Reference(of) if of.mutability.is_some()),
        });
        if takes_mut {
            self.acting.push((name, "takes `&mut`".to_owned()));
            return;
        }
        let mut writes = Writes::default();
        if let Some(body) = body {
            writes.visit_block(body);
        }
        let first = writes.calls.into_iter().chain(writes.changes.into_iter().filter(|_| writes.takes_lock)).next();
        if let Some(call) = first {
            self.acting.push((name, format!("calls `{call}`")));
        }
    }
}

impl<'a> Visit<'a> for Questions {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !item.attrs.iter().any(crate::imports::is_test) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        self.look_at(&item.sig, Some(&item.block));
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        self.look_at(&item.sig, Some(&item.block));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'a syn::TraitItemFn) {
        self.look_at(&item.sig, item.default.as_ref());
        visit::visit_trait_item_fn(self, item);
    }
}

/// The calls in a body that change something.
#[derive(Default)]
struct Writes {
    calls: Vec<String>,
    changes: Vec<String>,
    takes_lock: bool,
}

impl<'a> Visit<'a> for Writes {
    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        let name = call.method.to_string();
        if WRITES.contains(&name.as_str()) || WRITE_VERBS.iter().any(|verb| name.starts_with(verb)) {
            self.calls.push(name);
        } else if CHANGES.contains(&name.as_str()) {
            self.changes.push(name);
        } else if name == "lock" {
            self.takes_lock = true;
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'a syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func {
            self.takes_lock |= function.path.segments.last().is_some_and(|name| name.ident == "lock");
        }
        visit::visit_expr_call(self, call);
    }
}

#[test]
fn a_question_changes_nothing() {
    let faults = faults(&super::sources("src"));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_question_that_acts_is_found() {
    for (text, count) in [
        ("fn is_new(&mut self) -> bool { true }", 1),
        ("fn has_room(rows: &mut Rows) -> bool { true }", 1),
        ("fn may_go(&self) -> bool { self.count.fetch_add(1, Relaxed) < 3 }", 1),
        ("async fn was_told(&self) -> bool { self.store.put_mark(1).await }", 1),
        ("fn is_new(&self) -> bool { lock(&self.seen).insert(1) }", 1),
        ("fn is_new(&self) -> bool { let mut seen = Set::new(); seen.insert(1) }", 0),
        ("fn is_known(&self) -> bool { lock(&self.seen).contains(1) }", 0),
        ("fn take_turn(&mut self) -> bool { true }", 0),
        ("#[cfg(test)] mod tests { fn is_new(&mut self) -> bool { true } }", 0),
    ] {
        let item = if text.starts_with('#') { text.to_owned() } else { format!("impl T {{ {text} }}") };
        assert_eq!(faults(&[("src/a.rs".into(), item)]).len(), count, "{text}");
    }
}
