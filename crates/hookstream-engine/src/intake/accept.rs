//! Accepting a message: check it, find who wants it, store both in one commit, hand it to the lanes.

use std::{sync::Arc, time::Duration};

use hookstream_model::{
    InvalidField,
    base::{
        ids::{ApplicationId, EndpointId, MessageId, TargetId},
        time::Timestamp,
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
    deliveries::{Claimed, IdempotencyKey, NewDelivery, NewState, Publication, Published, Versions},
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
    routing::route::{ApplicationRoutes, Route},
    upkeep::{
        budgets::Full,
        quotas::{Reached, Reservation},
    },
};

/// How often a message is accepted anew because something changed meanwhile.
const AGAIN: u32 = 10;

/// After how many times it waits a little, longer each time: an application whose many endpoints begin to fail at once
/// changes with each of them, one after the other.
const AT_ONCE: u32 = 3;

const PAUSE: Duration = Duration::from_millis(20);

/// A message as its sender gave it.
#[derive(Debug)]
pub struct Draft {
    /// What it is about.
    pub event_type: String,
    /// What its receivers read.
    pub payload: Payload,
    /// The sender's own id for it.
    pub event_id: Option<String>,
    /// Its channels.
    pub channels: Vec<String>,
    /// The request's idempotency key.
    pub idempotency: Option<IdempotencyKey>,
    /// How many deliveries led to it.
    pub hops: Hops,
    /// Whether it counts as an event of its organization's quota; a customer's test does not.
    pub is_event: bool,
}

/// A message that is stored and scheduled.
#[derive(Debug)]
pub struct Accepted {
    /// Its id.
    pub id: MessageId,
    /// The application it was sent to.
    pub application_id: ApplicationId,
    /// What it is about.
    pub event_type: String,
    /// What its receivers read; `None` where this repeats an answer whose message's payload has expired.
    pub payload: Option<Payload>,
    /// The sender's own id for it.
    pub event_id: Option<String>,
    /// Its channels.
    pub channels: Vec<String>,
    /// How it stood when it was accepted.
    pub status: MessageStatus,
    /// Whether this repeats the answer to an earlier request with the same idempotency key.
    pub is_repeated: bool,
}

/// Why a message is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The tenant has no such application.
    #[error("the application is not there")]
    ApplicationNotFound,
    /// The application takes no messages.
    #[error("the application is disabled")]
    ApplicationDisabled,
    /// The application has no such endpoint.
    #[error("the endpoint is not there")]
    EndpointNotFound,
    /// The endpoint cannot be tested as it stands.
    #[error("the endpoint receives nothing: {0}")]
    EndpointSkips(&'static str),
    /// A field breaks its rule.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// The payload is too large.
    #[error("the payload has {size} bytes, more than the limit of {limit}")]
    PayloadTooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The environment's payloads that are still owed take more than it may have.
    #[error("the environment's payloads take {bytes} bytes, more than its budget of {budget}, and all of them are owed")]
    StorageBudgetReached {
        /// The budget in bytes.
        budget: u64,
        /// What they take.
        bytes: u64,
    },
    /// The organization has had as many events in this month as it may.
    #[error("the organization has had {most} events in this month, which is its quota")]
    QuotaReached {
        /// What the quota allows.
        most: u64,
        /// When the month is over.
        until: Timestamp,
        /// How long that is from now.
        wait: Duration,
    },
    /// The payload breaks the JSON Schema of its event type.
    #[error("the payload breaks the JSON Schema of its event type")]
    SchemaViolated(Vec<Violation>),
    /// Checking the payload against the JSON Schema of its event type takes more work than one message may.
    #[error("checking the payload against its JSON Schema takes too much work")]
    SchemaTooExpensive,
    /// The payload cannot be read as JSON, for this reason, so it cannot be checked against its JSON Schema.
    #[error("the payload cannot be checked against its JSON Schema: {0}")]
    PayloadUnreadable(String),
    /// The application has a message with this `event_id` already.
    #[error("there is a message with this event_id")]
    DuplicateEventId(MessageId),
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// So many deliveries led to it that it must be going round.
    #[error("{} deliveries led to it", .0.count())]
    Loop(Hops),
    /// What decides about it changed again and again while it was being accepted.
    #[error("the application or its event types keep changing")]
    KeepsChanging,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] hookstream_store::Error),
}

/// To whom a message goes.
#[derive(Clone, Copy)]
enum Recipients {
    /// Every endpoint that wants its type.
    Wanting,
    /// One endpoint, whatever it wants, as a test.
    Only(EndpointId),
}

impl Handle {
    /// Accepts a message to an application, which is named by its id or `uid`. When this returns, the
    /// message is stored durably and its deliveries are scheduled.
    ///
    /// # Errors
    /// Says why the message is not accepted; then nothing of it is kept.
    pub async fn send(&self, tenant: Tenant, application: &str, draft: Draft) -> Result<Accepted, SendError> {
        accept(&self.core, tenant, application, draft, Recipients::Wanting).await
    }

    /// Sends a message to one endpoint only, whatever its filter, to see whether it arrives. There is
    /// one try.
    ///
    /// # Errors
    /// As [`send`](Self::send), and where the endpoint is not there or receives nothing.
    pub async fn send_test(&self, tenant: Tenant, application: &str, endpoint: EndpointId, draft: Draft) -> Result<Accepted, SendError> {
        accept(&self.core, tenant, application, draft, Recipients::Only(endpoint)).await
    }
}

/// Decides by what is remembered, and lets the store check that it is still so. Where it is not, and
/// before a message is refused for what is remembered, it is read again.
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
    for time in 0..AGAIN {
        let routes =
            if is_fresh { core.routes.resolve_now(tenant, application).await? } else { core.routes.resolve(tenant, application).await? };
        let decided = match routes {
            None => Err(SendError::ApplicationNotFound),
            Some(routes) => decide(core, tenant, &routes, &event_type, &channels, &payload, to).await.map(|decided| (routes, decided)),
        };
        let (routes, (seen, deliveries)) = match decided {
            Ok(decided) => decided,
            Err(refusal) if is_fresh => return Err(refusal),
            Err(_) => {
                is_fresh = true;
                core.routes.forget_schemas(tenant.environment);
                continue;
            }
        };
        let application_id = routes.application.id;
        let place = if is_event { routes.meter.take(id.timestamp()) } else { Ok(Reservation::uncounted()) };
        let place = match place {
            Ok(place) => place,
            Err(reached) => return beyond(core, tenant, application_id, idempotency, id, reached).await,
        };
        let message = Arc::new(Message { id, application_id, event_type: event_type.clone(), payload: payload.clone(), hops });
        let (deliveries, policies): (Vec<_>, Vec<_>) = deliveries.into_iter().map(|first| (first.delivery, first.ours)).unzip();
        let publication = Publication {
            tenant,
            message: Arc::clone(&message),
            window_start: id.timestamp() - core.options.idempotency_window,
            deliveries,
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
        // A task of its own: a sender that hangs up must not stop us between the commit and the lanes.
        let published = core
            .tasks
            .spawn(store_and_offer(Arc::clone(core), publication, policies, place))
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
                if time >= AT_ONCE {
                    tokio::time::sleep(PAUSE * time).await;
                }
            }
        }
    }
    Err(SendError::KeepsChanging)
}

/// What can be told of a message by itself.
fn check(core: &Core, event_type: &str, event_id: Option<&str>, payload: &Payload) -> Result<(), SendError> {
    message::check_event_type(event_type)?;
    if let Some(event_id) = event_id {
        message::check_event_id(event_id)?;
    }
    let (size, limit) = (payload.body.len(), core.options.payload_limit);
    if size > limit { Err(SendError::PayloadTooLarge { size, limit }) } else { Ok(()) }
}

/// Who gets a message, and by which versions that was decided.
async fn decide(
    core: &Core,
    tenant: Tenant,
    routes: &ApplicationRoutes,
    event_type: &str,
    channels: &[String],
    payload: &Payload,
    to: Recipients,
) -> Result<(Versions, Vec<First>), SendError> {
    if routes.application.status == ApplicationStatus::Disabled {
        return Err(SendError::ApplicationDisabled);
    }
    let now = core.now();
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
    Ok((Versions { application: routes.version, environment: of_event_types }, deliveries))
}

/// A delivery as it begins, and what is configured for it where this process has it.
struct First {
    delivery: NewDelivery,
    ours: Option<Arc<LanePolicy>>,
}

/// How a delivery begins: skipped where its endpoint is off, else owed, and owned by this process where it
/// delivers, the lane has room, and no other process has to send it. What is not, waits in its backlog.
fn first_state(core: &Core, route: &Route, payload: &Payload, now: Timestamp) -> First {
    let target_id = TargetId::from(route.endpoint.id);
    if let Some(reason) = route.endpoint.skips(now) {
        return First { delivery: NewDelivery { target_id, state: NewState::Skipped(reason) }, ours: None };
    }
    let limited = route.policy.is_limited(now).then(|| route.backlog(payload));
    let is_for_us = match limited {
        // An order is kept by taking from the backlog only.
        Some(backlog) => !route.policy.is_ordered && !route.policy.is_held(now) && core.has_line(backlog).is_some(),
        None => true,
    };
    let may_begin = core.options.role.delivers() && core.may_begin();
    let is_ours = may_begin && is_for_us && core.lanes().has_room(target_id, &route.policy);
    // A node that has no room for it leaves it to its lane; one that does not deliver, to anybody.
    let backlog = limited.or_else(|| (may_begin && !is_ours).then(|| route.backlog(payload)));
    let state = NewState::Pending { owner: is_ours.then(|| core.owner()), backlog, in_order: route.policy.is_ordered };
    First { delivery: NewDelivery { target_id, state }, ours: is_ours.then(|| Arc::clone(&route.policy)) }
}

async fn store_and_offer(
    core: Arc<Core>,
    publication: Publication,
    policies: Vec<Option<Arc<LanePolicy>>>,
    place: Reservation,
) -> Result<Published, hookstream_store::Error> {
    let message = Arc::clone(&publication.message);
    let (trigger, environment_id) = (publication.trigger, publication.tenant.environment);
    let mut ours = Vec::with_capacity(publication.deliveries.len());
    let mut left_to_claim = false;
    for (delivery, policy) in publication.deliveries.iter().zip(policies) {
        match (delivery.state, policy) {
            (NewState::Pending { owner: Some(owner), backlog, .. }, Some(policy)) => {
                ours.push((owner, delivery.target_id, backlog, policy))
            }
            (NewState::Pending { .. }, _) => left_to_claim = true,
            (NewState::Skipped(_), _) => {}
        }
    }
    let in_use: Option<Vec<_>> = ours.iter().map(|(owner, ..)| InUse::of(&core, *owner)).collect();
    // Where the number was given up since it was decided who delivers, it is decided anew.
    let Some(in_use) = in_use else { return Ok(Published::Stale) };
    let published = match core.store.publish(publication).await {
        Ok(published) => published,
        Err(error) => {
            if matches!(error, hookstream_store::Error::Unavailable { .. }) && !ours.is_empty() {
                // It may be stored all the same, under a number that does not know of it.
                core.suspect_owner();
            }
            return Err(error);
        }
    };
    if published == Published::Stored {
        place.keep();
        core.budgets.accepted(environment_id, message.payload.body.len());
        let offered = ours.into_iter().map(|(owner, target_id, backlog, policy)| {
            let due_at = message.id.timestamp();
            let message = Arc::clone(&message);
            let delivery = Claimed { owner, environment_id, message, target_id, backlog, attempts: 0, failed: 0, trigger, due_at };
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

/// What comes of a message for which the month has no place: what it repeats has had one.
async fn beyond(
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

/// The first answer again: the message as it was accepted.
async fn repeated(
    core: &Core,
    tenant: Tenant,
    application: ApplicationId,
    id: MessageId,
    status: MessageStatus,
) -> Result<Accepted, SendError> {
    let found = core.store.message(tenant, application, id).await?.ok_or(SendError::KeyReused)?.message;
    let Found { event_type, payload, event_id, channels, .. } = found;
    Ok(Accepted { id, application_id: application, event_type, payload, event_id, channels, status, is_repeated: true })
}
