//! `hookstream admin quotas`: shows and sets the quotas of an organization.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use hookstream_cli::clock::SystemClock;
use hookstream_model::{
    base::{
        ids::{IdSource, OrganizationId},
        time::Clock,
    },
    operations::{
        audit_log::AuditContext,
        quota::{Month, Quota, QuotaLimit, QuotaLimits, Quotas},
    },
};
use hookstream_store::{Store, identity::organizations, operations::quotas};
use rand::{SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use super::installation::Installation;
use crate::{commands::existing::ExistingStore, config::StorageSettings};

/// Command on quotas.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream admin quotas set --organization 019dc1e2a3b47c5d8e9f001122334455 applications=20 \
    events_per_month=1000000 --database-url postgres://hookstream@db.internal/hookstream\n\n\
    Quotas: events_per_month, applications, endpoints_per_application, event_types, environments, retention_days.\n\
    Without a quota of its own, an organization has those of the settings quota_…. Running nodes follow within a second.")]
pub(crate) struct QuotasArgs {
    #[command(subcommand)]
    command: QuotasCommand,
}

#[derive(Debug, Subcommand)]
enum QuotasCommand {
    /// Show an organization's quotas, its usage, and where each quota is set
    Show(QuotaTarget),
    /// Set quotas: NAME=NUMBER, NAME=none (no limit) or NAME=default (the setting)
    Set {
        /// Quotas to set
        #[arg(value_name = "NAME=VALUE", required = true)]
        quotas: Vec<String>,

        #[command(flatten)]
        target: QuotaTarget,
    },
    /// Clear quotas, so that the settings apply
    Clear {
        /// Which [default: all]
        #[arg(value_name = "NAME")]
        quotas: Vec<String>,

        #[command(flatten)]
        target: QuotaTarget,
    },
}

/// Organization and store.
#[derive(Debug, Args)]
struct QuotaTarget {
    /// The organization's id [default: the only one]
    #[arg(long, value_name = "ID")]
    organization: Option<String>,

    #[command(flatten)]
    store: ExistingStore,
}

/// Organization, and quotas to set as `name=value`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct QuotaChange {
    organization: Option<String>,
    set: Vec<String>,
}

/// Reads the arguments: the store, its settings, and the request.
pub(crate) fn read(arguments: QuotasArgs) -> anyhow::Result<(ExistingStore, StorageSettings, QuotaChange)> {
    let (set, target) = match arguments.command {
        QuotasCommand::Show(target) => (Vec::new(), target),
        QuotasCommand::Set { quotas, target } => (quotas, target),
        QuotasCommand::Clear { quotas, target } => (cleared(&quotas)?, target),
    };
    set.iter().try_for_each(|text| read_setting(text).map(drop))?;
    Ok((target.store, StorageSettings::default(), QuotaChange { organization: target.organization, set }))
}

/// Sets quotas and returns the table of those that apply then.
pub(super) async fn perform(on: &Installation<'_>, change: QuotaChange) -> anyhow::Result<String> {
    let store = on.store;
    let changes = change.set.iter().map(|text| read_setting(text)).collect::<anyhow::Result<Vec<_>>>()?;
    let organization = change.organization.as_deref();
    let organization = find_organization(store, organization).await?;
    let missing = || format!("there is no organization {organization}, or it is deleted");
    let own = if changes.is_empty() {
        quotas::find(store, organization).await?.with_context(missing)?
    } else {
        let mut ids = IdSource::new(StdRng::try_from_rng(&mut rand::rngs::SysRng).context("the system gives no random numbers")?);
        let now = SystemClock.now();
        let act = AuditContext::of_operator(ids.next(now), now);
        let change = |own: &mut QuotaLimits| -> anyhow::Result<()> {
            changes.iter().try_for_each(|(quota, allowance)| own.set(*quota, *allowance))?;
            Ok(())
        };
        quotas::set(store, &act, organization, change).await?.with_context(missing)?
    };
    let month = Month::of(SystemClock.now());
    let events = quotas::events(store, month, Some(organization)).await?.remove(&organization).unwrap_or(0);
    let held = quotas::held(store, organization).await?;
    let has = |quota| match quota {
        Quota::EventsPerMonth => Some(events),
        Quota::Applications => Some(held.applications),
        Quota::EventTypes => Some(held.event_types),
        Quota::Environments => Some(held.environments),
        Quota::EndpointsPerApplication | Quota::RetentionDays => None,
    };
    Ok(show(organization, &own, &on.quotas, has))
}

/// Returns a table of limits, usage, and where each limit is set.
fn show(organization: OrganizationId, own: &QuotaLimits, settings: &Quotas, has: impl Fn(Quota) -> Option<u64>) -> String {
    let mut text = format!("organization {organization}\n");
    for quota in Quota::ALL {
        let goes = own.get(quota).or(settings.get(quota)).map_or_else(|| "no limit".to_owned(), |most| most.to_string());
        let used = has(quota).map_or_else(String::new, |used| used.to_string());
        let whence = match (own.get(quota), settings.get(quota)) {
            (QuotaLimit::Default, None) => "not set",
            (QuotaLimit::Default, Some(_)) => "by the settings",
            (QuotaLimit::Unlimited | QuotaLimit::Most(_), _) => "set for it",
        };
        text.push_str(&format!("  {:<26} {goes:>16}  used {used:>12}  {whence}\n", quota.as_str()));
    }
    text
}

fn read_setting(text: &str) -> anyhow::Result<(Quota, QuotaLimit)> {
    let (name, value) = text.split_once('=').with_context(|| format!("{text:?} is no quota with a value, such as applications=20"))?;
    let quota = Quota::parse(name)?;
    let allowance = value.parse().map_err(|problem| anyhow::anyhow!("{name} {problem}"))?;
    Ok((quota, allowance))
}

fn cleared(names: &[String]) -> anyhow::Result<Vec<String>> {
    let default = |quota: Quota| format!("{}=default", quota.as_str());
    if names.is_empty() {
        return Ok(Quota::ALL.map(default).into());
    }
    names.iter().map(|name| Ok(default(Quota::parse(name)?))).collect()
}

async fn find_organization(store: &dyn Store, given: Option<&str>) -> anyhow::Result<OrganizationId> {
    if let Some(text) = given {
        return text.parse().with_context(|| format!("--organization {text}"));
    }
    let all = organizations::ids(store, 2).await?;
    match all[..] {
        [] => bail!("there is no organization yet: start the server once"),
        [only] => Ok(only),
        _ => bail!("there are several organizations: say which with --organization"),
    }
}
