//! Number of spans, metric points and log records by what became of them: `hookstream_otlp_items_total`.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
    registry::Registry,
};

/// Kind of telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

/// Fate of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The collector took it.
    Exported,
    /// The collector refused it, or could not be reached in time.
    Failed,
    /// The buffer was full.
    Dropped,
}

impl Signal {
    const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Exported, Self::Failed, Self::Dropped];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Exported => "exported",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// Numbers of the process, because the log is one of the process too.
static COUNTS: [[AtomicU64; 3]; 3] = [const { [const { AtomicU64::new(0) }; 3] }; 3];

pub(super) fn add(signal: Signal, outcome: Outcome, items: usize) {
    COUNTS[signal as usize][outcome as usize].fetch_add(u64::try_from(items).unwrap_or(u64::MAX), Ordering::Relaxed);
}

pub(super) fn number(signal: Signal, outcome: Outcome) -> u64 {
    COUNTS[signal as usize][outcome as usize].load(Ordering::Relaxed)
}

/// Adds the numbers to a registry.
pub(crate) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(Counts));
}

#[derive(Debug)]
struct Counts;

impl Collector for Counts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Spans, metric points and log records for the collector of OpenTelemetry";
        let mut family = encoder.encode_descriptor("otlp_items", help, None, MetricType::Counter)?;
        for (signal, outcome) in Signal::ALL.into_iter().flat_map(|signal| Outcome::ALL.map(|outcome| (signal, outcome))) {
            let labels = [("signal", signal.as_str()), ("outcome", outcome.as_str())];
            ConstCounter::new(number(signal, outcome)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
