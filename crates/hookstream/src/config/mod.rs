//! Settings: a flag, else the environment, else the file, else the default.
//!
//! Each setting has one name: `--retention-days`, `HOOKSTREAM_RETENTION_DAYS` and `retention_days` in the file. An
//! unknown key or a value that is not allowed is refused at the start. A section is a file: its settings as given, and
//! what they complete to.

mod delivery;
mod environment;
mod file;
mod identity;
pub(crate) mod in_force;
pub(crate) mod key_source;
mod limits;
mod mail;
mod providers;
mod section;
mod server;
mod storage;
mod telemetry;
mod values;
mod without_flag;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use hookstream_engine::Options as EngineOptions;

use self::{
    delivery::{DeliveryConfig, DeliverySettings},
    identity::IdentityConfig,
    limits::{LimitConfig, LimitSettings},
    server::ServerConfig,
    storage::StorageConfig,
};
pub(crate) use self::{
    identity::IdentitySettings,
    mail::{MailConfig, MailSettings},
    providers::ProviderConfig,
    server::{ServerSettings, host_name},
    storage::StorageSettings,
    telemetry::{
        TelemetryConfig, TelemetrySettings,
        opentelemetry::{Batches, OpenTelemetryConfig, Sampler, TargetConfig},
    },
    values::{KeyText, listen_address, whole},
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

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

/// Settings of a server as given, by section; those left out have defaults.
#[derive(Debug, Default, Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    pub(crate) server: ServerSettings,
    #[command(flatten)]
    pub(crate) storage: StorageSettings,
    #[command(flatten)]
    pub(crate) delivery: DeliverySettings,
    #[command(flatten)]
    pub(crate) limits: LimitSettings,
    #[command(flatten)]
    pub(crate) identity: IdentitySettings,
    #[command(flatten)]
    pub(crate) mail: MailSettings,
    #[command(flatten)]
    pub(crate) telemetry: TelemetrySettings,
}

/// Complete and checked settings of a server.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) server: ServerConfig,
    pub(crate) storage: StorageConfig,
    pub(crate) delivery: DeliveryConfig,
    pub(crate) limits: LimitConfig,
    pub(crate) identity: IdentityConfig,
    /// Outgoing email, if configured.
    pub(crate) mail: Option<MailConfig>,
    pub(crate) telemetry: TelemetryConfig,
    /// Options of the engine, from several sections.
    pub(crate) engine: EngineOptions,
    pub(crate) restored: bool,
    pub(crate) forget: bool,
}

impl Config {
    /// Reads the file and the environment and combines all settings.
    ///
    /// # Errors
    /// Names the first key that is unknown or value that is not allowed.
    pub(crate) fn load(sources: Sources, environment: &[(String, String)]) -> anyhow::Result<Self> {
        environment::check(environment)?;
        let mut given = sources.settings;
        environment::set(&mut given, environment)?;
        let file = sources.config.as_deref().map_or_else(|| Ok(Settings::default()), file::read)?;
        let mut config = given.or(file).complete()?;
        config.telemetry.opentelemetry = OpenTelemetryConfig::read(environment)?;
        Ok(Self { restored: sources.restored, forget: sources.forget, ..config })
    }
}

impl Settings {
    /// Returns these settings, with those of `other` for the missing ones.
    fn or(self, other: Self) -> Self {
        Self {
            server: self.server.or(other.server),
            storage: self.storage.or(other.storage),
            delivery: self.delivery.or(other.delivery),
            limits: self.limits.or(other.limits),
            identity: self.identity.or(other.identity),
            mail: self.mail.or(other.mail),
            telemetry: self.telemetry.or(other.telemetry),
        }
    }

    fn complete(self) -> anyhow::Result<Config> {
        let mut engine = EngineOptions::default();
        Ok(Config {
            // The server comes first: whether a database is needed depends on the node's role.
            server: self.server.complete(&mut engine)?,
            storage: self.storage.complete(&mut engine)?,
            delivery: self.delivery.complete(&mut engine)?,
            limits: self.limits.complete(&mut engine),
            identity: self.identity.complete()?,
            mail: self.mail.complete()?,
            telemetry: self.telemetry.complete(&mut engine)?,
            engine,
            restored: false,
            forget: false,
        })
    }
}

impl From<StorageSettings> for Settings {
    fn from(storage: StorageSettings) -> Self {
        Self { storage, ..Self::default() }
    }
}

/// Returns the settings of a server for a file with this text.
#[cfg(any(test, fuzzing))]
pub(crate) fn from_text(text: &str) -> anyhow::Result<Config> {
    file::parse(text)?.complete()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use hookstream_model::operations::quota::Quota;

    use super::{values::Networks, *};

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
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8484");
        assert_eq!(config.storage.data_dir, PathBuf::from("hookstream-data"));
        assert_eq!(config.engine.retention_days, 30);
        assert_eq!(config.delivery.allow_targets, Networks::default());
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
        assert_eq!((config.server.listen.to_string(), config.identity.setup_link), ("0.0.0.0:9000".to_owned(), false));
        assert_eq!((config.engine.retention_days, config.telemetry.log.as_str()), (7, "info"));
        assert!(config.engine.retry_schedule.as_seconds().is_empty());
        assert_eq!(config.delivery.allow_targets.to_string(), "10.0.0.0/8,::1/128");
        assert_eq!(load(&["--max-in-flight", "10"], None, &[]).expect("settings").engine.max_in_flight_per_target, 10);
        assert!(load(&["--database-url", "postgres://h/d", "--data-dir", "d"], None, &[]).expect("settings").storage.ignores_data_dir);
    }

    #[test]
    fn flag_wins_over_file() {
        let file = "listen = \"127.0.0.1:1\"\nretention_days = 7\nallow_targets = [\"10.0.0.0/8\", \"::1\"]\nretry_schedule = [1, 2]";
        let config = load(&["--listen", "127.0.0.1:2"], Some(file), &[]).expect("settings");
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:2");
        assert_eq!((config.engine.retention_days, config.engine.payload_retention_days), (7, 7));
        assert_eq!(config.delivery.allow_targets.to_string(), "10.0.0.0/8,::1/128");
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
        check(&[], None, &[("HOOKSTREAM_ZZZ", "7")], "there is no setting HOOKSTREAM_ZZZ; see docs/reference/configuration.md");
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
