//! Why an endpoint has a message or has it not, and what would make it go.
//!
//! The API's explanation asks this for each endpoint of the message's application; the sentences are the
//! API's.

use crate::{
    base::time::Timestamp,
    delivery::{
        hold::{Hold, HoldReason},
        ordering::Ordering,
        retry::RetrySchedule,
        state::{DeliveryState, Trigger},
    },
    outbound::endpoint::{Endpoint, EndpointStatus},
};

/// Why an endpoint that is there now has no delivery of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmatched {
    /// The message was sent to one endpoint only, to test that one.
    TestOfAnother,
    /// The endpoint was made after the message was accepted.
    MadeLater,
    /// Its filter does not have the message's type.
    TypeNotWanted,
    /// It has channels, and none of them is the message's.
    OtherChannels,
    /// As it is now it would get the message: its filter was another then.
    ChangedLater,
}

impl Unmatched {
    /// Its word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TestOfAnother => "test_of_another_endpoint",
            Self::MadeLater => "endpoint_made_later",
            Self::TypeNotWanted => "type_not_wanted",
            Self::OtherChannels => "other_channels",
            Self::ChangedLater => "endpoint_changed_later",
        }
    }
}

/// Why an endpoint has no delivery of a message that was accepted then.
pub fn why_unmatched(endpoint: &Endpoint, message: Sendable<'_>, accepted_at: Timestamp, is_test: bool) -> Unmatched {
    if is_test {
        Unmatched::TestOfAnother
    } else if endpoint.created_at > accepted_at {
        Unmatched::MadeLater
    } else if !endpoint.wants_type(message.event_type) {
        Unmatched::TypeNotWanted
    } else if !endpoint.listens_to(message.channels) {
        Unmatched::OtherChannels
    } else {
        Unmatched::ChangedLater
    }
}

/// The place of a delivery's next try in the retry schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduledAttempt {
    /// Counted from 1 since the message was sent, or since it was last asked for again.
    pub number: u32,
    /// How many there are at the most.
    pub of: u32,
}

/// Which try comes next of a delivery that has failed so often since it was last made owed.
pub fn next_step(trigger: Trigger, failed: u32, schedule: &RetrySchedule) -> ScheduledAttempt {
    let number = failed.saturating_add(1);
    let scheduled = match trigger {
        Trigger::Test => 1,
        Trigger::Initial | Trigger::Automatic | Trigger::Manual | Trigger::Recover | Trigger::Replay => {
            u32::try_from(schedule.as_seconds().len()).unwrap_or(u32::MAX).saturating_add(1)
        }
    };
    // A schedule that was shortened meanwhile: the next try is the last.
    ScheduledAttempt { number, of: scheduled.max(number) }
}

/// What keeps back a delivery that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptBack {
    /// The endpoint is paused.
    Paused,
    /// The endpoint's circuit breaker is open, or lets one delivery through at a time.
    Failing {
        /// Until then nothing goes.
        until: Timestamp,
    },
    /// The endpoint answered `Retry-After`.
    AskedForTime {
        /// Until then nothing goes.
        until: Timestamp,
    },
    /// What was accepted before it goes first.
    Order,
    /// The rate of the endpoint or of its application.
    Rate,
    /// Others are to go with it in one request.
    Batch,
}

/// What keeps back what is due for an endpoint whose application has a rate limit, or has not.
pub fn kept_back(endpoint: &Endpoint, has_application_rate: bool, now: Timestamp) -> Option<KeptBack> {
    if endpoint.is_paused() {
        return Some(KeptBack::Paused);
    }
    match endpoint.hold.filter(|hold| hold.holds(now)) {
        Some(Hold { until, reason: HoldReason::Failing }) => Some(KeptBack::Failing { until }),
        Some(Hold { until, reason: HoldReason::RetryAfter }) => Some(KeptBack::AskedForTime { until }),
        None if endpoint.ordering != Ordering::None => Some(KeptBack::Order),
        None if has_application_rate || endpoint.rate_limit_per_second.is_some_and(|rate| rate > 0) => Some(KeptBack::Rate),
        None if endpoint.batch.is_some() => Some(KeptBack::Batch),
        None => None,
    }
}

/// What would make a message go to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// What has to be changed about the endpoint before.
    pub changes: Vec<EndpointChange>,
    /// What to do then.
    pub act: AuditContext,
}

/// What keeps an endpoint from receiving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointChange {
    /// It is to be enabled.
    Enable,
    /// It is to be resumed.
    Resume,
    /// Its `expires_at` is to be moved or removed.
    Extend,
    /// The message's type is to be added to its filter.
    WidenFilter,
    /// One of the message's channels is to be added to its own.
    AddChannel,
}

/// What makes the next try happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditContext {
    /// Nothing is to be done: it arrived.
    Nothing,
    /// It is tried by itself.
    Wait {
        /// Then.
        until: Timestamp,
    },
    /// The message is retried.
    Retry,
    /// What the endpoint missed is recovered.
    Recover,
    /// Either of the two.
    RetryOrRecover,
    /// The endpoint is gone: another is made, then the message retried.
    MakeEndpoint,
    /// The payload has expired: a new message is sent.
    SendAnew,
}

/// What a message would be sent as.
#[derive(Debug, Clone, Copy)]
pub struct Sendable<'a> {
    /// What it is about.
    pub event_type: &'a str,
    /// Its channels.
    pub channels: &'a [String],
    /// Whether its payload has not expired.
    pub has_payload: bool,
}

/// What would make a message go to an endpoint (`None`: it was deleted), where its delivery stands so (`None`:
/// there is none).
///
/// Retrying asks who wants the type now; recovering takes what is owed to the endpoint, whatever it wants.
pub fn remedy(state: Option<DeliveryState>, endpoint: Option<&Endpoint>, message: Sendable<'_>, now: Timestamp) -> Remedy {
    if state == Some(DeliveryState::Succeeded) {
        return Remedy { changes: vec![], act: AuditContext::Nothing };
    }
    if !message.has_payload {
        return Remedy { changes: vec![], act: AuditContext::SendAnew };
    }
    let Some(endpoint) = endpoint else { return Remedy { changes: vec![], act: AuditContext::MakeEndpoint } };
    let is_wanted = endpoint.wants(message.event_type, message.channels);
    let act = match state {
        None => AuditContext::Retry,
        Some(DeliveryState::Pending { due_at }) => AuditContext::Wait { until: due_at },
        Some(DeliveryState::Exhausted { .. } | DeliveryState::Skipped { .. }) if is_wanted => AuditContext::RetryOrRecover,
        Some(DeliveryState::Exhausted { .. } | DeliveryState::Skipped { .. }) => AuditContext::Recover,
        Some(DeliveryState::Cancelled { .. }) => AuditContext::Retry,
        Some(DeliveryState::Succeeded) => AuditContext::Nothing,
    };
    let mut changes = Vec::new();
    match endpoint.status {
        EndpointStatus::Active => {}
        EndpointStatus::Paused => changes.push(EndpointChange::Resume),
        EndpointStatus::Disabled => changes.push(EndpointChange::Enable),
    }
    if endpoint.is_expired(now) {
        changes.push(EndpointChange::Extend);
    }
    if act == AuditContext::Retry && !endpoint.wants_type(message.event_type) {
        changes.push(EndpointChange::WidenFilter);
    }
    if act == AuditContext::Retry && !endpoint.listens_to(message.channels) {
        changes.push(EndpointChange::AddChannel);
    }
    Remedy { changes, act }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        base::ids::{ApplicationId, EndpointId, EnvironmentId, OrganizationId},
        delivery::{
            ordering::OnFailure,
            state::{CancelReason, ExhaustedReason, SkipReason},
        },
        identity::tenancy::Tenant,
        outbound::{endpoint::EndpointUrl, signature::SigningAlgorithm},
    };

    const NOW: Timestamp = Timestamp::from_millis(1_780_000_000_000);
    const MINUTE: Duration = Duration::from_secs(60);
    const TYPE: &str = "invoice.paid";

    fn endpoint(filter: &[&str]) -> Endpoint {
        Endpoint {
            id: EndpointId::from_bytes([1; 16]),
            tenant: Tenant { organization: OrganizationId::from_bytes([2; 16]), environment: EnvironmentId::from_bytes([3; 16]) },
            application_id: ApplicationId::from_bytes([4; 16]),
            url: EndpointUrl::parse("https://example.com/").expect("a URL"),
            description: None,
            signing_algorithm: SigningAlgorithm::HmacSha256,
            status: EndpointStatus::Active,
            disabled_reason: None,
            uid: None,
            metadata: None,
            channels: None,
            filter_types: Some(filter.iter().map(ToString::to_string).collect()),
            rate_limit_per_second: None,
            expires_at: None,
            headers: None,
            retry_schedule: None,
            timeout_ms: None,
            ordering: Ordering::None,
            on_failure: OnFailure::Block,
            batch: None,
            failing_since: None,
            hold: None,
            created_at: NOW,
            updated_at: NOW,
        }
    }

    #[test]
    fn what_is_due_is_kept_back_by_one_thing() {
        let check = |endpoint: &Endpoint, has_application_rate, expected| {
            assert_eq!(kept_back(endpoint, has_application_rate, NOW), expected);
        };
        let plain = endpoint(&[]);
        check(&plain, false, None);
        check(&Endpoint { status: EndpointStatus::Paused, ordering: Ordering::Strict, ..plain.clone() }, true, Some(KeptBack::Paused));
        check(&plain, true, Some(KeptBack::Rate));
        check(&Endpoint { rate_limit_per_second: Some(0), ..plain.clone() }, false, None);
        check(&Endpoint { rate_limit_per_second: Some(1), ..plain.clone() }, false, Some(KeptBack::Rate));
        check(&Endpoint { ordering: Ordering::Strict, ..plain.clone() }, true, Some(KeptBack::Order));
        let held = |until, reason| Endpoint { ordering: Ordering::Strict, hold: Some(Hold { until, reason }), ..plain.clone() };
        check(&held(NOW, HoldReason::Failing), true, Some(KeptBack::Failing { until: NOW }));
        check(&held(NOW + MINUTE, HoldReason::RetryAfter), true, Some(KeptBack::AskedForTime { until: NOW + MINUTE }));
        check(&held(NOW, HoldReason::RetryAfter), true, Some(KeptBack::Order));
    }

    #[test]
    fn an_endpoint_without_a_delivery_has_a_reason() {
        let check = |filter: &[&str], accepted_at, is_test, expected| {
            let message = Sendable { event_type: TYPE, channels: &[], has_payload: true };
            assert_eq!(why_unmatched(&endpoint(filter), message, accepted_at, is_test), expected, "{filter:?}");
        };
        check(&["user.created"], NOW + MINUTE, false, Unmatched::TypeNotWanted);
        check(&["user.created"], NOW, false, Unmatched::TypeNotWanted);
        check(&[TYPE], NOW - MINUTE, false, Unmatched::MadeLater);
        check(&["user.created"], NOW - MINUTE, false, Unmatched::MadeLater);
        check(&[], NOW + MINUTE, false, Unmatched::ChangedLater);
        check(&["user.created"], NOW + MINUTE, true, Unmatched::TestOfAnother);
    }

    #[test]
    fn channels_decide_after_the_type() {
        let with = |filter: &[&str], channels: &[&str]| Endpoint {
            channels: Some(channels.iter().map(ToString::to_string).collect()),
            ..endpoint(filter)
        };
        let check = |endpoint: &Endpoint, channels: &[&str], expected: Option<Unmatched>| {
            let channels: Vec<String> = channels.iter().map(ToString::to_string).collect();
            let message = Sendable { event_type: TYPE, channels: &channels, has_payload: true };
            assert_eq!(endpoint.wants(TYPE, &channels), expected.is_none(), "{endpoint:?} {channels:?}");
            let why = why_unmatched(endpoint, message, NOW + MINUTE, false);
            assert_eq!(why, expected.unwrap_or(Unmatched::ChangedLater));
            let adds_channel = remedy(None, Some(endpoint), message, NOW).changes.contains(&EndpointChange::AddChannel);
            assert_eq!(adds_channel, !endpoint.listens_to(&channels));
        };
        check(&endpoint(&[]), &[], None);
        check(&endpoint(&[]), &["a"], None);
        check(&with(&[], &[]), &["a"], None);
        check(&with(&[], &["a", "b"]), &["b", "c"], None);
        check(&with(&[], &["a"]), &["b"], Some(Unmatched::OtherChannels));
        check(&with(&[], &["a"]), &[], Some(Unmatched::OtherChannels));
        check(&with(&["user.created"], &["a"]), &[], Some(Unmatched::TypeNotWanted));
    }

    #[test]
    fn the_next_try_has_its_place_in_the_schedule() {
        let check = |trigger, failed, waits: &[u32], expected: (u32, u32)| {
            let schedule = RetrySchedule::from_seconds(waits.to_vec()).expect("a schedule");
            let step = next_step(trigger, failed, &schedule);
            assert_eq!((step.number, step.of), expected, "{trigger:?}, {failed} failed, {waits:?}");
        };
        check(Trigger::Initial, 0, &[5, 300], (1, 3));
        check(Trigger::Automatic, 2, &[5, 300], (3, 3));
        check(Trigger::Automatic, 5, &[5, 300], (6, 6));
        check(Trigger::Manual, 0, &[], (1, 1));
        check(Trigger::Test, 0, &[5, 300], (1, 1));
    }

    #[test]
    fn what_makes_it_go_follows_from_delivery_and_endpoint() {
        let check = |state, endpoint: Option<&Endpoint>, changes: &[EndpointChange], act| {
            let expected = Remedy { changes: changes.to_vec(), act };
            let message = |has_payload| Sendable { event_type: TYPE, channels: &[], has_payload };
            assert_eq!(remedy(state, endpoint, message(true), NOW), expected, "{state:?}");
            let anew = Remedy { changes: vec![], act: AuditContext::SendAnew };
            let without = if expected.act == AuditContext::Nothing { expected } else { anew };
            assert_eq!(remedy(state, endpoint, message(false), NOW), without, "{state:?}");
        };
        let wanting = endpoint(&[TYPE]);
        let other = endpoint(&["user.created"]);
        let disabled = Endpoint { status: EndpointStatus::Disabled, ..endpoint(&[]) };
        let paused = Endpoint { status: EndpointStatus::Paused, ..endpoint(&[]) };
        let expired = Endpoint { expires_at: Some(NOW), ..endpoint(&[]) };
        let both = Endpoint { expires_at: Some(NOW), ..disabled.clone() };
        let pending = Some(DeliveryState::Pending { due_at: NOW + MINUTE });
        let wait = AuditContext::Wait { until: NOW + MINUTE };
        let exhausted = Some(DeliveryState::Exhausted { reason: ExhaustedReason::ScheduleEnded });
        let skipped = Some(DeliveryState::Skipped { reason: SkipReason::EndpointDisabled });
        let cancelled = Some(DeliveryState::Cancelled { reason: CancelReason::EndpointDeleted });

        check(Some(DeliveryState::Succeeded), Some(&disabled), &[], AuditContext::Nothing);
        check(Some(DeliveryState::Succeeded), None, &[], AuditContext::Nothing);
        check(pending, Some(&wanting), &[], wait);
        check(pending, Some(&other), &[], wait);
        check(pending, Some(&both), &[EndpointChange::Enable, EndpointChange::Extend], wait);
        check(pending, Some(&paused), &[EndpointChange::Resume], wait);
        check(pending, None, &[], AuditContext::MakeEndpoint);
        check(exhausted, Some(&wanting), &[], AuditContext::RetryOrRecover);
        check(exhausted, Some(&other), &[], AuditContext::Recover);
        check(skipped, Some(&disabled), &[EndpointChange::Enable], AuditContext::RetryOrRecover);
        check(skipped, Some(&expired), &[EndpointChange::Extend], AuditContext::RetryOrRecover);
        check(skipped, Some(&wanting), &[], AuditContext::RetryOrRecover);
        check(cancelled, None, &[], AuditContext::MakeEndpoint);
        check(None, Some(&wanting), &[], AuditContext::Retry);
        check(None, Some(&other), &[EndpointChange::WidenFilter], AuditContext::Retry);
        check(None, Some(&both), &[EndpointChange::Enable, EndpointChange::Extend], AuditContext::Retry);
    }
}
