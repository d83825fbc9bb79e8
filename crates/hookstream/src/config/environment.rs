//! Variables of the environment. Those of flags are read with the command line (`crate::arguments`).

use anyhow::{Context, bail};
use clap::CommandFactory;

use super::{
    Settings,
    without_flag::{self, WITHOUT_FLAG, Written, variable},
};
use crate::arguments::nearest;

/// Variables of other commands.
const OF_OTHER_COMMANDS: [&str; 5] =
    ["HOOKSTREAM_URL", "HOOKSTREAM_API_KEY", "HOOKSTREAM_SINK_SECRET", "HOOKSTREAM_TRANSFER_FROM", "HOOKSTREAM_TRANSFER_TO"];

/// Sets the settings that have a variable but no flag.
pub(super) fn set(settings: &mut Settings, environment: &[(String, String)]) -> anyhow::Result<()> {
    for key in WITHOUT_FLAG {
        let name = variable(key);
        if let Some((_, text)) = environment.iter().find(|(given, _)| *given == name) {
            without_flag::set(settings, key, Written::Variable(text)).map_err(|problem| anyhow::anyhow!("{name} {problem}"))?;
        }
    }
    Ok(())
}

/// Refuses unknown variables with our prefix. Variables that Kubernetes sets for a service named `hookstream` are
/// ignored.
pub(super) fn check(environment: &[(String, String)]) -> anyhow::Result<()> {
    let command = crate::Cli::command();
    let serve = command.find_subcommand("serve").context("there is a serve command")?;
    let settings: Vec<String> = serve
        .get_arguments()
        .filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned))
        .chain(WITHOUT_FLAG.map(variable))
        .collect();
    let is_kubernetes = |name: &str| name.starts_with("HOOKSTREAM_PORT_") || name.starts_with("HOOKSTREAM_SERVICE_");
    let names = environment.iter().map(|(name, _)| name).filter(|name| name.starts_with("HOOKSTREAM_") && !is_kubernetes(name));
    match names.into_iter().find(|name| !settings.contains(name) && !OF_OTHER_COMMANDS.contains(&name.as_str())) {
        Some(unknown) => {
            // The common prefix would make all names similar.
            let own = |name: &'_ str| name.strip_prefix("HOOKSTREAM_").map(str::to_owned).unwrap_or_default();
            let names: Vec<_> = settings.iter().map(|name| own(name)).collect();
            let nearest = nearest(&own(unknown), names.iter().map(String::as_str));
            let hint =
                nearest.map_or_else(|| "see docs/reference/configuration.md".to_owned(), |name| format!("did you mean HOOKSTREAM_{name}?"));
            bail!("there is no setting {unknown}; {hint}")
        }
        None => Ok(()),
    }
}
