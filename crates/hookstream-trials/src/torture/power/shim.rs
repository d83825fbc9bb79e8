//! Library between a node and the system (`scripts/torture-shim.c`): keeps a journal of the node's file operations and
//! shifts its clock.

use std::{
    ffi::OsString,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use rand::rngs::StdRng;

use super::journal;
use crate::torture::power::simulated_disk::{Kept, Node, Tree, after_a_cut};

/// Unit in which files are compared and rewritten.
const BLOCK: usize = 4096;
/// Suffix of files that the shim ignores, because they end with their process.
const SHARED_MEMORY: &str = "-shm";

/// Library with its inputs and outputs.
pub(crate) struct Shim {
    library: PathBuf,
    /// Watched directory, if any.
    root: Option<PathBuf>,
    journal: PathBuf,
    clocks: PathBuf,
    /// Content of the disk at the last start of the node.
    kept: Tree,
}

impl Shim {
    /// Keeps its files in `directory`. A `root` must be empty; its files are watched.
    pub(crate) fn new(library: &Path, directory: &Path, root: Option<&Path>) -> anyhow::Result<Self> {
        // The shim compares paths as the node names them.
        let real = |path: &Path| path.canonicalize().with_context(|| format!("could not find {}", path.display()));
        let directory = real(directory)?;
        Ok(Self {
            library: real(library)?,
            root: root.map(real).transpose()?,
            journal: directory.join("journal"),
            clocks: directory,
            kept: Tree::new(),
        })
    }

    /// Returns the watched directory.
    pub(crate) fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// Returns the environment variables of a node.
    pub(crate) fn environment(&self, node: u32) -> anyhow::Result<Vec<(OsString, OsString)>> {
        self.shift_clock(node, 0)?;
        let mut variables = vec![("LD_PRELOAD", &self.library), ("TORTURE_JOURNAL", &self.journal)];
        variables.extend(self.root.iter().map(|root| ("TORTURE_ROOT", root)));
        let clock = self.clock(node);
        variables.push(("TORTURE_CLOCK", &clock));
        Ok(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// Shifts the clock of a node by this number of milliseconds from the true time.
    pub(crate) fn shift_clock(&self, node: u32, ms: i64) -> anyhow::Result<()> {
        let path = self.clock(node);
        let opened = File::options().create(true).truncate(false).write(true).open(&path);
        // In one write, because the node has mapped the file.
        let opened = opened.and_then(|file| file.write_all_at(&(ms * 1_000_000).to_ne_bytes(), 0));
        opened.with_context(|| format!("could not write {}", path.display()))
    }

    /// Replaces the directory of a killed node with content that a disk may have kept.
    pub(crate) fn cut_power(&mut self, rng: &mut StdRng) -> anyhow::Result<()> {
        let root = self.root.clone().context("no files are watched")?;
        self.kept = self.play(Kept::by_chance(rng), rng)?;
        fs::remove_file(&self.journal).context("could not remove the journal")?;
        put(&root, &self.kept)
    }

    /// Checks the journal: played without a cut, it must give the files of a stopped node. One missing file that the
    /// journal has is no fault: if the last thread of a node removes a log, the process may end before the record.
    pub(crate) fn check(&self, rng: &mut StdRng) -> anyhow::Result<()> {
        let Some(root) = &self.root else { return Ok(()) };
        let (recorded, mut found) = (self.play(Kept::All, rng)?, read(root, "")?);
        found.retain(|path, _| !path.ends_with(SHARED_MEMORY));
        let mut gone = recorded.keys().filter(|path| !found.contains_key(*path)).skip(1);
        match gone.next().or(found.keys().find(|path| recorded.get(*path) != found.get(*path))) {
            None => Ok(()),
            Some(path) => anyhow::bail!("the shim's journal does not tell all: {path} is another than it says"),
        }
    }

    fn play(&self, kept: Kept, rng: &mut StdRng) -> anyhow::Result<Tree> {
        let recorded = fs::read(&self.journal).context("could not read the journal; was the shim loaded?")?;
        after_a_cut(&self.kept, journal::read(&recorded)?, kept, rng)
    }

    fn clock(&self, node: u32) -> PathBuf {
        self.clocks.join(format!("clock-{}", node + 1))
    }
}

/// Makes a directory equal to a tree, without rewriting equal content.
fn put(root: &Path, tree: &Tree) -> anyhow::Result<()> {
    let found = read(root, "")?;
    // The content of a directory goes before the directory.
    for (path, node) in found.iter().rev().filter(|(path, _)| !tree.contains_key(*path)) {
        let path = root.join(path);
        let removed = if *node == Node::Directory { fs::remove_dir(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("could not remove {}", path.display()))?;
    }
    for (path, node) in tree {
        let put = match (node, found.get(path)) {
            (Node::Directory, Some(_)) => Ok(()),
            (Node::Directory, None) => fs::create_dir(root.join(path)),
            (Node::File(bytes), Some(Node::File(old))) => rewrite(&root.join(path), old, bytes),
            (Node::File(bytes), Some(Node::Directory) | None) => fs::write(root.join(path), bytes),
        };
        put.with_context(|| format!("could not write {path} in {}", root.display()))?;
    }
    Ok(())
}

fn rewrite(path: &Path, old: &[u8], new: &[u8]) -> std::io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(new.len() as u64)?;
    for (number, block) in new.chunks(BLOCK).enumerate() {
        let at = number * BLOCK;
        if old.get(at..at + block.len()) != Some(block) {
            file.write_all_at(block, at as u64)?;
        }
    }
    Ok(())
}

/// Returns the content of a directory.
fn read(root: &Path, below: &str) -> anyhow::Result<Tree> {
    let mut tree = Tree::new();
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = entry.file_name().into_string().ok().context("a name is text")?;
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.file_type()?.is_dir() {
            tree.extend(read(root, &path)?);
            tree.insert(path, Node::Directory);
        } else if entry.file_type()?.is_file() {
            tree.insert(path, Node::File(fs::read(entry.path())?));
        }
        // The control socket has no content that a power cut could take.
    }
    Ok(tree)
}
