//! `hookstream config`: the settings in force, each with its value and where the value comes from.

use clap::Args;
use hookstream_cli::say;
use serde_json::json;

use crate::config::{
    Config, Sources,
    in_force::{self, InForce, Origin},
};

/// Example and remarks of the help.
pub(crate) const EXAMPLE: &str = "Example: hookstream config --config /etc/hookstream.toml\n\n\
    Takes the flags, variables and file of `hookstream serve`, and prints what a server started with them would use.\n\
    Secrets are hidden, and so are passwords in URLs. Invalid settings are an error. Nothing is opened or started.";

/// Settings of the server, and the form of the output.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Print the settings as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    sources: Sources,
}

/// Prints the settings.
pub(crate) fn run(arguments: ConfigArgs) -> anyhow::Result<()> {
    let environment = crate::environment();
    Config::load(arguments.sources, &environment)?;
    let settings = in_force::list(&std::env::args_os().collect::<Vec<_>>(), &environment)?;
    if arguments.json {
        let settings: Vec<_> = settings.iter().map(as_value).collect();
        say!("{}", json!({ "settings": settings }));
        return Ok(());
    }
    let width = |of: fn(&InForce) -> usize, most: usize| settings.iter().map(of).max().unwrap_or(0).min(most);
    let (names, values) = (width(|setting| setting.name.len(), 40), width(|setting| setting.shown.chars().count(), 40));
    for InForce { name, shown, origin, .. } in &settings {
        say!("{name:<names$}  {shown:<values$}  {origin}");
    }
    Ok(())
}

fn as_value(setting: &InForce) -> serde_json::Value {
    let (source, place) = match &setting.origin {
        Origin::Flag(flag) => ("flag", Some(flag.clone())),
        Origin::Variable(name) => ("environment", Some(name.clone())),
        Origin::File(path, line) => ("file", Some(format!("{}:{line}", path.display()))),
        Origin::Default => ("default", None),
    };
    json!({ "name": setting.name, "value": setting.shown, "source": source, "place": place, "secret": setting.is_secret })
}
