//! Direction of dependence between the modules of `shared`, read from the sources.
//!
//! An edge is a `use` or a path that leads from one file to another, tests left out. A re-export, such as
//! `pub use error::Error` in `domain/mod.rs`, is followed to the file that it comes from.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// Which modules each module may use, beside itself. Nothing else is allowed, and nothing listed is unused.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("password", &["domain"]),
    ("http", &["domain"]),
    ("platform", &["domain"]),
    ("store", &["domain", "patience", "platform"]),
    ("app", &["domain", "platform", "store"]),
    ("pages", &["app", "domain", "http", "store"]),
    ("auth", &["app", "domain", "http", "password", "platform", "store"]),
    ("replay", &["app", "domain", "http", "store"]),
    ("patience", &[]),
    ("lifecycle", &["app", "domain", "http", "platform", "store"]),
    ("erasure", &["app", "domain", "http", "lifecycle", "platform"]),
    ("backfill", &["app", "domain", "platform"]),
    ("signature", &["app", "domain", "platform"]),
    ("bus", &["app", "domain", "platform", "store"]),
    ("invitation", &["app", "domain", "password"]),
    ("sign_up", &["app", "domain", "password", "store"]),
    ("mail", &["app", "domain", "password", "platform", "store"]),
    ("webhook", &["app", "domain", "lifecycle", "platform", "store"]),
    ("completion", &["app", "domain", "platform", "signature", "store"]),
    ("asking", &["app", "bus", "completion", "domain", "platform", "store"]),
    ("purge", &["app", "asking", "bus", "completion", "domain", "platform", "signature", "store"]),
    ("runtime", &["app", "domain", "http", "password", "patience", "platform", "store"]),
];

/// Crates that the domain may use: values and pure functions.
const PURE_CRATES: &[&str] = &[
    "base62",
    "crc32fast",
    "data_encoding",
    "idna",
    "jiff",
    "precis_profiles",
    "serde",
    "serde_json",
    "sha2",
    "std",
    "unicase",
    "unicode_normalization",
    "unicode_script",
    "unicode_security",
    "url",
    "uuid",
];

/// Paths in those crates that the domain may not use: they lead to environment, clock, randomness, files, network,
/// processes and threads.
const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::os",
    "std::process",
    "std::random",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "jiff::Zoned",
];

/// Types of the language, whose functions are pure.
const PRIMITIVES: &[&str] =
    &["char", "f64", "i64", "str", "u128", "u16", "u32", "u64", "u8", "usize"];

/// Layers of the store: a module uses those of its own layer and of the layers before it.
const STORE_LAYERS: &[&[&str]] = &[
    &["dynamodb"],
    &["fields", "hold", "key", "kinds", "queue", "revise", "root", "stored"],
    &[
        "authority",
        "idempotency",
        "ledger",
        "mail",
        "mail_intent",
        "mailed_token",
        "marker",
        "outbox",
        "participant",
        "participation",
        "ticket",
    ],
    &["owned"],
    &[
        "access_key",
        "agent",
        "customer",
        "email",
        "lane",
        "login",
        "quota",
        "resource",
        "sending",
        "session",
        "throttle",
    ],
    &["backfill", "capacity", "delivery", "find", "history", "inventory", "overview", "purge"],
    &["items"],
    &["fates"],
];

/// Functions that read the clock or are random.
const IMPURE_FUNCTIONS: &[&str] = &["new_v4", "now", "now_v7", "now_v6", "now_v1"];

type Module = Vec<String>;

/// A source file: its module and the paths that it names.
struct Source {
    module: Module,
    /// Paths, each with whether it is re-exported.
    paths: Vec<(Vec<String>, bool)>,
}

/// Collects the paths of a file, tests left out.
#[derive(Default)]
struct Paths(Vec<(Vec<String>, bool)>);

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => {
            list.path.is_ident("cfg") && list.tokens.to_string().contains("test")
        }
        meta => meta.path().is_ident("test"),
    })
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_test(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            let is_public = !matches!(item.vis, syn::Visibility::Inherited);
            flatten(&item.tree, Vec::new(), &mut |path| self.0.push((path, is_public)));
        }
    }

    /// Ignores visibilities: a path in one, such as `pub(in crate::store)`, uses nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|one| one.ident.to_string()).collect();
        if segments.len() > 1 {
            self.0.push((segments, false));
        }
        visit::visit_path(self, path);
    }
}

fn flatten(tree: &syn::UseTree, mut before: Vec<String>, found: &mut impl FnMut(Vec<String>)) {
    match tree {
        syn::UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, found);
        }
        syn::UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, before.clone(), found);
            }
        }
        syn::UseTree::Name(name) => {
            if name.ident != "self" {
                before.push(name.ident.to_string());
            }
            found(before);
        }
        syn::UseTree::Rename(rename) => {
            if rename.ident != "self" {
                before.push(rename.ident.to_string());
            }
            found(before);
        }
        syn::UseTree::Glob(_) => found(before),
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&root).unwrap().with_extension("");
        let mut module: Module =
            name.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        if module.last().is_some_and(|last| last == "mod" || last == "lib") {
            module.pop();
        }
        let mut paths = Paths::default();
        paths.visit_file(&syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap());
        Source { module, paths: paths.0 }
    };
    let is_test = |source: &Source| source.module.iter().any(|part| part == "tests");
    files_below(&root).into_iter().map(read).filter(|source| !is_test(source)).collect()
}

/// Modules and what they re-export.
struct Names {
    modules: BTreeSet<Module>,
    exported: BTreeMap<Module, Module>,
}

impl Names {
    fn of(sources: &[Source]) -> Self {
        let modules = sources.iter().map(|source| source.module.clone()).collect();
        let mut names = Self { modules, exported: BTreeMap::new() };
        for source in sources {
            for (path, _) in source.paths.iter().filter(|(_, is_public)| *is_public) {
                if let (Some(target), Some(name)) =
                    (names.absolute(&source.module, path), path.last())
                {
                    let exported = [source.module.as_slice(), std::slice::from_ref(name)].concat();
                    names.exported.insert(exported, target);
                }
            }
        }
        names
    }

    /// Returns the path from the crate's root; `None` if it leads out of the crate.
    fn absolute(&self, from: &Module, path: &[String]) -> Option<Module> {
        let mut base = from.clone();
        match path[0].as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([base, path[1..].to_vec()].concat()),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                base.truncate(base.len().checked_sub(ups)?);
                Some([base, path[ups..].to_vec()].concat())
            }
            child => {
                base.push(child.to_owned());
                let is_child = self.modules.contains(&base);
                is_child.then(|| [base, path[1..].to_vec()].concat())
            }
        }
    }

    /// Returns the file that an absolute path leads to.
    fn file(&self, path: &[String]) -> Option<&Module> {
        let reexported = (1..=path.len()).find_map(|length| {
            let target = self.exported.get(&path[..length])?;
            let is_module = self.modules.contains(&path[..length]);
            (!is_module).then(|| [target.clone(), path[length..].to_vec()].concat())
        });
        if let Some(path) = reexported {
            return self.file(&path);
        }
        (0..=path.len()).rev().find_map(|length| self.modules.get(&path[..length]))
    }
}

/// Returns the files that each file uses.
fn edges() -> BTreeMap<Module, BTreeSet<Module>> {
    let sources = sources();
    let names = Names::of(&sources);
    let mut edges = BTreeMap::new();
    for Source { module, paths } in &sources {
        let paths = paths.iter().filter(|(path, is_public)| !is_public || path[0] == "crate");
        let absolute = paths.filter_map(|(path, _)| names.absolute(module, path));
        let used = absolute.filter_map(|path| names.file(&path).cloned());
        edges.insert(module.clone(), used.filter(|used| used != module).collect());
    }
    edges
}

/// Returns a chain of uses from `at` back to `start`, if there is one.
fn circle(
    edges: &BTreeMap<Module, BTreeSet<Module>>,
    start: &Module,
    at: &Module,
    seen: &mut BTreeSet<Module>,
) -> Option<Vec<String>> {
    for next in edges.get(at).into_iter().flatten() {
        if next == start {
            return Some(vec![at.join("::"), start.join("::")]);
        }
        if seen.insert(next.clone())
            && let Some(mut way) = circle(edges, start, next, seen)
        {
            way.insert(0, at.join("::"));
            return Some(way);
        }
    }
    None
}

#[test]
fn no_files_depend_on_each_other_in_a_circle() {
    let edges = edges();
    let circles: Vec<String> = edges
        .keys()
        .filter_map(|start| circle(&edges, start, start, &mut BTreeSet::new()))
        .map(|way| way.join(" → "))
        .collect();
    assert!(circles.is_empty(), "circles:\n{}", circles.join("\n"));
}

#[test]
fn modules_use_only_those_below_them() {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, to) in edges() {
        let Some(from) = from.first() else { continue };
        let others = to.iter().filter_map(|to| to.first()).filter(|to| *to != from).cloned();
        used.entry(from.clone()).or_default().extend(others);
    }
    let allowed: BTreeMap<String, BTreeSet<String>> = MAY_USE
        .iter()
        .map(|(from, to)| ((*from).to_owned(), to.iter().map(|to| (*to).to_owned()).collect()))
        .collect();
    assert_eq!(used, allowed, "left: what the sources use; right: MAY_USE");
}

#[test]
fn the_store_is_in_layers() {
    let edges = edges();
    let layer = |module: &Module| {
        let (store, name) = (module.first()?, module.get(1)?);
        let is_in = |layer: &[&str]| store == "store" && layer.contains(&name.as_str());
        STORE_LAYERS.iter().position(|layer| is_in(layer))
    };
    for (from, used) in &edges {
        if from.first().is_none_or(|first| first != "store") || from.len() == 1 {
            continue;
        }
        let own = layer(from).unwrap_or_else(|| panic!("{from:?} is in no layer"));
        for to in used.iter().filter(|to| to.first().is_some_and(|first| first == "store")) {
            let other = layer(to).unwrap_or_else(|| panic!("{from:?} uses {to:?}"));
            assert!(other <= own, "{from:?} uses {to:?}, which is above it");
        }
        if own == 0 {
            for to in used.iter().filter(|to| to.first().is_some_and(|first| first == "domain")) {
                assert_eq!(to, &["domain", "error"], "the mechanism knows {to:?}");
            }
        }
    }
}

#[test]
fn the_domain_is_pure() {
    let sources = sources();
    let names = Names::of(&sources);
    for source in sources.iter().filter(|source| source.module.starts_with(&["domain".to_owned()]))
    {
        for (path, _) in &source.paths {
            let text = path.join("::");
            let file = source.module.join("::");
            let is_impure = |name: &&str| text == **name || text.starts_with(&format!("{name}::"));
            assert!(!IMPURE.iter().any(is_impure), "{file} uses {text}");
            let last = path.last().unwrap();
            assert!(!IMPURE_FUNCTIONS.contains(&last.as_str()), "{file} uses {text}");
            // Only the names of crates and modules begin with a small letter.
            let is_name = path[0].starts_with(|first: char| first.is_ascii_lowercase());
            if path.len() > 1 && is_name && names.absolute(&source.module, path).is_none() {
                let is_imported = source.paths.iter().any(|(other, _)| {
                    other.len() > 1 && other.last() == path.first() && other != path
                });
                let is_known = PURE_CRATES.contains(&path[0].as_str())
                    || PRIMITIVES.contains(&path[0].as_str())
                    || is_imported;
                assert!(is_known, "{file} uses {text}: is that crate pure?");
            }
        }
    }
}
