//! Settings of deliveries: which targets are allowed and trusted, and how attempts are made.

use std::{path::PathBuf, time::Duration};

use anyhow::bail;
use hookstream_engine::Options as EngineOptions;

use super::{
    HOUR,
    section::section,
    values::{Networks, Schedule, whole},
};
use crate::server::trust::TrustFiles;

section! {
    /// Settings of deliveries as given.
    #[command(next_help_heading = "Delivery")]
    pub(crate) struct DeliverySettings {
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

        /// How long a rotated signing secret continues to sign, in hours: 0 to 168 [default: 24]
        #[arg(long, value_name = "HOURS", env = "HOOKSTREAM_SECRET_GRACE_HOURS", value_parser = whole(0_u32, 168))]
        pub(crate) secret_grace_hours: Option<u32>,

        /// How long idempotency keys and event ids are remembered, in hours [default: 24]
        #[arg(long, value_name = "HOURS", env = "HOOKSTREAM_IDEMPOTENCY_HOURS", value_parser = whole(1_u32, 168))]
        pub(crate) idempotency_hours: Option<u32>,

        /// Concurrent attempts over all endpoints [default: 1024]
        #[arg(long, value_name = "N", env = "HOOKSTREAM_MAX_IN_FLIGHT", value_parser = whole(1_usize, 100_000))]
        pub(crate) max_in_flight: Option<usize>,

        /// Concurrent attempts to one endpoint [default: 64]
        #[arg(long, value_name = "N", env = "HOOKSTREAM_MAX_IN_FLIGHT_PER_TARGET", value_parser = whole(1_usize, 100_000))]
        pub(crate) max_in_flight_per_target: Option<usize>,
    }
}

/// Complete and checked settings of deliveries, besides those of the engine.
#[derive(Debug, Clone)]
pub(crate) struct DeliveryConfig {
    pub(crate) allow_targets: Networks,
    pub(crate) trust: TrustFiles,
    pub(crate) secret_grace: Duration,
}

impl DeliverySettings {
    /// Completes and checks the settings; sets those of the engine.
    pub(super) fn complete(self, engine: &mut EngineOptions) -> anyhow::Result<DeliveryConfig> {
        if let Some(schedule) = self.retry_schedule {
            engine.retry_schedule = schedule.0;
        }
        engine.timeout = Duration::from_millis(u64::from(self.timeout_ms.unwrap_or(20_000)));
        engine.disable_after = HOUR * self.disable_after_hours.unwrap_or(120);
        engine.breaker.threshold = self.circuit_breaker_threshold.unwrap_or(engine.breaker.threshold);
        engine.breaker.cooldown = Duration::from_secs(u64::from(self.circuit_breaker_cooldown_s.unwrap_or(60)));
        engine.idempotency_window = HOUR * self.idempotency_hours.unwrap_or(24);
        engine.max_in_flight = self.max_in_flight.unwrap_or(engine.max_in_flight);
        engine.max_in_flight_per_target =
            check_per_target(self.max_in_flight_per_target, engine.max_in_flight_per_target, engine.max_in_flight)?;
        Ok(DeliveryConfig {
            allow_targets: self.allow_targets.unwrap_or_default(),
            trust: TrustFiles {
                target_ca_file: self.target_ca_file,
                target_crl_file: self.target_crl_file,
                target_client_cert_file: self.target_client_cert_file,
                target_client_key_file: self.target_client_key_file,
            },
            secret_grace: HOUR * self.secret_grace_hours.unwrap_or(24),
        })
    }
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
