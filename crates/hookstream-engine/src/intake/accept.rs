//! Accepts a message: checks it, finds its endpoints, stores both in one commit, hands the deliveries to the lanes.

use std::{sync::Arc, time::Duration};

use hookstream_model::{
    InvalidField,
    base::{
        ids::{ApplicationId, EndpointId, MessageId},
        time::Timestamp,
        trace_context::TraceContext,
    },
    delivery::state::Trigger,
    identity::tenancy::Tenant,
    outbound::{
        application::ApplicationStatus,
        endpoint,
        hops::Hops,
        message::{self, Message, MessageStatus, Payload},
        payload_schema::{Checked, Violation},
    },
};
use hookstream_store::delivery::{
    deliveries::{IdempotencyKey, Owner, Publication, Published, Versions},
    messages::Message as Found,
};

use crate::{
    Handle,
    core::Core,
    intake::{
        accept_span::AcceptSpan,
        publish::{First, publish},
    },
    routing::origin::ApplicationRoutes,
    upkeep::{
        budgets::Full,
        quotas::{Reached, Reservation},
    },
};

/// Maximum number of attempts to accept a message whose configuration changes meanwhile.
const MAX_ATTEMPTS: u32 = 10;

/// Number of immediate attempts; later ones wait, longer each time. An application whose many endpoints start to fail
/// at once changes with each of them.
const IMMEDIATE_ATTEMPTS: u32 = 3;

/// Pause before a later attempt, multiplied by the number of the attempt.
const PAUSE: Duration = Duration::from_millis(20);

/// Message as its sender gave it.
#[derive(Debug)]
pub struct Draft {
    /// Event type.
    pub event_type: String,
    /// Payload for the receivers.
    pub payload: Payload,
    /// Sender's own id of the message.
    pub event_id: Option<String>,
    /// Channels.
    pub channels: Vec<String>,
    /// Idempotency key of the request.
    pub idempotency: Option<IdempotencyKey>,
    /// Number of chained deliveries that led to this message.
    pub hops: Hops,
    /// Place in the trace of the request: recorded, or as the sender gave it.
    pub trace: Option<Box<TraceContext>>,
    /// Whether the message counts as an event of the organization's quota; a customer's test does not.
    pub is_event: bool,
}

/// Message that is stored and scheduled.
#[derive(Debug)]
pub struct Accepted {
    /// Id of the message.
    pub id: MessageId,
    /// Application to which it was sent.
    pub application_id: ApplicationId,
    /// Event type.
    pub event_type: String,
    /// Payload; `None` if this repeats a response whose message's payload has expired.
    pub payload: Option<Payload>,
    /// Sender's own id of the message.
    pub event_id: Option<String>,
    /// Channels.
    pub channels: Vec<String>,
    /// Status at acceptance.
    pub status: MessageStatus,
    /// Whether this repeats the response to an earlier request with the same idempotency key.
    pub is_repeated: bool,
}

/// Reason why a message is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The tenant has no such application.
    #[error("the application does not exist")]
    ApplicationNotFound,
    /// The application takes no messages.
    #[error("the application is disabled")]
    ApplicationDisabled,
    /// The application has no such endpoint.
    #[error("the endpoint does not exist")]
    EndpointNotFound,
    /// The endpoint cannot be tested in its current state.
    #[error("the endpoint receives nothing: {0}")]
    EndpointSkips(&'static str),
    /// A field breaks its rule.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// The payload is too large.
    #[error("the payload has {size} bytes, more than the limit of {limit}")]
    PayloadTooLarge {
        /// Size in bytes.
        size: usize,
        /// Limit in bytes.
        limit: usize,
    },
    /// Pending payloads of the environment exceed its budget.
    #[error("the environment's payloads take {bytes} bytes, more than its budget of {budget}, and all of them are pending")]
    StorageBudgetReached {
        /// The budget in bytes.
        budget: u64,
        /// Bytes that the payloads take.
        bytes: u64,
    },
    /// The organization has reached its event quota of this month.
    #[error("the organization has had {most} events in this month, which is its quota")]
    QuotaReached {
        /// Limit of the quota.
        most: u64,
        /// End of the month.
        until: Timestamp,
        /// Time until then.
        wait: Duration,
    },
    /// The payload breaks the JSON Schema of its event type.
    #[error("the payload breaks the JSON Schema of its event type")]
    SchemaViolated(Vec<Violation>),
    /// The check against the JSON Schema of the event type exceeds the work limit of a message.
    #[error("checking the payload against its JSON Schema takes too much work")]
    SchemaTooExpensive,
    /// The payload is not readable JSON, for this reason, so it cannot be checked against its JSON Schema.
    #[error("the payload cannot be checked against its JSON Schema: {0}")]
    PayloadUnreadable(String),
    /// The application already has a message with this `event_id`.
    #[error("a message with this event_id already exists")]
    DuplicateEventId(MessageId),
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Delivery loop: this message is the result of too many chained deliveries.
    #[error("delivery loop: {} chained deliveries led to the message", .0.count())]
    Loop(Hops),
    /// The configuration that decides the deliveries changed with each attempt to accept the message.
    #[error("the application or its event types keep changing")]
    KeepsChanging,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] hookstream_store::Error),
}

/// Recipients of a message.
#[derive(Clone, Copy)]
enum Recipients {
    /// Every endpoint that wants its type.
    Wanting,
    /// One endpoint, regardless of its filter, as a test.
    Only(EndpointId),
}

impl Handle {
    /// Accepts a message to an application, named by its id or `uid`. On return, the message is stored durably and its
    /// deliveries are scheduled.
    ///
    /// # Errors
    /// If the message is not accepted; then nothing of it is stored.
    pub async fn send(&self, tenant: Tenant, application: &str, draft: Draft) -> Result<Accepted, SendError> {
        accept(&self.core, tenant, application, draft, Recipients::Wanting).await
    }

    /// Sends a message to one endpoint, regardless of its filter, to test it. There is one attempt.
    ///
    /// # Errors
    /// As [`send`](Self::send), and if the endpoint does not exist or receives nothing.
    pub async fn send_test(&self, tenant: Tenant, application: &str, endpoint: EndpointId, draft: Draft) -> Result<Accepted, SendError> {
        accept(&self.core, tenant, application, draft, Recipients::Only(endpoint)).await
    }
}

/// Accepts an operational event to the application of a system environment.
pub(crate) async fn accept_event(core: &Arc<Core>, tenant: Tenant, application: &str, draft: Draft) -> Result<Accepted, SendError> {
    accept(core, tenant, application, draft, Recipients::Wanting).await
}

/// Decides from the cache, and lets the store verify the versions. The state is read again if they are stale, and
/// before a message is refused because of cached state.
async fn accept(core: &Arc<Core>, tenant: Tenant, application: &str, draft: Draft, to: Recipients) -> Result<Accepted, SendError> {
    let Draft { event_type, payload, event_id, channels, idempotency, hops, trace, is_event } = draft;
    if hops.is_loop() {
        return Err(SendError::Loop(hops));
    }
    if let Some(Full { budget, bytes }) = core.budgets.full(tenant.environment) {
        return Err(SendError::StorageBudgetReached { budget, bytes });
    }
    check(core, &event_type, event_id.as_deref(), &payload)?;
    endpoint::check_channels(&channels)?;
    let span = AcceptSpan::begin(&core.spans, tenant.environment, trace);
    let mut is_fresh = core.store.lease().is_none();
    let id: MessageId = core.new_id().into();
    for time in 0..MAX_ATTEMPTS {
        let routes = if is_fresh {
            core.applications.resolve_now(tenant, application).await?
        } else {
            core.applications.resolve(tenant, application).await?
        };
        let decided = match routes {
            None => Err(SendError::ApplicationNotFound),
            Some(routes) => decide(core, tenant, &routes, &event_type, &channels, &payload, to).await.map(|decided| (routes, decided)),
        };
        let (routes, Decided { seen, owner, deliveries }) = match decided {
            Ok(decided) => decided,
            Err(refusal) if is_fresh => return Err(refusal),
            Err(_) => {
                is_fresh = true;
                core.event_types.forget(tenant.environment);
                continue;
            }
        };
        let application_id = routes.id();
        let reservation = if is_event { routes.origin().meter.take(id.timestamp()) } else { Ok(Reservation::uncounted()) };
        let reservation = match reservation {
            Ok(reservation) => reservation,
            Err(reached) => return over_quota(core, tenant, application_id, idempotency, id, reached).await,
        };
        let message = Arc::new(Message {
            id,
            origin_id: application_id.into(),
            event_type: event_type.clone(),
            payload: payload.clone(),
            hops,
            trace: span.stored.clone(),
        });
        let (deliveries, ours): (Vec<_>, Vec<_>) = deliveries.into_iter().map(|first| (first.delivery, first.ours)).unzip();
        let publication = Publication {
            tenant,
            message: Arc::clone(&message),
            window_start: id.timestamp() - core.options.idempotency_window,
            deliveries,
            owner,
            trigger: match to {
                Recipients::Wanting => Trigger::Initial,
                Recipients::Only(_) => Trigger::Test,
            },
            seen,
            event_id: event_id.clone(),
            channels: channels.clone(),
            idempotency: idempotency.clone(),
            is_event,
        };
        let (status, deliveries) = (publication.first_status(), publication.deliveries.len());
        // A separate task: a sender that hangs up must not stop the work between the commit and the lanes.
        let published = core
            .tasks
            .spawn(publish(Arc::clone(core), publication, ours, reservation))
            .await
            .map_err(|_| hookstream_store::Error::Closed)??;
        match published {
            Published::Stored => {
                span.end(&core.spans, &message, application_id, tenant.environment, deliveries);
                return Ok(Accepted {
                    id,
                    application_id,
                    event_type,
                    payload: Some(payload),
                    event_id,
                    channels,
                    status,
                    is_repeated: false,
                });
            }
            Published::Repeated { message_id, first_status } => {
                return repeated(core, tenant, application_id, message_id, first_status).await;
            }
            Published::KeyReused => return Err(SendError::KeyReused),
            Published::DuplicateEventId { message_id } => return Err(SendError::DuplicateEventId(message_id)),
            Published::Stale => {
                core.origins.forget(application_id.into());
                core.event_types.forget(tenant.environment);
                if time >= IMMEDIATE_ATTEMPTS {
                    tokio::time::sleep(PAUSE * time).await;
                }
            }
        }
    }
    Err(SendError::KeepsChanging)
}

/// Checks the message itself.
fn check(core: &Core, event_type: &str, event_id: Option<&str>, payload: &Payload) -> Result<(), SendError> {
    message::check_event_type(event_type)?;
    if let Some(event_id) = event_id {
        message::check_event_id(event_id)?;
    }
    let (size, limit) = (payload.body.len(), core.options.payload_limit);
    if size > limit { Err(SendError::PayloadTooLarge { size, limit }) } else { Ok(()) }
}

/// Decision about the deliveries of a message.
struct Decided {
    /// Versions of the configuration.
    seen: Versions,
    /// Owner of the deliveries that this process takes.
    owner: Owner,
    deliveries: Vec<First>,
}

/// Decides the deliveries of a message.
async fn decide(
    core: &Core,
    tenant: Tenant,
    routes: &ApplicationRoutes,
    event_type: &str,
    channels: &[String],
    payload: &Payload,
    to: Recipients,
) -> Result<Decided, SendError> {
    if routes.application().status == ApplicationStatus::Disabled {
        return Err(SendError::ApplicationDisabled);
    }
    let (origin, now, owner) = (routes.origin(), core.now(), core.owner());
    let deliveries = match to {
        Recipients::Wanting => {
            let wanting = origin.routes.iter().filter(|route| route.wants(event_type, channels));
            wanting.map(|route| First::of(core, route, payload, now)).collect()
        }
        Recipients::Only(id) => {
            let route = origin.route(id.into()).ok_or(SendError::EndpointNotFound)?;
            if let Some(reason) = route.target.skips(now) {
                return Err(SendError::EndpointSkips(reason.as_str()));
            }
            if route.target.policy.is_paused {
                return Err(SendError::EndpointSkips("endpoint_paused"));
            }
            vec![First::of(core, route, payload, now)]
        }
    };
    let (of_event_types, schema) = core.event_types.schema(tenant, event_type).await?;
    if let Some(schema) = schema {
        match core.checks.check(tenant.organization, schema, payload).await? {
            Checked::Valid => {}
            Checked::Violated(violations) => return Err(SendError::SchemaViolated(violations)),
            Checked::OverBudget => return Err(SendError::SchemaTooExpensive),
            Checked::Unreadable(problem) => return Err(SendError::PayloadUnreadable(problem)),
        }
    }
    let seen = Versions { origin: origin.version, environment: of_event_types };
    Ok(Decided { seen, owner, deliveries })
}

/// Handles a message without room in its quota: a repeated request still gets its first response.
async fn over_quota(
    core: &Core,
    tenant: Tenant,
    application: ApplicationId,
    idempotency: Option<IdempotencyKey>,
    id: MessageId,
    Reached { most, until }: Reached,
) -> Result<Accepted, SendError> {
    let refusal = SendError::QuotaReached { most, until, wait: until.since(id.timestamp()) };
    let Some(key) = idempotency else { return Err(refusal) };
    let window_start = id.timestamp() - core.options.idempotency_window;
    match core.store.find_earlier(tenant, key, window_start).await? {
        Some(Published::Repeated { message_id, first_status }) => repeated(core, tenant, application, message_id, first_status).await,
        Some(Published::KeyReused) => Err(SendError::KeyReused),
        Some(Published::Stored | Published::DuplicateEventId { .. } | Published::Stale) | None => Err(refusal),
    }
}

/// Repeats the first response: the message as it was accepted.
async fn repeated(
    core: &Core,
    tenant: Tenant,
    application: ApplicationId,
    id: MessageId,
    status: MessageStatus,
) -> Result<Accepted, SendError> {
    let found = core.store.message(tenant, application.into(), id).await?.ok_or(SendError::KeyReused)?.message;
    let Found { event_type, payload, event_id, channels, .. } = found;
    Ok(Accepted { id, application_id: application, event_type, payload, event_id, channels, status, is_repeated: true })
}
