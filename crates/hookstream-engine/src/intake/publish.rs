//! Publication of a message: the first state of each delivery, one commit, then the lanes. Every intake ends here.

use std::sync::Arc;

use hookstream_model::{
    base::time::Timestamp,
    delivery::{
        placement::{self, Placement, Source},
        queue::Backlog,
    },
    outbound::message::Payload,
};
use hookstream_store::delivery::deliveries::{Claimed, NewDelivery, NewState, PackedIndex, Publication, Published};

use crate::{
    cluster::owner_in_use::InUse,
    core::Core,
    queues::{
        lanes::LanePolicy,
        schedule::{self, Offered},
    },
    realtime::event::Announcement,
    routing::route::Route,
    upkeep::{metrics::Subject, quotas::Reservation},
};

/// New delivery, with its lane if this process takes it.
pub(crate) struct First {
    pub(crate) delivery: NewDelivery,
    pub(crate) ours: Option<Ours>,
}

/// Lane of a delivery that this process takes.
pub(crate) struct Ours {
    policy: Arc<LanePolicy>,
    /// Backlog to which the delivery returns if its lane has a limit.
    backlog: Option<Backlog>,
}

impl First {
    /// Decides the first state of a delivery: skipped if its target is off, otherwise pending. This process takes it if it
    /// delivers, the lane has room, and no other process must send it. Otherwise the delivery waits in its backlog.
    pub(crate) fn of(core: &Core, route: &Route, payload: &Payload, now: Timestamp) -> Self {
        let (route_id, target) = (route.id, &route.target);
        if let Some(reason) = target.skips(now) {
            return Self { delivery: NewDelivery { route_id, state: NewState::Skipped(reason) }, ours: None };
        }
        let restrictions = target.restrictions(0, now);
        let bound_to = restrictions.bind_to_shard().then(|| target.backlog(payload));
        let works_on_shard = bound_to.is_some_and(|backlog| core.works_on_backlog_since(backlog).is_some());
        let may_begin = core.options.role.delivers() && core.may_begin();
        let is_ours = may_begin
            && placement::place(restrictions, Source::Accepted, works_on_shard) == Placement::Here
            && core.lanes().has_room(target.key.id, &target.policy);
        if is_ours {
            let ours = Ours { policy: Arc::clone(&target.policy), backlog: bound_to };
            return Self { delivery: NewDelivery { route_id, state: NewState::Owned }, ours: Some(ours) };
        }
        // A delivering node without room leaves the delivery to its own lane; a node that does not deliver leaves it to any
        // node.
        let backlog = bound_to.or_else(|| may_begin.then(|| target.backlog(payload)));
        let state = NewState::Waiting { backlog, in_order: target.policy.is_ordered };
        Self { delivery: NewDelivery { route_id, state }, ours: None }
    }
}

/// Stores a message with its deliveries in one commit, and hands this process's deliveries to their lanes.
pub(crate) async fn publish(
    core: Arc<Core>,
    publication: Publication,
    ours: Vec<Option<Ours>>,
    reservation: Reservation,
) -> Result<Published, hookstream_store::Error> {
    let message = Arc::clone(&publication.message);
    let (trigger, environment_id) = (publication.trigger, publication.tenant.environment);
    let left_to_claim = publication.deliveries.iter().any(|delivery| matches!(delivery.state, NewState::Waiting { .. }));
    let is_skipped = |delivery: &NewDelivery| (delivery.route_id, matches!(delivery.state, NewState::Skipped(_)));
    let deliveries: Vec<_> = publication.deliveries.iter().map(is_skipped).collect();
    let route_ids = publication.deliveries.iter().map(|delivery| delivery.route_id);
    let ours: Vec<_> = route_ids.zip(ours).filter_map(|(route_id, ours)| Some((route_id, ours?))).collect();
    let owner = publication.owner;
    let in_use = if ours.is_empty() { None } else { InUse::of(&core, owner) };
    if in_use.is_none() && !ours.is_empty() {
        // The owner id was retired since the decision, so the deliveries are decided again.
        return Ok(Published::Stale);
    }
    let announcement = core.realtime.wants(environment_id).then(|| Announcement::of(&publication));
    let published = match core.store.publish(publication).await {
        Ok(published) => published,
        Err(error) => {
            if matches!(error, hookstream_store::Error::Unavailable { .. }) && !ours.is_empty() {
                // The message may be stored, with deliveries that are in no memory.
                core.suspect_owner();
            }
            return Err(error);
        }
    };
    if published == Published::Stored {
        reservation.keep();
        core.budgets.accepted(environment_id, message.payload.body.len());
        let (origin, event_type) = (message.origin_id, message.event_type.as_str());
        let skipped = deliveries.iter().filter(|(_, is_skipped)| *is_skipped).count();
        core.instruments.accepted(origin, deliveries.len(), skipped);
        let subject = Subject { environment: environment_id, origin, event_type, message: message.id };
        core.metrics.accepted(subject, deliveries.into_iter());
        // Before the deliveries start, so that no event of a delivery precedes that of its message.
        if let Some(announcement) = announcement {
            core.realtime.publish(announcement.event(&message));
        }
        let owned = ours.len();
        let offered = ours.into_iter().enumerate().map(|(number, (route_id, Ours { policy, backlog }))| {
            let due_at = message.id.timestamp();
            let (message, packed) = (Arc::clone(&message), PackedIndex::of(number, owned));
            let delivery = Claimed { owner, environment_id, message, route_id, backlog, attempts: 0, failed: 0, trigger, due_at, packed };
            Offered { delivery, policy, backlog: None }
        });
        schedule::offer(&core, offered);
        if left_to_claim {
            core.note_due(message.id.timestamp());
        }
    }
    drop(in_use);
    Ok(published)
}
