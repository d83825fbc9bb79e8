//! Assembly of the server: store, destinations, engine, API, and the listener.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use hookstream_api::{Api, IdentityProvider, LiveOptions, Options as ApiOptions, Parts as ApiParts};
use hookstream_cli::clock::{ServerClock, SystemClock};
use hookstream_destinations::{Registry, net::Options as NetworkOptions, services::mail::Mailer};
use hookstream_engine::{Handle, Options as EngineOptions, Parts as EngineParts, Role};
use hookstream_model::{
    base::{
        ids::IdSource,
        secret::Secret,
        spans::Tracer,
        time::{Clock, Timestamp},
    },
    identity::{
        session::SessionText,
        tenancy::{ApiKey, ApiKeyText, KeyMode, Tenant},
    },
    operations::audit_log::AuditContext,
};
use hookstream_store::{
    Store,
    db::{settings, transfer},
    delivery::{cluster::NodeReport, non_durable::NonDurableStore},
    identity::{api_keys, links, organizations, users},
    operations::jobs,
    postgres::PostgresStore,
    sqlite::{SqliteStore, backup::restore},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, KeyText, MailConfig, ProviderConfig},
    server::{
        control::{Control, Served},
        keys,
        listen::{Listen, Tls},
        reload::{self, Reloader},
    },
    telemetry::{
        self, Exposition,
        otlp::{Exporters, Running},
    },
};

/// Part of the shutdown grace that requests in progress may use.
const REQUESTS_GRACE: Duration = Duration::from_secs(5);
/// Connections of the listener of the metrics, at most: a few Prometheus servers.
const METRICS_CONNECTIONS: usize = 32;
/// Difference between the clocks of the server and of the command that made a backup, at most.
const CLOCK_SLACK: Duration = Duration::from_secs(120);
/// Time for a backup to end.
const BACKUP_GRACE: Duration = Duration::from_secs(5);
/// Validity of the link for the first owner; each start creates another.
const SETUP_FOR: Duration = Duration::from_secs(24 * 3600);

/// Parts of a server other than its store. They are read and checked before the store is opened, so that a failed
/// start leaves nothing behind.
pub(crate) struct Parts {
    tls: Option<Tls>,
    mailer: Option<Arc<Mailer>>,
    providers: Vec<IdentityProvider>,
    destinations: Arc<Registry>,
    exporters: Exporters,
}

impl Parts {
    /// Reads every file that the settings name.
    ///
    /// # Errors
    /// Names the setting and the file that cannot be used.
    pub(crate) fn read(config: &Config, rng: &mut StdRng) -> anyhow::Result<Self> {
        keys::given(config)?;
        let mailer = config.mail.as_ref().map(MailConfig::mailer).transpose()?.map(Arc::new);
        Ok(Self {
            tls: config.server.tls.clone().map(Tls::read).transpose()?,
            mailer: mailer.clone(),
            providers: config.identity.providers.iter().map(ProviderConfig::provider).collect::<anyhow::Result<_>>()?,
            destinations: Arc::new(Registry::new(network_options(config)?, mailer)?),
            exporters: Exporters::read(&config.telemetry.opentelemetry, &config.engine.node_name, StdRng::from_rng(rng))?,
        })
    }
}

/// Running server.
pub(crate) struct Server {
    /// Address of the listener.
    pub(crate) address: SocketAddr,
    /// Public URL, for links.
    public_url: String,
    role: Role,
    has_bootstrap_key: bool,
    tenant: Tenant,
    store: Arc<dyn Store>,
    engine: Handle,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    is_secure: bool,
    keeping: JoinHandle<()>,
    backing_up: JoinHandle<()>,
    grace: Duration,
    api: Api,
    /// Reload of settings while the server runs.
    pub(crate) reloader: Arc<Reloader>,
    /// Export of telemetry; it outlives the server, so that the lines of the stop are exported too.
    pub(crate) exports: Running,
}

impl Server {
    /// Starts a server. It responds to requests when this returns.
    pub(crate) async fn start(config: &Config) -> anyhow::Result<Self> {
        Self::start_at(config, Arc::new(ServerClock::start())).await
    }

    /// Starts a server with this clock.
    pub(crate) async fn start_at(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).context("the system gives no random numbers")?;
        let Parts { tls, mailer, providers, destinations, exporters } = Parts::read(config, &mut rng)?;
        let tracer = exporters.tracer().map(|tracer| tracer as Arc<dyn Tracer>);
        let listener = TcpListener::bind(config.server.listen)
            .await
            .with_context(|| format!("could not listen on {} (setting listen)", config.server.listen))?;
        let address = listener.local_addr()?;
        let is_secure = tls.is_some();
        warn_if_exposed(config, address, is_secure);
        let store = open_store(config).await.map_err(|error| with_disk_advice(error, config))?;
        store.installation_quotas().set(config.limits.quotas);
        keys::unlock(&*store, config, &mut rng).await?;
        let tenant = bootstrap(&*store, config, clock.now(), &mut rng).await?;
        let mark = settings::find(&*store, restore::MARK).await?;
        if config.restored {
            set_aside(&*store, clock.now()).await?;
        }
        if let Some(backup) = mark {
            // Messages of the backup only: a version that does not know the mark may have accepted more since.
            let until = backup.parse().map_or(clock.now(), |at: Timestamp| clock.now().min(at + CLOCK_SLACK));
            set_aside(&*store, until).await?;
            // Removed last, so that an interrupted start repeats it.
            settings::remove(&*store, restore::MARK).await?;
            tracing::warn!(
                %backup,
                "this is a restored backup: what was pending in it was skipped. `hookstream endpoints recover` resends what an endpoint missed"
            );
        }
        let sign_in_key = settings::get_or_keep_secret(&*store, "sign_in_key", &random_hex(&mut rng)).await?;
        let parts = EngineParts { store: store.clone(), destinations: destinations.clone(), clock: clock.clone(), tracer: tracer.clone() };
        let public_url = config.server.public_url.clone().unwrap_or_else(|| link_address(address, is_secure));
        let engine_options = EngineOptions { public_url: public_url.clone(), ..config.engine.clone() };
        let engine = Handle::start(parts, engine_options, StdRng::from_rng(&mut rng)).await?;
        let metrics_listener = listen_for_metrics(config).await?;
        let room = Arc::new(Semaphore::new(config.server.max_connections));
        let api_instruments = hookstream_api::Instruments::default();
        let exposition = Exposition::new(telemetry::Sources {
            store: store.clone(),
            destinations: destinations.clone(),
            engine: engine.clone(),
            api: api_instruments.clone(),
            connections: (Arc::clone(&room), config.server.max_connections),
            directory: config.storage.database.is_none().then(|| config.storage.data_dir.clone()),
            database: if config.storage.database.is_some() { "postgresql" } else { "sqlite" },
        });
        let exports = exporters.start(exposition.clone());
        let shown = exposition.clone();
        let stop = CancellationToken::new();
        let live = LiveOptions::new(reload::live(config));
        let reloader = Arc::new(Reloader::new(live.clone(), destinations.clone()));
        let api = Api::new(
            ApiParts {
                engine: engine.clone(),
                store: store.clone(),
                destinations: destinations.clone(),
                clock,
                sign_in_key,
                mailer,
                providers,
                instruments: api_instruments,
                tracer,
                exposition: Arc::new(move || shown.text()),
                backups: config.storage.backups.clone(),
                stopping: stop.clone(),
            },
            ApiOptions {
                public_url: public_url.clone(),
                secret_grace: config.delivery.secret_grace,
                reveal_secrets: config.identity.reveal_secrets,
                portal_endpoints: config.limits.portal_endpoints,
                live: live.clone(),
                audit_retention_days: config.storage.audit_retention_days,
                portal_key_age: config.identity.portal_key_age,
                sessions: config.identity.sessions,
                allow_organizations: config.identity.allow_organizations,
                streams: config.server.streams,
                log_lines_per_second: config.engine.log_lines_per_second,
                alert_period: config.telemetry.alert_period,
                is_secure,
            },
        );
        let by_itself = engine.clone();
        let acts = move || AuditContext::of_system(by_itself.new_id(), SystemClock.now());
        #[expect(clippy::disallowed_methods, reason = "the task ends with the token")]
        tokio::spawn(config.delivery.trust.clone().watch(destinations.clone(), stop.clone()));
        #[expect(clippy::disallowed_methods, reason = "the task ends with the token")]
        tokio::spawn(keys::seal_outdated(store.clone(), config.storage.database.is_none(), acts, stop.clone()));
        #[expect(clippy::disallowed_methods, reason = "the task ends with the token")]
        tokio::spawn(api.clone().run_audit_retention(stop.clone()));
        #[expect(clippy::disallowed_methods, reason = "the task ends with the token")]
        tokio::spawn(api.clone().run_mail_queue(stop.clone()));
        #[expect(clippy::disallowed_methods, reason = "the task ends with the token")]
        tokio::spawn(api.clone().run_alerts(stop.clone()));
        #[expect(clippy::disallowed_methods, reason = "the handle is awaited by `stop`")]
        let backing_up = tokio::spawn(api.clone().run_backups(stop.clone()));
        #[expect(clippy::disallowed_methods, reason = "the handle is awaited by `stop`")]
        let keeping = tokio::spawn(api.clone().run_maintenance(stop.clone()));
        if config.storage.database.is_none() {
            match Control::listen(&config.storage.data_dir) {
                Ok(control) => {
                    let known = engine.clone();
                    let changed = move || known.installation_changed();
                    let served = Served {
                        store: store.clone(),
                        public_url: public_url.clone(),
                        quotas: config.limits.quotas,
                        reloader: reloader.clone(),
                    };
                    #[expect(clippy::disallowed_methods, reason = "the task ends with the token")]
                    tokio::spawn(control.serve(served, changed, stop.clone()));
                }
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not open the control socket; `hookstream admin` works only while the server is stopped"
                ),
            }
        }
        let router = match config.engine.role {
            Role::All | Role::Api => hookstream_api::router(api.clone()),
            Role::Worker => hookstream_api::probes(api.clone()),
        };
        if let Some(tls) = tls.clone() {
            #[expect(clippy::disallowed_methods, reason = "the task ends with the token")]
            tokio::spawn(tls.watch(stop.clone()));
        }
        if let Some(listener) = metrics_listener {
            let listen = Listen {
                listener,
                router: exposition.routes(),
                tls: None,
                room: Arc::new(Semaphore::new(METRICS_CONNECTIONS)),
                max_connections_per_address: METRICS_CONNECTIONS,
                live: live.clone(),
                stop: stop.clone(),
            };
            #[expect(clippy::disallowed_methods, reason = "the task ends with the token")]
            tokio::spawn(listen.run());
        }
        let listen = Listen {
            listener,
            router,
            tls,
            room,
            max_connections_per_address: config.server.max_connections_per_address,
            live,
            stop: stop.clone(),
        };
        #[expect(clippy::disallowed_methods, reason = "the handle is awaited by `stop`")]
        let serving = tokio::spawn(listen.run());
        Ok(Self {
            address,
            public_url,
            role: config.engine.role,
            has_bootstrap_key: config.identity.bootstrap_api_key.is_some(),
            tenant,
            store,
            engine,
            stop,
            serving,
            is_secure,
            keeping,
            backing_up,
            grace: config.server.shutdown_grace,
            api,
            reloader,
            exports,
        })
    }

    /// Returns the URL to type on this machine.
    pub(crate) fn url(&self) -> String {
        reachable(self.address, self.is_secure)
    }

    /// Returns the public URL, for links.
    pub(crate) fn public_url(&self) -> &str {
        &self.public_url
    }

    /// Returns a new API key if there is no access to the installation yet: no key was ever created and there is no
    /// user. The key is valid once [`Self::keep_first_key`] has stored it.
    pub(crate) async fn first_key(&self) -> anyhow::Result<Option<ApiKeyText>> {
        if self.has_bootstrap_key || api_keys::is_any(&*self.store).await? || users::is_any(&*self.store).await? {
            return Ok(None);
        }
        Ok(Some(ApiKeyText::generate(KeyMode::Live, &self.engine.random_bytes())))
    }

    /// Stores the key of [`Self::first_key`].
    pub(crate) async fn keep_first_key(&self, text: &ApiKeyText) -> anyhow::Result<()> {
        self.keep_key("first", text).await
    }

    /// Returns the link for the first owner while there is no user. Each call creates a new link, which replaces the
    /// previous one.
    pub(crate) async fn setup_link(&self) -> anyhow::Result<Option<String>> {
        if self.role == Role::Worker || users::is_any(&*self.store).await? {
            return Ok(None);
        }
        let token = SessionText::generate(&self.engine.random_bytes());
        let now = SystemClock.now();
        links::create_setup(&*self.store, token.hash(), now, now + SETUP_FOR).await?;
        Ok(Some(format!("{}/setup#token={}", self.public_url, token.expose())))
    }

    /// Creates another API key of the first environment.
    pub(crate) async fn new_key(&self, name: &str) -> anyhow::Result<ApiKeyText> {
        let text = ApiKeyText::generate(KeyMode::Live, &self.engine.random_bytes());
        self.keep_key(name, &text).await?;
        Ok(text)
    }

    async fn keep_key(&self, name: &str, text: &ApiKeyText) -> anyhow::Result<()> {
        let key = ApiKey::unlimited(self.engine.new_id().into(), self.tenant, name.to_owned());
        let act = AuditContext::of_system(self.engine.new_id(), SystemClock.now());
        api_keys::create(&*self.store, &act, &key, text).await?;
        Ok(())
    }

    /// Serves requests for this period while readiness is false, so that load balancers send new ones elsewhere.
    pub(crate) async fn drain(&self, period: Duration) {
        self.api.begin_draining();
        if !period.is_zero() {
            tracing::info!(shutdown_drain_s = period.as_secs(), "draining: readiness is false, and requests are still served");
            tokio::time::sleep(period).await;
        }
    }

    /// Stops within the configured time: first no new requests, then no new attempts. Attempts in flight get the
    /// remaining time; attempts that do not end in time are retried after the next start. Returns what was unfinished.
    pub(crate) async fn stop(self) -> NodeReport {
        let end = tokio::time::Instant::now() + self.grace;
        self.stop.cancel();
        let requests = self.grace.min(REQUESTS_GRACE);
        let mut serving = self.serving;
        if tokio::time::timeout(requests, &mut serving).await.is_err() {
            serving.abort();
        }
        let unfinished = self.engine.stop(self.grace, end).await;
        let _ = self.keeping.await;
        // A backup that is being made ends within a step of its copy, and removes what it wrote.
        let _ = tokio::time::timeout(BACKUP_GRACE, self.backing_up).await;
        self.store.close().await;
        unfinished
    }
}

/// Opens the listener of `metrics_listen`, if it is set.
async fn listen_for_metrics(config: &Config) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = config.telemetry.metrics_listen else { return Ok(None) };
    let listener = TcpListener::bind(address).await.with_context(|| format!("could not listen on {address} (setting metrics_listen)"))?;
    tracing::info!(address = %listener.local_addr()?, "metrics are served at /metrics");
    Ok(Some(listener))
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
        tracing::warn!("messages are not stored on this server: each is sent once and dropped");
        return Ok(Arc::new(NonDurableStore(store)));
    }
    Ok(store)
}

async fn open_any_store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    if let Some(options) = &config.storage.database {
        options.probe().await?;
        return Ok(Arc::new(PostgresStore::open(options).await?));
    }
    let directory = config.storage.data_dir.clone();
    Ok(Arc::new(tokio::task::spawn_blocking(move || SqliteStore::open(&directory)).await??))
}

/// Skips pending deliveries and ends running jobs of a restored backup, so that old messages are not delivered again.
async fn set_aside(store: &dyn Store, until: Timestamp) -> anyhow::Result<()> {
    const SLICE: usize = 5_000;
    jobs::fail_restored(store, until).await?;
    let mut total = 0;
    loop {
        let slice = store.set_aside(until, SLICE).await?;
        total += slice;
        if slice == 0 {
            tracing::warn!(total, "skipped the deliveries that were pending in the backup, with the reason `restored`");
            return Ok(());
        }
    }
}

/// Creates the first organization and environment if there are none, and stores the API key of the settings. Returns
/// the first organization's environment.
async fn bootstrap(store: &dyn Store, config: &Config, now: Timestamp, rng: &mut StdRng) -> anyhow::Result<Tenant> {
    let mut ids = IdSource::new(StdRng::from_rng(rng));
    let fresh = Tenant { organization: ids.next(now).into(), environment: ids.next(now).into() };
    if !organizations::is_any(store).await? {
        organizations::create_default(store, fresh, now).await?;
    }
    let tenant = organizations::first(store).await?.context("all organizations are deleted; restore one, or begin with an empty store")?;
    if let Some(KeyText(text)) = &config.identity.bootstrap_api_key {
        let key = ApiKey::unlimited(ids.next(now).into(), tenant, "bootstrap".to_owned());
        let is_new = api_keys::create(store, &AuditContext::of_system(ids.next(now), now), &key, text).await?;
        let is_valid = |found: ApiKey| found.expires_at.is_none_or(|end| end > now);
        if !is_new && !api_keys::find(store, text.hash()).await?.is_some_and(is_valid) {
            tracing::warn!(
                prefix = text.prefix(),
                "bootstrap_api_key was revoked, has expired or belongs to a deleted environment; it stays invalid. Set another key, or \
                 remove the setting"
            );
        }
    }
    Ok(tenant)
}

/// Adds advice to the error if the disk of a data directory is too full to open the store.
fn with_disk_advice(error: anyhow::Error, config: &Config) -> anyhow::Error {
    let text = format!("{error:#}").to_lowercase();
    let is_full =
        config.storage.database.is_none() && ["disk is full", "no space left", "quota exceeded"].iter().any(|words| text.contains(words));
    if !is_full {
        return error;
    }
    error.context(format!(
        "the disk of {} is full, and too little is left to start: free some MiB on it. While no server runs, the oldest files \
         days/<date>.db may be deleted (with their -wal and -shm files); the messages and attempts of those days are lost, pending \
         ones included",
        config.storage.data_dir.display()
    ))
}

/// Warns if API keys and sessions, which are as sensitive as passwords, would travel unencrypted.
fn warn_if_exposed(config: &Config, address: SocketAddr, is_secure: bool) {
    let is_behind_proxy = config.server.public_url.as_ref().is_some_and(|url| url.starts_with("https://"));
    if !is_secure && !is_behind_proxy && !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "listening without TLS: API keys and sessions travel unencrypted. Set tls_cert_file and tls_key_file, or put a TLS proxy in \
             front and set public_url to its https address"
        );
    }
}

pub(crate) fn network_options(config: &Config) -> anyhow::Result<NetworkOptions> {
    let policy = hookstream_destinations::AddressPolicy::allowing(config.delivery.allow_targets.0.clone());
    Ok(NetworkOptions { trust: config.delivery.trust.read()?, ..NetworkOptions::new(policy) })
}

fn random_hex(rng: &mut StdRng) -> Secret {
    let mut random = [0; 32];
    rng.fill_bytes(&mut random);
    Secret::new(random.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Returns the URL by which other machines most likely reach an address. For the unspecified address this is the
/// local address of the default route.
fn link_address(address: SocketAddr, is_secure: bool) -> String {
    // Connecting a UDP socket sends nothing; it only selects a route (to a documentation address, RFC 5737 and RFC
    // 3849).
    let outward = |bind: &str, to: &str| {
        let socket = std::net::UdpSocket::bind(bind).ok()?;
        socket.connect(to).ok()?;
        socket.local_addr().ok().map(|local| local.ip()).filter(|ip| !ip.is_unspecified())
    };
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => Some(ip),
        IpAddr::V4(_) => outward("0.0.0.0:0", "192.0.2.1:9"),
        IpAddr::V6(_) => outward("0.0.0.0:0", "192.0.2.1:9").or_else(|| outward("[::]:0", "[2001:db8::1]:9")),
    };
    reachable(ip.map_or(address, |ip| SocketAddr::new(ip, address.port())), is_secure)
}

/// Returns the URL by which a browser on this machine reaches an address.
fn reachable(address: SocketAddr, is_secure: bool) -> String {
    let scheme = if is_secure { "https" } else { "http" };
    if address.ip().is_unspecified() { format!("{scheme}://localhost:{}", address.port()) } else { format!("{scheme}://{address}") }
}
