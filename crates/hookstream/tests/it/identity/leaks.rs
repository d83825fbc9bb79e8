//! Secrets do not leak. Every operation is called with valid and invalid requests on a server with full logging. Then
//! its log, responses and store are searched for every secret.

use hookstream_store::db::vault_keys;
use std::{
    path::PathBuf,
    process::{Child, Output, Stdio},
    sync::Mutex,
};

use bytes::Bytes;
use hookstream_model::base::vault::Keys;
use hookstream_store::identity::portal_keys;
use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Receiver},
    tls::Authority,
};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::{
    identity::{
        tenancy::{Audience, Operation, Victim, body_of, operations},
        vault::stolen,
    },
    support::{
        Scratch, TestClient, first_url, hookstream, scratch,
        visitor::{PASSWORD as OWNERS_PASSWORD, Visitor},
    },
};

/// API key of the server's owner.
const KEY: &str = "hs_test_c0ffee00c0ffee11c0ffee22c0ffee33c0ffee44c0ffee55c0ffee66c0ffee77";
/// Key that encrypts secrets at rest.
const ENCRYPTION_KEY: &str = "5ea1ed005ea1ed115ea1ed225ea1ed335ea1ed445ea1ed555ea1ed665ea1ed77";
/// Signing secret supplied by the client: `brought along and marked`.
const SUPPLIED_SECRET: &str = "whsec_YnJvdWdodCBhbG9uZyBhbmQgbWFya2Vk";
/// Password of the database.
const PASSWORD: &str = "password-of-the-database";
/// Used in endpoint headers and in payloads: stored in the clear and shown to the owner, and nowhere else.
const HEADER: &str = "token-for-the-receiver";
const PAYLOAD: &str = "what-only-the-receiver-reads";
/// Secret in a field that is not meant for it.
const MISPLACED: &str = "secret-in-the-wrong-place";
/// Client secret of this installation at a provider.
const CLIENT_SECRET: &str = "secret-of-the-client";
/// Provider that cannot be reached.
const PROVIDERS: &str =
    r#"[{"name": "nowhere", "issuer": "http://127.0.0.1:1", "client_id": "1", "client_secret": "secret-of-the-client"}]"#;
/// Key that does not exist.
const INVALID_KEY: &str = "hs_live_badc0de0badc0de1badc0de2badc0de3badc0de4badc0de5badc0de6badc0de7";

/// Server that logs at trace level into a file.
struct LoggingServer {
    child: Child,
    url: String,
    log: PathBuf,
}

impl LoggingServer {
    async fn start(scratch: &Scratch, directory: &tempfile::TempDir, arguments: &[&str]) -> Self {
        let log = directory.path().join("log");
        let file = std::fs::File::create(&log).expect("a file");
        let mut command = hookstream();
        command.args(["serve", "--listen", "127.0.0.1:0", "--log", "trace", "--allow-targets", "127.0.0.0/8"]).args(arguments);
        match &scratch.database {
            None => command.arg("--data-dir").arg(scratch.path()),
            Some(database) => command.env("HOOKSTREAM_DATABASE_URL", with_password(&database.url())),
        };
        command.env("HOOKSTREAM_BOOTSTRAP_API_KEY", KEY).env("HOOKSTREAM_ENCRYPTION_KEY", ENCRYPTION_KEY);
        command.env("HOOKSTREAM_API_RATE_LIMIT_PER_ADDRESS", "1000000").env("HOOKSTREAM_OIDC_PROVIDERS", PROVIDERS);
        command.stdout(file.try_clone().expect("a file")).stderr(file);
        let child = command.spawn().expect("the process starts");
        let mut started = Self { child, url: String::new(), log };
        started.url = eventually("the server is ready", async || {
            started.log().lines().find(|line| line.contains(" is ready at ")).and_then(first_url)
        })
        .await;
        started
    }

    /// Printed set-up link for the first owner.
    fn setup_link(&self) -> String {
        self.log().lines().find(|line| line.contains("#token=")).and_then(first_url).expect("no user exists yet")
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).expect("a file")).into_owned()
    }

    /// Stops the server in order. Returns its whole log.
    async fn stop(mut self) -> String {
        let status = std::process::Command::new("kill").arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(status.success());
        eventually("the server ends", || std::future::ready(self.child.try_wait().expect("a child process"))).await;
        self.log()
    }
}

impl Drop for LoggingServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the database URL with a password; the test server accepts any.
fn with_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let (user, host) = rest.split_once('@').expect("a user");
    let user = user.split(':').next().unwrap_or(user);
    format!("{scheme}://{user}:{PASSWORD}@{host}")
}

/// Operations that end the session or delete resources that the others need.
const LAST: [&str; 5] = ["signOut", "endSession", "endAllSessions", "deleteApplication", "deleteEnvironment"];

/// All secrets that have come up.
struct Secrets {
    /// Secrets shown once to the requester, and sealed in the store.
    sealed: Mutex<Vec<String>>,
}

impl Secrets {
    fn add(&self, secret: &str) {
        let mut sealed = self.sealed.lock().expect("no panic");
        sealed.push(secret.to_owned());
        // The part after the prefix is equally secret.
        sealed.extend(secret.strip_prefix("whsec_").or_else(|| secret.strip_prefix("whsk_")).map(str::to_owned));
    }

    /// Adds the secrets that a response shows once.
    fn add_shown(&self, operation: &str, response: &Value) {
        let shown = match operation {
            "createEndpoint" => &response["endpoint"]["signing_secret"],
            "rotateSigningSecret" | "rotatePortalSecret" | "revealSigningSecret" | "revealPortalSecret" => {
                for previous in response["previous_secrets"].as_array().into_iter().flatten() {
                    self.add(previous["signing_secret"].as_str().expect("a secret"));
                }
                &response["signing_secret"]
            }
            "createApiKey" | "rotateApiKey" => &response["key"],
            "createPortalAccess" => &response["token"],
            "createInvitation" => &response["url"],
            "startDevice" => &response["device_code"],
            _ => return,
        };
        // The secret of a link is the part after the `#`.
        shown.as_str().into_iter().for_each(|shown| self.add(shown.rsplit("#token=").next().unwrap_or(shown)));
    }

    /// Returns the known secrets, and those of `more`, that a text contains.
    fn found_in(&self, text: &str, more: &[&str]) -> Vec<String> {
        let sealed = self.sealed.lock().expect("no panic");
        let all = sealed.iter().map(String::as_str).chain(more.iter().copied());
        all.filter(|secret| text.contains(secret)).map(str::to_owned).collect()
    }
}

/// Sends a request by HTTP/2, because other code reads and logs its headers.
async fn by_http2(url: &str, method: Method, path: &str, headers: &[(&str, &str)], body: String) -> (u16, String) {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let mut request = Request::builder().method(method).uri(format!("{url}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = client.request(request.body(Full::new(body.into())).expect("a request")).await.expect("a response");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (head.status.as_u16(), String::from_utf8_lossy(&body).into_owned())
}

/// Returns invalid bodies, each with a secret in it.
fn invalid_bodies(right: &Value) -> Vec<String> {
    let misplaced = [json!(MISPLACED), json!([MISPLACED]), json!({ "a": MISPLACED }), json!([[[MISPLACED]]])];
    let mut bodies = vec![
        format!("{{\"signing_secret\":\"{SUPPLIED_SECRET}\",\"payload\":\"{PAYLOAD}"),
        format!("[\"{SUPPLIED_SECRET}\", {{\"payload\": \"{PAYLOAD}\"}}]"),
        format!("\"{MISPLACED}\""),
        format!("{{\"a\":\"{MISPLACED}\"}} {MISPLACED}"),
        format!("{{\"a\":\"{MISPLACED}\\u0000\\ud800\"}}"),
        MISPLACED.to_owned(),
    ];
    for (name, value) in [
        ("signing_secret", json!(format!("{SUPPLIED_SECRET}="))),
        ("signing_secret", json!(SUPPLIED_SECRET.replace("whsec_", "whsk_"))),
        ("headers", json!({ "authorization": format!("{HEADER}\n") })),
        ("headers", json!({ "a b": HEADER })),
        ("payload", json!({ "a": PAYLOAD })),
    ] {
        let mut body = right.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.insert(name.to_owned(), value);
            bodies.push(body.to_string());
        }
    }
    let others = ["rate_limit", "timeout_ms", "expires_at", "scopes", "networks", "batch", "retry_schedule", "limit", "weight", "statuses"];
    let own = right.as_object().into_iter().flatten().flat_map(|(name, _)| misplaced.iter().map(move |value| (name.as_str(), value)));
    for (name, value) in own.chain(others.into_iter().map(|name| (name, &misplaced[0]))) {
        let mut body = right.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.insert(name.to_owned(), value.clone());
            bodies.push(body.to_string());
        }
    }
    bodies
}

/// Returns true if an error may quote the value: a taken or invalid name.
fn may_quote(error: &Value) -> bool {
    let field = error["details"]["field"].as_str().unwrap_or_default();
    ["filter_types", "networks", "statuses", "event_types", "scopes"].contains(&field)
        || ["uid_taken", "name_taken"].contains(&error["code"].as_str().unwrap_or_default())
}

/// Creates secrets, and has messages delivered with them.
async fn fill(client: &TestClient, plain: &Receiver, secure: &Receiver, secrets: &Secrets) {
    for (receiver, secret) in [(plain, Some(SUPPLIED_SECRET)), (secure, None)] {
        let mut body = json!({ "url": receiver.url(), "headers": { "authorization": format!("Bearer {HEADER}") } });
        if let Some(secret) = secret {
            body["signing_secret"] = secret.into();
        }
        let (status, response) = client.post("/v1/applications/acme/endpoints", body).await;
        assert_eq!(status, 201, "{response}");
        secrets.add_shown("createEndpoint", &response);
    }
    for number in 0..3 {
        client.message(json!({ "number": number, "text": PAYLOAD })).await;
    }
    for receiver in [plain, secure] {
        let received = receiver.wait_for(3).await;
        assert!(received.iter().all(|received| received.header("authorization").contains(HEADER)), "the receiver gets its own headers");
        assert!(received.iter().all(|received| String::from_utf8_lossy(&received.body).contains(PAYLOAD)));
    }
}

/// Calls an operation in every invalid way, and checks that no response contains a secret.
async fn call_with_invalid_requests(url: &str, client: &TestClient, victim: &Victim, operation: &Operation, secrets: &Secrets) {
    let Operation { id, method, path, .. } = operation;
    let path = victim.path(path, true);
    let right = body_of(id).unwrap_or_else(|| panic!("{id} has no entry in tenancy.rs"));
    let check = |status: u16, response: &str, how: &str| {
        let response: Value = serde_json::from_str(response).unwrap_or_else(|_| panic!("{id}: not JSON: {response}"));
        secrets.add_shown(id, &response);
        assert_ne!(status, 500, "{id} {how}: {response}");
        if status >= 400 {
            let known = if may_quote(&response) { vec![HEADER, PAYLOAD] } else { vec![HEADER, PAYLOAD, MISPLACED] };
            let found = secrets.found_in(&response.to_string(), &known);
            assert!(found.is_empty(), "{id} {how}: {response} has {found:?}");
        }
    };
    let (bearer, cookie) = (format!("Bearer {INVALID_KEY}"), format!("better-auth.session_token={INVALID_KEY}"));
    for presented in [("x-api-key", INVALID_KEY), ("authorization", bearer.as_str()), ("cookie", cookie.as_str())] {
        if operation.audience == Audience::Anonymous {
            continue;
        }
        let (status, response) = by_http2(url, method.clone(), &path, &[presented], right.to_string()).await;
        assert_eq!(status, 401, "{id}: {response}");
        check(status, &response, presented.0);
    }
    // Operations that succeed anyway might delete resources that the others need; they are called validly elsewhere.
    if *method == Method::DELETE || *method == Method::GET {
        return;
    }
    let cookie = victim.owner.cookie().unwrap_or_default();
    let token = format!("Bearer {}", victim.portal);
    let own = match operation.audience {
        Audience::User => ("cookie", cookie.as_str()),
        Audience::Customer => ("authorization", token.as_str()),
        Audience::Caller | Audience::Listener | Audience::Anonymous => ("x-api-key", KEY),
    };
    let bodies = invalid_bodies(&right);
    for (number, body) in bodies.into_iter().enumerate() {
        let (status, response) = if number % 8 == 0 {
            by_http2(url, method.clone(), &path, &[own], body.clone()).await
        } else {
            let has_key = matches!(operation.audience, Audience::Caller | Audience::Listener | Audience::Anonymous);
            let client = if has_key { client.clone() } else { client.with_key("") };
            let response = client.try_send(method.clone(), &path, &[own], body.clone()).await.expect("a response");
            (response.status().as_u16(), String::from_utf8_lossy(response.body()).into_owned())
        };
        check(status, &response, &body);
    }
}

/// Calls an operation validly: only operations that create a secret may show it.
async fn call_with_valid_request(client: &TestClient, victim: &Victim, operation: &Operation, secrets: &Secrets) {
    let Operation { id, method, path, .. } = operation;
    let right = body_of(id).unwrap_or_else(|| panic!("{id} has no entry in tenancy.rs"));
    let text = if right.is_null() { String::new() } else { right.to_string() };
    let path = victim.path(path, true);
    let response = match operation.audience {
        Audience::User => victim.owner.try_send(method.clone(), &path, &[], text).await,
        Audience::Customer => {
            let token = format!("Bearer {}", victim.portal);
            client.with_key("").try_send(method.clone(), &path, &[("authorization", &token)], text).await.expect("a response")
        }
        Audience::Caller | Audience::Listener | Audience::Anonymous => {
            client.try_send(method.clone(), &path, &[], text).await.expect("a response")
        }
    };
    let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_slice(response.body()).into_iter().collect();
    // The metrics are text; an export has one line per entry.
    let text = || vec![Value::String(String::from_utf8_lossy(response.body()).into_owned())];
    let response = match values.unwrap_or_else(|_| if id == "getMetrics" { text() } else { panic!("{id}: not JSON") }) {
        mut one if id != "exportAuditLog" => one.pop().unwrap_or_else(|| panic!("{id}: empty response")),
        several => Value::Array(several),
    };
    if id.starts_with("reveal") {
        return;
    }
    // Only earlier secrets are searched for here, because an operation that creates a secret shows it.
    let text = response.to_string();
    let found = secrets.found_in(&text, &[INVALID_KEY]);
    let reveals = ["revealSigningSecret", "revealPortalSecret"].contains(&id.as_str());
    assert!(found.is_empty() || reveals, "{id}: {response} has {found:?}");
    let listing = [
        "explainMessage",
        "listLanes",
        "getUsage",
        "listNodes",
        "getMetrics",
        "listBackups",
        "listJobs",
        "getJob",
        "listAuditLog",
        "exportAuditLog",
    ];
    if listing.contains(&id.as_str()) {
        assert!(!text.contains(HEADER) && !text.contains(PAYLOAD), "{id}: {response}");
    }
    secrets.add_shown(id, &response);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_appear_in_no_log_error_or_file() {
    let (scratch, directory) = (scratch(), tempfile::tempdir().expect("a directory"));
    let authority = Authority::new();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).expect("written");
    let server = LoggingServer::start(&scratch, &directory, &["--target-ca-file", ca.to_str().expect("text")]).await;
    let client = TestClient::new(&server.url, KEY);
    let secrets = Secrets { sealed: Mutex::default() };
    [KEY, ENCRYPTION_KEY, SUPPLIED_SECRET, PASSWORD, CLIENT_SECRET].into_iter().for_each(|secret| secrets.add(secret));
    // The link was printed for the first owner, and is used up now.
    let link = server.setup_link();
    let owner = Visitor::set_up(&client, &link).await;
    secrets.add(OWNERS_PASSWORD);
    secrets.add(owner.cookie().expect("signed in").trim_start_matches("better-auth.session_token="));
    let victim = Victim::make_with(&client, owner).await;
    secrets.add(&victim.portal);
    let (status, factor) = victim.owner.post("/v1/auth/second-factor", json!({ "password": OWNERS_PASSWORD })).await;
    assert_eq!(status, 200, "{factor}");
    secrets.add(factor["secret"].as_str().expect("a secret"));
    let plain = Receiver::start().await;
    // Over HTTP/2.
    let secure = Receiver::secure(authority.issue(&["127.0.0.1"]).server(&["h2"]), |_| CannedResponse::status(204)).await;
    fill(&client, &plain, &secure, &secrets).await;

    let mut operations = operations(&client).await;
    for operation in &operations {
        call_with_invalid_requests(&server.url, &client, &victim, operation, &secrets).await;
    }
    // Deletions come last, and the application, which contains the others, at the very end.
    operations.sort_by_key(|operation| (operation.method == Method::DELETE, LAST.contains(&operation.id.as_str())));
    let (others, deletions): (Vec<_>, Vec<_>) = operations.into_iter().partition(|operation| operation.method != Method::DELETE);
    for operation in &others {
        call_with_valid_request(&client, &victim, operation, &secrets).await;
    }
    check_store(&scratch, &secrets, "while everything is there").await;
    for operation in &deletions {
        call_with_valid_request(&client, &victim, operation, &secrets).await;
    }
    let url = server.url.clone();
    let wrong = run(&["send", "--url", &url, "--app", "acme", "--api-key", INVALID_KEY, "--type", "a.b"], &[]);
    let log = server.stop().await;
    secrets.add(&portal_key(&scratch).await);

    for sign_of_life in ["TRACE", "DEBUG", "req_", "/v1/applications"] {
        assert!(log.contains(sign_of_life), "the log is incomplete: {sign_of_life}");
    }
    let never = [HEADER, PAYLOAD, MISPLACED, INVALID_KEY];
    let found = secrets.found_in(&log, &never);
    let line = found.first().and_then(|secret| log.lines().find(|line| line.contains(secret.as_str())));
    assert!(found.is_empty(), "the log has {found:?}: {line:?}");
    assert!(secrets.found_in(&printed_by(&wrong), &never).is_empty(), "{}", printed_by(&wrong));
    check_store(&scratch, &secrets, "after everything").await;
    let count = secrets.sealed.lock().expect("no panic").len();
    assert!(count > 20, "only {count} secrets came up");
}

/// Searches the files or tables of the store, as an attacker without the key would.
async fn check_store(scratch: &Scratch, secrets: &Secrets, when: &str) {
    let stored = String::from_utf8_lossy(&stolen(scratch).await).into_owned();
    assert!(stored.contains("theirs.made") && stored.contains("enc:v1:"), "{when}: not a dump");
    let found = secrets.found_in(&stored, &[INVALID_KEY]);
    assert!(found.is_empty(), "{when}: the store has {found:?}");
}

/// Returns the key that signs portal tokens, which is never shown.
async fn portal_key(scratch: &Scratch) -> String {
    let store = scratch.open_store().await;
    let keys: Keys = ENCRYPTION_KEY.parse().expect("a key");
    vault_keys::unlock(&*store, keys, StdRng::seed_from_u64(1)).await.expect("unlocked");
    let key = portal_keys::current(&*store).await.expect("read").expect("a signing key");
    store.close().await;
    assert_eq!(key.secret.expose().len(), 64);
    key.secret.expose().to_owned()
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = hookstream();
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
    command.output().expect("the command runs")
}

fn printed_by(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn rejected_start_shows_no_secret() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let data = data.to_str().expect("text");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--log", "trace", "--data-dir", data];
    let check = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = run(arguments, environment);
        let printed = printed_by(&output);
        assert!(!output.status.success() && !printed.is_empty(), "{arguments:?} {environment:?}: {printed}");
        for secret in [MISPLACED, PASSWORD, &KEY[8..], ENCRYPTION_KEY, CLIENT_SECRET] {
            assert!(!printed.contains(secret), "{arguments:?} {environment:?}: {printed}");
        }
    };
    check(&serve, &[("HOOKSTREAM_BOOTSTRAP_API_KEY", MISPLACED)]);
    check(&serve, &[("HOOKSTREAM_BOOTSTRAP_API_KEY", &format!("{KEY}0"))]);
    check(&serve, &[("HOOKSTREAM_ENCRYPTION_KEY", MISPLACED)]);
    check(&serve, &[("HOOKSTREAM_ENCRYPTION_KEY", &format!("{ENCRYPTION_KEY},{MISPLACED}"))]);
    let from = ("HOOKSTREAM_MAIL_FROM", "hooks@example.com");
    for url in [
        PASSWORD.to_owned(),
        format!("smtp://u:{PASSWORD}@127.0.0.1:port"),
        format!("smtp://u:{PASSWORD}@mail.example.com?tls=none"),
        format!("smtp://{PASSWORD}@127.0.0.1"),
        format!("https://u:{PASSWORD}@127.0.0.1"),
    ] {
        check(&serve, &[("HOOKSTREAM_SMTP_URL", &url), from]);
        check(&["admin", "test-mail", "ada@example.com"], &[("HOOKSTREAM_SMTP_URL", &url), from]);
    }
    check(&["admin", "test-mail", "ada@example.com"], &[("HOOKSTREAM_SMTP_URL", &format!("smtp://u:{PASSWORD}@127.0.0.1:1")), from]);
    for wrong in [
        PROVIDERS.replace("\"name\"", "\"title\""),
        PROVIDERS.replace("http:", "ftp:"),
        PROVIDERS.replace("client_secret", "client_secrets"),
        PROVIDERS.replace("\"secret-of-the-client\"", "[\"secret-of-the-client\"]"),
        PROVIDERS.replace("[{", "{"),
        format!("\"{CLIENT_SECRET}\""),
    ] {
        check(&serve, &[("HOOKSTREAM_OIDC_PROVIDERS", &wrong)]);
    }
    for url in [
        format!("postgres://u:{PASSWORD}@127.0.0.1:1/db"),
        format!("postgres://u:{PASSWORD}@127.0.0.1:port/db"),
        format!("postgres://u:{PASSWORD}@127.0.0.1:1/db?sslmode=none&password={MISPLACED}"),
        format!("host=127.0.0.1 port=1 user=u password={PASSWORD} nonsense"),
        format!("mysql://u:{PASSWORD}@127.0.0.1:1/db"),
        PASSWORD.to_owned(),
    ] {
        check(&["serve", "--listen", "127.0.0.1:0", "--log", "trace"], &[("HOOKSTREAM_DATABASE_URL", &url)]);
        check(&["migrate", "--database-url", &url], &[]);
        check(&["doctor", "--database-url", &url], &[]);
        check(&["admin", "rotate-key", "--database-url", &url], &[("HOOKSTREAM_ENCRYPTION_KEY", ENCRYPTION_KEY)]);
    }
    let file = directory.path().join("hookstream.toml");
    for text in [
        format!("encryption_key = {ENCRYPTION_KEY}"),
        format!("encryption_keys = \"{ENCRYPTION_KEY}\""),
        format!("bootstrap_api_key = [\"{KEY}\"]"),
        format!("retention_days = \"{KEY}\""),
        format!("smtp_url = [\"smtp://u:{PASSWORD}@h\"]"),
        format!("oidc_providers = \"{CLIENT_SECRET}\""),
        format!("[[oidc_providers]]\nname = \"a\"\nissuer = \"https://a.example\"\nclient_id = [\"{CLIENT_SECRET}\"]"),
        format!("database_url = [\"postgres://u:{PASSWORD}@127.0.0.1:1/db\"]"),
        format!("database_url = \"postgres://u:{PASSWORD}@127.0.0.1:1/db"),
    ] {
        std::fs::write(&file, text).expect("written");
        check(&["serve", "--listen", "127.0.0.1:0", "--config", file.to_str().expect("text")], &[]);
    }
    check(&["sink", "--listen", "127.0.0.1:0", "--secret", &format!("whsec_{MISPLACED}")], &[]);
    check(&["send", "--url", "http://127.0.0.1:1", "--app", "acme", "--api-key", MISPLACED, "--type", "a.b"], &[]);
    check(&["send", "--url", "http://127.0.0.1:1", "--app", "acme", "--api-key", &format!("{MISPLACED}\u{7}"), "--type", "a.b"], &[]);
}
