//! Project tasks: `cargo run -p xtask -- <task>`.
//!
//! - `tidy` checks rules that the compiler does not: prose, the place of SQL and connections, folders, imports, crate dependencies and links.
//! - `openapi` writes `docs/openapi.json`; `openapi --check` fails if it is not current.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task prints its result for the user or script that runs it")]

mod tidy;

use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace");
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let faults = match words[..] {
        ["tidy"] => tidy::run(root),
        ["openapi"] => openapi(root, false),
        ["openapi", "--check"] => openapi(root, true),
        _ => vec!["tasks: tidy | openapi [--check]".to_owned()],
    };
    for fault in &faults {
        eprintln!("{fault}");
    }
    if faults.is_empty() {
        println!("{}: fine", words.join(" "));
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Writes the OpenAPI document of the API, or compares it with the stored one.
fn openapi(root: &Path, check: bool) -> Vec<String> {
    let path = root.join("docs/openapi.json");
    let current = match serde_json::to_string_pretty(&hookstream_api::document_json()) {
        Ok(text) => text + "\n",
        Err(error) => return vec![format!("the document is not JSON: {error}")],
    };
    if check {
        let is_current = std::fs::read_to_string(&path).is_ok_and(|stored| stored == current);
        return if is_current { vec![] } else { vec!["docs/openapi.json is not current: cargo run -p xtask -- openapi".to_owned()] };
    }
    std::fs::write(&path, current).err().map(|error| format!("{}: {error}", path.display())).into_iter().collect()
}
