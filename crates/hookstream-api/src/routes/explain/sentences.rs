//! What an explanation says, in sentences. They name operations of the API, as whoever reads them may
//! call it.

use hookstream_model::{
    attempt::Attempt,
    delivery::{CancelReason, DeliveryState, ExhaustedReason, SkipReason},
    endpoint::Endpoint,
    explain::{Act, Change, KeptBack, Remedy, Step, Unmatched},
    ids::EndpointId,
    time::Timestamp,
};
use hookstream_store::messages::{Delivery, Message};

/// The most event types of a filter that are named.
const TYPES_NAMED: usize = 5;
/// The longest error that is repeated in a sentence, in characters; it stands whole with its attempt.
const ERROR_REPEATED: usize = 200;

/// What is spoken of.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) message: &'a Message,
    pub(super) endpoint: EndpointId,
    pub(super) now: Timestamp,
}

/// How a message stands.
pub(super) fn summary(message: &Message, deliveries: &[Delivery], has_no_endpoint: bool, now: Timestamp) -> String {
    if deliveries.is_empty() && has_no_endpoint {
        return "It is for nobody: the application has no endpoint.".to_owned();
    }
    if deliveries.is_empty() {
        return format!("It is for nobody: no endpoint of the application wanted {} when it was accepted.", message.event_type);
    }
    let count = |word: &str| deliveries.iter().filter(|delivery| delivery.state.as_str() == word).count();
    let words = ["succeeded", "pending", "exhausted", "skipped", "cancelled"].map(|word| (word, count(word)));
    let counts: Vec<_> = words.into_iter().filter(|(_, count)| *count > 0).map(|(word, count)| format!("{count} {word}")).collect();
    let endpoints = if deliveries.len() == 1 { "endpoint" } else { "endpoints" };
    let counted = format!("It is for {} {endpoints}: {}.", deliveries.len(), counts.join(", "));
    if message.payload.is_none() {
        return format!("{counted} Its payload has expired and was removed: it cannot be sent again.");
    }
    match deliveries.iter().filter_map(due_at).min() {
        Some(due_at) if due_at > now => format!("{counted} The next try is due at {due_at}."),
        Some(_) => format!("{counted} A try is due now."),
        None => counted,
    }
}

fn due_at(delivery: &Delivery) -> Option<Timestamp> {
    match delivery.state {
        DeliveryState::Pending { due_at } => Some(due_at),
        DeliveryState::Succeeded | DeliveryState::Exhausted { .. } | DeliveryState::Skipped { .. } | DeliveryState::Cancelled { .. } => {
            None
        }
    }
}

/// Why a delivery stands as it does. `step` is that of its next try; none is told where the endpoint was
/// deleted. `kept_back` is what keeps back whatever is due for the endpoint.
pub(super) fn why(
    subject: Subject<'_>,
    delivery: &Delivery,
    step: Option<Step>,
    kept_back: Option<KeptBack>,
    last: Option<&Attempt>,
) -> String {
    let ended_at = delivery.ended_at.unwrap_or(subject.now);
    match delivery.state {
        DeliveryState::Pending { due_at } => why_pending(subject, delivery, due_at, step, kept_back, last),
        DeliveryState::Succeeded => match last {
            Some(last) => format!("It arrived with try {}, at {}.", last.number, last.created_at + last.duration),
            None => "It arrived.".to_owned(),
        },
        DeliveryState::Exhausted { reason } => {
            let after = format!("after {}", tries(delivery.attempts));
            match reason {
                ExhaustedReason::ScheduleEnded => format!("It was given up {after}, at {ended_at}.{}", last_failure(last)),
                ExhaustedReason::Gone => format!("It was given up {after}, at {ended_at}: the receiver answered 410, it is gone."),
                ExhaustedReason::ReceiverAsked => {
                    format!("It was given up {after}, at {ended_at}: the receiver asked for it, with the header webhook-delivery.")
                }
            }
        }
        DeliveryState::Skipped { reason } => match reason {
            SkipReason::EndpointDisabled => format!("The endpoint was disabled when it was to be sent, at {ended_at}."),
            SkipReason::EndpointExpired => format!("The endpoint had expired when it was to be sent, at {ended_at}."),
            SkipReason::Restored => "It was owed when the backup was made that the server was restored from.".to_owned(),
        },
        DeliveryState::Cancelled { reason } => match reason {
            CancelReason::EndpointDeleted => format!("The endpoint was gone when it was to be sent, at {ended_at}."),
            CancelReason::ApplicationDeleted => format!("The application was gone when it was to be sent, at {ended_at}."),
        },
    }
}

fn why_pending(
    subject: Subject<'_>,
    delivery: &Delivery,
    due_at: Timestamp,
    step: Option<Step>,
    kept_back: Option<KeptBack>,
    last: Option<&Attempt>,
) -> String {
    let Some(Step { number, of }) = step else {
        return format!("The endpoint was deleted: it is called off when its next try is due, at {due_at}.");
    };
    let failure = last_failure(last);
    let next = format!("Try {number} of {of} is due");
    let is_taken = delivery.owed.is_some_and(|owed| owed.is_taken);
    if let Some(kept_back) = kept_back.filter(|_| due_at <= subject.now) {
        let why = why_kept_back(subject, kept_back);
        return format!("{failure} {next} since {due_at}. {why}").trim_start().to_owned();
    }
    let next = match (is_taken, due_at > subject.now) {
        (true, _) => format!("{next} since {due_at}: a node has it, and it waits for its endpoint's turn or is being tried."),
        (false, true) => format!("{next} at {due_at}."),
        (false, false) => format!("{next} since {due_at}, and no node has taken it yet."),
    };
    format!("{failure} {next}").trim_start().to_owned()
}

fn why_kept_back(Subject { message, endpoint, now }: Subject<'_>, kept_back: KeptBack) -> String {
    match kept_back {
        KeptBack::Failing { until } if until > now => {
            let reset = format!("POST /v1/applications/{}/endpoints/{endpoint}/reset-circuit", message.application_id);
            format!(
                "The endpoint failed so often in a row that its circuit breaker is open: nothing is sent before {until}, unless you {reset}."
            )
        }
        KeptBack::Failing { .. } => {
            "The endpoint's circuit breaker is half open: one delivery goes at a time until one arrives.".to_owned()
        }
        KeptBack::AskedForTime { until } => format!("The receiver asked for time with Retry-After: nothing is sent before {until}."),
        KeptBack::Order => "The endpoint receives in order: what was accepted before it goes first.".to_owned(),
        KeptBack::Rate => "It waits for its turn by the rate limit of the endpoint or of the application.".to_owned(),
        KeptBack::Batch => {
            "The endpoint takes batches: it waits for others to go with it in one request, at most for its `max_wait_ms`.".to_owned()
        }
    }
}

fn tries(count: u32) -> String {
    if count == 1 { "1 try".to_owned() } else { format!("{count} tries") }
}

/// A sentence after another, or nothing.
fn last_failure(last: Option<&Attempt>) -> String {
    let Some(error) = last.and_then(|last| last.error.as_deref()) else { return String::new() };
    let word = error.split(':').next().unwrap_or(error);
    let told = if error.chars().count() > ERROR_REPEATED { word } else { error };
    format!(" The last try failed ({told}).")
}

/// Why an endpoint has no delivery.
pub(super) fn why_unmatched(subject: Subject<'_>, endpoint: &Endpoint, reason: Unmatched) -> String {
    let event_type = &subject.message.event_type;
    match reason {
        Unmatched::TestOfAnother => "The message was a test of another endpoint.".to_owned(),
        Unmatched::MadeLater => format!("The endpoint was made at {}, after the message was accepted.", endpoint.created_at),
        Unmatched::TypeNotWanted => {
            format!("The endpoint wants {}, and not {event_type}.", named(endpoint.filter_types.as_deref().unwrap_or_default()))
        }
        Unmatched::ChangedLater => {
            format!("As it is now the endpoint wants {event_type}; when the message was accepted it did not.")
        }
    }
}

fn named(types: &[String]) -> String {
    let (first, rest) = types.split_at(types.len().min(TYPES_NAMED));
    let first = first.join(", ");
    if rest.is_empty() { first } else { format!("{first} and {} more", rest.len()) }
}

/// What would make it go; `None` where it arrived.
pub(super) fn remedy(subject: Subject<'_>, remedy: &Remedy) -> Option<String> {
    let Subject { message, endpoint, now } = subject;
    let application = format!("/v1/applications/{}", message.application_id);
    let endpoint = format!("{application}/endpoints/{endpoint}");
    let retry = format!("POST {application}/messages/{}/retry", message.id);
    let recover = format!("POST {endpoint}/recover with {{\"since\":\"{}\"}}", message.id.timestamp());
    let changes: Vec<_> = remedy.changes.iter().map(|change| told(*change, &endpoint, &message.event_type)).collect();
    let changes = changes.join(" and ");
    let first = if changes.is_empty() { String::new() } else { format!("{changes}; then ") };
    let sentence = match remedy.act {
        Act::Nothing => return None,
        Act::Wait { until } if until <= now && changes.is_empty() => {
            "It is tried when its turn comes. Where that lasts, GET /v1/nodes shows whether a node delivers and how far behind it is."
                .to_owned()
        }
        Act::Wait { until } if changes.is_empty() => {
            format!("It is tried again at {until} by itself; {retry} sends it at once, to every endpoint that wants it.")
        }
        Act::Wait { until } => format!("{changes} before {until}: as it is, the endpoint is passed over then."),
        Act::Retry => format!("{first}{retry} sends it to every endpoint that is active and wants it, also where it arrived."),
        Act::Recover => format!("{first}{recover} sends what the endpoint missed since."),
        Act::RetryOrRecover => {
            format!(
                "{first}{retry} sends this message again, to every endpoint that wants it; {recover} sends this one all that it missed since."
            )
        }
        Act::SendAnew => {
            format!("its payload has expired and was removed: POST {application}/messages sends it as a new message, with a new id.")
        }
        Act::MakeEndpoint => format!("The endpoint was deleted: make another, then {retry} sends it there."),
    };
    Some(capitalized(&sentence))
}

fn told(change: Change, endpoint: &str, event_type: &str) -> String {
    match change {
        Change::Enable => format!("enable the endpoint (PATCH {endpoint} with {{\"status\":\"active\"}})"),
        Change::Extend => format!("move or remove its expires_at (PATCH {endpoint} with {{\"expires_at\":null}})"),
        Change::WidenFilter => format!("add {event_type} to its filter_types (PATCH {endpoint})"),
    }
}

fn capitalized(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hookstream_model::{
        delivery::Trigger,
        ids::{ApplicationId, MessageId, TargetId},
        message::{DeliveryCounts, Payload},
    };
    use hookstream_store::messages::Owed;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_780_000_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    fn message() -> Message {
        Message {
            id: MessageId::from_bytes([0; 16]),
            application_id: ApplicationId::from_bytes([1; 16]),
            event_type: "invoice.paid".to_owned(),
            payload: Some(Payload::from_json(None).expect("null")),
            event_id: None,
            counts: DeliveryCounts::default(),
            updated_at: NOW,
        }
    }

    fn delivery(state: DeliveryState) -> Delivery {
        Delivery { target_id: TargetId::from_bytes([2; 16]), state, attempts: 1, ended_at: Some(NOW), owed: None }
    }

    fn pending(due_at: Timestamp, is_taken: bool) -> Delivery {
        let owed = Some(Owed { failed: 1, trigger: Trigger::Automatic, is_taken, is_in_line: false });
        Delivery { owed, ended_at: None, ..delivery(DeliveryState::Pending { due_at }) }
    }

    fn failed(error: &str) -> Attempt {
        Attempt {
            id: hookstream_model::ids::AttemptId::from_bytes([3; 16]),
            message_id: MessageId::from_bytes([0; 16]),
            target_id: TargetId::from_bytes([2; 16]),
            number: 1,
            trigger: Trigger::Initial,
            succeeded: false,
            response_status: None,
            response_body: None,
            duration: Duration::ZERO,
            waterfall: None,
            error: Some(error.to_owned()),
            created_at: NOW,
        }
    }

    #[test]
    fn a_summary_counts_and_says_what_is_next() {
        let message = message();
        let check = |deliveries: &[Delivery], has_no_endpoint, expected: &str| {
            assert_eq!(summary(&message, deliveries, has_no_endpoint, NOW), expected);
        };
        check(&[], true, "It is for nobody: the application has no endpoint.");
        check(&[], false, "It is for nobody: no endpoint of the application wanted invoice.paid when it was accepted.");
        check(&[delivery(DeliveryState::Succeeded)], false, "It is for 1 endpoint: 1 succeeded.");
        check(
            &[delivery(DeliveryState::Succeeded), pending(NOW + MINUTE, false), pending(NOW + MINUTE * 2, false)],
            false,
            "It is for 3 endpoints: 1 succeeded, 2 pending. The next try is due at 2026-05-28T20:27:40.000Z.",
        );
        check(&[pending(NOW, true)], false, "It is for 1 endpoint: 1 pending. A try is due now.");
    }

    #[test]
    fn a_delivery_says_why_it_stands_so() {
        let message = message();
        let subject = Subject { message: &message, endpoint: EndpointId::from_bytes([2; 16]), now: NOW };
        let step = Some(Step { number: 2, of: 10 });
        let check = |delivery: &Delivery, step, error: Option<&str>, expected: &str| {
            let last = error.map(failed);
            assert_eq!(why(subject, delivery, step, None, last.as_ref()), expected);
        };
        let refused = Some("http_status: the receiver answered 503");
        check(
            &pending(NOW + MINUTE, false),
            step,
            refused,
            "The last try failed (http_status: the receiver answered 503). Try 2 of 10 is due at 2026-05-28T20:27:40.000Z.",
        );
        check(&pending(NOW, false), step, None, "Try 2 of 10 is due since 2026-05-28T20:26:40.000Z, and no node has taken it yet.");
        check(
            &pending(NOW, true),
            step,
            None,
            "Try 2 of 10 is due since 2026-05-28T20:26:40.000Z: a node has it, and it waits for its endpoint's turn or is being tried.",
        );
        check(
            &pending(NOW, false),
            None,
            refused,
            "The endpoint was deleted: it is called off when its next try is due, at 2026-05-28T20:26:40.000Z.",
        );
        check(
            &delivery(DeliveryState::Exhausted { reason: ExhaustedReason::ScheduleEnded }),
            None,
            Some(&format!("redirect_refused: {}", "x".repeat(300))),
            "It was given up after 1 try, at 2026-05-28T20:26:40.000Z. The last try failed (redirect_refused).",
        );
        check(
            &delivery(DeliveryState::Skipped { reason: SkipReason::EndpointDisabled }),
            None,
            None,
            "The endpoint was disabled when it was to be sent, at 2026-05-28T20:26:40.000Z.",
        );
    }

    #[test]
    fn what_keeps_a_delivery_back_is_told_once_it_is_due() {
        let message = message();
        let subject = Subject { message: &message, endpoint: EndpointId::from_bytes([2; 16]), now: NOW };
        let step = Some(Step { number: 1, of: 10 });
        let check = |due_at, kept_back, expected: &str| {
            let told = why(subject, &pending(due_at, false), step, Some(kept_back), None);
            assert!(told.contains(expected), "{told}");
        };
        check(NOW + MINUTE, KeptBack::Order, "Try 1 of 10 is due at 2026-05-28T20:27:40.000Z.");
        check(NOW, KeptBack::Order, "since 2026-05-28T20:26:40.000Z. The endpoint receives in order");
        check(NOW, KeptBack::Rate, "rate limit");
        check(NOW, KeptBack::AskedForTime { until: NOW + MINUTE }, "nothing is sent before 2026-05-28T20:27:40.000Z.");
        check(NOW, KeptBack::Failing { until: NOW + MINUTE }, "0202/reset-circuit.");
        check(NOW, KeptBack::Failing { until: NOW }, "half open");
    }

    #[test]
    fn a_remedy_names_what_to_call() {
        let message = message();
        let subject = Subject { message: &message, endpoint: EndpointId::from_bytes([2; 16]), now: NOW };
        let application = format!("/v1/applications/{}", "01".repeat(16));
        let retry = format!("POST {application}/messages/{}/retry", "00".repeat(16));
        let endpoint = format!("{application}/endpoints/{}", "02".repeat(16));
        let recover = format!("POST {endpoint}/recover with {{\"since\":\"1970-01-01T00:00:00.000Z\"}}");
        let enable = format!("nable the endpoint (PATCH {endpoint} with {{\"status\":\"active\"}})");
        let check = |changes: &[Change], act, expected: &str| {
            let found = remedy(subject, &Remedy { changes: changes.to_vec(), act });
            assert_eq!(found.as_deref(), Some(expected), "{changes:?} {act:?}");
        };
        assert_eq!(remedy(subject, &Remedy { changes: vec![], act: Act::Nothing }), None);
        let until = NOW + MINUTE;
        check(
            &[],
            Act::Wait { until },
            &format!("It is tried again at 2026-05-28T20:27:40.000Z by itself; {retry} sends it at once, to every endpoint that wants it."),
        );
        check(
            &[Change::Enable],
            Act::Wait { until },
            &format!("E{enable} before 2026-05-28T20:27:40.000Z: as it is, the endpoint is passed over then."),
        );
        check(
            &[Change::Enable, Change::WidenFilter],
            Act::Retry,
            &format!(
                "E{enable} and add invoice.paid to its filter_types (PATCH {endpoint}); then {retry} sends it to every endpoint that is \
                    active and wants it, also where it arrived."
            ),
        );
        check(
            &[],
            Act::RetryOrRecover,
            &format!(
                "{retry} sends this message again, to every endpoint that wants it; {recover} sends this one all that it missed since."
            ),
        );
        check(&[], Act::Recover, &format!("{recover} sends what the endpoint missed since."));
        check(
            &[],
            Act::SendAnew,
            &format!("Its payload has expired and was removed: POST {application}/messages sends it as a new message, with a new id."),
        );
        check(&[], Act::MakeEndpoint, &format!("The endpoint was deleted: make another, then {retry} sends it there."));
    }

    #[test]
    fn a_long_filter_is_cut_short() {
        let types: Vec<_> = (0..7).map(|number| format!("type.{number}")).collect();
        assert_eq!(named(&types), "type.0, type.1, type.2, type.3, type.4 and 2 more");
        assert_eq!(named(&types[..1]), "type.0");
    }
}
