//! Databases of the nodes: SQLite, a given database, or PostgreSQL clusters created here; and the equipment of a fault.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use rand::rngs::StdRng;
use serde_json::Value;

use super::TortureArgs;
use crate::{
    torture::{
        database::{
            cluster::{Cluster, Programs, Stop},
            disk::SmallDisk,
            psql::Psql,
        },
        faults::fault::{Fault, between},
        power::shim::Shim,
    },
    traffic::process::program,
};

/// Length of a node's lease in milliseconds; short, so that rounds are short.
const LEASE_MS: u64 = 2_000;
/// Initial size of the small disk, and the addition per round.
const DISK_MIB: u32 = 96;
const DISK_MIB_PER_ROUND: u32 = 8;

/// Database chosen by the user.
#[derive(Debug)]
pub(crate) enum DatabaseChoice {
    Sqlite,
    /// Existing database, by its URL.
    Given(String),
    /// Clusters created here.
    Own(Arc<Programs>),
}

/// Database of one fault's nodes. Clusters end on drop.
pub(crate) struct TestBed {
    database: Database,
    directory: PathBuf,
    /// Set if the fault needs it.
    shim: Option<Shim>,
}

enum Database {
    /// The disk, if any, is unmounted after everything else has ended.
    Sqlite {
        data_dir: PathBuf,
        disk: Option<SmallDisk>,
    },
    Given(Psql),
    One {
        cluster: Cluster,
        disk: Option<SmallDisk>,
    },
    /// `made` counts the clusters so far: each replica is a new one.
    Pair {
        primary: Cluster,
        replica: Cluster,
        made: u32,
    },
}

impl DatabaseChoice {
    pub(crate) fn chosen(arguments: &TortureArgs) -> anyhow::Result<Self> {
        Ok(match &arguments.database_url {
            Some(url) => Self::Given(url.clone()),
            None if arguments.postgres => Self::Own(Arc::new(Programs::find()?)),
            None => Self::Sqlite,
        })
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Given(_) | Self::Own(_) => "PostgreSQL",
        }
    }

    /// Returns the number of nodes, given the requested number.
    pub(crate) fn nodes(&self, requested: Option<u32>) -> anyhow::Result<u32> {
        match self {
            Self::Sqlite => {
                anyhow::ensure!(requested.unwrap_or(1) == 1, "SQLite has one node; --nodes goes with --postgres or --database-url");
                Ok(1)
            }
            Self::Given(_) | Self::Own(_) => Ok(requested.unwrap_or(3)),
        }
    }

    /// Returns the reason if a fault is not possible here.
    pub(crate) fn prevents(&self, fault: Fault, has_shim: bool) -> Option<Prevented> {
        let elsewhere = |what: &str| Some(Prevented::Elsewhere(what.to_owned()));
        match (fault, self) {
            (Fault::Power, Self::Given(_) | Self::Own(_)) => elsewhere("it is for SQLite"),
            (Fault::Power, Self::Sqlite) | (Fault::Clock, _) if has_shim => None,
            (Fault::Power, Self::Sqlite) | (Fault::Clock, _) => {
                Some(Prevented::Machine("it needs --shim, the library that scripts/torture builds".to_owned()))
            }
            (Fault::Kill | Fault::Pause | Fault::Receivers | Fault::Jobs, _) => None,
            (Fault::Terminate | Fault::Connections | Fault::Locks, Self::Given(_) | Self::Own(_)) => None,
            (Fault::Terminate | Fault::Connections | Fault::Locks, Self::Sqlite) => elsewhere("it needs --postgres or --database-url"),
            (Fault::RestartFast | Fault::RestartImmediate | Fault::Failover, Self::Own(_)) => None,
            (Fault::RestartFast | Fault::RestartImmediate | Fault::Failover, Self::Sqlite | Self::Given(_)) => {
                elsewhere("it needs --postgres")
            }
            (Fault::DiskFull, Self::Sqlite | Self::Own(_)) => SmallDisk::prevented().map(Prevented::Machine),
            (Fault::DiskFull, Self::Given(_)) => elsewhere("it needs --postgres"),
        }
    }
}

/// Reason why a fault is not possible.
#[derive(Debug)]
pub(crate) enum Prevented {
    /// The fault belongs to another database.
    Elsewhere(String),
    /// The machine does not allow the fault.
    Machine(String),
}

impl TestBed {
    /// Builds the equipment of a fault, with its data in a directory.
    pub(crate) async fn build(
        choice: &DatabaseChoice,
        fault: Fault,
        rounds: u32,
        directory: &Path,
        shim: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let disk = |owner| match fault {
            Fault::DiskFull => {
                let size = rounds.saturating_mul(DISK_MIB_PER_ROUND).saturating_add(DISK_MIB);
                SmallDisk::mount(&directory.join("disk"), size, owner).map(Some)
            }
            Fault::Kill
            | Fault::Pause
            | Fault::Terminate
            | Fault::Connections
            | Fault::Locks
            | Fault::RestartFast
            | Fault::RestartImmediate
            | Fault::Failover
            | Fault::Receivers
            | Fault::Jobs
            | Fault::Power
            | Fault::Clock => Ok(None),
        };
        let watched = directory.join("watched");
        let shim = match (fault, shim) {
            (Fault::Power, Some(library)) => {
                std::fs::create_dir(&watched).with_context(|| format!("could not make {}", watched.display()))?;
                Some(Shim::new(library, directory, Some(&watched))?)
            }
            (Fault::Clock, Some(library)) => Some(Shim::new(library, directory, None)?),
            (_, Some(_) | None) => None,
        };
        let database = match choice {
            DatabaseChoice::Sqlite => {
                let disk = disk(None)?;
                // The directory above is watched, because the creation of the data directory counts too.
                let room = shim.as_ref().and_then(Shim::root).or(disk.as_ref().map(SmallDisk::room)).unwrap_or(directory);
                Database::Sqlite { data_dir: room.join("sqlite"), disk }
            }
            DatabaseChoice::Given(url) => Database::Given(Psql::new("psql".into(), url, url)),
            DatabaseChoice::Own(programs) if fault == Fault::Failover => {
                let primary = Cluster::create(programs, directory, "cluster-1").await?;
                primary.psql().create_database(None).await?;
                let replica = Cluster::replica_of(&primary, directory, "cluster-2").await?;
                Database::Pair { primary, replica, made: 2 }
            }
            DatabaseChoice::Own(programs) => {
                let disk = disk(programs.owner())?;
                let cluster = Cluster::create(programs, directory, "cluster").await?;
                // The write-ahead log stays on the other disk: PostgreSQL itself ends if that disk is full.
                cluster.psql().create_database(disk.as_ref().map(SmallDisk::room)).await?;
                Database::One { cluster, disk }
            }
        };
        Ok(Self { database, directory: directory.to_owned(), shim })
    }

    /// Returns the environment variables of a node.
    pub(crate) fn environment(&self, node: u32) -> anyhow::Result<Vec<(OsString, OsString)>> {
        self.shim.as_ref().map_or(Ok(Vec::new()), |shim| shim.environment(node))
    }

    pub(crate) fn shim(&mut self) -> anyhow::Result<&mut Shim> {
        self.shim.as_mut().context("there is no shim")
    }

    /// Checks that the shim's journal of a stopped node is complete.
    pub(crate) fn check_shim(&self, rng: &mut StdRng) -> anyhow::Result<()> {
        self.shim.as_ref().map_or(Ok(()), |shim| shim.check(rng))
    }

    /// Returns the problems that `hookstream doctor` finds in the store. No node runs any more.
    pub(crate) async fn examine(&self) -> anyhow::Result<Vec<String>> {
        let (data_dir, database_url) = match &self.database {
            Database::Sqlite { data_dir, .. } => (Some(data_dir.clone()), None),
            Database::Given(psql) => (None, Some(psql.node_url().to_owned())),
            Database::One { cluster, .. } => (None, Some(cluster.psql().node_url().to_owned())),
            Database::Pair { primary, replica, .. } => (None, Some(Cluster::url_of_both(primary, replica))),
        };
        let mut arguments: Vec<OsString> = vec!["doctor".into(), "--json".into()];
        arguments.extend(data_dir.into_iter().flat_map(|data_dir| ["--data-dir".into(), data_dir.into_os_string()]));
        arguments.extend(database_url.into_iter().flat_map(|url| ["--database-url".into(), OsString::from(url)]));
        let mut command = program()?;
        command.args(arguments).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await?.context("could not run doctor")?;
        // The command fails if it finds a problem, and prints its report nevertheless.
        let report: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("doctor printed no report: {}", String::from_utf8_lossy(&output.stderr).trim()))?;
        let problems = report["problems"].as_array().context("the report of doctor has problems")?.iter();
        // The nodes have the encryption key; this command does not.
        let problems = problems.filter(|problem| problem["kind"] != "encryption_key_missing");
        Ok(problems.map(|problem| problem["text"].as_str().unwrap_or("a problem without text").to_owned()).collect())
    }

    /// Returns the settings by which a node finds its database.
    pub(crate) fn settings(&self) -> Vec<OsString> {
        let url = match &self.database {
            Database::Sqlite { data_dir, .. } => return vec!["--data-dir".into(), data_dir.into()],
            Database::Given(psql) => psql.node_url().to_owned(),
            Database::One { cluster, .. } => cluster.psql().node_url().to_owned(),
            Database::Pair { primary, replica, .. } => Cluster::url_of_both(primary, replica),
        };
        ["--database-url", &url, "--lease-ms", &LEASE_MS.to_string()].map(OsString::from).to_vec()
    }

    /// Returns the time for which a node is paused.
    pub(crate) fn pause(&self, rng: &mut StdRng) -> Duration {
        match self.database {
            Database::Sqlite { .. } => between(rng, 500, 1_500),
            // Longer than the lease, so that the other nodes take over.
            Database::Given(_) | Database::One { .. } | Database::Pair { .. } => between(rng, LEASE_MS * 3 / 2, LEASE_MS * 5 / 2),
        }
    }

    pub(crate) fn psql(&self) -> anyhow::Result<Psql> {
        match &self.database {
            Database::Given(psql) => Ok(psql.clone()),
            Database::One { cluster, .. } | Database::Pair { primary: cluster, .. } => Ok(cluster.psql()),
            Database::Sqlite { .. } => anyhow::bail!("SQLite has no psql"),
        }
    }

    pub(crate) fn primary(&mut self) -> anyhow::Result<&mut Cluster> {
        match &mut self.database {
            Database::One { cluster, .. } | Database::Pair { primary: cluster, .. } => Ok(cluster),
            Database::Sqlite { .. } | Database::Given(_) => anyhow::bail!("there is no cluster of our own"),
        }
    }

    pub(crate) fn disk(&mut self) -> anyhow::Result<&mut SmallDisk> {
        match &mut self.database {
            Database::Sqlite { disk, .. } | Database::One { disk, .. } => disk.as_mut().context("there is no small disk"),
            Database::Given(_) | Database::Pair { .. } => anyhow::bail!("there is no small disk"),
        }
    }

    /// Stops the primary at once and promotes its replica.
    pub(crate) async fn fail_over(&mut self) -> anyhow::Result<()> {
        let Database::Pair { primary, replica, .. } = &mut self.database else { anyhow::bail!("there is no replica") };
        primary.stop(Stop::Immediate).await?;
        std::mem::swap(primary, replica);
        primary.psql().promote().await
    }

    /// Adds a replica after a failover, in place of the former primary.
    pub(crate) async fn prepare_next(&mut self) -> anyhow::Result<()> {
        let Database::Pair { primary, replica, made } = &mut self.database else { return Ok(()) };
        *made += 1;
        replica.become_replica_of(primary, &self.directory, &format!("cluster-{made}")).await
    }
}
