//! Settings of access: first access, organizations, sessions, identity providers, the portal.

use std::{path::PathBuf, time::Duration};

use hookstream_api::AllowOrganizations;
use hookstream_model::identity::session::Policy as SessionPolicy;

use super::{
    DAY, HOUR,
    providers::{self, ProviderConfig, ProviderSettings},
    section::section,
    values::{KeyText, OrganizationCreators, truth, whole},
};

section! {
    /// Settings of access as given.
    #[command(next_help_heading = "Access")]
    pub(crate) struct IdentitySettings {
        /// An API key to add at start, for automation
        #[arg(skip)]
        pub(crate) bootstrap_api_key: Option<KeyText>,

        /// Print a link to create the owner account at each start, as long as there is no user [default: true]
        #[arg(long, value_name = "BOOL", env = "HOOKSTREAM_SETUP_LINK", num_args = 0..=1, default_missing_value = "true", value_parser = truth)]
        pub(crate) setup_link: Option<bool>,

        /// Write the first API key and the set-up link to this file (mode 0600) instead of standard output
        #[arg(long, value_name = "FILE", env = "HOOKSTREAM_FIRST_ACCESS_FILE")]
        pub(crate) first_access_file: Option<PathBuf>,

        /// Users who may create organizations: operator (owners of the first organization), anyone or nobody [default: operator]
        #[arg(long, value_name = "WHO", env = "HOOKSTREAM_ALLOW_ORGANIZATIONS")]
        pub(crate) allow_organizations: Option<OrganizationCreators>,

        /// Whether signing secrets can be revealed to holders of the scope endpoints:secret: true or false [default: true]
        #[arg(long, value_name = "BOOL", env = "HOOKSTREAM_REVEAL_SECRETS", value_parser = truth)]
        pub(crate) reveal_secrets: Option<bool>,

        /// Hours until an unused session ends: 1 to 8760 [default: 168]
        #[arg(long, value_name = "HOURS", env = "HOOKSTREAM_SESSION_IDLE_HOURS", value_parser = whole(1_u32, 8_760))]
        pub(crate) session_idle_hours: Option<u32>,

        /// Hours until a session ends in any case: 1 to 8760 [default: 720]
        #[arg(long, value_name = "HOURS", env = "HOOKSTREAM_SESSION_MAX_HOURS", value_parser = whole(1_u32, 8_760))]
        pub(crate) session_max_hours: Option<u32>,

        /// Providers of OpenID Connect that people may sign in with; a list of tables, which no flag can be
        #[arg(skip)]
        pub(crate) oidc_providers: Option<Vec<ProviderSettings>>,

        /// Days until the key that signs portal tokens is replaced: 1 to 3650 [default: 30]
        #[arg(long, value_name = "DAYS", env = "HOOKSTREAM_PORTAL_KEY_DAYS", value_parser = whole(1_u32, 3_650))]
        pub(crate) portal_key_days: Option<u32>,
    }
}

/// Complete and checked settings of access.
#[derive(Debug, Clone)]
pub(crate) struct IdentityConfig {
    pub(crate) bootstrap_api_key: Option<KeyText>,
    pub(crate) setup_link: bool,
    pub(crate) first_access_file: Option<PathBuf>,
    pub(crate) allow_organizations: AllowOrganizations,
    pub(crate) reveal_secrets: bool,
    pub(crate) sessions: SessionPolicy,
    pub(crate) providers: Vec<ProviderConfig>,
    /// Age at which the key of portal tokens is replaced.
    pub(crate) portal_key_age: Duration,
}

impl IdentitySettings {
    /// Completes and checks the settings.
    pub(super) fn complete(self) -> anyhow::Result<IdentityConfig> {
        Ok(IdentityConfig {
            bootstrap_api_key: self.bootstrap_api_key,
            setup_link: self.setup_link.unwrap_or(true),
            first_access_file: self.first_access_file,
            allow_organizations: self.allow_organizations.map_or(AllowOrganizations::Operator, |who| who.0),
            reveal_secrets: self.reveal_secrets.unwrap_or(true),
            sessions: SessionPolicy {
                idle: HOUR * self.session_idle_hours.unwrap_or(168),
                absolute: HOUR * self.session_max_hours.unwrap_or(720),
            },
            providers: providers::check(self.oidc_providers.unwrap_or_default())?,
            portal_key_age: DAY * self.portal_key_days.unwrap_or(30),
        })
    }
}
