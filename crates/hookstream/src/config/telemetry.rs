//! Settings of what the server tells its operator.

use super::section::section;
use crate::server::lifecycle;

section! {
    /// Settings of telemetry as given.
    #[command(next_help_heading = "Telemetry")]
    pub(crate) struct TelemetrySettings {
        /// Log level: error, warn, info, debug, trace or off, or a filter such as warn,hookstream_engine=debug [default: info]
        #[arg(long, value_name = "FILTER", env = "HOOKSTREAM_LOG")]
        pub(crate) log: Option<String>,
    }
}

impl TelemetrySettings {
    /// Returns the filter of the log, checked.
    pub(super) fn complete(self) -> anyhow::Result<String> {
        let Some(log) = self.log else { return Ok("info".to_owned()) };
        lifecycle::log_filter(&log).map_err(|problem| anyhow::anyhow!("log {problem}"))?;
        Ok(log)
    }
}
