//! Operational events: what an environment's own operators are told of, as messages of a hidden application.
//!
//! Each environment may have a **system environment**, whose id is derived from that of the environment, so neither needs a query to
//! find the other. It has an application for each group that is told: operational endpoints, notification channels, and customers who want mail.
//! The system environment keeps its messages out of every list, search, number and quota of the environment, and it ends loops: events
//! of a system environment cause none.
//!
//! An event is written to the **outbox** in the commit of its cause, and published as a message afterwards. Its id and type
//! are the message's `event_id`, so that it is published once.

use serde_json::{Map, Value, json};

use crate::{
    base::{
        ids::{ApplicationId, EndpointId, EnvironmentId, MessageId, ResourceId},
        time::Timestamp,
    },
    delivery::{attempt::Attempt, settlement::Settlement},
    identity::tenancy::Tenant,
    operations::{
        alerts::{
            alert::Alert,
            decision::Told,
            notification::{LISTED, State},
            rule::AlertRule,
        },
        audit_log::{Action, Change},
    },
};

/// Number of failures of a delivery in a row that `message.attempt.failing` tells of.
pub const FAILING_AT: u32 = 4;

/// Application of a system environment: a group of targets that are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemApplication {
    /// Operational endpoints.
    Operational,
    /// Notification channels of alert rules, each an endpoint that listens to the channel of its own id.
    Channels,
    /// Addresses of customers, each an endpoint that listens to the channel of its application's id.
    Customers,
}

impl SystemApplication {
    /// Returns the id of the application. `system` is the tenant of the system environment.
    pub fn id(self, system: Tenant) -> ApplicationId {
        let mut bytes = *system.environment.as_bytes();
        bytes[15] ^= match self {
            Self::Operational => 0,
            Self::Channels => 1,
            Self::Customers => 2,
        };
        ApplicationId::from_bytes(bytes)
    }

    /// Name of the application.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operational => "Operational webhooks",
            Self::Channels => "Notification channels",
            Self::Customers => "Mail to customers",
        }
    }
}

/// Field of an event's data with the ids of the notification channels that are told.
const CHANNELS: &str = "channel_ids";

/// Parts of the way to disabling, in percent, at which `endpoint.failing` warns.
pub const WARNINGS: [u32; 3] = [50, 70, 90];

macro_rules! operational_types {
    ($($variant:ident => $word:literal, $description:literal,)*) => {
        /// Type of an operational event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum OperationalType { $(#[doc = $description] $variant,)* }

        impl OperationalType {
            /// All types, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Word in the API and in the store.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Parses a word that [`Self::as_str`] returned.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }

            /// Sentence about the type.
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => $description,)* }
            }
        }
    };
}

operational_types! {
    EndpointCreated => "endpoint.created", "An endpoint was created.",
    EndpointUpdated => "endpoint.updated", "An endpoint was changed; `changed` has the names of the fields.",
    EndpointDeleted => "endpoint.deleted", "An endpoint was deleted.",
    EndpointEnabled => "endpoint.enabled", "A disabled endpoint was enabled.",
    EndpointDisabled => "endpoint.disabled", "An endpoint was disabled, by a user or after failing for too long.",
    EndpointFailing => "endpoint.failing", "An endpoint is at 50, 70 or 90 percent of the time after which it is disabled.",
    EndpointRecovered => "endpoint.recovered", "An endpoint that `endpoint.failing` told of accepts messages again.",
    SecretRotated => "endpoint.secret_rotated", "The signing secret of an endpoint was rotated.",
    AttemptFailing => "message.attempt.failing", "A delivery failed for the fourth time in a row, and is retried.",
    AttemptExhausted => "message.attempt.exhausted", "A delivery has no further attempt, and was not successful.",
    AttemptRecovered => "message.attempt.recovered", "A delivery that `message.attempt.failing` told of was successful.",
    CircuitOpened => "circuit.opened", "The circuit breaker of an endpoint opened.",
    CircuitClosed => "circuit.closed", "The circuit breaker of an endpoint closed.",
    JobFinished => "job.finished", "A job completed, failed or was cancelled.",
    QuotaNear => "quota.near", "An organization has used 80 percent of its monthly quota of events.",
    QuotaReached => "quota.reached", "An organization has used up its monthly quota of events.",
    PayloadBudgetNear => "payload_budget.near", "The payloads of an environment take 80 percent of its budget.",
    NodeLost => "node.lost", "A node of the installation stopped renewing its lease. Environments of the first organization are told.",
    AlertFiring => "alert.firing", "An alert rule found that its condition is met, for one or several subjects.",
    AlertResolved => "alert.resolved", "The condition of an alert rule is no longer met, for one or several subjects.",
}

/// Operational event, before it is a message.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationalEvent {
    /// Id of the cause: with the type it identifies the event.
    pub id: ResourceId,
    /// Environment of the cause.
    pub tenant: Tenant,
    /// Type.
    pub kind: OperationalType,
    /// Time of the cause.
    pub at: Timestamp,
    /// Application that the event is about.
    pub application: Option<ApplicationId>,
    /// Endpoint that the event is about.
    pub endpoint: Option<EndpointId>,
    /// Further values of `data`.
    pub data: Map<String, Value>,
}

/// `uid`s of an event's subjects, as they are when the event is published.
#[derive(Debug, Clone, Copy, Default)]
pub struct Uids<'a> {
    /// `uid` of the application.
    pub application: Option<&'a str>,
    /// `uid` of the endpoint.
    pub endpoint: Option<&'a str>,
}

impl OperationalEvent {
    /// Returns the `event_id` of the message.
    pub fn event_id(&self) -> String {
        format!("{}.{}", self.id, self.kind.as_str())
    }

    /// Returns the event of a rule's notification.
    pub fn of_alerts(id: ResourceId, rule: &AlertRule, told: &Told, at: Timestamp) -> Self {
        let Told { notification, alerts } = told;
        let kind = match notification.state {
            State::Firing => OperationalType::AlertFiring,
            State::Resolved => OperationalType::AlertResolved,
        };
        let shown = |alert: &Alert| {
            json!({
                "id": alert.id.to_string(),
                "subject": alert.subject.name,
                "application_id": alert.subject.application_id.map(|id| id.to_string()),
                "endpoint_id": alert.subject.endpoint_id.map(|id| id.to_string()),
                "severity": alert.severity.as_str(),
                "summary": alert.summary,
                "fired_at": alert.fired_at.to_string(),
                "resolved_at": alert.resolved_at.map(|at| at.to_string()),
            })
        };
        let mut data = notification.to_json();
        let kind_of_rule = rule.condition.kind().as_str();
        data.insert("rule".to_owned(), json!({ "id": rule.id.to_string(), "name": rule.name, "rule_type": kind_of_rule }));
        data.insert("alerts".to_owned(), alerts.iter().take(LISTED).map(shown).collect());
        data.insert("alert_count".to_owned(), alerts.len().into());
        data.insert(CHANNELS.to_owned(), rule.channel_ids.iter().map(|id| Value::from(id.to_string())).collect());
        Self { id, tenant: rule.tenant, kind, at, application: None, endpoint: None, data }
    }

    /// Returns the notification channels that are told of the event.
    pub fn notified_channels(&self) -> Vec<String> {
        let ids = self.data.get(CHANNELS).and_then(Value::as_array);
        ids.into_iter().flatten().filter_map(|id| id.as_str().map(str::to_owned)).collect()
    }

    /// Returns the payload of the message: `{type, timestamp, data}`.
    pub fn payload(&self, uids: Uids<'_>) -> Value {
        let mut data = Map::new();
        if let Some(application) = self.application {
            data.insert("application_id".to_owned(), application.to_string().into());
            data.insert("application_uid".to_owned(), uids.application.into());
        }
        if let Some(endpoint) = self.endpoint {
            data.insert("endpoint_id".to_owned(), endpoint.to_string().into());
            // Of a deleted endpoint, the event itself has the `uid`.
            data.insert("endpoint_uid".to_owned(), uids.endpoint.into());
        }
        data.extend(self.data.clone());
        // It addresses the message, and says nothing to its receivers.
        data.remove(CHANNELS);
        json!({ "type": self.kind.as_str(), "timestamp": self.at.to_string(), "data": data })
    }
}

/// Cause of events about an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct EndpointCause {
    /// Id of the change.
    pub id: ResourceId,
    /// Environment.
    pub tenant: Tenant,
    /// Application of the endpoint.
    pub application: ApplicationId,
    /// Endpoint.
    pub endpoint: EndpointId,
    /// Time of the change.
    pub at: Timestamp,
}

impl EndpointCause {
    /// Builds an event.
    pub fn event(self, kind: OperationalType, data: Map<String, Value>) -> OperationalEvent {
        let Self { id, tenant, application, endpoint, at } = self;
        OperationalEvent { id, tenant, kind, at, application: Some(application), endpoint: Some(endpoint), data }
    }

    /// Returns the events that a change of the endpoint causes.
    pub fn events(self, action: Action, change: &Change) -> Vec<OperationalEvent> {
        let of = |state: &Option<Map<String, Value>>, field: &str| state.as_ref().and_then(|state| state.get(field)).cloned();
        let (before, after) = (|field: &str| of(&change.before, field), |field: &str| of(&change.after, field));
        let data = |fields: &[(&str, Value)]| fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        match action {
            Action::EndpointCreate => {
                vec![self.event(OperationalType::EndpointCreated, data(&[("url", after("url").unwrap_or_default())]))]
            }
            Action::EndpointDelete => {
                let fields = [("endpoint_uid", before("uid").unwrap_or_default()), ("url", before("url").unwrap_or_default())];
                vec![self.event(OperationalType::EndpointDeleted, data(&fields))]
            }
            Action::EndpointRotateSecret => {
                let until = after("previous_secret_expires_at").unwrap_or_default();
                vec![self.event(OperationalType::SecretRotated, data(&[("previous_secret_expires_at", until)]))]
            }
            Action::EndpointDisable => {
                let fields = [("trigger", "automatic".into()), ("reason", after("disabled_reason").unwrap_or_default())];
                vec![self.event(OperationalType::EndpointDisabled, data(&fields))]
            }
            Action::EndpointUpdate => {
                let names: Vec<_> = change.after.iter().flat_map(Map::keys).map(String::as_str).collect();
                let mut events = vec![self.event(OperationalType::EndpointUpdated, data(&[("changed", json!(names))]))];
                let disabled = Some(json!("disabled"));
                match (before("status"), after("status")) {
                    (before, after) if before == after => {}
                    (_, after) if after == disabled => {
                        let fields = [("trigger", "manual".into()), ("reason", Value::Null)];
                        events.push(self.event(OperationalType::EndpointDisabled, data(&fields)));
                    }
                    (before, _) if before == disabled => events.push(self.event(OperationalType::EndpointEnabled, Map::new())),
                    _ => {}
                }
                events
            }
            _ => Vec::new(),
        }
    }
}

/// Returns the type of the event that an attempt causes; `failed` is the number of failures in a row before it.
pub fn of_settlement(settlement: Settlement, failed: u32) -> Option<OperationalType> {
    match settlement {
        Settlement::Succeeded if failed >= FAILING_AT => Some(OperationalType::AttemptRecovered),
        Settlement::Succeeded => None,
        Settlement::RetryAt(_) => (failed + 1 == FAILING_AT).then_some(OperationalType::AttemptFailing),
        Settlement::Exhausted(_) => Some(OperationalType::AttemptExhausted),
    }
}

/// Returns the data of an event about an attempt.
pub fn attempt_data(message: MessageId, event_type: &str, attempt: &Attempt) -> Map<String, Value> {
    let last_attempt = json!({
        "id": attempt.id.to_string(),
        "number": attempt.number,
        "response_status": attempt.response_status,
        // The word alone: the sentence may contain the receiver's words.
        "error": attempt.error.as_deref().map(crate::operations::metrics::error_word),
        "created_at": attempt.created_at.to_string(),
    });
    let fields = [("message_id", message.to_string().into()), ("event_type", event_type.into()), ("last_attempt", last_attempt)];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the warning that is due once an endpoint fails for `failing` of the time `allowed`: the highest part reached, in
/// percent.
pub fn warning(failing: std::time::Duration, allowed: std::time::Duration) -> Option<u32> {
    let percent = failing.as_millis() * 100 / allowed.as_millis().max(1);
    WARNINGS.into_iter().rev().find(|part| u128::from(*part) <= percent)
}

/// Returns the id of something that the engine found about a subject: its time, then the subject's own bytes.
pub fn finding_id(subject: &[u8; 16], at: Timestamp) -> ResourceId {
    let mut bytes = *subject;
    bytes[..6].copy_from_slice(&at.as_millis().to_be_bytes()[2..]);
    ResourceId::from_bytes(bytes)
}

impl EnvironmentId {
    /// Returns the system environment of this environment, or the environment of this system environment: each is the
    /// other's.
    #[must_use]
    pub fn counterpart(self) -> Self {
        Self::from_bytes(counterpart(*self.as_bytes()))
    }

    /// Returns the environment that users see: of a system environment, the one that it belongs to.
    #[must_use]
    pub fn of_users(self) -> Self {
        if self.is_system() { self.counterpart() } else { self }
    }

    /// Returns whether this is a system environment.
    pub fn is_system(self) -> bool {
        self.as_bytes()[6] >> 4 == SYSTEM_VERSION
    }
}

impl Tenant {
    /// Returns the tenant of the system environment.
    #[must_use]
    pub fn of_system(self) -> Self {
        Self { environment: self.environment.counterpart(), ..self }
    }

    /// Returns the tenant that users see ([`EnvironmentId::of_users`]).
    #[must_use]
    pub fn of_users(self) -> Self {
        Self { environment: self.environment.of_users(), ..self }
    }
}

/// Version of the ids of system environments: UUIDs for own purposes (RFC 9562 section 5.8). All other ids have the version 7.
const SYSTEM_VERSION: u8 = 8;

/// Exchanges the versions 7 and 8 of an id.
const fn counterpart(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[6] ^= (SYSTEM_VERSION ^ 7) << 4;
    bytes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{base::ids::OrganizationId, delivery::state::ExhaustedReason};

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn id(version: u8) -> [u8; 16] {
        let mut bytes = [5; 16];
        bytes[6] = version << 4 | 3;
        bytes
    }

    fn tenant() -> Tenant {
        Tenant { organization: OrganizationId::from_bytes(id(7)), environment: EnvironmentId::from_bytes(id(7)) }
    }

    fn cause() -> EndpointCause {
        EndpointCause {
            id: ResourceId::from_bytes(id(7)),
            tenant: tenant(),
            application: ApplicationId::from_bytes(id(7)),
            endpoint: EndpointId::from_bytes(id(7)),
            at: Timestamp::from_millis(0),
        }
    }

    fn state(fields: &Value) -> Option<Map<String, Value>> {
        fields.as_object().cloned()
    }

    #[test]
    fn system_environment_and_environment_lead_to_each_other() {
        let environment = tenant().environment;
        let system = environment.counterpart();
        assert_eq!((environment.is_system(), system.is_system()), (false, true));
        assert_eq!((system.as_bytes()[6], system.counterpart()), (0x83, environment));
        assert_eq!(tenant().of_system().of_system(), tenant());
    }

    #[test]
    fn changes_of_an_endpoint_cause_their_events() {
        let check = |action, before: Value, after: Value, expected: &[&str]| {
            let change = Change { before: state(&before), after: state(&after) };
            let kinds: Vec<_> = cause().events(action, &change).into_iter().map(|event| event.kind.as_str()).collect();
            assert_eq!(kinds, expected, "{action:?}");
        };
        check(Action::EndpointCreate, Value::Null, json!({ "url": "https://a.example/" }), &["endpoint.created"]);
        check(Action::EndpointUpdate, json!({ "url": "a" }), json!({ "url": "b" }), &["endpoint.updated"]);
        let (on, off) = (json!({ "status": "active" }), json!({ "status": "disabled" }));
        check(Action::EndpointUpdate, on.clone(), off.clone(), &["endpoint.updated", "endpoint.disabled"]);
        check(Action::EndpointUpdate, off, on.clone(), &["endpoint.updated", "endpoint.enabled"]);
        check(Action::EndpointUpdate, on, json!({ "status": "paused" }), &["endpoint.updated"]);
        check(Action::EndpointDisable, Value::Null, json!({ "disabled_reason": "gone" }), &["endpoint.disabled"]);
        check(Action::EndpointDelete, json!({ "uid": "main" }), Value::Null, &["endpoint.deleted"]);
        check(Action::ApplicationCreate, Value::Null, json!({}), &[]);
    }

    #[test]
    fn payload_names_its_subjects_once() {
        let change = Change { before: state(&json!({ "uid": "main", "url": "https://a.example/" })), after: None };
        let deleted = &cause().events(Action::EndpointDelete, &change)[0];
        let payload = deleted.payload(Uids { application: Some("acme"), endpoint: None });
        assert_eq!(payload["type"], "endpoint.deleted");
        assert_eq!((&payload["data"]["application_uid"], &payload["data"]["endpoint_uid"]), (&json!("acme"), &json!("main")));
        assert_eq!(payload["timestamp"], "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn fourth_failure_the_end_and_a_late_success_cause_events() {
        let at = Timestamp::from_millis(0);
        let gone = Settlement::Exhausted(ExhaustedReason::Gone);
        for (settlement, failed, expected) in [
            (Settlement::RetryAt(at), 2, None),
            (Settlement::RetryAt(at), 3, Some(OperationalType::AttemptFailing)),
            (Settlement::RetryAt(at), 4, None),
            (gone, 0, Some(OperationalType::AttemptExhausted)),
            (Settlement::Succeeded, 3, None),
            (Settlement::Succeeded, 4, Some(OperationalType::AttemptRecovered)),
        ] {
            assert_eq!(of_settlement(settlement, failed), expected, "{settlement:?} after {failed}");
        }
    }

    #[test]
    fn warning_is_the_highest_part_reached() {
        for (hours, expected) in [(0, None), (59, None), (60, Some(50)), (84, Some(70)), (107, Some(70)), (108, Some(90)), (200, Some(90))]
        {
            assert_eq!(warning(Duration::from_secs(hours * 3600), DAY * 5), expected, "{hours} h of 5 days");
        }
    }

    #[test]
    fn types_parse_and_are_event_type_names() {
        for kind in OperationalType::ALL {
            assert_eq!(OperationalType::parse(kind.as_str()), Some(*kind));
            assert!(crate::outbound::event_type::check_name(kind.as_str()).is_ok(), "{}", kind.as_str());
        }
    }
}
