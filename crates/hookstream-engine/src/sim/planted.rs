//! Tests of the oracle: each invariant gets a history that breaks it and a similar one that does not; and worlds with a
//! planted bug must fail.

use hookstream_model::{
    base::ids::{ApplicationId, EndpointId, MessageId},
    delivery::{
        ordering::OnFailure,
        state::{CancelReason, DeliveryState, ExhaustedReason, SkipReason},
    },
};

use super::{
    history::{AcceptedMessage, Attempt, EndpointPast, HistoryEvent, How, Loss, Moment, Past},
    oracle::{FinalState, all_messages_are_accounted_for, faults_of},
    store::Planted,
    tests::run,
};

const APPLICATION: ApplicationId = ApplicationId::from_bytes([1; 16]);
const ENDPOINT: EndpointId = EndpointId::from_bytes([2; 16]);

fn message(n: u8) -> MessageId {
    MessageId::from_bytes([n; 16])
}

/// Builds a moment whose position equals its milliseconds.
fn at(ms: u64) -> Moment {
    Moment { position: ms, ms }
}

/// Builds an attempt of 10 ms.
fn sent(node: u32, n: u8, ms: u64, accepted: bool) -> Attempt {
    Attempt { node, delivery: (message(n), ENDPOINT), key: b'a', is_batched: false, begun: at(ms), ended: Some(at(ms + 10)), accepted }
}

fn became(n: u8, ms: u64, how: How) -> HistoryEvent {
    HistoryEvent { at: at(ms), delivery: (message(n), ENDPOINT), how }
}

fn accepted(n: u8, ms: u64) -> AcceptedMessage {
    AcceptedMessage { id: message(n), application: APPLICATION, key: b'a', idempotency: None, sent: at(ms), responded: at(ms + 1) }
}

/// Builds a history of two messages that arrived in order at one endpoint.
fn sound() -> Past {
    let endpoint = EndpointPast {
        id: ENDPOINT,
        application: APPLICATION,
        ordered: Some(OnFailure::Block),
        by_key: true,
        rates: vec![(at(0), Some(2))],
        was_disabled: false,
        deleted: None,
    };
    Past {
        endpoints: vec![endpoint],
        accepted: vec![accepted(1, 10), accepted(2, 20)],
        attempts: vec![sent(1, 1, 30, true), sent(1, 2, 50, true)],
        changes: vec![became(1, 45, How::Succeeded), became(2, 65, How::Succeeded)],
        permits: 2,
        ..Past::default()
    }
}

/// Checks that a change of the sound history is reported with these words.
fn check(words: &str, change: impl FnOnce(&mut Past)) {
    let mut past = sound();
    change(&mut past);
    let faults = faults_of(&past);
    assert!(faults.iter().any(|fault| fault.contains(words)), "{words}: {faults:?}");
}

/// Checks that a change of the sound history is no fault.
fn check_fine(change: impl FnOnce(&mut Past)) {
    let mut past = sound();
    change(&mut past);
    assert_eq!(faults_of(&past), Vec::<String>::new());
}

fn lose(past: &mut Past, node: u32, ms: u64, loss: Loss) {
    past.losses.push((at(ms), node, loss));
}

#[test]
fn sound_history_has_no_faults() {
    check_fine(|_| {});
}

#[test]
fn attempt_after_settlement_is_found() {
    check("though it was settled", |past| past.attempts.push(sent(1, 2, 5_000, false)));
    check_fine(|past| {
        past.changes.push(became(2, 4_000, How::Requeued));
        past.attempts.push(sent(1, 2, 5_000, false));
    });
}

#[test]
fn delivery_in_flight_twice_is_found() {
    check("in flight twice", |past| past.attempts.insert(1, sent(2, 1, 35, true)));
    check_fine(|past| {
        past.endpoints[0].rates = vec![(at(0), None)];
        lose(past, 1, 33, Loss::Ended);
        past.attempts.insert(1, sent(2, 1, 35, true));
    });
}

#[test]
fn repeated_arrivals_without_enough_losses_are_found() {
    check("had lost nothing", |past| {
        past.changes.remove(0);
        past.attempts.push(sent(2, 1, 5_000, true));
    });
    check_fine(|past| {
        past.changes.remove(0);
        lose(past, 1, 100, Loss::LeaseExpired);
        past.attempts.push(sent(2, 1, 5_000, true));
    });
    check("arrived again after 1 losses", |past| {
        past.endpoints[0].ordered = None;
        lose(past, 1, 900_000, Loss::Ended);
        for n in 10..23 {
            past.attempts.push(sent(1, n, u64::from(n) * 1_000, true));
            past.attempts.push(sent(2, n, 900_000 + u64::from(n) * 1_000, true));
        }
    });
}

#[test]
fn exceeded_concurrency_limit_is_found() {
    check("attempts to", |past| {
        past.endpoints[0].ordered = None;
        past.endpoints[0].rates = vec![(at(0), None)];
        (3..6).for_each(|n| past.attempts.push(sent(1, n, 100 + u64::from(n), false)));
    });
}

#[test]
fn exceeded_rate_across_nodes_is_found() {
    check("in the second from", |past| past.attempts.push(sent(2, 3, 1_029, false)));
    check_fine(|past| past.attempts.push(sent(2, 3, 1_030, false)));
    check_fine(|past| {
        past.endpoints[0].rates.push((at(900), Some(5)));
        past.attempts.push(sent(1, 3, 1_000, false));
    });
    check("in the second from", |past| {
        past.endpoints[0].rates = vec![(at(0), None)];
        past.application_rates.push((APPLICATION, 1));
    });
}

#[test]
fn swapped_order_is_found() {
    let swap = |past: &mut Past| {
        past.attempts = vec![sent(1, 2, 30, true), sent(1, 1, 50, true)];
        past.changes = vec![became(2, 45, How::Succeeded), became(1, 65, How::Succeeded)];
    };
    check("before", swap);
    // Another key, if each key has its own order.
    check_fine(|past| {
        swap(past);
        past.accepted[1].key = b'b';
    });
    // A failed delivery lets others pass if its endpoint parks failures.
    check_fine(|past| {
        swap(past);
        past.endpoints[0].ordered = Some(OnFailure::Park);
        past.changes.insert(0, became(1, 29, How::Retried));
    });
    check("before", |past| {
        swap(past);
        past.changes.insert(0, became(1, 29, How::Retried));
    });
    // No order is promised between messages sent at the same time.
    check_fine(|past| {
        swap(past);
        past.accepted[1].sent = at(5);
    });
}

#[test]
fn two_in_flight_of_one_ordered_backlog_are_found() {
    check("of one backlog", |past| past.attempts[1].begun = at(35));
    check_fine(|past| {
        past.attempts[1].begun = at(35);
        past.attempts[1].key = b'b';
    });
}

#[test]
fn attempt_after_deletion_is_found() {
    let deleted = |past: &mut Past, informed| past.endpoints[0].deleted = Some((at(100), Some(informed)));
    check("was deleted", |past| {
        deleted(past, 1);
        past.attempts.push(sent(1, 3, 5_000, false));
    });
    check_fine(|past| {
        deleted(past, 1);
        past.attempts.push(sent(1, 3, 120, false));
        past.endpoints[0].rates = vec![(at(0), None)];
    });
    // Another node learns of the change a little later.
    check_fine(|past| {
        past.is_shared = true;
        deleted(past, 2);
        past.attempts.push(sent(1, 3, 5_000, false));
    });
}

#[test]
fn counted_stale_settlement_is_found() {
    check("stale owner", |past| past.stale_settlements.push((at(70), 1)));
    check_fine(|past| past.stale_settlements.push((at(70), 0)));
}

#[test]
fn idempotency_key_with_two_messages_is_found() {
    check("accepted as 2 messages", |past| past.accepted.iter_mut().for_each(|message| message.idempotency = Some("k".to_owned())));
}

#[test]
fn unaccounted_delivery_is_found() {
    let in_state = |state| FinalState { message: message(1), deliveries: Some(vec![(ENDPOINT, state)]) };
    let count = |past: &Past, state| all_messages_are_accounted_for(past, &[state]).len();
    let past = sound();
    assert_eq!(count(&past, in_state(DeliveryState::Succeeded)), 0);
    assert_eq!(count(&past, FinalState { message: message(1), deliveries: None }), 1, "the message is lost");
    assert_eq!(count(&past, FinalState { message: message(1), deliveries: Some(Vec::new()) }), 1, "a delivery is lost");
    assert_eq!(count(&past, in_state(DeliveryState::Pending { due_at: hookstream_model::base::time::Timestamp::from_millis(0) })), 1);
    // Each of these states claims an event that did not happen.
    for state in [
        DeliveryState::Exhausted { reason: ExhaustedReason::ScheduleEnded },
        DeliveryState::Skipped { reason: SkipReason::EndpointDisabled },
        DeliveryState::Cancelled { reason: CancelReason::EndpointDeleted },
    ] {
        assert_eq!(count(&past, in_state(state)), 1, "{state:?}");
    }
    let mut never = sound();
    never.attempts[0].accepted = false;
    assert_eq!(count(&never, in_state(DeliveryState::Succeeded)), 1, "it did not arrive");
    assert_eq!(count(&never, in_state(DeliveryState::Exhausted { reason: ExhaustedReason::ScheduleEnded })), 0);
}

/// Returns whether a planted bug shows in one of some seeds.
fn shows(planted: Planted, words: &str) -> bool {
    (0..20).any(|seed| run(seed, Some(planted)).0.is_err_and(|faults| faults.iter().any(|fault| fault.contains(words))))
}

#[test]
fn store_that_loses_settlements_is_found() {
    assert!(shows(Planted::LosesSettlements, "still pending"));
}

#[test]
fn store_that_reverses_backlogs_is_found() {
    assert!(shows(Planted::ReversesBacklogs, "which was accepted before it"));
}
