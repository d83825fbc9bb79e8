//! Store with two tenants, and helpers that fill it.

pub(crate) mod installation;

use hookstream_store::db::vault_keys;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use hookstream_model::{
    base::{
        ids::{ApplicationId, AttemptId, EndpointId, IdSource, MessageId, NewId, RouteId},
        secret::Secret,
        time::Timestamp,
        vault::{Keys, VaultKey},
    },
    delivery::{
        attempt::Attempt,
        queue::Backlog,
        state::Trigger,
        timings::{Timings, Waterfall},
    },
    identity::tenancy::Tenant,
    operations::audit_log::AuditContext,
    outbound::{
        application::{Application, ApplicationStatus},
        endpoint::{Endpoint, EndpointUrl},
        hops::Hops,
        message::{ContentType, Message, Payload},
        target::TargetKind,
    },
};
use hookstream_store::{
    Database, Error, Store,
    delivery::{
        cluster::NodeSelf,
        deliveries::{
            BacklogRequest, ClaimLimits, Claimed, NewDelivery, NewState, Next, Owner, PackedIndex, Publication, Published, Settled,
            Versions,
        },
    },
    outbound::applications,
    postgres::{self, PostgresStore},
    sqlite::SqliteStore,
};
use rand::{SeedableRng, rngs::StdRng};

/// Middle of a day.
pub(crate) const NOON: Timestamp = Timestamp::from_millis(1_795_521_600_000);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const PLENTY: ClaimLimits = ClaimLimits { deliveries: 1_000, bytes: 1 << 30 };

pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) tenant: Tenant,
    pub(crate) stranger: Tenant,
    pub(crate) application: ApplicationId,
    /// One source per time, because a source never goes back in time but tests do.
    ids: Mutex<HashMap<Timestamp, IdSource<StdRng>>>,
    scratch: Scratch,
}

/// Location of the store, removed after the test.
enum Scratch {
    Directory { _directory: tempfile::TempDir },
    Database(hookstream_testkit::postgres::ScratchDatabase),
    Elsewhere,
}

impl Fixture {
    pub(crate) async fn on_sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a scratch directory");
        let store = SqliteStore::open(directory.path()).expect("a new store");
        Self::with(Arc::new(store), Scratch::Directory { _directory: directory }).await
    }

    #[cfg(feature = "in-memory")]
    pub(crate) async fn in_memory() -> Self {
        Self::with(Arc::new(SqliteStore::in_memory().expect("a new store")), Scratch::Elsewhere).await
    }

    pub(crate) async fn on_postgres() -> Self {
        let database = hookstream_testkit::postgres::ScratchDatabase::create().await;
        let options = postgres::Options {
            url: Secret::new(database.url()),
            max_connections: 4,
            through_pooler: false,
            lease: Duration::from_secs(10),
        };
        let store = PostgresStore::open(&options).await.expect("a new store");
        Self::with(Arc::new(store), Scratch::Database(database)).await
    }

    /// Closes the store and removes its location.
    pub(crate) async fn end(self) {
        self.store.close().await;
        if let Scratch::Database(database) = self.scratch {
            database.drop().await;
        }
    }

    /// Creates a fixture in a store that the caller closes.
    pub(crate) async fn in_store(store: Arc<dyn Store>) -> Self {
        Self::with(store, Scratch::Elsewhere).await
    }

    async fn with(store: Arc<dyn Store>, scratch: Scratch) -> Self {
        unlock(&*store, &[1]).await.expect("unlocked");
        let mut ids = IdSource::new(StdRng::seed_from_u64(u64::MAX));
        let mut next = || ids.next(NOON);
        let tenant = Tenant { organization: next().into(), environment: next().into() };
        let stranger = Tenant { organization: next().into(), environment: next().into() };
        for tenant in [tenant, stranger] {
            hookstream_store::identity::organizations::create(&*store, tenant, "world", "test", NOON).await.expect("a tenant");
        }
        let world = Self { store, tenant, stranger, application: next().into(), ids: Mutex::default(), scratch };
        let application = Application { id: world.application, name: "Fixture".to_owned(), ..world.application(NOON, "world") };
        applications::create(&*world.store, &world.context(), &application, None).await.expect("an application");
        world
    }

    /// Versions of the application and the environment as [`Fixture`] creates them.
    pub(crate) const SEEN: Versions = Versions { origin: 1, environment: 1 };

    pub(crate) fn new_id(&self, at: Timestamp) -> NewId {
        let mut sources = self.ids.lock().expect("no test panics while it holds this");
        let seed = sources.len() as u64;
        sources.entry(at).or_insert_with(|| IdSource::new(StdRng::seed_from_u64(seed))).next(at)
    }

    /// Returns an audit context at noon with an unused entry id.
    pub(crate) fn context(&self) -> AuditContext {
        self.context_at(NOON)
    }

    pub(crate) fn context_at(&self, at: Timestamp) -> AuditContext {
        AuditContext::of_system(self.new_id(at), at)
    }

    pub(crate) fn target(&self) -> RouteId {
        self.new_id(NOON).into()
    }

    pub(crate) fn message(&self, at: Timestamp, body: &'static str) -> Message {
        Message {
            id: self.new_id(at).into(),
            origin_id: self.application.into(),
            event_type: "invoice.paid".to_owned(),
            payload: Payload { body: body.into(), content_type: ContentType::Json },
            hops: Hops::default(),
            trace: None,
        }
    }

    pub(crate) fn publication(&self, message: Message, deliveries: Vec<NewDelivery>) -> Publication {
        Publication {
            tenant: self.tenant,
            window_start: message.id.timestamp() - DAY,
            is_event: true,
            message: Arc::new(message),
            deliveries,
            owner: Owner::NONE,
            trigger: Trigger::Initial,
            seen: Self::SEEN,
            channels: vec![],
            event_id: None,
            idempotency: None,
        }
    }

    /// Publishes a message with unowned deliveries to these targets.
    pub(crate) async fn publish(&self, at: Timestamp, targets: &[RouteId]) -> MessageId {
        let deliveries = targets.iter().map(|target| pending(*target)).collect();
        let publication = self.publication(self.message(at, "{}"), deliveries);
        let id = publication.message.id;
        assert_eq!(self.store.publish(publication).await.expect("published"), Published::Stored);
        id
    }

    /// Publishes a message that this owner delivers to these targets.
    pub(crate) async fn publish_owned(&self, owner: Owner, at: Timestamp, targets: &[RouteId]) -> Vec<Claimed> {
        let deliveries = targets.iter().map(|route_id| NewDelivery { route_id: *route_id, state: NewState::Owned }).collect();
        let publication = Publication { owner, ..self.publication(self.message(at, "{}"), deliveries) };
        let message = Arc::clone(&publication.message);
        assert_eq!(self.store.publish(publication).await.expect("published"), Published::Stored);
        self.owned(owner, &message, targets)
    }

    /// Returns the owned deliveries of a message as its node has them in memory.
    pub(crate) fn owned(&self, owner: Owner, message: &Arc<Message>, targets: &[RouteId]) -> Vec<Claimed> {
        let claimed = |(number, route_id): (usize, &RouteId)| Claimed {
            owner,
            environment_id: self.tenant.environment,
            message: Arc::clone(message),
            route_id: *route_id,
            backlog: None,
            attempts: 0,
            failed: 0,
            trigger: Trigger::Initial,
            due_at: message.id.timestamp(),
            packed: PackedIndex::of(number, targets.len()),
        };
        targets.iter().enumerate().map(claimed).collect()
    }

    pub(crate) async fn enlist(&self) -> Owner {
        let node = NodeSelf { name: "world".to_owned(), role: "all", version: "0", replaces: None };
        self.store.enlist(&node, NOON).await.expect("enlisted")
    }

    pub(crate) async fn claim(&self, owner: Owner, now: Timestamp) -> Vec<Claimed> {
        self.store.claim_due(owner, now, PLENTY).await.expect("claimed").deliveries
    }

    /// Returns the backlog of an endpoint, which is its own route.
    pub(crate) fn backlog(&self, route: RouteId) -> Backlog {
        Backlog::of_target(self.application.into(), EndpointId::from(route).into())
    }

    /// Claims everything due from an unordered backlog.
    pub(crate) async fn claim_backlog(&self, owner: Owner, now: Timestamp, backlog: Backlog) -> Vec<Claimed> {
        let request = BacklogRequest { backlog, deliveries: 100, in_order: false };
        self.store.claim_backlogs(owner, now, vec![request], 1_000_000).await.expect("claimed")
    }

    pub(crate) async fn settle(&self, owner: Owner, settled: Settled) -> bool {
        self.store.settle(owner, Arc::new(vec![settled])).await.expect("settled") == [true]
    }

    pub(crate) async fn detail(&self, id: MessageId) -> hookstream_store::delivery::messages::MessageDetail {
        self.store.message(self.tenant, self.application.into(), id).await.expect("read").expect("the message exists")
    }

    pub(crate) fn attempt(&self, claimed: &Claimed, at: Timestamp) -> Attempt {
        Attempt {
            id: AttemptId::from(self.new_id(at)),
            message_id: claimed.message.id,
            route_id: claimed.route_id,
            number: claimed.attempts + 1,
            trigger: claimed.trigger,
            succeeded: false,
            response_status: Some(500),
            response_body: Some("no".to_owned()),
            response_headers: Some("server: test\n".to_owned()),
            duration: Duration::from_millis(12),
            waterfall: Some(Waterfall { queue: Duration::from_millis(3), exchange: Timings::default() }),
            error: Some("http_status: the receiver responded with 500".to_owned()),
            created_at: at,
        }
    }

    pub(crate) fn application(&self, at: Timestamp, uid: &str) -> Application {
        Application {
            id: self.new_id(at).into(),
            tenant: self.tenant,
            name: format!("The {uid} company"),
            uid: Some(uid.to_owned()),
            description: None,
            metadata: Some(r#"{"plan":"pro"}"#.to_owned()),
            status: ApplicationStatus::Active,
            rate_limit: None,
            portal_theme: None,
            created_at: at,
            updated_at: at,
        }
    }

    pub(crate) fn endpoint(&self, url: &str) -> Endpoint {
        let url = EndpointUrl::parse(url).expect("a URL");
        Endpoint::new(self.new_id(NOON).into(), self.tenant, self.application, TargetKind::Http, url, NOON)
    }
}

/// Unlocks a store with the keys of these bytes, the current one first.
pub(crate) async fn unlock(db: &dyn Database, keys: &[u8]) -> Result<(), Error> {
    let keys = Keys::new(keys.iter().map(|byte| VaultKey::from_bytes([*byte; 32]))).expect("at least one");
    vault_keys::unlock(db, keys, StdRng::seed_from_u64(1)).await
}

pub(crate) fn pending(route_id: RouteId) -> NewDelivery {
    NewDelivery { route_id, state: NewState::Waiting { backlog: None, in_order: false } }
}

pub(crate) fn settled(claimed: &Claimed, attempt: Option<Attempt>, next: Next) -> Settled {
    let Claimed { environment_id, route_id, packed, .. } = *claimed;
    Settled { environment_id, message_id: claimed.message.id, route_id, packed, attempt, next, event: None }
}
