//! Server process: its start, its resources and its end.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};

/// Clock ticks a second: 100 on all known Linux systems (`getconf CLK_TCK`).
const TICKS: f64 = 100.0;

/// Time limit for a server to become ready.
const READY: Duration = Duration::from_secs(10);
/// Time limit for a server to stop.
const STOP: Duration = Duration::from_secs(30);
/// API key of a server started here, which lives as long as the run.
const KEY: &str = "hs_test_0000000000000000000000000000000000000000000000000000000000000000";

/// Server under load. One started here is killed on drop.
pub(crate) struct ServerProcess {
    pub(crate) url: String,
    pub(crate) api_key: String,
    pid: Option<u32>,
    child: Option<Child>,
}

/// Returns a command of this program, without the settings in this process's environment.
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
    /// Returns a server that already runs.
    pub(crate) fn running(url: &str, key: &str, pid: Option<u32>) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), api_key: key.to_owned(), pid, child: None }
    }

    /// Starts a server on loopback with these arguments and variables only. Settings in the
    /// environment are for another server.
    pub(crate) async fn start(arguments: &[OsString], variables: &[(OsString, OsString)], stderr: Stdio) -> anyhow::Result<Self> {
        let mut command = program()?;
        command.args(["serve", "--listen", "127.0.0.1:0", "--allow-targets", "127.0.0.0/8,::1/128"]).args(arguments);
        command.env("HOOKSTREAM_LOG", "warn");
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

    /// Returns the CPU time that the server has used so far.
    pub(crate) fn cpu(&self) -> Option<Cpu> {
        Cpu::of(self.pid?)
    }

    /// Returns its current and its maximum memory, in KiB.
    pub(crate) fn memory_kib(&self) -> Option<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid?)).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
        Some((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// Returns the exit status of a server started here, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok()?
    }

    /// Sends a signal, such as `STOP`, to a server started here.
    pub(crate) fn signal(&self, name: &str) -> anyhow::Result<()> {
        signal(self.child.as_ref().context("it is not ours")?, name)
    }

    /// Kills the server, as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.end_hard();
    }

    /// Stops a server started here.
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

/// Sends a signal to a child process. The child is not reaped yet, so its pid is not reused.
pub(crate) fn signal(child: &Child, name: &str) -> anyhow::Result<()> {
    let output = Command::new("kill").args(["-s", name, &child.id().to_string()]).output().context("could not run kill")?;
    anyhow::ensure!(output.status.success(), "kill -s {name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// Returns whether a child process ends within the limit.
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

/// Returns the address in the line that reports readiness.
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
    /// Returns the CPU time of a process so far.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?).map(|ticks| Self { ticks })
    }

    /// Returns the CPU time of a process and its children, running or ended, such as a database server's.
    pub(crate) fn of_family(pid: u32) -> Option<Self> {
        let own = parse_family_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|child| Self::of(child.parse().ok()?));
        Some(Self { ticks: own + children.map(|child| child.ticks).sum::<u64>() })
    }

    /// Returns the sum; `None` if one is unknown.
    pub(crate) fn sum(parts: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        parts.into_iter().try_fold(Self { ticks: 0 }, |sum, part| Some(Self { ticks: sum.ticks + part?.ticks }))
    }

    /// Returns the microseconds since `before`.
    pub(crate) fn micros_since(self, before: Self) -> f64 {
        (self.ticks - before.ticks) as f64 / TICKS * 1e6
    }
}

/// Returns `utime` and `stime` of a line of `/proc/<pid>/stat` (proc(5)): the 14th and 15th field. The second field is
/// the program's name in brackets, which may contain spaces and brackets.
fn parse_stat(line: &str) -> Option<u64> {
    times(line).map(|[user, system, _, _]| user + system)
}

/// Returns the same plus `cutime` and `cstime`, those of ended children.
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
    fn stat_fields_are_counted_from_the_program_name() {
        let line = "42 (odd) name) S 1 42 42 0 -1 4194560 1 2 3 4 250 50 7 8 20 0 1 0 100 1000 10";
        assert_eq!(parse_stat(line), Some(300));
        assert_eq!(parse_family_stat(line), Some(315));
        assert_eq!(parse_stat("42"), None);
        assert!(Cpu::of(std::process::id()).is_some());
    }

    #[test]
    fn address_is_read_from_the_ready_line() {
        let output = "see http://127.0.0.1:1/docs\nhookstream 0.1.0 is ready at http://127.0.0.1:8484 (data in x)\n";
        assert_eq!(address(output.as_bytes()).as_deref(), Some("http://127.0.0.1:8484"));
    }
}
