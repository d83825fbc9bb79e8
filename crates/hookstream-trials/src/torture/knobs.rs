//! Shared numbers: keys, batch size, probes, allowed duplicates.

/// Number of the first probe; other messages are numbered from 0.
pub(crate) const PROBES_FROM: usize = 1_000_000_000_000_000;

/// Number of keys at the endpoint that is ordered by key.
pub(crate) const KEYS: u32 = 4;

/// Number of ordered backlogs: one per key, and one of the endpoint with batches.
pub(crate) const ORDERED_BACKLOGS: usize = KEYS as usize + 1;

/// Maximum number of attempts in flight of a node to an endpoint.
pub(crate) const IN_FLIGHT: u32 = 16;

/// Maximum number of repeated deliveries of a node that lost track. Unordered endpoint: attempts in flight, and
/// unrecorded outcomes, which are up to three times as many (ARCHITECTURE.md, "Start, stop, crash"). Ordered endpoint:
/// one per backlog. Endpoint with batches: one batch.
pub(crate) const DUPLICATES_PER_NODE: u32 = 4 * IN_FLIGHT + LATE_PER_NODE;

/// Maximum number of these duplicates that may arrive after a later message of their order: one of each key, and a
/// batch, in which only the last message is not followed by another.
pub(crate) const LATE_PER_NODE: u32 = KEYS + BATCH;

/// Maximum number of messages in a batch.
pub(crate) const BATCH: u32 = 20;
