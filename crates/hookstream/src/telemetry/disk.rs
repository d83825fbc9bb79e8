//! Space on the disk of the data directory, read when the metrics are asked for.

use std::path::PathBuf;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
    registry::Unit,
};

/// Collector of the space; without a data directory there is nothing to tell.
#[derive(Debug)]
pub(super) struct Disk(pub(super) Option<PathBuf>);

impl Collector for Disk {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(found) = self.0.as_deref().and_then(|directory| rustix::fs::statvfs(directory).ok()) else { return Ok(()) };
        let mut gauge = |name: &str, help: &str, blocks: u64| {
            let bytes = i64::try_from(blocks.saturating_mul(found.f_frsize)).unwrap_or(i64::MAX);
            let metric = ConstGauge::new(bytes);
            metric.encode(encoder.encode_descriptor(name, help, Some(&Unit::Bytes), metric.metric_type())?)
        };
        // Not what is reserved for root.
        gauge("disk_free", "Free space on the disk of the data directory; SQLite only", found.f_bavail)?;
        gauge("disk_total", "Size of the disk of the data directory; SQLite only", found.f_blocks)
    }
}
