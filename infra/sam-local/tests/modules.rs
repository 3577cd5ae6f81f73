//! Checks that the modules form layers: the `use` declarations between source files contain no cycle.

#![cfg(test)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Adds to `sources` the source files below `directory`, by module path (`dynamodb::holds`), without their unit tests.
fn read(directory: &Path, module: &str, sources: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_stem().unwrap().to_str().unwrap().to_owned();
        let path = if module.is_empty() { name.clone() } else { format!("{module}::{name}") };
        if entry.is_dir() {
            read(&entry, &path, sources);
        } else if name != "lib" && name != "tests" {
            let text = fs::read_to_string(&entry).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
            sources.insert(if name == "mod" { module.to_owned() } else { path }, code);
        }
    }
}

/// Returns the paths of the `use` declarations, with groups expanded.
fn uses(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for declaration in code.split(';') {
        let Some(start) = declaration.rfind("use ") else { continue };
        let before = declaration[..start].lines().last().unwrap_or_default().trim();
        if before.is_empty() || before.starts_with("pub") {
            expand("", &declaration[start + 4..], &mut paths);
        }
    }
    paths
}

fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((path, group)) = tree.split_once('{') else {
        paths.push(format!("{prefix}{tree}"));
        return;
    };
    let group = group.strip_suffix('}').unwrap();
    let (mut depth, mut start) = (0, 0);
    let ends = group.char_indices().chain([(group.len(), ',')]);
    for (end, character) in ends {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let item = group[start..end].trim();
                if !item.is_empty() {
                    expand(&format!("{prefix}{}", path.trim()), item, paths);
                }
                start = end + 1;
            }
            _ => {}
        }
    }
}

/// Returns the module that a path leads to, as seen from `module`; `None` if it is in another crate.
fn target(
    path: &str,
    module: &str,
    is_mod_file: bool,
    modules: &BTreeMap<String, String>,
) -> Option<String> {
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let absolute = match path.split_once("::") {
        Some(("crate", rest)) => rest.to_owned(),
        Some(("super", rest)) => format!("{parent}::{rest}").trim_start_matches(':').to_owned(),
        // A file `mod.rs` names its children.
        _ if is_mod_file => format!("{module}::{path}"),
        _ => return None,
    };
    let segments: Vec<_> = absolute.split("::").collect();
    let prefixes = (1..=segments.len()).rev().map(|length| segments[..length].join("::"));
    prefixes.into_iter().find(|prefix| modules.contains_key(prefix))
}

/// Returns a cycle of uses that can be reached from `module`, if there is one.
fn circle(
    module: &str,
    edges: &BTreeMap<String, BTreeSet<String>>,
    path: &mut Vec<String>,
    done: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    if let Some(start) = path.iter().position(|one| one == module) {
        return Some(path[start..].to_vec());
    }
    if !done.insert(module.to_owned()) {
        return None;
    }
    path.push(module.to_owned());
    let found = edges[module].iter().find_map(|next| circle(next, edges, path, done));
    path.pop();
    found
}

#[test]
fn no_circle_of_uses_between_modules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = BTreeMap::new();
    read(&root, "", &mut modules);
    let mut edges = BTreeMap::new();
    for (module, code) in &modules {
        let is_mod_file = root.join(module.replace("::", "/")).is_dir();
        let targets = uses(code).into_iter();
        let targets = targets.filter_map(|path| target(&path, module, is_mod_file, &modules));
        let targets: BTreeSet<_> = targets.filter(|target| target != module).collect();
        edges.insert(module.clone(), targets);
    }
    // The test reads what it should: these uses are there.
    assert!(edges["dynamodb::service"].contains("iam"), "{edges:#?}");
    assert!(edges["dynamodb"].contains("dynamodb::service"), "{edges:#?}");
    let mut done = BTreeSet::new();
    for module in modules.keys() {
        let found = circle(module, &edges, &mut Vec::new(), &mut done);
        assert_eq!(found, None, "each module uses the next one");
    }
}
