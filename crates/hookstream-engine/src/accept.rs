//! Accepting a message: check it, find who wants it, store both in one commit, hand it to the lanes.

use std::sync::Arc;

use hookstream_model::{
    InvalidField,
    application::ApplicationStatus,
    delivery::Trigger,
    event_type::Violation,
    ids::{ApplicationId, EndpointId, MessageId, TargetId},
    message::{self, Message, MessageStatus, Payload},
    tenancy::Tenant,
    time::Timestamp,
};
use hookstream_store::deliveries::{Claimed, IdempotencyKey, NewDelivery, NewState, Publication, Published};

use crate::{
    Handle,
    core::Core,
    dispatch,
    routes::{ApplicationRoutes, Route},
};

/// A message as its sender gave it.
#[derive(Debug)]
pub struct Draft {
    /// What it is about.
    pub event_type: String,
    /// What its receivers read.
    pub payload: Payload,
    /// The sender's own id for it.
    pub event_id: Option<String>,
    /// The request's idempotency key.
    pub idempotency: Option<IdempotencyKey>,
}

/// A message that is stored and scheduled.
#[derive(Debug)]
pub struct Accepted {
    /// The message.
    pub message: Arc<Message>,
    /// The sender's own id for it.
    pub event_id: Option<String>,
    /// How it stood when it was accepted.
    pub status: MessageStatus,
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
    /// The payload breaks the JSON Schema of its event type.
    #[error("the payload breaks the JSON Schema of its event type")]
    SchemaViolated(Vec<Violation>),
    /// The application has a message with this `event_id` already.
    #[error("there is a message with this event_id")]
    DuplicateEventId(MessageId),
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] hookstream_store::Error),
}

impl Handle {
    /// Accepts a message to an application, which is named by its id or `uid`. When this returns, the
    /// message is stored durably and its deliveries are scheduled.
    ///
    /// # Errors
    /// Says why the message is not accepted; then nothing of it is kept.
    pub async fn send(&self, tenant: Tenant, application: &str, draft: Draft) -> Result<Accepted, SendError> {
        let routes = self.core.routes.resolve(tenant, application).await?.ok_or(SendError::ApplicationNotFound)?;
        check(&self.core, tenant, &routes, &draft).await?;
        let now = self.core.now();
        let wanted = routes.endpoints.iter().filter(|route| route.endpoint.wants(&draft.event_type));
        let deliveries = wanted.map(|route| first_state(&self.core, route, now)).collect();
        publish(&self.core, tenant, routes.application.id, draft, deliveries, Trigger::Initial).await
    }

    /// Sends a message to one endpoint only, whatever its filter, to see whether it arrives. There is
    /// one try.
    ///
    /// # Errors
    /// As [`send`](Self::send), and where the endpoint is not there or receives nothing.
    pub async fn send_test(&self, tenant: Tenant, application: &str, endpoint: EndpointId, draft: Draft) -> Result<Accepted, SendError> {
        let routes = self.core.routes.resolve(tenant, application).await?.ok_or(SendError::ApplicationNotFound)?;
        let route = routes.endpoint(endpoint).ok_or(SendError::EndpointNotFound)?;
        if let Some(reason) = route.endpoint.skips(self.core.now()) {
            return Err(SendError::EndpointSkips(reason.as_str()));
        }
        check(&self.core, tenant, &routes, &draft).await?;
        let deliveries = vec![first_state(&self.core, route, self.core.now())];
        publish(&self.core, tenant, routes.application.id, draft, deliveries, Trigger::Test).await
    }
}

async fn check(core: &Core, tenant: Tenant, routes: &ApplicationRoutes, draft: &Draft) -> Result<(), SendError> {
    if routes.application.status == ApplicationStatus::Disabled {
        return Err(SendError::ApplicationDisabled);
    }
    message::check_event_type(&draft.event_type)?;
    if let Some(event_id) = &draft.event_id {
        message::check_event_id(event_id)?;
    }
    let (size, limit) = (draft.payload.body.len(), core.options.payload_limit);
    if size > limit {
        return Err(SendError::PayloadTooLarge { size, limit });
    }
    if let Some(schema) = core.routes.schema(tenant, &draft.event_type).await? {
        let violations = schema.violations(&draft.payload);
        if !violations.is_empty() {
            return Err(SendError::SchemaViolated(violations));
        }
    }
    Ok(())
}

/// How a delivery begins: skipped where its endpoint is off, else owed, and owned by this process
/// where its lane has room.
fn first_state(core: &Core, route: &Route, now: Timestamp) -> NewDelivery {
    let target_id = TargetId::from(route.endpoint.id);
    let state = match route.endpoint.skips(now) {
        Some(reason) => NewState::Skipped(reason),
        None => NewState::Owed { owner: core.lanes().has_room(target_id).then_some(core.owner) },
    };
    NewDelivery { target_id, state }
}

async fn publish(
    core: &Arc<Core>,
    tenant: Tenant,
    application_id: ApplicationId,
    draft: Draft,
    deliveries: Vec<NewDelivery>,
    trigger: Trigger,
) -> Result<Accepted, SendError> {
    let Draft { event_type, payload, event_id, idempotency } = draft;
    let message = Arc::new(Message { id: core.new_id().into(), application_id, event_type, payload });
    let publication = Publication {
        tenant,
        message: Arc::clone(&message),
        window_start: message.id.timestamp() - core.options.idempotency_window,
        deliveries,
        trigger,
        event_id: event_id.clone(),
        idempotency,
    };
    let status = publication.first_status();
    // A task of its own: a sender that hangs up must not stop us between the commit and the lanes.
    let published =
        core.tasks.spawn(store_and_offer(Arc::clone(core), publication)).await.map_err(|_| hookstream_store::Error::Closed)??;
    match published {
        Published::Stored => Ok(Accepted { message, event_id, status }),
        Published::Repeated { message_id, first_status } => repeated(core, tenant, application_id, message_id, first_status).await,
        Published::KeyReused => Err(SendError::KeyReused),
        Published::DuplicateEventId { message_id } => Err(SendError::DuplicateEventId(message_id)),
    }
}

async fn store_and_offer(core: Arc<Core>, publication: Publication) -> Result<Published, hookstream_store::Error> {
    let message = Arc::clone(&publication.message);
    let trigger = publication.trigger;
    let mut ours = Vec::with_capacity(publication.deliveries.len());
    let mut left_to_claim = false;
    for delivery in &publication.deliveries {
        match delivery.state {
            NewState::Owed { owner: Some(_) } => ours.push(delivery.target_id),
            NewState::Owed { owner: None } => left_to_claim = true,
            NewState::Skipped(_) => {}
        }
    }
    let published = core.store.publish(publication).await?;
    if published == Published::Stored {
        dispatch::offer(
            &core,
            ours.into_iter().map(|target_id| Claimed { message: Arc::clone(&message), target_id, attempts: 0, failed: 0, trigger }),
        );
        if left_to_claim {
            core.note_due(message.id.timestamp());
        }
    }
    Ok(published)
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
    let message = Message { id, application_id: application, event_type: found.event_type, payload: found.payload };
    Ok(Accepted { message: Arc::new(message), event_id: found.event_id, status })
}
