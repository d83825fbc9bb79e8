//! Numbers that several files share: keys, batch size, probes, duplicates allowed.

/// Probes are numbered from here, other messages from 0.
pub(crate) const PROBES_FROM: usize = 1_000_000_000_000_000;

/// How many keys there are at the endpoint that keeps an order by key.
pub(crate) const KEYS: u32 = 4;

/// How many lines there are: one a key, and one of the endpoint that takes batches in a strict order.
pub(crate) const LINES: usize = KEYS as usize + 1;

/// Tries a node makes at once to an endpoint.
pub(crate) const IN_FLIGHT: u32 = 16;

/// What a node that lost track makes again at most: of the endpoint without an order tries under way, and
/// outcomes that are not recorded yet, which are up to three times as many (ARCHITECTURE.md, "Start, stop,
/// crash"); of the ordered one in each line; of the one that takes batches a batch.
pub(crate) const TWICE_PER_NODE: u32 = 4 * IN_FLIGHT + LATE_PER_NODE;

/// Of these, what may come again behind what follows it in its order: each line's one, and a batch, whose last
/// is the only one that nothing has followed.
pub(crate) const LATE_PER_NODE: u32 = KEYS + BATCH;

/// The most messages of a batch.
pub(crate) const BATCH: u32 = 20;
