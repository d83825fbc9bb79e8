//! `hookstream man`: manual pages of all commands, for packages.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Command, CommandFactory};
use hookstream_cli::say;

/// Directory of the pages.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream man /usr/share/man/man1")]
pub(crate) struct ManArgs {
    /// The directory; created if it does not exist
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Writes the pages.
pub(crate) fn run(arguments: &ManArgs) -> anyhow::Result<()> {
    let directory = &arguments.directory;
    std::fs::create_dir_all(directory).with_context(|| format!("could not create {}", directory.display()))?;
    let mut command = crate::Cli::command().disable_help_subcommand(true);
    command.build();
    let written = write(&command, "hookstream", directory)?;
    say!("wrote {written} manual pages to {}", directory.display());
    Ok(())
}

/// Writes the page of a command and those of its subcommands, and returns their number.
fn write(command: &Command, name: &str, directory: &Path) -> anyhow::Result<usize> {
    let path = directory.join(format!("{name}.1"));
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    std::fs::write(&path, page).with_context(|| format!("could not write {}", path.display()))?;
    let visible = command.get_subcommands().filter(|inner| !inner.is_hide_set());
    visible.map(|inner| write(inner, &format!("{name}-{}", inner.get_name()), directory)).try_fold(1, |sum, written| Ok(sum + written?))
}
