//! Installation with every kind of row, and a reader of all its content.

use std::{collections::BTreeMap, sync::Arc};

use hookstream_model::{
    base::{
        ids::{ApplicationId, MessageId},
        secret::Secret,
    },
    delivery::{
        retry::RetrySchedule,
        state::{CancelReason, DeliveryState, DisabledReason, ExhaustedReason, SkipReason},
    },
    identity::tenancy::{ApiKey, ApiKeyText, KeyMode, Tenant},
    operations::{
        job::{JobKind, JobRequest},
        quota::Month,
    },
    outbound::{
        event_type::{EventType, EventTypeStatus},
        message::{ContentType, Message},
    },
};
use hookstream_store::{
    PageRequest, Store,
    delivery::deliveries::{IdempotencyKey, NewDelivery, NewState, Next, Owner, Publication, Published, Settled, Wait},
    identity::{
        api_keys,
        portal_keys::{self, PortalKey},
    },
    operations::{
        audit_log::{self, Filter, Reach},
        jobs, quotas,
    },
    outbound::{
        applications,
        endpoints::{self, EndpointKey, Rotation},
        event_types,
        idempotency::{self, NewResponse},
    },
};

use crate::support::{DAY, Fixture, NOON, SECOND, pending, settled};

/// Responses of receivers; the second contains a NUL.
pub(crate) const ANSWERS: [&str; 2] = ["größer \u{1f980} \"quoted\" \\ \r\n", "nul\0led"];

/// Values needed to read an installation.
pub(crate) struct Installation {
    pub(crate) tenant: Tenant,
    pub(crate) application: ApplicationId,
    pub(crate) messages: Vec<MessageId>,
    key: ApiKeyText,
    /// Message owned by a process that is gone.
    pub(crate) owned: MessageId,
}

impl Installation {
    /// Fills a store.
    pub(crate) async fn make(store: Arc<dyn Store>) -> Self {
        let world = Fixture::in_store(store).await;
        let key = configure(&world).await;
        let owner = world.enlist().await;
        let mut messages = Vec::new();
        for day in 0..3 {
            messages.extend(settle_in_every_way(&world, owner, day).await);
        }
        messages.extend(publish_with_keys(&world).await);
        messages.extend(publish_payloads(&world).await);
        let own = || NewDelivery { route_id: world.target(), state: NewState::Owned };
        let owned = world.publication(world.message(NOON, "{}"), vec![own(), own()]);
        let id = owned.message.id;
        publish(&world, Publication { owner, ..owned }).await;
        messages.push(id);
        Self { tenant: world.tenant, application: world.application, messages, key, owned: id }
    }

    /// Returns the whole content of the store as text.
    pub(crate) async fn read(&self, store: &dyn Store) -> Vec<String> {
        let mut read = vec![
            format!("{:?}", api_keys::find(store, self.key.hash()).await.expect("read").expect("the key exists")),
            format!("{:?}", applications::list(store, self.tenant, None, all()).await.expect("read")),
            format!("{:?}", event_types::list(store, self.tenant, all()).await.expect("read")),
            format!("{:?}", crate::views::filled(store, self.tenant).await),
            format!("{:?}", crate::alerts::filled(store, self.tenant).await),
            format!("{:?}", idempotency::find(store, self.tenant, "answer", NOON - DAY).await.expect("read").expect("stored")),
            format!("{:?}", jobs::list(store, self.tenant, None, all()).await.expect("read")),
            format!(
                "{:?}",
                audit_log::list(store, Reach::Organization(self.tenant.organization), &Filter::default(), all()).await.expect("read")
            ),
            portal_keys::current(store).await.expect("read").expect("exists").secret.expose().to_owned(),
            format!("{:?}", store.message_counts(vec![self.application.into()]).await.expect("read")),
            format!("{:?}", applications::find_for_engine(store, self.application).await.expect("read")),
            format!("{:?}", crate::people::filled(store).await),
            format!("{:?}", crate::metrics::filled(store, self.tenant.environment).await),
            format!("{:?}", quotas::find(store, self.tenant.organization).await.expect("read")),
            format!("{:?}", quotas::events(store, Month::of(NOON), Some(self.tenant.organization)).await.expect("read")),
        ];
        for endpoint in endpoints::all_with_secrets(store, self.tenant, self.application).await.expect("read") {
            let previous: Vec<_> = endpoint.rotated.iter().map(|(secret, until)| (secret.expose().to_owned(), *until)).collect();
            read.push(format!("{:?} {} {previous:?}", endpoint.endpoint, endpoint.secret.expose()));
        }
        let listed = store.messages(self.tenant, self.application.into(), None, all()).await.expect("read");
        assert_eq!(listed.items.len(), self.messages.len());
        for id in &self.messages {
            let detail = store.message(self.tenant, self.application.into(), *id).await.expect("read").expect("exists");
            // Ownership is not transferred.
            read.push(format!("{detail:?}").replace("is_taken: true", "is_taken: false"));
        }
        read
    }
}

/// Returns a request for one page with everything.
const fn all<Id>() -> PageRequest<Id> {
    PageRequest { after: None, limit: 10_000 }
}

/// Stores the rows of the configuration.
async fn configure(world: &Fixture) -> ApiKeyText {
    let db = &*world.store;
    let text = ApiKeyText::generate(KeyMode::Live, &[7; 32]);
    let key = ApiKey::unlimited(world.new_id(NOON).into(), world.tenant, "größter".to_owned());
    assert!(api_keys::create(db, &world.context(), &key, &text).await.expect("written"));
    let portal_key = PortalKey { id: world.new_id(NOON).into(), secret: Secret::new("00ff") };
    assert!(portal_keys::create_unless_since(db, &portal_key, NOON).await.expect("written"));
    let answer = NewResponse {
        key: idempotency_key("answer"),
        status: 201,
        body: r#"{"name":"Ärger"}"#.to_owned(),
        created_at: NOON,
        window_start: NOON - DAY,
    };
    applications::create(db, &world.context(), &world.application(NOON, "answered"), Some(answer)).await.expect("written");
    let event_type = EventType {
        id: world.new_id(NOON).into(),
        tenant: world.tenant,
        name: "invoice.paid".to_owned(),
        description: Some("eine Rechnung, bezahlt".to_owned()),
        json_schema: Some("{}".to_owned()),
        status: EventTypeStatus::Active,
        created_at: NOON,
        updated_at: NOON,
    };
    event_types::create(db, &world.context(), &event_type, None).await.expect("written");
    crate::people::fill(world).await;
    crate::views::fill(world).await;
    crate::alerts::fill(world).await;
    crate::quotas::fill(world).await;
    crate::metrics::fill(world).await;
    crate::outbox::fill(world).await;
    let mut full = world.endpoint("https://example.com/größe?a=b");
    full.description = Some("all of it".to_owned());
    full.filter_types = Some(vec!["invoice.paid".to_owned(), "ü".to_owned()]);
    full.uid = Some("main".to_owned());
    full.metadata = Some("{}".to_owned());
    full.channels = Some(vec!["a".to_owned()]);
    full.headers = Some(BTreeMap::from([("authorization".to_owned(), "Bearer x".to_owned())]));
    full.retry_schedule = RetrySchedule::from_seconds(vec![1, 2, 3]).ok();
    full.rate_limit_per_second = Some(7);
    full.timeout_ms = Some(5_000);
    full.expires_at = Some(NOON + DAY * 9);
    for endpoint in [full, world.endpoint("https://example.com/plain")] {
        endpoints::create(db, &world.context(), &endpoint, &Secret::new("whsec_one"), None, None).await.expect("written");
        endpoints::rotate_secret(
            db,
            &world.context(),
            EndpointKey::from(&endpoint),
            Rotation { secret: &Secret::new("whsec_two"), old_until: NOON + DAY },
            None,
        )
        .await
        .expect("written");
        endpoints::record_health(db, &[(EndpointKey::from(&endpoint), Some(NOON))], NOON).await.expect("written");
    }
    for kind in [JobKind::Recover, JobKind::Replay] {
        let event_types = (kind == JobKind::Replay).then(|| vec!["a.b".to_owned()]);
        let request =
            JobRequest { kind, since: NOON - DAY, until: None, statuses: None, event_types, rate_limit: None, max_messages: Some(9) };
        jobs::create(db, &world.context(), &crate::jobs::job(world, world.target(), &request), None).await.expect("written");
    }
    let gone = world.endpoint("https://example.com/gone");
    endpoints::create(db, &world.context(), &gone, &Secret::new("whsec_three"), None, None).await.expect("written");
    endpoints::disable(db, &world.context(), EndpointKey::from(&gone), DisabledReason::Gone).await.expect("written");
    text
}

fn idempotency_key(key: &str) -> IdempotencyKey {
    IdempotencyKey { key: key.to_owned(), fingerprint: [9; 32] }
}

async fn publish(world: &Fixture, publication: Publication) {
    let current = applications::find_for_engine(&*world.store, world.application).await.expect("read").expect("exists").version;
    let environment = hookstream_store::identity::organizations::version(&*world.store, world.tenant.environment).await.expect("read");
    let seen = hookstream_store::delivery::deliveries::Versions { origin: current, environment };
    assert_eq!(world.store.publish(Publication { seen, ..publication }).await.expect("a result"), Published::Stored);
}

/// Publishes a day's messages, one for each state of a delivery.
async fn settle_in_every_way(world: &Fixture, owner: Owner, day: u32) -> Vec<MessageId> {
    let at = NOON + DAY * day;
    let cancelled = DeliveryState::Cancelled { reason: CancelReason::EndpointDeleted };
    let ways = [
        Next::Succeeded,
        Next::Retry { wait: Wait::until(at + DAY * 3), failed: 1 },
        Next::Postponed { wait: Wait::until(at + DAY * 4) },
        Next::Ended(DeliveryState::Exhausted { reason: ExhaustedReason::ScheduleEnded }, at + SECOND),
        Next::Ended(cancelled, at + SECOND),
    ];
    let mut ids = Vec::new();
    for (number, next) in ways.into_iter().enumerate() {
        let skipped = NewDelivery { route_id: world.target(), state: NewState::Skipped(SkipReason::EndpointDisabled) };
        let publication = world.publication(world.message(at, "{}"), vec![pending(world.target()), skipped]);
        ids.push(publication.message.id);
        publish(world, publication).await;
        for claimed in world.claim(owner, at).await {
            let mut attempt = world.attempt(&claimed, at);
            attempt.response_body = Some(ANSWERS[number % 2].to_owned());
            attempt.response_status = (number > 0).then_some(418);
            attempt.succeeded = next == Next::Succeeded;
            let event = Some(Box::new(crate::outbox::exhausted(world, &claimed, &attempt)));
            assert!(world.settle(owner, Settled { event, ..settled(&claimed, Some(attempt), next) }).await);
        }
    }
    ids
}

/// Publishes a message, and repeats its keys after their window. SQLite then has two rows, of which the newer counts.
async fn publish_with_keys(world: &Fixture) -> Vec<MessageId> {
    let mut ids = Vec::new();
    for at in [NOON, NOON + DAY * 2] {
        let mut publication = world.publication(world.message(at, "{}"), vec![pending(world.target())]);
        ids.push(publication.message.id);
        publication.event_id = Some("order-ü-7".to_owned());
        publication.idempotency = Some(idempotency_key("schlüssel"));
        publish(world, publication).await;
    }
    ids
}

async fn publish_payloads(world: &Fixture) -> Vec<MessageId> {
    let large: &'static str = "0123456789abcdef".repeat(65_536).leak();
    let mut ids = Vec::new();
    for (body, content_type) in [(large, ContentType::Json), ("größer \0 \u{1f980}", ContentType::Text), ("", ContentType::Text)] {
        let mut message: Message = world.message(NOON + DAY, body);
        message.payload.content_type = content_type;
        ids.push(message.id);
        publish(world, world.publication(message, vec![])).await;
    }
    ids
}
