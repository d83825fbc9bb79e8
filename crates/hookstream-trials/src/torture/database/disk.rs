//! A small disk that can be filled: a file system in memory, which only root may mount.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context;

use super::cluster::is_root;

/// What takes the room.
const BALLAST: &str = "ballast";

/// A mounted disk. It is unmounted when this is dropped.
pub(crate) struct SmallDisk {
    path: PathBuf,
    data: PathBuf,
}

impl SmallDisk {
    /// Why there cannot be one on this machine, where there cannot.
    pub(crate) fn prevented() -> Option<String> {
        if !is_root() {
            return Some("mounting a small disk needs root".to_owned());
        }
        let trial =
            tempfile::tempdir().map_err(anyhow::Error::from).and_then(|directory| Self::mount(&directory.path().join("disk"), 1, None));
        trial.err().map(|error| format!("{error:#}"))
    }

    /// Mounts one of so many MiB that belongs to a user and group.
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

    /// An empty directory on it.
    pub(crate) fn room(&self) -> &Path {
        &self.data
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) -> anyhow::Result<()> {
        let mut ballast = File::create(self.path.join(BALLAST)).context("could not make the ballast")?;
        // Smaller and smaller, so that not a page is left.
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

    /// Gives the room back.
    pub(crate) fn make_room(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.path.join(BALLAST))?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, since a process that is about to end may still have a file there.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).stdin(Stdio::null()).stderr(Stdio::null()).status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_is_full_until_there_is_room() {
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
