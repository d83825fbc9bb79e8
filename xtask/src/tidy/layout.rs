//! Layout rules: a folder stays small enough to be read as one list.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Most source files in one folder.
const FILES_MAX: usize = 16;

/// Returns one fault per folder with too many files.
pub(crate) fn check(root: &Path, files: &[PathBuf]) -> Vec<String> {
    let mut counts: BTreeMap<&Path, usize> = BTreeMap::new();
    for folder in files.iter().filter_map(|file| file.parent()) {
        *counts.entry(folder).or_default() += 1;
    }
    let too_full = counts.into_iter().filter(|(_, count)| *count > FILES_MAX);
    let name = |folder: &Path| folder.strip_prefix(root).unwrap_or(folder).display().to_string();
    too_full.map(|(folder, count)| format!("{}: {count} files; at most {FILES_MAX}", name(folder))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_with_too_many_files_are_refused() {
        let files = |count: usize| (0..count).map(|number| PathBuf::from(format!("/a/b/{number}.rs"))).collect::<Vec<_>>();
        assert!(check(Path::new("/a"), &files(FILES_MAX)).is_empty());
        assert_eq!(check(Path::new("/a"), &files(FILES_MAX + 1)), ["b: 17 files; at most 16"]);
    }
}
