//! Imports within a crate: two files never import each other, directly or through others, and lower folders do not import
//! higher ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Path of a module within its crate.
type Module = Vec<String>;

/// Folders that a folder of a crate may import from, besides itself. Folders that are not listed may import any.
const MAY_IMPORT: [(&str, &str, &[&str]); 16] = [
    ("hookstream-model", "base", &[]),
    ("hookstream-destinations", "net", &[]),
    // The transfer, in `db`, takes the columns of each table from its resource.
    ("hookstream-store", "db", &["identity", "operations", "outbound"]),
    ("hookstream-store", "outbound", &["db", "delivery", "operations"]),
    ("hookstream-store", "identity", &["db", "operations", "outbound"]),
    ("hookstream-store", "operations", &["db", "delivery", "identity", "outbound"]),
    ("hookstream-store", "delivery", &["db", "operations"]),
    ("hookstream-api", "http", &["auth"]),
    ("hookstream-api", "auth", &["http"]),
    ("hookstream-api", "background", &["auth", "http"]),
    ("hookstream-api", "metrics", &["auth", "http"]),
    ("hookstream-api", "outbound", &["auth", "http", "background", "metrics"]),
    ("hookstream-api", "identity", &["auth", "http", "background"]),
    ("hookstream-api", "operations", &["auth", "http", "background", "metrics"]),
    ("hookstream-api", "realtime", &["auth", "http"]),
    ("hookstream-api", "portal", &["auth", "http", "background", "outbound", "operations"]),
];

/// Returns the faults of a crate: one per circle, and one per import against [`MAY_IMPORT`].
pub(crate) fn check(name: &str, source: &Path, files: &[std::path::PathBuf]) -> Vec<String> {
    let mut texts = BTreeMap::new();
    for file in files.iter().filter(|file| !is_test(file)) {
        if let (Some(module), Ok(text)) = (module_of(source, file), fs::read_to_string(file)) {
            texts.insert(module, text);
        }
    }
    let edges = edges(&texts);
    let shown = |circle: &[Module]| circle.iter().map(|module| module.join("::")).collect::<Vec<_>>().join(", ");
    let circles = circles(&edges);
    let circles = circles.iter().map(|circle| format!("crates/{name}: these files import each other: {}", shown(circle)));
    circles.chain(upward(name, &edges)).collect()
}

/// Imports of a folder from folders that it may not import.
fn upward(name: &str, edges: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<String> {
    let is_refused = |from: &Module, to: &Module| {
        let (Some(from), Some(to)) = (from.first(), to.first()) else { return false };
        let rule = MAY_IMPORT.iter().find(|(crate_name, folder, _)| *crate_name == name && folder == from);
        // A file at the root, such as the state of the API, belongs to no folder.
        let is_folder = MAY_IMPORT.iter().any(|(crate_name, folder, _)| *crate_name == name && folder == to);
        from != to && is_folder && rule.is_some_and(|(_, _, allowed)| !allowed.contains(&to.as_str()))
    };
    let pairs = edges.iter().flat_map(|(from, targets)| targets.iter().map(move |to| (from, to)));
    let refused = pairs.filter(|(from, to)| is_refused(from, to));
    refused.map(|(from, to)| format!("crates/{name}: {} may not import {}", from.join("::"), to.join("::"))).collect()
}

fn is_test(file: &Path) -> bool {
    let is_of_tests = |part: &std::ffi::OsStr| part == "tests" || part == "sim" || part == "tests.rs";
    file.iter().any(is_of_tests)
}

fn module_of(source: &Path, file: &Path) -> Option<Module> {
    let path = file.strip_prefix(source).ok()?.with_extension("");
    let mut module: Module = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    Some(module)
}

/// Modules that each module imports from, except through `self`, which names its own children.
fn edges(texts: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let target = |from: &Module, path: &[String]| -> Option<Module> {
        let mut full = match path.first()?.as_str() {
            "crate" => path[1..].to_vec(),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                let base = from.get(..from.len().checked_sub(ups)?)?;
                [base, &path[ups..]].concat()
            }
            _ => return None,
        };
        while !full.is_empty() && !texts.contains_key(&full) {
            full.pop();
        }
        (!full.is_empty() && full != *from).then_some(full)
    };
    let of_module = |(module, text): (&Module, &String)| {
        let paths = paths(&without_tests(text));
        (module.clone(), paths.iter().filter_map(|path| target(module, path)).collect())
    };
    texts.iter().map(of_module).collect()
}

/// Text before the tests of a file, without comments.
fn without_tests(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    let lines = text[..end].lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Paths in `use` trees and in expressions that start with `crate` or `super`.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut expressions = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("use ") {
        let is_word = !rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let end = rest[at..].find(';').map_or(rest.len(), |end| at + end);
        if is_word {
            expressions.push_str(&rest[..at]);
            expand(&[], &rest[at + 4..end], &mut found);
            rest = &rest[end..];
        } else {
            expressions.push_str(&rest[..at + 4]);
            rest = &rest[at + 4..];
        }
    }
    expressions.push_str(rest);
    for start in ["crate::", "super::"] {
        for (at, _) in expressions.match_indices(start) {
            let path = expressions[at..].split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).next().unwrap_or_default();
            found.push(path.split("::").map(str::to_owned).collect());
        }
    }
    found
}

/// Adds the paths of a `use` tree.
fn expand(prefix: &[String], tree: &str, found: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    let (head, group) = tree.split_once('{').map_or((tree, None), |(head, group)| (head, Some(group)));
    let head = head.split(" as ").next().unwrap_or_default();
    let parts = head.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned);
    let path: Vec<String> = prefix.iter().cloned().chain(parts).collect();
    let Some(group) = group else {
        found.push(path);
        return;
    };
    let group = group.rsplit_once('}').map_or(group, |(group, _)| group);
    let (mut depth, mut start) = (0_usize, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                expand(&path, &group[start..at], found);
                start = at + 1;
            }
            _ => {}
        }
    }
    if !group[start..].trim().is_empty() {
        expand(&path, &group[start..], found);
    }
}

/// Sets of modules of which each reaches all others.
fn circles(edges: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<Vec<Module>> {
    let reach: BTreeMap<&Module, BTreeSet<&Module>> = edges.keys().map(|module| (module, reached(edges, module))).collect();
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for module in edges.keys() {
        if seen.contains(module) || !reach[module].contains(module) {
            continue;
        }
        let circle: Vec<Module> =
            reach[module].iter().filter(|other| reach[**other].contains(module)).map(|other| (*other).clone()).collect();
        seen.extend(circle.iter().cloned());
        circles.push(circle);
    }
    circles
}

fn reached<'a>(edges: &'a BTreeMap<Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&Module> = edges[from].iter().collect();
    while let Some(module) = open.pop() {
        if reached.insert(module) {
            open.extend(edges.get(module).into_iter().flatten());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let module = |name: &str| name.split("::").map(str::to_owned).collect::<Module>();
        let texts = files.iter().map(|(name, text)| (module(name), (*text).to_owned())).collect();
        circles(&edges(&texts)).into_iter().map(|circle| circle.iter().map(|module| module.join("::")).collect()).collect()
    }

    #[test]
    fn circles_are_found_through_trees_and_paths() {
        assert_eq!(found(&[("a", "use crate::b::B;"), ("b", "fn c() {}")]), Vec::<Vec<String>>::new());
        assert_eq!(found(&[("a", "use crate::{b::B, c};"), ("b", "fn d() { crate::a::e() }"), ("c", "")]), [["a", "b"]]);
        assert_eq!(found(&[("a::x", "use super::y::Y;"), ("a::y", "use crate::a::{x::X};")]), [["a::x", "a::y"]]);
        assert_eq!(found(&[("a", "use crate::b;"), ("b", "use crate::c;"), ("c", "use crate::a;")]), [["a", "b", "c"]]);
    }

    #[test]
    fn imports_against_the_order_of_folders_are_refused() {
        let edge = |from: &str, to: &str| {
            let module = |name: &str| name.split("::").map(str::to_owned).collect::<Module>();
            upward("hookstream-api", &BTreeMap::from([(module(from), BTreeSet::from([module(to)]))])).len()
        };
        assert_eq!(edge("outbound::messages", "http::body"), 0);
        assert_eq!(edge("outbound::messages", "state"), 0);
        assert_eq!(edge("http::body", "outbound::messages"), 1);
        assert_eq!(edge("identity::members", "outbound::messages"), 1);
    }

    #[test]
    fn tests_comments_and_own_children_do_not_count() {
        let with_tests = "use crate::b;\n#[cfg(test)]\nmod tests {\n}";
        assert!(found(&[("a", with_tests), ("b", "// crate::a\n#[cfg(test)]\nmod tests { use crate::a; }")]).is_empty());
        assert!(found(&[("a", "pub use self::b::B;"), ("a::b", "use super::C;")]).is_empty());
    }
}
