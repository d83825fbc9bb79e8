//! Publishes operational events: each leaves the outbox once it is a message of the system environment.
//!
//! The node that works on the first shard publishes, so events keep their order. An event that was published before a crash
//! and not removed is published again, and refused as a duplicate, because its `event_id` is taken.

use std::{sync::Arc, time::Duration};

use hookstream_model::{
    base::ids::{ApplicationId, EndpointId},
    delivery::queue::Shard,
    identity::{portal::page_of, tenancy::Tenant},
    operations::{
        customer_notice::{self, is_for_customers, notice},
        operational_event::{OperationalEvent, SystemApplication, Uids},
    },
    outbound::{
        hops::Hops,
        message::{ContentType, Payload},
    },
};
use hookstream_store::{Error, delivery::outbox::Outgoing, identity::environments};
use serde_json::json;

use crate::{
    Handle,
    core::Core,
    intake::accept::{Draft, SendError, accept_event},
    operational::warnings::MARKS_KEPT,
};

/// Interval between looks while someone is told: a change on another node wakes this one no other way.
const PERIOD: Duration = Duration::from_secs(1);
/// Interval between looks while no one is told. Events may be left of a time when someone was.
const PERIOD_UNTOLD: Duration = Duration::from_secs(60);
/// Events of each file in one look.
const LIMIT: usize = 500;
/// Number of looks between removals of old warnings.
const FORGET_EVERY: u32 = 3_600;

/// Publishes until the engine stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut looks = 0_u32;
    let mut wait = PERIOD;
    loop {
        tokio::select! {
            biased;
            () = core.stop.cancelled() => return,
            () = core.told.written.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
        if core.works_on_first_shard() {
            let published = step(&core).await;
            match published {
                // There may be more.
                Ok(number) if number >= LIMIT => core.told.written.notify_one(),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "could not publish operational events; retrying");
                }
            }
            if looks.is_multiple_of(FORGET_EVERY)
                && let Err(error) = hookstream_store::delivery::outbox::forget_marks_before(&*core.store, core.now() - MARKS_KEPT).await
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not forget old warnings");
            }
            looks = looks.wrapping_add(1);
        }
        wait = if core.told.is_any() { PERIOD } else { PERIOD_UNTOLD };
    }
}

impl Core {
    /// Returns whether this node works on the first shard. What one node at a time does for all is done by that node.
    pub(crate) fn works_on_first_shard(&self) -> bool {
        Shard::new(0).is_some_and(|first| self.lease().works_on(first).is_some())
    }
}

impl Handle {
    /// Returns whether this node works on the first shard. What one node at a time does for all is done by that node.
    pub fn works_on_first_shard(&self) -> bool {
        self.core.works_on_first_shard()
    }

    /// Wakes the task that publishes operational events, after one was written.
    pub fn operational_event_written(&self) {
        self.core.told.written.notify_one();
    }
}

/// Publishes the events that wait. Returns their number.
pub(crate) async fn step(core: &Arc<Core>) -> Result<usize, Error> {
    let mut waiting = core.store.outbox(LIMIT).await?;
    waiting.sort_by_key(|outgoing| (outgoing.event.at, outgoing.event.id, outgoing.event.kind));
    let mut published: Vec<Outgoing> = Vec::with_capacity(waiting.len());
    let mut failed = None;
    for outgoing in waiting {
        match publish(core, &outgoing.event).await {
            Ok(()) => published.push(outgoing),
            Err(error) => {
                failed = Some((outgoing.event.kind, error));
                break;
            }
        }
    }
    let number = published.len();
    if number > 0 {
        core.store.remove_from_outbox(published).await?;
    }
    match failed {
        None => {}
        Some((_, SendError::Store(error))) => return Err(error),
        Some((kind, error)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                r#type = kind.as_str(),
                "could not publish an operational event; retrying"
            );
        }
    }
    Ok(number)
}

/// Publishes one event to all who are told of it. If the process ends in between, the repetition is refused where it was published.
async fn publish(core: &Arc<Core>, event: &OperationalEvent) -> Result<(), SendError> {
    publish_to(core, SystemApplication::Operational, event, Vec::new()).await?;
    let channels = event.notified_channels();
    if !channels.is_empty() {
        publish_to(core, SystemApplication::Channels, event, channels).await?;
    }
    if let (true, Some(application), Some(endpoint)) = (is_for_customers(event.kind), event.application, event.endpoint) {
        publish_to_customer(core, event, application, endpoint).await?;
    }
    Ok(())
}

/// Publishes an event about an endpoint to its customer, if they want mail.
async fn publish_to_customer(
    core: &Arc<Core>,
    event: &OperationalEvent,
    application: ApplicationId,
    endpoint: EndpointId,
) -> Result<(), SendError> {
    let system = event.tenant.of_system();
    let customers = SystemApplication::Customers.id(system).to_string();
    let Some(told) = core.applications.resolve_now(system, &customers).await? else { return Ok(()) };
    let (kind, channels) = (event.kind.as_str(), vec![application.to_string()]);
    if !told.origin().routes.iter().any(|route| route.wants(kind, &channels)) {
        return Ok(());
    }
    let Some(routes) = core.applications.get(application).await?.filter(|found| found.application().tenant == event.tenant) else {
        return Ok(());
    };
    let Some(found) = routes.endpoint(endpoint) else { return Ok(()) };
    let Tenant { organization, environment } = event.tenant;
    let page = environments::find(&*core.store, organization, environment).await?.and_then(|environment| environment.portal_url);
    let link = match page {
        Some(page) => {
            let uid = routes.application().uid.as_deref().unwrap_or_default();
            page_of(&page, &application.to_string(), uid, &endpoint.to_string())
        }
        None => format!("{}/portal?env_id={environment}#/endpoints/{endpoint}", core.options.public_url),
    };
    let described = found.endpoint.description.as_deref().filter(|text| !text.is_empty());
    let url = found.endpoint.url.as_str();
    let name = described.map_or_else(|| url.to_owned(), |text| format!("{text} ({url})"));
    let data = notice(event, &name, link).to_json();
    let body = json!({ "type": kind, "timestamp": event.at.to_string(), "data": data }).to_string().into();
    accept_in(core, system, &customers, kind, body, customer_notice::event_id(event), channels).await
}

/// Publishes an event to an application of the system environment, if one of its endpoints wants it.
async fn publish_to(core: &Arc<Core>, which: SystemApplication, event: &OperationalEvent, channels: Vec<String>) -> Result<(), SendError> {
    let system = event.tenant.of_system();
    let application = which.id(system).to_string();
    let Some(told) = core.applications.resolve_now(system, &application).await? else { return Ok(()) };
    let kind = event.kind.as_str();
    if !told.origin().routes.iter().any(|route| route.wants(kind, &channels)) {
        return Ok(());
    }
    let subject = match event.application {
        Some(application) => core.applications.get(application).await?.filter(|found| found.application().tenant == event.tenant),
        None => None,
    };
    let uids = Uids {
        application: subject.as_ref().and_then(|found| found.application().uid.as_deref()),
        endpoint: event.endpoint.and_then(|id| subject.as_ref()?.endpoint(id)?.endpoint.uid.as_deref()),
    };
    let body = event.payload(uids).to_string().into();
    accept_in(core, system, &application, kind, body, event.event_id(), channels).await
}

/// Accepts a message to an application of a system environment, unless it was accepted before.
async fn accept_in(
    core: &Arc<Core>,
    system: Tenant,
    application: &str,
    kind: &str,
    body: bytes::Bytes,
    event_id: String,
    channels: Vec<String>,
) -> Result<(), SendError> {
    let draft = Draft {
        event_type: kind.to_owned(),
        payload: Payload { body, content_type: ContentType::Json },
        event_id: Some(event_id),
        channels,
        idempotency: None,
        hops: Hops::default(),
        trace: None,
        is_event: false,
    };
    match accept_event(core, system, application, draft).await {
        Ok(_) | Err(SendError::DuplicateEventId(_) | SendError::ApplicationNotFound | SendError::ApplicationDisabled) => Ok(()),
        Err(error) => Err(error),
    }
}
