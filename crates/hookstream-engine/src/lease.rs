//! This node's standing as an owner of deliveries: renewed by heartbeat, lost when it is late.
//!
//! A node begins no try once its lease may have run out by its own, monotonic clock: from then on others
//! may have what it had. What it had begun it may finish, but the store settles nothing for an owner that
//! has lapsed. Where it is not known whether the store has given or taken something (a connection broke
//! at a commit), the node takes a new number and lets the old one run dry: what is under the old number
//! and in nobody's memory is released when that is retired.

use std::{collections::HashMap, sync::Arc, time::Duration};

use hookstream_store::{
    Error,
    deliveries::{Claimed, Owner},
    nodes::{NodeReport, NodeSelf, Standing},
};
use tokio::time::Instant;

use crate::{core::Core, dispatch};

/// How often a node on a store without leases reports what it does.
const REPORT: Duration = Duration::from_secs(2);
/// A lease is renewed so many times within its length, and not relied upon for its last part.
const RENEWALS: u32 = 4;
/// How soon to try again where the store did not answer.
const AGAIN: Duration = Duration::from_millis(200);

/// The numbers this node has.
#[derive(Debug)]
pub(crate) struct Lease {
    current: Owner,
    /// Earlier numbers under which something is still in memory.
    retiring: Vec<Owner>,
    /// Until when tries may be begun; `None` where the store knows no leases.
    valid_until: Option<Instant>,
    /// What is in memory under each number: waiting, under way or not yet recorded.
    held: HashMap<Owner, usize>,
}

impl Lease {
    /// A lease that was given at `at` for `length`.
    pub(crate) fn new(current: Owner, at: Instant, length: Option<Duration>) -> Self {
        Self { current, retiring: Vec::new(), valid_until: length.map(|length| at + reliable(length)), held: HashMap::new() }
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

    /// Earlier numbers that are this node's still.
    pub(crate) fn earlier(&self) -> Vec<Owner> {
        self.retiring.clone()
    }

    fn all(&self) -> Vec<Owner> {
        self.retiring.iter().copied().chain([self.current]).collect()
    }

    /// Earlier numbers under which nothing is in memory any more.
    fn dry(&self) -> Vec<Owner> {
        self.retiring.iter().copied().filter(|owner| !self.held.contains_key(owner)).collect()
    }
}

fn reliable(length: Duration) -> Duration {
    length * (RENEWALS - 1) / RENEWALS
}

/// What this node says of itself.
pub(crate) fn introduction(options: &crate::Options) -> NodeSelf {
    NodeSelf { name: options.node_name.clone(), role: options.role.as_str(), version: env!("CARGO_PKG_VERSION") }
}

/// Renews until the engine has stopped.
pub(crate) async fn run(core: Arc<Core>) {
    let period = core.store.lease().map_or(REPORT, |length| length / RENEWALS);
    let mut wait = period;
    loop {
        let rolls_over = tokio::select! {
            () = core.finished.cancelled() => return,
            () = core.roll_over.notified() => true,
            () = tokio::time::sleep(wait) => false,
        };
        if rolls_over && roll_over(&core).await.is_err() {
            // Asked for again, after a pause.
            core.roll_over.notify_one();
            tokio::time::sleep(AGAIN).await;
        }
        wait = match renew(&core).await {
            Ok(()) => period,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not renew this node's lease; trying again");
                AGAIN.min(period)
            }
        };
    }
}

/// Takes a new number; the one before runs dry.
async fn roll_over(core: &Core) -> Result<(), Error> {
    let owner = enlist(core).await?;
    let mut lease = core.lease();
    let before = std::mem::replace(&mut lease.current, owner);
    lease.retiring.push(before);
    Ok(())
}

async fn renew(core: &Arc<Core>) -> Result<(), Error> {
    let begun = Instant::now();
    let report = report(core);
    let owners = core.lease().all();
    for owner in owners {
        match core.store.renew(owner, report, core.now()).await? {
            Standing::Held { released: 0 } => {}
            Standing::Held { released } => {
                tracing::info!(released, "took over from a node that is gone");
                core.note_due(core.now());
            }
            Standing::Lapsed => lapsed(core, owner).await?,
        }
    }
    if let Some(length) = core.store.lease() {
        core.lease().valid_until = Some(begun + reliable(length));
    }
    let dry = core.lease().dry();
    for owner in dry {
        core.store.retire(owner, core.now()).await?;
        core.lease().retiring.retain(|retiring| *retiring != owner);
    }
    // What had to wait while the lease was not sure goes on.
    dispatch::begin(core);
    Ok(())
}

/// Others have what this node had under `owner`: it is let go here, except what is under way, which the
/// store will not settle.
async fn lapsed(core: &Arc<Core>, owner: Owner) -> Result<(), Error> {
    let is_current = core.lease().current == owner;
    if is_current {
        let successor = enlist(core).await?;
        core.lease().current = successor;
    }
    core.lease().retiring.retain(|retiring| *retiring != owner);
    let let_go = {
        let mut lanes = core.lanes();
        let let_go = lanes.let_go(|delivery: &Claimed| delivery.owner != owner);
        let mut lease = core.lease();
        (0..let_go).for_each(|_| lease.release(owner));
        let_go
    };
    tracing::warn!(let_go, "this node was not renewed in time; others have taken over what it had");
    Ok(())
}

async fn enlist(core: &Core) -> Result<Owner, Error> {
    core.store.enlist(&introduction(&core.options), core.now()).await
}

fn report(core: &Core) -> NodeReport {
    let lanes = core.lanes();
    NodeReport { queued: lanes.queued(), in_flight: lanes.in_flight(), lag_ms: core.lag_ms() }
}

/// Gives back what this node has, so that others need not wait for it to lapse.
pub(crate) async fn retire(core: &Core) {
    let owners = core.lease().all();
    for owner in owners {
        if let Err(error) = core.store.retire(owner, core.now()).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not give back what is left; it is taken over when the lease lapses"
            );
        }
    }
}
