//! Lease of this node as an owner of deliveries: renewed by heartbeat, lost when late.
//!
//! A node begins no attempt once its lease may have expired by its own monotonic clock, because other nodes may have
//! taken over its deliveries. Attempts in flight may finish, but the store settles nothing for an expired owner. If
//! the result of a commit is unknown because a connection broke, the node registers a new owner id and drains the old
//! one: deliveries that belong to the old id and are in no memory are released when it is retired.

use std::{collections::HashMap, time::Duration};

use hookstream_model::delivery::queue::{SHARDS, Shard, Shards};
use hookstream_store::delivery::deliveries::Owner;
use tokio::time::Instant;

/// Renewals within the length of a lease; the last part is a safety margin.
pub(crate) const RENEWALS: u32 = 4;

/// Owner ids of this node and its shards.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) current: Owner,
    /// Earlier owner ids that still have deliveries in memory.
    pub(crate) retiring: Vec<Owner>,
    /// Whether the current owner id may have deliveries that are in no memory; a new one is requested.
    pub(crate) is_suspected: bool,
    /// End of the time in which attempts may begin; `None` if the store has no leases.
    pub(crate) valid_until: Option<Instant>,
    /// Number of deliveries in memory under each owner id: waiting, in flight or not yet recorded.
    held: HashMap<Owner, usize>,
    /// Shards of backlogs on which this node works, with the start time.
    shards: [Option<Instant>; SHARDS as usize],
    /// Shards about to be released: no more attempts of them begin.
    pub(crate) leaving: Shards,
}

impl Lease {
    /// Builds a lease that was granted at `at` for `length`.
    pub(crate) fn new(current: Owner, at: Instant, length: Option<Duration>) -> Self {
        Self {
            current,
            retiring: Vec::new(),
            is_suspected: false,
            valid_until: length.map(|length| at + reliable(length)),
            held: HashMap::new(),
            shards: [None; SHARDS as usize],
            leaving: Shards::NONE,
        }
    }

    /// Returns the owner id for new deliveries.
    pub(crate) const fn current(&self) -> Owner {
        self.current
    }

    /// Returns whether attempts may begin now.
    pub(crate) fn is_valid(&self) -> bool {
        self.valid_until.is_none_or(|until| Instant::now() < until)
    }

    /// Returns whether an owner id still belongs to this node.
    pub(crate) fn has(&self, owner: Owner) -> bool {
        self.current == owner || self.retiring.contains(&owner)
    }

    /// Counts a delivery that entered memory.
    pub(crate) fn hold(&mut self, owner: Owner) {
        *self.held.entry(owner).or_default() += 1;
    }

    /// Counts a delivery that left memory.
    pub(crate) fn release(&mut self, owner: Owner) {
        if let Some(held) = self.held.get_mut(&owner) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&owner);
            }
        }
    }

    /// Returns since when this node works on a shard, if it does.
    pub(crate) fn works_on(&self, shard: Shard) -> Option<Instant> {
        self.shards[usize::from(shard.number())].filter(|_| !self.leaving.contains(shard))
    }

    /// Returns the shards on which this node works.
    pub(crate) fn shards(&self) -> Shards {
        (0..SHARDS).filter_map(Shard::new).filter(|shard| self.works_on(*shard).is_some()).collect()
    }

    /// Notes that the current owner id may have deliveries that are in no memory.
    pub(crate) fn suspect(&mut self) {
        self.is_suspected = true;
    }

    /// Returns whether an owner id of this node may have deliveries that are in no memory.
    pub(crate) fn is_uncertain(&self) -> bool {
        self.is_suspected || !self.retiring.is_empty()
    }

    pub(crate) fn set_shards(&mut self, shards: Shards, now: Instant) {
        for shard in (0..SHARDS).filter_map(Shard::new) {
            let since = &mut self.shards[usize::from(shard.number())];
            *since = shards.contains(shard).then(|| since.unwrap_or(now));
        }
    }

    /// Returns the earlier owner ids that still belong to this node.
    pub(crate) fn earlier(&self) -> Vec<Owner> {
        self.retiring.clone()
    }

    pub(crate) fn all(&self) -> Vec<Owner> {
        self.retiring.iter().copied().chain([self.current]).collect()
    }

    /// Returns the earlier owner ids without deliveries in memory.
    pub(crate) fn drained(&self) -> Vec<Owner> {
        self.retiring.iter().copied().filter(|owner| !self.held.contains_key(owner)).collect()
    }
}

pub(crate) fn reliable(length: Duration) -> Duration {
    length * (RENEWALS - 1) / RENEWALS
}
