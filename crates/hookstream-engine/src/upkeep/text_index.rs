//! Index of the words of messages: follows new messages at a distance, one node at a time, beside the hot path.

use std::{sync::Arc, time::Duration};

use hookstream_model::{base::ids::MessageId, delivery::queue::Shard};
use hookstream_store::{Error, delivery::text_index::IndexSlice};
use tokio::time::Instant;

use crate::{core::Core, upkeep::process_load::ProcessLoad};

/// Interval between looks for new messages.
const PERIOD: Duration = Duration::from_secs(2);
/// Age from which messages are indexed. The id of a message is older than its commit; a message that is committed later
/// than this is found by its id and type only.
const DISTANCE: Duration = Duration::from_secs(10);
/// Maximum number of messages in one commit: some 50 ms of work.
const SLICE: usize = 500;
/// Factor: the pause after a slice lasts this many times as long as the work, so that indexing takes at most a third of a
/// processor.
const REST_FACTOR: u32 = 2;
/// The same while the process is busy: at most a twentieth. The index then falls behind, and catches up later.
const BUSY_REST_FACTOR: u32 = 19;
/// Interval between removals of expired days.
const TRIM: Duration = Duration::from_secs(60);
/// Pause after the store failed.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// Keeps the index until the engine stops. Without an index by the settings, removes an earlier one.
pub(crate) async fn run(core: Arc<Core>) {
    let mut trimmed_at: Option<Instant> = None;
    let mut load = ProcessLoad::default();
    loop {
        let must_trim = trimmed_at.is_none_or(|at| at.elapsed() >= TRIM);
        let wait = if works_here(&core) {
            match step(&core, must_trim, &mut load).await {
                Ok(wait) => {
                    if must_trim {
                        trimmed_at = Some(Instant::now());
                    }
                    wait
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "could not index messages for the search; retrying");
                    Some(RETRY_PAUSE)
                }
            }
        } else {
            Some(PERIOD)
        };
        let Some(wait) = wait else { return };
        tokio::select! {
            biased;
            () = core.stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Returns whether this node indexes: the one that works on the first shard.
fn works_here(core: &Core) -> bool {
    Shard::new(0).is_some_and(|first| core.lease().works_on(first).is_some())
}

/// Indexes a slice. Returns the time until the next step; `None` if there is nothing to do at all.
async fn step(core: &Core, must_trim: bool, load: &mut ProcessLoad) -> Result<Option<Duration>, Error> {
    let Some(age) = core.options.search_index_age() else {
        core.store.drop_text_index().await?;
        return Ok(None);
    };
    let now = core.now();
    let first_day = (now - age).day().max(core.options.limits().first_payload_day(now));
    if must_trim {
        core.store.trim_text_index(first_day, core.options.search_index_bytes).await?;
    }
    let slice =
        IndexSlice { since: MessageId::before_all_at(first_day.start()), until: MessageId::before_all_at(now - DISTANCE), most: SLICE };
    let begun = Instant::now();
    let Some(indexed) = core.store.index_text(slice).await? else { return Ok(None) };
    let rest_factor = if load.is_high() { BUSY_REST_FACTOR } else { REST_FACTOR };
    Ok(Some(if indexed.is_caught_up { PERIOD } else { begun.elapsed() * rest_factor }))
}
