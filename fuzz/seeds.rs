//! Runs a fuzz target's seeds: what is kept of its corpus, and what once broke it. The tests of the crates have this
//! file in them (`#[path]`), so that what fuzzing found stays found without a fuzzer.

use std::path::Path;

/// Calls `target` with each of its seeds, the files of `fuzz/seeds/<name>`; the one that fails is named.
pub(crate) fn each(name: &str, target: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name);
    let mut seeds: Vec<_> = std::fs::read_dir(&folder).expect("a folder of seeds").map(|entry| entry.expect("a seed").path()).collect();
    seeds.sort();
    assert!(seeds.len() > 5, "{}: only {} seeds", folder.display(), seeds.len());
    for seed in seeds {
        // Shown only where the test fails, and then the last one is the one.
        println!("{}", seed.display());
        target(&std::fs::read(&seed).expect("a seed"));
    }
}
