//! That the oracle finds what is wrong: each invariant is shown a history that breaks it, and one like it that
//! does not; and worlds in which a bug is planted do not hold.

use hookstream_model::{
    base::ids::{ApplicationId, EndpointId, MessageId},
    delivery::{
        ordering::OnFailure,
        state::{CancelReason, DeliveryState, ExhaustedReason, SkipReason},
    },
};

use super::{
    history::{AcceptedMessage, EndpointPast, HistoryEvent, How, Loss, Moment, Past, Try},
    oracle::{ExpectedState, all_is_accounted_for, faults_of},
    store::Planted,
    tests::run,
};

const APPLICATION: ApplicationId = ApplicationId::from_bytes([1; 16]);
const ENDPOINT: EndpointId = EndpointId::from_bytes([2; 16]);

fn message(n: u8) -> MessageId {
    MessageId::from_bytes([n; 16])
}

/// A moment; places and milliseconds go together here.
fn at(ms: u64) -> Moment {
    Moment { place: ms, ms }
}

/// A try that is over after 10 ms.
fn sent(node: u32, n: u8, ms: u64, accepted: bool) -> Try {
    Try { node, delivery: (message(n), ENDPOINT), key: b'a', rides: false, begun: at(ms), ended: Some(at(ms + 10)), accepted }
}

fn became(n: u8, ms: u64, how: How) -> HistoryEvent {
    HistoryEvent { at: at(ms), delivery: (message(n), ENDPOINT), how }
}

fn accepted(n: u8, ms: u64) -> AcceptedMessage {
    AcceptedMessage { id: message(n), application: APPLICATION, key: b'a', idempotency: None, sent: at(ms), answered: at(ms + 1) }
}

/// Two messages that were accepted and arrived, one after the other, at an endpoint.
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
        tries: vec![sent(1, 1, 30, true), sent(1, 2, 50, true)],
        changes: vec![became(1, 45, How::Succeeded), became(2, 65, How::Succeeded)],
        permits: 2,
        ..Past::default()
    }
}

/// Checks that a change of what is sound is found, and said in such words.
fn check(words: &str, change: impl FnOnce(&mut Past)) {
    let mut past = sound();
    change(&mut past);
    let faults = faults_of(&past);
    assert!(faults.iter().any(|fault| fault.contains(words)), "{words}: {faults:?}");
}

/// Checks that a change of what is sound is no fault.
fn check_fine(change: impl FnOnce(&mut Past)) {
    let mut past = sound();
    change(&mut past);
    assert_eq!(faults_of(&past), Vec::<String>::new());
}

fn lose(past: &mut Past, node: u32, ms: u64, loss: Loss) {
    past.losses.push((at(ms), node, loss));
}

#[test]
fn what_is_sound_is_left_alone() {
    check_fine(|_| {});
}

#[test]
fn what_is_sent_after_it_was_settled_is_found() {
    check("though it was settled", |past| past.tries.push(sent(1, 2, 5_000, false)));
    check_fine(|past| {
        past.changes.push(became(2, 4_000, How::OwedAgain));
        past.tries.push(sent(1, 2, 5_000, false));
    });
}

#[test]
fn a_delivery_that_is_in_flight_twice_is_found() {
    check("in flight twice", |past| past.tries.insert(1, sent(2, 1, 35, true)));
    check_fine(|past| {
        past.endpoints[0].rates = vec![(at(0), None)];
        lose(past, 1, 33, Loss::Ended);
        past.tries.insert(1, sent(2, 1, 35, true));
    });
}

#[test]
fn what_arrives_again_without_a_loss_is_found_and_so_are_too_many() {
    check("had lost nothing", |past| {
        past.changes.remove(0);
        past.tries.push(sent(2, 1, 5_000, true));
    });
    check_fine(|past| {
        past.changes.remove(0);
        lose(past, 1, 100, Loss::Lapsed);
        past.tries.push(sent(2, 1, 5_000, true));
    });
    check("arrived again after 1 losses", |past| {
        past.endpoints[0].ordered = None;
        lose(past, 1, 900_000, Loss::Ended);
        for n in 10..23 {
            past.tries.push(sent(1, n, u64::from(n) * 1_000, true));
            past.tries.push(sent(2, n, 900_000 + u64::from(n) * 1_000, true));
        }
    });
}

#[test]
fn a_target_with_too_many_tries_is_found() {
    check("tries to", |past| {
        past.endpoints[0].ordered = None;
        past.endpoints[0].rates = vec![(at(0), None)];
        (3..6).for_each(|n| past.tries.push(sent(1, n, 100 + u64::from(n), false)));
    });
}

#[test]
fn a_second_beyond_the_rate_is_found_whoever_makes_it() {
    check("in the second from", |past| past.tries.push(sent(2, 3, 1_029, false)));
    check_fine(|past| past.tries.push(sent(2, 3, 1_030, false)));
    check_fine(|past| {
        past.endpoints[0].rates.push((at(900), Some(5)));
        past.tries.push(sent(1, 3, 1_000, false));
    });
    check("in the second from", |past| {
        past.endpoints[0].rates = vec![(at(0), None)];
        past.application_rates.push((APPLICATION, 1));
    });
}

#[test]
fn an_order_that_is_swapped_is_found() {
    let swap = |past: &mut Past| {
        past.tries = vec![sent(1, 2, 30, true), sent(1, 1, 50, true)];
        past.changes = vec![became(2, 45, How::Succeeded), became(1, 65, How::Succeeded)];
    };
    check("before", swap);
    // Of another key, where each has its own order.
    check_fine(|past| {
        swap(past);
        past.accepted[1].key = b'b';
    });
    // One that failed lets others pass where its endpoint says so.
    check_fine(|past| {
        swap(past);
        past.endpoints[0].ordered = Some(OnFailure::Park);
        past.changes.insert(0, became(1, 29, How::Retried));
    });
    check("before", |past| {
        swap(past);
        past.changes.insert(0, became(1, 29, How::Retried));
    });
    // Nothing is promised of what was accepted at once.
    check_fine(|past| {
        swap(past);
        past.accepted[1].sent = at(5);
    });
}

#[test]
fn two_of_one_line_under_way_are_found() {
    check("of one backlog", |past| past.tries[1].begun = at(35));
    check_fine(|past| {
        past.tries[1].begun = at(35);
        past.tries[1].key = b'b';
    });
}

#[test]
fn what_is_sent_after_a_deletion_is_found() {
    let deleted = |past: &mut Past, told| past.endpoints[0].deleted = Some((at(100), Some(told)));
    check("was deleted", |past| {
        deleted(past, 1);
        past.tries.push(sent(1, 3, 5_000, false));
    });
    check_fine(|past| {
        deleted(past, 1);
        past.tries.push(sent(1, 3, 120, false));
        past.endpoints[0].rates = vec![(at(0), None)];
    });
    // Another node hears of it a little later.
    check_fine(|past| {
        past.is_shared = true;
        deleted(past, 2);
        past.tries.push(sent(1, 3, 5_000, false));
    });
}

#[test]
fn a_stale_settlement_that_counts_is_found() {
    check("stale owner", |past| past.stale_settlements.push((at(70), 1)));
    check_fine(|past| past.stale_settlements.push((at(70), 0)));
}

#[test]
fn a_key_that_is_two_messages_is_found() {
    check("accepted as 2 messages", |past| past.accepted.iter_mut().for_each(|message| message.idempotency = Some("k".to_owned())));
}

#[test]
fn what_is_not_accounted_for_is_found() {
    let stands = |state| ExpectedState { message: message(1), deliveries: Some(vec![(ENDPOINT, state)]) };
    let count = |past: &Past, standing| all_is_accounted_for(past, &[standing]).len();
    let past = sound();
    assert_eq!(count(&past, stands(DeliveryState::Succeeded)), 0);
    assert_eq!(count(&past, ExpectedState { message: message(1), deliveries: None }), 1, "it is lost");
    assert_eq!(count(&past, ExpectedState { message: message(1), deliveries: Some(Vec::new()) }), 1, "a delivery is lost");
    assert_eq!(count(&past, stands(DeliveryState::Pending { due_at: hookstream_model::base::time::Timestamp::from_millis(0) })), 1);
    // Each of these says what did not happen.
    for state in [
        DeliveryState::Exhausted { reason: ExhaustedReason::ScheduleEnded },
        DeliveryState::Skipped { reason: SkipReason::EndpointDisabled },
        DeliveryState::Cancelled { reason: CancelReason::EndpointDeleted },
    ] {
        assert_eq!(count(&past, stands(state)), 1, "{state:?}");
    }
    let mut never = sound();
    never.tries[0].accepted = false;
    assert_eq!(count(&never, stands(DeliveryState::Succeeded)), 1, "it did not arrive");
    assert_eq!(count(&never, stands(DeliveryState::Exhausted { reason: ExhaustedReason::ScheduleEnded })), 0);
}

/// Whether a bug that is planted shows in one of some seeds.
fn shows(planted: Planted, words: &str) -> bool {
    (0..20).any(|seed| run(seed, Some(planted)).0.is_err_and(|faults| faults.iter().any(|fault| fault.contains(words))))
}

#[test]
fn a_store_that_loses_settlements_is_found() {
    assert!(shows(Planted::LosesSettlements, "is owed still"));
}

#[test]
fn a_store_that_turns_lines_round_is_found() {
    assert!(shows(Planted::TurnsLinesRound, "which was accepted before it"));
}
