//! Accepts a message: checks it, finds its endpoints, stores both in one commit, hands the deliveries to the lanes.

use std::{sync::Arc, time::Duration};

use hookstream_model::{
    InvalidField,
    base::{
        ids::{ApplicationId, EndpointId, MessageId, RouteId},
        time::Timestamp,
    },
    delivery::{
        placement::{self, Placement, Source},
        queue::Backlog,
        state::Trigger,
    },
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
    deliveries::{Claimed, IdempotencyKey, NewDelivery, NewState, Owner, PackedIndex, Publication, Published, Versions},
    messages::Message as Found,
};

use crate::{
    Handle,
    cluster::owner_in_use::InUse,
    core::Core,
    queues::{
        lanes::LanePolicy,
        schedule::{self, Offered},
    },
    routing::route::{ApplicationRoutes, Route, target_of},
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

/// Decides from the cache, and lets the store verify the versions. The state is read again if they are stale, and
/// before a message is refused because of cached state.
async fn accept(core: &Arc<Core>, tenant: Tenant, application: &str, draft: Draft, to: Recipients) -> Result<Accepted, SendError> {
    let Draft { event_type, payload, event_id, channels, idempotency, hops, is_event } = draft;
    if hops.is_loop() {
        return Err(SendError::Loop(hops));
    }
    if let Some(Full { budget, bytes }) = core.budgets.full(tenant.environment) {
        return Err(SendError::StorageBudgetReached { budget, bytes });
    }
    check(core, &event_type, event_id.as_deref(), &payload)?;
    endpoint::check_channels(&channels)?;
    let mut is_fresh = core.store.lease().is_none();
    let id: MessageId = core.new_id().into();
    for time in 0..MAX_ATTEMPTS {
        let routes =
            if is_fresh { core.routes.resolve_now(tenant, application).await? } else { core.routes.resolve(tenant, application).await? };
        let decided = match routes {
            None => Err(SendError::ApplicationNotFound),
            Some(routes) => decide(core, tenant, &routes, &event_type, &channels, &payload, to).await.map(|decided| (routes, decided)),
        };
        let (routes, Decided { seen, owner, deliveries }) = match decided {
            Ok(decided) => decided,
            Err(refusal) if is_fresh => return Err(refusal),
            Err(_) => {
                is_fresh = true;
                core.routes.forget_schemas(tenant.environment);
                continue;
            }
        };
        let application_id = routes.application.id;
        let reservation = if is_event { routes.meter.take(id.timestamp()) } else { Ok(Reservation::uncounted()) };
        let reservation = match reservation {
            Ok(reservation) => reservation,
            Err(reached) => return over_quota(core, tenant, application_id, idempotency, id, reached).await,
        };
        let message =
            Arc::new(Message { id, origin_id: application_id.into(), event_type: event_type.clone(), payload: payload.clone(), hops });
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
        let status = publication.first_status();
        // A separate task: a sender that hangs up must not stop the work between the commit and the lanes.
        let published = core
            .tasks
            .spawn(store_and_offer(Arc::clone(core), publication, ours, reservation))
            .await
            .map_err(|_| hookstream_store::Error::Closed)??;
        match published {
            Published::Stored => {
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
                core.routes.forget(application_id);
                core.routes.forget_schemas(tenant.environment);
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
    if routes.application.status == ApplicationStatus::Disabled {
        return Err(SendError::ApplicationDisabled);
    }
    let (now, owner) = (core.now(), core.owner());
    let deliveries = match to {
        Recipients::Wanting => {
            let wanting = routes.endpoints.iter().filter(|route| route.endpoint.wants(event_type, channels));
            wanting.map(|route| first_state(core, route, payload, now)).collect()
        }
        Recipients::Only(id) => {
            let route = routes.endpoint(id).ok_or(SendError::EndpointNotFound)?;
            if let Some(reason) = route.endpoint.skips(now) {
                return Err(SendError::EndpointSkips(reason.as_str()));
            }
            if route.endpoint.is_paused() {
                return Err(SendError::EndpointSkips("endpoint_paused"));
            }
            vec![first_state(core, route, payload, now)]
        }
    };
    let (of_event_types, schema) = core.routes.schema(tenant, event_type).await?;
    if let Some(schema) = schema {
        match core.checks.check(tenant.organization, schema, payload).await? {
            Checked::Valid => {}
            Checked::Violated(violations) => return Err(SendError::SchemaViolated(violations)),
            Checked::OverBudget => return Err(SendError::SchemaTooExpensive),
            Checked::Unreadable(problem) => return Err(SendError::PayloadUnreadable(problem)),
        }
    }
    let seen = Versions { origin: routes.version, environment: of_event_types };
    Ok(Decided { seen, owner, deliveries })
}

/// New delivery, with its lane if this process takes it.
struct First {
    delivery: NewDelivery,
    ours: Option<Ours>,
}

/// Lane of a delivery that this process takes.
struct Ours {
    policy: Arc<LanePolicy>,
    /// Backlog to which the delivery returns if its lane has a limit.
    backlog: Option<Backlog>,
}

/// Returns the first state of a delivery: skipped if its endpoint is off, otherwise pending. This process owns it if it
/// delivers, the lane has room, and no other process must send it. Otherwise the delivery waits in its backlog.
fn first_state(core: &Core, route: &Route, payload: &Payload, now: Timestamp) -> First {
    let route_id = RouteId::from(route.endpoint.id);
    if let Some(reason) = route.endpoint.skips(now) {
        return First { delivery: NewDelivery { route_id, state: NewState::Skipped(reason) }, ours: None };
    }
    let restrictions = route.restrictions(0, now);
    let bound_to = restrictions.bind_to_shard().then(|| route.backlog(payload));
    let works_on_shard = bound_to.is_some_and(|backlog| core.works_on_backlog_since(backlog).is_some());
    let may_begin = core.options.role.delivers() && core.may_begin();
    let is_ours = may_begin
        && placement::place(restrictions, Source::Accepted, works_on_shard) == Placement::Here
        && core.lanes().has_room(target_of(route_id), &route.policy);
    if is_ours {
        let ours = Ours { policy: Arc::clone(&route.policy), backlog: bound_to };
        return First { delivery: NewDelivery { route_id, state: NewState::Owned }, ours: Some(ours) };
    }
    // A delivering node without room leaves the delivery to its own lane; a node that does not deliver leaves it to any
    // node.
    let backlog = bound_to.or_else(|| may_begin.then(|| route.backlog(payload)));
    let state = NewState::Waiting { backlog, in_order: route.policy.is_ordered };
    First { delivery: NewDelivery { route_id, state }, ours: None }
}

async fn store_and_offer(
    core: Arc<Core>,
    publication: Publication,
    ours: Vec<Option<Ours>>,
    reservation: Reservation,
) -> Result<Published, hookstream_store::Error> {
    let message = Arc::clone(&publication.message);
    let (trigger, environment_id) = (publication.trigger, publication.tenant.environment);
    let left_to_claim = publication.deliveries.iter().any(|delivery| matches!(delivery.state, NewState::Waiting { .. }));
    let route_ids = publication.deliveries.iter().map(|delivery| delivery.route_id);
    let ours: Vec<_> = route_ids.zip(ours).filter_map(|(route_id, ours)| Some((route_id, ours?))).collect();
    let owner = publication.owner;
    let in_use = if ours.is_empty() { None } else { InUse::of(&core, owner) };
    if in_use.is_none() && !ours.is_empty() {
        // The owner id was retired since the decision, so the deliveries are decided again.
        return Ok(Published::Stale);
    }
    let published = match core.store.publish(publication).await {
        Ok(published) => published,
        Err(error) => {
            if matches!(error, hookstream_store::Error::Unavailable { .. }) && !ours.is_empty() {
                // The message may be stored, with deliveries that are in no memory.
                core.suspect_owner();
            }
            return Err(error);
        }
    };
    if published == Published::Stored {
        reservation.keep();
        core.budgets.accepted(environment_id, message.payload.body.len());
        let offered = ours.into_iter().enumerate().map(|(number, (route_id, Ours { policy, backlog }))| {
            let due_at = message.id.timestamp();
            let (message, packed) = (Arc::clone(&message), Some(PackedIndex::new(number)));
            let delivery = Claimed { owner, environment_id, message, route_id, backlog, attempts: 0, failed: 0, trigger, due_at, packed };
            Offered { delivery, policy, backlog: None }
        });
        schedule::offer(&core, offered);
        if left_to_claim {
            core.note_due(message.id.timestamp());
        }
    }
    drop(in_use);
    Ok(published)
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
