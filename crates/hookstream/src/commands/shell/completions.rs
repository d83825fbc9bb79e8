//! `hookstream completions`: completion scripts for shells.

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use hookstream_cli::say_part;

/// Shell of the script.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream completions bash > /etc/bash_completion.d/hookstream")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(arguments: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut crate::Cli::command(), "hookstream", &mut script);
    say_part!("{}", String::from_utf8(script)?);
    Ok(())
}
