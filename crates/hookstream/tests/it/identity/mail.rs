//! Mail: invitations and password reset links through a real mail server, and the handling of its failures.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

use hookstream_testkit::{services::MailServer, tls::Authority};
use serde_json::{Value, json};

use crate::support::{
    Scratch, Server, hookstream, scratch,
    visitor::{PASSWORD, Visitor, token},
};

const SMTP_PASSWORD: &str = "p@ss/of%the mail server";
const FROM: &str = "Hookstream <hooks@example.com>";

/// Mail server with TLS and a password, and the settings that reach it.
struct MailSetup {
    server: MailServer,
    url: String,
    ca: String,
    directory: tempfile::TempDir,
}

impl MailSetup {
    fn start(more: &Value, implicit: bool) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let authority = Authority::new();
        let (certificate, key) = authority.issue(&["localhost"]).pem();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("written");
            path.to_str().expect("text").to_owned()
        };
        let ca = write("ca.pem", &authority.pem());
        let mut options = json!({
            "certificate": write("certificate.pem", &certificate),
            "key": write("key.pem", &key),
            "implicit": implicit,
            "user": "hooks@example.com",
            "password": SMTP_PASSWORD,
        });
        options.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let server = MailServer::start(&options);
        let scheme = if implicit { "smtps" } else { "smtp" };
        let url = format!("{scheme}://hooks%40example.com:p%40ss%2Fof%25the%20mail%20server@localhost:{}", server.port());
        Self { server, url, ca, directory }
    }

    fn environment(&self) -> [(&str, &str); 3] {
        [("HOOKSTREAM_SMTP_URL", &self.url), ("HOOKSTREAM_MAIL_FROM", FROM), ("HOOKSTREAM_SMTP_CA_FILE", &self.ca)]
    }
}

/// Starts a server that sends mail through `setup` and logs into a file.
fn start(scratch: &Scratch, environment: &[(&str, &str)], log: &Path) -> Server {
    Server::start_with(scratch, &["--public-url", "http://hooks.example.com", "--log", "trace"], environment, Some(log))
}

fn test_mail(environment: &[(&str, &str)]) -> Output {
    hookstream().args(["admin", "test-mail", "ada@example.com"]).envs(environment.iter().copied()).output().expect("the command runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn invitation_is_mailed_and_verifies_the_address() {
    let (scratch, setup) = (scratch(), MailSetup::start(&json!({}), false));
    let log = setup.directory.path().join("log");
    let server = start(&scratch, &setup.environment(), &log);
    let owner = Visitor::owner(&server).await;
    let organization = format!("/v1/organizations/{}", owner.organization().await);
    // Names chosen by users appear in the text, on one line, and in no header.
    let (status, refused) = owner.patch(&organization, json!({ "name": "Ex\u{e4}mple \u{202e}Ltd" })).await;
    assert_eq!((status, &refused["details"]["field"]), (400, &json!("name")), "{refused}");
    let name = "Ex\u{e4}mple Ltd";
    assert_eq!(owner.patch(&organization, json!({ "name": name })).await.0, 200);
    let (status, created) =
        owner.post(&format!("{organization}/invitations"), json!({ "email": "ada@example.com", "role": "admin" })).await;
    assert_eq!(status, 201, "{created}");
    assert_eq!((&created["sent"], &created["url"]), (&json!(1), &Value::Null), "the link is not shown to the inviter");
    assert!(created["invitation"]["sent_at"].is_string(), "{created}");

    let mails = setup.server.wait_for(1).await;
    let mail = &mails[0];
    assert_eq!((mail.from.as_str(), mail.to.as_slice()), ("hooks@example.com", &["ada@example.com".to_owned()][..]));
    assert_eq!((mail.encrypted, mail.user.as_deref()), (true, Some("hooks@example.com")));
    assert_eq!(mail.header("from"), Some("Hookstream <hooks@example.com>"));
    assert_eq!(mail.header("to"), Some("ada@example.com"));
    assert_eq!(mail.header("subject"), Some("Invitation to an organization on Hookstream"));
    assert_eq!(mail.header("auto-submitted"), Some("auto-generated"));
    let id = mail.header("message-id").expect("a Message-ID");
    assert!(id.len() == 46 && id.starts_with('<') && id.ends_with("@example.com>"), "{id}");
    assert!(mail.header("date").is_some_and(|date| date.ends_with("+0000") && date.contains(" 20")), "{:?}", mail.head);
    assert!(mail.text.contains("owner@example.com invited you") && mail.text.contains("Your role:    admin"), "{}", mail.text);
    assert!(mail.text.contains("mple Ltd") && !mail.text.contains('\u{202e}'), "{}", mail.text);
    let link = mail.link().expect("a link").to_owned();
    assert!(link.starts_with("http://hooks.example.com/invitation#token="), "{link}");

    let ada = Visitor::new(&server);
    let (status, session) = ada.post("/v1/auth/invitations/accept", json!({ "token": token(&link), "password": PASSWORD })).await;
    assert_eq!((status, &session["user"]["email"]), (200, &json!("ada@example.com")), "{session}");
    let (_, listed) = owner.get(&format!("{organization}/invitations")).await;
    assert_eq!(listed["invitations"], json!([]));
    drop(server);
    let log = std::fs::read_to_string(&log).expect("a file");
    assert!(log.contains("/invitations"), "the log is complete");
    for secret in [token(&link).as_str(), SMTP_PASSWORD, "p%40ss"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn password_reset_is_mailed_without_revealing_known_users() {
    let (scratch, setup) = (scratch(), MailSetup::start(&json!({}), true));
    let log = setup.directory.path().join("log");
    let server = start(&scratch, &setup.environment(), &log);
    let owner = Visitor::owner(&server).await;
    let visitor = Visitor::new(&server);
    let ask = async |email: &str| {
        let (status, mut response) = visitor.post("/v1/auth/password/forgot", json!({ "email": email })).await;
        response.as_object_mut().expect("an object").remove("request_id");
        (status, response)
    };
    assert_eq!(ask("nobody@example.com").await, (200, json!({ "success": true })));
    assert_eq!(ask("Owner@example.com").await, (200, json!({ "success": true })));
    let first = setup.server.wait_for(1).await[0].clone();
    assert_eq!((first.to.as_slice(), first.encrypted), (&["owner@example.com".to_owned()][..], true));
    assert_eq!(first.header("subject"), Some("Set a new password for Hookstream"));
    assert_eq!(ask("owner@example.com").await.0, 200);
    let second = setup.server.wait_for(2).await[1].clone();
    assert_ne!(first.header("message-id"), second.header("message-id"));
    let link = |mail: &hookstream_testkit::services::ReceivedMail| token(mail.link().expect("a link"));
    let body = |token: &str| json!({ "token": token, "password": "gravel plum seven teapot" });
    let (status, _) = visitor.post("/v1/auth/password/reset", body(&link(&first))).await;
    assert_eq!(status, 410, "a newer link exists");
    assert_eq!(visitor.post("/v1/auth/password/reset", body(&link(&second))).await.0, 200);
    assert_eq!(visitor.post("/v1/auth/password/reset", body(&link(&second))).await.0, 410, "a link works once");
    assert_eq!(visitor.get("/v1/auth/session").await.1["user"]["email"], "owner@example.com");
    assert_eq!(owner.get("/v1/auth/session").await.0, 401, "other sessions have ended");
    assert_eq!(Visitor::new(&server).sign_in("owner@example.com", PASSWORD, None).await.0, 401);

    // Four mails are sent to an address, then requests are limited, whether or not the user exists.
    for _ in 0..2 {
        assert_eq!(ask("owner@example.com").await.0, 200);
    }
    for _ in 0..3 {
        assert_eq!(ask("nobody@example.com").await.0, 200);
    }
    let (known, unknown) = (ask("owner@example.com").await, ask("nobody@example.com").await);
    assert_eq!((known.0, &known.1["code"]), (429, &json!("too_many_attempts")));
    assert_eq!(known, unknown);
    assert_eq!(ask("no address").await.0, 400);
    setup.server.wait_for(4).await;
    drop(server);
    let log = std::fs::read_to_string(&log).expect("a file");
    for secret in setup.server.received().iter().map(link) {
        assert!(!log.contains(&secret), "a link is in the log");
    }
    assert!(setup.server.received().iter().all(|mail| mail.to == ["owner@example.com"]), "no other address got mail");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_resent_after_a_temporary_failure() {
    let (scratch, setup) = (scratch(), MailSetup::start(&json!({ "refuse_first": 1 }), false));
    let server = start(&scratch, &setup.environment(), &setup.directory.path().join("log"));
    Visitor::owner(&server).await;
    assert_eq!(Visitor::new(&server).post("/v1/auth/password/forgot", json!({ "email": "owner@example.com" })).await.0, 200);
    let end = Instant::now() + Duration::from_secs(40);
    while setup.server.received().is_empty() {
        assert!(Instant::now() < end, "the mail is not resent");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Invites a user through a failing mail server; checks the error and that no invitation was created.
async fn fails(environment: &[(&str, &str)], within: Duration, expected: (u16, &str, &str)) {
    let scratch = scratch();
    let directory = tempfile::tempdir().expect("a directory");
    let server = start(&scratch, environment, &directory.path().join("log"));
    let owner = Visitor::owner(&server).await;
    let path = format!("/v1/organizations/{}/invitations", owner.organization().await);
    let began = Instant::now();
    let (status, response) = owner.post(&path, json!({ "email": "ada@example.com", "role": "viewer" })).await;
    assert!(began.elapsed() < within, "{:?}", began.elapsed());
    assert_eq!((status, response["code"].as_str().unwrap_or_default()), (expected.0, expected.1), "{response}");
    assert!(response["error"].as_str().is_some_and(|error| error.contains(expected.2)), "{response}");
    assert_eq!(owner.get(&path).await.1["invitations"], json!([]), "no invitation was created");
    let (_, log) = owner.get("/v1/audit-log?action=invitation.create").await;
    assert_eq!(log["audit_log"], json!([]), "{log}");
    // The command reports the same error.
    let output = test_mail(environment);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && log.contains(expected.2), "{log}");
    assert!(!log.contains("p%40ss") && !log.contains(SMTP_PASSWORD), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_rejection_is_reported_and_leaves_no_invitation() {
    let time_limit = Duration::from_secs(8);
    let setup = MailSetup::start(&json!({ "refuse": "550 5.1.1 no such mailbox http://leak.example/#token=1" }), false);
    fails(&setup.environment(), time_limit, (502, "mail_failed", "the mail server refused the email (SMTP code 550)")).await;
    let setup = MailSetup::start(&json!({ "password": "another" }), false);
    fails(&setup.environment(), time_limit, (502, "mail_failed", "refused the user name or the password of smtp_url (SMTP code 535)"))
        .await;
    // The certificate's authority is not trusted.
    let [url, from, _] = setup.environment();
    fails(&[url, from], time_limit, (502, "mail_failed", "the TLS connection to the mail server failed")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_requires_an_encrypted_connection_unless_disabled() {
    let server = MailServer::start(&json!({}));
    let url = format!("smtp://127.0.0.1:{}", server.port());
    let from = ("HOOKSTREAM_MAIL_FROM", FROM);
    fails(&[("HOOKSTREAM_SMTP_URL", &url), from], Duration::from_secs(8), (502, "mail_failed", "does not offer STARTTLS")).await;
    assert!(server.received().is_empty());
    let output = test_mail(&[("HOOKSTREAM_SMTP_URL", &format!("{url}?tls=none")), from]);
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("accepted a mail to ada@example.com"),
        "{output:?}"
    );
    let mails = server.wait_for(1).await;
    assert_eq!((mails[0].encrypted, mails[0].header("subject")), (false, Some("A test of Hookstream's mail")));
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_or_slow_mail_server_delays_no_request() {
    let from = ("HOOKSTREAM_MAIL_FROM", FROM);
    fails(&[("HOOKSTREAM_SMTP_URL", "smtp://127.0.0.1:1"), from], Duration::from_secs(8), (502, "mail_failed", "cannot be reached")).await;
    let slow = MailServer::start(&json!({ "slow": 600 }));
    let url = format!("smtp://127.0.0.1:{}", slow.port());
    let (scratch, directory) = (scratch(), tempfile::tempdir().expect("a directory"));
    let environment = [("HOOKSTREAM_SMTP_URL", url.as_str()), from];
    let server = start(&scratch, &environment, &directory.path().join("log"));
    let owner = Visitor::owner(&server).await;
    // A password reset request takes no longer than usual.
    let began = Instant::now();
    for email in ["owner@example.com", "nobody@example.com"] {
        assert_eq!(owner.post("/v1/auth/password/forgot", json!({ "email": email })).await.0, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let path = format!("/v1/organizations/{}/invitations", owner.organization().await);
    let (status, response) = owner.post(&path, json!({ "email": "ada@example.com", "role": "viewer" })).await;
    assert_eq!((status, &response["code"]), (502, &json!("mail_failed")), "{response}");
    assert!(response["error"].as_str().is_some_and(|error| error.contains("did not answer in time")), "{response}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(owner.get(&path).await.1["invitations"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_mail_configuration_is_explained() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let owner = Visitor::owner(&server).await;
    let (status, response) = owner.post("/v1/auth/password/forgot", json!({ "email": "owner@example.com" })).await;
    assert_eq!((status, &response["code"]), (409, &json!("no_mail")), "{response}");
    assert!(response["error"].as_str().is_some_and(|error| error.contains("hookstream admin password-link")), "{response}");
    drop(server);

    let link = |email: &str| {
        let mut command = hookstream();
        command.args(["admin", "password-link", "--email", email]).env("HOOKSTREAM_PUBLIC_URL", "https://hooks.example.com");
        match &scratch.database {
            None => command.arg("--data-dir").arg(scratch.path()),
            Some(database) => command.args(["--database-url", &database.url()]),
        };
        command.output().expect("the command runs")
    };
    let output = link("nobody@example.com");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && log.contains("there is no user with the address nobody@example.com"), "{log}");
    let output = link("owner@example.com");
    let printed = BufReader::new(&*output.stdout).lines().map_while(Result::ok).find(|line| line.contains("#token=")).expect("a link");
    assert!(printed.trim().starts_with("https://hooks.example.com/reset-password#token="), "{printed}");
    let server = Server::start(&scratch, &[]);
    let body = json!({ "token": token(printed.trim()), "password": "gravel plum seven teapot" });
    assert_eq!(Visitor::new(&server).post("/v1/auth/password/reset", body).await.0, 200);
    assert_eq!(Visitor::new(&server).sign_in("owner@example.com", "gravel plum seven teapot", None).await.0, 200);

    let output = test_mail(&[]);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("mail is not configured"), "{output:?}");
}
