//! Settings: a flag, else the environment, else the file, else the default.
//!
//! Each setting has one name: `--retention-days`, `HOOKSTREAM_RETENTION_DAYS` and `retention_days` in the file. An
//! unknown key or a value that is not allowed is refused at the start.

pub(crate) mod key_source;
mod mail;
mod providers;
mod values;

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::{Args, CommandFactory};
use hookstream_api::{AllowOrganizations, RateLimits};
use hookstream_engine::{Options as EngineOptions, Role};
use hookstream_model::{
    base::secret::Secret,
    delivery::hold::BreakerPolicy,
    identity::session::Policy as SessionPolicy,
    operations::quota::{Quota, Quotas},
};
use hookstream_store::postgres::Options as DatabaseOptions;

use self::{providers::ProviderSettings, values::SecretText};
use crate::{
    arguments::{nearest, problem_of, sentence},
    config::key_source::KeySource,
    server::{listen::TlsFiles, trust::TrustFiles},
};

pub(crate) use self::values::{KeyText, KeysText, Networks, OrganizationCreators, RoleName, Schedule, listen_address, truth, whole};
pub(crate) use self::{mail::MailConfig, providers::ProviderConfig};

/// Sources of the settings.
#[derive(Debug, Args)]
pub(crate) struct Sources {
    /// A TOML file with settings, named like the flags with `_` for `-`
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// After restoring a backup: mark pending deliveries as skipped instead of sending them. For one start only;
    /// `hookstream endpoints recover` resends what an endpoint missed
    #[arg(long)]
    pub(crate) restored: bool,

    /// Keeps no message: what is accepted is sent once and forgotten. To measure what keeping costs, nothing else.
    #[arg(long, hide = true)]
    pub(crate) forget: bool,

    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Settings of a server as given; those left out have defaults.
#[derive(Debug, Default, Args)]
pub(crate) struct Settings {
    /// The address to listen on, such as 0.0.0.0:8484 or :8484 [default: 127.0.0.1:8484]
    #[arg(long, value_name = "ADDR", env = "HOOKSTREAM_LISTEN", value_parser = listen_address)]
    pub(crate) listen: Option<SocketAddr>,

    /// The port, in place of the one of --listen
    #[arg(long, value_name = "N", env = "HOOKSTREAM_PORT")]
    pub(crate) port: Option<u16>,

    /// The directory for all data; created if it does not exist [default: ./hookstream-data]
    #[arg(long, value_name = "DIR", env = "HOOKSTREAM_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// A PostgreSQL database, shared with other nodes, instead of the data directory: postgres://user@host/database
    #[arg(long, value_name = "URL", env = "HOOKSTREAM_DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,

    /// Database connections for requests, at most; six more serve deliveries [default: 12]
    #[arg(long, value_name = "N", env = "HOOKSTREAM_DATABASE_MAX_CONNECTIONS", value_parser = whole(1_usize, 1_000))]
    pub(crate) database_max_connections: Option<usize>,

    /// The database is behind a pooler in transaction mode, such as PgBouncer [default: false]
    #[arg(long, value_name = "BOOL", env = "HOOKSTREAM_DATABASE_POOLER", num_args = 0..=1, default_missing_value = "true", value_parser = truth)]
    pub(crate) database_pooler: Option<bool>,

    /// Role of this node: all, api (accept only) or worker (deliver only) [default: all]
    #[arg(long, value_name = "ROLE", env = "HOOKSTREAM_ROLE")]
    pub(crate) role: Option<RoleName>,

    /// This node's name [default: the host's name]
    #[arg(long, value_name = "NAME", env = "HOOKSTREAM_NODE_NAME")]
    pub(crate) node_name: Option<String>,

    /// How soon other nodes take over from a node that is gone, in milliseconds: 1000 to 300000 [default: 10000]
    #[arg(long, value_name = "MS", env = "HOOKSTREAM_LEASE_MS", value_parser = whole(1_000_u32, 300_000))]
    pub(crate) lease_ms: Option<u32>,

    /// The address of this server for users, for links; without a path [default: where it listens]
    #[arg(long, value_name = "URL", env = "HOOKSTREAM_PUBLIC_URL")]
    pub(crate) public_url: Option<String>,

    /// The server's certificate (PEM, with its chain), to serve HTTPS; without it, HTTP
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_TLS_CERT_FILE")]
    pub(crate) tls_cert_file: Option<PathBuf>,

    /// The private key of the server's certificate (PEM)
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_TLS_KEY_FILE")]
    pub(crate) tls_key_file: Option<PathBuf>,

    /// Concurrent connections, at most; others wait to be accepted [default: 10000]
    #[arg(long, value_name = "N", env = "HOOKSTREAM_MAX_CONNECTIONS", value_parser = whole(1_usize, 1_000_000))]
    pub(crate) max_connections: Option<usize>,

    /// Connections at once from one address, or one /64 network of IPv6 [default: a tenth of max_connections, at least 100]
    #[arg(long, value_name = "N", env = "HOOKSTREAM_MAX_CONNECTIONS_PER_ADDRESS", value_parser = whole(1_usize, 1_000_000))]
    pub(crate) max_connections_per_address: Option<usize>,

    /// Users who may create organizations: operator (owners of the first organization), anyone or nobody [default: operator]
    #[arg(long, value_name = "WHO", env = "HOOKSTREAM_ALLOW_ORGANIZATIONS")]
    pub(crate) allow_organizations: Option<OrganizationCreators>,

    /// Requests per second of each API key; also the burst [default: 100000]
    #[arg(long, value_name = "N", env = "HOOKSTREAM_API_RATE_LIMIT", value_parser = whole(1_u32, 1_000_000))]
    pub(crate) api_rate_limit: Option<u32>,

    /// Requests per second of each address without a valid API key; also the burst [default: 100]
    #[arg(long, value_name = "N", env = "HOOKSTREAM_API_RATE_LIMIT_PER_ADDRESS", value_parser = whole(1_u32, 1_000_000))]
    pub(crate) api_rate_limit_per_address: Option<u32>,

    /// Networks of proxies whose X-Forwarded-For is trusted, comma-separated [default: none]
    #[arg(long, value_name = "CIDR[,CIDR…]", env = "HOOKSTREAM_TRUSTED_PROXIES")]
    pub(crate) trusted_proxies: Option<Networks>,

    /// Networks that endpoints may be in, besides public addresses; comma-separated [default: none]
    #[arg(long, value_name = "CIDR[,CIDR…]", env = "HOOKSTREAM_ALLOW_TARGETS")]
    pub(crate) allow_targets: Option<Networks>,

    /// Certificates (PEM) to trust for endpoints, besides the public authorities: of authorities, or of endpoints themselves
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_TARGET_CA_FILE")]
    pub(crate) target_ca_file: Option<PathBuf>,

    /// Revocation lists (PEM); endpoints with a revoked certificate get no deliveries
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_TARGET_CRL_FILE")]
    pub(crate) target_crl_file: Option<PathBuf>,

    /// The client certificate (PEM, with its chain) for endpoints that request one
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_TARGET_CLIENT_CERT_FILE")]
    pub(crate) target_client_cert_file: Option<PathBuf>,

    /// The private key of the client certificate (PEM)
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_TARGET_CLIENT_KEY_FILE")]
    pub(crate) target_client_key_file: Option<PathBuf>,

    /// An API key to add at start, for automation
    #[arg(skip)]
    pub(crate) bootstrap_api_key: Option<KeyText>,

    /// Print a link to create the owner account at each start, as long as there is no user [default: true]
    #[arg(long, value_name = "BOOL", env = "HOOKSTREAM_SETUP_LINK", num_args = 0..=1, default_missing_value = "true", value_parser = truth)]
    pub(crate) setup_link: Option<bool>,

    /// Write the first API key and the set-up link to this file (mode 0600) instead of standard output
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_FIRST_ACCESS_FILE")]
    pub(crate) first_access_file: Option<PathBuf>,

    /// The key that encrypts secrets in the store, followed by earlier ones
    #[arg(skip)]
    pub(crate) encryption_key: Option<KeysText>,

    /// A file with the key that encrypts secrets in the store; further lines are earlier keys [default: generated]
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_ENCRYPTION_KEY_FILE")]
    pub(crate) encryption_key_file: Option<PathBuf>,

    /// The largest payload of a message, in bytes [default: 1048576]
    #[arg(long, value_name = "BYTES", env = "HOOKSTREAM_PAYLOAD_LIMIT_BYTES", value_parser = whole(1_024_usize, 64 * 1024 * 1024))]
    pub(crate) payload_limit_bytes: Option<usize>,

    /// Seconds between the attempts of a delivery, or none for one attempt [default: 5,300,1800,7200,18000,36000,50400,72000,86400]
    #[arg(long, value_name = "S[,S…]", env = "HOOKSTREAM_RETRY_SCHEDULE")]
    pub(crate) retry_schedule: Option<Schedule>,

    /// Timeout of one attempt in milliseconds: 1000 to 60000 [default: 20000]
    #[arg(long, value_name = "MS", env = "HOOKSTREAM_TIMEOUT_MS", value_parser = whole(1_000_u32, 60_000))]
    pub(crate) timeout_ms: Option<u32>,

    /// Disable an endpoint after so many hours of failures without a success [default: 120]
    #[arg(long, value_name = "HOURS", env = "HOOKSTREAM_DISABLE_AFTER_HOURS", value_parser = whole(1_u32, 8_760))]
    pub(crate) disable_after_hours: Option<u32>,

    /// Consecutive failures that open an endpoint's circuit breaker; 0 means never [default: 5]
    #[arg(long, value_name = "COUNT", env = "HOOKSTREAM_CIRCUIT_BREAKER_THRESHOLD", value_parser = whole(0_u32, u32::MAX))]
    pub(crate) circuit_breaker_threshold: Option<u32>,

    /// How long a circuit breaker stays open, in seconds: 1 to 86400 [default: 60]
    #[arg(long, value_name = "SECONDS", env = "HOOKSTREAM_CIRCUIT_BREAKER_COOLDOWN_S", value_parser = whole(1_u32, 86_400))]
    pub(crate) circuit_breaker_cooldown_s: Option<u32>,

    /// How long idempotency keys and event ids are remembered, in hours [default: 24]
    #[arg(long, value_name = "HOURS", env = "HOOKSTREAM_IDEMPOTENCY_HOURS", value_parser = whole(1_u32, 168))]
    pub(crate) idempotency_hours: Option<u32>,

    /// How long a rotated signing secret continues to sign, in hours: 0 to 168 [default: 24]
    #[arg(long, value_name = "HOURS", env = "HOOKSTREAM_SECRET_GRACE_HOURS", value_parser = whole(0_u32, 168))]
    pub(crate) secret_grace_hours: Option<u32>,

    /// Whether signing secrets can be revealed to holders of the scope endpoints:secret: true or false [default: true]
    #[arg(long, value_name = "BOOL", env = "HOOKSTREAM_REVEAL_SECRETS", value_parser = truth)]
    pub(crate) reveal_secrets: Option<bool>,

    /// Endpoints of its application that a customer may create in the portal; 0 means no limit [default: 50]
    #[arg(long, value_name = "N", env = "HOOKSTREAM_PORTAL_ENDPOINTS", value_parser = whole(0_u64, 1_000_000))]
    pub(crate) portal_endpoints: Option<u64>,

    /// Days that messages are kept [default: 30]
    #[arg(long, value_name = "DAYS", env = "HOOKSTREAM_RETENTION_DAYS", value_parser = whole(1_u32, 3_650))]
    pub(crate) retention_days: Option<u32>,

    /// Days that payloads are kept, at most retention_days [default: retention_days]
    #[arg(long, value_name = "DAYS", env = "HOOKSTREAM_PAYLOAD_RETENTION_DAYS", value_parser = whole(1_u32, 3_650))]
    pub(crate) payload_retention_days: Option<u32>,

    /// Days that a deleted environment or organization can be restored: 0 to 365 [default: 7]
    #[arg(long, value_name = "DAYS", env = "HOOKSTREAM_DELETION_GRACE_DAYS", value_parser = whole(0_u32, 365))]
    pub(crate) deletion_grace_days: Option<u32>,

    /// Hours until an unused session ends: 1 to 8760 [default: 168]
    #[arg(long, value_name = "HOURS", env = "HOOKSTREAM_SESSION_IDLE_HOURS", value_parser = whole(1_u32, 8_760))]
    pub(crate) session_idle_hours: Option<u32>,

    /// Hours until a session ends in any case: 1 to 8760 [default: 720]
    #[arg(long, value_name = "HOURS", env = "HOOKSTREAM_SESSION_MAX_HOURS", value_parser = whole(1_u32, 8_760))]
    pub(crate) session_max_hours: Option<u32>,

    /// The mail server, with its user and password; no flag, like all secrets
    #[arg(skip)]
    pub(crate) smtp_url: Option<SecretText>,

    /// Sender (From) address: hooks@example.com or 'Hookstream <hooks@example.com>'
    #[arg(long, value_name = "ADDRESS", env = "HOOKSTREAM_MAIL_FROM")]
    pub(crate) mail_from: Option<String>,

    /// Certificates (PEM) of authorities to trust for the mail server, besides the public authorities
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_SMTP_CA_FILE")]
    pub(crate) smtp_ca_file: Option<PathBuf>,

    /// Providers of OpenID Connect that people may sign in with; a list of tables, which no flag can be
    #[arg(skip)]
    pub(crate) oidc_providers: Option<Vec<ProviderSettings>>,

    /// Days until the key that signs portal tokens is replaced: 1 to 3650 [default: 30]
    #[arg(long, value_name = "DAYS", env = "HOOKSTREAM_PORTAL_KEY_DAYS", value_parser = whole(1_u32, 3_650))]
    pub(crate) portal_key_days: Option<u32>,

    /// Bytes of payloads an environment may store, unless it has a limit of its own [default: no limit]
    #[arg(long, value_name = "BYTES", env = "HOOKSTREAM_MAX_PAYLOAD_BYTES", value_parser = whole(1_u64, QUANTITY_MAX))]
    pub(crate) max_payload_bytes: Option<u64>,

    /// Messages an organization may send in a month (UTC), unless it has a quota of its own [default: no limit]
    #[arg(long, value_name = "N", env = "HOOKSTREAM_QUOTA_EVENTS_PER_MONTH", value_parser = whole(0_u64, QUANTITY_MAX))]
    pub(crate) quota_events_per_month: Option<u64>,

    /// Applications an organization may have, unless it has a quota of its own [default: no limit]
    #[arg(long, value_name = "N", env = "HOOKSTREAM_QUOTA_APPLICATIONS", value_parser = whole(0_u64, QUANTITY_MAX))]
    pub(crate) quota_applications: Option<u64>,

    /// Endpoints an application may have, unless its organization has a quota of its own [default: no limit]
    #[arg(long, value_name = "N", env = "HOOKSTREAM_QUOTA_ENDPOINTS_PER_APPLICATION", value_parser = whole(0_u64, QUANTITY_MAX))]
    pub(crate) quota_endpoints_per_application: Option<u64>,

    /// Event types an organization may have, unless it has a quota of its own [default: no limit]
    #[arg(long, value_name = "N", env = "HOOKSTREAM_QUOTA_EVENT_TYPES", value_parser = whole(0_u64, QUANTITY_MAX))]
    pub(crate) quota_event_types: Option<u64>,

    /// Environments an organization may have, unless it has a quota of its own [default: no limit]
    #[arg(long, value_name = "N", env = "HOOKSTREAM_QUOTA_ENVIRONMENTS", value_parser = whole(1_u64, QUANTITY_MAX))]
    pub(crate) quota_environments: Option<u64>,

    /// Days an organization's environments may keep messages, unless it has a quota of its own [default: no limit]
    #[arg(long, value_name = "DAYS", env = "HOOKSTREAM_QUOTA_RETENTION_DAYS", value_parser = whole(1_u64, 3_650))]
    pub(crate) quota_retention_days: Option<u64>,

    /// Days that entries of the audit log are kept: 1 to 3650 [default: 400]
    #[arg(long, value_name = "DAYS", env = "HOOKSTREAM_AUDIT_RETENTION_DAYS", value_parser = whole(1_u32, 3_650))]
    pub(crate) audit_retention_days: Option<u32>,

    /// Concurrent attempts over all endpoints [default: 1024]
    #[arg(long, value_name = "N", env = "HOOKSTREAM_MAX_IN_FLIGHT", value_parser = whole(1_usize, 100_000))]
    pub(crate) max_in_flight: Option<usize>,

    /// Concurrent attempts to one endpoint [default: 64]
    #[arg(long, value_name = "N", env = "HOOKSTREAM_MAX_IN_FLIGHT_PER_TARGET", value_parser = whole(1_usize, 100_000))]
    pub(crate) max_in_flight_per_target: Option<usize>,

    /// How long a stop waits for requests and attempts in flight, in seconds [default: 20]
    #[arg(long, value_name = "S", env = "HOOKSTREAM_SHUTDOWN_GRACE_S", value_parser = whole(0_u32, 600))]
    pub(crate) shutdown_grace_s: Option<u32>,

    /// Log level: error, warn, info, debug, trace or off, or a filter such as warn,hookstream_engine=debug [default: info]
    #[arg(long, value_name = "FILTER", env = "HOOKSTREAM_LOG")]
    pub(crate) log: Option<String>,
}

/// Complete and checked settings of a server.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    /// True if a data directory was given although a database is used.
    pub(crate) ignores_data_dir: bool,
    /// Database, if it is used in place of the data directory.
    pub(crate) database: Option<DatabaseOptions>,
    pub(crate) setup_link: bool,
    pub(crate) first_access_file: Option<PathBuf>,
    pub(crate) restored: bool,
    pub(crate) forget: bool,
    pub(crate) public_url: Option<String>,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) max_connections: usize,
    pub(crate) max_connections_per_address: usize,
    pub(crate) allow_organizations: AllowOrganizations,
    pub(crate) rate_limits: RateLimits,
    pub(crate) audit_retention_days: u32,
    /// Quotas of organizations that have none of their own.
    pub(crate) quotas: Quotas,
    pub(crate) trusted_proxies: Networks,
    pub(crate) allow_targets: Networks,
    pub(crate) trust: TrustFiles,
    pub(crate) bootstrap_api_key: Option<KeyText>,
    pub(crate) encryption: KeySource,
    pub(crate) secret_grace: Duration,
    pub(crate) reveal_secrets: bool,
    /// Maximum number of portal endpoints per application; `None` for no limit.
    pub(crate) portal_endpoints: Option<u64>,
    pub(crate) sessions: SessionPolicy,
    /// Outgoing email, if configured.
    pub(crate) mail: Option<MailConfig>,
    pub(crate) providers: Vec<ProviderConfig>,
    /// Age at which the key of portal tokens is replaced.
    pub(crate) portal_key_age: Duration,
    pub(crate) shutdown_grace: Duration,
    pub(crate) log: String,
    pub(crate) engine: EngineOptions,
}

/// Default audit retention: a year and some weeks to review it.
const AUDIT_RETENTION_DAYS: u32 = 400;

const HOUR: Duration = Duration::from_secs(3600);

/// Variables of other commands.
const OF_OTHER_COMMANDS: [&str; 5] =
    ["HOOKSTREAM_URL", "HOOKSTREAM_API_KEY", "HOOKSTREAM_SINK_SECRET", "HOOKSTREAM_TRANSFER_FROM", "HOOKSTREAM_TRANSFER_TO"];
const BOOTSTRAP_VARIABLE: &str = "HOOKSTREAM_BOOTSTRAP_API_KEY";
const ENCRYPTION_VARIABLE: &str = "HOOKSTREAM_ENCRYPTION_KEY";
const SMTP_VARIABLE: &str = "HOOKSTREAM_SMTP_URL";
const PROVIDERS_VARIABLE: &str = "HOOKSTREAM_OIDC_PROVIDERS";

/// Maximum of settings in bytes or counts: exact in JavaScript, and far beyond any store.
const QUANTITY_MAX: u64 = 1 << 50;

impl Config {
    /// Reads the file and the environment and combines all settings.
    ///
    /// # Errors
    /// Names the first key that is unknown or value that is not allowed.
    pub(crate) fn load(sources: Sources, environment: &[(String, String)]) -> anyhow::Result<Self> {
        check_environment(environment)?;
        let mut given = sources.settings;
        // A secret has no flag, because the list of processes shows flags.
        if let Some((_, key)) = environment.iter().find(|(name, _)| name == BOOTSTRAP_VARIABLE) {
            given.bootstrap_api_key = Some(key.trim().parse().map_err(|problem| anyhow::anyhow!("{BOOTSTRAP_VARIABLE} {problem}"))?);
        }
        if let Some((_, keys)) = environment.iter().find(|(name, _)| name == ENCRYPTION_VARIABLE) {
            given.encryption_key = Some(KeysText(Secret::new(keys)));
        }
        if let Some((_, url)) = environment.iter().find(|(name, _)| name == SMTP_VARIABLE) {
            given.smtp_url = Some(SecretText(Secret::new(url)));
        }
        if let Some((_, providers)) = environment.iter().find(|(name, _)| name == PROVIDERS_VARIABLE) {
            given.oidc_providers = Some(providers::from_json(providers)?);
        }
        let file = match &sources.config {
            Some(path) => read_file(path)?,
            None => Settings::default(),
        };
        Ok(Self { restored: sources.restored, forget: sources.forget, ..given.or(file).complete()? })
    }
}

impl Settings {
    /// Returns these settings, with those of `other` for the missing ones.
    fn or(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            port: self.port.or(other.port),
            data_dir: self.data_dir.or(other.data_dir),
            database_url: self.database_url.or(other.database_url),
            database_max_connections: self.database_max_connections.or(other.database_max_connections),
            database_pooler: self.database_pooler.or(other.database_pooler),
            role: self.role.or(other.role),
            node_name: self.node_name.or(other.node_name),
            lease_ms: self.lease_ms.or(other.lease_ms),
            public_url: self.public_url.or(other.public_url),
            tls_cert_file: self.tls_cert_file.or(other.tls_cert_file),
            tls_key_file: self.tls_key_file.or(other.tls_key_file),
            max_connections: self.max_connections.or(other.max_connections),
            max_connections_per_address: self.max_connections_per_address.or(other.max_connections_per_address),
            allow_organizations: self.allow_organizations.or(other.allow_organizations),
            api_rate_limit: self.api_rate_limit.or(other.api_rate_limit),
            api_rate_limit_per_address: self.api_rate_limit_per_address.or(other.api_rate_limit_per_address),
            trusted_proxies: self.trusted_proxies.or(other.trusted_proxies),
            allow_targets: self.allow_targets.or(other.allow_targets),
            target_ca_file: self.target_ca_file.or(other.target_ca_file),
            target_crl_file: self.target_crl_file.or(other.target_crl_file),
            target_client_cert_file: self.target_client_cert_file.or(other.target_client_cert_file),
            target_client_key_file: self.target_client_key_file.or(other.target_client_key_file),
            bootstrap_api_key: self.bootstrap_api_key.or(other.bootstrap_api_key),
            setup_link: self.setup_link.or(other.setup_link),
            first_access_file: self.first_access_file.or(other.first_access_file),
            encryption_key: self.encryption_key.or(other.encryption_key),
            encryption_key_file: self.encryption_key_file.or(other.encryption_key_file),
            payload_limit_bytes: self.payload_limit_bytes.or(other.payload_limit_bytes),
            retry_schedule: self.retry_schedule.or(other.retry_schedule),
            timeout_ms: self.timeout_ms.or(other.timeout_ms),
            disable_after_hours: self.disable_after_hours.or(other.disable_after_hours),
            circuit_breaker_threshold: self.circuit_breaker_threshold.or(other.circuit_breaker_threshold),
            circuit_breaker_cooldown_s: self.circuit_breaker_cooldown_s.or(other.circuit_breaker_cooldown_s),
            idempotency_hours: self.idempotency_hours.or(other.idempotency_hours),
            secret_grace_hours: self.secret_grace_hours.or(other.secret_grace_hours),
            reveal_secrets: self.reveal_secrets.or(other.reveal_secrets),
            portal_endpoints: self.portal_endpoints.or(other.portal_endpoints),
            retention_days: self.retention_days.or(other.retention_days),
            payload_retention_days: self.payload_retention_days.or(other.payload_retention_days),
            deletion_grace_days: self.deletion_grace_days.or(other.deletion_grace_days),
            session_idle_hours: self.session_idle_hours.or(other.session_idle_hours),
            session_max_hours: self.session_max_hours.or(other.session_max_hours),
            smtp_url: self.smtp_url.or(other.smtp_url),
            mail_from: self.mail_from.or(other.mail_from),
            smtp_ca_file: self.smtp_ca_file.or(other.smtp_ca_file),
            oidc_providers: self.oidc_providers.or(other.oidc_providers),
            portal_key_days: self.portal_key_days.or(other.portal_key_days),
            max_payload_bytes: self.max_payload_bytes.or(other.max_payload_bytes),
            quota_events_per_month: self.quota_events_per_month.or(other.quota_events_per_month),
            quota_applications: self.quota_applications.or(other.quota_applications),
            quota_endpoints_per_application: self.quota_endpoints_per_application.or(other.quota_endpoints_per_application),
            quota_event_types: self.quota_event_types.or(other.quota_event_types),
            quota_environments: self.quota_environments.or(other.quota_environments),
            quota_retention_days: self.quota_retention_days.or(other.quota_retention_days),
            audit_retention_days: self.audit_retention_days.or(other.audit_retention_days),
            max_in_flight: self.max_in_flight.or(other.max_in_flight),
            max_in_flight_per_target: self.max_in_flight_per_target.or(other.max_in_flight_per_target),
            shutdown_grace_s: self.shutdown_grace_s.or(other.shutdown_grace_s),
            log: self.log.or(other.log),
        }
    }

    fn database(&self) -> anyhow::Result<Option<DatabaseOptions>> {
        let lease_ms = self.lease_ms.unwrap_or(10_000);
        let max_connections = self.database_max_connections.unwrap_or(12);
        Ok(self.database_url.as_ref().map(|url| DatabaseOptions {
            url: Secret::new(url),
            max_connections,
            through_pooler: self.database_pooler.unwrap_or(false),
            lease: Duration::from_millis(u64::from(lease_ms)),
        }))
    }

    fn quotas(&self) -> anyhow::Result<Quotas> {
        Quota::ALL.into_iter().try_fold(Quotas::default(), |quotas, quota| {
            let given = match quota {
                Quota::EventsPerMonth => self.quota_events_per_month,
                Quota::Applications => self.quota_applications,
                Quota::EndpointsPerApplication => self.quota_endpoints_per_application,
                Quota::EventTypes => self.quota_event_types,
                Quota::Environments => self.quota_environments,
                Quota::RetentionDays => self.quota_retention_days,
            };
            Ok(quotas.with(quota, given))
        })
    }

    fn complete(self) -> anyhow::Result<Config> {
        let defaults = EngineOptions::default();
        let timeout_ms = self.timeout_ms.unwrap_or(20_000);
        let portal_endpoints = self.portal_endpoints.unwrap_or(50);
        let secret_grace_hours = self.secret_grace_hours.unwrap_or(24);
        let max_in_flight = self.max_in_flight.unwrap_or(defaults.max_in_flight);
        let role = self.role.map_or(defaults.role, |role| role.0);
        let retention_days = self.retention_days.unwrap_or(defaults.retention_days);
        let database = self.database()?;
        if database.is_none() && role != Role::All {
            bail!("role is {}, which needs a database shared with other nodes: set database_url", role.as_str());
        }
        let quotas = self.quotas()?;
        let max_connections = self.max_connections.unwrap_or(10_000);
        let per_target = check_per_target(self.max_in_flight_per_target, defaults.max_in_flight_per_target, max_in_flight)?;
        Ok(Config {
            listen: {
                let mut listen = self.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8484)));
                self.port.into_iter().for_each(|port| listen.set_port(port));
                listen
            },
            ignores_data_dir: database.is_some() && self.data_dir.is_some(),
            setup_link: self.setup_link.unwrap_or(true),
            first_access_file: self.first_access_file,
            data_dir: self.data_dir.unwrap_or_else(|| PathBuf::from("hookstream-data")),
            database,
            restored: false,
            forget: false,
            public_url: self.public_url.map(|url| check_public_url(&url)).transpose()?,
            tls: match (self.tls_cert_file, self.tls_key_file) {
                (None, None) => None,
                (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
                (Some(_), None) | (None, Some(_)) => bail!("tls_cert_file and tls_key_file belong together: set both or neither"),
            },
            max_connections,
            max_connections_per_address: self.max_connections_per_address.unwrap_or((max_connections / 10).max(100)),
            allow_organizations: self.allow_organizations.map_or(AllowOrganizations::Operator, |who| who.0),
            rate_limits: RateLimits {
                per_key: self.api_rate_limit.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::new(100_000).expect("not 0")),
                per_address: self.api_rate_limit_per_address.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::new(100).expect("not 0")),
            },
            audit_retention_days: self.audit_retention_days.unwrap_or(AUDIT_RETENTION_DAYS),
            quotas,
            trusted_proxies: self.trusted_proxies.unwrap_or_default(),
            allow_targets: self.allow_targets.unwrap_or_default(),
            trust: TrustFiles {
                target_ca_file: self.target_ca_file,
                target_crl_file: self.target_crl_file,
                target_client_cert_file: self.target_client_cert_file,
                target_client_key_file: self.target_client_key_file,
            },
            bootstrap_api_key: self.bootstrap_api_key,
            encryption: check_encryption(self.encryption_key, self.encryption_key_file)?,
            secret_grace: HOUR * secret_grace_hours,
            reveal_secrets: self.reveal_secrets.unwrap_or(true),
            portal_endpoints: Some(portal_endpoints).filter(|most| *most > 0),
            sessions: SessionPolicy {
                idle: HOUR * self.session_idle_hours.unwrap_or(168),
                absolute: HOUR * self.session_max_hours.unwrap_or(720),
            },
            mail: MailConfig::check(self.smtp_url.map(|url| url.0), self.mail_from, self.smtp_ca_file)?,
            providers: providers::check(self.oidc_providers.unwrap_or_default())?,
            portal_key_age: HOUR * 24 * self.portal_key_days.unwrap_or(30),
            shutdown_grace: Duration::from_secs(u64::from(self.shutdown_grace_s.unwrap_or(20))),
            log: match self.log {
                None => "info".to_owned(),
                Some(log) => {
                    crate::server::lifecycle::log_filter(&log).map_err(|problem| anyhow::anyhow!("log {problem}"))?;
                    log
                }
            },
            engine: EngineOptions {
                role,
                node_name: self.node_name.unwrap_or_else(host_name),
                retry_schedule: self.retry_schedule.map_or(defaults.retry_schedule, |schedule| schedule.0),
                timeout: Duration::from_millis(u64::from(timeout_ms)),
                disable_after: HOUR * self.disable_after_hours.unwrap_or(120),
                breaker: BreakerPolicy {
                    threshold: self.circuit_breaker_threshold.unwrap_or(defaults.breaker.threshold),
                    cooldown: Duration::from_secs(u64::from(self.circuit_breaker_cooldown_s.unwrap_or(60))),
                },
                max_in_flight,
                max_in_flight_per_target: per_target,
                payload_limit: self.payload_limit_bytes.unwrap_or(defaults.payload_limit),
                idempotency_window: HOUR * self.idempotency_hours.unwrap_or(24),
                retention_days,
                payload_retention_days: check_payload_retention(self.payload_retention_days, retention_days)?,
                deletion_grace: HOUR * 24 * self.deletion_grace_days.unwrap_or(7),
                max_payload_bytes: self.max_payload_bytes,
                ..defaults
            },
        })
    }
}

/// Returns the source of the encryption keys: at most one of the two settings. Errors do not contain a key.
fn check_encryption(keys: Option<KeysText>, file: Option<PathBuf>) -> anyhow::Result<KeySource> {
    match (keys, file) {
        (Some(_), Some(_)) => bail!("encryption_key and encryption_key_file are both set: remove one of them"),
        (Some(keys), None) => keys.0.expose().parse().map(KeySource::Given).map_err(|problem| anyhow::anyhow!("encryption_key {problem}")),
        (None, Some(file)) => Ok(KeySource::File(file)),
        (None, None) => Ok(KeySource::Own),
    }
}

/// Returns the payload retention: by default that of messages, and never longer.
fn check_payload_retention(given: Option<u32>, retention_days: u32) -> anyhow::Result<u32> {
    let days = given.unwrap_or(retention_days);
    if days > retention_days {
        bail!("payload_retention_days is {days}; it must be at most retention_days, which is {retention_days}");
    }
    Ok(days)
}

/// Returns the limit of concurrent attempts per target: at most the total limit. The default is lowered to it.
fn check_per_target(given: Option<usize>, default: usize, max_in_flight: usize) -> anyhow::Result<usize> {
    match given {
        Some(given) if given > max_in_flight => {
            bail!("max_in_flight_per_target is {given}; it must be at most max_in_flight, which is {max_in_flight}")
        }
        Some(given) => Ok(given),
        None => Ok(default.min(max_in_flight)),
    }
}

/// Returns the name of the host, or `hookstream` if the host has none.
pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "hookstream".to_owned() } else { name.trim().to_owned() }
}

fn check_public_url(text: &str) -> anyhow::Result<String> {
    let is_address =
        |url: &url::Url| matches!(url.scheme(), "https" | "http") && url.has_host() && url.query().is_none() && url.fragment().is_none();
    let Some(url) = url::Url::parse(text).ok().filter(is_address) else {
        bail!("public_url is {text:?}; it must be an http or https address such as https://hooks.example.com");
    };
    if !url.username().is_empty() || url.password().is_some() {
        bail!("public_url must not contain a user or a password; write it as https://hooks.example.com");
    }
    if url.path() != "/" {
        bail!(
            "public_url is {text:?}, which has a path; Hookstream is served at the root of a host. Give it a host name of its own, such as \
             https://hooks.example.com"
        );
    }
    // The parsed form, because links are built from it.
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn read_file(path: &std::path::Path) -> anyhow::Result<Settings> {
    let text = std::fs::read_to_string(path).with_context(|| format!("could not read the configuration file {}", path.display()))?;
    parse(&text).with_context(|| format!("the configuration file {} is not valid", path.display()))
}

/// Settings without a flag, because their values are secret or too large.
const WITHOUT_FLAG: [&str; 4] = ["bootstrap_api_key", "encryption_key", "smtp_url", "oidc_providers"];

/// Settings that may be lists in a file.
const LISTS: [&str; 3] = ["trusted_proxies", "allow_targets", "retry_schedule"];

/// Maximum length of a string that errors show. A longer one may be a secret under the wrong name.
const SHOWN_MAX: usize = 16;

/// Parses the settings of a file. Values have the same form as on the command line; lists are joined with commas. An
/// error names the line, the key, the allowed values and, if it is short, the value.
fn parse(text: &str) -> anyhow::Result<Settings> {
    let table: toml::Table = toml::from_str(text).map_err(|mut error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count();
        // With the input, the error would show the line.
        error.set_input(None);
        anyhow::anyhow!("line {line} is not TOML: {}", without_text(&error.to_string()).trim_end().replace('\n', " "))
    })?;
    let command = Settings::augment_args(clap::Command::new("settings").no_binary_name(true).disable_help_flag(true));
    let keys: Vec<String> = command.get_arguments().map(|argument| argument.get_id().to_string()).collect();
    let mut flags: Vec<std::ffi::OsString> = Vec::new();
    let mut special = toml::Table::new();
    for (key, value) in table {
        let at = SettingPlace { text, key: &key };
        if WITHOUT_FLAG.contains(&key.as_str()) {
            special.insert(key, value);
            continue;
        }
        if !keys.contains(&key) {
            let known = keys.iter().map(String::as_str).chain(WITHOUT_FLAG);
            let nearest = nearest(&key, known).map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
            bail!("{at}: unknown key `{key}`{nearest}");
        }
        let flag = key.replace('_', "-");
        if value.is_array() && !LISTS.contains(&key.as_str()) {
            bail!("{at}: {key} must be one value, not a list");
        }
        let text = as_text(&value).with_context(|| format!("{at}: {key} must be text, a number, true or false, or a list of those"))?;
        if !text.trim().is_empty() || matches!(value, toml::Value::Array(_)) {
            let text = if text.trim().is_empty() { "none" } else { text.trim() };
            // Parsed one at a time, so that the error is known to be about this key.
            let argument = std::ffi::OsString::from(format!("--{flag}={text}"));
            let parsed = without_environment(command.clone()).try_get_matches_from([&argument]);
            if let Err(error) = parsed {
                let is_shown = !matches!(value, toml::Value::String(_)) || text.len() <= SHOWN_MAX;
                let subject = if is_shown { format!("{key} is {text:?}") } else { key.clone() };
                bail!("{at}: {}", sentence(&subject, &problem_of(&error)));
            }
            flags.push(argument);
        }
    }
    let matches = without_environment(command).try_get_matches_from(flags).context("each flag was read by itself")?;
    let mut settings = <Settings as clap::FromArgMatches>::from_arg_matches(&matches).context("each flag was read by itself")?;
    for (key, value) in special {
        let at = SettingPlace { text, key: &key };
        settings.set_special(&key, value).map_err(|problem| anyhow::anyhow!("{at}: {problem}"))?;
    }
    Ok(settings)
}

/// Returns the command without environment variables, which were read before.
fn without_environment(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| argument.env(clap::builder::Resettable::Reset))
}

/// Position of a key in a file.
struct SettingPlace<'a> {
    text: &'a str,
    key: &'a str,
}

impl std::fmt::Display for SettingPlace<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_of_key = |line: &str| {
            let name = line.split_once('=').map_or(line, |(name, _)| name);
            name.trim().trim_matches(['"', '\'', '[', ']']) == self.key
        };
        match self.text.lines().position(is_of_key) {
            Some(line) => write!(f, "line {}", line + 1),
            None => f.write_str(self.key),
        }
    }
}

/// Returns a value as it would be typed; `None` if that is not possible.
fn as_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(values) => {
            let texts = values.iter().map(|value| if value.is_array() { None } else { as_text(value) });
            texts.collect::<Option<Vec<_>>>().map(|texts| texts.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

impl Settings {
    /// Sets a setting that has no flag. Errors do not show the value.
    fn set_special(&mut self, key: &str, value: toml::Value) -> Result<(), String> {
        let text = |value: &toml::Value| match value {
            toml::Value::String(text) => Ok(text.trim().to_owned()),
            _ => Err(format!("{key} must be text")),
        };
        match key {
            "bootstrap_api_key" => self.bootstrap_api_key = Some(text(&value)?.parse().map_err(|problem| format!("{key} {problem}"))?),
            "encryption_key" => {
                let keys = match &value {
                    toml::Value::Array(keys) => keys.iter().map(text).collect::<Result<Vec<_>, _>>()?.join(","),
                    one => text(one)?,
                };
                self.encryption_key = Some(KeysText(Secret::new(keys)));
            }
            "smtp_url" => self.smtp_url = Some(SecretText(Secret::new(text(&value)?))),
            _ => {
                let providers = value.try_into().map_err(|error: toml::de::Error| {
                    let problem = error.to_string();
                    format!("oidc_providers: {}", without_text(&problem).trim_end().replace('\n', " "))
                })?;
                self.oidc_providers = Some(providers);
            }
        }
        Ok(())
    }
}

/// Returns serde's message without the value if that is a string, because a secret may be under the wrong name.
fn without_text(problem: &str) -> std::borrow::Cow<'_, str> {
    let kind = ["invalid type: string", "invalid value: string"].into_iter().find(|kind| problem.starts_with(kind));
    // The expected part is our own text, so the last separator is the one before it.
    match kind.zip(problem.rsplit_once(", expected ")) {
        Some((kind, (_, expected))) => format!("{kind}, expected {expected}").into(),
        None => problem.into(),
    }
}

/// Returns the settings of a server for a file with this text.
#[cfg(any(test, fuzzing))]
pub(crate) fn from_text(text: &str) -> anyhow::Result<Config> {
    parse(text)?.complete()
}

/// Refuses unknown variables with our prefix. Variables that Kubernetes sets for a service named `hookstream` are
/// ignored.
fn check_environment(environment: &[(String, String)]) -> anyhow::Result<()> {
    let command = crate::Cli::command();
    let serve = command.find_subcommand("serve").context("there is a serve command")?;
    let settings: Vec<String> = serve
        .get_arguments()
        .filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned))
        .chain([BOOTSTRAP_VARIABLE, ENCRYPTION_VARIABLE, SMTP_VARIABLE, PROVIDERS_VARIABLE].map(str::to_owned))
        .collect();
    let is_kubernetes = |name: &str| name.starts_with("HOOKSTREAM_PORT_") || name.starts_with("HOOKSTREAM_SERVICE_");
    let names = environment.iter().map(|(name, _)| name).filter(|name| name.starts_with("HOOKSTREAM_") && !is_kubernetes(name));
    match names.into_iter().find(|name| !settings.contains(name) && !OF_OTHER_COMMANDS.contains(&name.as_str())) {
        Some(unknown) => {
            // The common prefix would make all names similar.
            let own = |name: &'_ str| name.strip_prefix("HOOKSTREAM_").map(str::to_owned).unwrap_or_default();
            let names: Vec<_> = settings.iter().map(|name| own(name)).collect();
            let nearest = nearest(&own(unknown), names.iter().map(String::as_str));
            let hint = nearest.map_or_else(|| "see docs/configuration.md".to_owned(), |name| format!("did you mean HOOKSTREAM_{name}?"));
            bail!("there is no setting {unknown}; {hint}")
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn load(arguments: &[&str], file: Option<&str>, environment: &[(&str, &str)]) -> anyhow::Result<Config> {
        #[derive(Parser)]
        struct Server {
            #[command(flatten)]
            sources: Sources,
        }
        let directory = tempfile::tempdir().expect("a scratch directory");
        let mut sources = Server::try_parse_from([&["server"], arguments].concat())?.sources;
        if let Some(text) = file {
            let path = directory.path().join("hookstream.toml");
            std::fs::write(&path, text).expect("the file is written");
            sources.config = Some(path);
        }
        let environment: Vec<_> = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::load(sources, &environment)
    }

    #[test]
    fn defaults_are_complete() {
        let config = load(&[], None, &[]).expect("the defaults");
        assert_eq!(config.listen.to_string(), "127.0.0.1:8484");
        assert_eq!(config.data_dir, PathBuf::from("hookstream-data"));
        assert_eq!(config.engine.retention_days, 30);
        assert_eq!(config.allow_targets, Networks::default());
    }

    #[test]
    fn quota_bounds_match_the_model() {
        for quota in Quota::ALL {
            let (least, most) = quota.bounds();
            let given = |number: u64| load(&[&format!("--quota-{}={number}", quota.as_str().replace('_', "-"))], None, &[]);
            assert!(given(least).is_ok() && given(most).is_ok() && given(most + 1).is_err(), "{quota:?}");
            assert!(least == 0 || given(least - 1).is_err(), "{quota:?}");
        }
    }

    #[test]
    fn file_accepts_command_line_values() {
        let file = "port = 9000\nlisten = \":8484\"\nretention_days = \"7\"\nretry_schedule = []\nlog = \"\"\nsetup_link = false\n\
            database_pooler = true\nallow_targets = \"10.0.0.0/8, ::1\"";
        let config = load(&[], Some(file), &[]).expect("settings");
        assert_eq!((config.listen.to_string(), config.setup_link), ("0.0.0.0:9000".to_owned(), false));
        assert_eq!((config.engine.retention_days, config.log.as_str()), (7, "info"));
        assert!(config.engine.retry_schedule.as_seconds().is_empty());
        assert_eq!(config.allow_targets.to_string(), "10.0.0.0/8,::1/128");
        assert_eq!(load(&["--max-in-flight", "10"], None, &[]).expect("settings").engine.max_in_flight_per_target, 10);
        assert!(load(&["--database-url", "postgres://h/d", "--data-dir", "d"], None, &[]).expect("settings").ignores_data_dir);
    }

    #[test]
    fn flag_wins_over_file() {
        let file = "listen = \"127.0.0.1:1\"\nretention_days = 7\nallow_targets = [\"10.0.0.0/8\", \"::1\"]\nretry_schedule = [1, 2]";
        let config = load(&["--listen", "127.0.0.1:2"], Some(file), &[]).expect("settings");
        assert_eq!(config.listen.to_string(), "127.0.0.1:2");
        assert_eq!((config.engine.retention_days, config.engine.payload_retention_days), (7, 7));
        assert_eq!(config.allow_targets.to_string(), "10.0.0.0/8,::1/128");
        assert_eq!(config.engine.retry_schedule.as_seconds(), [1, 2]);
    }

    #[test]
    fn invalid_value_is_refused_by_name() {
        let check = |arguments: &[&str], file: Option<&str>, environment: &[(&str, &str)], named: &str| {
            let error = format!("{:#}", load(arguments, file, environment).expect_err(named));
            assert!(error.contains(named), "{error} does not name {named}");
        };
        check(&["--listen", "here"], None, &[], "must be an address and a port such as 0.0.0.0:8484");
        check(&["--allow-targets", "10.0.0.0/8,home"], None, &[], "home");
        check(&["--retention-days", "0"], None, &[], "'0' for '--retention-days <DAYS>': must be a whole number from 1 to 3650");
        check(
            &["--retention-days", "7", "--payload-retention-days", "8"],
            None,
            &[],
            "payload_retention_days is 8; it must be at most retention_days, which is 7",
        );
        check(&["--max-payload-bytes", "0"], None, &[], "must be a whole number from 1 to 1125899906842624");
        check(&["--payload-retention-days", "0"], None, &[], "must be a whole number from 1 to 3650");
        check(&["--audit-retention-days", "3651"], None, &[], "must be a whole number from 1 to 3650");
        check(&["--quota-environments", "0"], None, &[], "must be a whole number from 1 to 1125899906842624");
        check(
            &[],
            Some("quota_retention_days = 4000"),
            &[],
            "line 1: quota_retention_days is \"4000\"; it must be a whole number from 1 to 3650",
        );
        check(&["--public-url", "example.com"], None, &[], "public_url");
        check(&["--public-url", "https://ada:secret@example.com"], None, &[], "public_url");
        check(
            &[],
            Some("listen = \"127.0.0.1:1\"\nretention_day = 7"),
            &[],
            "line 2: unknown key `retention_day`; did you mean `retention_days`?",
        );
        check(&[], Some("retention_days = \"week\""), &[], "line 1: retention_days is \"week\"; it must be a whole number from 1 to 3650");
        check(&[], Some("listen = 127.0.0.1:18303"), &[], "line 1 is not TOML");
        check(&[], Some("data_dir = [\"a\"]"), &[], "line 1: data_dir must be one value, not a list");
        check(&[], Some("data_dir = 2026-01-01"), &[], "line 1: data_dir must be text");
        check(&["--public-url", "https://example.com/hooks"], None, &[], "which has a path");
        check(&["--max-in-flight", "10", "--max-in-flight-per-target", "11"], None, &[], "it must be at most max_in_flight, which is 10");
        check(&["--log", "warning"], None, &[], "log is \"warning\"; it must be error, warn, info");
        check(&[], Some("timeout_ms = 10"), &[], "timeout_ms is \"10\"; it must be a whole number from 1000 to 60000");
        check(
            &[],
            None,
            &[("HOOKSTREAM_RETENTION_DAY", "7")],
            "there is no setting HOOKSTREAM_RETENTION_DAY; did you mean HOOKSTREAM_RETENTION_DAYS?",
        );
        check(&[], None, &[("HOOKSTREAM_ZZZ", "7")], "there is no setting HOOKSTREAM_ZZZ; see docs/configuration.md");
        check(&[], None, &[("HOOKSTREAM_BOOTSTRAP_API_KEY", "secret")], "HOOKSTREAM_BOOTSTRAP_API_KEY must be");
        check(&[], None, &[("HOOKSTREAM_SMTP_URL", "smtp://mail.example.com")], "mail_from is missing");
        check(&["--mail-from", "a@example.com"], None, &[], "smtp_url is missing");
        check(&["--mail-from", "a@example.com"], None, &[("HOOKSTREAM_SMTP_URL", "mail.example.com")], "smtp_url is no URL");
        check(&[], None, &[("HOOKSTREAM_ENCRYPTION_KEY", "")], "encryption_key contains no key");
        let both = [("HOOKSTREAM_ENCRYPTION_KEY", "0")];
        check(&["--encryption-key-file", "f"], None, &both, "encryption_key and encryption_key_file are both set");
    }

    #[test]
    fn refused_key_is_not_shown() {
        let key = format!("{}g", "01".repeat(31));
        let in_file = load(&[], Some(&format!("encryption_key = \"{key}\"")), &[]);
        for refused in [load(&[], None, &[("HOOKSTREAM_ENCRYPTION_KEY", &key)]), in_file] {
            let error = format!("{:?}", refused.expect_err("it is no key"));
            assert!(error.contains("encryption_key is invalid: key 1 is not 32 bytes") && !error.contains("0101"), "{error}");
        }
        let config = load(&[], Some("encryption_key = [\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\"]"), &[]).expect("a key");
        assert!(!format!("{config:?}").contains("AQEB"));
    }

    #[test]
    fn refused_file_is_not_quoted() {
        let key = format!("hs_live_{}", "0a".repeat(32));
        for (file, named) in [
            (format!("listen = \"127.0.0.1:1\"\nencryption_key = {key}"), "line 2 is not TOML: "),
            (
                format!("listen = \"127.0.0.1:1\"\nencryption_keys = \"{key}\""),
                "line 2: unknown key `encryption_keys`; did you mean `encryption_key`?",
            ),
            (format!("bootstrap_api_key = [\"{key}\"]"), "bootstrap_api_key"),
            (format!("bootstrap_api_key = \"{key}0\""), "bootstrap_api_key"),
            (format!("database_url = {{ url = \"postgres://u:{key}@h/db\" }}"), "database_url"),
            (format!("mail_from = \"a@example.com\"\nsmtp_url = \"smtp://u:{key}@\""), "smtp_url"),
            (format!("smtp_url = [\"smtp://u:{key}@h\"]"), "smtp_url"),
            (format!("retention_days = \"{key}\""), "line 1: retention_days must be a whole number from 1 to 3650"),
            (format!("encryption_key = \"{key}\nlog = \"info\""), "line 1 is not TOML: "),
        ] {
            let error = format!("{:?}", load(&[], Some(&file), &[]).expect_err("it is refused"));
            assert!(error.contains(named) && !error.contains("0a0a"), "{file}: {error}");
        }
    }

    #[test]
    fn variables_of_other_commands_and_kubernetes_are_accepted() {
        let environment = [
            ("HOOKSTREAM_URL", "x"),
            ("HOOKSTREAM_SERVICE_HOST", "10.0.0.1"),
            ("HOOKSTREAM_PORT_8484_TCP", "tcp://10.0.0.1:8484"),
            ("PATH", "/bin"),
        ];
        load(&[], None, &environment).expect("settings");
    }
}
