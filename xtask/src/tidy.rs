//! `tidy`: every module opens with what it is, SQL stands in the store, outbound connections in the
//! destinations, and crates use only those below them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The floors, from the ground up: a crate may use those of lower floors only.
const FLOORS: [&[&str]; 5] =
    [&["hookstream-model"], &["hookstream-store", "hookstream-destinations"], &["hookstream-engine"], &["hookstream-api"], &["hookstream"]];

/// What begins a statement, as it stands in a Rust string.
const SQL: [&str; 5] = ["\"select ", "\"insert into ", "\"update ", "\"delete from ", "\"create table "];

/// Breaks databases under the product, which is no query of it.
const SQL_THAT_BREAKS: &str = "crates/hookstream/src/commands/torture/psql.rs";

/// What opens a connection to an address.
const OUTBOUND: [&str; 3] = ["TcpStream::connect", "client::legacy", "client::conn"];

/// All faults found, one a line.
pub(crate) fn run(root: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    for file in ["crates", "xtask", "fuzz"].iter().flat_map(|folder| rust_files(&root.join(folder))) {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        faults.extend(check_file(&name, &text));
    }
    faults.extend(check_edges(root));
    faults
}

fn check_file(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(format!("{name}: does not open with //!"));
    }
    let is_shipped = name.contains("/src/") && !name.starts_with("xtask/");
    if !is_shipped {
        return faults;
    }
    let in_crate = |allowed: &[&str]| allowed.iter().any(|allowed| name.starts_with(&format!("crates/{allowed}/")));
    for (number, line) in (1..).zip(text.lines()) {
        let may_query = in_crate(&["hookstream-store"]) || name == SQL_THAT_BREAKS;
        if !may_query && SQL.iter().any(|sql| line.to_lowercase().contains(sql)) {
            faults.push(format!("{name}:{number}: SQL outside of the store"));
        }
        // The commands are clients of servers that their user names, and the testkit is not shipped.
        let may_connect = in_crate(&["hookstream-destinations", "hookstream/src/commands", "hookstream-testkit"]);
        if !may_connect && OUTBOUND.iter().any(|outbound| line.contains(outbound)) {
            faults.push(format!("{name}:{number}: a connection outside of the destinations"));
        }
    }
    faults
}

/// Checks who depends on whom, dev-dependencies aside.
fn check_edges(root: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    for (floor, crates) in FLOORS.iter().enumerate() {
        for name in *crates {
            let manifest = root.join("crates").join(name).join("Cargo.toml");
            let Ok(text) = fs::read_to_string(&manifest) else {
                faults.push(format!("crates/{name}: has no Cargo.toml"));
                continue;
            };
            let used = text.lines().skip_while(|line| *line != "[dependencies]").skip(1).take_while(|line| !line.starts_with('['));
            for used in used.filter_map(|line| line.split(['.', ' ']).next()).filter(|used| used.starts_with("hookstream")) {
                if !FLOORS[..floor].iter().any(|lower| lower.contains(&used)) {
                    faults.push(format!("crates/{name}: uses {used}, which is not below it"));
                }
            }
        }
    }
    faults
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![] };
    let mut files = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_found_and_what_is_fine_is_not() {
        let count = |name: &str, text: &str| check_file(name, text).len();
        assert_eq!(count("crates/hookstream-api/src/a.rs", "//! a\nconst A: &str = \"Select 1\";"), 1);
        assert_eq!(count("crates/hookstream-store/src/a.rs", "//! a\nconst A: &str = \"select 1\";"), 0);
        assert_eq!(count(SQL_THAT_BREAKS, "//! a\nconst A: &str = \"select 1\";"), 0);
        assert_eq!(count("crates/hookstream-engine/src/a.rs", "//! a\nTcpStream::connect(a)"), 1);
        assert_eq!(count("crates/hookstream-engine/tests/a.rs", "//! a\nTcpStream::connect(a)"), 0);
        assert_eq!(count("crates/hookstream-api/src/a.rs", "mod b;"), 1);
    }
}
