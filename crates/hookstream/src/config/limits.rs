//! Settings of limits: request rates, sizes, and quotas of organizations that have none of their own.

use std::num::NonZeroU32;

use hookstream_api::RateLimits;
use hookstream_engine::Options as EngineOptions;
use hookstream_model::operations::quota::{Quota, Quotas};

use super::{section::section, values::whole};

/// Maximum of settings in bytes or counts: exact in JavaScript, and far beyond any store.
const QUANTITY_MAX: u64 = 1 << 50;

section! {
    /// Settings of limits as given.
    #[command(next_help_heading = "Limits")]
    pub(crate) struct LimitSettings {
        /// Requests per second of each API key; also the burst [default: 100000]
        #[arg(long, value_name = "N", env = "HOOKSTREAM_API_RATE_LIMIT", value_parser = whole(1_u32, 1_000_000))]
        pub(crate) api_rate_limit: Option<u32>,

        /// Requests per second of each address without a valid API key; also the burst [default: 100]
        #[arg(long, value_name = "N", env = "HOOKSTREAM_API_RATE_LIMIT_PER_ADDRESS", value_parser = whole(1_u32, 1_000_000))]
        pub(crate) api_rate_limit_per_address: Option<u32>,

        /// The largest payload of a message, in bytes [default: 1048576]
        #[arg(long, value_name = "BYTES", env = "HOOKSTREAM_PAYLOAD_LIMIT_BYTES", value_parser = whole(1_024_usize, 64 * 1024 * 1024))]
        pub(crate) payload_limit_bytes: Option<usize>,

        /// Endpoints of its application that a customer may create in the portal; 0 means no limit [default: 50]
        #[arg(long, value_name = "N", env = "HOOKSTREAM_PORTAL_ENDPOINTS", value_parser = whole(0_u64, 1_000_000))]
        pub(crate) portal_endpoints: Option<u64>,

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
    }
}

/// Complete settings of limits, besides those of the engine.
#[derive(Debug, Clone)]
pub(crate) struct LimitConfig {
    pub(crate) rate_limits: RateLimits,
    /// Maximum number of portal endpoints per application; `None` for no limit.
    pub(crate) portal_endpoints: Option<u64>,
    /// Quotas of organizations that have none of their own.
    pub(crate) quotas: Quotas,
}

impl LimitSettings {
    /// Completes the settings; sets those of the engine.
    pub(super) fn complete(self, engine: &mut EngineOptions) -> LimitConfig {
        engine.payload_limit = self.payload_limit_bytes.unwrap_or(engine.payload_limit);
        engine.max_payload_bytes = self.max_payload_bytes;
        LimitConfig {
            rate_limits: RateLimits {
                per_key: self.api_rate_limit.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::new(100_000).expect("not 0")),
                per_address: self.api_rate_limit_per_address.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::new(100).expect("not 0")),
            },
            portal_endpoints: Some(self.portal_endpoints.unwrap_or(50)).filter(|most| *most > 0),
            quotas: Quota::ALL.into_iter().fold(Quotas::default(), |quotas, quota| quotas.with(quota, self.quota(quota))),
        }
    }

    const fn quota(&self, quota: Quota) -> Option<u64> {
        match quota {
            Quota::EventsPerMonth => self.quota_events_per_month,
            Quota::Applications => self.quota_applications,
            Quota::EndpointsPerApplication => self.quota_endpoints_per_application,
            Quota::EventTypes => self.quota_event_types,
            Quota::Environments => self.quota_environments,
            Quota::RetentionDays => self.quota_retention_days,
        }
    }
}
