//! Archive of a backup: a tar file, compressed by Zstandard. `tar --zstd` reads it too.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Write},
    path::{Component, Path},
};

use super::BackupError;
use crate::sqlite::db::directory::{create_private, private};

/// Compression level: fast, and payloads are compressed already.
const LEVEL: i32 = 3;

/// Archive that is written.
pub(super) struct Writer<'a> {
    path: &'a Path,
    tar: tar::Builder<zstd::Encoder<'static, BufWriter<File>>>,
}

impl<'a> Writer<'a> {
    /// Creates the file.
    pub(super) fn create(path: &'a Path) -> Result<Self, BackupError> {
        let file = private().truncate(true).open(path).map_err(BackupError::file("create", path))?;
        let encoder = zstd::Encoder::new(BufWriter::new(file), LEVEL).map_err(BackupError::file("create", path))?;
        let mut tar = tar::Builder::new(encoder);
        tar.mode(tar::HeaderMode::Deterministic);
        Ok(Self { path, tar })
    }

    /// Moves a file of a directory into the archive.
    pub(super) fn add(&mut self, directory: &Path, name: &str) -> Result<(), BackupError> {
        let path = directory.join(name);
        let added = File::open(&path).and_then(|mut file| {
            let mut header = tar::Header::new_gnu();
            header.set_size(file.metadata()?.len());
            header.set_mode(0o600);
            self.tar.append_data(&mut header, name, &mut file)
        });
        added.map_err(BackupError::file("write", self.path))?;
        std::fs::remove_file(&path).map_err(BackupError::file("remove", &path))
    }

    /// Completes the file, durably.
    pub(super) fn finish(self) -> Result<(), BackupError> {
        let finished = self.tar.into_inner().and_then(zstd::Encoder::finish).and_then(|mut file| {
            file.flush()?;
            file.get_ref().sync_all()
        });
        finished.map_err(BackupError::file("write", self.path))
    }
}

/// Extracts an archive into a directory. Refuses names that would lead out of it.
pub(super) fn extract(path: &Path, into: &Path) -> Result<(), BackupError> {
    let read = || BackupError::file("read", path);
    let file = File::open(path).map_err(read())?;
    let decoder = zstd::Decoder::new(BufReader::new(file)).map_err(read())?;
    let mut tar = tar::Archive::new(decoder);
    for entry in tar.entries().map_err(read())? {
        let mut entry = entry.map_err(read())?;
        let name = entry.path().map_err(read())?.into_owned();
        let is_plain = entry.header().entry_type().is_file() && name.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain {
            return Err(BackupError::Damaged { path: path.to_owned(), problem: format!("it contains {}", name.display()) });
        }
        let target = into.join(&name);
        if let Some(parent) = target.parent() {
            create_private(parent).map_err(BackupError::file("create", parent))?;
        }
        super::copy::copy_file(&mut entry, &target)?;
    }
    Ok(())
}
