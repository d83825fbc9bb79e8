//! Reload of settings while the server runs: on SIGHUP, and by `hookstream admin reload`.
//!
//! Flags and variables of the process keep their precedence, so a reload sees changes of the file. Files of certificates
//! are watched by themselves ([`crate::server::watch`]).

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use hookstream_api::{Live, LiveOptions};
use hookstream_destinations::{AddressPolicy, Registry};

use crate::{
    config::{
        Config,
        in_force::{self, InForce},
    },
    server::lifecycle,
};

/// Settings that a reload applies; others need a restart.
const APPLIED: [&str; 5] = ["log", "trusted_proxies", "api_rate_limit", "api_rate_limit_per_address", "allow_targets"];

/// Parts of a running server that settings can change, and the settings in force.
pub(crate) struct Reloader {
    live: LiveOptions,
    destinations: Arc<Registry>,
    /// Settings in force; `None` if this command takes none.
    in_force: Mutex<Option<Vec<InForce>>>,
}

/// Returns the changing part of the settings, for the API and the listener.
pub(crate) fn live(config: &Config) -> Live {
    Live { trusted_proxies: config.server.trusted_proxies.0.clone(), rate_limits: config.limits.rate_limits }
}

impl Reloader {
    /// Notes the settings that the process started with.
    pub(crate) fn new(live: LiveOptions, destinations: Arc<Registry>) -> Self {
        Self { live, destinations, in_force: Mutex::new(read_in_force().ok()) }
    }

    /// Reads the settings again and applies those that can change, with a log line for each changed setting. Returns these
    /// lines.
    ///
    /// # Errors
    /// The settings are invalid; nothing was changed.
    pub(crate) fn reload(&self) -> anyhow::Result<Vec<String>> {
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let known = in_force.as_mut().context("this command reads no settings; start the server with `hookstream serve`")?;
        let config = Config::load(crate::sources_of_process()?, &crate::environment())?;
        let read = read_in_force()?;
        let changed: Vec<_> = known.iter().zip(&read).filter(|(old, new)| !old.has_value_of(new)).collect();
        if changed.iter().any(|(old, _)| old.name == "log") {
            lifecycle::change_log(&config.telemetry.log)?;
        }
        self.live.set(live(&config));
        self.destinations.allow(AddressPolicy::allowing(config.delivery.allow_targets.0.clone()));
        let lines: Vec<_> = changed.iter().map(|(old, new)| report(old, new)).collect();
        // A setting that needs a restart stays as it was, so that each reload names it.
        for (old, new) in known.iter_mut().zip(read).filter(|(old, _)| APPLIED.contains(&old.name.as_str())) {
            *old = new;
        }
        Ok(lines)
    }

    /// Reloads on a signal, and logs the result.
    pub(crate) fn reload_and_log(&self) {
        match self.reload() {
            Ok(lines) if lines.is_empty() => {
                tracing::info!("settings read again: nothing has changed; files of certificates are read again");
            }
            Ok(_) => {}
            Err(error) => {
                let error: &dyn std::error::Error = error.as_ref();
                tracing::error!(error, "the settings are invalid; those in force stay in use");
            }
        }
    }
}

fn read_in_force() -> anyhow::Result<Vec<InForce>> {
    in_force::list(&std::env::args_os().collect::<Vec<_>>(), &crate::environment())
}

/// Logs a change of a setting, and returns it as a line.
fn report(old: &InForce, new: &InForce) -> String {
    let InForce { name, shown: to, origin, .. } = new;
    let from = &old.shown;
    if APPLIED.contains(&name.as_str()) {
        tracing::info!(setting = name, %from, %to, %origin, "setting changed: applied");
        format!("{name}: applied, from {from} to {to} ({origin})")
    } else {
        tracing::warn!(setting = name, %from, %to, %origin, "setting changed: needs a restart");
        format!("{name}: needs a restart, from {from} to {to} ({origin})")
    }
}
