//! `hookstream serve`: the server.

#![expect(clippy::print_stdout, reason = "what a person or a script reads at start goes to standard output")]

use crate::{
    config::{Config, Sources},
    lifecycle,
    wire::Server,
};

/// Serves until it is told to stop.
pub(crate) async fn run(sources: Sources) -> anyhow::Result<()> {
    let config = Config::load(sources, &crate::environment())?;
    lifecycle::start_logging(&config.log)?;
    lifecycle::allow_open_files();
    let server = Server::start(&config).await?;
    if let Some(key) = &server.first_key {
        print_first_key(&server.url(), key.expose());
    }
    if let Some(link) = &server.setup_link {
        println!("Nobody signs in here yet. The first owner sets themselves up with this link, once and within 24 hours:\n\n    {link}\n");
    }
    // Before it says that it is ready: whoever reads that may stop it.
    let told = lifecycle::StopSignals::listen()?;
    let data = match &config.database {
        Some(_) => "the database".to_owned(),
        None => config.data_dir.display().to_string(),
    };
    println!("hookstream {} is ready at {} (data in {data})", env!("CARGO_PKG_VERSION"), server.url());
    lifecycle::until_told(told).await;
    server.stop().await;
    Ok(())
}

fn print_first_key(url: &str, key: &str) {
    println!(
        "This is the first start. The API key of organization `default`, environment `production`:

    {key}

It is shown this once and kept as a hash only. Make an application with it:

    curl -X POST {url}/v1/applications -H 'X-API-Key: {key}' \\
         -H 'content-type: application/json' -d '{{\"name\":\"Acme\",\"uid\":\"acme\"}}'

The reference is at {url}/docs.
"
    );
}
