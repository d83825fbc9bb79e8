//! Runs the seeds of a fuzz target: a part of its corpus, and inputs that once broke it. Tests of the crates include this
//! file (`#[path]`), so that regressions are found without a fuzzer.

use std::path::Path;

/// Calls `target` with each of its seeds, the files of `fuzz/seeds/<name>`, and prints their names.
pub(crate) fn each(name: &str, target: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name);
    let mut seeds: Vec<_> = std::fs::read_dir(&folder).expect("a folder of seeds").map(|entry| entry.expect("a seed").path()).collect();
    seeds.sort();
    assert!(seeds.len() > 5, "{}: only {} seeds", folder.display(), seeds.len());
    for seed in seeds {
        // The output is shown only if the test fails; the last name is then the failing seed.
        println!("{}", seed.display());
        target(&std::fs::read(&seed).expect("a seed"));
    }
}
