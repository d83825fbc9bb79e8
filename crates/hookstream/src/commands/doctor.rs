//! `hookstream doctor`: checks the integrity of a store and reports remedies.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::bail;
use clap::Args;
use hookstream_cli::say;
use hookstream_model::base::vault::KeyId;
use hookstream_store::{
    Store,
    db::transfer,
    delivery::{
        consistency::{Balance, ConsistencyReport, Finding},
        counts::Counts,
    },
};
use serde_json::{Value, json};

use crate::{
    commands::existing::{open_database, open_directory},
    config::{Config, Sources, StorageSettings},
    server::keys,
};

/// Minimum free disk space, in bytes: with less, the store is about to refuse messages.
const ROOM: usize = 16 * 1024 * 1024;

/// Location of the store.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream doctor --data-dir /var/lib/hookstream\n\n\
    Compares the counters of deliveries with the rows, looks for rows that contradict each other, and checks that the\n\
    encryption key is present. It changes nothing. On a data directory no server may run; on PostgreSQL it may.\n\
    The exit code is 1 if there is a problem.")]
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

    /// The file with the encryption key, to check that a server can decrypt the secrets. Or HOOKSTREAM_ENCRYPTION_KEY
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_ENCRYPTION_KEY_FILE")]
    encryption_key_file: Option<PathBuf>,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Problem, for programs and users.
struct Problem {
    kind: &'static str,
    text: String,
    detail: Value,
}

/// Result of the checks.
struct Report {
    store: String,
    audit: ConsistencyReport,
    problems: Vec<Problem>,
}

/// Runs all checks, and fails if there is a problem.
pub(crate) async fn run(arguments: DoctorArgs) -> anyhow::Result<()> {
    let json = arguments.json;
    let DoctorArgs { data_dir, database_url, encryption_key_file, .. } = arguments;
    let settings = StorageSettings { data_dir, database_url, encryption_key_file, ..StorageSettings::default() }.into();
    let config = Config::load(Sources { config: arguments.config, restored: false, forget: false, settings }, &crate::environment())?;
    let report = look(config).await?;
    say!("{}", if json { report.as_json().to_string() } else { report.as_text() });
    match report.problems.len() {
        0 => Ok(()),
        1 => bail!("found 1 problem"),
        problems => bail!("found {problems} problems"),
    }
}

async fn look(config: Config) -> anyhow::Result<Report> {
    let (store, name, mut problems) = match config.storage.database.clone() {
        Some(options) => {
            let name = options.address()?;
            (open_database(options).await?, name, Vec::new())
        }
        None => {
            let name = format!("the data directory {}", config.storage.data_dir.display());
            let store = open_directory(&config.storage.data_dir, "stop the server first, or look at a copy").await?;
            (store, name, room_in(&config.storage.data_dir).err().into_iter().collect())
        }
    };
    let examined = async {
        problems.extend(missing_keys(&*store, &config).await?);
        examine(&*store, &mut problems).await
    };
    let examined = examined.await;
    store.close().await;
    Ok(Report { store: name, audit: examined?, problems })
}

/// Returns a problem for each key that rows are encrypted with and that a server with these settings would lack.
async fn missing_keys(store: &dyn Store, config: &Config) -> anyhow::Result<Vec<Problem>> {
    let missing = keys::absent(store, config).await?;
    let problem = |id: KeyId| Problem {
        kind: "encryption_key_missing",
        text: format!(
            "Secrets are encrypted with the key {id}, which is not in these settings: no server starts with them. Set \
            HOOKSTREAM_ENCRYPTION_KEY or --encryption-key-file to check it; if the key is lost, see `hookstream admin forget-secrets --help`."
        ),
        detail: json!({ "key_id": id.to_string() }),
    };
    Ok(missing.into_iter().map(problem).collect())
}

async fn examine(store: &dyn Store, problems: &mut Vec<Problem>) -> anyhow::Result<ConsistencyReport> {
    if let Some(from) = transfer::unfinished(store).await? {
        let text = format!(
            "This store is an unfinished transfer from {from}: run the same `hookstream transfer` again before a server starts on it."
        );
        problems.push(Problem { kind: "unfinished_transfer", text, detail: json!({ "from": from }) });
    }
    let audit = store.check_consistency().await?;
    problems.extend(audit.balances.iter().filter(|balance| !balance.holds()).map(out_of_balance));
    problems.extend(audit.findings.iter().map(found));
    Ok(audit)
}

/// Checks the free disk space by writing and removing a file.
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
            "Not even {} MiB could be written to it ({cause}): free space on its disk, or lower retention_days; until then new messages \
            are refused.",
            ROOM / 1024 / 1024
        );
        Problem { kind: "no_room", text, detail: json!({ "cause": cause.to_string() }) }
    })
}

/// Returns a number with its noun.
fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Returns the counters with their names.
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
    let figures: Vec<_> = differ.map(|((name, counted), (_, found))| format!("{name} {found} instead of {counted}")).collect();
    let text = format!("On {day}, environment {environment_id}, the rows differ from the counts: {}.", figures.join(", "));
    let (counted, found) = (as_value(counted), as_value(found));
    let detail = json!({ "day": day.to_string(), "environment_id": environment_id.to_string(), "counted": counted, "found": found });
    Problem { kind: "counts_differ", text, detail }
}

fn found(finding: &Finding) -> Problem {
    let of_delivery =
        |message: &dyn ToString, target: &dyn ToString| json!({ "message_id": message.to_string(), "endpoint_id": target.to_string() });
    match finding {
        Finding::Untraced { origin_id: application_id, message_id, deliveries, found } => Problem {
            kind: "delivery_lost",
            text: format!(
                "Message {message_id} has {deliveries} deliveries, and rows exist for {found}: see `hookstream explain {message_id} \
                --app {application_id}`, and retry it to the endpoints that lack it."
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
            text: format!(
                "Message {message} is pending to endpoint {target} and is gone: it cannot be delivered; send it as a new message."
            ),
            detail: of_delivery(message, target),
        },
        Finding::WithoutPayload(message, target) => Problem {
            kind: "payload_lost",
            text: format!("Message {message} is pending to endpoint {target} and its payload is gone: send it as a new message."),
            detail: of_delivery(message, target),
        },
        Finding::Twice(message, target) => Problem {
            kind: "pending_and_finished",
            text: format!("Message {message} is both pending to endpoint {target} and finished: it is delivered again."),
            detail: of_delivery(message, target),
        },
        Finding::OwnerGone { owner, deliveries } => Problem {
            kind: "owner_gone",
            text: format!(
                "{deliveries} deliveries belong to node {owner}, which is gone: a running node takes them over within a lease. Start one and \
                check again; if they stay, restart the nodes."
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
        let mut lines = vec![format!(
            "Checked {}: {}, {}.",
            self.store,
            counted(days, "day", "days"),
            counted(environments, "environment", "environments")
        )];
        lines.extend(figures);
        if self.problems.is_empty() {
            lines.push("No problems found: every delivery is accounted for, and the encryption key is present.".to_owned());
            return lines.join("\n");
        }
        lines.extend(self.problems.iter().map(|problem| format!("! {}", problem.text)));
        lines.push(
            "Intact deliveries continue. Rows are lost if a disk failed, a backup was restored in part, or rows were changed by hand. If \
            none of these happened, please report it as a bug with this output."
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
