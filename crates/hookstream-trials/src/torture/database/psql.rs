//! SQL for breaking a PostgreSQL database, through `psql`.
//!
//! This file contains no query of the product: these statements break the database below the store, which the store
//! must not be able to do.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context;
use tokio::time::{Instant, sleep};

/// Superuser of a cluster created here.
pub(crate) const ADMIN: &str = "postgres";
/// Unprivileged role of the nodes there, which gets no reserved connection.
pub(crate) const NODE: &str = "hookstream";
/// Database of the nodes there.
pub(crate) const DATABASE: &str = "hookstream";

/// Application name of our own connections.
const NAME: &str = "hookstream-torture";
/// Maximum number of connections to take: each costs a process here and one on the server.
const MAX_SLOTS: usize = 300;
/// Time limit for a database to reach a state.
const WITHIN: Duration = Duration::from_secs(60);

const TERMINATE: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and application_name <> 'hookstream-torture'";
/// Held until its `psql` ends, which the server notices by `client_connection_check_interval`.
const HOLD: &str = "select pg_sleep(60)";
const LOCK: &str = "do $$ declare t record; begin
    for t in select schemaname, tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema') loop
        execute format('lock table %I.%I in access exclusive mode', t.schemaname, t.tablename);
    end loop;
    perform pg_sleep(60);
    end $$";
const COMMIT_WITH_REPLICA: &str = "alter system set synchronous_standby_names = '*'";
const RELOAD: &str = "select pg_reload_conf()";
const REPLICAS: &str = "select count(*) from pg_stat_replication where state = 'streaming' and sync_state = 'sync'";
const PROMOTE: &str = "select pg_promote(true, 60)";

/// Access by SQL to a database.
#[derive(Debug, Clone)]
pub(crate) struct Psql {
    program: PathBuf,
    /// URL with the necessary rights.
    url: String,
    /// URL as a node connects.
    node_url: String,
}

/// Held connections; they end on drop.
pub(crate) struct Held(Vec<Child>);

impl Psql {
    pub(crate) fn new(program: PathBuf, url: &str, node_url: &str) -> Self {
        Self { program, url: url.to_owned(), node_url: node_url.to_owned() }
    }

    pub(crate) fn node_url(&self) -> &str {
        &self.node_url
    }

    /// Creates the nodes' role and database, on the given disk if any.
    pub(crate) async fn create_database(&self, disk: Option<&Path>) -> anyhow::Result<()> {
        let (maintenance, _) = self.url.rsplit_once('/').context("a URL ends in a database")?;
        let maintenance = Self { url: format!("{maintenance}/postgres"), ..self.clone() };
        maintenance.run(&format!("create role {NODE} login")).await?;
        let on_disk = match disk {
            None => "",
            Some(path) => {
                let path = path.to_str().context("the scratch directory's name is no text")?.replace('\'', "''");
                maintenance.run(&format!("create tablespace small location '{path}'")).await?;
                "tablespace small"
            }
        };
        maintenance.run(&format!("create database {DATABASE} owner {NODE} {on_disk}")).await?;
        Ok(())
    }

    /// Ends all connections but our own.
    pub(crate) async fn terminate_others(&self) -> anyhow::Result<()> {
        self.run(TERMINATE).await.map(drop)
    }

    /// Takes all connection slots: the free ones, then those of the others.
    pub(crate) async fn hold_all_connections(&self) -> anyhow::Result<Held> {
        let slots: usize = self.run("show max_connections").await?.trim().parse().context("max_connections is a number")?;
        anyhow::ensure!(slots <= MAX_SLOTS, "max_connections is {slots}; more than {MAX_SLOTS} are not taken");
        // Connected before the slots are taken.
        let mut terminate = self.command(&self.url, &format!("select pg_sleep(1); {TERMINATE}"));
        let mut terminating = terminate.spawn().context("could not run psql")?;
        let hold = |count: usize| (0..count).map(|_| self.command(&self.node_url, HOLD).spawn()).collect::<Result<Vec<_>, _>>();
        let mut held = Held(hold(slots).context("could not run psql")?);
        let ended = crate::traffic::process::ended_within(&mut terminating, WITHIN).await;
        held.0.push(terminating);
        anyhow::ensure!(ended, "the connections could not be ended");
        held.0.extend(hold(slots / 4).context("could not run psql")?);
        Ok(held)
    }

    /// Locks all tables in exclusive mode.
    pub(crate) fn lock_all_tables(&self) -> anyhow::Result<Held> {
        Ok(Held(vec![self.command(&self.url, LOCK).spawn().context("could not run psql")?]))
    }

    /// Waits until a node could connect.
    pub(crate) async fn until_reachable(&self) -> anyhow::Result<()> {
        let end = Instant::now() + WITHIN;
        loop {
            match output(self.command(&self.node_url, "select 1")).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() >= end => return Err(error),
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Makes the primary commit only with its replica, and waits until the replica follows.
    pub(crate) async fn wait_for_replica(&self) -> anyhow::Result<()> {
        self.run(COMMIT_WITH_REPLICA).await?;
        self.run(RELOAD).await?;
        let end = Instant::now() + WITHIN;
        while self.run(REPLICAS).await?.trim() != "1" {
            anyhow::ensure!(Instant::now() < end, "the replica does not follow");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Makes a replica the primary.
    pub(crate) async fn promote(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.run(PROMOTE).await?.trim() == "t", "the replica was not promoted");
        Ok(())
    }

    async fn run(&self, sql: &str) -> anyhow::Result<String> {
        output(self.command(&self.url, sql)).await.with_context(|| format!("could not run {sql:?}"))
    }

    fn command(&self, url: &str, sql: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", url]);
        command.args(["--command", sql]).env("PGAPPNAME", NAME).env("PGCONNECT_TIMEOUT", "10");
        command.env("PGOPTIONS", "-c client_connection_check_interval=100");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Held {
    pub(crate) fn release(self) {
        drop(self);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Returns the output of a program that ends with success.
pub(crate) async fn output(mut command: Command) -> anyhow::Result<String> {
    let program = command.get_program().to_owned();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || command.output()).await?;
    let output = output.with_context(|| format!("could not run {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{} ended with {}: {}", program.display(), output.status, said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tempfile::TempDir;

    use super::*;
    use crate::torture::{
        database::{
            cluster::{Programs, Stop},
            disk::SmallDisk,
        },
        faults::fault::Fault,
        test_bed::{DatabaseChoice, TestBed},
    };

    /// Builds a test bed for a fault with a table of one row, if PostgreSQL is installed.
    async fn test_bed(fault: Fault) -> Option<(TestBed, TempDir)> {
        let choice = DatabaseChoice::Own(Arc::new(Programs::find().ok()?));
        let directory = tempfile::tempdir().expect("a scratch directory");
        let test_bed = TestBed::build(&choice, fault, 1, directory.path(), None).await.expect("a test bed");
        as_node(&test_bed, "create table t (n int, pad text)").await.expect("a table");
        insert(&test_bed).await.expect("a row");
        Some((test_bed, directory))
    }

    async fn as_node(test_bed: &TestBed, sql: &str) -> anyhow::Result<String> {
        let psql = test_bed.psql()?;
        output(psql.command(psql.node_url(), sql)).await
    }

    async fn insert(test_bed: &TestBed) -> anyhow::Result<String> {
        as_node(test_bed, "insert into t select n, repeat('x', 1000) from generate_series(1, 100) n").await
    }

    async fn count(test_bed: &TestBed) -> String {
        as_node(test_bed, "select count(*) from t").await.expect("it answers").trim().to_owned()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn promoted_replica_has_all_commits_and_gets_a_replica() {
        let Some((mut test_bed, _directory)) = test_bed(Fault::Failover).await else { return };
        test_bed.fail_over().await.expect("a failover");
        insert(&test_bed).await.expect("the promoted one takes writes");
        test_bed.prepare_next().await.expect("a new replica");
        test_bed.fail_over().await.expect("another failover");
        insert(&test_bed).await.expect("the promoted one takes writes");
        assert_eq!(count(&test_bed).await, "300");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn restarted_cluster_has_all_commits() {
        let Some((mut test_bed, _directory)) = test_bed(Fault::RestartFast).await else { return };
        for mode in [Stop::Fast, Stop::Immediate] {
            let cluster = test_bed.primary().expect("a cluster");
            cluster.stop(mode).await.expect("stopped");
            assert!(insert(&test_bed).await.is_err());
            test_bed.primary().expect("a cluster").start().await.expect("started");
        }
        assert_eq!(count(&test_bed).await, "100");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn connections_and_table_locks_are_taken_and_released() {
        let Some((test_bed, _directory)) = test_bed(Fault::Connections).await else { return };
        let psql = test_bed.psql().expect("there is one");
        let mut command = psql.command(psql.node_url(), "select pg_sleep(30)");
        let mut other = command.env("PGAPPNAME", "a node").spawn().expect("psql runs");
        let sleeping = "select count(*) from pg_stat_activity where application_name = 'a node'";
        while psql.run(sleeping).await.expect("it answers").trim() != "1" {}
        let held = psql.hold_all_connections().await.expect("all slots");
        assert!(crate::traffic::process::ended_within(&mut other, WITHIN).await);
        let refused = insert(&test_bed).await.expect_err("there is no place").to_string();
        assert!(refused.contains("connection slots"), "{refused}");
        held.release();
        psql.until_reachable().await.expect("there is a place again");

        let held = psql.lock_all_tables().expect("locked");
        let locked = "select count(*) from pg_locks where relation = 't'::regclass and mode = 'AccessExclusiveLock' and granted";
        while psql.run(locked).await.expect("it answers").trim() != "1" {}
        let refused = as_node(&test_bed, "set lock_timeout = 100; select count(*) from t").await.expect_err("it is locked").to_string();
        assert!(refused.contains("lock timeout"), "{refused}");
        held.release();
        assert_eq!(count(&test_bed).await, "100");
        psql.terminate_others().await.expect("it runs");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn full_tablespace_refuses_writes_until_room_is_made() {
        if SmallDisk::prevented().is_some() {
            return;
        }
        let Some((mut test_bed, _directory)) = test_bed(Fault::DiskFull).await else { return };
        test_bed.disk().expect("a disk").fill().expect("filled");
        // The free space of existing pages is used up first.
        let refused = loop {
            if let Err(error) = insert(&test_bed).await {
                break error.to_string();
            }
        };
        assert!(refused.contains("No space left on device"), "{refused}");
        test_bed.disk().expect("a disk").make_room().expect("room");
        insert(&test_bed).await.expect("there is room");
    }
}
