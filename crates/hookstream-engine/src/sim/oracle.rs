//! What must hold of a history, whatever happened in it: pure functions over plain data.
//!
//! Each says what is wrong, in words; none knows how the engine works.

use std::collections::{BTreeMap, BTreeSet};

use hookstream_model::{
    base::ids::{EndpointId, MessageId},
    delivery::{ordering::OnFailure, state::DeliveryState},
};

use super::history::{AcceptedMessage, Delivery, EndpointPast, HistoryEvent, How, LARGEST_BATCH, Loss, Moment, Past, Try};

/// For how long an answer to a change may be unknown to another node: it asks each second, and asks again where
/// that fails.
const TOLD_WITHIN_MS: u64 = 8_000;
/// What was decided just before is on its way.
const UNDER_WAY_MS: u64 = 30;
/// How many outcomes of a target may be on their way to be recorded, for each try that may be under way.
const UNRECORDED: usize = 4;

/// How an accepted message stands in the end; `None` is that it is not there.
#[derive(Debug, Clone)]
pub(super) struct ExpectedState {
    pub(super) message: MessageId,
    pub(super) deliveries: Option<Vec<(EndpointId, DeliveryState)>>,
}

/// Everything that must hold at any moment.
pub(super) fn faults_of(past: &Past) -> Vec<String> {
    let by_delivery = ByDelivery::of(past);
    let checks = [
        nothing_is_sent_that_is_settled(past, &by_delivery),
        a_delivery_is_in_flight_once(past, &by_delivery),
        what_is_lost_track_of_is_bounded(past, &by_delivery),
        permits_are_kept(past),
        rates_are_kept(past),
        orders_are_kept(past, &by_delivery),
        a_line_has_one_in_flight(past, &by_delivery),
        what_is_deleted_is_left_alone(past),
        a_stale_owner_settles_nothing(past),
        a_key_stands_for_one_message(past),
    ];
    checks.into_iter().flatten().collect()
}

/// What happened to each delivery.
struct ByDelivery<'a> {
    tries: BTreeMap<Delivery, Vec<&'a Try>>,
    changes: BTreeMap<Delivery, Vec<&'a HistoryEvent>>,
}

impl<'a> ByDelivery<'a> {
    fn of(past: &'a Past) -> Self {
        let mut by_delivery = Self { tries: BTreeMap::new(), changes: BTreeMap::new() };
        for one in &past.tries {
            by_delivery.tries.entry(one.delivery).or_default().push(one);
        }
        for change in &past.changes {
            by_delivery.changes.entry(change.delivery).or_default().push(change);
        }
        by_delivery
    }

    fn changes(&self, delivery: Delivery) -> &[&'a HistoryEvent] {
        self.changes.get(&delivery).map_or(&[], Vec::as_slice)
    }

    /// Whether something became of a delivery within a time.
    fn became(&self, delivery: Delivery, how: How, after: Moment, before: Moment) -> bool {
        self.changes(delivery).iter().any(|change| change.how == how && change.at > after && change.at < before)
    }
}

/// Whether who made the first of two tries has lost track of it before the second, or either is what a node had
/// decided before it was frozen, when it owned it still.
fn is_lost_between(past: &Past, first: &Try, second: &Try) -> bool {
    let is_lost = past.losses.iter().any(|(at, of, _)| *of == first.node && *at > first.begun && *at < second.begun);
    is_lost || was_thawed(past, first) || was_thawed(past, second)
}

/// Whether a try is what a node that goes on after it was frozen had decided before.
fn was_thawed(past: &Past, one: &Try) -> bool {
    let is_before = |at: Moment| at < one.begun && one.begun.ms <= at.ms + UNDER_WAY_MS;
    past.losses.iter().any(|(at, of, loss)| *of == one.node && *loss == Loss::Thawed && is_before(*at))
}

/// Nothing is sent again once its success or its end is committed, unless somebody asks for it.
fn nothing_is_sent_that_is_settled(past: &Past, by_delivery: &ByDelivery<'_>) -> Vec<String> {
    let is_settled = |one: &&Try| {
        let mut before = by_delivery.changes(one.delivery).iter().filter(|change| change.at < one.begun);
        let last = before.rfind(|change| matches!(change.how, How::Succeeded | How::Ended | How::OwedAgain));
        last.is_some_and(|last| last.how != How::OwedAgain)
    };
    let faulty = past.tries.iter().filter(is_settled).filter(|one| !was_thawed(past, one));
    faulty.map(|one| format!("{:?} was sent at {:?} by node {} though it was settled", one.delivery, one.begun, one.node)).collect()
}

/// A delivery is in flight once, unless who had it in flight has lost it since.
fn a_delivery_is_in_flight_once(past: &Past, by_delivery: &ByDelivery<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for tries in by_delivery.tries.values() {
        for pair in tries.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            let is_at_once = first.ended.is_none_or(|ended| ended > second.begun);
            if is_at_once && !is_lost_between(past, first, second) {
                faults.push(format!("{:?} was in flight twice: at nodes {} and {}", first.delivery, first.node, second.node));
            }
        }
    }
    faults
}

/// What arrives again had arrived unrecorded at a node that lost track, and that is bounded.
fn what_is_lost_track_of_is_bounded(past: &Past, by_delivery: &ByDelivery<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut again: BTreeMap<(u32, EndpointId), usize> = BTreeMap::new();
    for (delivery, tries) in &by_delivery.tries {
        let arrived: Vec<_> = tries.iter().filter(|one| one.accepted).collect();
        for pair in arrived.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            if by_delivery.became(*delivery, How::OwedAgain, first.begun, second.begun) {
                continue;
            }
            if !is_lost_between(past, first, second) {
                faults.push(format!("{delivery:?} arrived again though node {} had lost nothing", first.node));
            }
            let who = if was_thawed(past, second) { second.node } else { first.node };
            *again.entry((who, delivery.1)).or_default() += 1;
        }
    }
    for ((node, endpoint), again) in again {
        let losses = past.losses.iter().filter(|(_, of, _)| *of == node).count();
        // A try is begun while there is room for one; what goes with it may pass that.
        if again > losses * (past.permits * UNRECORDED + usize::try_from(LARGEST_BATCH).unwrap_or(usize::MAX)) {
            faults.push(format!("{again} deliveries to {endpoint} arrived again after {losses} losses of node {node}"));
        }
    }
    faults
}

/// A target has no more tries under way than it may.
fn permits_are_kept(past: &Past) -> Vec<String> {
    let mut edges: BTreeMap<(u32, EndpointId), Vec<(Moment, bool)>> = BTreeMap::new();
    for one in past.tries.iter().filter(|one| !one.rides) {
        let of_target = edges.entry((one.node, one.delivery.1)).or_default();
        of_target.push((one.begun, true));
        of_target.extend(one.ended.map(|ended| (ended, false)));
    }
    let mut faults = Vec::new();
    for ((node, endpoint), mut edges) in edges {
        edges.sort();
        let (mut open, mut most) = (0_usize, 0);
        for (_, begins) in edges {
            open = if begins { open + 1 } else { open.saturating_sub(1) };
            most = most.max(open);
        }
        if most > past.permits {
            faults.push(format!("node {node} had {most} tries to {endpoint} under way"));
        }
    }
    faults
}

/// No second has more tries than the rate, whatever second one looks at and whoever makes them.
fn rates_are_kept(past: &Past) -> Vec<String> {
    let mut faults = Vec::new();
    for endpoint in &past.endpoints {
        let went = past.tries.iter().filter(|one| !one.rides && one.delivery.1 == endpoint.id).map(|one| one.begun.ms);
        faults.extend(beyond_rate(past, &went.collect::<Vec<_>>(), |from, to| allowed(endpoint, from, to), endpoint.id));
    }
    for (application, rate) in &past.application_rates {
        let of_application: BTreeSet<_> =
            past.endpoints.iter().filter(|endpoint| endpoint.application == *application).map(|endpoint| endpoint.id).collect();
        let went = past.tries.iter().filter(|one| !one.rides && of_application.contains(&one.delivery.1)).map(|one| one.begun.ms);
        let rate = usize::try_from(*rate).ok();
        faults.extend(beyond_rate(past, &went.collect::<Vec<_>>(), |_, _| rate, application));
    }
    faults
}

fn beyond_rate(past: &Past, went: &[u64], allowed: impl Fn(u64, u64) -> Option<usize>, who: impl std::fmt::Display) -> Option<String> {
    let mut until = 0;
    for (from, begun) in went.iter().enumerate() {
        while until < went.len() && went[until] < begun + 1_000 {
            until += 1;
        }
        // One that was frozen cannot know how long: what it had begun goes when it goes on.
        let was_frozen =
            || past.losses.iter().any(|(at, _, loss)| *loss == Loss::Thawed && at.ms <= begun + 1_000 && at.ms + 1_000 >= *begun);
        let in_a_second = until - from;
        if allowed(*begun, begun + 1_000).is_some_and(|allowed| in_a_second > allowed) && !was_frozen() {
            return Some(format!("{in_a_second} went to {who} in the second from {begun} ms on"));
        }
    }
    None
}

/// The highest rate that anybody may have known of; `None` where that is none.
fn allowed(endpoint: &EndpointPast, from: u64, to: u64) -> Option<usize> {
    let ends = endpoint.rates.iter().skip(1).map(|(at, _)| at.ms).chain([u64::MAX]);
    let known =
        endpoint.rates.iter().zip(ends).filter(|((begins, _), ends)| begins.ms <= to && ends.saturating_add(TOLD_WITHIN_MS) >= from);
    let rates: Option<Vec<u32>> = known.map(|((_, rate), _)| *rate).collect();
    rates.and_then(|rates| rates.into_iter().max()).and_then(|rate| usize::try_from(rate).ok())
}

/// In an order, what was sent after another had been answered does not arrive before it, unless that had failed
/// or ended and lets others pass. What the clock says makes no difference.
fn orders_are_kept(past: &Past, by_delivery: &ByDelivery<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for endpoint in past.endpoints.iter().filter(|endpoint| endpoint.ordered.is_some()) {
        let first_arrival = |message: &AcceptedMessage| {
            let tries = by_delivery.tries.get(&(message.id, endpoint.id))?;
            tries.iter().filter(|one| one.accepted).filter_map(|one| one.ended).min()
        };
        let accepted = past.accepted.iter().filter(|message| message.application == endpoint.application);
        let accepted: Vec<_> = accepted.map(|message| (message, first_arrival(message))).collect();
        for (later, arrived) in &accepted {
            let Some(arrived) = arrived else { continue };
            let earlier = accepted.iter().filter(|(earlier, _)| is_before(endpoint, earlier, later));
            let passed = earlier.filter(|(_, first)| first.is_none_or(|first| first > *arrived));
            for (earlier, _) in passed.filter(|(earlier, _)| !let_pass(by_delivery, endpoint, earlier.id, *arrived)) {
                faults.push(format!("{} arrived at {} before {}, which was accepted before it", later.id, endpoint.id, earlier.id));
            }
        }
    }
    faults
}

fn is_before(endpoint: &EndpointPast, earlier: &AcceptedMessage, later: &AcceptedMessage) -> bool {
    let is_same_line = !endpoint.by_key || earlier.key == later.key;
    // A day has a file of its own: where the clock is set back over midnight, the days have their order.
    let is_same_day_or_before = earlier.id.timestamp().day() <= later.id.timestamp().day();
    is_same_line && is_same_day_or_before && earlier.answered < later.sent
}

/// Whether others may pass a delivery by then.
fn let_pass(by_delivery: &ByDelivery<'_>, endpoint: &EndpointPast, message: MessageId, by: Moment) -> bool {
    let passes = |how: How| match how {
        How::Ended => true,
        How::Retried => endpoint.ordered == Some(OnFailure::Park),
        How::Succeeded | How::Postponed | How::OwedAgain => false,
    };
    by_delivery.changes((message, endpoint.id)).iter().any(|change| change.at < by && passes(change.how))
}

/// Of what keeps an order, one is under way at a time.
fn a_line_has_one_in_flight(past: &Past, by_delivery: &ByDelivery<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for endpoint in past.endpoints.iter().filter(|endpoint| endpoint.ordered.is_some()) {
        let is_parked = |one: &Try| {
            let start = Moment::default();
            endpoint.ordered == Some(OnFailure::Park) && by_delivery.became(one.delivery, How::Retried, start, one.begun)
        };
        let mut backlogs: BTreeMap<u8, Vec<&Try>> = BTreeMap::new();
        for one in past.tries.iter().filter(|one| one.delivery.1 == endpoint.id && !is_parked(one)) {
            backlogs.entry(if endpoint.by_key { one.key } else { 0 }).or_default().push(one);
        }
        for pair in backlogs.values().flat_map(|tries| tries.windows(2)) {
            let (first, second) = (pair[0], pair[1]);
            let is_at_once = first.ended.is_none_or(|ended| ended > second.begun);
            if is_at_once && !second.rides && !is_lost_between(past, first, second) {
                faults.push(format!("{:?} and {:?} of one backlog were under way at once", first.delivery, second.delivery));
            }
        }
    }
    faults
}

/// Nothing is sent to an endpoint after its deletion was answered, beyond what was under way.
fn what_is_deleted_is_left_alone(past: &Past) -> Vec<String> {
    let is_sent_after = |one: &&Try| {
        let Some((deleted, told)) = past.endpoint(one.delivery.1).and_then(|endpoint| endpoint.deleted) else { return false };
        let grace = if !past.is_shared || told == Some(one.node) { UNDER_WAY_MS } else { TOLD_WITHIN_MS };
        let was_frozen = past
            .losses
            .iter()
            .any(|(at, of, loss)| *of == one.node && *loss == Loss::Thawed && *at > deleted && one.begun.ms < at.ms + TOLD_WITHIN_MS);
        one.begun.ms > deleted.ms + grace && !was_frozen
    };
    let faulty = past.tries.iter().filter(is_sent_after);
    faulty.map(|one| format!("{:?} was sent at {:?} though its endpoint was deleted", one.delivery, one.begun)).collect()
}

/// What an owner settles that owns nothing any more leaves no trace.
fn a_stale_owner_settles_nothing(past: &Past) -> Vec<String> {
    let faulty = past.stale_settlements.iter().filter(|(_, counted)| *counted > 0);
    faulty.map(|(at, counted)| format!("{counted} settlements of a stale owner counted at {at:?}")).collect()
}

/// However often it is sent, what has one idempotency key is one message.
fn a_key_stands_for_one_message(past: &Past) -> Vec<String> {
    let mut by_key: BTreeMap<&str, BTreeSet<MessageId>> = BTreeMap::new();
    for message in &past.accepted {
        if let Some(key) = &message.idempotency {
            by_key.entry(key).or_default().insert(message.id);
        }
    }
    let faulty = by_key.into_iter().filter(|(_, ids)| ids.len() > 1);
    faulty.map(|(key, ids)| format!("{key} was accepted as {} messages", ids.len())).collect()
}

/// In the end, each message that was accepted is there with a delivery for each endpoint that there was, each of
/// them arrived or is on record with a reason that was so, and nothing is owed.
pub(super) fn all_is_accounted_for(past: &Past, standings: &[ExpectedState]) -> Vec<String> {
    let mut faults = Vec::new();
    let by_delivery = ByDelivery::of(past);
    for standing in standings {
        let message = standing.message;
        let Some(deliveries) = &standing.deliveries else {
            faults.push(format!("{message} was accepted and is not there"));
            continue;
        };
        let Some(accepted) = past.accepted.iter().find(|accepted| accepted.id == message) else { continue };
        let meant = past.endpoints.iter().filter(|endpoint| {
            endpoint.application == accepted.application && endpoint.deleted.is_none_or(|(at, _)| at > accepted.answered)
        });
        let missing = meant.filter(|endpoint| !deliveries.iter().any(|(target, _)| *target == endpoint.id));
        faults.extend(missing.map(|endpoint| format!("{message} has no delivery to {}", endpoint.id)));
        let wrong = deliveries.iter().filter(|(target, state)| !is_accounted_for(past, &by_delivery, (message, *target), *state));
        faults.extend(wrong.map(|(target, state)| format!("{message} to {target} stands as {state:?}, which did not happen")));
    }
    faults
}

fn is_accounted_for(past: &Past, by_delivery: &ByDelivery<'_>, delivery: Delivery, state: DeliveryState) -> bool {
    let tries = by_delivery.tries.get(&delivery).map_or(&[] as &[_], Vec::as_slice);
    let Some(endpoint) = past.endpoint(delivery.1) else { return false };
    match state {
        DeliveryState::Pending { .. } => false,
        DeliveryState::Succeeded => tries.iter().any(|one| one.accepted),
        DeliveryState::Exhausted { .. } => tries.iter().any(|one| !one.accepted),
        DeliveryState::Skipped { .. } => endpoint.was_disabled,
        DeliveryState::Cancelled { .. } => endpoint.deleted.is_some(),
    }
}
