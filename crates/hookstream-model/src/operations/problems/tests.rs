//! Tables of facts and what is wrong with them.

use super::*;
use crate::delivery::hold::HoldReason;

const NOW: Timestamp = Timestamp::from_millis(1_795_521_600_000);
const HOUR: Duration = Duration::from_secs(3600);
const DISABLE_AFTER: Duration = Duration::from_secs(5 * 24 * 3600);

fn healthy() -> EndpointFacts {
    EndpointFacts {
        application_id: ApplicationId::from_bytes([1; 16]),
        endpoint_id: EndpointId::from_bytes([2; 16]),
        status: EndpointStatus::Active,
        disabled_reason: None,
        disabled_at: None,
        failing_since: None,
        hold: None,
        rate_limit: None,
        pending: 3,
        oldest: Some(NOW),
        day: Stats { accepted: 100, arrived: 97, ..Stats::default() },
        arriving: 1.0,
        leaving: Some(2.0),
        error: None,
    }
}

fn error(word: &str, status: u16) -> Option<ErrorKey> {
    Some(ErrorKey { word: word.to_owned(), status })
}

fn check(facts: &EndpointFacts, expected: Option<(Kind, Severity, &str, Remedy)>) {
    let found = of_endpoint(facts, DISABLE_AFTER, NOW);
    let found = found.map(|problem| (problem.kind, problem.severity, problem.cause.code(), problem.remedy));
    let expected = expected.map(|(kind, severity, code, remedy)| (kind, severity, code.to_owned(), remedy));
    assert_eq!(found, expected, "{facts:?}");
}

#[test]
fn healthy_and_paused_endpoints_have_no_problem() {
    check(&healthy(), None);
    let missed = Stats { ended: 5, ..healthy().day };
    check(&EndpointFacts { status: EndpointStatus::Paused, pending: 10_000, day: missed, ..healthy() }, None);
}

#[test]
fn disabled_endpoint_is_shown_for_a_week_unless_a_user_disabled_it() {
    let disabled = |reason, ago| EndpointFacts {
        status: EndpointStatus::Disabled,
        disabled_reason: reason,
        disabled_at: Some(NOW - ago),
        ..healthy()
    };
    let expected = |code| Some((Kind::EndpointDisabled, Severity::Critical, code, Remedy::EnableAndRecover));
    check(&disabled(Some(DisabledReason::KeptFailing), HOUR), expected("disabled_kept_failing"));
    check(&disabled(Some(DisabledReason::Gone), HOUR * 24 * 6), expected("disabled_gone"));
    check(&disabled(Some(DisabledReason::Gone), HOUR * 24 * 8), None);
    check(&disabled(None, HOUR), None);
}

#[test]
fn open_circuit_says_since_when_and_what_helps() {
    let open = |error| EndpointFacts {
        hold: Some(Hold::new(HoldReason::Failing, NOW - HOUR, NOW + HOUR)),
        failing_since: Some(NOW - HOUR * 2),
        error,
        ..healthy()
    };
    let expected = |code, remedy| Some((Kind::CircuitOpen, Severity::Critical, code, remedy));
    check(&open(error("http_status", 503)), expected("http_status", Remedy::ProbeNow));
    check(&open(None), expected("no_attempt", Remedy::ProbeNow));
    check(&open(error("tls_expired", 0)), expected("tls_expired", Remedy::NotifyCustomer));
    check(&open(error("http_status", 401)), expected("http_status", Remedy::NotifyCustomer));
    let problem = of_endpoint(&open(None), DISABLE_AFTER, NOW).expect("a problem");
    assert_eq!((problem.since, problem.disables_at), (Some(NOW - HOUR), Some(NOW - HOUR * 2 + DISABLE_AFTER)));
    // A wait that the receiver asked for is no failure.
    let asked = EndpointFacts { hold: Some(Hold::new(HoldReason::RetryAfter, NOW, NOW + HOUR)), ..healthy() };
    check(&asked, None);
}

#[test]
fn failing_endpoint_becomes_critical_a_day_before_it_is_disabled() {
    let failing = |ago| EndpointFacts { failing_since: Some(NOW - ago), error: error("timeout", 0), ..healthy() };
    let expected = |severity| Some((Kind::EndpointFailing, severity, "timeout", Remedy::NotifyCustomer));
    check(&failing(Duration::from_secs(59)), None);
    check(&failing(Duration::from_secs(60)), expected(Severity::Warning));
    check(&failing(HOUR * 24 * 4), expected(Severity::Warning));
    check(&failing(HOUR * 24 * 4 + Duration::from_secs(1)), expected(Severity::Critical));
}

#[test]
fn backlog_is_a_problem_if_it_is_long_old_and_grows() {
    let backlog = |pending, age, arriving, leaving, rate_limit| EndpointFacts {
        pending,
        oldest: Some(NOW - age),
        arriving,
        leaving,
        rate_limit,
        ..healthy()
    };
    let expected = |code, remedy| Some((Kind::BacklogGrowing, Severity::Warning, code, remedy));
    check(&backlog(500, HOUR, 20.0, Some(10.0), None), expected("slow", Remedy::NotifyCustomer));
    check(&backlog(500, HOUR, 20.0, Some(10.0), Some(10)), expected("rate_limit", Remedy::RaiseLimit));
    check(&backlog(500, HOUR, 20.0, None, Some(100)), expected("slow", Remedy::NotifyCustomer));
    check(&backlog(500, HOUR, 5.0, Some(10.0), None), None);
    check(&backlog(99, HOUR, 20.0, Some(10.0), None), None);
    check(&backlog(500, Duration::from_secs(60), 20.0, Some(10.0), None), None);
}

#[test]
fn missed_deliveries_are_recovered_once_the_endpoint_works() {
    let missed = EndpointFacts { day: Stats { ended: 7, ..healthy().day }, ..healthy() };
    check(&missed, Some((Kind::DeliveriesMissed, Severity::Warning, "missed", Remedy::Recover)));
    assert_eq!(of_endpoint(&missed, DISABLE_AFTER, NOW).map(|problem| problem.waiting), Some(7));
    check(&EndpointFacts { failing_since: Some(NOW), ..missed }, None);
}

#[test]
fn storage_quota_and_node_have_thresholds() {
    let severity = |problem: Option<Problem>| problem.map(|problem| problem.severity);
    assert_eq!(
        [None, Some(4), Some(3), Some(0)].map(|days| severity(of_storage(days))),
        [None, None, Some(Severity::Notice), Some(Severity::Warning)]
    );
    for (used, limit, expected) in [
        (89, Some(100), None),
        (90, Some(100), Some(Severity::Notice)),
        (100, Some(100), Some(Severity::Critical)),
        (0, Some(0), Some(Severity::Critical)),
        (u64::MAX, None, None),
    ] {
        assert_eq!(severity(of_quota(used, limit)), expected, "{used} of {limit:?}");
    }
    let node = |lapses_at| severity(of_node(7, "hooks-1", lapses_at, NOW));
    assert_eq!([node(None), node(Some(NOW)), node(Some(NOW - HOUR))], [None, None, Some(Severity::Warning)]);
}

#[test]
fn worst_problem_is_first() {
    let waiting = |waiting, problem: Option<Problem>| Problem { waiting, ..problem.expect("a problem") };
    let (few, many) = (waiting(3, of_storage(Some(0))), waiting(9, of_storage(Some(0))));
    let critical = waiting(0, of_quota(1, Some(1)));
    let mut problems = [few.clone(), critical.clone(), many.clone()];
    sort(&mut problems);
    assert_eq!(problems, [critical, many, few]);
}
