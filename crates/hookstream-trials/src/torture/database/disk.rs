//! Small disk that can be filled: a file system in memory, which only root may mount.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context;

use super::cluster::is_root;

/// File that fills the disk.
const BALLAST: &str = "ballast";

/// Mounted disk, unmounted on drop.
pub(crate) struct SmallDisk {
    path: PathBuf,
    data: PathBuf,
}

impl SmallDisk {
    /// Returns the reason if this machine does not allow a small disk.
    pub(crate) fn prevented() -> Option<String> {
        if !is_root() {
            return Some("mounting a small disk needs root".to_owned());
        }
        let trial =
            tempfile::tempdir().map_err(anyhow::Error::from).and_then(|directory| Self::mount(&directory.path().join("disk"), 1, None));
        trial.err().map(|error| format!("{error:#}"))
    }

    /// Mounts a disk of this size that belongs to a user and group.
    pub(crate) fn mount(path: &Path, mib: u32, owner: Option<(u32, u32)>) -> anyhow::Result<Self> {
        fs::create_dir(path).with_context(|| format!("could not make {}", path.display()))?;
        let (user, group) = owner.unwrap_or_default();
        let options = format!("size={mib}m,mode=0755,uid={user},gid={group}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "hookstream-torture"]).arg(path);
        let output = mount.stdin(Stdio::null()).output().context("could not run mount")?;
        anyhow::ensure!(output.status.success(), "could not mount a small disk: {}", String::from_utf8_lossy(&output.stderr).trim());
        let disk = Self { path: path.to_owned(), data: path.join("data") };
        fs::create_dir(&disk.data)?;
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(&disk.data, Some(user), Some(group))?;
        }
        Ok(disk)
    }

    /// Returns an empty directory on the disk.
    pub(crate) fn room(&self) -> &Path {
        &self.data
    }

    /// Fills the disk.
    pub(crate) fn fill(&self) -> anyhow::Result<()> {
        let mut ballast = File::create(self.path.join(BALLAST)).context("could not make the ballast")?;
        // In smaller and smaller chunks, so that no page is left.
        for size in [1024 * 1024, 4096] {
            let chunk = vec![0xA5; size];
            loop {
                match ballast.write(&chunk) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).context("could not write the ballast"),
                }
            }
        }
        Ok(())
    }

    /// Frees the room again.
    pub(crate) fn make_room(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.path.join(BALLAST))?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a process that is about to end may still have a file open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).stdin(Stdio::null()).stderr(Stdio::null()).status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_disk_is_full_until_room_is_made() {
        if SmallDisk::prevented().is_some() {
            return;
        }
        let directory = tempfile::tempdir().expect("a scratch directory");
        let disk = SmallDisk::mount(&directory.path().join("disk"), 4, None).expect("mounted");
        let write = || fs::write(disk.room().join("file"), [0; 8192]);
        disk.fill().expect("filled");
        assert_eq!(write().expect_err("full").kind(), ErrorKind::StorageFull);
        disk.make_room().expect("room");
        write().expect("written");
    }
}
