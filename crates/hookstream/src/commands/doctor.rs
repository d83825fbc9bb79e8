//! `hookstream doctor`: whether a store is sound, and what to do where it is not.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::bail;
use clap::Args;
use hookstream_store::{
    Store,
    audit::{Audit, Balance, Finding},
    counts::Counts,
    transfer,
};
use serde_json::{Value, json};

use crate::output::say;
use crate::{
    commands::existing::{open_database, open_directory},
    config::{Config, Settings, Sources},
};

/// A store whose disk has less room than this is about to refuse messages.
const ROOM: usize = 16 * 1024 * 1024;

/// Where the store is.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream doctor --data-dir /var/lib/hookstream\n\n\
    Compares the counts of deliveries, which are kept as things happen, with the rows, and looks for rows that\n\
    contradict each other. It changes nothing. On a data directory no server may be running; on PostgreSQL it may.\n\
    Exits with 1 where anything is wrong.")]
pub(crate) struct DoctorArgs {
    /// A TOML file with the server's settings
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_CONFIG")]
    config: Option<PathBuf>,

    /// The data directory [default: ./hookstream-data]
    #[arg(long, value_name = "DIR", env = "HOOKSTREAM_DATA_DIR", conflicts_with = "database_url")]
    data_dir: Option<PathBuf>,

    /// The PostgreSQL database: postgres://user@host/database
    #[arg(long, value_name = "URL", env = "HOOKSTREAM_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Something that is wrong, as a program and as a person reads it.
struct Problem {
    kind: &'static str,
    text: String,
    detail: Value,
}

/// What was looked at and found.
struct Report {
    store: String,
    audit: Audit,
    problems: Vec<Problem>,
}

/// Looks at everything, and fails where something is wrong.
pub(crate) async fn run(arguments: DoctorArgs) -> anyhow::Result<()> {
    let json = arguments.json;
    let settings = Settings { data_dir: arguments.data_dir, database_url: arguments.database_url, ..Settings::default() };
    let config = Config::load(Sources { config: arguments.config, restored: false, forget: false, settings }, &crate::environment())?;
    let report = look(config).await?;
    say!("{}", if json { report.as_json().to_string() } else { report.as_text() });
    match report.problems.len() {
        0 => Ok(()),
        1 => bail!("1 thing is wrong"),
        wrong => bail!("{wrong} things are wrong"),
    }
}

/// What is wrong in a store that only these settings tell of, as a person reads it.
pub(crate) async fn problems_of(settings: Settings) -> anyhow::Result<Vec<String>> {
    let config = Config::load(Sources { config: None, restored: false, forget: false, settings }, &[])?;
    Ok(look(config).await?.problems.into_iter().map(|problem| problem.text).collect())
}

async fn look(config: Config) -> anyhow::Result<Report> {
    let (store, name, mut problems) = match config.database {
        Some(options) => {
            let name = options.address()?;
            (open_database(options).await?, name, Vec::new())
        }
        None => {
            let name = format!("the data directory {}", config.data_dir.display());
            let store = open_directory(&config.data_dir, "stop the server first, or look at a copy").await?;
            (store, name, room_in(&config.data_dir).err().into_iter().collect())
        }
    };
    let examined = examine(&*store, &mut problems).await;
    store.close().await;
    Ok(Report { store: name, audit: examined?, problems })
}

async fn examine(store: &dyn Store, problems: &mut Vec<Problem>) -> anyhow::Result<Audit> {
    if let Some(from) = transfer::unfinished(store).await? {
        let text = format!("It is an unfinished transfer from {from}: run `hookstream transfer` again before a server starts on it.");
        problems.push(Problem { kind: "unfinished_transfer", text, detail: json!({ "from": from }) });
    }
    let audit = store.audit().await?;
    problems.extend(audit.balances.iter().filter(|balance| !balance.holds()).map(out_of_balance));
    problems.extend(audit.findings.iter().map(found));
    Ok(audit)
}

/// Whether there is room for what comes next: it is written and removed again.
fn room_in(directory: &Path) -> Result<(), Problem> {
    let path = directory.join("doctor.tmp");
    let write = || {
        let mut file = File::create(&path)?;
        file.write_all(&vec![0x5a; ROOM])?;
        file.sync_all()
    };
    let written = write();
    let _ = std::fs::remove_file(&path);
    written.map_err(|cause| {
        let text = format!(
            "Not even {} MiB could be written to it ({cause}): make room on its disk, or lower retention_days; \
            until then new messages are refused.",
            ROOM / 1024 / 1024
        );
        Problem { kind: "no_room", text, detail: json!({ "cause": cause.to_string() }) }
    })
}

/// Each figure by its name.
fn figures(counts: &Counts) -> [(&'static str, i64); 8] {
    [
        ("messages", counts.messages),
        ("accepted", counts.accepted),
        ("succeeded", counts.succeeded),
        ("pending", counts.pending()),
        ("exhausted", counts.exhausted),
        ("skipped", counts.skipped),
        ("cancelled", counts.cancelled),
        ("payload_bytes", counts.payload_bytes),
    ]
}

fn as_value(counts: &Counts) -> Value {
    figures(counts).into_iter().map(|(name, number)| (name.to_owned(), number.into())).collect::<serde_json::Map<_, _>>().into()
}

fn out_of_balance(balance: &Balance) -> Problem {
    let Balance { day, environment_id, counted, found } = balance;
    let pairs = figures(counted).into_iter().zip(figures(found));
    let differ = pairs.filter(|((_, counted), (_, found))| counted != found);
    let figures: Vec<_> = differ.map(|((name, counted), (_, found))| format!("{name} {found} in place of {counted}")).collect();
    let text = format!("On {day}, environment {environment_id}, the rows are not what was counted: {}.", figures.join(", "));
    let (counted, found) = (as_value(counted), as_value(found));
    let detail = json!({ "day": day.to_string(), "environment_id": environment_id.to_string(), "counted": counted, "found": found });
    Problem { kind: "counts_differ", text, detail }
}

fn found(finding: &Finding) -> Problem {
    let of_delivery =
        |message: &dyn ToString, target: &dyn ToString| json!({ "message_id": message.to_string(), "endpoint_id": target.to_string() });
    match finding {
        Finding::Untraced { application_id, message_id, deliveries, found } => Problem {
            kind: "delivery_lost",
            text: format!(
                "Message {message_id} has {deliveries} deliveries, and rows tell of {found}: look at it with \
                `hookstream explain {message_id} --app {application_id}`, and have it sent again to the endpoints that lack it."
            ),
            detail: json!({
                "application_id": application_id.to_string(),
                "message_id": message_id.to_string(),
                "deliveries": deliveries,
                "found": found,
            }),
        },
        Finding::WithoutMessage(message, target) => Problem {
            kind: "message_lost",
            text: format!("Message {message} is owed to endpoint {target} and is gone: it cannot be sent, and has to be sent anew."),
            detail: of_delivery(message, target),
        },
        Finding::WithoutPayload(message, target) => Problem {
            kind: "payload_lost",
            text: format!("Message {message} is owed to endpoint {target} and its payload is gone: it has to be sent anew."),
            detail: of_delivery(message, target),
        },
        Finding::Twice(message, target) => Problem {
            kind: "owed_and_ended",
            text: format!("Message {message} is owed to endpoint {target} and has ended as well: it is delivered all the same."),
            detail: of_delivery(message, target),
        },
        Finding::OwnerGone { owner, deliveries } => Problem {
            kind: "owner_gone",
            text: format!(
                "{deliveries} deliveries stand under node {owner}, which is gone: a node that runs takes them over within a lease. \
                Start one, and look again; where they stay, restart the nodes."
            ),
            detail: json!({ "owner": owner, "deliveries": deliveries }),
        },
    }
}

impl Report {
    fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.audit.balances.iter().for_each(|balance| total += balance.found);
        total
    }

    fn as_text(&self) -> String {
        let days = self.audit.balances.iter().map(|balance| balance.day).collect::<BTreeSet<_>>().len();
        let environments = self.audit.balances.iter().map(|balance| balance.environment_id).collect::<BTreeSet<_>>().len();
        let figures: Vec<_> = figures(&self.total()).into_iter().map(|(name, number)| format!("  {name:<14}{number:>14}")).collect();
        let mut lines = vec![format!("Looked at {}: {days} days, {environments} environments.", self.store)];
        lines.extend(figures);
        if self.problems.is_empty() {
            lines.push("All is well: every delivery is accounted for, and nothing contradicts itself.".to_owned());
            return lines.join("\n");
        }
        lines.extend(self.problems.iter().map(|problem| format!("! {}", problem.text)));
        lines.push(
            "What is there is delivered all the same. Rows are lost where a disk failed, parts of a backup were restored, or somebody \
            changed them by hand; where none of that happened, it is a bug: please report it with this output."
                .to_owned(),
        );
        lines.join("\n")
    }

    fn as_json(&self) -> Value {
        let balances = self.audit.balances.iter().map(|balance| {
            json!({
                "day": balance.day.to_string(),
                "environment_id": balance.environment_id.to_string(),
                "counted": as_value(&balance.counted),
                "found": as_value(&balance.found),
            })
        });
        let problems = self.problems.iter().map(|problem| json!({ "kind": problem.kind, "text": problem.text, "detail": problem.detail }));
        json!({
            "store": self.store,
            "sound": self.problems.is_empty(),
            "total": as_value(&self.total()),
            "days": balances.collect::<Vec<_>>(),
            "problems": problems.collect::<Vec<_>>(),
        })
    }
}
