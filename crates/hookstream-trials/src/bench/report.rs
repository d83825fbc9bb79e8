//! Report of a run.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::{
    Fleet,
    load::Begun,
    run::{Counted, Run},
};
use crate::traffic::process::Cpu;

/// Figures of a run. Rates and times cover the messages after the warm-up; the rest covers the whole run.
pub(super) struct Report {
    pub(super) lost: u64,
    /// Whether signatures were verified.
    pub(super) verifies: bool,
    accepted: u64,
    refused: u64,
    duplicates: u64,
    unverified: u64,
    accepted_per_second: f64,
    delivered_per_second: f64,
    response_ms: Percentiles,
    arrival_ms: Percentiles,
    /// Microseconds of CPU per message: servers, benchmark, database.
    cpu_us: [Option<f64>; 3],
    memory_mib: Option<(f64, f64)>,
}

/// p50, p99, p99.9 and the maximum.
pub(super) type Percentiles = [f64; 4];

impl Report {
    pub(super) fn new(run: &Run, begun: &Begun, fleet: &Fleet) -> Self {
        let Counted { responses, arrivals, last_arrival } = run.counted(begun.counted_from);
        let seconds = |until: u64| until.saturating_sub(begun.counted_from).max(1) as f64 / 1e6;
        let accepted = run.accepted();
        let per_message = |before: Option<Cpu>, now: Option<Cpu>| Some(now?.micros_since(before?) / accepted.max(1) as f64);
        Self {
            lost: run.lost(),
            verifies: false,
            accepted,
            refused: run.refused(),
            duplicates: run.duplicates.load(Ordering::Relaxed),
            unverified: run.unverified.load(Ordering::Relaxed),
            accepted_per_second: responses.len() as f64 / seconds(begun.sent_until),
            delivered_per_second: arrivals.len() as f64 / seconds(last_arrival.max(begun.sent_until)),
            response_ms: percentiles(&responses),
            arrival_ms: percentiles(&arrivals),
            cpu_us: [0, 1, 2].map(|part: usize| per_message(begun.cpu[part], fleet.cpu()[part])),
            memory_mib: fleet.memory_kib().map(|(now, most)| (now as f64 / 1024.0, most as f64 / 1024.0)),
        }
    }

    pub(super) fn as_text(&self) -> String {
        let times = |[p50, p99, p999, max]: Percentiles| format!("p50 {p50:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2}");
        let optional = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.1}"));
        let memory = self.memory_mib.map_or_else(|| "unknown".to_owned(), |(now, most)| format!("{now:.1} (maximum {most:.1})"));
        [
            ("accepted", format!("{} including the warm-up ({:.0}/s after it)", self.accepted, self.accepted_per_second)),
            ("delivered", format!("{:.0}/s", self.delivered_per_second)),
            ("refused", self.refused.to_string()),
            ("lost", self.lost.to_string()),
            ("duplicates", self.duplicates.to_string()),
            ("invalid signatures", if self.verifies { self.unverified.to_string() } else { "not checked (--verify)".to_owned() }),
            ("response, ms", times(self.response_ms)),
            ("send to arrival, ms", times(self.arrival_ms)),
            ("server CPU, µs/message", optional(self.cpu_us[0])),
            ("bench CPU, µs/message", optional(self.cpu_us[1])),
            ("database CPU, µs/message", optional(self.cpu_us[2])),
            ("server memory, MiB", memory),
        ]
        .map(|(name, value)| format!("{name:<26}{value}"))
        .join("\n")
    }

    pub(super) fn as_json(&self) -> Value {
        let times = |[p50, p99, p999, max]: Percentiles| json!({ "p50": p50, "p99": p99, "p99_9": p999, "max": max });
        json!({
            "accepted": self.accepted,
            "refused": self.refused,
            "lost": self.lost,
            "duplicates": self.duplicates,
            "unverified": self.unverified,
            "accepted_per_second": self.accepted_per_second,
            "delivered_per_second": self.delivered_per_second,
            "response_ms": times(self.response_ms),
            "arrival_ms": times(self.arrival_ms),
            "server_cpu_us_per_message": self.cpu_us[0],
            "bench_cpu_us_per_message": self.cpu_us[1],
            "database_cpu_us_per_message": self.cpu_us[2],
            "server_rss_mib": self.memory_mib.map(|(now, _)| now),
            "server_rss_most_mib": self.memory_mib.map(|(_, most)| most),
        })
    }
}

/// Returns percentiles of sorted microseconds, in milliseconds.
pub(super) fn percentiles(sorted: &[u32]) -> Percentiles {
    [500, 990, 999, 1_000].map(|per_mille| {
        let rank = (sorted.len() * per_mille).div_ceil(1_000);
        sorted.get(rank.max(1) - 1).map_or(0.0, |micros| f64::from(*micros) / 1_000.0)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn percentiles_use_the_nearest_rank() {
        let sorted: Vec<u32> = (1..=1_000).map(|n| n * 1_000).collect();
        assert_eq!(super::percentiles(&sorted), [500.0, 990.0, 999.0, 1_000.0]);
        assert_eq!(super::percentiles(&[]), [0.0; 4]);
    }
}
