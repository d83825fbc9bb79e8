//! PostgreSQL databases for tests. Each test has its own database on the server that `HOOKSTREAM_TEST_DATABASE_URL`
//! names; `scripts/test-postgres` starts one.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::{Client, NoTls};

/// Default server.
const DEFAULT: &str = "postgres://postgres@127.0.0.1:5432/postgres";

/// Database for a single test.
pub struct ScratchDatabase {
    server: String,
    name: String,
}

impl ScratchDatabase {
    /// Creates an empty database.
    pub async fn create() -> Self {
        Self::create_with("").await
    }

    /// Creates an empty database with these options of `create database`.
    pub async fn create_with(options: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("HOOKSTREAM_TEST_DATABASE_URL").unwrap_or_else(|_| DEFAULT.to_owned());
        let name = format!("hookstream_test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let scratch = Self { server, name };
        // A killed test may have left a database with the same name.
        scratch.run(&format!("drop database if exists {} with (force)", scratch.name)).await;
        scratch.run(&format!("create database {} {options}", scratch.name)).await;
        scratch
    }

    /// URL of the database.
    pub fn url(&self) -> String {
        let (base, query) =
            self.server.split_once('?').map_or((self.server.as_str(), String::new()), |(base, query)| (base, format!("?{query}")));
        let (server, _) = base.rsplit_once('/').expect("a URL with a database");
        format!("{server}/{}{query}", self.name)
    }

    /// Runs SQL in the database over a separate connection.
    pub async fn execute(&self, sql: &str) {
        run(&self.url(), sql).await;
    }

    /// Drops the database.
    pub async fn drop(self) {
        self.run(&format!("drop database if exists {} with (force)", self.name)).await;
    }

    async fn run(&self, sql: &str) {
        run(&self.server, sql).await;
    }
}

/// Connects to a database without Hookstream. The connection ends with the client.
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
