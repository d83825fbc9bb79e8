//! Server process and API client for tests.

pub(crate) mod visitor;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use hookstream_model::{
    base::{
        ids::{ApiKeyId, EntryId, EnvironmentId, OrganizationId},
        secret::Secret,
        time::Timestamp,
    },
    identity::tenancy::{ApiKey, ApiKeyText, KeyMode, Tenant},
    operations::audit_log::AuditContext,
};
use hookstream_store::{
    Store,
    identity::{api_keys, organizations},
    postgres::{self, PostgresStore},
    sqlite::SqliteStore,
};
use hookstream_testkit::postgres::ScratchDatabase;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const KEY: &str = "hs_test_00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Builds a command for the binary under test, in a clean environment.
pub(crate) fn hookstream() -> Command {
    cleaned(Command::new(env!("CARGO_BIN_EXE_hookstream")))
}

/// Removes the environment variables that act as settings.
pub(crate) fn cleaned(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("HOOKSTREAM_") || name.starts_with("OTEL_")) {
            command.env_remove(name);
        }
    }
    command
}

/// Server process; killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Set-up link for the first owner, if there is no user yet.
    pub(crate) setup_link: Option<String>,
    pub(crate) url: String,
    pub(crate) client: TestClient,
}

impl Server {
    /// Starts a server that may deliver to loopback, with further arguments.
    pub(crate) fn start(scratch: &Scratch, arguments: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", scratch, &[&["--allow-targets", "127.0.0.0/8"], arguments].concat())
    }

    /// Starts a server at an address, with these arguments only.
    pub(crate) fn start_on(listen: &str, scratch: &Scratch, arguments: &[&str]) -> Self {
        let directory = scratch.path().to_str().expect("a path that is text");
        let url = scratch.database.as_ref().map(ScratchDatabase::url);
        Self::start_plain(listen, &[&store(directory, url.as_deref())[..], arguments].concat())
    }

    /// Starts a server with further arguments and variables; its log goes to a file.
    pub(crate) fn start_with(scratch: &Scratch, arguments: &[&str], environment: &[(&str, &str)], log: Option<&Path>) -> Self {
        let directory = scratch.path().to_str().expect("a path that is text");
        let url = scratch.database.as_ref().map(ScratchDatabase::url);
        Self::spawn("127.0.0.1:0", &[&store(directory, url.as_deref())[..], arguments].concat(), environment, log)
    }

    /// Starts a server at an address, with these arguments and no store options.
    pub(crate) fn start_plain(listen: &str, arguments: &[&str]) -> Self {
        Self::spawn(listen, arguments, &[], None)
    }

    /// Starts a server of another binary at an address, with these arguments only.
    pub(crate) fn start_binary(binary: &Path, listen: &str, scratch: &Scratch, arguments: &[&str]) -> Self {
        Self::try_start_binary(binary, listen, scratch, arguments).expect("the ready line")
    }

    /// Starts a server of another binary; returns `None` if it refuses to start.
    pub(crate) fn try_start_binary(binary: &Path, listen: &str, scratch: &Scratch, arguments: &[&str]) -> Option<Self> {
        let directory = scratch.path().to_str().expect("a path that is text");
        let url = scratch.database.as_ref().map(ScratchDatabase::url);
        let command = cleaned(Command::new(binary));
        Self::try_spawn(command, listen, &[&store(directory, url.as_deref())[..], arguments].concat(), &[], None)
    }

    fn spawn(listen: &str, arguments: &[&str], environment: &[(&str, &str)], log: Option<&Path>) -> Self {
        Self::try_spawn(hookstream(), listen, arguments, environment, log).expect("the ready line")
    }

    fn try_spawn(mut command: Command, listen: &str, arguments: &[&str], environment: &[(&str, &str)], log: Option<&Path>) -> Option<Self> {
        command.args(["serve", "--listen", listen]).args(arguments).envs(environment.iter().copied());
        // A configuration file may have the level.
        if !arguments.contains(&"--log") && !arguments.contains(&"--config") {
            command.args(["--log", "warn"]);
        }
        if let Some(log) = log {
            command.stderr(std::fs::File::create(log).expect("a file"));
        }
        command.env("HOOKSTREAM_BOOTSTRAP_API_KEY", KEY);
        // Some tests call every operation without a key.
        command.env("HOOKSTREAM_API_RATE_LIMIT_PER_ADDRESS", "1000000");
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let mut setup_link = None;
        let mut url = None;
        for line in lines {
            if line.contains("#token=") {
                setup_link = first_url(&line);
            }
            if line.contains(" is ready at ") {
                url = first_url(&line);
                break;
            }
        }
        let Some(url) = url else {
            let _ = child.wait();
            return None;
        };
        Some(Self { child, setup_link, client: TestClient::new(&url, KEY), url })
    }

    /// Address it listens on, for starting another server there.
    pub(crate) fn address(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    /// Kills the process, like `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(status.success());
    }

    /// Waits for the process to end and returns its exit code, if it was not killed.
    pub(crate) async fn ended(&mut self, within: Duration) -> Option<i32> {
        let end = tokio::time::Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child process") {
                return status.code();
            }
            assert!(tokio::time::Instant::now() < end, "the server did not end in time");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Returns the binary of an earlier commit, which `scripts/test-upgrade` names; prints a notice if there is none.
#[expect(clippy::print_stderr, reason = "a notice in the output of the test")]
pub(crate) fn earlier_binary() -> Option<std::path::PathBuf> {
    let named = std::env::var_os("HOOKSTREAM_EARLIER_BINARY").map(std::path::PathBuf::from);
    if named.is_none() {
        eprintln!("skipped: HOOKSTREAM_EARLIER_BINARY names no binary of an earlier commit; scripts/test-upgrade does");
    }
    named
}

/// Returns the arguments that select the store.
fn store<'a>(directory: &'a str, url: Option<&'a str>) -> Vec<&'a str> {
    match url {
        None => vec!["--data-dir", directory],
        Some(url) => vec!["--database-url", url, "--lease-ms", "1000", "--database-max-connections", "4"],
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn first_url(line: &str) -> Option<String> {
    line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned)
}

/// True for the tests on PostgreSQL: the same files are compiled into a test binary per store.
const ON_POSTGRES: bool = matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"it_postgres");

/// Storage of a server; deleted after the test.
pub(crate) struct Scratch {
    pub(crate) directory: TempDir,
    /// Directory for files outside the store.
    pub(crate) files: TempDir,
    pub(crate) database: Option<ScratchDatabase>,
}

impl Scratch {
    pub(crate) fn path(&self) -> &std::path::Path {
        self.directory.path()
    }
}

impl Scratch {
    /// Opens the store while no server runs.
    pub(crate) async fn open_store(&self) -> Arc<dyn Store> {
        match &self.database {
            None => Arc::new(SqliteStore::open(self.path()).expect("no server runs")),
            Some(database) => {
                let url = Secret::new(database.url());
                let options = postgres::Options { url, max_connections: 1, through_pooler: false, lease: Duration::from_secs(1) };
                Arc::new(PostgresStore::open(&options).await.expect("the store opens"))
            }
        }
    }

    /// Adds another organization while no server runs, and returns an API key of it.
    pub(crate) async fn add_other_organization(&self) -> ApiKeyText {
        let store = self.open_store().await;
        let tenant = Tenant { organization: OrganizationId::from_bytes([0xee; 16]), environment: EnvironmentId::from_bytes([0xef; 16]) };
        let now = Timestamp::from_millis(0);
        organizations::create(&*store, tenant, "stranger", "production", now).await.expect("created");
        let text = ApiKeyText::generate(KeyMode::Live, &[7; 32]);
        let key = ApiKey::unlimited(ApiKeyId::from_bytes([0xed; 16]), tenant, "stranger".to_owned());
        assert!(
            api_keys::create(&*store, &AuditContext::of_system(EntryId::from_bytes([0xec; 16]), now), &key, &text).await.expect("created")
        );
        store.close().await;
        text
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(database) = self.database.take() {
            blocking(database.drop());
        }
    }
}

pub(crate) fn scratch() -> Scratch {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let files = tempfile::tempdir().expect("a scratch directory");
    Scratch { directory, files, database: ON_POSTGRES.then(|| blocking(ScratchDatabase::create())) }
}

/// Runs `work` to completion on its own thread, because the test's runtime does not allow blocking.
fn blocking<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work);
    std::thread::spawn(run).join().expect("no panic")
}

/// API client.
#[derive(Clone)]
pub(crate) struct TestClient {
    base: String,
    key: String,
    http: Client<HttpConnector, Full<Bytes>>,
}

impl TestClient {
    pub(crate) fn new(url: &str, key: &str) -> Self {
        Self { base: url.to_owned(), key: key.to_owned(), http: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Sends a request; returns `None` if the server cannot be reached.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Option<Response<Bytes>> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if !self.key.is_empty() {
            request = request.header("x-api-key", &self.key);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.http.request(request.body(Full::new(body.into())).expect("a request")).await.ok()?;
        let (head, body) = response.into_parts();
        Some(Response::from_parts(head, body.collect().await.ok()?.to_bytes()))
    }

    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> (u16, Value) {
        let response = self.try_send(method, path, headers, body).await.expect("the server responds");
        let body = serde_json::from_slice(response.body()).unwrap_or_else(|_| panic!("not JSON: {:?}", response.body()));
        (response.status().as_u16(), body)
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, &[], body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::PATCH, path, &[], body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        self.send(Method::DELETE, path, &[], Bytes::new()).await
    }

    /// Returns the same client with another key.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    /// Creates the application `acme` with an endpoint, and returns the endpoint.
    pub(crate) async fn acme(&self, mut endpoint: Value, url: &str) -> Value {
        let (status, response) = self.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
        assert_eq!(status, 201, "{response}");
        endpoint["url"] = url.into();
        let (status, response) = self.post("/v1/applications/acme/endpoints", endpoint).await;
        assert_eq!(status, 201, "{response}");
        response["endpoint"].clone()
    }

    /// Sets the endpoint at this path to expire, and waits until it has.
    pub(crate) async fn expire(&self, path: &str) {
        let (status, response) = self.patch(path, json!({ "description": "expires" })).await;
        assert_eq!(status, 200, "{response}");
        let now: Timestamp = response["endpoint"]["updated_at"].as_str().and_then(|text| text.parse().ok()).expect("a time");
        let soon = now + Duration::from_millis(1_500);
        let (status, response) = self.patch(path, json!({ "expires_at": soon.to_string() })).await;
        assert_eq!(status, 200, "{response}");
        hookstream_testkit::eventually("the endpoint has expired", async || {
            let (_, response) = self.get(path).await;
            (response["endpoint"]["status"] == "expired").then_some(())
        })
        .await;
    }

    /// Sends a message to `acme` and returns its id.
    pub(crate) async fn message(&self, payload: Value) -> String {
        let (status, response) =
            self.post("/v1/applications/acme/messages", json!({ "event_type": "invoice.paid", "payload": payload })).await;
        assert_eq!(status, 201, "{response}");
        response["message"]["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until a message of `acme` has this status, and returns it with its attempts.
    pub(crate) async fn until(&self, id: &str, status: &str) -> Value {
        let path = format!("/v1/applications/acme/messages/{id}");
        hookstream_testkit::eventually(&format!("message {status}"), async || {
            let (_, response) = self.get(&path).await;
            (response["message"]["status"] == status).then_some(response)
        })
        .await
    }
}
