//! `hookstream serve --check`: checks everything that a start needs, one line each, and changes nothing.

use std::{
    io::{ErrorKind, Write},
    path::Path,
};

use anyhow::{Context, bail};
use hookstream_cli::say;
use hookstream_store::{
    postgres::{Options as DatabaseOptions, PostgresStore},
    sqlite::look::{DirectoryState, look},
};
use tokio::net::TcpListener;

use crate::{
    config::{Config, MailConfig, ProviderConfig},
    server::{keys, listen::Tls, wire},
};

/// Free space on the disk of a data directory below which the check fails, in bytes.
const ROOM: usize = 16 * 1024 * 1024;

/// Lines of the check.
#[derive(Default)]
struct Checks {
    failed: usize,
}

impl Checks {
    /// Prints the result of one check: what was found, or what is wrong and what helps.
    fn note(&mut self, what: &str, result: anyhow::Result<String>) {
        match result {
            Ok(found) if found.is_empty() => say!("ok      {what}"),
            Ok(found) => say!("ok      {what}: {found}"),
            Err(error) => {
                self.failed += 1;
                say!("failed  {what}: {error:#}");
            }
        }
    }
}

/// Runs all checks.
///
/// # Errors
/// A check failed; each was printed.
pub(super) async fn run(config: &Config) -> anyhow::Result<()> {
    let mut checks = Checks::default();
    checks.note("settings", Ok("valid; `hookstream config` prints them".to_owned()));
    if config.storage.ignores_data_dir {
        checks.note("data_dir", Ok("ignored, because database_url is set".to_owned()));
    }
    check_files(&mut checks, config);
    let is_in_use = match &config.storage.database {
        Some(database) => {
            checks.note("database", check_database(database).await);
            false
        }
        None => {
            let state = look(&config.storage.data_dir);
            let is_in_use = state.as_ref().is_ok_and(|state| state.is_in_use);
            let checked = state.map_err(anyhow::Error::from).and_then(|state| check_directory(&config.storage.data_dir, state));
            checks.note(&format!("data directory {}", config.storage.data_dir.display()), checked);
            is_in_use
        }
    };
    checks.note(&format!("listen {}", config.server.listen), check_address(config, is_in_use).await);
    if let Some(mail) = &config.mail {
        checks.note("mail server", check_mail(mail).await);
    }
    for provider in &config.identity.providers {
        checks.note(&format!("identity provider {}", provider.name), check_provider(provider).await);
    }
    match checks.failed {
        0 => {
            say!("Everything that was checked is fine. Nothing was changed.");
            Ok(())
        }
        1 => bail!("1 check failed"),
        failed => bail!("{failed} checks failed"),
    }
}

/// Checks the files that the settings name.
fn check_files(checks: &mut Checks, config: &Config) {
    match keys::given(config) {
        Ok(None) => {}
        given => checks.note("encryption key", given.map(|_| String::new())),
    }
    if let Some(tls) = &config.server.tls {
        checks.note("certificate of the server", Tls::read(tls.clone()).map(|_| tls.cert.display().to_string()));
    }
    for (signal, target) in config.telemetry.opentelemetry.targets() {
        // Not reached: a collector that is away must not keep a server from its start.
        checks.note(&format!("OpenTelemetry {signal}"), target.collector().map(|_| format!("sent to {}", target.uri())));
    }
    if config.delivery.trust.paths().next().is_some() {
        let read = wire::network_options(config).map(|_| String::new());
        checks.note("certificates for endpoints", read);
    }
}

/// Checks that the database can be reached and that this version can use its schema.
async fn check_database(options: &DatabaseOptions) -> anyhow::Result<String> {
    options.probe().await?;
    let mut options = options.clone();
    // No session state is used, so a pooler is fine in any case.
    options.through_pooler = true;
    let version = PostgresStore::server_version(&options).await?;
    let schema = PostgresStore::schema(&options).await?;
    let address = options.address()?;
    let state = match (schema.found, schema.known) {
        (0, _) => "empty; the first start creates the schema".to_owned(),
        (found, known) if found < known => format!("schema version {found}; a start migrates it to {known}"),
        (found, known) if found == known => format!("schema version {found}"),
        (found, known) => bail!("a newer version of hookstream has migrated it (schema version {found}, this version supports {known})"),
    };
    Ok(format!("{address}, PostgreSQL {version}, {state}"))
}

/// Checks that the data directory can be used, written to, and has free space.
fn check_directory(directory: &Path, state: DirectoryState) -> anyhow::Result<String> {
    let schema = match (state.found, state.known) {
        (None, _) => "no store yet; the first start creates it".to_owned(),
        (Some(found), known) if found > known => bail!(
            "a newer version of hookstream has written it (schema version {found}, this version supports {known}); use that version or \
             restore a backup"
        ),
        (Some(found), known) if found < known => format!("schema version {found}; a start migrates it to {known}"),
        (Some(found), _) => format!("schema version {found}"),
    };
    // A missing directory is created in the first parent that exists.
    let existing = directory.ancestors().map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path });
    let existing = existing.into_iter().find(|path| path.exists()).unwrap_or(Path::new("."));
    write_probe(existing)?;
    let used = if state.is_in_use { "; a server uses it now" } else { "" };
    Ok(format!("{schema}{used}"))
}

/// Writes and removes a file, which shows whether the directory is writable and has room.
fn write_probe(directory: &Path) -> anyhow::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(directory).with_context(|| {
        format!("{} is not writable: give it to the user of the server, or name another in data_dir", directory.display())
    })?;
    let written = file.write_all(&vec![0x5a; ROOM]).and_then(|()| file.as_file().sync_all());
    written.with_context(|| format!("not even {} MiB could be written to it: free space, or lower retention_days", ROOM / 1024 / 1024))
}

/// Checks that the listener's address is free.
async fn check_address(config: &Config, is_in_use: bool) -> anyhow::Result<String> {
    match TcpListener::bind(config.server.listen).await {
        Ok(_) => Ok("free".to_owned()),
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_in_use => {
            Ok("in use, most likely by the server that uses the data directory".to_owned())
        }
        Err(error) => Err(error).context("stop the process that uses it, or set another address or port in listen"),
    }
}

async fn check_mail(mail: &MailConfig) -> anyhow::Result<String> {
    mail.mailer()?.check().await.context("see smtp_url, mail_from and smtp_ca_file")?;
    Ok("it greets, and accepts the credentials if there are any".to_owned())
}

async fn check_provider(provider: &ProviderConfig) -> anyhow::Result<String> {
    let provider = provider.provider()?;
    provider.client.check().await.context("see oidc_providers")?;
    Ok(provider.client.issuer().to_owned())
}
