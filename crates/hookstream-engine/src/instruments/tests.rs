//! Tests of what the instruments count.

use hookstream_model::{
    base::ids::{AttemptId, EnvironmentId, RouteId},
    delivery::{
        outcome::FailureKind,
        state::{DeliveryState, ExhaustedReason, Trigger},
        timings::Timings,
    },
};
use prometheus_client::encoding::text;

use super::*;
use crate::upkeep::metrics::Subject;

fn id(millis: u64, tail: u8) -> [u8; 16] {
    let mut bytes = [tail; 16];
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    bytes
}

fn attempt(number: u32, error: Option<&str>) -> Attempt {
    Attempt {
        id: AttemptId::from_bytes([1; 16]),
        message_id: MessageId::from_bytes(id(1_000, 2)),
        route_id: RouteId::from_bytes([3; 16]),
        number,
        trigger: if number == 1 { Trigger::Initial } else { Trigger::Automatic },
        succeeded: error.is_none(),
        response_status: None,
        response_body: None,
        response_headers: None,
        duration: Duration::from_millis(30),
        waterfall: Some(Waterfall {
            queue: Duration::from_millis(4),
            exchange: Timings { connect: Some(Duration::from_millis(2)), ..Timings::default() },
        }),
        error: error.map(str::to_owned),
        created_at: Timestamp::from_millis(1_020),
    }
}

fn recorded<'a>(attempt: &'a Attempt, origin: u8, next: Next) -> Recorded<'a> {
    let subject = Subject {
        environment: EnvironmentId::from_bytes([4; 16]),
        origin: OriginId::from_bytes([origin; 16]),
        event_type: "invoice.paid",
        message: attempt.message_id,
    };
    Recorded { subject, route: attempt.route_id, attempt: Some(attempt), next }
}

/// Returns the exposed lines that begin with a text, without what is behind the value.
fn exposed(instruments: &Instruments, beginning: &str) -> Vec<String> {
    let mut registry = Registry::with_prefix("hookstream");
    instruments.register(&mut registry);
    let mut all = String::new();
    text::encode(&mut all, &registry).expect("text");
    let lines = all.lines().filter(|line| line.starts_with(beginning));
    let mut lines: Vec<_> = lines.map(|line| line.split(" # ").next().unwrap_or(line).to_owned()).collect();
    lines.sort();
    lines
}

#[test]
fn recorded_attempts_are_counted_by_outcome_error_and_trigger() {
    let instruments = Instruments::default();
    let (first, second) = (attempt(1, Some("timeout: no answer within 20 s")), attempt(2, None));
    let failed = Next::Ended(DeliveryState::Exhausted { reason: ExhaustedReason::Gone }, Timestamp::from_millis(1_050));
    instruments.recorded([recorded(&first, 7, failed), recorded(&second, 7, Next::Succeeded)].into_iter());
    let timeout = FailureKind::Timeout.as_str();
    assert_eq!(
        exposed(&instruments, "hookstream_attempts_total"),
        [
            "hookstream_attempts_total{outcome=\"failed\",error=\"ERROR\",trigger=\"initial\"} 1".replace("ERROR", timeout),
            "hookstream_attempts_total{outcome=\"success\",error=\"\",trigger=\"automatic\"} 1".to_owned(),
        ]
    );
    assert_eq!(
        exposed(&instruments, "hookstream_deliveries_ended_total"),
        ["hookstream_deliveries_ended_total{outcome=\"exhausted\"} 1", "hookstream_deliveries_ended_total{outcome=\"succeeded\"} 1"]
    );
    assert_eq!(
        exposed(&instruments, "hookstream_attempt_duration_seconds_count"),
        ["connect", "dns", "first_byte", "read", "tls", "total", "write"].map(|phase| {
            let count = if ["connect", "total"].contains(&phase) { 2 } else { 0 };
            format!("hookstream_attempt_duration_seconds_count{{phase=\"{phase}\"}} {count}")
        })
    );
}

#[test]
fn latency_counts_from_the_acceptance_of_the_message() {
    let instruments = Instruments::default();
    let (first, second) = (attempt(1, Some("timeout: no answer")), attempt(2, None));
    let retry = Next::Ended(DeliveryState::Exhausted { reason: ExhaustedReason::Gone }, Timestamp::from_millis(0));
    instruments.recorded([recorded(&first, 7, retry), recorded(&second, 7, Next::Succeeded)].into_iter());
    // 20 ms to the first attempt; 50 ms to the arrival of the second.
    assert_eq!(
        exposed(&instruments, "hookstream_delivery_latency_seconds_sum"),
        [
            "hookstream_delivery_latency_seconds_sum{until=\"arrival\"} 0.05",
            "hookstream_delivery_latency_seconds_sum{until=\"first_attempt\"} 0.02"
        ]
    );
    let mut registry = Registry::default();
    instruments.register(&mut registry);
    let mut all = String::new();
    text::encode(&mut all, &registry).expect("text");
    let message = MessageId::from_bytes(id(1_000, 2)).to_string();
    assert!(all.contains(&format!("# {{message_id=\"{message}\"}} 0.05 1.05")), "an exemplar: {all}");
}

#[test]
fn applications_beyond_the_limit_count_together() {
    let instruments = Instruments::new(2);
    for origin in [1, 2, 3, 4, 1] {
        instruments.accepted(OriginId::from_bytes([origin; 16]), 1, 0);
    }
    let label = |origin: u8| OriginId::from_bytes([origin; 16]).to_string();
    let mut expected = [(label(1), 2), (label(2), 1), ("other".to_owned(), 2)]
        .map(|(application, count)| format!("hookstream_application_messages_accepted_total{{application=\"{application}\"}} {count}"));
    expected.sort();
    assert_eq!(exposed(&instruments, "hookstream_application_messages"), expected);
    assert_eq!(exposed(&Instruments::default(), "hookstream_application"), Vec::<String>::new(), "off unless asked for");
}

#[test]
fn skipped_deliveries_of_a_new_message_have_ended() {
    let instruments = Instruments::default();
    instruments.accepted(OriginId::from_bytes([1; 16]), 3, 2);
    assert_eq!(exposed(&instruments, "hookstream_deliveries_accepted_total"), ["hookstream_deliveries_accepted_total 3"]);
    let ended = exposed(&instruments, "hookstream_deliveries_ended_total{outcome=\"skipped\"}");
    assert_eq!(ended, ["hookstream_deliveries_ended_total{outcome=\"skipped\"} 2"]);
}

/// Prints what counting a recorded attempt costs: with a batch of one, the usual size under light load, and of 100.
#[test]
#[ignore = "a measurement: cargo test --release -p hookstream-engine cost_of_counting -- --ignored --nocapture"]
fn cost_of_counting_an_attempt() {
    let instruments = Instruments::default();
    let full = Attempt {
        waterfall: Some(Waterfall {
            queue: Duration::from_millis(1),
            exchange: Timings {
                connect: Some(Duration::from_millis(2)),
                write: Some(Duration::from_millis(1)),
                first_byte: Some(Duration::from_millis(9)),
                read: Some(Duration::from_millis(1)),
                ..Timings::default()
            },
        }),
        ..attempt(1, None)
    };
    for size in [1, 100] {
        let begun = std::time::Instant::now();
        for _ in 0..1_000_000 / size {
            instruments.recorded((0..size).map(|_| recorded(&full, 7, Next::Succeeded)));
        }
        println!("batches of {size}: {:.3} µs an attempt", begun.elapsed().as_secs_f64());
    }
}
