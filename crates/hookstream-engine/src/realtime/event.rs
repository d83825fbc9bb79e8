//! Events of the live stream. The data of an event is rendered once, where the event happens, with the names of the API;
//! other nodes pass it on as it is, whatever their version.

use std::fmt::Display;

use hookstream_model::{
    base::{
        ids::{EnvironmentId, MessageId, OriginId, RouteId},
        time::Timestamp,
    },
    delivery::attempt::Attempt,
    identity::tenancy::Tenant,
    operations::{job::Job, stream::Topic},
    outbound::message::{Message, MessageStatus},
};
use hookstream_store::{
    db::listeners::EndpointChange,
    delivery::deliveries::{Next, Publication, Settled},
};
use serde::{Serialize, Serializer};

/// Event of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Environment of the event.
    pub environment: EnvironmentId,
    /// Origin that the event is about.
    pub origin: OriginId,
    /// Route that the event is about, if it is about one.
    pub route: Option<RouteId>,
    /// Subject of the event.
    pub topic: Topic,
    /// JSON object with the data of the event.
    pub data: Box<str>,
}

impl Event {
    /// Returns the size in memory, in bytes.
    pub(crate) const fn size(&self) -> usize {
        size_of::<Self>() + self.data.len()
    }

    /// Event of a settled delivery; `None` if the delivery was only postponed.
    pub(crate) fn of_settled(settled: &Settled, message: &Message) -> Option<Self> {
        let (status, reason, next_attempt_at, ended_at) = match settled.next {
            Next::Succeeded => ("succeeded", None, None, None),
            Next::Retry { wait, .. } => ("pending", None, Some(wait.due_at), None),
            Next::Postponed { .. } => return None,
            Next::Ended(state, at) => (state.as_str(), state.reason(), None, Some(at)),
        };
        let data = DeliveryData {
            message_id: settled.message_id,
            application_id: message.origin_id,
            endpoint_id: settled.route_id,
            event_type: &message.event_type,
            status,
            reason,
            next_attempt_at,
            ended_at,
            attempt: settled.attempt.as_ref().map(AttemptData::of),
        };
        Some(Self {
            environment: settled.environment_id,
            origin: message.origin_id,
            route: Some(settled.route_id),
            topic: Topic::Delivery,
            data: rendered(&data),
        })
    }

    /// Event of a changed endpoint.
    pub(crate) fn of_endpoint(change: EndpointChange, at: Timestamp) -> Self {
        let EndpointChange { tenant, application_id, id, kind } = change;
        let data = EndpointData { endpoint_id: id.into(), application_id: application_id.into(), change: kind.as_str(), changed_at: at };
        Self {
            environment: tenant.environment,
            origin: application_id.into(),
            route: Some(id.into()),
            topic: Topic::Endpoint,
            data: rendered(&data),
        }
    }

    /// Event of a job that was created, progressed or ended.
    pub(crate) fn of_job(job: &Job) -> Self {
        let data = JobData {
            id: job.id.to_string(),
            application_id: job.application_id.into(),
            endpoint_id: job.endpoint_id.into(),
            kind: job.kind.as_str(),
            status: job.state.as_str(),
            total: job.progress.total,
            requeued: job.progress.requeued,
            skipped: job.progress.skipped,
            updated_at: job.updated_at,
            completed_at: job.state.ended_at(),
        };
        Self {
            environment: job.tenant.environment,
            origin: job.application_id.into(),
            route: Some(job.endpoint_id.into()),
            topic: Topic::Job,
            data: rendered(&data),
        }
    }
}

/// Message that is about to be stored, kept until its commit is known.
#[derive(Debug)]
pub(crate) struct Announcement {
    tenant: Tenant,
    event_id: Option<String>,
    channels: Vec<String>,
    status: MessageStatus,
}

impl Announcement {
    pub(crate) fn of(publication: &Publication) -> Self {
        Self {
            tenant: publication.tenant,
            event_id: publication.event_id.clone(),
            channels: publication.channels.clone(),
            status: publication.first_status(),
        }
    }

    /// Event of the stored message: the fields of a list, without the payload.
    pub(crate) fn event(&self, message: &Message) -> Event {
        let accepted_at = message.id.timestamp();
        let data = MessageData {
            id: message.id,
            org_id: self.tenant.organization.to_string(),
            env_id: self.tenant.environment.to_string(),
            application_id: message.origin_id,
            event_type: &message.event_type,
            status: self.status.as_str(),
            event_id: self.event_id.as_deref(),
            channels: (!self.channels.is_empty()).then(|| serde_json::to_string(&self.channels).expect("texts are JSON")),
            created_at: accepted_at,
            updated_at: accepted_at,
        };
        Event { environment: self.tenant.environment, origin: message.origin_id, route: None, topic: Topic::Message, data: rendered(&data) }
    }
}

fn rendered(data: &impl Serialize) -> Box<str> {
    serde_json::to_string(data).expect("texts and numbers are JSON").into_boxed_str()
}

fn text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn optional_text<S: Serializer>(value: &Option<impl Display>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

#[derive(Serialize)]
struct MessageData<'a> {
    #[serde(serialize_with = "text")]
    id: MessageId,
    org_id: String,
    env_id: String,
    #[serde(serialize_with = "text")]
    application_id: OriginId,
    event_type: &'a str,
    status: &'static str,
    event_id: Option<&'a str>,
    channels: Option<String>,
    #[serde(serialize_with = "text")]
    created_at: Timestamp,
    #[serde(serialize_with = "text")]
    updated_at: Timestamp,
}

#[derive(Serialize)]
struct DeliveryData<'a> {
    #[serde(serialize_with = "text")]
    message_id: MessageId,
    #[serde(serialize_with = "text")]
    application_id: OriginId,
    #[serde(serialize_with = "text")]
    endpoint_id: RouteId,
    event_type: &'a str,
    status: &'static str,
    reason: Option<&'static str>,
    #[serde(serialize_with = "optional_text")]
    next_attempt_at: Option<Timestamp>,
    #[serde(serialize_with = "optional_text")]
    ended_at: Option<Timestamp>,
    attempt: Option<AttemptData<'a>>,
}

#[derive(Serialize)]
struct AttemptData<'a> {
    id: String,
    attempt_number: u32,
    trigger_type: &'static str,
    status: &'static str,
    response_status: Option<u16>,
    duration_ms: u64,
    error: Option<&'a str>,
    #[serde(serialize_with = "text")]
    created_at: Timestamp,
}

impl<'a> AttemptData<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        Self {
            id: attempt.id.to_string(),
            attempt_number: attempt.number,
            trigger_type: attempt.trigger.as_str(),
            status: if attempt.succeeded { "success" } else { "failed" },
            response_status: attempt.response_status,
            duration_ms: u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX),
            error: attempt.error.as_deref(),
            created_at: attempt.created_at,
        }
    }
}

#[derive(Serialize)]
struct EndpointData {
    #[serde(serialize_with = "text")]
    endpoint_id: RouteId,
    #[serde(serialize_with = "text")]
    application_id: OriginId,
    change: &'static str,
    #[serde(serialize_with = "text")]
    changed_at: Timestamp,
}

#[derive(Serialize)]
struct JobData {
    id: String,
    #[serde(serialize_with = "text")]
    application_id: OriginId,
    #[serde(serialize_with = "text")]
    endpoint_id: RouteId,
    kind: &'static str,
    status: &'static str,
    total: Option<u64>,
    requeued: u64,
    skipped: u64,
    #[serde(serialize_with = "text")]
    updated_at: Timestamp,
    #[serde(serialize_with = "optional_text")]
    completed_at: Option<Timestamp>,
}
