//! Task that reads the gauges of the whole installation: conservation, backlog, jobs, nodes, bytes.
//!
//! One node at a time reads them, the one that works on the first shard. Each reading costs the store some queries, so the
//! pause after one lasts at least ten times as long as it took.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hookstream_store::{Error, operations::jobs};
use prometheus_client::metrics::{family::Family, gauge::Gauge};
use tokio::time::Instant;

use super::gauges::{InstallationGauges, State};
use crate::core::Core;

/// Interval between readings.
const PERIOD: Duration = Duration::from_secs(15);
/// Interval between looks whether this node reads them.
const PERIOD_ELSEWHERE: Duration = Duration::from_secs(1);
/// Factor: the pause after a reading lasts at least this many times as long.
const REST_FACTOR: u32 = 10;

/// Reads the gauges until the engine stops.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        let begun = Instant::now();
        let rest = if core.works_on_first_shard() {
            if let Err(error) = read(&core).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not read the metrics of the installation; retrying");
            }
            PERIOD.max(begun.elapsed() * REST_FACTOR)
        } else {
            core.instruments.installation.clear();
            PERIOD_ELSEWHERE
        };
        tokio::select! {
            biased;
            () = core.stop.cancelled() => return,
            () = tokio::time::sleep(rest) => {}
        }
    }
}

/// Reads every number once.
pub(crate) async fn read(core: &Core) -> Result<(), Error> {
    let InstallationGauges { unaccounted, pending, jobs, nodes, payload_bytes, store_bytes } = &core.instruments.installation;
    let balance = core.store.pending_balance().await?;
    set(unaccounted, balance.unaccounted);
    set(pending, balance.counted);
    jobs.clear();
    for (status, number) in jobs::count_open(&*core.store).await? {
        jobs.get_or_create(&State { state: status }).set(number);
    }
    let now = core.now();
    let mut by_state = BTreeMap::from([("alive", 0), ("lost", 0)]);
    for node in core.store.nodes().await? {
        let is_lost = node.lapses_at.is_some_and(|at| at <= now);
        *by_state.entry(if is_lost { "lost" } else { "alive" }).or_default() += 1;
    }
    for (state, number) in by_state {
        nodes.get_or_create(&State { state }).set(number);
    }
    let bytes: u64 = core.store.payload_bytes().await?.into_iter().map(|(_, bytes)| bytes).sum();
    set(payload_bytes, i64::try_from(bytes).unwrap_or(i64::MAX));
    let bytes: u64 = core.store.day_sizes().await?.into_iter().map(|(_, bytes)| bytes).sum();
    set(store_bytes, i64::try_from(bytes).unwrap_or(i64::MAX));
    Ok(())
}

fn set(gauge: &Family<[(&'static str, &'static str); 0], Gauge>, value: i64) {
    gauge.get_or_create(&[]).set(value);
}
