//! The server's process: starting it, what it costs, ending it, well or badly.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};

/// Ticks a second: 100 on every Linux that we know (`getconf CLK_TCK`).
const TICKS: f64 = 100.0;

/// How long a server may take to be ready.
const READY: Duration = Duration::from_secs(10);
/// How long it may take to stop.
const STOP: Duration = Duration::from_secs(30);
/// The key of a server of our own, which lives as long as the run.
const KEY: &str = "hs_test_0000000000000000000000000000000000000000000000000000000000000000";

/// A server under load. One of our own is killed when this is dropped.
pub(crate) struct ServerProcess {
    pub(crate) url: String,
    pub(crate) api_key: String,
    pid: Option<u32>,
    child: Option<Child>,
}

/// This program, for another process of it, without the settings in this process's environment.
///
/// # Errors
/// If the path of this program is unknown.
pub(crate) fn program() -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("could not find this program")?);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HOOKSTREAM_")) {
        command.env_remove(name);
    }
    Ok(command)
}

impl ServerProcess {
    /// A server that runs already.
    pub(crate) fn running(url: &str, key: &str, pid: Option<u32>) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), api_key: key.to_owned(), pid, child: None }
    }

    /// Starts a server of our own on loopback, with these arguments and variables besides. It has no setting but
    /// those: what stands in the environment is meant for another server.
    pub(crate) async fn start(arguments: &[OsString], variables: &[(OsString, OsString)], stderr: Stdio) -> anyhow::Result<Self> {
        let mut command = program()?;
        command.args(["serve", "--listen", "127.0.0.1:0", "--allow-targets", "127.0.0.0/8,::1/128", "--log", "warn"]).args(arguments);
        command.envs(variables.iter().cloned());
        command.env("HOOKSTREAM_BOOTSTRAP_API_KEY", KEY).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().context("could not start a server")?;
        let stdout = child.stdout.take().context("its output is piped")?;
        let pid = child.id();
        let mut server = Self { url: String::new(), api_key: KEY.to_owned(), pid: Some(pid), child: Some(child) };
        let reading = tokio::task::spawn_blocking(move || address(stdout));
        match tokio::time::timeout(READY, reading).await {
            Ok(Ok(Some(url))) => {
                server.url = url;
                Ok(server)
            }
            Ok(Ok(None) | Err(_)) => bail!("the server ended before it was ready"),
            Err(_) => bail!("the server did not say that it is ready within {} s", READY.as_secs()),
        }
    }

    /// The CPU that the server has used so far.
    pub(crate) fn cpu(&self) -> Option<Cpu> {
        Cpu::of(self.pid?)
    }

    /// What it has in memory now and has had at the most, in KiB.
    pub(crate) fn memory_kib(&self) -> Option<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid?)).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
        Some((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// How it ended, where it is our own and did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok()?
    }

    /// Sends a signal, such as `STOP`, to a server of our own.
    pub(crate) fn signal(&self, name: &str) -> anyhow::Result<()> {
        signal(self.child.as_ref().context("it is not ours")?, name)
    }

    /// As `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.end_hard();
    }

    /// Ends a server of our own.
    pub(crate) async fn stop(mut self) {
        let Some(child) = &mut self.child else { return };
        if signal(child, "TERM").is_ok() && ended_within(child, STOP).await {
            self.child = None;
        }
        self.end_hard();
    }

    fn end_hard(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a signal to a process of ours. It is not waited for yet, so its number is nobody else's.
pub(crate) fn signal(child: &Child, name: &str) -> anyhow::Result<()> {
    let output = Command::new("kill").args(["-s", name, &child.id().to_string()]).output().context("could not run kill")?;
    anyhow::ensure!(output.status.success(), "kill -s {name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// Whether a process of ours ends within so long.
pub(crate) async fn ended_within(child: &mut Child, limit: Duration) -> bool {
    let end = tokio::time::Instant::now() + limit;
    loop {
        if child.try_wait().is_ok_and(|status| status.is_some()) {
            return true;
        }
        if tokio::time::Instant::now() >= end {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.end_hard();
    }
}

/// The address in the line that says that the server is ready.
fn address(stdout: impl std::io::Read) -> Option<String> {
    let lines = BufReader::new(stdout).lines().map_while(Result::ok);
    lines
        .filter(|line| line.contains("ready"))
        .find_map(|line| line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned))
}

/// CPU time of a process, user and system together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    ticks: u64,
}

impl Cpu {
    /// What a process has used so far.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?).map(|ticks| Self { ticks })
    }

    /// What a process, its children and those it has outlived have used so far: a database server's.
    pub(crate) fn of_family(pid: u32) -> Option<Self> {
        let own = parse_family_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|child| Self::of(child.parse().ok()?));
        Some(Self { ticks: own + children.map(|child| child.ticks).sum::<u64>() })
    }

    /// Of all of them together; `None` where one is not known.
    pub(crate) fn sum(parts: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        parts.into_iter().try_fold(Self { ticks: 0 }, |sum, part| Some(Self { ticks: sum.ticks + part?.ticks }))
    }

    /// Microseconds since `before`.
    pub(crate) fn micros_since(self, before: Self) -> f64 {
        (self.ticks - before.ticks) as f64 / TICKS * 1e6
    }
}

/// `utime` and `stime` of a line of `/proc/<pid>/stat` (proc(5)): the 14th and 15th field. The second
/// is the program's name in brackets, which may have spaces and brackets.
fn parse_stat(line: &str) -> Option<u64> {
    times(line).map(|[user, system, _, _]| user + system)
}

/// The same with `cutime` and `cstime`, those of children that ended.
fn parse_family_stat(line: &str) -> Option<u64> {
    times(line).map(|times| times.iter().sum())
}

fn times(line: &str) -> Option<[u64; 4]> {
    let rest = &line[line.rfind(')')? + 1..];
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some([next()?, next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_stat_are_counted_from_the_programs_name() {
        let line = "42 (odd) name) S 1 42 42 0 -1 4194560 1 2 3 4 250 50 7 8 20 0 1 0 100 1000 10";
        assert_eq!(parse_stat(line), Some(300));
        assert_eq!(parse_family_stat(line), Some(315));
        assert_eq!(parse_stat("42"), None);
        assert!(Cpu::of(std::process::id()).is_some());
    }

    #[test]
    fn the_address_is_read_from_the_line_that_says_ready() {
        let output = "see http://127.0.0.1:1/docs\nhookstream 0.1.0 is ready at http://127.0.0.1:8484 (data in x)\n";
        assert_eq!(address(output.as_bytes()).as_deref(), Some("http://127.0.0.1:8484"));
    }
}
