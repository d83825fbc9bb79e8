//! Databases for tests: each test has one of its own on the server that `HOOKSTREAM_TEST_DATABASE_URL`
//! names (`scripts/test-postgres` sees to it that there is one).

use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::{Client, NoTls};

/// Where the server is when nothing is set.
const DEFAULT: &str = "postgres://postgres@127.0.0.1:5432/postgres";

/// A database that is the test's alone.
pub struct ScratchDatabase {
    server: String,
    name: String,
}

impl ScratchDatabase {
    /// Makes an empty database.
    pub async fn create() -> Self {
        Self::create_with("").await
    }

    /// Makes an empty database with these options of `create database`.
    pub async fn create_with(options: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("HOOKSTREAM_TEST_DATABASE_URL").unwrap_or_else(|_| DEFAULT.to_owned());
        let name = format!("hookstream_test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let scratch = Self { server, name };
        // A test that was killed may have left one of the same name.
        scratch.run(&format!("drop database if exists {} with (force)", scratch.name)).await;
        scratch.run(&format!("create database {} {options}", scratch.name)).await;
        scratch
    }

    /// How to connect to it.
    pub fn url(&self) -> String {
        let (base, query) =
            self.server.split_once('?').map_or((self.server.as_str(), String::new()), |(base, query)| (base, format!("?{query}")));
        let (server, _) = base.rsplit_once('/').expect("a URL with a database");
        format!("{server}/{}{query}", self.name)
    }

    /// Runs SQL in it, as somebody who is not Hookstream.
    pub async fn execute(&self, sql: &str) {
        run(&self.url(), sql).await;
    }

    /// Removes it.
    pub async fn drop(self) {
        self.run(&format!("drop database if exists {} with (force)", self.name)).await;
    }

    async fn run(&self, sql: &str) {
        run(&self.server, sql).await;
    }
}

/// Connects to a database as somebody who is not Hookstream. The connection ends with the client.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap_or_else(|error| {
        panic!("no PostgreSQL for the tests: {error:?}; start one with scripts/test-postgres, or set HOOKSTREAM_TEST_DATABASE_URL")
    });
    tokio_util::task::TaskTracker::new().spawn(async move { connection.await.is_ok() });
    client
}

async fn run(url: &str, sql: &str) {
    connect(url).await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}
