//! The hookstream program: a webhook gateway in one binary. This is a library, so that tests and fuzz targets can use
//! it; `main.rs` only calls [`run`].

mod arguments;
mod commands;
mod config;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod server;
mod telemetry;

use std::{pin::Pin, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// Send webhooks to your customers: stored durably, signed, delivered, retried, every attempt on record.
#[derive(Debug, Parser)]
#[command(name = "hookstream", version, about, after_help = "Try it: hookstream quickstart")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    #[command(after_help = "Example: hookstream serve --listen 0.0.0.0:8484 --data-dir /var/lib/hookstream\n\n\
        Every flag can also be set in the environment (--data-dir is HOOKSTREAM_DATA_DIR) and in the file of --config (data_dir).\n\
        An empty variable counts as unset. Settings without a flag, because the list of processes shows flags:\n\
        HOOKSTREAM_BOOTSTRAP_API_KEY  adds this API key: hs_live_ and 64 hexadecimal characters\n\
        HOOKSTREAM_ENCRYPTION_KEY     encrypts secrets in the store: 64 hexadecimal characters (openssl rand -hex 32)\n\
        HOOKSTREAM_SMTP_URL           the mail server: smtp://user:password@mail.example.com:587\n\
        HOOKSTREAM_OIDC_PROVIDERS     identity providers for sign-in: a JSON list, see docs/reference/configuration.md")]
    Serve(Box<commands::serve::ServeArgs>),
    /// Print the settings in force and where each comes from
    #[command(after_help = commands::config::EXAMPLE)]
    Config(Box<commands::config::ConfigArgs>),
    /// Check the schema version or apply migrations
    Migrate(commands::migrate::MigrateArgs),
    /// Start a server and a receiver, and deliver one webhook
    Quickstart(commands::quickstart::QuickstartArgs),
    /// Start a server with a day of example data, to look around
    Demo(commands::demo::DemoArgs),
    /// Get an API key from a server where you are signed in, for the other commands
    Login(commands::login::LoginArgs),
    /// Delete the server and the key that `login` saved
    Logout(commands::login::LogoutArgs),
    /// Show which server and key the commands use
    Whoami(commands::login::WhoamiArgs),
    /// Send a message
    Send(commands::send::SendArgs),
    /// Explain why a message was or wasn't delivered
    Explain(commands::explain::ExplainArgs),
    /// List what is wrong now, and what helps
    Problems(commands::problems::ProblemsArgs),
    /// Check whether a server is ready
    Health(commands::health::HealthArgs),
    /// List and show applications
    Applications(commands::resources::applications::ApplicationsArgs),
    /// List and show endpoints, and resend what they missed
    Endpoints(commands::resources::endpoints::EndpointsArgs),
    /// List, show, retry and follow messages
    Messages(commands::resources::messages::MessagesArgs),
    /// List and follow attempts
    Attempts(commands::resources::attempts::AttemptsArgs),
    /// List, show and cancel jobs
    Jobs(commands::resources::jobs::JobsArgs),
    /// Receive webhooks and print them, for development
    Sink(commands::sink::SinkArgs),
    /// Move everything from one store to another, pending deliveries included
    Transfer(commands::transfer::TransferArgs),
    /// Make a consistent copy of a data directory, also while a server runs
    Backup(commands::backup::BackupArgs),
    /// Restore a backup into a new data directory
    Restore(commands::backup::restore::RestoreArgs),
    /// Check a store's integrity
    Doctor(commands::doctor::DoctorArgs),
    /// Administrative commands
    Admin(commands::admin::AdminArgs),
    /// Load-test a server
    Bench(hookstream_trials::bench::BenchArgs),
    /// Inject faults under load and verify that no accepted message is lost
    Torture(hookstream_trials::torture::TortureArgs),
    /// Print a completion script for a shell
    Completions(commands::shell::completions::CompletionsArgs),
    /// Write manual pages of all commands to a directory
    #[command(hide = true)]
    Man(commands::shell::man::ManArgs),
}

/// Returns the sources of the server's settings, read again from the arguments and the environment of this process.
fn sources_of_process() -> anyhow::Result<config::Sources> {
    let variables: Vec<_> = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
    let matches = arguments::parse(Cli::command(), &std::env::args_os().collect::<Vec<_>>(), &variables);
    let matches = matches.map_err(|refusal| match refusal {
        arguments::Refusal::Usage(error) => anyhow::Error::new(error),
        arguments::Refusal::Variable(text) => anyhow::anyhow!(text),
    })?;
    match Cli::from_arg_matches(&matches)?.command {
        Command::Serve(arguments) => Ok(arguments.sources),
        _ => anyhow::bail!("this command does not read the settings of a server"),
    }
}

/// Runs the command of the command line.
pub fn run() -> ExitCode {
    let cli = match read_arguments() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::new(error).context("could not start")),
    };
    let done = runtime.block_on(start(cli.command));
    // A blocked thread must not delay the exit.
    runtime.shutdown_background();
    let done = done.and_then(|()| match hookstream_cli::output::fault() {
        None => Ok(()),
        Some(fault) => Err(anyhow::Error::new(fault).context("could not write to standard output")),
    });
    telemetry::logs::finish();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// Starts a command. The future is boxed here, so that the compiler builds each command once and not once per kind of runtime.
fn start(command: Command) -> Pin<Box<dyn Future<Output = anyhow::Result<()>>>> {
    match command {
        Command::Serve(arguments) => Box::pin(commands::serve::run(*arguments)),
        Command::Config(arguments) => Box::pin(async move { commands::config::run(*arguments) }),
        Command::Man(arguments) => Box::pin(async move { commands::shell::man::run(&arguments) }),
        Command::Migrate(arguments) => Box::pin(commands::migrate::run(arguments)),
        Command::Demo(arguments) => Box::pin(commands::demo::run(arguments)),
        Command::Quickstart(arguments) => Box::pin(commands::quickstart::run(arguments)),
        Command::Login(arguments) => Box::pin(commands::login::run(arguments)),
        Command::Logout(arguments) => Box::pin(async move { commands::login::logout(&arguments) }),
        Command::Whoami(arguments) => Box::pin(commands::login::whoami(arguments)),
        Command::Problems(arguments) => Box::pin(commands::problems::run(arguments)),
        Command::Health(arguments) => Box::pin(commands::health::run(arguments)),
        Command::Applications(arguments) => Box::pin(commands::resources::applications::run(arguments)),
        Command::Endpoints(arguments) => Box::pin(commands::resources::endpoints::run(arguments)),
        Command::Messages(arguments) => Box::pin(commands::resources::messages::run(arguments)),
        Command::Attempts(arguments) => Box::pin(commands::resources::attempts::run(arguments)),
        Command::Jobs(arguments) => Box::pin(commands::resources::jobs::run(arguments)),
        Command::Completions(arguments) => Box::pin(async move { commands::shell::completions::run(&arguments) }),
        Command::Send(arguments) => Box::pin(commands::send::run(arguments)),
        Command::Explain(arguments) => Box::pin(commands::explain::run(arguments)),
        Command::Sink(arguments) => Box::pin(commands::sink::run(arguments)),
        Command::Transfer(arguments) => Box::pin(commands::transfer::run(arguments)),
        Command::Backup(arguments) => Box::pin(commands::backup::run(arguments)),
        Command::Restore(arguments) => Box::pin(commands::backup::restore::run(arguments)),
        Command::Doctor(arguments) => Box::pin(commands::doctor::run(arguments)),
        Command::Admin(arguments) => Box::pin(commands::admin::run(arguments)),
        Command::Bench(arguments) => Box::pin(hookstream_trials::bench::run(arguments)),
        Command::Torture(arguments) => Box::pin(hookstream_trials::torture::run(arguments)),
    }
}

/// Reads the command line and the environment. Returns the exit code if there is no command to run.
fn read_arguments() -> Result<Cli, ExitCode> {
    let variables: Vec<_> = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
    let matches = arguments::parse(Cli::command(), &std::env::args_os().collect::<Vec<_>>(), &variables);
    let matches = matches.map_err(|refusal| match refusal {
        arguments::Refusal::Usage(error) => {
            // Help goes to standard output, errors to standard error; a closed pipe is not a failure.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
        arguments::Refusal::Variable(text) => {
            hookstream_cli::note!("error: {text}");
            ExitCode::from(2)
        }
    })?;
    Cli::from_arg_matches(&matches).map_err(|error| {
        let _ = error.print();
        ExitCode::from(2)
    })
}

fn failed(error: &anyhow::Error) -> ExitCode {
    hookstream_cli::note!("error: {error:#}");
    ExitCode::FAILURE
}

/// Returns the environment variables that are text, trimmed, without empty values.
fn environment() -> Vec<(String, String)> {
    let texts = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    texts.map(|(name, value)| (name, value.trim().to_owned())).filter(|(_, value)| !value.is_empty()).collect()
}
