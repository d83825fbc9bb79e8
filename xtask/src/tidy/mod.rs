//! `tidy`: rules that the compiler does not check.
//!
//! - Every module starts with a module comment; doc blocks start with a noun ([`prose`]); retired terms do not return.
//! - SQL is only in the store, outbound connections are only in the destinations, statuses of errors are only in the
//!   error codes of the API.
//! - Crates use only lower floors; no two files of a crate import each other ([`imports`]).
//! - A folder has at most 16 files ([`layout`]).
//! - Relative links in Markdown lead to files and headings that exist ([`links`]).

mod imports;
mod layout;
mod links;
mod prose;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Floors, from the bottom up: a crate may use crates of lower floors only.
const FLOORS: [&[&str]; 7] = [
    &["hookstream-model"],
    &["hookstream-store", "hookstream-destinations", "hookstream-cli", "hookstream-dashboard"],
    &["hookstream-engine", "hookstream-trials"],
    &["hookstream-api"],
    &["hookstream"],
    &["hookstream-testkit"],
    &["xtask"],
];

/// Crates that a crate of a higher floor may not use, because it is a client of the public API.
const CLIENTS_ONLY: [(&str, &[&str]); 2] = [
    ("hookstream-cli", &["hookstream-store", "hookstream-destinations"]),
    ("hookstream-trials", &["hookstream-store", "hookstream-destinations", "hookstream-engine"]),
];

/// Beginnings of SQL statements in Rust strings.
const SQL: [&str; 5] = ["\"select ", "\"insert into ", "\"update ", "\"delete from ", "\"create table "];

/// File with SQL that damages the test database from outside; these statements are not queries of the product.
const TORTURE_SQL: &str = "crates/hookstream-trials/src/torture/database/psql.rs";

/// Calls that open a connection to an address.
const OUTBOUND: [&str; 3] = ["TcpStream::connect", "client::legacy", "client::conn"];

/// Folder that decides on the statuses of errors.
const STATUSES: &str = "crates/hookstream-api/src/http/error/";

/// Statuses that handlers choose themselves.
const OF_SUCCESS: [&str; 4] = ["OK", "CREATED", "SWITCHING_PROTOCOLS", "from_u16("];

/// Returns all faults found, one per line.
pub(crate) fn run(root: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    let files: Vec<_> = ["crates", "xtask", "fuzz"].iter().flat_map(|folder| rust_files(&root.join(folder))).collect();
    for file in &files {
        let Ok(text) = fs::read_to_string(file) else { continue };
        let name = file.strip_prefix(root).unwrap_or(file).display().to_string();
        faults.extend(check_file(&name, &text));
        // The rules themselves name what they refuse.
        if !name.starts_with("xtask/") {
            faults.extend(prose::check(&name, &text));
        }
    }
    faults.extend(layout::check(root, &files));
    faults.extend(links::check(root));
    for name in FLOORS.concat().into_iter().filter(|name| *name != "xtask") {
        let source = root.join("crates").join(name).join("src");
        faults.extend(imports::check(name, &source, &rust_files(&source)));
    }
    faults.extend(check_edges(root));
    faults
}

fn check_file(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(format!("{name}: does not start with //!"));
    }
    let is_shipped = name.contains("/src/") && !name.starts_with("xtask/");
    if !is_shipped {
        return faults;
    }
    let in_crate = |allowed: &[&str]| allowed.iter().any(|allowed| name.starts_with(&format!("crates/{allowed}/")));
    for (number, line) in (1..).zip(text.lines()) {
        let may_query = in_crate(&["hookstream-store"]) || name == TORTURE_SQL;
        if !may_query && SQL.iter().any(|sql| line.to_lowercase().contains(sql)) {
            faults.push(format!("{name}:{number}: SQL outside the store"));
        }
        // Commands are clients of servers that the user names, and the testkit is not shipped.
        let may_connect =
            in_crate(&["hookstream-destinations", "hookstream/src/commands", "hookstream-cli", "hookstream-trials", "hookstream-testkit"]);
        if name.starts_with("crates/hookstream-api/src/") && !name.starts_with(STATUSES) && names_error_status(line) {
            faults.push(format!("{name}:{number}: status of an error outside {STATUSES}; use an ErrorCode"));
        }
        if !may_connect && OUTBOUND.iter().any(|outbound| line.contains(outbound)) {
            faults.push(format!("{name}:{number}: connection outside the destinations"));
        }
    }
    faults
}

/// Returns true if a line names a status that is not of [`OF_SUCCESS`].
fn names_error_status(line: &str) -> bool {
    let mut statuses = line.split("StatusCode::").skip(1);
    statuses.any(|status| !OF_SUCCESS.iter().any(|allowed| status.starts_with(allowed)))
}

/// Checks the dependencies between crates, except dev-dependencies.
fn check_edges(root: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    for (floor, crates) in FLOORS.iter().enumerate() {
        for name in *crates {
            let folder = if *name == "xtask" { root.join(name) } else { root.join("crates").join(name) };
            let manifest = folder.join("Cargo.toml");
            let Ok(text) = fs::read_to_string(&manifest) else {
                faults.push(format!("crates/{name}: has no Cargo.toml"));
                continue;
            };
            let used = text.lines().skip_while(|line| *line != "[dependencies]").skip(1).take_while(|line| !line.starts_with('['));
            for used in used.filter_map(|line| line.split(['.', ' ']).next()).filter(|used| used.starts_with("hookstream")) {
                if !FLOORS[..floor].iter().any(|lower| lower.contains(&used)) {
                    faults.push(format!("crates/{name}: uses {used}, which is not on a lower floor"));
                } else if CLIENTS_ONLY.iter().any(|(client, refused)| client == name && refused.contains(&used)) {
                    faults.push(format!("crates/{name}: uses {used}; it is a client of the public API"));
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
    fn only_faults_are_reported() {
        let count = |name: &str, text: &str| check_file(name, text).len();
        assert_eq!(count("crates/hookstream-api/src/a.rs", "//! a\nconst A: &str = \"Select 1\";"), 1);
        assert_eq!(count("crates/hookstream-store/src/a.rs", "//! a\nconst A: &str = \"select 1\";"), 0);
        assert_eq!(count(TORTURE_SQL, "//! a\nconst A: &str = \"select 1\";"), 0);
        assert_eq!(count("crates/hookstream-engine/src/a.rs", "//! a\nTcpStream::connect(a)"), 1);
        assert_eq!(count("crates/hookstream-engine/tests/a.rs", "//! a\nTcpStream::connect(a)"), 0);
        assert_eq!(count("crates/hookstream-api/src/a.rs", "mod b;"), 1);
        assert_eq!(count("crates/hookstream-api/src/a.rs", "//! a\nlet s = (StatusCode::OK, StatusCode::CONFLICT);"), 1);
        assert_eq!(count("crates/hookstream-api/src/a.rs", "//! a\nlet s = StatusCode::CREATED;"), 0);
        assert_eq!(count("crates/hookstream-api/src/http/error/code.rs", "//! a\nlet s = StatusCode::CONFLICT;"), 0);
    }
}
