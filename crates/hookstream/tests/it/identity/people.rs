//! Users: set-up, sign-in, and permissions.

use std::{io::Write, process::Stdio};

use http::{Method, header};
use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};

use crate::support::{
    Server, hookstream, scratch,
    visitor::{PASSWORD, Visitor, token},
};

#[tokio::test(flavor = "multi_thread")]
async fn first_owner_set_up_works_once() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let link = server.setup_link.clone().expect("no user exists yet");
    let visitor = Visitor::new(&server);
    let body = |password: &str| json!({ "token": token(&link), "email": "Ada@Example.com", "password": password });
    for (password, reason) in [("short", "too short"), ("password1234", "leaked"), ("ada@example.com", "too easy to guess")] {
        let (status, refusal) = visitor.post("/v1/auth/setup", body(password)).await;
        assert_eq!((status, &refusal["details"]["field"]), (400, &json!("password")), "{refusal}");
        assert!(refusal["error"].as_str().is_some_and(|error| error.contains(reason)), "{refusal}");
    }
    let response = visitor.try_send(Method::POST, "/v1/auth/setup", &[], body(PASSWORD).to_string()).await;
    assert_eq!(response.status(), 200, "{:?}", response.body());
    let cookie = response.headers()[header::SET_COOKIE].to_str().expect("text").to_owned();
    assert!(cookie.starts_with("better-auth.session_token=") && cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let (status, session) = visitor.get("/v1/auth/session").await;
    assert_eq!((status, &session["user"]["email"], &session["memberships"][0]["role"]), (200, &json!("ada@example.com"), &json!("owner")));
    // The owner sees the same resources as the bootstrap key.
    let (status, created) = visitor.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    assert_eq!(status, 201, "{created}");
    assert_eq!(server.client.get("/v1/applications/acme").await.0, 200);

    let other = Visitor::new(&server);
    let (status, refusal) = other.post("/v1/auth/setup", body(PASSWORD)).await;
    assert_eq!((status, &refusal["code"]), (410, &json!("link_over")));
    let (status, _) = visitor.post("/v1/auth/sign-out", json!({})).await;
    assert_eq!((status, visitor.cookie()), (200, None));
    assert_eq!(visitor.get("/v1/auth/session").await.0, 401);
    server.kill();
    let server = Server::start(&scratch, &[]);
    assert_eq!(server.setup_link, None, "a user exists");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_reveals_no_known_users_and_is_limited_after_failures() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    Visitor::owner(&server).await;
    let without_request_id = |(status, mut response): (u16, Value)| {
        response.as_object_mut().expect("an object").remove("request_id");
        (status, response)
    };
    for attempt in 0..5 {
        let known = without_request_id(Visitor::new(&server).sign_in("owner@example.com", "wrong wrong wrong", None).await);
        let unknown = without_request_id(Visitor::new(&server).sign_in("nobody@example.com", "wrong wrong wrong", None).await);
        assert_eq!((known.0, &known.1["code"]), (401, &json!("wrong_credentials")), "{attempt}");
        assert_eq!(known, unknown);
    }
    for email in ["owner@example.com", "nobody@example.com"] {
        let body = json!({ "email": email, "password": PASSWORD }).to_string();
        let response = Visitor::new(&server).try_send(Method::POST, "/v1/auth/sign-in", &[], body).await;
        assert_eq!(response.status(), 429, "{email}");
        let wait: u64 = response.headers()[header::RETRY_AFTER].to_str().expect("text").parse().expect("seconds");
        assert!((1..=2).contains(&wait), "{wait}");
    }
    // After the wait the right password is accepted, and the count is reset.
    hookstream_testkit::eventually("the user signs in", async || {
        (Visitor::new(&server).sign_in("owner@example.com", PASSWORD, None).await.0 == 200).then_some(())
    })
    .await;
    for _ in 0..4 {
        assert_eq!(Visitor::new(&server).sign_in("owner@example.com", "wrong wrong wrong", None).await.0, 401);
    }
    assert_eq!(Visitor::new(&server).sign_in("owner@example.com", PASSWORD, None).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_guesses_cannot_exceed_the_free_failures() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    Visitor::owner(&server).await;
    let guess = |number: u32| {
        let visitor = Visitor::new(&server);
        async move { visitor.sign_in("owner@example.com", &format!("wrong wrong {number}"), None).await.0 }
    };
    let mut guesses: tokio::task::JoinSet<_> = (0..40).map(guess).collect();
    let mut responses = Vec::new();
    while let Some(response) = guesses.join_next().await {
        responses.push(response.expect("answered"));
    }
    let checked = responses.iter().filter(|status| **status == 401).count();
    assert!((1..10).contains(&checked), "{checked} of 40 guesses were checked");
    assert!(responses.iter().all(|status| matches!(status, 401 | 429)), "{responses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn second_factor_is_required_and_each_code_works_once() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let owner = Visitor::owner(&server).await;
    let elsewhere = Visitor::new(&server);
    assert_eq!(elsewhere.sign_in("owner@example.com", PASSWORD, None).await.0, 200);
    assert_eq!(owner.post("/v1/auth/second-factor", json!({ "password": "wrong wrong wrong" })).await.0, 403);
    let (status, created) = owner.post("/v1/auth/second-factor", json!({ "password": PASSWORD })).await;
    assert_eq!(status, 200, "{created}");
    assert!(
        created["uri"].as_str().is_some_and(|uri| uri.starts_with("otpauth://totp/Hookstream:owner%40example.com?secret=")),
        "{created}"
    );
    let totp = totp(created["secret"].as_str().expect("a secret"));
    assert_eq!(owner.post("/v1/auth/second-factor/confirm", json!({ "code": "000000" })).await.0, 400);
    let now = seconds();
    let (status, confirmed) = owner.post("/v1/auth/second-factor/confirm", json!({ "code": code(&totp, now) })).await;
    assert_eq!(status, 200, "{confirmed}");
    let recovery = confirmed["recovery_codes"].as_array().expect("codes").clone();
    assert_eq!(recovery.len(), 10);
    assert_eq!(elsewhere.get("/v1/auth/session").await.0, 401, "other sessions have ended");

    let visitor = Visitor::new(&server);
    let (status, refusal) = visitor.sign_in("owner@example.com", PASSWORD, None).await;
    assert_eq!((status, &refusal["code"]), (401, &json!("second_factor_required")));
    let (status, refusal) = visitor.sign_in("owner@example.com", PASSWORD, Some(&code(&totp, now))).await;
    assert_eq!((status, &refusal["code"]), (401, &json!("wrong_code")), "the code was used for the confirmation");
    let next = code(&totp, now + 30);
    let (status, session) = visitor.sign_in("owner@example.com", PASSWORD, Some(&next)).await;
    assert_eq!((status, &session["session"]["method"]), (200, &json!("second_factor")), "{session}");
    assert_eq!(Visitor::new(&server).sign_in("owner@example.com", PASSWORD, Some(&next)).await.0, 401);

    let lost = recovery[0].as_str().expect("a code");
    assert_eq!(Visitor::new(&server).sign_in("owner@example.com", PASSWORD, Some(&lost.to_uppercase())).await.0, 200);
    assert_eq!(Visitor::new(&server).sign_in("owner@example.com", PASSWORD, Some(lost)).await.0, 401);
    assert_eq!(visitor.get("/v1/auth/session").await.1["recovery_codes"], 9);
    assert_eq!(visitor.post("/v1/auth/second-factor", json!({ "password": PASSWORD })).await.0, 409);
    // A session and the password alone cannot remove the second factor.
    let disable = async |code: Option<&str>| {
        let (status, response) = visitor.post("/v1/auth/second-factor/disable", json!({ "password": PASSWORD, "code": code })).await;
        (status, response["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(disable(None).await, (403, "second_factor_required".to_owned()));
    assert_eq!(disable(Some("000000")).await, (403, "wrong_code".to_owned()));
    let (status, refusal) = visitor.post("/v1/auth/recovery-codes", json!({ "password": PASSWORD })).await;
    assert_eq!((status, &refusal["code"]), (403, &json!("second_factor_required")));
    assert_eq!(disable(recovery[1].as_str()).await.0, 200);
    assert_eq!(Visitor::new(&server).sign_in("owner@example.com", PASSWORD, None).await.0, 200);
}

pub(crate) fn totp(secret: &str) -> Totp {
    Builder::new().with_secret(Secret::try_from_base32(secret).expect("base32")).build().expect("a secret of 20 bytes")
}

pub(crate) fn code(totp: &Totp, seconds: u64) -> String {
    totp.generate(seconds).to_string()
}

pub(crate) fn seconds() -> u64 {
    u64::try_from(crate::outbound::expiry::now().as_seconds()).expect("after 1970")
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_organization_is_closed_until_restored() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let owner = Visitor::owner(&server).await;
    let admin = owner.invite(&server, "admin@example.com", "admin").await;
    let organization = format!("/v1/organizations/{}", owner.organization().await);
    assert_eq!(admin.patch(&organization, json!({ "name": "Renamed" })).await.1["organization"]["name"], "Renamed");
    assert_eq!(admin.delete(&organization).await.1["code"], "owner_needed");
    assert_eq!(server.client.delete(&organization).await.1["code"], "owner_needed", "no key can delete the organization");
    assert_eq!(owner.delete(&organization).await.0, 200);
    assert_eq!(server.client.get("/v1/applications").await.0, 401);
    assert_eq!(admin.get("/v1/applications").await.1["code"], "no_organization");
    let (_, listed) = owner.get("/v1/organizations").await;
    assert!(listed["organizations"][0]["deleted_at"].is_string(), "{listed}");
    assert_eq!(admin.post(&format!("{organization}/restore"), json!({})).await.0, 403);
    assert_eq!(owner.post(&format!("{organization}/restore"), json!({})).await.0, 200);
    assert_eq!(server.client.get("/v1/applications").await.0, 200);
    assert_eq!(admin.get("/v1/applications").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_environment_is_purged_after_its_grace_period() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let owner = Visitor::owner(&server).await;
    let mut ids = Vec::new();
    for slug in ["empty", "full"] {
        let (_, created) = owner.post("/v1/environments", json!({ "name": slug, "slug": slug })).await;
        ids.push(created["environment"]["id"].as_str().expect("an id").to_owned());
    }
    let (_, key) = owner.post("/v1/auth/api-keys", json!({ "name": "full", "env_id": ids[1] })).await;
    let full = server.client.with_key(key["key"].as_str().expect("a key"));
    full.acme(json!({}), "http://127.0.0.1:9/").await;
    full.message(json!(1)).await;
    for id in &ids {
        assert_eq!(owner.delete(&format!("/v1/environments/{id}")).await.0, 200);
    }
    let cookie = owner.cookie().expect("signed in");
    server.kill();
    let server = Server::start(&scratch, &["--deletion-grace-days", "0"]);
    let get = async |path: String| server.client.with_key("").send(Method::GET, &path, &[("cookie", &cookie)], "").await;
    hookstream_testkit::eventually("the empty environment is purged", async || {
        (get(format!("/v1/environments/{}", ids[0])).await.0 == 404).then_some(())
    })
    .await;
    // The other environment stays until its messages expire, but its configuration is deleted, and it is empty after
    // a restore.
    let (status, restored) =
        server.client.with_key("").send(Method::POST, &format!("/v1/environments/{}/restore", ids[1]), &[("cookie", &cookie)], "").await;
    assert_eq!(status, 200, "{restored}");
    hookstream_testkit::eventually("no configuration is left", async || {
        let (_, listed) = get(format!("/v1/applications?env_id={}", ids[1])).await;
        (listed["applications"] == json!([])).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn device_gets_a_key_after_approval() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let owner = Visitor::owner(&server).await;
    let viewer = owner.invite(&server, "viewer@example.com", "viewer").await;
    let device = server.client.with_key("");
    let (status, started) = device.post("/v1/auth/device", json!({ "name": "laptop" })).await;
    assert_eq!((status, &started["expires_in"], &started["interval"]), (200, &json!(900), &json!(5)), "{started}");
    let user_code = started["user_code"].as_str().expect("a code").to_owned();
    assert!(user_code.len() == 9 && user_code.as_bytes()[4] == b'-', "{user_code}");
    let ask = async || device.post("/v1/auth/device/token", json!({ "device_code": started["device_code"] })).await;
    assert_eq!(ask().await.1["code"], "authorization_pending");
    assert_eq!(ask().await.1["code"], "slow_down");
    let path = format!("/v1/auth/device/{}", user_code.to_lowercase());
    assert_eq!(owner.get(&path).await.1["device"]["name"], "laptop");
    assert_eq!(viewer.post(&format!("{path}/allow"), json!({})).await.0, 403, "a viewer cannot create keys");
    assert_eq!(owner.post(&format!("{path}/allow"), json!({})).await.0, 200);
    assert_eq!(owner.post(&format!("{path}/deny"), json!({})).await.0, 404, "the request is already decided");
    let (status, allowed) = ask().await;
    assert_eq!((status, &allowed["api_key"]["name"]), (200, &json!("laptop")), "{allowed}");
    let key = allowed["api_key"]["key"].as_str().expect("a key");
    assert_eq!(server.client.with_key(key).get("/v1/applications").await.0, 200);
    assert_eq!(ask().await.1["code"], "expired_token", "the key is returned once");

    let (_, started) = device.post("/v1/auth/device", json!({})).await;
    let path = format!("/v1/auth/device/{}", started["user_code"].as_str().expect("a code"));
    assert_eq!(owner.post(&format!("{path}/deny"), json!({})).await.0, 200);
    let (status, denied) = device.post("/v1/auth/device/token", json!({ "device_code": started["device_code"] })).await;
    assert_eq!((status, &denied["code"]), (400, &json!("access_denied")));
}

#[tokio::test(flavor = "multi_thread")]
async fn owner_is_created_by_a_command() {
    let scratch = scratch();
    Server::start(&scratch, &[]).kill();
    let create = |arguments: &[&str], input: &str| {
        let mut command = hookstream();
        command.args(["admin", "create-owner"]).args(arguments);
        match &scratch.database {
            Some(database) => command.args(["--database-url", &database.url()]),
            None => command.args(["--data-dir", scratch.path().to_str().expect("text")]),
        };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the process starts");
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
        let output = child.wait_with_output().expect("the process ends");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    };
    let (is_done, output) = create(&["--email", "ada@example.com", "--password-stdin"], "password1234\n");
    assert!(!is_done && output.contains("leaked"), "{output}");
    let (is_done, output) = create(&["--email", "ada@example.com", "--password-stdin"], &format!("{PASSWORD}\n"));
    assert!(is_done && output.contains("ada@example.com is an owner"), "{output}");
    let (is_done, output) = create(&["--email", "grace@example.com", "--name", "Grace"], "");
    assert!(is_done, "{output}");
    let link = output.split_whitespace().find(|word| word.contains("#token=")).expect("a link").to_owned();
    let (is_done, output) = create(&["--email", "nonsense"], "");
    assert!(!is_done && output.contains("`email` must be an email address"), "{output}");

    let server = Server::start(&scratch, &[]);
    assert_eq!(server.setup_link, None, "the set-up is complete");
    assert_eq!(Visitor::new(&server).sign_in("ada@example.com", PASSWORD, None).await.0, 200);
    let grace = Visitor::new(&server);
    assert_eq!(grace.post("/v1/auth/password/reset", json!({ "token": token(&link), "password": PASSWORD })).await.0, 200);
    assert_eq!(grace.get("/v1/auth/session").await.1["memberships"][0]["role"], "owner");
    assert_eq!(grace.post("/v1/auth/password/reset", json!({ "token": token(&link), "password": PASSWORD })).await.0, 410);
}

#[tokio::test(flavor = "multi_thread")]
async fn command_line_logs_in_and_sends() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let owner = Visitor::owner(&server).await;
    assert_eq!(owner.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await.0, 201);
    let home = tempfile::tempdir().expect("a directory");
    let command = |arguments: &[&str]| {
        let mut command = hookstream();
        command.args(arguments).env_remove("XDG_CONFIG_HOME").env("HOME", home.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let send = ["send", "--app", "acme", "--type", "a.b", "--data", "1"];
    let output = command(&send).output().expect("the command runs");
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("hookstream login"), "{output:?}");

    let mut login = command(&["login", "--url", &server.url, "--no-browser", "--name", "laptop"]).spawn().expect("the process starts");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(login.stdout.take().expect("piped"))).map_while(Result::ok);
    let code = lines.by_ref().find_map(|line| Some(line.split_once("?code=")?.1.to_owned())).expect("a code");
    assert_eq!(owner.post(&format!("/v1/auth/device/{code}/allow"), json!({})).await.0, 200);
    let status = tokio::task::spawn_blocking(move || login.wait()).await.expect("waited").expect("the process ends");
    assert!(status.success());
    assert!(lines.any(|line| line.starts_with("Logged in to ")));
    let saved = home.path().join(".config/hookstream/config.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&saved).expect("the file exists").permissions());
    assert_eq!(mode & 0o777, 0o600);
    let output = command(&send).output().expect("the command runs");
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).starts_with("accepted "), "{output:?}");
    // The key is not sent to another server.
    let output = command(&[&send[..], &["--url", "http://127.0.0.1:9"]].concat()).output().expect("the command runs");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no API key"), "{output:?}");

    let output = command(&["login", "--url", &server.url, "--api-key", "hs_live_wrong"]).output().expect("the command runs");
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("not saved"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_load_only_from_this_server() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let visitor = Visitor::new(&server);
    for path in [
        "/sign-in",
        "/setup",
        "/invitation",
        "/forgot-password",
        "/sign-in/callback/acme",
        "/reset-password",
        "/dashboard",
        "/dashboard/cli-auth?code=ABCD-EFGH",
        "/dashboard/messages?status=failed",
    ] {
        let page = visitor.try_send(Method::GET, path, &[], String::new()).await;
        assert_eq!(
            (page.status().as_u16(), &page.headers()["content-type"]),
            (200, &http::HeaderValue::from_static("text/html; charset=utf-8"))
        );
        let policy = page.headers()["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        let text = String::from_utf8_lossy(page.body()).into_owned();
        assert!(text.contains("Hookstream") && !text.contains("http"), "{path}");
    }
}
