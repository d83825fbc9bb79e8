//! Simulated disk: after a power cut it has everything that was synced, and a random part of the rest.
//!
//! The simulation is stricter than most file systems: creation, removal and renaming of a file are durable only once
//! its directory was synced, and unsynced writes reach the disk in any order or not at all.

use std::collections::BTreeMap;

use anyhow::Context;
use rand::{RngExt, rngs::StdRng};

use super::journal::FileChange;

/// Size below which a correct disk does not tear a write.
const SECTOR: usize = 512;

/// File or directory below the watched one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Directory,
    File(Vec<u8>),
}

/// Content of a disk, by path.
pub(crate) type Tree = BTreeMap<String, Node>;

/// Part of the unsynced changes that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Nothing,
    /// Oldest part.
    Prefix,
    /// Each change or not.
    Some,
    /// Everything, without a torn write: the state that the process left.
    All,
}

impl Kept {
    /// Returns a random result of a power cut.
    pub(crate) fn by_chance(rng: &mut StdRng) -> Self {
        [Self::Nothing, Self::Prefix, Self::Some][rng.random_range(0..3)]
    }
}

/// Disk while a journal is played on it.
struct SimulatedDisk {
    /// Contents by number. A file keeps its number when it is renamed.
    contents: Vec<Vec<u8>>,
    /// Durable names.
    names: BTreeMap<String, Entry>,
    /// Names as the process saw them.
    seen: BTreeMap<String, Entry>,
    /// Open files by the journal's numbers.
    open: BTreeMap<u32, Opened>,
    /// Unsynced changes, in order.
    waiting: Vec<(usize, DiskStep)>,
}

#[derive(Debug, Clone, Copy)]
enum Entry {
    Directory,
    File(usize),
}

#[derive(Debug)]
enum Opened {
    Directory(String),
    File(usize),
}

/// Change that may be lost.
#[derive(Debug)]
enum DiskStep {
    Write { content: usize, at: usize, bytes: Vec<u8> },
    Truncate { content: usize, length: usize },
    Link { path: String, entry: Entry },
    Unlink { path: String },
    Rename { from: String, to: String },
}

/// Returns the content after a power cut, from the earlier content and the changes since.
///
/// # Errors
/// If the journal does not fit the earlier content.
pub(crate) fn after_a_cut(before: &Tree, journal: Vec<(usize, FileChange)>, kept: Kept, rng: &mut StdRng) -> anyhow::Result<Tree> {
    let mut disk = SimulatedDisk::of(before);
    for (position, change) in journal {
        disk.play(position, change)?;
    }
    disk.cut(kept, rng);
    Ok(disk.tree())
}

impl SimulatedDisk {
    fn of(tree: &Tree) -> Self {
        let mut contents = Vec::new();
        let mut entry = |node: &Node| match node {
            Node::Directory => Entry::Directory,
            Node::File(bytes) => {
                contents.push(bytes.clone());
                Entry::File(contents.len() - 1)
            }
        };
        let names: BTreeMap<_, _> = tree.iter().map(|(path, node)| (path.clone(), entry(node))).collect();
        Self { contents, seen: names.clone(), names, open: BTreeMap::new(), waiting: Vec::new() }
    }

    fn play(&mut self, position: usize, change: FileChange) -> anyhow::Result<()> {
        let step = match change {
            FileChange::Opened { file, path } => {
                let opened = match self.seen.get(&path) {
                    Some(Entry::File(content)) => Opened::File(*content),
                    Some(Entry::Directory) => Opened::Directory(path),
                    None if path.is_empty() => Opened::Directory(path),
                    None => anyhow::bail!("{path} was opened, and the journal does not know where it came from"),
                };
                self.open.insert(file, opened);
                return Ok(());
            }
            FileChange::Created { file, path } => {
                self.contents.push(Vec::new());
                let content = self.contents.len() - 1;
                self.open.insert(file, Opened::File(content));
                DiskStep::Link { path, entry: Entry::File(content) }
            }
            FileChange::MadeDirectory { path } => DiskStep::Link { path, entry: Entry::Directory },
            FileChange::Written { file, at, bytes } => DiskStep::Write { content: self.content(file)?, at, bytes },
            FileChange::Truncated { file, length } => DiskStep::Truncate { content: self.content(file)?, length },
            FileChange::Unlinked { path } => DiskStep::Unlink { path },
            FileChange::Renamed { from, to } => DiskStep::Rename { from, to },
            FileChange::Synced { file, until } => return self.sync(file, until),
        };
        step.name(&mut self.seen);
        self.waiting.push((position, step));
        Ok(())
    }

    fn content(&self, file: u32) -> anyhow::Result<usize> {
        match self.open.get(&file) {
            Some(Opened::File(content)) => Ok(*content),
            Some(Opened::Directory(_)) | None => anyhow::bail!("file {file} of the journal was written to and never opened"),
        }
    }

    fn sync(&mut self, file: u32, until: usize) -> anyhow::Result<()> {
        let opened = self.open.get(&file).with_context(|| format!("file {file} of the journal was synced and never opened"))?;
        let is_synced = |(position, step): &mut (usize, DiskStep)| *position < until && step.is_of(opened);
        let durable: Vec<_> = self.waiting.extract_if(.., is_synced).collect();
        durable.into_iter().for_each(|(_, step)| self.keep(step));
        Ok(())
    }

    fn keep(&mut self, step: DiskStep) {
        step.name(&mut self.names);
        match step {
            DiskStep::Write { content, at, bytes } => {
                let (content, end) = (&mut self.contents[content], at + bytes.len());
                content.resize(content.len().max(end), 0);
                content[at..end].copy_from_slice(&bytes);
            }
            DiskStep::Truncate { content, length } => self.contents[content].resize(length, 0),
            DiskStep::Link { .. } | DiskStep::Unlink { .. } | DiskStep::Rename { .. } => {}
        }
    }

    /// Keeps some of the unsynced changes and may tear the last write of them.
    fn cut(&mut self, kept: Kept, rng: &mut StdRng) {
        let waiting = std::mem::take(&mut self.waiting).into_iter().map(|(_, step)| step);
        let mut left: Vec<DiskStep> = match kept {
            Kept::Nothing => return,
            Kept::All => return waiting.for_each(|step| self.keep(step)),
            Kept::Prefix => {
                let length = rng.random_range(0..=waiting.len());
                waiting.take(length).collect()
            }
            Kept::Some => waiting.filter(|_| rng.random_bool(0.5)).collect(),
        };
        if let Some(DiskStep::Write { at, bytes, .. }) = left.last_mut() {
            let torn = match rng.random_range(0..3) {
                0 => bytes.len(),
                1 => rng.random_range(0..=bytes.len()),
                // At a sector boundary of the disk.
                _ => ((*at + rng.random_range(0..=bytes.len())) / SECTOR * SECTOR).saturating_sub(*at),
            };
            bytes.truncate(torn);
        }
        left.into_iter().for_each(|step| self.keep(step));
    }

    /// Returns the reachable content: an entry of a missing directory is missing too.
    fn tree(mut self) -> Tree {
        let mut tree = Tree::new();
        // A directory comes before its content.
        for (path, entry) in &self.names {
            let above = directory_of(path);
            if !above.is_empty() && tree.get(above) != Some(&Node::Directory) {
                continue;
            }
            let node = match entry {
                Entry::Directory => Node::Directory,
                Entry::File(content) => Node::File(std::mem::take(&mut self.contents[*content])),
            };
            tree.insert(path.clone(), node);
        }
        tree
    }
}

impl DiskStep {
    /// Returns whether a sync of this file or directory makes the change durable.
    fn is_of(&self, opened: &Opened) -> bool {
        match (self, opened) {
            (Self::Write { content, .. } | Self::Truncate { content, .. }, Opened::File(file)) => content == file,
            (Self::Link { path, .. } | Self::Unlink { path } | Self::Rename { to: path, .. }, Opened::Directory(directory)) => {
                directory_of(path) == directory
            }
            (Self::Write { .. } | Self::Truncate { .. }, Opened::Directory(_))
            | (Self::Link { .. } | Self::Unlink { .. } | Self::Rename { .. }, Opened::File(_)) => false,
        }
    }

    /// Applies the change to names.
    fn name(&self, names: &mut BTreeMap<String, Entry>) {
        match self {
            Self::Link { path, entry } => {
                names.insert(path.clone(), *entry);
            }
            Self::Unlink { path } => {
                names.remove(path);
            }
            Self::Rename { from, to } => {
                if let Some(entry) = names.remove(from) {
                    names.insert(to.clone(), entry);
                }
            }
            Self::Write { .. } | Self::Truncate { .. } => {}
        }
    }
}

/// Returns the directory of a path; empty for the watched one.
fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn created(file: u32, path: &str) -> FileChange {
        FileChange::Created { file, path: path.to_owned() }
    }

    fn opened(file: u32, path: &str) -> FileChange {
        FileChange::Opened { file, path: path.to_owned() }
    }

    fn written(file: u32, at: usize, bytes: &str) -> FileChange {
        FileChange::Written { file, at, bytes: bytes.as_bytes().to_vec() }
    }

    /// Returns the content after changes and a cut; a position is an index here.
    fn left(before: &Tree, changes: &[FileChange], kept: Kept, seed: u64) -> Tree {
        let journal = changes.iter().cloned().enumerate().collect();
        after_a_cut(before, journal, kept, &mut StdRng::seed_from_u64(seed)).expect("the journal fits the content")
    }

    fn tree(nodes: &[(&str, Option<&str>)]) -> Tree {
        let node = |text: &Option<&str>| text.map_or(Node::Directory, |text| Node::File(text.as_bytes().to_vec()));
        nodes.iter().map(|(path, text)| ((*path).to_owned(), node(text))).collect()
    }

    #[test]
    fn synced_changes_stay_and_unsynced_are_lost() {
        let before = tree(&[("a", Some("old"))]);
        let check = |changes: &[FileChange], expected: &[(&str, Option<&str>)]| {
            assert_eq!(left(&before, changes, Kept::Nothing, 0), tree(expected), "{changes:?}");
        };
        let write = [opened(1, "a"), written(1, 0, "n"), written(1, 5, "w")];
        check(&write, &[("a", Some("old"))]);
        check(&[&write[..], &[FileChange::Synced { file: 1, until: 3 }]].concat(), &[("a", Some("nld\0\0w"))]);
        // A sync does not cover writes made while it runs.
        check(&[&write[..], &[FileChange::Synced { file: 1, until: 2 }]].concat(), &[("a", Some("nld"))]);
        check(&[opened(1, "a"), FileChange::Truncated { file: 1, length: 1 }], &[("a", Some("old"))]);
        check(
            &[opened(1, "a"), FileChange::Truncated { file: 1, length: 1 }, FileChange::Synced { file: 1, until: 2 }],
            &[("a", Some("o"))],
        );
    }

    #[test]
    fn name_changes_need_a_sync_of_their_directory() {
        let before = tree(&[("a", Some("old")), ("d", None)]);
        let check = |changes: &[FileChange], synced: u32, expected: &[(&str, Option<&str>)]| {
            let opens = [opened(8, ""), opened(9, "d")];
            let sync = [FileChange::Synced { file: 1, until: 100 }, FileChange::Synced { file: synced, until: 100 }];
            assert_eq!(left(&before, &[&opens[..], changes, &sync].concat(), Kept::Nothing, 0), tree(expected), "{changes:?}");
        };
        let make = [created(1, "d/x"), written(1, 0, "new")];
        check(&make, 8, &[("a", Some("old")), ("d", None)]);
        check(&make, 9, &[("a", Some("old")), ("d", None), ("d/x", Some("new"))]);
        let remove = [opened(1, "a"), FileChange::Unlinked { path: "a".to_owned() }];
        check(&remove, 9, &[("a", Some("old")), ("d", None)]);
        check(&remove, 8, &[("d", None)]);
        let rename = [opened(1, "a"), FileChange::Renamed { from: "a".to_owned(), to: "b".to_owned() }];
        check(&rename, 9, &[("a", Some("old")), ("d", None)]);
        check(&rename, 8, &[("b", Some("old")), ("d", None)]);
        // A file in a lost directory is not reachable.
        let nested = [FileChange::MadeDirectory { path: "e".to_owned() }, opened(7, "e"), created(1, "e/x")];
        check(&nested, 7, &[("a", Some("old")), ("d", None)]);
        // A file created again under a name is another file.
        let anew = [FileChange::Unlinked { path: "a".to_owned() }, created(1, "a"), written(1, 0, "anew")];
        check(&anew, 9, &[("a", Some("old")), ("d", None)]);
        check(&anew, 8, &[("a", Some("anew")), ("d", None)]);
    }

    #[test]
    fn unsynced_changes_are_partly_kept_and_the_last_write_torn() {
        let before = tree(&[("a", Some("...."))]);
        let writes = [opened(1, "a"), written(1, 0, "1"), written(1, 1, "2"), written(1, 2, "34")];
        let all = |kept| {
            let content = |seed| match left(&before, &writes, kept, seed).remove("a") {
                Some(Node::File(bytes)) => String::from_utf8(bytes).expect("text"),
                other => panic!("{other:?}"),
            };
            (0..500).map(content).collect::<std::collections::BTreeSet<_>>()
        };
        let prefixes = ["....", "1...", "12..", "123.", "1234"].map(str::to_owned);
        assert_eq!(all(Kept::Prefix), prefixes.clone().into());
        assert!(all(Kept::Some).is_superset(&[".2..", "..34", "1.3.", "1.34"].map(str::to_owned).into()));
        assert_eq!(all(Kept::Nothing), prefixes[..1].iter().cloned().collect());
        assert_eq!(all(Kept::All), prefixes[4..].iter().cloned().collect());
    }

    #[test]
    fn journal_that_does_not_fit_the_content_is_refused() {
        let refused = |change| after_a_cut(&Tree::new(), vec![(0, change)], Kept::Nothing, &mut StdRng::seed_from_u64(0)).is_err();
        assert!(refused(opened(1, "a")));
        assert!(refused(written(1, 0, "x")));
        assert!(refused(FileChange::Synced { file: 1, until: 0 }));
    }
}
