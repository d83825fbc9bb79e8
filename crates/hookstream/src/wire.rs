//! Putting the parts together: store, transport, engine, API, and the listener in front.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use hookstream_api::{Api, Options as ApiOptions, Parts as ApiParts};
use hookstream_destinations::http::{HttpTransport, Options as HttpOptions};
use hookstream_engine::{Handle, Parts as EngineParts, Role};
use hookstream_model::{
    audit_log::Act,
    ids::IdSource,
    secret::Secret,
    session::SessionText,
    tenancy::{ApiKey, ApiKeyText, KeyMode, Tenant},
    time::{Clock, Timestamp},
};
use hookstream_store::{
    Store, api_keys, forgetful::Forgetful, jobs, links, organizations, postgres::PostgresStore, settings, sqlite::SqliteStore, transfer,
    users,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{SteadyClock, SystemClock},
    config::{Config, MailConfig, ProviderConfig},
    keys,
    listen::{Listen, Tls},
};

/// Of the time for a stop, what requests under way may use.
const REQUESTS_GRACE: Duration = Duration::from_secs(5);
/// For how long the link for the first owner is good; each start makes another.
const SETUP_FOR: Duration = Duration::from_secs(24 * 3600);

/// A running server.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The key that was made because this was the first start.
    pub(crate) first_key: Option<ApiKeyText>,
    /// The link that makes the first owner, as long as there is nobody.
    pub(crate) setup_link: Option<String>,
    tenant: Tenant,
    store: Arc<dyn Store>,
    engine: Handle,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    is_secure: bool,
    keeping: JoinHandle<()>,
    grace: Duration,
}

impl Server {
    /// Starts a server. When this returns, it answers.
    pub(crate) async fn start(config: &Config) -> anyhow::Result<Self> {
        let clock = Arc::new(SteadyClock::start());
        let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).context("the system gives no random numbers")?;
        let listener =
            TcpListener::bind(config.listen).await.with_context(|| format!("could not listen on {} (setting listen)", config.listen))?;
        let address = listener.local_addr()?;
        let tls = config.tls.clone().map(Tls::read).transpose()?;
        let is_secure = tls.is_some();
        let store = open_store(config).await?;
        store.installation_quotas().set(config.quotas);
        keys::unlock(&*store, config, &mut rng).await?;
        let (tenant, first_key) = bootstrap(&*store, config, clock.now(), &mut rng).await?;
        if config.restored {
            set_aside(&*store, clock.now()).await?;
        }
        let setup = prepare_setup(&*store, config, clock.now(), &mut rng).await?;
        let sign_in_key = settings::get_or_keep_secret(&*store, "sign_in_key", &random_hex(&mut rng)).await?;
        let mailer = config.mail.as_ref().map(MailConfig::mailer).transpose()?.map(Arc::new);
        let providers = config.providers.iter().map(ProviderConfig::provider).collect::<anyhow::Result<_>>()?;
        let transport = Arc::new(HttpTransport::new(http_options(config)?)?);
        let parts = EngineParts { store: store.clone(), transport: transport.clone(), clock: clock.clone() };
        let engine = Handle::start(parts, config.engine.clone(), StdRng::from_rng(&mut rng)).await?;
        let public_url = config.public_url.clone().unwrap_or_else(|| reachable(address, is_secure));
        let setup_link = setup.map(|token| format!("{public_url}/setup#token={}", token.expose()));
        let api = Api::new(
            ApiParts { engine: engine.clone(), store: store.clone(), transport: transport.clone(), clock, sign_in_key, mailer, providers },
            ApiOptions {
                public_url,
                secret_grace: config.secret_grace,
                reveal_secrets: config.reveal_secrets,
                portal_endpoints: config.portal_endpoints,
                trusted_proxies: config.trusted_proxies.0.clone(),
                rate_limits: config.rate_limits,
                audit_retention_days: config.audit_retention_days,
                portal_key_age: config.portal_key_age,
                sessions: config.sessions,
                is_secure,
            },
        );
        let stop = CancellationToken::new();
        let by_itself = engine.clone();
        let acts = move || Act::of_system(by_itself.new_id(), SystemClock.now());
        #[expect(clippy::disallowed_methods, reason = "it ends with the token")]
        tokio::spawn(config.trust.clone().watch(transport.clone(), stop.clone()));
        #[expect(clippy::disallowed_methods, reason = "it ends with the token")]
        tokio::spawn(keys::seal_outdated(store.clone(), config.database.is_none(), acts, stop.clone()));
        #[expect(clippy::disallowed_methods, reason = "it ends with the token")]
        tokio::spawn(api.clone().keep_audit_log(stop.clone()));
        #[expect(clippy::disallowed_methods, reason = "it ends with the token")]
        tokio::spawn(api.clone().keep_sending(stop.clone()));
        #[expect(clippy::disallowed_methods, reason = "the handle is awaited by `stop`")]
        let keeping = tokio::spawn(api.clone().keep_house(stop.clone()));
        let router = match config.engine.role {
            Role::All | Role::Api => hookstream_api::router(api),
            Role::Worker => hookstream_api::probes(api),
        };
        if let Some(tls) = tls.clone() {
            #[expect(clippy::disallowed_methods, reason = "it ends with the token")]
            tokio::spawn(tls.watch(stop.clone()));
        }
        let listen = Listen { listener, router, tls, max_connections: config.max_connections, stop: stop.clone() };
        #[expect(clippy::disallowed_methods, reason = "the handle is awaited by `stop`")]
        let serving = tokio::spawn(listen.run());
        Ok(Self { address, first_key, setup_link, tenant, store, engine, stop, serving, is_secure, keeping, grace: config.shutdown_grace })
    }

    /// The address as one would type it.
    pub(crate) fn url(&self) -> String {
        reachable(self.address, self.is_secure)
    }

    /// Makes another API key of the first environment.
    pub(crate) async fn new_key(&self, name: &str) -> anyhow::Result<ApiKeyText> {
        let text = ApiKeyText::generate(KeyMode::Live, &self.engine.random_bytes());
        let key = ApiKey::unlimited(self.engine.new_id().into(), self.tenant, name.to_owned());
        let act = Act::of_system(self.engine.new_id(), SystemClock.now());
        api_keys::create(&*self.store, &act, &key, &text).await?;
        Ok(text)
    }

    /// Stops within the configured time: no new requests, then no new tries; what is under way may
    /// end, what is left falls due again with the next start.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        let requests = self.grace.min(REQUESTS_GRACE);
        let mut serving = self.serving;
        if tokio::time::timeout(requests, &mut serving).await.is_err() {
            serving.abort();
        }
        self.engine.stop(self.grace.saturating_sub(requests)).await;
        let _ = self.keeping.await;
        self.store.close().await;
    }
}

async fn open_store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    let store = open_any_store(config).await?;
    if let Some(from) = transfer::unfinished(&*store).await? {
        anyhow::bail!(
            "what is stored here is an unfinished transfer from {from}; finish it with the same `hookstream transfer` again, \
             which goes on where it was"
        );
    }
    if config.forget {
        tracing::warn!("this server keeps no message: what is accepted is sent once and forgotten");
        return Ok(Arc::new(Forgetful(store)));
    }
    Ok(store)
}

async fn open_any_store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    if let Some(options) = &config.database {
        return Ok(Arc::new(PostgresStore::open(options).await?));
    }
    let directory = config.data_dir.clone();
    Ok(Arc::new(tokio::task::spawn_blocking(move || SqliteStore::open(&directory)).await??))
}

/// Sets aside what is owed and ends the jobs that ran, so that a restored past is not delivered again.
async fn set_aside(store: &dyn Store, until: Timestamp) -> anyhow::Result<()> {
    const SLICE: usize = 5_000;
    jobs::fail_restored(store, until).await?;
    let mut total = 0;
    loop {
        let slice = store.set_aside(until, SLICE).await?;
        total += slice;
        if slice == 0 {
            tracing::warn!(total, "set aside what was owed when the backup was made; see it as skipped with the reason `restored`");
            return Ok(());
        }
    }
}

/// Makes the organization, the environment and the first API key where there are none.
async fn bootstrap(store: &dyn Store, config: &Config, now: Timestamp, rng: &mut StdRng) -> anyhow::Result<(Tenant, Option<ApiKeyText>)> {
    let mut ids = IdSource::new(StdRng::from_rng(rng));
    let fresh = Tenant { organization: ids.next(now).into(), environment: ids.next(now).into() };
    let is_first = !organizations::is_any(store).await? && organizations::create_default(store, fresh, now).await?;
    let tenant = organizations::first(store).await?.context("all organizations are deleted; restore one, or begin with an empty store")?;
    let mut keep = async |text: &ApiKeyText, name: &str| {
        let key = ApiKey::unlimited(ids.next(now).into(), tenant, name.to_owned());
        api_keys::create(store, &Act::of_system(ids.next(now), now), &key, text).await
    };
    match &config.bootstrap_api_key {
        Some(key) => {
            keep(&key.0, "bootstrap").await?;
            Ok((tenant, None))
        }
        None if is_first => {
            let mut random = [0; 32];
            rng.fill_bytes(&mut random);
            let text = ApiKeyText::generate(KeyMode::Live, &random);
            keep(&text, "first").await?;
            Ok((tenant, Some(text)))
        }
        None => Ok((tenant, None)),
    }
}

/// Makes the link for the first owner where there is nobody; returns its token.
async fn prepare_setup(store: &dyn Store, config: &Config, now: Timestamp, rng: &mut StdRng) -> anyhow::Result<Option<SessionText>> {
    if config.engine.role == Role::Worker || users::is_any(store).await? {
        return Ok(None);
    }
    let mut random = [0; 32];
    rng.fill_bytes(&mut random);
    let token = SessionText::generate(&random);
    links::create_setup(store, token.hash(), now, now + SETUP_FOR).await?;
    Ok(Some(token))
}

fn http_options(config: &Config) -> anyhow::Result<HttpOptions> {
    let policy = hookstream_destinations::AddressPolicy::allowing(config.allow_targets.0.clone());
    Ok(HttpOptions { trust: config.trust.read()?, ..HttpOptions::new(policy) })
}

fn random_hex(rng: &mut StdRng) -> Secret {
    let mut random = [0; 32];
    rng.fill_bytes(&mut random);
    Secret::new(random.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// How a browser on this machine reaches an address: the unspecified one stands for any.
fn reachable(address: SocketAddr, is_secure: bool) -> String {
    let scheme = if is_secure { "https" } else { "http" };
    if address.ip().is_unspecified() { format!("{scheme}://localhost:{}", address.port()) } else { format!("{scheme}://{address}") }
}
