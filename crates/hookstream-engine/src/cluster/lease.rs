//! This node's standing as an owner of deliveries: renewed by heartbeat, lost when it is late.
//!
//! A node begins no try once its lease may have run out by its own, monotonic clock: from then on others
//! may have what it had. What it had begun it may finish, but the store settles nothing for an owner that
//! has lapsed. Where it is not known whether the store has given or taken something (a connection broke
//! at a commit), the node takes a new number and lets the old one run dry: what is under the old number
//! and in nobody's memory is released when that is retired.

use std::{collections::HashMap, time::Duration};

use hookstream_model::delivery::queue::{SHARDS, Shard, Shards};
use hookstream_store::delivery::deliveries::Owner;
use tokio::time::Instant;

/// A lease is renewed so many times within its length, and not relied upon for its last part.
pub(crate) const RENEWALS: u32 = 4;

/// The numbers this node has.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) current: Owner,
    /// Earlier numbers under which something is still in memory.
    pub(crate) retiring: Vec<Owner>,
    /// Something may stand under the current number that is in no memory: a new one is asked for.
    pub(crate) is_doubted: bool,
    /// Until when tries may be begun; `None` where the store knows no leases.
    pub(crate) valid_until: Option<Instant>,
    /// What is in memory under each number: waiting, under way or not yet recorded.
    held: HashMap<Owner, usize>,
    /// The shards of backlogs that this node works on, and since when.
    shards: [Option<Instant>; SHARDS as usize],
    /// Those of them that are about to be given up: nothing more of them is begun.
    pub(crate) leaving: Shards,
}

impl Lease {
    /// A lease that was given at `at` for `length`.
    pub(crate) fn new(current: Owner, at: Instant, length: Option<Duration>) -> Self {
        Self {
            current,
            retiring: Vec::new(),
            is_doubted: false,
            valid_until: length.map(|length| at + reliable(length)),
            held: HashMap::new(),
            shards: [None; SHARDS as usize],
            leaving: Shards::NONE,
        }
    }

    /// The number to own new deliveries under.
    pub(crate) const fn current(&self) -> Owner {
        self.current
    }

    /// Whether tries may be begun now.
    pub(crate) fn is_valid(&self) -> bool {
        self.valid_until.is_none_or(|until| Instant::now() < until)
    }

    /// Whether a number is this node's still.
    pub(crate) fn has(&self, owner: Owner) -> bool {
        self.current == owner || self.retiring.contains(&owner)
    }

    /// Notes that something came into memory.
    pub(crate) fn hold(&mut self, owner: Owner) {
        *self.held.entry(owner).or_default() += 1;
    }

    /// Notes that something left memory.
    pub(crate) fn release(&mut self, owner: Owner) {
        if let Some(held) = self.held.get_mut(&owner) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&owner);
            }
        }
    }

    /// Since when this node works on a shard, where it does.
    pub(crate) fn works_on(&self, shard: Shard) -> Option<Instant> {
        self.shards[usize::from(shard.number())].filter(|_| !self.leaving.contains(shard))
    }

    /// The shards that this node works on.
    pub(crate) fn shards(&self) -> Shards {
        (0..SHARDS).filter_map(Shard::new).filter(|shard| self.works_on(*shard).is_some()).collect()
    }

    /// Notes that something may stand under the current number that is in no memory.
    pub(crate) fn doubt(&mut self) {
        self.is_doubted = true;
    }

    /// Whether something may stand under one of this node's numbers that is in no memory.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.is_doubted || !self.retiring.is_empty()
    }

    pub(crate) fn set_groups(&mut self, shards: Shards, now: Instant) {
        for shard in (0..SHARDS).filter_map(Shard::new) {
            let since = &mut self.shards[usize::from(shard.number())];
            *since = shards.contains(shard).then(|| since.unwrap_or(now));
        }
    }

    /// Earlier numbers that are this node's still.
    pub(crate) fn earlier(&self) -> Vec<Owner> {
        self.retiring.clone()
    }

    pub(crate) fn all(&self) -> Vec<Owner> {
        self.retiring.iter().copied().chain([self.current]).collect()
    }

    /// Earlier numbers under which nothing is in memory any more.
    pub(crate) fn dry(&self) -> Vec<Owner> {
        self.retiring.iter().copied().filter(|owner| !self.held.contains_key(owner)).collect()
    }
}

pub(crate) fn reliable(length: Duration) -> Duration {
    length * (RENEWALS - 1) / RENEWALS
}
