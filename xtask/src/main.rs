//! Chores of the project: `cargo run -p xtask -- <chore>`.
//!
//! - `tidy` checks what no compiler checks: where things stand and who may use whom.
//! - `openapi` writes `docs/openapi.json`; `openapi --check` says whether it is current.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore speaks to the person or the script that runs it")]

mod tidy;

use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask stands in the workspace");
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let faults = match words[..] {
        ["tidy"] => tidy::run(root),
        ["openapi"] => openapi(root, false),
        ["openapi", "--check"] => openapi(root, true),
        _ => vec!["chores: tidy | openapi [--check]".to_owned()],
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

/// Writes the OpenAPI document that the API serves, or compares it with what is kept.
fn openapi(root: &Path, check: bool) -> Vec<String> {
    let path = root.join("docs/openapi.json");
    let current = match serde_json::to_string_pretty(&hookstream_api::document_json()) {
        Ok(text) => text + "\n",
        Err(error) => return vec![format!("the document is no JSON: {error}")],
    };
    if check {
        let is_current = std::fs::read_to_string(&path).is_ok_and(|kept| kept == current);
        return if is_current { vec![] } else { vec!["docs/openapi.json is not current: cargo run -p xtask -- openapi".to_owned()] };
    }
    std::fs::write(&path, current).err().map(|error| format!("{}: {error}", path.display())).into_iter().collect()
}
