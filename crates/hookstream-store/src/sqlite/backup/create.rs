//! Creation of a backup: in a directory of backups, where unchanged files are shared with the previous one, or as one
//! compressed archive.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use hookstream_model::base::time::Timestamp;
use rusqlite::Connection;
use tokio::sync::oneshot;

pub use super::copy::Pace;
use super::{
    BackupError,
    archive::Writer,
    copy::{Sum, copy_file, copy_snapshot},
    cut::{CORE, Cut, Source},
    kept::{self, PARTIAL},
    manifest::{self, FORMAT, FileEntry, KeyState, Manifest, SchemaVersions},
    verify::{check_database, schema_of},
};
use crate::sqlite::db::directory::{create_private, private, sync_directory};

/// How much less than usual the system prefers the thread of a backup.
const NICE: i32 = 10;
/// File of the key that an installation generates.
pub(super) const KEY: &str = "encryption.key";
/// Ids of the keys that secrets in `core.db` are encrypted with.
const KEY_IDS: &str = "select substr(name, 16) from settings where name >= 'encryption_key.' and name < 'encryption_key/' order by name";

/// Target of a backup.
#[derive(Debug, Clone)]
pub enum Target {
    /// Directory of backups; each is a directory named by its time.
    Directory(PathBuf),
    /// New file `….tar.zst`.
    Archive(PathBuf),
}

/// Options of a backup.
#[derive(Debug, Clone)]
pub struct Options {
    /// Target.
    pub target: Target,
    /// Whether to include the file `encryption.key`.
    pub include_key: bool,
    /// Whether to open and check each written file.
    pub verify: bool,
    /// Speed.
    pub pace: Pace,
    /// Version of the program.
    pub program: String,
    /// Time of the cut.
    pub now: Timestamp,
}

/// Backup that was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// Directory or archive.
    pub path: PathBuf,
    /// Manifest of the backup.
    pub manifest: Manifest,
}

/// Makes a backup of a cut. It appears under its name only when it is complete and durable.
///
/// # Errors
/// The backup cannot be made, or `stop` became true; nothing of it is kept.
pub fn create(cut: Cut, options: &Options, stop: &AtomicBool) -> Result<Made, BackupError> {
    let begun = Instant::now();
    match &options.target {
        Target::Directory(directory) => into_directory(cut, directory, options, begun, stop),
        Target::Archive(path) => into_archive(cut, path, options, begun, stop),
    }
}

/// Makes a backup on a thread of its own, which the system prefers less than others, and then removes backups older than
/// `keep` from its directory. Returns the backup with the names of the removed ones.
///
/// # Errors
/// As [`create`].
pub async fn create_beside(
    cut: Cut,
    options: Options,
    keep: Option<Duration>,
    stop: Arc<AtomicBool>,
) -> Result<(Made, Vec<String>), BackupError> {
    let (reply, made) = oneshot::channel();
    let work = move || {
        // Without this, the backup only takes a little more from the server.
        let _ = rustix::process::nice(NICE);
        let made = create(cut, &options, &stop).and_then(|made| {
            let removed = match (&options.target, keep) {
                (Target::Directory(directory), Some(keep)) => kept::prune(directory, keep, options.now)?,
                (Target::Directory(_) | Target::Archive(_), _) => Vec::new(),
            };
            Ok((made, removed))
        });
        let _ = reply.send(made);
    };
    let thread = std::thread::Builder::new().name("store-backup".to_owned()).spawn(work);
    thread.map_err(|cause| BackupError::Refused(format!("could not start a thread: {cause}")))?;
    made.await.unwrap_or(Err(BackupError::Stopped))
}

fn into_directory(cut: Cut, directory: &Path, options: &Options, begun: Instant, stop: &AtomicBool) -> Result<Made, BackupError> {
    refuse_inside(directory, &cut.directory)?;
    create_private(directory).map_err(BackupError::file("create", directory))?;
    let _lock = kept::lock(directory)?;
    kept::remove_partial(directory)?;
    let name = kept::name_of(options.now);
    let (path, partial) = (directory.join(&name), directory.join(format!("{PARTIAL}{name}")));
    if path.exists() {
        return Err(BackupError::Refused(format!("{} exists already: try again in a second", path.display())));
    }
    let previous = kept::newest(directory)?;
    let made = (|| {
        create_private(&partial).map_err(BackupError::file("create", &partial))?;
        create_private(&partial.join("days")).map_err(BackupError::file("create", &partial))?;
        let (mut work, data_directory) = (Work::new(options, stop), cut.directory.clone());
        for source in cut.sources {
            work.add(&source, &partial, previous.as_ref())?;
        }
        if options.include_key {
            work.add_key(&data_directory, &partial)?;
        }
        let manifest = work.finish(begun);
        write_manifest(&manifest, &partial)?;
        for directory in [&partial.join("days"), &partial] {
            sync_directory(directory).map_err(BackupError::file("sync", directory))?;
        }
        std::fs::rename(&partial, &path).map_err(BackupError::file("create", &path))?;
        sync_directory(directory).map_err(BackupError::file("sync", directory))?;
        Ok(Made { path: path.clone(), manifest })
    })();
    if made.is_err() {
        let _ = std::fs::remove_dir_all(&partial);
    }
    made
}

fn into_archive(cut: Cut, path: &Path, options: &Options, begun: Instant, stop: &AtomicBool) -> Result<Made, BackupError> {
    refuse_inside(path, &cut.directory)?;
    if path.exists() {
        return Err(BackupError::Refused(format!("{} exists already: name another file, or remove it", path.display())));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (partial, staged) = (path.with_file_name(format!("{PARTIAL}{name}")), path.with_file_name(format!("{PARTIAL}{name}.files")));
    let made = (|| {
        for directory in [&staged, &staged.join("days")] {
            create_private(directory).map_err(BackupError::file("create", directory))?;
        }
        let mut writer = Writer::create(&partial)?;
        let (mut work, data_directory) = (Work::new(options, stop), cut.directory.clone());
        // One file at a time, so that the disk needs room for the largest only.
        for source in cut.sources {
            work.add(&source, &staged, None)?;
            writer.add(&staged, &source.path)?;
        }
        if options.include_key {
            work.add_key(&data_directory, &staged)?;
            writer.add(&staged, KEY)?;
        }
        let manifest = work.finish(begun);
        write_manifest(&manifest, &staged)?;
        writer.add(&staged, manifest::NAME)?;
        writer.finish()?;
        std::fs::rename(&partial, path).map_err(BackupError::file("create", path))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_directory(parent).map_err(BackupError::file("sync", parent))?;
        Ok(Made { path: path.to_owned(), manifest })
    })();
    let _ = std::fs::remove_dir_all(&staged);
    if made.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    made
}

/// Refuses a target in the data directory: it would be lost together with the data.
fn refuse_inside(target: &Path, data_directory: &Path) -> Result<(), BackupError> {
    let real = |path: &Path| {
        let existing = path.ancestors().find(|path| path.exists()).filter(|path| !path.as_os_str().is_empty());
        std::fs::canonicalize(existing.unwrap_or(Path::new(".")))
    };
    match (real(target), real(data_directory)) {
        (Ok(target), Ok(data)) if target.starts_with(&data) => Err(BackupError::Refused(format!(
            "{} is in the data directory, and would be lost with it: name a place outside, best on another disk",
            target.display()
        ))),
        _ => Ok(()),
    }
}

/// Backup under way.
struct Work<'a> {
    options: &'a Options,
    stop: &'a AtomicBool,
    files: Vec<FileEntry>,
    schema: SchemaVersions,
    key_ids: Vec<String>,
    has_key: bool,
}

impl<'a> Work<'a> {
    fn new(options: &'a Options, stop: &'a AtomicBool) -> Self {
        Self { options, stop, files: Vec::new(), schema: SchemaVersions { core: 0, day: 0 }, key_ids: Vec::new(), has_key: false }
    }

    /// Copies one file, or links it to the previous backup if it has not changed since.
    fn add(&mut self, source: &Source, into: &Path, previous: Option<&(PathBuf, Manifest)>) -> Result<(), BackupError> {
        let target = into.join(&source.path);
        let earlier = previous.and_then(|(path, manifest)| Some((path.join(&source.path), manifest.file(&source.path)?)));
        let is_same = |entry: &FileEntry| entry.source.as_ref().is_some_and(|earlier| source.fingerprint.is_unchanged_since(earlier));
        let mut linked = earlier.as_ref().is_some_and(|(path, entry)| is_same(entry) && link(path, &target, entry.bytes));
        let sum = match &earlier {
            Some((_, entry)) if linked => Sum { bytes: entry.bytes, sha256: entry.sha256.clone() },
            _ => {
                let sum = copy_snapshot(&source.connection, &target, self.options.pace, self.stop)?;
                if let Some((path, entry)) = earlier.filter(|(_, entry)| entry.sha256 == sum.sha256) {
                    linked = replace_by_link(&path, &target, entry.bytes)?;
                }
                if self.options.verify && !linked {
                    check_database(&target, self.options.pace)?;
                }
                sum
            }
        };
        self.note_schema(source, &target)?;
        let Sum { bytes, sha256 } = sum;
        self.files.push(FileEntry { path: source.path.clone(), bytes, sha256, linked, source: Some(source.fingerprint.clone()) });
        Ok(())
    }

    fn note_schema(&mut self, source: &Source, target: &Path) -> Result<(), BackupError> {
        let version = schema_of(target)?;
        if source.path == CORE {
            self.schema.core = version;
            self.key_ids = key_ids(&source.connection).map_err(BackupError::database("read", target))?;
        } else {
            self.schema.day = self.schema.day.max(version);
        }
        Ok(())
    }

    /// Copies the key of the data directory.
    fn add_key(&mut self, data_directory: &Path, into: &Path) -> Result<(), BackupError> {
        let path = data_directory.join(KEY);
        let mut key = File::open(&path).map_err(|cause| {
            BackupError::Refused(format!(
                "could not read {}: {cause}. --include-key takes the key that an installation generates; a key of the settings \
                 (encryption_key, encryption_key_file) is not in the data directory: back it up by itself",
                path.display()
            ))
        })?;
        let Sum { bytes, sha256 } = copy_file(&mut key, &into.join(KEY))?;
        self.has_key = true;
        self.files.push(FileEntry { path: KEY.to_owned(), bytes, sha256, linked: false, source: None });
        Ok(())
    }

    fn finish(mut self, begun: Instant) -> Manifest {
        self.files.sort_by(|one, other| one.path.cmp(&other.path));
        Manifest {
            format: FORMAT,
            hookstream: self.options.program.clone(),
            created_at: self.options.now.to_string(),
            took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            schema: self.schema,
            encryption_key: KeyState { included: self.has_key, ids: self.key_ids },
            verified: self.options.verify,
            files: self.files,
        }
    }
}

fn key_ids(core: &Connection) -> rusqlite::Result<Vec<String>> {
    core.prepare(KEY_IDS)?.query_map([], |row| row.get(0))?.collect()
}

/// Links a file of the previous backup, if it is there in its size and the file system can.
fn link(from: &Path, to: &Path, bytes: u64) -> bool {
    std::fs::metadata(from).is_ok_and(|about| about.len() == bytes) && std::fs::hard_link(from, to).is_ok()
}

/// Replaces a copy by a link to the same content. Returns false if that is not possible, and keeps the copy.
fn replace_by_link(from: &Path, to: &Path, bytes: u64) -> Result<bool, BackupError> {
    let linked = to.with_extension("link");
    if !link(from, &linked, bytes) {
        return Ok(false);
    }
    std::fs::rename(&linked, to).map_err(BackupError::file("replace", to))?;
    Ok(true)
}

fn write_manifest(manifest: &Manifest, directory: &Path) -> Result<(), BackupError> {
    let path = directory.join(manifest::NAME);
    let text = serde_json::to_vec_pretty(manifest).map_err(|error| BackupError::file("write", &path)(error.into()))?;
    let file = private().create_new(true).open(&path);
    let written = file.and_then(|mut file| {
        std::io::Write::write_all(&mut file, &text)?;
        file.sync_all()
    });
    written.map_err(BackupError::file("write", &path))
}
