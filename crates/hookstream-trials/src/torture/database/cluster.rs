//! PostgreSQL clusters of a torture run: on loopback, without passwords, removed at the end.

use std::{
    ffi::OsStr,
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use tokio::time::{Instant, sleep};

use super::psql::{ADMIN, DATABASE, NODE, Psql, output};
use crate::traffic::process::{ended_within, signal};

/// Time limit for the start of a cluster, including its recovery after a crash.
const START: Duration = Duration::from_secs(60);
/// Time limit for a cluster to stop.
const STOP: Duration = Duration::from_secs(30);
/// Debian's directory of the programs, by version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Required programs.
const PROGRAMS: [&str; 5] = ["initdb", "postgres", "pg_isready", "pg_basebackup", "psql"];
/// Settings of a cluster that lives for minutes on a shared machine.
const SETTINGS: [&str; 6] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=100",
    "shared_buffers=32MB",
    "max_wal_size=256MB",
    "wal_keep_size=64MB",
];

/// PostgreSQL's programs, and the user who runs them.
#[derive(Debug)]
pub(crate) struct Programs {
    bin: PathBuf,
    /// User and group that run PostgreSQL in place of root, which it refuses.
    owner: Option<(u32, u32)>,
}

/// Stop mode of a cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stop {
    /// Ends all connections and writes everything (SIGINT).
    Fast,
    /// Ends at once; the next start recovers as after a crash (SIGQUIT).
    Immediate,
}

/// Cluster, stopped on drop.
pub(crate) struct Cluster {
    programs: Arc<Programs>,
    data: PathBuf,
    log: PathBuf,
    port: u16,
    /// `None` while the cluster is stopped.
    process: Option<Child>,
}

impl Programs {
    /// Finds the programs on PATH or in Debian's directory.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let debian = fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path());
        let version = |path: &PathBuf| path.file_name().and_then(OsStr::to_str)?.parse::<u32>().ok();
        let newest = debian.max_by_key(version).map(|version| version.join("bin"));
        // The canonical directory of one program contains all others.
        let bins = std::env::split_paths(&path).chain(newest).filter_map(|bin| bin.join("initdb").canonicalize().ok());
        let mut bins = bins.filter_map(|initdb| initdb.parent().map(Path::to_owned));
        let bin = bins.find(|bin| PROGRAMS.iter().all(|program| bin.join(program).is_file()));
        let bin = bin.with_context(|| format!("{} are not on PATH and not in {DEBIAN}/*/bin; install PostgreSQL", PROGRAMS.join(", ")))?;
        let owner = if is_root() { Some(unprivileged()?) } else { None };
        Ok(Self { bin, owner })
    }

    /// Returns the owner of the data, if it is another user.
    pub(crate) fn owner(&self) -> Option<(u32, u32)> {
        self.owner
    }

    /// Returns a command of a program, run as the owner and without settings of another PostgreSQL.
    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let mut command = match self.owner {
            None => Command::new(program),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", &user.to_string(), "--regid", &group.to_string(), "--clear-groups", "--"]).arg(program);
                command
            }
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command.current_dir("/").stdin(Stdio::null());
        command
    }

    /// Creates an empty directory of the owner, and makes it reachable.
    fn make_directory(&self, path: &Path) -> anyhow::Result<()> {
        let failed = || format!("could not make {}", path.display());
        // PostgreSQL requires this mode.
        fs::DirBuilder::new().mode(0o700).create(path).with_context(failed)?;
        if let Some((user, group)) = self.owner {
            chown(path, Some(user), Some(group)).with_context(failed)?;
            for above in
                path.ancestors().skip(1).take_while(|above| above.metadata().is_ok_and(|data| data.permissions().mode() & 0o001 == 0))
            {
                fs::set_permissions(above, fs::Permissions::from_mode(0o711)).with_context(failed)?;
            }
        }
        Ok(())
    }
}

impl Cluster {
    /// Creates an empty cluster and starts it.
    pub(crate) async fn create(programs: &Arc<Programs>, directory: &Path, name: &str) -> anyhow::Result<Self> {
        let mut cluster = Self::at(programs, directory, name)?;
        let mut initdb = programs.command("initdb");
        initdb.args(["--username", ADMIN, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--pgdata"]);
        initdb.arg(&cluster.data);
        output(initdb).await.context("could not make a cluster")?;
        cluster.start().await?;
        Ok(cluster)
    }

    /// Creates a replica of a cluster; the primary then commits only with the replica.
    pub(crate) async fn replica_of(primary: &Self, directory: &Path, name: &str) -> anyhow::Result<Self> {
        let mut replica = Self::at(&primary.programs, directory, name)?;
        replica.follow(primary).await?;
        Ok(replica)
    }

    /// Restarts this cluster as a replica of another, at the same port, and removes the former data.
    pub(crate) async fn become_replica_of(&mut self, primary: &Self, directory: &Path, name: &str) -> anyhow::Result<()> {
        let former = std::mem::replace(&mut self.data, directory.join(name));
        fs::remove_dir_all(&former).with_context(|| format!("could not remove {}", former.display()))?;
        self.programs.make_directory(&self.data)?;
        self.follow(primary).await
    }

    /// Starts the cluster, and returns when it accepts connections.
    pub(crate) async fn start(&mut self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log).context("could not open the log of a cluster")?;
        let mut command = self.programs.command("postgres");
        command.arg("-D").arg(&self.data).args(["-p", &self.port.to_string()]);
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        command.stdout(log.try_clone()?).stderr(log);
        self.process = Some(command.spawn().context("could not start a cluster")?);
        let end = Instant::now() + START;
        loop {
            let mut ready = self.programs.command("pg_isready");
            ready.args(["--quiet", "--host", "127.0.0.1", "--port", &self.port.to_string()]);
            if output(ready).await.is_ok() {
                return Ok(());
            }
            let ended = self.process.as_mut().is_none_or(|process| process.try_wait().is_ok_and(|status| status.is_some()));
            anyhow::ensure!(!ended && Instant::now() < end, "a cluster did not start; its log is {}", self.log.display());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops the cluster, and returns when it has ended.
    pub(crate) async fn stop(&mut self, mode: Stop) -> anyhow::Result<()> {
        let process = self.process.as_mut().context("the cluster runs")?;
        signal(process, mode.signal())?;
        anyhow::ensure!(ended_within(process, STOP).await, "a cluster did not stop; its log is {}", self.log.display());
        self.process = None;
        Ok(())
    }

    /// Returns access by SQL to the nodes' database.
    pub(crate) fn psql(&self) -> Psql {
        let url = |role: &str| format!("postgres://{role}@127.0.0.1:{}/{DATABASE}", self.port);
        Psql::new(self.programs.bin.join("psql"), &url(ADMIN), &url(NODE))
    }

    /// Returns the nodes' URL of two clusters, of which one accepts writes.
    pub(crate) fn url_of_both(one: &Self, other: &Self) -> String {
        format!("postgres://{NODE}@127.0.0.1:{},127.0.0.1:{}/{DATABASE}?target_session_attrs=read-write", one.port, other.port)
    }

    fn at(programs: &Arc<Programs>, directory: &Path, name: &str) -> anyhow::Result<Self> {
        let data = directory.join(name);
        programs.make_directory(&data)?;
        let log = directory.join(format!("{name}.log"));
        Ok(Self { programs: Arc::clone(programs), data, log, port: free_port()?, process: None })
    }

    async fn follow(&mut self, primary: &Self) -> anyhow::Result<()> {
        let mut backup = self.programs.command("pg_basebackup");
        backup.args(["--host", "127.0.0.1", "--port", &primary.port.to_string(), "--username", ADMIN]);
        backup.args(["--wal-method", "stream", "--checkpoint", "fast", "--write-recovery-conf", "--no-sync", "--pgdata"]).arg(&self.data);
        output(backup).await.context("could not copy the primary")?;
        self.start().await?;
        // After the copy, so that the copy does not wait for its own replica once promoted.
        primary.psql().wait_for_replica().await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            if process.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            // PostgreSQL ends its own processes within 5 s.
            if signal(&process, Stop::Immediate.signal()).is_err() {
                let _ = process.kill();
            }
            let _ = process.wait();
        }
    }
}

impl Stop {
    fn signal(self) -> &'static str {
        match self {
            Self::Fast => "INT",
            Self::Immediate => "QUIT",
        }
    }
}

/// Returns whether this process runs as root; works on Linux only.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Returns the user and group that replace root.
fn unprivileged() -> anyhow::Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").context("could not read /etc/passwd")?;
    let find = |name: &str| users.lines().find_map(|line| ids_of(line, name));
    find("postgres").or_else(|| find("nobody")).context("there is no user postgres or nobody to run PostgreSQL as")
}

/// Returns user and group of a line of `/etc/passwd` (passwd(5)), if it is this user's.
fn ids_of(line: &str, name: &str) -> Option<(u32, u32)> {
    let mut fields = line.strip_prefix(name)?.strip_prefix(':')?.split(':').skip(1);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Returns a free port of loopback.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("could not find a free port")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_only_for_the_exact_user() {
        assert_eq!(ids_of("postgres:x:101:104:a:/b:/c", "postgres"), Some((101, 104)));
        assert_eq!(ids_of("postgres2:x:101:104:a:/b:/c", "postgres"), None);
        assert_eq!(ids_of("postgres:x:y", "postgres"), None);
    }
}
