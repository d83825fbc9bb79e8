//! Statements of an explanation: each as a sentence for users, and as a code with parameters for programs. A sentence
//! says an act in words; the parameter `requests` names the operations of the API that do it.

use hookstream_model::{
    base::{ids::EndpointId, time::Timestamp},
    delivery::{
        attempt::Attempt,
        explain::{EndpointChange, Remedy, RemedyAction, ScheduledAttempt, Unmatched, WaitReason},
        state::{CancelReason, DeliveryState, ExhaustedReason, SkipReason},
    },
    outbound::endpoint::Endpoint,
};
use hookstream_store::delivery::messages::{Delivery, Message};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// Maximum number of event types of a filter that are named.
const TYPES_NAMED: usize = 5;
/// Maximum length of an error, or of the start of a response, in a sentence; in characters. The attempt has both in
/// full.
const REPEATED: usize = 200;

/// Statement of an explanation.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Statement {
    /// Stable word for programs.
    #[schema(example = "next_attempt_due")]
    pub(super) code: &'static str,
    /// Sentence for people.
    #[schema(example = "Attempt 2 of 10 is due at 2026-11-24T08:05:00.000Z.")]
    pub(super) sentence: String,
    /// Values in the sentence, depending on `code`. Advice has `requests`: the operations that follow it, each with `operation` (its
    /// id), `request` (method and path) and, where it does not depend on the present state, `body`.
    #[schema(value_type = Object)]
    pub(super) params: Value,
}

impl Statement {
    fn new(code: &'static str, sentence: impl Into<String>, params: Value) -> Self {
        Self { code, sentence: sentence.into(), params }
    }
}

/// Returns the sentences of statements as one text.
pub(super) fn text(statements: &[Statement]) -> String {
    statements.iter().map(|statement| statement.sentence.as_str()).collect::<Vec<_>>().join(" ")
}

/// Subject of the statements.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) message: &'a Message,
    pub(super) endpoint: EndpointId,
    pub(super) now: Timestamp,
}

/// Returns the status of a message.
pub(super) fn summary(message: &Message, deliveries: &[Delivery], has_no_endpoint: bool, now: Timestamp) -> Vec<Statement> {
    let event_type = &message.event_type;
    if deliveries.is_empty() && has_no_endpoint {
        return vec![Statement::new("no_endpoints", "No endpoints matched: the application has none.", json!({}))];
    }
    if deliveries.is_empty() {
        let channels =
            if message.channels.is_empty() { String::new() } else { format!(" on the channels {}", message.channels.join(", ")) };
        let sentence = format!("No endpoints matched: none was subscribed to {event_type}{channels} when the message was accepted.");
        return vec![Statement::new("no_match", sentence, json!({ "event_type": event_type, "channels": message.channels }))];
    }
    let count = |word: &str| deliveries.iter().filter(|delivery| delivery.state.as_str() == word).count();
    let words = ["succeeded", "pending", "exhausted", "skipped", "cancelled"].map(|word| (word, count(word)));
    let counts: Vec<_> = words.into_iter().filter(|(_, count)| *count > 0).map(|(word, count)| format!("{count} {word}")).collect();
    let endpoints = if deliveries.len() == 1 { "endpoint" } else { "endpoints" };
    let sentence = format!("Matched {} {endpoints}: {}.", deliveries.len(), counts.join(", "));
    let mut params = serde_json::Map::from_iter(words.map(|(word, count)| (word.to_owned(), json!(count))));
    params.insert("matched".to_owned(), json!(deliveries.len()));
    let mut statements = vec![Statement::new("matched", sentence, Value::Object(params))];
    if message.payload.is_none() {
        let sentence = "The payload has expired and was removed; the message cannot be sent again.";
        statements.push(Statement::new("payload_expired", sentence, json!({})));
        return statements;
    }
    match deliveries.iter().filter_map(due_at).min() {
        Some(due_at) if due_at > now => {
            let params = json!({ "due_at": due_at.to_string() });
            statements.push(Statement::new("next_attempt_due", format!("The next attempt is due at {due_at}."), params));
        }
        Some(due_at) => {
            statements.push(Statement::new("attempt_due_now", "An attempt is due now.", json!({ "due_at": due_at.to_string() })));
        }
        None => {}
    }
    statements
}

fn due_at(delivery: &Delivery) -> Option<Timestamp> {
    match delivery.state {
        DeliveryState::Pending { due_at } => Some(due_at),
        DeliveryState::Succeeded | DeliveryState::Exhausted { .. } | DeliveryState::Skipped { .. } | DeliveryState::Cancelled { .. } => {
            None
        }
    }
}

/// Explains the state of a delivery. `step` is that of its next attempt; `None` if the endpoint was deleted. `hold`
/// is the hold that delays the endpoint's due deliveries.
pub(super) fn why(
    subject: Subject<'_>,
    delivery: &Delivery,
    step: Option<ScheduledAttempt>,
    hold: Option<WaitReason>,
    last: Option<&Attempt>,
) -> Vec<Statement> {
    let ended_at = delivery.ended_at.unwrap_or(subject.now);
    let at = json!({ "at": ended_at.to_string() });
    match delivery.state {
        DeliveryState::Pending { due_at } => why_pending(subject, delivery, due_at, step, hold, last),
        DeliveryState::Succeeded => vec![match last {
            Some(last) => {
                let arrived_at = last.created_at + last.duration;
                let params = json!({ "attempt_number": last.number, "at": arrived_at.to_string() });
                Statement::new("delivered", format!("Delivered by attempt {} at {arrived_at}.", last.number), params)
            }
            None => Statement::new("delivered", "Delivered.", json!({})),
        }],
        DeliveryState::Exhausted { reason } => {
            let after = format!("Failed after {} at {ended_at}", attempts(delivery.attempts));
            let params = json!({ "at": ended_at.to_string(), "attempts": delivery.attempts });
            match reason {
                ExhaustedReason::ScheduleEnded => {
                    let ended = Statement::new("schedule_ended", format!("{after}: the retry schedule has ended."), params);
                    [ended].into_iter().chain(last_failure(last)).collect()
                }
                ExhaustedReason::Gone => {
                    vec![Statement::new("gone", format!("{after}: the receiver responded with 410 (Gone), which ends retries."), params)]
                }
                ExhaustedReason::ReceiverAsked => {
                    let sentence = format!("{after}: the receiver ended retries with the response header webhook-delivery.");
                    vec![Statement::new("receiver_asked", sentence, params)]
                }
            }
        }
        DeliveryState::Skipped { reason } => vec![match reason {
            SkipReason::EndpointDisabled => {
                Statement::new("endpoint_disabled", format!("Skipped at {ended_at}: the endpoint was disabled."), at)
            }
            SkipReason::EndpointExpired => {
                Statement::new("endpoint_expired", format!("Skipped at {ended_at}: the endpoint had expired."), at)
            }
            SkipReason::Restored => {
                let sentence = "Skipped: the delivery was pending in the backup that the server was restored from.";
                Statement::new("restored", sentence, at)
            }
        }],
        DeliveryState::Cancelled { reason } => vec![match reason {
            CancelReason::EndpointDeleted => {
                Statement::new("endpoint_deleted", format!("Cancelled at {ended_at}: the endpoint was deleted."), at)
            }
            CancelReason::ApplicationDeleted => {
                Statement::new("application_deleted", format!("Cancelled at {ended_at}: the application was deleted."), at)
            }
        }],
    }
}

fn why_pending(
    subject: Subject<'_>,
    delivery: &Delivery,
    due_at: Timestamp,
    step: Option<ScheduledAttempt>,
    hold: Option<WaitReason>,
    last: Option<&Attempt>,
) -> Vec<Statement> {
    let Some(ScheduledAttempt { number, of }) = step else {
        let sentence = format!("The endpoint was deleted: the delivery is cancelled when its next attempt is due, at {due_at}.");
        return vec![Statement::new("endpoint_deleted", sentence, json!({ "due_at": due_at.to_string() }))];
    };
    let mut statements: Vec<_> = last_failure(last).into_iter().collect();
    let next = format!("Attempt {number} of {of}");
    let params = json!({ "due_at": due_at.to_string(), "step": number, "steps": of });
    let is_taken = delivery.pending.is_some_and(|pending| pending.is_taken);
    if let Some(hold) = hold.filter(|hold| due_at <= subject.now || *hold == WaitReason::Paused) {
        let verb = if due_at <= subject.now { "has been due since" } else { "is due at" };
        statements.push(Statement::new("next_attempt_due", format!("{next} {verb} {due_at}."), params));
        statements.push(why_waiting(subject, hold));
        return statements;
    }
    statements.push(match (is_taken, due_at > subject.now) {
        (true, _) => {
            let sentence = format!("{next} has been due since {due_at}. A node has queued it for its endpoint or is making it.");
            Statement::new("next_attempt_taken", sentence, params)
        }
        (false, true) => Statement::new("next_attempt_due", format!("{next} is due at {due_at}."), params),
        (false, false) => {
            let sentence = format!("{next} has been due since {due_at}. No node has claimed it yet.");
            Statement::new("next_attempt_unclaimed", sentence, params)
        }
    });
    statements
}

fn why_waiting(Subject { message, endpoint, now }: Subject<'_>, hold: WaitReason) -> Statement {
    match hold {
        WaitReason::Paused => {
            Statement::new("endpoint_paused", "The endpoint is paused: its deliveries stay pending until it is active again.", json!({}))
        }
        WaitReason::Failing { until } if until > now => {
            let sentence = format!(
                "The endpoint's circuit breaker is open after repeated failures: nothing is sent before {until}, unless you reset it."
            );
            let requests = [Paths::of(message, endpoint).reset_circuit()];
            Statement::new("circuit_open", sentence, json!({ "until": until.to_string(), "requests": requests }))
        }
        WaitReason::Failing { .. } => {
            let sentence = "The endpoint's circuit breaker is half open: one delivery is sent at a time until one succeeds.";
            Statement::new("circuit_half_open", sentence, json!({}))
        }
        WaitReason::RetryAfter { until } => {
            let sentence = format!("The receiver sent Retry-After: nothing is sent before {until}.");
            Statement::new("retry_after", sentence, json!({ "until": until.to_string() }))
        }
        WaitReason::Order => Statement::new("ordered", "The endpoint receives messages in order: earlier ones are sent first.", json!({})),
        WaitReason::Rate => {
            Statement::new("rate_limited", "The delivery waits for the rate limit of the endpoint or of the application.", json!({}))
        }
        WaitReason::Batch => {
            let sentence = "The endpoint takes batches: the delivery waits at most `max_wait_ms` for others to go with it in one request.";
            Statement::new("batched", sentence, json!({}))
        }
    }
}

fn attempts(count: u32) -> String {
    if count == 1 { "1 attempt".to_owned() } else { format!("{count} attempts") }
}

/// Returns the error of the last attempt, if it failed, with the start of the response.
fn last_failure(last: Option<&Attempt>) -> Option<Statement> {
    let last = last?;
    let error = last.error.as_deref()?;
    let word = error.split(':').next().unwrap_or(error);
    let quoted = if error.chars().count() > REPEATED { word } else { error };
    let response = last.response_body.as_deref().map(start_of).filter(|start| !start.is_empty());
    let answered = response.as_ref().map_or_else(String::new, |start| format!(" Response: {start}"));
    let params = json!({
        "attempt_number": last.number,
        "error": error,
        "response_status": last.response_status,
        "response_start": response,
    });
    Some(Statement::new("last_attempt_failed", format!("The last attempt failed ({quoted}).{answered}"), params))
}

/// Returns the start of a response body, as one line.
fn start_of(body: &str) -> String {
    let line = |c: char| if c.is_control() { ' ' } else { c };
    let words: String = body.chars().take(4 * REPEATED).map(line).collect();
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut start: String = words.chars().take(REPEATED).collect();
    if start.len() < words.len() {
        start.push('…');
    }
    start
}

/// Explains why an endpoint has no delivery.
pub(super) fn why_unmatched(subject: Subject<'_>, endpoint: &Endpoint, reason: Unmatched) -> Statement {
    let event_type = &subject.message.event_type;
    let (sentence, params) = match reason {
        Unmatched::TestOfAnother => ("The message was a test of another endpoint.".to_owned(), json!({})),
        Unmatched::CreatedLater => {
            let created_at = endpoint.created_at.to_string();
            (format!("The endpoint was created at {created_at}, after the message was accepted."), json!({ "created_at": created_at }))
        }
        Unmatched::TypeNotWanted => {
            let types = endpoint.filter_types.as_deref().unwrap_or_default();
            let sentence = format!("Not subscribed to {event_type}: the endpoint's filter_types are [{}].", named(types));
            (sentence, json!({ "event_type": event_type, "filter_types": types }))
        }
        Unmatched::OtherChannels => {
            let (own, channels) = (endpoint.channels.as_deref().unwrap_or_default(), &subject.message.channels);
            let of_message = if channels.is_empty() { "none".to_owned() } else { format!("[{}]", named(channels)) };
            let sentence = format!("No channel in common: the endpoint's are [{}], the message's are {of_message}.", named(own));
            (sentence, json!({ "endpoint_channels": own, "message_channels": channels }))
        }
        Unmatched::ChangedLater => {
            let sentence = format!("The endpoint matches {event_type} now; it did not when the message was accepted.");
            (sentence, json!({ "event_type": event_type }))
        }
    };
    Statement::new(reason.as_str(), sentence, params)
}

fn named(words: &[String]) -> String {
    let (first, rest) = words.split_at(words.len().min(TYPES_NAMED));
    let first = first.join(", ");
    if rest.is_empty() { first } else { format!("{first} and {} more", rest.len()) }
}

/// Paths of the operations that statements name.
struct Paths {
    application: String,
    endpoint: String,
    message: String,
    endpoint_id: String,
}

impl Paths {
    fn of(message: &Message, endpoint: EndpointId) -> Self {
        let application = format!("/v1/applications/{}", message.origin_id);
        Self {
            endpoint: format!("{application}/endpoints/{endpoint}"),
            message: format!("{application}/messages/{}", message.id),
            endpoint_id: endpoint.to_string(),
            application,
        }
    }

    fn reset_circuit(&self) -> Value {
        request("resetCircuit", &format!("POST {}/reset-circuit", self.endpoint), None)
    }

    fn retry(&self) -> Value {
        request("retryMessage", &format!("POST {}/retry?endpoint_id={}", self.message, self.endpoint_id), None)
    }

    fn recover(&self, since: Timestamp) -> Value {
        request("recoverEndpoint", &format!("POST {}/recover", self.endpoint), Some(json!({ "since": since.to_string() })))
    }

    /// Change of the endpoint. The body of a change that depends on the present value is left to the caller.
    fn update(&self, body: Option<Value>) -> Value {
        request("updateEndpoint", &format!("PATCH {}", self.endpoint), body)
    }

    fn create_endpoint(&self) -> Value {
        request("createEndpoint", &format!("POST {}/endpoints", self.application), None)
    }

    fn retry_to_another(&self) -> Value {
        request("retryMessage", &format!("POST {}/retry", self.message), None)
    }

    fn send(&self) -> Value {
        request("sendMessage", &format!("POST {}/messages", self.application), None)
    }
}

/// Returns a request as programs read it: `operationId`, method and path, and the body where it is fixed.
fn request(operation: &str, request: &str, body: Option<Value>) -> Value {
    let mut value = json!({ "operation": operation, "request": request });
    if let Some(body) = body {
        value["body"] = body;
    }
    value
}

/// Returns the action for a delivery that is due and waits for this reason: a word, what a user can do, and the requests
/// that do it.
fn remedy_of_wait(hold: WaitReason, paths: &Paths, now: Timestamp) -> (&'static str, String, Vec<Value>) {
    match hold {
        WaitReason::Failing { until } if until > now => {
            let sentence = format!(
                "when the receiver works again, reset the circuit breaker to send at once; otherwise one delivery is tried at {until}."
            );
            ("reset_circuit", sentence, vec![paths.reset_circuit()])
        }
        WaitReason::Failing { .. } => {
            ("wait_for_probe", "the delivery is sent after one that is tried now has succeeded.".to_owned(), vec![])
        }
        WaitReason::RetryAfter { until } => ("wait_for_receiver", format!("the attempt is automatic, after {until}."), vec![]),
        WaitReason::Order => ("wait_for_order", "the attempt is automatic, after the messages before it.".to_owned(), vec![]),
        WaitReason::Rate => {
            let sentence = "the attempt is automatic; a higher rate limit of the endpoint sends sooner.".to_owned();
            ("wait_for_rate", sentence, vec![paths.update(None)])
        }
        WaitReason::Batch => ("wait_for_batch", "the attempt is automatic, with the next batch.".to_owned(), vec![]),
        WaitReason::Paused => ("resume", "resume the endpoint.".to_owned(), vec![request_of(EndpointChange::Resume, paths)]),
    }
}

/// Returns the action that gets the message delivered; `None` if it was delivered. `hold` is the reason why a due delivery
/// waits.
pub(super) fn remedy(subject: Subject<'_>, remedy: &Remedy, hold: Option<WaitReason>) -> Option<Statement> {
    let Subject { message, endpoint: id, now } = subject;
    let paths = Paths::of(message, id);
    let since = message.id.timestamp();
    let changes: Vec<_> = remedy.changes.iter().map(|change| describe(*change, message)).collect();
    let changes = changes.join(" and ");
    let first = if changes.is_empty() { String::new() } else { format!("{changes}; then ") };
    let (code, sentence, acts) = match remedy.action {
        RemedyAction::Nothing => return None,
        RemedyAction::Wait { until } if until <= now && changes.is_empty() && hold.is_some() => {
            hold.map(|hold| remedy_of_wait(hold, &paths, now))?
        }
        RemedyAction::Wait { until } if until <= now && changes.is_empty() => {
            let sentence = "The attempt starts as soon as a node has capacity. If it is late, check that a node delivers, and its lag.";
            ("wait_for_turn", sentence.to_owned(), vec![request("listNodes", "GET /v1/nodes", None)])
        }
        RemedyAction::Wait { until } if changes.is_empty() => {
            let sentence = format!("The next attempt is automatic, at {until}. To send sooner, retry the message to this endpoint.");
            ("wait", sentence, vec![paths.retry()])
        }
        RemedyAction::Wait { .. } if remedy.changes == [EndpointChange::Resume] => {
            ("resume", format!("{changes}: the delivery is sent then."), vec![])
        }
        RemedyAction::Wait { until } => {
            ("change_before", format!("{changes} before {until}; otherwise the delivery is skipped then."), vec![])
        }
        RemedyAction::Retry => ("retry", format!("{first}retry the message to this endpoint."), vec![paths.retry()]),
        RemedyAction::Recover => {
            let sentence = format!("{first}recover the endpoint from {since} on, which resends everything that it has missed since then.");
            ("recover", sentence, vec![paths.recover(since)])
        }
        RemedyAction::RetryOrRecover => {
            let sentence = format!(
                "{first}retry the message to this endpoint, or recover the endpoint from {since} on, which resends everything that it has \
                 missed since then."
            );
            ("retry_or_recover", sentence, vec![paths.retry(), paths.recover(since)])
        }
        RemedyAction::SendAnew => {
            ("send_anew", "The payload has expired and was removed: send a new message.".to_owned(), vec![paths.send()])
        }
        RemedyAction::MakeEndpoint => {
            let sentence = "The endpoint was deleted: create another one, then retry the message to it.".to_owned();
            ("create_endpoint", sentence, vec![paths.create_endpoint(), paths.retry_to_another()])
        }
    };
    let requests: Vec<_> = remedy.changes.iter().map(|change| request_of(*change, &paths)).chain(acts).collect();
    let changes: Vec<_> = remedy.changes.iter().map(|change| code_of(*change)).collect();
    let params = json!({ "changes": changes, "requests": requests, "endpoint_id": id.to_string(), "message_id": message.id.to_string() });
    Some(Statement::new(code, capitalized(&sentence), params))
}

const fn code_of(change: EndpointChange) -> &'static str {
    match change {
        EndpointChange::Enable => "enable",
        EndpointChange::Resume => "resume",
        EndpointChange::Extend => "extend",
        EndpointChange::WidenFilter => "widen_filter",
        EndpointChange::AddChannel => "add_channel",
    }
}

fn describe(change: EndpointChange, message: &Message) -> String {
    match change {
        EndpointChange::Enable => "enable the endpoint".to_owned(),
        EndpointChange::Resume => "resume the endpoint".to_owned(),
        EndpointChange::Extend => "move or remove the endpoint's expiry".to_owned(),
        EndpointChange::WidenFilter => format!("add {} to the endpoint's event types", message.event_type),
        EndpointChange::AddChannel if message.channels.is_empty() => "remove the endpoint's channels".to_owned(),
        EndpointChange::AddChannel => format!("add one of {} to the endpoint's channels", named(&message.channels)),
    }
}

fn request_of(change: EndpointChange, paths: &Paths) -> Value {
    paths.update(match change {
        EndpointChange::Enable | EndpointChange::Resume => Some(json!({ "status": "active" })),
        EndpointChange::Extend => Some(json!({ "expires_at": null })),
        EndpointChange::WidenFilter | EndpointChange::AddChannel => None,
    })
}

fn capitalized(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hookstream_model::{
        base::ids::{MessageId, OriginId, RouteId},
        delivery::state::Trigger,
        outbound::message::{DeliveryCounts, Payload},
    };
    use hookstream_store::delivery::messages::PendingDetail;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_780_000_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    fn message() -> Message {
        Message {
            id: MessageId::from_bytes([0; 16]),
            origin_id: OriginId::from_bytes([1; 16]),
            event_type: "invoice.paid".to_owned(),
            payload: Some(Payload::from_json(None).expect("null")),
            event_id: None,
            channels: vec![],
            counts: DeliveryCounts::default(),
            updated_at: NOW,
        }
    }

    fn delivery(state: DeliveryState) -> Delivery {
        Delivery { route_id: RouteId::from_bytes([2; 16]), state, attempts: 1, ended_at: Some(NOW), pending: None }
    }

    fn pending(due_at: Timestamp, is_taken: bool) -> Delivery {
        let pending = Some(PendingDetail { failed: 1, trigger: Trigger::Automatic, is_taken, is_in_backlog: false });
        Delivery { pending, ended_at: None, ..delivery(DeliveryState::Pending { due_at }) }
    }

    fn failed(error: &str) -> Attempt {
        Attempt {
            id: hookstream_model::base::ids::AttemptId::from_bytes([3; 16]),
            message_id: MessageId::from_bytes([0; 16]),
            route_id: RouteId::from_bytes([2; 16]),
            number: 1,
            trigger: Trigger::Initial,
            succeeded: false,
            response_status: None,
            response_body: None,
            response_headers: None,
            duration: Duration::ZERO,
            waterfall: None,
            error: Some(error.to_owned()),
            created_at: NOW,
        }
    }

    #[test]
    fn summary_counts_deliveries_and_names_the_next_attempt() {
        let message = message();
        let check = |deliveries: &[Delivery], has_no_endpoint, expected: &str| {
            assert_eq!(text(&summary(&message, deliveries, has_no_endpoint, NOW)), expected);
        };
        check(&[], true, "No endpoints matched: the application has none.");
        check(&[], false, "No endpoints matched: none was subscribed to invoice.paid when the message was accepted.");
        check(&[delivery(DeliveryState::Succeeded)], false, "Matched 1 endpoint: 1 succeeded.");
        check(
            &[delivery(DeliveryState::Succeeded), pending(NOW + MINUTE, false), pending(NOW + MINUTE * 2, false)],
            false,
            "Matched 3 endpoints: 1 succeeded, 2 pending. The next attempt is due at 2026-05-28T20:27:40.000Z.",
        );
        check(&[pending(NOW, true)], false, "Matched 1 endpoint: 1 pending. An attempt is due now.");
    }

    #[test]
    fn delivery_state_is_explained() {
        let message = message();
        let subject = Subject { message: &message, endpoint: EndpointId::from_bytes([2; 16]), now: NOW };
        let step = Some(ScheduledAttempt { number: 2, of: 10 });
        let check = |delivery: &Delivery, step, error: Option<&str>, expected: &str| {
            let last = error.map(failed);
            assert_eq!(text(&why(subject, delivery, step, None, last.as_ref())), expected);
        };
        let refused = Some("http_status: the receiver responded with 503");
        check(
            &pending(NOW + MINUTE, false),
            step,
            refused,
            "The last attempt failed (http_status: the receiver responded with 503). Attempt 2 of 10 is due at 2026-05-28T20:27:40.000Z.",
        );
        check(&pending(NOW, false), step, None, "Attempt 2 of 10 has been due since 2026-05-28T20:26:40.000Z. No node has claimed it yet.");
        check(
            &pending(NOW, true),
            step,
            None,
            "Attempt 2 of 10 has been due since 2026-05-28T20:26:40.000Z. A node has queued it for its endpoint or is making it.",
        );
        check(
            &pending(NOW, false),
            None,
            refused,
            "The endpoint was deleted: the delivery is cancelled when its next attempt is due, at 2026-05-28T20:26:40.000Z.",
        );
        check(
            &delivery(DeliveryState::Exhausted { reason: ExhaustedReason::ScheduleEnded }),
            None,
            Some(&format!("redirect_refused: {}", "x".repeat(300))),
            "Failed after 1 attempt at 2026-05-28T20:26:40.000Z: the retry schedule has ended. The last attempt failed (redirect_refused).",
        );
        check(
            &delivery(DeliveryState::Skipped { reason: SkipReason::EndpointDisabled }),
            None,
            None,
            "Skipped at 2026-05-28T20:26:40.000Z: the endpoint was disabled.",
        );
    }

    #[test]
    fn hold_is_explained_once_the_delivery_is_due() {
        let message = message();
        let subject = Subject { message: &message, endpoint: EndpointId::from_bytes([2; 16]), now: NOW };
        let step = Some(ScheduledAttempt { number: 1, of: 10 });
        let check = |due_at, hold, expected: &str| {
            let explained = text(&why(subject, &pending(due_at, false), step, Some(hold), None));
            assert!(explained.contains(expected), "{explained}");
        };
        check(NOW + MINUTE, WaitReason::Order, "Attempt 1 of 10 is due at 2026-05-28T20:27:40.000Z.");
        check(NOW, WaitReason::Order, "since 2026-05-28T20:26:40.000Z. The endpoint receives messages in order");
        check(NOW, WaitReason::Rate, "rate limit");
        check(NOW, WaitReason::RetryAfter { until: NOW + MINUTE }, "nothing is sent before 2026-05-28T20:27:40.000Z.");
        check(NOW, WaitReason::Failing { until: NOW + MINUTE }, "nothing is sent before 2026-05-28T20:27:40.000Z, unless you reset it.");
        check(NOW, WaitReason::Failing { until: NOW }, "half open");
        check(NOW + MINUTE, WaitReason::Paused, "is due at 2026-05-28T20:27:40.000Z. The endpoint is paused");
    }

    #[test]
    fn remedy_says_the_act_and_names_its_requests() {
        let message = message();
        let subject = Subject { message: &message, endpoint: EndpointId::from_bytes([2; 16]), now: NOW };
        let application = format!("/v1/applications/{}", "01".repeat(16));
        let retry = format!("POST {application}/messages/{}/retry?endpoint_id={}", "00".repeat(16), "02".repeat(16));
        let endpoint = format!("{application}/endpoints/{}", "02".repeat(16));
        let (update, recover) = (format!("PATCH {endpoint}"), format!("POST {endpoint}/recover"));
        let check = |changes: &[EndpointChange], action, code: &str, expected: &str, requests: &[&str]| {
            let found = remedy(subject, &Remedy { changes: changes.to_vec(), action }, None).expect("a remedy");
            assert_eq!((found.code, found.sentence.as_str()), (code, expected), "{changes:?} {action:?}");
            assert!(!found.sentence.contains("/v1/"), "{}", found.sentence);
            assert_eq!(found.params["endpoint_id"], "02".repeat(16));
            let named: Vec<_> = found.params["requests"].as_array().expect("a list").iter().map(|one| &one["request"]).collect();
            assert_eq!(named, requests, "{changes:?} {action:?}");
        };
        assert_eq!(remedy(subject, &Remedy { changes: vec![], action: RemedyAction::Nothing }, None), None);
        let until = NOW + MINUTE;
        check(
            &[],
            RemedyAction::Wait { until },
            "wait",
            "The next attempt is automatic, at 2026-05-28T20:27:40.000Z. To send sooner, retry the message to this endpoint.",
            &[&retry],
        );
        check(
            &[EndpointChange::Enable],
            RemedyAction::Wait { until },
            "change_before",
            "Enable the endpoint before 2026-05-28T20:27:40.000Z; otherwise the delivery is skipped then.",
            &[&update],
        );
        check(
            &[EndpointChange::Resume],
            RemedyAction::Wait { until },
            "resume",
            "Resume the endpoint: the delivery is sent then.",
            &[&update],
        );
        check(
            &[EndpointChange::Enable, EndpointChange::WidenFilter],
            RemedyAction::Retry,
            "retry",
            "Enable the endpoint and add invoice.paid to the endpoint's event types; then retry the message to this endpoint.",
            &[&update, &update, &retry],
        );
        let missed = "recover the endpoint from 1970-01-01T00:00:00.000Z on, which resends everything that it has missed since then.";
        let either = format!("Retry the message to this endpoint, or {missed}");
        check(&[], RemedyAction::RetryOrRecover, "retry_or_recover", &either, &[&retry, &recover]);
        check(&[], RemedyAction::Recover, "recover", &capitalized(missed), &[&recover]);
        let send = format!("POST {application}/messages");
        check(&[], RemedyAction::SendAnew, "send_anew", "The payload has expired and was removed: send a new message.", &[&send]);
        let (create, again) = (format!("POST {application}/endpoints"), format!("POST {application}/messages/{}/retry", "00".repeat(16)));
        let another = "The endpoint was deleted: create another one, then retry the message to it.";
        check(&[], RemedyAction::MakeEndpoint, "create_endpoint", another, &[&create, &again]);
    }

    #[test]
    fn fixed_body_is_part_of_a_request() {
        let message = message();
        let subject = Subject { message: &message, endpoint: EndpointId::from_bytes([2; 16]), now: NOW };
        let found = remedy(subject, &Remedy { changes: vec![EndpointChange::Extend], action: RemedyAction::Recover }, None);
        let requests = found.expect("a remedy").params["requests"].clone();
        let bodies = (&requests[0]["body"], &requests[1]["body"]);
        assert_eq!(bodies, (&json!({ "expires_at": null }), &json!({ "since": "1970-01-01T00:00:00.000Z" })));
        assert_eq!((&requests[0]["operation"], &requests[1]["operation"]), (&json!("updateEndpoint"), &json!("recoverEndpoint")));
    }

    #[test]
    fn failure_shows_the_start_of_the_response() {
        let message = message();
        let subject = Subject { message: &message, endpoint: EndpointId::from_bytes([2; 16]), now: NOW };
        let check = |body: &str, expected: &str| {
            let last = Attempt {
                response_body: Some(body.to_owned()),
                response_headers: None,
                response_status: Some(500),
                ..failed("http_status: the receiver responded with 500")
            };
            let statements = why(subject, &pending(NOW + MINUTE, false), Some(ScheduledAttempt { number: 2, of: 10 }), None, Some(&last));
            let failure = statements.iter().find(|statement| statement.code == "last_attempt_failed").expect("the failure is explained");
            assert_eq!(failure.sentence, format!("The last attempt failed (http_status: the receiver responded with 500).{expected}"));
            assert_eq!(failure.params["response_status"], 500);
        };
        check("", "");
        check(" \n\0 ", "");
        check(
            "{\"error\":\n  \"relation \\\"orders\\\" does not exist\"}",
            " Response: {\"error\": \"relation \\\"orders\\\" does not exist\"}",
        );
        check(&"\u{e4}".repeat(300), &format!(" Response: {}…", "\u{e4}".repeat(200)));
    }

    #[test]
    fn long_filter_is_truncated() {
        let types: Vec<_> = (0..7).map(|number| format!("type.{number}")).collect();
        assert_eq!(named(&types), "type.0, type.1, type.2, type.3, type.4 and 2 more");
        assert_eq!(named(&types[..1]), "type.0");
    }
}
