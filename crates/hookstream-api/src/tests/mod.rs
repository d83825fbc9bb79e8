//! Installation in process, for the tests beside the handlers: the whole API over a store in memory and a running
//! engine. A test needs no server process and no connection, so it costs milliseconds.

mod client;
mod clock;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use axum::Router;
use hookstream_destinations::{AddressPolicy, Registry, net::Options as NetworkOptions};
use hookstream_engine::Handle;
use hookstream_model::{
    base::{
        ids::IdSource,
        secret::Secret,
        time::Clock,
        vault::{Keys, VaultKey},
    },
    identity::{
        session::{Policy, SessionText},
        tenancy::{ApiKey, ApiKeyText, KeyMode, Tenant},
    },
    operations::{
        audit_log::AuditContext,
        quota::{Quota, Quotas},
    },
};
use hookstream_store::{
    Database,
    db::vault_keys,
    identity::{api_keys, links, organizations},
    sqlite::SqliteStore,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio_util::sync::CancellationToken;

pub(crate) use self::client::{Client, PASSWORD, invalid_field, refused, text, token};
use self::clock::TestClock;
use crate::{AllowOrganizations, Api, Live, LiveOptions, Options, Parts, RateLimits, StreamLimits};

/// Public URL of the installation.
pub(crate) const URL: &str = "http://hooks.example.test";
/// Seed of the random numbers, so that a failure repeats.
const SEED: u64 = 1;
const HOUR: Duration = Duration::from_secs(3600);

/// Installation with one organization, `default`, and its environment, `production`.
pub(crate) struct Installation {
    /// Client with an API key that has all scopes.
    pub(crate) client: Client,
    /// State of the API.
    pub(crate) api: Api,
    router: Router,
    store: Arc<SqliteStore>,
    pub(crate) clock: TestClock,
    ids: IdSource<StdRng>,
    rng: StdRng,
}

impl Installation {
    /// Starts an installation with the default settings, which may deliver to loopback.
    pub(crate) async fn start() -> Self {
        Self::with(|_, _| {}).await
    }

    /// Starts an installation with changed settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Options, &mut hookstream_engine::Options)) -> Self {
        let mut rng = StdRng::seed_from_u64(SEED);
        let clock = TestClock::default();
        let store = Arc::new(SqliteStore::in_memory().expect("a store in memory"));
        let keys = Keys::new([VaultKey::from_bytes([1; 32])]).expect("a key");
        vault_keys::unlock(&*store, keys, StdRng::seed_from_u64(SEED)).await.expect("unlocked");
        let mut ids = IdSource::new(StdRng::from_rng(&mut rng));
        let now = clock.now();
        let tenant = Tenant { organization: ids.next(now).into(), environment: ids.next(now).into() };
        organizations::create_default(&*store, tenant, now).await.expect("an organization");
        let (mut options, mut engine_options) = (options(), hookstream_engine::Options::default());
        change(&mut options, &mut engine_options);
        let policy = AddressPolicy::allowing(vec!["127.0.0.0/8".parse().expect("a network")]);
        let destinations = Arc::new(Registry::new(NetworkOptions::new(policy), None).expect("destinations"));
        let clock_of_parts: Arc<dyn Clock> = Arc::new(clock.clone());
        let parts = hookstream_engine::Parts {
            store: store.clone(),
            destinations: destinations.clone(),
            clock: Arc::clone(&clock_of_parts),
            tracer: None,
        };
        let engine = Handle::start(parts, engine_options, StdRng::from_rng(&mut rng)).await.expect("an engine");
        let parts = Parts {
            engine,
            store: store.clone(),
            destinations,
            clock: clock_of_parts,
            sign_in_key: Secret::new("key of cookies"),
            mailer: None,
            providers: Vec::new(),
            instruments: crate::Instruments::default(),
            tracer: None,
            exposition: Arc::new(|| "# EOF\n".to_owned()),
            backups: None,
            stopping: CancellationToken::new(),
        };
        let api = Api::new(parts, options);
        let router = crate::router(api.clone());
        let mut installation = Self { client: Client::anonymous(router.clone()), api, router, store, clock, ids, rng };
        installation.client = installation.key_of(tenant).await;
        installation
    }

    /// Creates an organization with an environment, and returns a client with an API key that has all scopes.
    pub(crate) async fn another_tenant(&mut self) -> Client {
        let now = self.clock.now();
        let tenant = Tenant { organization: self.ids.next(now).into(), environment: self.ids.next(now).into() };
        organizations::create(&*self.store, tenant, "stranger", "production", now).await.expect("an organization");
        self.key_of(tenant).await
    }

    async fn key_of(&mut self, tenant: Tenant) -> Client {
        let now = self.clock.now();
        let text = ApiKeyText::generate(KeyMode::Test, &self.rng.random());
        let key = ApiKey::unlimited(self.ids.next(now).into(), tenant, "bootstrap".to_owned());
        let act = AuditContext::of_system(self.ids.next(now), now);
        assert!(api_keys::create(&*self.store, &act, &key, &text).await.expect("created"), "the key is new");
        Client::anonymous(self.router.clone()).with_key(text.expose())
    }

    /// Returns a browser without a session.
    pub(crate) fn browser(&self) -> Client {
        Client::anonymous(self.router.clone())
    }

    /// Signs up the first owner.
    pub(crate) async fn owner(&mut self) -> Client {
        let token = SessionText::generate(&self.rng.random());
        let now = self.clock.now();
        links::create_setup(&*self.store, token.hash(), now, now + HOUR).await.expect("a link");
        let owner = self.browser();
        let body = serde_json::json!({
            "token": token.expose(), "email": "owner@example.com", "name": "The Owner", "password": PASSWORD,
        });
        let (status, response) = owner.post("/v1/auth/setup", body).await;
        assert_eq!(status, 200, "{response}");
        owner
    }

    /// Sets a quota of all organizations, before they use it.
    pub(crate) fn limit(&self, quota: Quota, most: u64) {
        self.store.installation_quotas().set(Quotas::default().with(quota, Some(most)));
    }

    /// Moves the clock forward.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

/// Default settings, without limits that tests would reach.
fn options() -> Options {
    let many = NonZeroU32::new(1_000_000).expect("not 0");
    Options {
        log_lines_per_second: None,
        public_url: URL.to_owned(),
        secret_grace: HOUR * 24,
        reveal_secrets: true,
        portal_endpoints: Some(50),
        live: LiveOptions::new(Live { trusted_proxies: Vec::new(), rate_limits: RateLimits { per_key: many, per_address: many } }),
        audit_retention_days: 400,
        portal_key_age: HOUR * 24 * 30,
        sessions: Policy { idle: HOUR * 168, absolute: HOUR * 720 },
        allow_organizations: AllowOrganizations::Operator,
        streams: StreamLimits { total: 1_000, per_caller: 50 },
        alert_period: std::time::Duration::from_secs(30),
        is_secure: false,
    }
}
