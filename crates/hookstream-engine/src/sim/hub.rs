//! Leases and shards of backlogs for several nodes on one store in memory, as PostgreSQL has them.
//!
//! It is a model of `postgres/nodes.rs` in the simulation's time: a node that is not renewed is removed by
//! whoever renews, what stands under numbers that no node has is released, and then its shards are free.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hookstream_model::{
    base::{ids::AttemptId, time::Timestamp},
    delivery::queue::{SHARDS, Shard, Shards},
};
use hookstream_store::{
    Error, Store,
    delivery::{
        deliveries::{Owner, Settled},
        nodes::{LeaseRenewal, NodeSelf, Nudge},
    },
    sqlite::SqliteStore,
};
use tokio::{sync::broadcast, time::Instant};

use super::{gate::Gate, history::Loss};

/// How long a lease is.
pub(super) const LEASE: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Standings {
    nodes: BTreeMap<Owner, Member>,
    gone: BTreeSet<Owner>,
    shards: Vec<Option<Owner>>,
}

#[derive(Debug, Clone)]
struct Member {
    lapses_at: Instant,
    takes_backlogs: bool,
    gate: Arc<Gate>,
}

/// The nodes that share a store.
pub(super) struct Hub {
    inner: Arc<SqliteStore>,
    standings: Mutex<Standings>,
    recorded: Mutex<BTreeSet<AttemptId>>,
    pub(super) nudges: broadcast::Sender<Nudge>,
}

impl Hub {
    pub(super) fn new(inner: Arc<SqliteStore>) -> Self {
        let shards = vec![None; usize::from(SHARDS)];
        let standings = Standings { nodes: BTreeMap::new(), gone: BTreeSet::new(), shards };
        Self { inner, standings: Mutex::new(standings), recorded: Mutex::default(), nudges: broadcast::channel(64).0 }
    }

    pub(super) async fn enlist(&self, gate: &Arc<Gate>, node: &NodeSelf, now: Timestamp) -> Result<Owner, Error> {
        let owner = self.inner.enlist_beside(now).await?;
        let mut standings = self.lock();
        let member = Member { lapses_at: Instant::now() + LEASE, takes_backlogs: true, gate: Arc::clone(gate) };
        standings.nodes.insert(owner, member);
        if let Some(before) = node.replaces {
            if let Some(member) = standings.nodes.get_mut(&before) {
                member.takes_backlogs = false;
            }
            standings.shards.iter_mut().filter(|shard| **shard == Some(before)).for_each(|shard| *shard = Some(owner));
        }
        Ok(owner)
    }

    pub(super) async fn renew(&self, owner: Owner, now: Timestamp) -> Result<LeaseRenewal, Error> {
        if !self.lock().renew(owner) {
            return Ok(LeaseRenewal::Expired);
        }
        let released = self.release(now).await?;
        let mut standings = self.lock();
        let share = standings.share();
        standings.take_shards(owner, share);
        let shards = standings.groups_of(owner);
        Ok(LeaseRenewal::Held { released, shards, surplus: shards.count().saturating_sub(share) })
    }

    pub(super) fn release_shards(&self, owner: Owner, given_up: Shards) {
        let mut standings = self.lock();
        for shard in given_up.iter() {
            let has = &mut standings.shards[usize::from(shard.number())];
            if *has == Some(owner) {
                *has = None;
            }
        }
    }

    pub(super) async fn retire(&self, owner: Owner, now: Timestamp) -> Result<(), Error> {
        {
            let mut standings = self.lock();
            standings.nodes.remove(&owner);
            standings.gone.insert(owner);
        }
        self.release(now).await.map(|_| ())
    }

    /// Releases what stands under numbers that no node has, and then their shards. Returns how many nodes had
    /// lapsed.
    pub(super) async fn release(&self, now: Timestamp) -> Result<u64, Error> {
        let (lapsed, gone) = self.lock().remove_lapsed();
        for owner in gone {
            self.inner.retire(owner, now).await?;
        }
        let mut standings = self.lock();
        let nodes: BTreeSet<Owner> = standings.nodes.keys().copied().collect();
        for shard in &mut standings.shards {
            *shard = shard.filter(|owner| nodes.contains(owner));
        }
        Ok(lapsed)
    }

    /// Whether a batch was settled before, and nobody heard of it: one that is there says so of all.
    pub(super) fn is_settled(&self, batch: &[Settled]) -> bool {
        let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        batch.iter().filter_map(|settled| settled.attempt.as_ref()).any(|attempt| recorded.contains(&attempt.id))
    }

    /// Notes what a batch recorded.
    pub(super) fn note_settled(&self, batch: &[Settled], counted: &[bool]) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = batch.iter().zip(counted).filter(|(_, counted)| **counted);
        recorded.extend(counted.filter_map(|(settled, _)| settled.attempt.as_ref()).map(|attempt| attempt.id));
    }

    /// Whether a number is a node's still.
    pub(super) fn stands(&self, owner: Owner) -> bool {
        self.lock().nodes.contains_key(&owner)
    }

    /// Whether this number is the one that works on jobs.
    pub(super) fn works_on_jobs(&self, owner: Owner) -> bool {
        self.lock().nodes.iter().find(|(_, member)| member.takes_backlogs).is_some_and(|(first, _)| *first == owner)
    }

    fn lock(&self) -> MutexGuard<'_, Standings> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standings {
    fn renew(&mut self, owner: Owner) -> bool {
        let Some(member) = self.nodes.get_mut(&owner) else { return false };
        member.lapses_at = Instant::now() + LEASE;
        true
    }

    /// Removes the nodes that have lapsed. Returns how many, and all numbers that are no node's.
    fn remove_lapsed(&mut self) -> (u64, Vec<Owner>) {
        let now = Instant::now();
        let lapsed: Vec<Owner> = self.nodes.iter().filter(|(_, member)| member.lapses_at < now).map(|(owner, _)| *owner).collect();
        for owner in &lapsed {
            if let Some(member) = self.nodes.remove(owner) {
                member.gate.lost(Loss::Lapsed);
            }
            self.gone.insert(*owner);
        }
        (u64::try_from(lapsed.len()).unwrap_or(u64::MAX), self.gone.iter().copied().collect())
    }

    fn share(&self) -> u32 {
        let takers = self.nodes.values().filter(|member| member.takes_backlogs).count().max(1);
        u32::from(SHARDS).div_ceil(u32::try_from(takers).unwrap_or(u32::MAX))
    }

    fn take_shards(&mut self, owner: Owner, share: u32) {
        if !self.nodes.get(&owner).is_some_and(|member| member.takes_backlogs) {
            return;
        }
        let has = self.groups_of(owner).count();
        let room = usize::try_from(share.saturating_sub(has)).unwrap_or(0);
        self.shards.iter_mut().filter(|shard| shard.is_none()).take(room).for_each(|shard| *shard = Some(owner));
    }

    fn groups_of(&self, owner: Owner) -> Shards {
        (0..SHARDS).filter_map(Shard::new).filter(|shard| self.shards[usize::from(shard.number())] == Some(owner)).collect()
    }
}
