//! Numbers of the process, under the names that all Prometheus clients use.

use std::fs;

use hookstream_cli::clock::SystemClock;
use hookstream_model::base::time::{Clock, Timestamp};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// Collector of the process's numbers; it reads `/proc` when it is asked.
#[derive(Debug)]
pub(super) struct Process {
    started: Timestamp,
}

impl Default for Process {
    fn default() -> Self {
        Self { started: SystemClock.now() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: Option<f64>| {
            let Some(value) = value else { return Ok(()) };
            let metric = ConstGauge::new(value);
            metric.encode(encoder.encode_descriptor(name, help, unit, metric.metric_type())?)
        };
        let started = as_f64(u64::try_from(self.started.as_millis()).unwrap_or(0)) / 1_000.0;
        gauge("process_start_time", "Start of the process since 1970", Some(&Unit::Seconds), Some(started))?;
        gauge("process_resident_memory", "Resident memory", Some(&Unit::Bytes), resident_bytes())?;
        gauge("process_open_fds", "Open file descriptors", None, open_files())?;
        gauge("process_max_fds", "Limit of open file descriptors", None, rlimit::Resource::NOFILE.get_soft().ok().map(as_f64))?;
        gauge("process_threads", "Threads", None, status("Threads:"))?;
        if let Some(seconds) = cpu_seconds() {
            let metric = ConstCounter::new(seconds);
            metric.encode(encoder.encode_descriptor(
                "process_cpu",
                "User and system CPU time",
                Some(&Unit::Seconds),
                metric.metric_type(),
            )?)?;
        }
        Ok(())
    }
}

/// Returns the resident memory, which `/proc/self/status` has in KiB.
fn resident_bytes() -> Option<f64> {
    status("VmRSS:").map(|kib| kib * 1_024.0)
}

/// Returns a number of `/proc/self/status`; `None` where there is no such file.
fn status(name: &str) -> Option<f64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open_files() -> Option<f64> {
    // Without the descriptor that reads the folder.
    fs::read_dir("/proc/self/fd").ok().map(|files| as_f64(u64::try_from(files.count()).unwrap_or(0).saturating_sub(1)))
}

/// Returns the CPU time, which `/proc/self/stat` has in hundredths of a second: the 12th and 13th number behind the name.
fn cpu_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let mut numbers = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    Some(as_f64(user + system) / 100.0)
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
const fn as_f64(number: u64) -> f64 {
    number as f64
}
