//! `hookstream serve`: the server.

mod check;
mod first_access;

use clap::Args;
use hookstream_cli::say;
use tokio::time::Instant;

use crate::{
    config::{Config, Sources},
    server::{lifecycle, wire::Server},
};

/// Settings of the server.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Check the settings, the files they name, and the connections, then exit; nothing is changed
    #[arg(long)]
    check: bool,

    #[command(flatten)]
    pub(crate) sources: Sources,
}

/// Serves until the process is asked to stop.
pub(crate) async fn run(arguments: ServeArgs) -> anyhow::Result<()> {
    let begun = Instant::now();
    let config = Config::load(arguments.sources, &crate::environment())?;
    if arguments.check {
        return check::run(&config).await;
    }
    lifecycle::start_logging(&config.telemetry)?;
    if config.storage.ignores_data_dir {
        tracing::warn!("data_dir is ignored, because database_url is set");
    }
    lifecycle::allow_open_files();
    // From here on SIGHUP reloads settings and files and does not end the process.
    let signals = hookstream_cli::signals::StopSignals::listen()?;
    let server = Server::start(&config).await?;
    first_access::offer(&server, &config).await?;
    let data = match &config.storage.database {
        Some(database) => database.address()?,
        None => config.storage.data_dir.display().to_string(),
    };
    lifecycle::log_start(&config, &server.url(), &data, begun.elapsed());
    say!("hookstream {} is ready at {} (data in {data})", env!("CARGO_PKG_VERSION"), server.url());
    let reloader = server.reloader.clone();
    hookstream_cli::signals::until_stop_signal_from(signals, move || reloader.reload_and_log()).await;
    let stopping = Instant::now();
    server.drain(config.server.shutdown_drain).await;
    let exports = server.exports.clone();
    let unfinished = server.stop().await;
    lifecycle::log_stop(&unfinished, stopping.elapsed());
    exports.finish().await;
    Ok(())
}
