//! Which file below `src` names which: read from the syntax trees; re-exports are followed to the file that defines the
//! item.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A module by its path from the root of the crate.
type ModulePath = Vec<String>;

/// A file of the crate, reduced to its names and paths.
#[derive(Default)]
struct File {
    shown: String,
    /// `use a::b as c`: the meaning of `c` here, re-exports included.
    imports: Vec<Import>,
    /// Paths in the code itself.
    paths: Vec<Vec<String>>,
}

struct Import {
    path: Vec<String>,
    name: String,
    /// Whether the `use` is public: such a file does not know which of its names others use.
    is_public: bool,
}

/// The top-level modules that a file names, apart from its own.
pub(crate) struct Named {
    /// The file's own top-level module; empty for the root of the crate.
    pub(crate) module: String,
    pub(crate) by_code: BTreeSet<String>,
    /// The modules that only its unit tests name.
    pub(crate) by_tests: BTreeSet<String>,
}

/// For each file, the top-level modules that it names, by any kind of path.
pub(crate) fn named_modules(sources: &[(PathBuf, String)]) -> BTreeMap<String, Named> {
    let (code, all) = (read_all(sources, false), read_all(sources, true));
    let modules: BTreeSet<&String> = code.keys().filter_map(|module| module.first()).collect();
    let named = |files: &BTreeMap<ModulePath, File>, module: &ModulePath| -> BTreeSet<String> {
        let file = &files[module];
        let paths = file.imports.iter().map(|import| &import.path).chain(&file.paths);
        let named = paths.filter_map(|path| absolute(files, module, path)?.into_iter().next());
        named.filter(|name| modules.contains(name) && module.first() != Some(name)).collect()
    };
    let of = |module: &ModulePath| {
        let by_code = named(&code, module);
        let by_tests = named(&all, module).difference(&by_code).cloned().collect();
        Named { module: module.first().cloned().unwrap_or_default(), by_code, by_tests }
    };
    code.iter().map(|(module, file)| (file.shown.clone(), of(module))).collect()
}

/// For each file, the files that it names.
pub(crate) fn graph(sources: &[(PathBuf, String)]) -> BTreeMap<String, BTreeSet<String>> {
    let files = read_all(sources, false);
    files
        .iter()
        .map(|(module, file)| {
            let used = file.imports.iter().filter(|import| !import.is_public).map(|import| &import.path);
            let named = used.chain(&file.paths).filter_map(|path| {
                let target = defining_file(&files, absolute(&files, module, path)?)?;
                (target != *module).then(|| files[&target].shown.clone())
            });
            (file.shown.clone(), named.collect())
        })
        .collect()
}

/// Groups of two or more files that all reach one another, larger ones first.
pub(crate) fn circles(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<BTreeSet<String>> {
    let reachable: BTreeMap<&String, BTreeSet<&String>> = graph
        .keys()
        .map(|start| {
            let mut seen = BTreeSet::new();
            let mut next: Vec<&String> = graph[start].iter().collect();
            while let Some(file) = next.pop() {
                if seen.insert(file) {
                    next.extend(&graph[file]);
                }
            }
            (start, seen)
        })
        .collect();
    let mut circles: Vec<BTreeSet<String>> = Vec::new();
    for file in graph.keys().filter(|file| reachable[file].contains(file)) {
        if circles.iter().any(|circle| circle.contains(file)) {
            continue;
        }
        let members = reachable[file].iter().filter(|other| reachable[*other].contains(file));
        circles.push(members.map(|member| (*member).clone()).collect());
    }
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    circles
}

fn module_path(path: &std::path::Path) -> ModulePath {
    let mut parts: ModulePath =
        path.with_extension("").components().skip(1).map(|c| c.as_os_str().to_string_lossy().into_owned()).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    parts
}

fn read_all(sources: &[(PathBuf, String)], with_tests: bool) -> BTreeMap<ModulePath, File> {
    sources.iter().map(|(path, text)| (module_path(path), read(path, text, with_tests))).collect()
}

fn read(path: &std::path::Path, text: &str, with_tests: bool) -> File {
    let tree = syn::parse_file(text).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
    let file = File { shown: path.display().to_string(), ..File::default() };
    let mut reader = Reader { file, with_tests, depth: 0 };
    reader.visit_file(&tree);
    reader.file
}

struct Reader {
    file: File,
    /// Whether unit tests are visited too.
    with_tests: bool,
    /// How many modules inside the file surround the current place.
    depth: usize,
}

impl Reader {
    /// Converts a path written inside `depth` modules of the file to one at the top of the file.
    fn of_file(&self, path: &[String]) -> Vec<String> {
        match path.iter().take_while(|part| *part == "super").count() {
            0 => path.to_vec(),
            ups if ups > self.depth => path[self.depth..].to_vec(),
            ups => [&["self".to_owned()], &path[ups..]].concat(),
        }
    }
}

impl<'a> Visit<'a> for Reader {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if self.with_tests || !item.attrs.iter().any(is_test) {
            self.depth += 1;
            visit::visit_item_mod(self, item);
            self.depth -= 1;
        }
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        if self.with_tests || !item.attrs.iter().any(is_test) {
            let is_public = !matches!(item.vis, syn::Visibility::Inherited);
            let mut imports = Vec::new();
            collect(&item.tree, &mut Vec::new(), is_public, &mut imports);
            for import in imports {
                self.file.imports.push(Import { path: self.of_file(&import.path), ..import });
            }
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        // A single lower-case word is a variable or an imported function.
        if names.len() > 1 || names.iter().any(|name| name.starts_with(|c: char| c.is_ascii_uppercase())) {
            self.file.paths.push(self.of_file(&names));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        let mut paths = Vec::new();
        paths_among(call.tokens.clone(), &[], &mut paths);
        let paths: Vec<_> = paths.iter().map(|path| self.of_file(path)).collect();
        self.file.paths.extend(paths);
        visit::visit_macro(self, call);
    }

    fn visit_visibility(&mut self, _: &'a syn::Visibility) {}
}

pub(crate) fn is_test(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Path>().is_ok_and(|argument| argument.is_ident("test"))
}

fn collect(tree: &syn::UseTree, prefix: &mut Vec<String>, is_public: bool, into: &mut Vec<Import>) {
    match tree {
        syn::UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            collect(&path.tree, prefix, is_public, into);
            prefix.pop();
        }
        syn::UseTree::Group(group) => group.items.iter().for_each(|item| collect(item, prefix, is_public, into)),
        syn::UseTree::Name(name) if name.ident == "self" => {
            into.push(Import { path: prefix.clone(), name: prefix.last().cloned().unwrap_or_default(), is_public });
        }
        syn::UseTree::Name(name) => {
            let path = [prefix.as_slice(), &[name.ident.to_string()]].concat();
            into.push(Import { path, name: name.ident.to_string(), is_public });
        }
        syn::UseTree::Rename(rename) => {
            let own = if rename.ident == "self" { None } else { Some(rename.ident.to_string()) };
            let path = prefix.iter().cloned().chain(own).collect();
            into.push(Import { path, name: rename.rename.to_string(), is_public });
        }
        syn::UseTree::Glob(_) => into.push(Import { path: prefix.clone(), name: "*".to_owned(), is_public }),
    }
}

/// Paths in the tokens of a macro call, which have no syntax tree; each begins with `prefix`, as in `prefix::{…}`.
fn paths_among(tokens: TokenStream, prefix: &[String], into: &mut Vec<Vec<String>>) {
    let begin = || (prefix.to_vec(), if prefix.is_empty() { 0 } else { 2 });
    let (mut path, mut colons) = begin();
    for token in tokens {
        match token {
            TokenTree::Ident(name) => {
                if colons != 2 {
                    path.clear();
                }
                path.push(name.to_string());
                colons = 0;
                into.push(path.clone());
                continue;
            }
            TokenTree::Punct(mark) if mark.as_char() == ':' && !path.is_empty() => {
                colons += 1;
                continue;
            }
            TokenTree::Group(group) => {
                let is_list = colons == 2 && group.delimiter() == Delimiter::Brace;
                paths_among(group.stream(), if is_list { &path } else { &[] }, into);
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        (path, colons) = begin();
    }
}

/// Resolves `path`, written in `module`, from the root of the crate; `None` if it is outside the crate.
fn absolute(files: &BTreeMap<ModulePath, File>, module: &ModulePath, path: &[String]) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" | "mcpgate" => Some(rest.to_vec()),
        "self" => Some([module.as_slice(), rest].concat()),
        "super" => {
            let ups = path.iter().take_while(|part| *part == "super").count();
            let base = module.get(..module.len().checked_sub(ups)?)?;
            Some([base, &path[ups..]].concat())
        }
        _ => {
            let inner = [module.as_slice(), path].concat();
            if files.contains_key(&inner[..=module.len()]) {
                return Some(inner);
            }
            let import = files[module].imports.iter().find(|import| import.name == *first)?;
            let ours = matches!(import.path.first().map(String::as_str), Some("crate" | "mcpgate" | "super" | "self"))
                || files.contains_key(&[module.as_slice(), &import.path[..1]].concat());
            let start = if ours && import.path != path { absolute(files, module, &import.path)? } else { return None };
            Some([start.as_slice(), rest].concat())
        }
    }
}

/// The file that defines the item at `path`.
fn defining_file(files: &BTreeMap<ModulePath, File>, path: Vec<String>) -> Option<ModulePath> {
    let mut path = path;
    // Each re-export leads nearer to the definition; more steps than this are a cycle of re-exports.
    for _ in 0..8 {
        let length = (0..=path.len()).rev().find(|length| files.contains_key(&path[..*length]))?;
        let (module, rest) = (path[..length].to_vec(), path[length..].to_vec());
        let Some((first, further)) = rest.split_first() else { return Some(module) };
        let Some(import) = files[&module].imports.iter().find(|import| import.name == *first) else {
            return Some(module);
        };
        match absolute(files, &module, &import.path) {
            Some(next) if next != path => path = [next.as_slice(), further].concat(),
            Some(_) | None => return Some(module),
        }
    }
    None
}
