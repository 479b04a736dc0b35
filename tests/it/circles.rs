//! Tests that the files of a crate have no circular dependencies, neither direct nor transitive.
//!
//! A file depends on another file if it names an item that the other file defines. Re-exports (`pub use`) are resolved
//! to the defining file. Names that occur only in the tests of a file do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, UseTree, Visibility};

/// The path of a module within its crate. The path of the crate root is empty.
type ModulePath = Vec<String>;

/// A `use` declaration of one name. A glob import has the name `*`.
struct Import {
    path: Vec<String>,
    name: String,
    is_reexport: bool,
}

/// The content of a module's file: the items that it defines, its imports, and the paths that it names.
#[derive(Default)]
struct Module {
    file: PathBuf,
    definitions: BTreeSet<String>,
    imports: Vec<Import>,
    /// All paths of two or more segments that occur outside of `use` declarations.
    paths: BTreeSet<Vec<String>>,
}

/// The modules of one crate.
#[derive(Default)]
struct Modules(BTreeMap<ModulePath, Module>);

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

/// Adds an import for each name that a `use` tree declares.
fn add_imports(tree: &UseTree, prefix: &[String], is_reexport: bool, imports: &mut Vec<Import>) {
    let with = |segment: &syn::Ident| [prefix, &[segment.to_string()]].concat();
    let mut add = |path: Vec<String>, name: String| imports.push(Import { path, name, is_reexport });
    match tree {
        UseTree::Path(path) => add_imports(&path.tree, &with(&path.ident), is_reexport, imports),
        UseTree::Group(group) => {
            for tree in &group.items {
                add_imports(tree, prefix, is_reexport, imports);
            }
        }
        UseTree::Name(name) if name.ident == "self" => {
            add(prefix.to_vec(), prefix.last().cloned().unwrap_or_default());
        }
        UseTree::Name(name) => add(with(&name.ident), name.ident.to_string()),
        UseTree::Rename(rename) => add(with(&rename.ident), rename.rename.to_string()),
        UseTree::Glob(_) => add(prefix.to_vec(), "*".to_owned()),
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast Item) {
        let name = match item {
            Item::Const(item) => Some(&item.ident),
            Item::Enum(item) => Some(&item.ident),
            Item::Fn(item) => Some(&item.sig.ident),
            Item::Macro(item) => item.ident.as_ref(),
            Item::Static(item) => Some(&item.ident),
            Item::Struct(item) => Some(&item.ident),
            Item::Trait(item) => Some(&item.ident),
            Item::Type(item) => Some(&item.ident),
            Item::Union(item) => Some(&item.ident),
            Item::Mod(item) if is_for_tests(&item.attrs) => return,
            _ => None,
        };
        self.definitions.extend(name.map(ToString::to_string));
        visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_reexport = !matches!(item.vis, Visibility::Inherited);
        add_imports(&item.tree, &[], is_reexport, &mut self.imports);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 && path.leading_colon.is_none() {
            self.paths.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }
}

impl Modules {
    /// Reads a module and, recursively, the modules that its file declares.
    fn read(&mut self, path: ModulePath, file: PathBuf) {
        let source = std::fs::read_to_string(&file).expect("the file must be readable");
        let syntax = syn::parse_file(&source).expect("the file must contain valid Rust");
        // The submodules of a `mod.rs`, `lib.rs` or `main.rs` are in the same directory. The submodules of another file
        // are in a directory with the name of the file.
        let is_folder = file.file_stem().is_some_and(|stem| ["mod", "lib", "main"].iter().any(|name| stem == *name));
        let folder = if is_folder {
            file.parent().expect("the file must be in a folder").to_owned()
        } else {
            file.with_extension("")
        };
        for item in &syntax.items {
            let Item::Mod(declared) = item else { continue };
            if declared.content.is_some() || is_for_tests(&declared.attrs) {
                continue;
            }
            let name = declared.ident.to_string();
            let alone = folder.join(format!("{name}.rs"));
            let file = if alone.exists() { alone } else { folder.join(&name).join("mod.rs") };
            self.read([path.as_slice(), &[name]].concat(), file);
        }
        let mut module = Module { file, ..Module::default() };
        module.visit_file(&syntax);
        self.0.insert(path, module);
    }

    /// Resolves a path that occurs in the module `from` to a path from the crate root. Returns `None` if the path
    /// refers to another crate.
    fn absolute(&self, from: &[String], path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => return Some(rest.to_vec()),
            "self" => return Some([from, rest].concat()),
            "super" => {
                let (_, parent) = from.split_last()?;
                let up = path.iter().take_while(|segment| *segment == "super").count();
                let parent = &parent[..(parent.len() + 1).saturating_sub(up)];
                return Some([parent, &path[up..]].concat());
            }
            _ => {}
        }
        if self.0.contains_key([from, std::slice::from_ref(first)].concat().as_slice()) {
            return Some([from, path].concat());
        }
        let imports = &self.0.get(from)?.imports;
        let import = imports.iter().find(|import| import.name == *first && import.path != path)?;
        let module = self.absolute(from, &import.path)?;
        self.0.contains_key(module.as_slice()).then(|| [module.as_slice(), rest].concat())
    }

    /// Returns the module whose file defines the item at this path from the crate root. Returns `None` if the path
    /// refers to a module and not to an item.
    fn defining(&self, path: &[String], seen: &mut BTreeSet<Vec<String>>) -> Option<ModulePath> {
        if !seen.insert(path.to_vec()) {
            return None;
        }
        let depth = (0..=path.len()).rev().find(|depth| self.0.contains_key(&path[..*depth]))?;
        let (at, rest) = path.split_at(depth);
        let (name, deeper) = rest.split_first()?;
        let module = &self.0[at];
        if module.definitions.contains(name) {
            return Some(at.to_vec());
        }
        let named = module.imports.iter().filter(|import| import.name == *name).map(|import| (import, deeper));
        let globs = module.imports.iter().filter(|import| import.name == "*").map(|import| (import, rest));
        named.chain(globs).find_map(|(import, rest)| {
            let imported = self.absolute(at, &import.path)?;
            self.defining(&[imported.as_slice(), rest].concat(), seen)
        })
    }

    /// Returns the modules on which the file of this module depends: the other modules that define items named in this
    /// file.
    fn needs(&self, path: &[String]) -> BTreeSet<ModulePath> {
        let module = &self.0[path];
        let imported = module.imports.iter().filter(|import| !import.is_reexport).map(|import| &import.path);
        imported
            .chain(&module.paths)
            .filter_map(|named| self.defining(&self.absolute(path, named)?, &mut BTreeSet::new()))
            .filter(|defining| defining != path)
            .collect()
    }

    /// Returns the files that are part of a dependency cycle.
    fn files_in_cycles(&self) -> Vec<PathBuf> {
        let needs: BTreeMap<_, _> = self.0.keys().map(|path| (path, self.needs(path))).collect();
        let needs_itself = |path: &&ModulePath| {
            let mut reached = BTreeSet::new();
            let mut open: Vec<_> = needs[path].iter().collect();
            while let Some(next) = open.pop() {
                if reached.insert(next) {
                    open.extend(&needs[next]);
                }
            }
            reached.contains(path)
        };
        self.0.keys().filter(needs_itself).map(|path| self.0[path].file.clone()).collect()
    }
}

fn read(root: &Path) -> Modules {
    let mut modules = Modules::default();
    modules.read(Vec::new(), root.to_owned());
    modules
}

/// Returns the root source files of the crates that ship and of the soak test.
fn roots() -> Vec<PathBuf> {
    let workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ must be a directory of the workspace");
    let crates = std::fs::read_dir(workspace.join("crates"))
        .expect("the folder must be readable")
        .map(|entry| entry.unwrap().path());
    let folders = crates.chain([workspace.join("migration"), workspace.join("tests/chaos")]);
    let roots = folders.map(|folder| folder.join("src"));
    roots.flat_map(|src| [src.join("lib.rs"), src.join("main.rs")]).filter(|root| root.exists()).collect()
}

#[test]
fn no_file_has_circular_dependencies() {
    let roots = roots();
    assert!(roots.len() > 10, "only {} crates were found", roots.len());
    let circles: Vec<_> = roots.iter().flat_map(|root| read(root).files_in_cycles()).collect();
    assert!(circles.is_empty(), "files with circular dependencies: {circles:#?}");
}

#[test]
fn a_circular_dependency_through_a_re_export_is_detected() {
    let folder = std::env::temp_dir().join(format!("iam-circles-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("b")).unwrap();
    let write = |file: &str, source: &str| std::fs::write(folder.join(file), source).unwrap();
    write("lib.rs", "mod a; mod b; mod c; mod d; pub use a::A;");
    write("a.rs", "use crate::b; pub struct A(b::inner::Inner);");
    write("b/mod.rs", "pub mod inner;");
    write("b/inner.rs", "use super::super::A; pub struct Inner(Box<A>);");
    // Only the tests of `c` depend on `d`, so `c` and `d` form no cycle. The file `c.rs` also depends on `a.rs`, which
    // is part of a cycle. No file of that cycle depends on `c.rs`, so `c.rs` is not part of the cycle.
    write("c.rs", "pub fn c(a: crate::A) {} #[cfg(test)] mod tests { use crate::d::d; }");
    write("d.rs", "use crate::c::c; pub fn d() { c() }");
    let found: BTreeSet<_> = read(&folder.join("lib.rs")).files_in_cycles().into_iter().collect();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(found, BTreeSet::from([folder.join("a.rs"), folder.join("b/inner.rs")]));
}
