//! Leases and shards of several nodes on one store in memory, as on PostgreSQL.
//!
//! A model of `postgres/nodes.rs` in simulated time: each renewal removes expired nodes, releases the deliveries of
//! owner ids without a node, and then frees their shards.

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
    Cluster, Error,
    delivery::{
        cluster::{LeaseRenewal, NodeSelf, Nudge},
        deliveries::{Owner, Settled},
    },
    sqlite::SqliteStore,
};
use tokio::{sync::broadcast, time::Instant};

use super::{gate::Gate, history::Loss};

/// Length of a lease.
pub(super) const LEASE: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Registry {
    nodes: BTreeMap<Owner, Member>,
    gone: BTreeSet<Owner>,
    shards: Vec<Option<Owner>>,
}

#[derive(Debug, Clone)]
struct Member {
    expires_at: Instant,
    takes_backlogs: bool,
    gate: Arc<Gate>,
}

/// Nodes that share a store.
pub(super) struct Hub {
    inner: Arc<SqliteStore>,
    registry: Mutex<Registry>,
    recorded: Mutex<BTreeSet<AttemptId>>,
    pub(super) nudges: broadcast::Sender<Nudge>,
}

impl Hub {
    pub(super) fn new(inner: Arc<SqliteStore>) -> Self {
        let shards = vec![None; usize::from(SHARDS)];
        let registry = Registry { nodes: BTreeMap::new(), gone: BTreeSet::new(), shards };
        Self { inner, registry: Mutex::new(registry), recorded: Mutex::default(), nudges: broadcast::channel(64).0 }
    }

    pub(super) async fn enlist(&self, gate: &Arc<Gate>, node: &NodeSelf, now: Timestamp) -> Result<Owner, Error> {
        let owner = self.inner.enlist_beside(now).await?;
        let mut registry = self.lock();
        let member = Member { expires_at: Instant::now() + LEASE, takes_backlogs: true, gate: Arc::clone(gate) };
        registry.nodes.insert(owner, member);
        if let Some(before) = node.replaces {
            if let Some(member) = registry.nodes.get_mut(&before) {
                member.takes_backlogs = false;
            }
            registry.shards.iter_mut().filter(|shard| **shard == Some(before)).for_each(|shard| *shard = Some(owner));
        }
        Ok(owner)
    }

    pub(super) async fn renew(&self, owner: Owner, now: Timestamp) -> Result<LeaseRenewal, Error> {
        if !self.lock().renew(owner) {
            return Ok(LeaseRenewal::Expired);
        }
        let released = self.release(now).await?;
        let mut registry = self.lock();
        let share = registry.share();
        registry.take_shards(owner, share);
        let shards = registry.shards_of(owner);
        Ok(LeaseRenewal::Held { released, shards, surplus: shards.count().saturating_sub(share) })
    }

    pub(super) fn release_shards(&self, owner: Owner, released: Shards) {
        let mut registry = self.lock();
        for shard in released.iter() {
            let has = &mut registry.shards[usize::from(shard.number())];
            if *has == Some(owner) {
                *has = None;
            }
        }
    }

    pub(super) async fn retire(&self, owner: Owner, now: Timestamp) -> Result<(), Error> {
        {
            let mut registry = self.lock();
            registry.nodes.remove(&owner);
            registry.gone.insert(owner);
        }
        self.release(now).await.map(|_| ())
    }

    /// Releases the deliveries and then the shards of owner ids without a node. Returns the number of expired nodes.
    pub(super) async fn release(&self, now: Timestamp) -> Result<u64, Error> {
        let (expired, gone) = self.lock().remove_expired();
        for owner in gone {
            self.inner.retire(owner, now).await?;
        }
        let mut registry = self.lock();
        let nodes: BTreeSet<Owner> = registry.nodes.keys().copied().collect();
        for shard in &mut registry.shards {
            *shard = shard.filter(|owner| nodes.contains(owner));
        }
        Ok(expired)
    }

    /// Returns whether a batch was settled by an earlier commit with an unknown result; one stored attempt proves it
    /// for the whole batch.
    pub(super) fn is_settled(&self, batch: &[Settled]) -> bool {
        let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        batch.iter().filter_map(|settled| settled.attempt.as_ref()).any(|attempt| recorded.contains(&attempt.id))
    }

    /// Notes the recorded attempts of a batch.
    pub(super) fn note_settled(&self, batch: &[Settled], counted: &[bool]) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = batch.iter().zip(counted).filter(|(_, counted)| **counted);
        recorded.extend(counted.filter_map(|(settled, _)| settled.attempt.as_ref()).map(|attempt| attempt.id));
    }

    /// Returns whether an owner id still belongs to a node.
    pub(super) fn is_registered(&self, owner: Owner) -> bool {
        self.lock().nodes.contains_key(&owner)
    }

    /// Returns whether this owner id is the one that works on jobs.
    pub(super) fn works_on_jobs(&self, owner: Owner) -> bool {
        self.lock().nodes.iter().find(|(_, member)| member.takes_backlogs).is_some_and(|(first, _)| *first == owner)
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn renew(&mut self, owner: Owner) -> bool {
        let Some(member) = self.nodes.get_mut(&owner) else { return false };
        member.expires_at = Instant::now() + LEASE;
        true
    }

    /// Removes expired nodes. Returns their number, and all owner ids without a node.
    fn remove_expired(&mut self) -> (u64, Vec<Owner>) {
        let now = Instant::now();
        let expired: Vec<Owner> = self.nodes.iter().filter(|(_, member)| member.expires_at < now).map(|(owner, _)| *owner).collect();
        for owner in &expired {
            if let Some(member) = self.nodes.remove(owner) {
                member.gate.lost(Loss::LeaseExpired);
            }
            self.gone.insert(*owner);
        }
        (u64::try_from(expired.len()).unwrap_or(u64::MAX), self.gone.iter().copied().collect())
    }

    fn share(&self) -> u32 {
        let takers = self.nodes.values().filter(|member| member.takes_backlogs).count().max(1);
        u32::from(SHARDS).div_ceil(u32::try_from(takers).unwrap_or(u32::MAX))
    }

    fn take_shards(&mut self, owner: Owner, share: u32) {
        if !self.nodes.get(&owner).is_some_and(|member| member.takes_backlogs) {
            return;
        }
        let has = self.shards_of(owner).count();
        let room = usize::try_from(share.saturating_sub(has)).unwrap_or(0);
        self.shards.iter_mut().filter(|shard| shard.is_none()).take(room).for_each(|shard| *shard = Some(owner));
    }

    fn shards_of(&self, owner: Owner) -> Shards {
        (0..SHARDS).filter_map(Shard::new).filter(|shard| self.shards[usize::from(shard.number())] == Some(owner)).collect()
    }
}
