//! Explanation of a message at an endpoint: why the endpoint has a delivery or none, and how to get the message sent.
//!
//! The API's explanation calls these functions for each endpoint of the message's application. The sentences are the
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

/// Reason why an existing endpoint has no delivery of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmatched {
    /// The message was a test of another endpoint.
    TestOfAnother,
    /// The endpoint was created after the message was accepted.
    CreatedLater,
    /// The endpoint's filter does not contain the message's type.
    TypeNotWanted,
    /// The endpoint has channels, and the message is on none of them.
    OtherChannels,
    /// The endpoint would get the message now, but its filter was different at that time.
    ChangedLater,
}

impl Unmatched {
    /// Code of the reason in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TestOfAnother => "test_of_another_endpoint",
            Self::CreatedLater => "endpoint_created_later",
            Self::TypeNotWanted => "type_not_wanted",
            Self::OtherChannels => "other_channels",
            Self::ChangedLater => "endpoint_changed_later",
        }
    }
}

/// Returns the reason why an endpoint has no delivery of a message that was accepted at `accepted_at`.
pub fn why_unmatched(endpoint: &Endpoint, message: Sendable<'_>, accepted_at: Timestamp, is_test: bool) -> Unmatched {
    if is_test {
        Unmatched::TestOfAnother
    } else if endpoint.created_at > accepted_at {
        Unmatched::CreatedLater
    } else if !endpoint.wants_type(message.event_type) {
        Unmatched::TypeNotWanted
    } else if !endpoint.listens_to(message.channels) {
        Unmatched::OtherChannels
    } else {
        Unmatched::ChangedLater
    }
}

/// Position of a delivery's next attempt in the retry schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduledAttempt {
    /// Number of the attempt, counted from 1 since the message was sent or last retried.
    pub number: u32,
    /// Maximum number of attempts.
    pub of: u32,
}

/// Returns the next attempt of a delivery that has failed `failed` times since it last became pending.
pub fn next_step(trigger: Trigger, failed: u32, schedule: &RetrySchedule) -> ScheduledAttempt {
    let number = failed.saturating_add(1);
    let scheduled = match trigger {
        Trigger::Test => 1,
        Trigger::Initial | Trigger::Automatic | Trigger::Manual | Trigger::Recover | Trigger::Replay => {
            u32::try_from(schedule.as_seconds().len()).unwrap_or(u32::MAX).saturating_add(1)
        }
    };
    // If the schedule was shortened meanwhile, the next attempt is the last.
    ScheduledAttempt { number, of: scheduled.max(number) }
}

/// Reason why a due delivery is not being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// The endpoint is paused.
    Paused,
    /// The endpoint's circuit breaker is open, or lets one delivery through at a time.
    Failing {
        /// Time before which nothing is sent.
        until: Timestamp,
    },
    /// The endpoint responded with `Retry-After`.
    RetryAfter {
        /// Time before which nothing is sent.
        until: Timestamp,
    },
    /// Earlier messages go first, because the endpoint keeps an order.
    Order,
    /// Rate limit of the endpoint or of its application.
    Rate,
    /// The delivery waits for others to be sent with it in one request.
    Batch,
}

/// Returns the reason why due deliveries of an endpoint are not being sent. `has_application_rate` is true if the
/// application has a rate limit.
pub fn wait_reason(endpoint: &Endpoint, has_application_rate: bool, now: Timestamp) -> Option<WaitReason> {
    if endpoint.is_paused() {
        return Some(WaitReason::Paused);
    }
    match endpoint.hold.filter(|hold| hold.holds(now)) {
        Some(Hold { until, reason: HoldReason::Failing, .. }) => Some(WaitReason::Failing { until }),
        Some(Hold { until, reason: HoldReason::RetryAfter, .. }) => Some(WaitReason::RetryAfter { until }),
        None if endpoint.ordering != Ordering::None => Some(WaitReason::Order),
        None if has_application_rate || endpoint.rate_limit_per_second.is_some_and(|rate| rate > 0) => Some(WaitReason::Rate),
        None if endpoint.batch.is_some() => Some(WaitReason::Batch),
        None => None,
    }
}

/// Steps that get a message sent to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// Changes to make to the endpoint first.
    pub changes: Vec<EndpointChange>,
    /// Action to take after the changes.
    pub action: RemedyAction,
}

/// Change that lets an endpoint receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointChange {
    /// Enable the endpoint.
    Enable,
    /// Resume the endpoint.
    Resume,
    /// Move or remove its `expires_at`.
    Extend,
    /// Add the message's type to its filter.
    WidenFilter,
    /// Add one of the message's channels to its channels.
    AddChannel,
}

/// Action that causes the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemedyAction {
    /// No action: the message was delivered.
    Nothing,
    /// No action: the next attempt is scheduled.
    Wait {
        /// Time of the next attempt.
        until: Timestamp,
    },
    /// Retry the message.
    Retry,
    /// Recover the endpoint's missed messages.
    Recover,
    /// Either retry the message or recover the endpoint.
    RetryOrRecover,
    /// Create a new endpoint and retry the message, because the endpoint was deleted.
    MakeEndpoint,
    /// Send a new message, because the payload has expired.
    SendAnew,
}

/// Properties of a message that decide about sending it.
#[derive(Debug, Clone, Copy)]
pub struct Sendable<'a> {
    /// Event type.
    pub event_type: &'a str,
    /// Channels of the message.
    pub channels: &'a [String],
    /// True if the payload has not expired.
    pub has_payload: bool,
}

/// Returns the steps that get a message sent to an endpoint. An `endpoint` of `None` was deleted; a `state` of `None`
/// means that there is no delivery.
///
/// A retry matches the endpoint's filter again; a recovery takes its missed deliveries without matching.
pub fn remedy(state: Option<DeliveryState>, endpoint: Option<&Endpoint>, message: Sendable<'_>, now: Timestamp) -> Remedy {
    if state == Some(DeliveryState::Succeeded) {
        return Remedy { changes: vec![], action: RemedyAction::Nothing };
    }
    if !message.has_payload {
        return Remedy { changes: vec![], action: RemedyAction::SendAnew };
    }
    let Some(endpoint) = endpoint else { return Remedy { changes: vec![], action: RemedyAction::MakeEndpoint } };
    let is_wanted = endpoint.wants(message.event_type, message.channels);
    let action = match state {
        None => RemedyAction::Retry,
        Some(DeliveryState::Pending { due_at }) => RemedyAction::Wait { until: due_at },
        Some(DeliveryState::Exhausted { .. } | DeliveryState::Skipped { .. }) if is_wanted => RemedyAction::RetryOrRecover,
        Some(DeliveryState::Exhausted { .. } | DeliveryState::Skipped { .. }) => RemedyAction::Recover,
        Some(DeliveryState::Cancelled { .. }) => RemedyAction::Retry,
        Some(DeliveryState::Succeeded) => RemedyAction::Nothing,
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
    if action == RemedyAction::Retry && !endpoint.wants_type(message.event_type) {
        changes.push(EndpointChange::WidenFilter);
    }
    if action == RemedyAction::Retry && !endpoint.listens_to(message.channels) {
        changes.push(EndpointChange::AddChannel);
    }
    Remedy { changes, action }
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
        outbound::{endpoint::EndpointUrl, signature::SigningAlgorithm, target::TargetKind},
    };

    const NOW: Timestamp = Timestamp::from_millis(1_780_000_000_000);
    const MINUTE: Duration = Duration::from_secs(60);
    const TYPE: &str = "invoice.paid";

    fn endpoint(filter: &[&str]) -> Endpoint {
        Endpoint {
            id: EndpointId::from_bytes([1; 16]),
            tenant: Tenant { organization: OrganizationId::from_bytes([2; 16]), environment: EnvironmentId::from_bytes([3; 16]) },
            application_id: ApplicationId::from_bytes([4; 16]),
            kind: TargetKind::Http,
            url: EndpointUrl::parse("https://example.com/").expect("a URL"),
            config: None,
            description: None,
            signing_algorithm: SigningAlgorithm::HmacSha256,
            status: EndpointStatus::Active,
            disabled_reason: None,
            disabled_at: None,
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
    fn due_delivery_is_wait_reason_by_the_first_matching_reason() {
        let check = |endpoint: &Endpoint, has_application_rate, expected| {
            assert_eq!(wait_reason(endpoint, has_application_rate, NOW), expected);
        };
        let plain = endpoint(&[]);
        check(&plain, false, None);
        check(&Endpoint { status: EndpointStatus::Paused, ordering: Ordering::Strict, ..plain.clone() }, true, Some(WaitReason::Paused));
        check(&plain, true, Some(WaitReason::Rate));
        check(&Endpoint { rate_limit_per_second: Some(0), ..plain.clone() }, false, None);
        check(&Endpoint { rate_limit_per_second: Some(1), ..plain.clone() }, false, Some(WaitReason::Rate));
        check(&Endpoint { ordering: Ordering::Strict, ..plain.clone() }, true, Some(WaitReason::Order));
        let held = |until, reason| Endpoint { ordering: Ordering::Strict, hold: Some(Hold::new(reason, until, until)), ..plain.clone() };
        check(&held(NOW, HoldReason::Failing), true, Some(WaitReason::Failing { until: NOW }));
        check(&held(NOW + MINUTE, HoldReason::RetryAfter), true, Some(WaitReason::RetryAfter { until: NOW + MINUTE }));
        check(&held(NOW, HoldReason::RetryAfter), true, Some(WaitReason::Order));
    }

    #[test]
    fn endpoint_without_delivery_has_a_reason() {
        let check = |filter: &[&str], accepted_at, is_test, expected| {
            let message = Sendable { event_type: TYPE, channels: &[], has_payload: true };
            assert_eq!(why_unmatched(&endpoint(filter), message, accepted_at, is_test), expected, "{filter:?}");
        };
        check(&["user.created"], NOW + MINUTE, false, Unmatched::TypeNotWanted);
        check(&["user.created"], NOW, false, Unmatched::TypeNotWanted);
        check(&[TYPE], NOW - MINUTE, false, Unmatched::CreatedLater);
        check(&["user.created"], NOW - MINUTE, false, Unmatched::CreatedLater);
        check(&[], NOW + MINUTE, false, Unmatched::ChangedLater);
        check(&["user.created"], NOW + MINUTE, true, Unmatched::TestOfAnother);
    }

    #[test]
    fn channels_are_checked_after_the_type() {
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
    fn next_attempt_has_a_position_in_the_schedule() {
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
    fn remedy_follows_from_delivery_and_endpoint() {
        let check = |state, endpoint: Option<&Endpoint>, changes: &[EndpointChange], action| {
            let expected = Remedy { changes: changes.to_vec(), action };
            let message = |has_payload| Sendable { event_type: TYPE, channels: &[], has_payload };
            assert_eq!(remedy(state, endpoint, message(true), NOW), expected, "{state:?}");
            let send_new = Remedy { changes: vec![], action: RemedyAction::SendAnew };
            let without = if expected.action == RemedyAction::Nothing { expected } else { send_new };
            assert_eq!(remedy(state, endpoint, message(false), NOW), without, "{state:?}");
        };
        let matching = endpoint(&[TYPE]);
        let other = endpoint(&["user.created"]);
        let disabled = Endpoint { status: EndpointStatus::Disabled, ..endpoint(&[]) };
        let paused = Endpoint { status: EndpointStatus::Paused, ..endpoint(&[]) };
        let expired = Endpoint { expires_at: Some(NOW), ..endpoint(&[]) };
        let both = Endpoint { expires_at: Some(NOW), ..disabled.clone() };
        let pending = Some(DeliveryState::Pending { due_at: NOW + MINUTE });
        let wait = RemedyAction::Wait { until: NOW + MINUTE };
        let exhausted = Some(DeliveryState::Exhausted { reason: ExhaustedReason::ScheduleEnded });
        let skipped = Some(DeliveryState::Skipped { reason: SkipReason::EndpointDisabled });
        let cancelled = Some(DeliveryState::Cancelled { reason: CancelReason::EndpointDeleted });

        check(Some(DeliveryState::Succeeded), Some(&disabled), &[], RemedyAction::Nothing);
        check(Some(DeliveryState::Succeeded), None, &[], RemedyAction::Nothing);
        check(pending, Some(&matching), &[], wait);
        check(pending, Some(&other), &[], wait);
        check(pending, Some(&both), &[EndpointChange::Enable, EndpointChange::Extend], wait);
        check(pending, Some(&paused), &[EndpointChange::Resume], wait);
        check(pending, None, &[], RemedyAction::MakeEndpoint);
        check(exhausted, Some(&matching), &[], RemedyAction::RetryOrRecover);
        check(exhausted, Some(&other), &[], RemedyAction::Recover);
        check(skipped, Some(&disabled), &[EndpointChange::Enable], RemedyAction::RetryOrRecover);
        check(skipped, Some(&expired), &[EndpointChange::Extend], RemedyAction::RetryOrRecover);
        check(skipped, Some(&matching), &[], RemedyAction::RetryOrRecover);
        check(cancelled, None, &[], RemedyAction::MakeEndpoint);
        check(None, Some(&matching), &[], RemedyAction::Retry);
        check(None, Some(&other), &[EndpointChange::WidenFilter], RemedyAction::Retry);
        check(None, Some(&both), &[EndpointChange::Enable, EndpointChange::Extend], RemedyAction::Retry);
    }
}
