//! Counting, without a store.

use std::time::Duration;

use hookstream_model::{
    base::ids::AttemptId,
    delivery::state::{ExhaustedReason, Trigger},
};
use hookstream_store::{delivery::deliveries::Wait, operations::metrics::Range};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_795_521_600_000);
const MINUTE: Duration = Duration::from_secs(60);
const ENVIRONMENT: EnvironmentId = EnvironmentId::from_bytes([1; 16]);
const ORIGIN: OriginId = OriginId::from_bytes([2; 16]);
const ROUTE: RouteId = RouteId::from_bytes([3; 16]);
const TYPE: &str = "invoice.paid";
const EXHAUSTED: Next = Next::Ended(DeliveryState::Exhausted { reason: ExhaustedReason::ScheduleEnded }, NOW);

fn message(at: Timestamp) -> MessageId {
    MessageId::before_all_at(at)
}

fn subject(at: Timestamp) -> Subject<'static> {
    Subject { environment: ENVIRONMENT, origin: ORIGIN, event_type: TYPE, message: message(at) }
}

fn attempt(at: Timestamp, status: u16) -> Attempt {
    let succeeded = (200..300).contains(&status);
    Attempt {
        id: AttemptId::from_bytes([4; 16]),
        message_id: message(at),
        route_id: ROUTE,
        number: 1,
        trigger: Trigger::Initial,
        succeeded,
        response_status: Some(status),
        response_body: None,
        response_headers: None,
        duration: Duration::from_millis(12),
        waterfall: None,
        error: (!succeeded).then(|| format!("http_status: the receiver answered {status}")),
        created_at: at,
    }
}

fn record(metrics: &Metrics, accepted_at: Timestamp, attempt: Option<&Attempt>, next: Next) {
    metrics.recorded([Recorded { subject: subject(accepted_at), route: ROUTE, attempt, next }].into_iter(), NOW);
}

/// Returns the rows of a subject and resolution.
fn rows(metrics: &Metrics, scope: Scope, resolution: Resolution) -> Vec<(Timestamp, Amounts)> {
    let range = Range { environment: ENVIRONMENT, scope, resolution, from: Timestamp::EPOCH, before: NOW + Duration::from_secs(86_400) };
    metrics.unwritten(&range, NOW)
}

fn scopes() -> [Scope; 4] {
    [Scope::Environment, Scope::Origin(ORIGIN), Scope::Route(ROUTE), Scope::EventType(TYPE.to_owned())]
}

#[test]
fn delivered_message_counts_for_each_subject_and_resolution() {
    let metrics = Metrics::default();
    metrics.accepted(subject(NOW), [(ROUTE, false)].into_iter());
    record(&metrics, NOW, Some(&attempt(NOW, 200)), Next::Succeeded);
    for scope in scopes() {
        // A route gets deliveries; messages belong to its origin.
        let messages = i64::from(!matches!(scope, Scope::Route(_)));
        for resolution in Resolution::ALL {
            let found = rows(&metrics, scope.clone(), resolution);
            let [(start, Amounts { stats, .. })] = &found[..] else { panic!("{scope:?} {resolution:?}: {found:?}") };
            assert_eq!(*start, resolution.start(NOW));
            assert_eq!((stats.messages, stats.accepted, stats.arrived, stats.ended), (messages, 1, 1, 0), "{scope:?}");
            assert_eq!((stats.succeeded, stats.failed, stats.latencies.count()), (1, 0, 1));
        }
    }
}

#[test]
fn message_without_deliveries_counts_as_message() {
    let metrics = Metrics::default();
    metrics.accepted(subject(NOW), std::iter::empty());
    let stats = |scope| rows(&metrics, scope, Resolution::Day).first().map(|(_, amounts)| amounts.stats);
    for scope in [Scope::Environment, Scope::Origin(ORIGIN), Scope::EventType(TYPE.to_owned())] {
        assert_eq!(stats(scope), Some(Stats { messages: 1, ..Stats::default() }));
    }
    assert_eq!(stats(Scope::Route(ROUTE)), None);
}

#[test]
fn late_arrival_counts_when_it_fell_due_and_its_attempt_when_it_was_made() {
    let (metrics, due) = (Metrics::default(), NOW - MINUTE * 10);
    metrics.accepted(subject(due), [(ROUTE, false)].into_iter());
    record(&metrics, due, Some(&attempt(due, 500)), Next::Retry { wait: Wait::until(NOW), failed: 1 });
    record(&metrics, due, Some(&attempt(NOW, 200)), Next::Succeeded);
    for scope in scopes() {
        let found = rows(&metrics, scope, Resolution::Minute);
        let [(first, of_first), (second, of_second)] = &found[..] else { panic!("two minutes: {found:?}") };
        assert_eq!((*first, *second), (due, NOW));
        let of = |stats: Stats| [stats.accepted, stats.arrived, stats.succeeded, stats.failed];
        assert_eq!((of(of_first.stats), of(of_second.stats)), ([1, 1, 0, 1], [0, 0, 1, 0]));
        let error = ErrorKey { word: "http_status".to_owned(), status: 500 };
        assert_eq!((&of_first.errors, &of_second.errors), (&BTreeMap::from([(error, 1)]), &BTreeMap::new()));
    }
}

#[test]
fn delivery_that_ends_without_an_attempt_is_counted() {
    let metrics = Metrics::default();
    metrics.accepted(subject(NOW), [(ROUTE, false), (RouteId::from_bytes([9; 16]), true)].into_iter());
    record(&metrics, NOW, None, EXHAUSTED);
    record(&metrics, NOW, None, Next::Postponed { wait: Wait::until(NOW) });
    let stats = rows(&metrics, Scope::Environment, Resolution::Day)[0].1.stats;
    // One ended now, one was skipped when it was accepted.
    assert_eq!((stats.accepted, stats.ended, stats.pending(), stats.attempts()), (2, 2, 0, 0));
}

#[test]
fn requeued_delivery_is_pending_again() {
    let check = |before: Before, expected: [i64; 3]| {
        let metrics = Metrics::default();
        metrics.requeued(subject(NOW), ROUTE, before, NOW);
        let stats = rows(&metrics, Scope::Route(ROUTE), Resolution::Day).first().map(|(_, amounts)| amounts.stats).unwrap_or_default();
        assert_eq!([stats.accepted, stats.arrived, stats.ended], expected, "{before:?}");
    };
    check(Before::Pending, [0, 0, 0]);
    check(Before::Arrived, [0, -1, 0]);
    check(Before::Ended, [0, 0, -1]);
    check(Before::Missing, [1, 0, 0]);
}

#[test]
fn old_messages_have_no_minutes() {
    let (metrics, old) = (Metrics::default(), NOW - Resolution::MINUTES_KEPT - MINUTE);
    for minute in 0..10 {
        record(&metrics, old - MINUTE * minute, None, EXHAUSTED);
    }
    assert_eq!(metrics.counted().cells, 2, "all are of one half hour");
    assert_eq!(rows(&metrics, Scope::Environment, Resolution::Minute), []);
    let half_hours = rows(&metrics, Scope::Environment, Resolution::HalfHour);
    assert_eq!(half_hours.iter().map(|(_, amounts)| amounts.stats.ended).sum::<i64>(), 10);
}

#[test]
fn number_of_cells_is_bounded_and_the_environment_stays_exact() {
    let metrics = Metrics::default();
    let messages = u32::try_from(MAX_CELLS).expect("it fits") + 5;
    for number in 0..messages {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        metrics.accepted(subject(NOW), [(RouteId::from_bytes(id), false)].into_iter());
    }
    assert_eq!(metrics.counted().cells, MAX_CELLS);
    // The origin's messages and the event type share the room.
    assert_eq!(metrics.counted().left_out, 5 + 2);
    let stats = |scope| rows(&metrics, scope, Resolution::Minute)[0].1.stats;
    let of_environment = stats(Scope::Environment);
    assert_eq!((of_environment.accepted, of_environment.messages), (i64::from(messages), i64::from(messages)));
    assert_eq!(stats(Scope::EventType(TYPE.to_owned())).accepted, i64::from(messages));
}

#[test]
fn errors_beyond_the_limit_are_counted_together() {
    let metrics = Metrics::default();
    for status in 400..500 {
        record(&metrics, NOW, Some(&attempt(NOW, status)), Next::Retry { wait: Wait::until(NOW), failed: 1 });
    }
    let errors = rows(&metrics, Scope::Route(ROUTE), Resolution::Day)[0].1.errors.clone();
    assert_eq!((errors.len(), errors.values().sum::<i64>()), (ErrorKey::MAX + 1, 100));
    assert_eq!(errors[&ErrorKey::other()], 100 - i64::try_from(ErrorKey::MAX).expect("it fits"));
}

#[test]
fn rows_that_the_store_refused_are_added_again() {
    let metrics = Metrics::default();
    metrics.accepted(subject(NOW), [(ROUTE, false)].into_iter());
    metrics.gather(NOW);
    let keys = metrics.waiting(|resolution| resolution == Resolution::Minute);
    let taken = metrics.take(&keys);
    assert_eq!((taken.len(), metrics.waiting(|_| true).len()), (4, 8));
    metrics.accepted(subject(NOW), [(ROUTE, false)].into_iter());
    metrics.gather(NOW);
    metrics.put_back(taken);
    assert_eq!(rows(&metrics, Scope::Environment, Resolution::Minute)[0].1.stats.accepted, 2);
}
