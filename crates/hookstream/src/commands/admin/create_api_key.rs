//! `hookstream admin create-api-key`: a key for automation, or in place of a lost one.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use hookstream_cli::clock::SystemClock;
use hookstream_model::{
    base::{
        ids::{EnvironmentId, IdSource},
        time::Clock,
    },
    identity::{
        environment::Environment,
        scopes::Scopes,
        tenancy::{ApiKey, ApiKeyText, KeyLevel, KeyMode, Tenant, check_key_name, parse_networks},
    },
    operations::audit_log::AuditContext,
};
use hookstream_store::{
    Store,
    identity::{api_keys, environments, organizations},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use super::installation::Installation;
use crate::{commands::existing::ExistingStore, config::StorageSettings};

/// Environment, name and limits of a key.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream admin create-api-key --name billing --scopes messages:write --expires-in 90d\n\n\
    It prints the key once. It works while the server runs. Without --scopes the key may do everything in its environment.\n\
    Use it if the last API key is lost; then revoke the lost one (DELETE /v1/auth/api-keys/{id}).")]
pub(crate) struct CreateApiKeyArgs {
    #[command(flatten)]
    key: NewKey,

    #[command(flatten)]
    store: ExistingStore,
}

/// Key to create.
#[derive(Debug, Args, Serialize, Deserialize)]
pub(crate) struct NewKey {
    /// The key's name
    #[arg(long, default_value = "operator")]
    name: String,

    /// The environment's id, or its name or slug in the first organization [default: the oldest of the first organization]
    #[arg(long, value_name = "ENV")]
    environment: Option<String>,

    /// How far it reaches: environment, or organization (members, invitations, environments and settings too)
    #[arg(long, value_name = "LEVEL", default_value = "environment")]
    level: String,

    /// Scopes of the key, comma-separated, such as messages:write,endpoints:* [default: *]. endpoints:secret, operator:backups,
    /// operator:metrics and operator:nodes are in no *
    #[arg(long, value_name = "SCOPE[,SCOPE…]")]
    scopes: Option<String>,

    /// How long it is valid, such as 12h or 90d [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    expires_in: Option<u64>,

    /// The networks it may be used from, comma-separated [default: any]
    #[arg(long, value_name = "CIDR[,CIDR…]", value_delimiter = ',')]
    networks: Vec<String>,

    /// Begins the key with hs_test_ instead of hs_live_
    #[arg(long)]
    test: bool,
}

/// Maximum lifetime of a key, in seconds.
const LONGEST: u64 = 3_650 * 86_400;

/// Parses a duration with a unit; returns seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let problem = || "must be a time such as 30m, 12h or 90d, at most 3650d".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(problem()),
    };
    let number: u64 = digits.parse().map_err(|_| problem())?;
    number.checked_mul(unit).filter(|seconds| (1..=LONGEST).contains(seconds)).ok_or_else(problem)
}

/// Reads the arguments: the store, its settings, and the request.
pub(crate) fn read(arguments: CreateApiKeyArgs) -> anyhow::Result<(ExistingStore, StorageSettings, NewKey)> {
    Ok((arguments.store, StorageSettings::default(), arguments.key))
}

/// Creates the key.
pub(super) async fn perform(on: &Installation<'_>, new: NewKey) -> anyhow::Result<String> {
    let NewKey { name, environment, level, scopes, expires_in, networks, test } = new;
    let level = KeyLevel::parse(&level).map_err(|error| anyhow::anyhow!("--level {}", error.problem))?;
    check_key_name(&name).map_err(|error| anyhow::anyhow!("--name {}", error.problem))?;
    let scopes = match scopes.as_deref() {
        None => Scopes::ALL,
        Some(text) => Scopes::parse(text).map_err(|error| anyhow::anyhow!("--scopes {}", error.problem))?,
    };
    let networks = parse_networks("networks", &networks).map_err(|error| anyhow::anyhow!("--networks {}", error.problem))?;
    let tenant = find_tenant(on.store, environment.as_deref()).await?;
    let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).context("the system gives no random numbers")?;
    let mut random = [0; 32];
    rng.fill_bytes(&mut random);
    let mode = if test { KeyMode::Test } else { KeyMode::Live };
    let text = ApiKeyText::generate(mode, &random);
    let now = SystemClock.now();
    let mut ids = IdSource::new(rng);
    let expires_at = expires_in.map(|seconds| now + Duration::from_secs(seconds));
    let key = ApiKey { level, scopes, networks, expires_at, ..ApiKey::unlimited(ids.next(now).into(), tenant, name) };
    api_keys::create(on.store, &AuditContext::of_operator(ids.next(now), now), &key, &text).await?;
    let end = key.expires_at.map_or_else(|| "no expiry".to_owned(), |at| format!("expires {at}"));
    Ok(format!(
        "Created the API key {} ({}) for the environment {}: level {}, scopes {}, {end}.\n\n    {}\n\nSave it now; it won't be shown again.",
        key.id,
        key.name,
        tenant.environment,
        key.level.as_str(),
        key.scopes,
        text.expose()
    ))
}

async fn find_tenant(store: &dyn Store, given: Option<&str>) -> anyhow::Result<Tenant> {
    let first = organizations::first(store).await?.context("there is no organization yet: start the server once")?;
    let Some(text) = given else { return Ok(first) };
    let tenant = |environment: &Environment| Tenant { organization: environment.organization_id, environment: environment.id };
    if let Ok(id) = text.parse::<EnvironmentId>() {
        let found = environments::find_any(store, id).await?.filter(|environment| environment.deleted_at.is_none());
        return found.map(|found| tenant(&found)).with_context(|| format!("there is no environment {id}, or it is deleted"));
    }
    let all: Vec<_> = environments::list(store, first.organization).await?.into_iter().filter(|one| one.deleted_at.is_none()).collect();
    match all.iter().find(|environment| environment.slug == text || environment.name == text) {
        Some(found) => Ok(tenant(found)),
        None => {
            let known: Vec<_> = all.iter().map(|environment| format!("{} ({})", environment.slug, environment.id)).collect();
            bail!("--environment is {text:?}; the first organization has: {}", known.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn duration_has_a_unit_and_a_bound() {
        assert_eq!((seconds("1s"), seconds("30m"), seconds("12h"), seconds("90d")), (Ok(1), Ok(1_800), Ok(43_200), Ok(7_776_000)));
        for wrong in ["", "5", "d", "0d", "-1d", "1.5h", "3651d", "99999999999999999999d", "1w", "1 d"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
