//! Settings of what the server tells its operator.

pub(crate) mod opentelemetry;

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use hookstream_engine::Options as EngineOptions;

use self::opentelemetry::OpenTelemetryConfig;
use super::{
    section::section,
    values::{listen_address, whole},
};
use crate::{server::lifecycle, telemetry::logs::Format};

/// Lines of attempts and of requests in a second, each, unless set: enough to follow a quiet server, and no burden on a busy one.
const LINES_PER_SECOND: u32 = 100;

/// Seconds between evaluations of the alert rules, unless set.
const ALERT_INTERVAL_S: u32 = 30;

section! {
    /// Settings of telemetry as given.
    #[command(next_help_heading = "Telemetry")]
    pub(crate) struct TelemetrySettings {
        /// Log level: error, warn, info, debug, trace or off, or a filter such as warn,hookstream_engine=debug [default: info]
        #[arg(long, value_name = "FILTER", env = "HOOKSTREAM_LOG")]
        pub(crate) log: Option<String>,

        /// Format of the log on standard error: text or json [default: text]
        #[arg(long, value_name = "FORMAT", env = "HOOKSTREAM_LOG_FORMAT")]
        pub(crate) log_format: Option<Format>,

        /// Lines of attempts, of failed attempts and of requests in a second, at most so many each; 0 for no limit [default: 100]
        #[arg(long, value_name = "N", env = "HOOKSTREAM_LOG_LINES_PER_SECOND", value_parser = whole(0_u32, 1_000_000))]
        pub(crate) log_lines_per_second: Option<u32>,

        /// The address of a listener that serves GET /metrics without a key, such as 127.0.0.1:9464 [default: none]
        #[arg(long, value_name = "ADDR", env = "HOOKSTREAM_METRICS_LISTEN", value_parser = listen_address)]
        pub(crate) metrics_listen: Option<SocketAddr>,

        /// Seconds between evaluations of the alert rules [default: 30]
        #[arg(long, value_name = "SECONDS", env = "HOOKSTREAM_ALERT_INTERVAL_S", value_parser = whole(1_u32, 3_600))]
        pub(crate) alert_interval_s: Option<u32>,

        /// Applications with metrics of their own; the others count together [default: 0]
        #[arg(long, value_name = "N", env = "HOOKSTREAM_METRICS_PER_APPLICATION", value_parser = whole(0_usize, 10_000))]
        pub(crate) metrics_per_application: Option<usize>,
    }
}

/// Complete and checked settings of telemetry.
#[derive(Debug, Clone)]
pub(crate) struct TelemetryConfig {
    /// Filter of the log.
    pub(crate) log: String,
    pub(crate) log_format: Format,
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Export to a collector, which only variables configure.
    pub(crate) opentelemetry: OpenTelemetryConfig,
    /// Interval between evaluations of the alert rules.
    pub(crate) alert_period: Duration,
}

impl TelemetrySettings {
    /// Completes and checks the settings; sets those of the engine.
    pub(super) fn complete(self, engine: &mut EngineOptions) -> anyhow::Result<TelemetryConfig> {
        let log = self.log.unwrap_or_else(|| "info".to_owned());
        lifecycle::log_filter(&log).map_err(|problem| anyhow::anyhow!("log {problem}"))?;
        engine.log_lines_per_second = NonZeroU32::new(self.log_lines_per_second.unwrap_or(LINES_PER_SECOND));
        engine.metrics_per_application = self.metrics_per_application.unwrap_or(0);
        let log_format = self.log_format.unwrap_or_default();
        let alert_period = Duration::from_secs(self.alert_interval_s.unwrap_or(ALERT_INTERVAL_S).into());
        let opentelemetry = OpenTelemetryConfig::default();
        Ok(TelemetryConfig { log, log_format, metrics_listen: self.metrics_listen, opentelemetry, alert_period })
    }
}
