//! Mail: invitations and links for forgotten passwords by a real mail server, and what becomes of them where that fails.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

use hookstream_testkit::{services::MailServer, tls::Authority};
use serde_json::{Value, json};

use crate::{
    support::{Scratch, Server, hookstream, scratch},
    visitor::{PASSWORD, Visitor, token},
};

const SMTP_PASSWORD: &str = "p@ss/of%the mail server";
const FROM: &str = "Hookstream <hooks@example.com>";

/// A mail server with TLS and a password, and the settings that reach it.
struct Post {
    server: MailServer,
    url: String,
    ca: String,
    directory: tempfile::TempDir,
}

impl Post {
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

/// A server that sends mail by `post`, and writes all it has to say into a file.
fn start(scratch: &Scratch, environment: &[(&str, &str)], said: &Path) -> Server {
    Server::start_with(scratch, &["--public-url", "http://hooks.example.com", "--log", "trace"], environment, Some(said))
}

fn test_mail(environment: &[(&str, &str)]) -> Output {
    hookstream().args(["admin", "test-mail", "ada@example.com"]).envs(environment.iter().copied()).output().expect("it runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_goes_by_mail_and_proves_whose_the_address_is() {
    let (scratch, post) = (scratch(), Post::start(&json!({}), false));
    let said = post.directory.path().join("said");
    let server = start(&scratch, &post.environment(), &said);
    let owner = Visitor::owner(&server).await;
    let organization = format!("/v1/organizations/{}", owner.organization().await);
    // What users call things stands in the text, on one line, and in no header.
    let (status, refused) = owner.patch(&organization, json!({ "name": "Ex\u{e4}mple \u{202e}Ltd" })).await;
    assert_eq!((status, &refused["details"]["field"]), (400, &json!("name")), "{refused}");
    let name = "Ex\u{e4}mple Ltd";
    assert_eq!(owner.patch(&organization, json!({ "name": name })).await.0, 200);
    let (status, made) = owner.post(&format!("{organization}/invitations"), json!({ "email": "ada@example.com", "role": "admin" })).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!((&made["sent"], &made["url"]), (&json!(1), &Value::Null), "the link is for Ada alone");
    assert!(made["invitation"]["sent_at"].is_string(), "{made}");

    let taken = post.server.wait_for(1).await;
    let mail = &taken[0];
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
    let said = std::fs::read_to_string(&said).expect("a file");
    assert!(said.contains("/invitations"), "it has said all");
    for secret in [token(&link).as_str(), SMTP_PASSWORD, "p%40ss"] {
        assert!(!said.contains(secret), "{secret} stands in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_forgot_their_password_gets_a_link_and_nobody_learns_who_is_known() {
    let (scratch, post) = (scratch(), Post::start(&json!({}), true));
    let said = post.directory.path().join("said");
    let server = start(&scratch, &post.environment(), &said);
    let owner = Visitor::owner(&server).await;
    let visitor = Visitor::new(&server);
    let ask = async |email: &str| {
        let (status, mut answer) = visitor.post("/v1/auth/password/forgot", json!({ "email": email })).await;
        answer.as_object_mut().expect("an object").remove("request_id");
        (status, answer)
    };
    assert_eq!(ask("nobody@example.com").await, (200, json!({ "success": true })));
    assert_eq!(ask("Owner@example.com").await, (200, json!({ "success": true })));
    let first = post.server.wait_for(1).await[0].clone();
    assert_eq!((first.to.as_slice(), first.encrypted), (&["owner@example.com".to_owned()][..], true));
    assert_eq!(first.header("subject"), Some("Set a new password for Hookstream"));
    assert_eq!(ask("owner@example.com").await.0, 200);
    let second = post.server.wait_for(2).await[1].clone();
    assert_ne!(first.header("message-id"), second.header("message-id"));
    let link = |mail: &hookstream_testkit::services::Taken| token(mail.link().expect("a link"));
    let body = |token: &str| json!({ "token": token, "password": "gravel plum seven teapot" });
    let (status, _) = visitor.post("/v1/auth/password/reset", body(&link(&first))).await;
    assert_eq!(status, 410, "there is a newer one");
    assert_eq!(visitor.post("/v1/auth/password/reset", body(&link(&second))).await.0, 200);
    assert_eq!(visitor.post("/v1/auth/password/reset", body(&link(&second))).await.0, 410, "it is good once");
    assert_eq!(visitor.get("/v1/auth/session").await.1["user"]["email"], "owner@example.com");
    assert_eq!(owner.get("/v1/auth/session").await.0, 401, "other sessions are over");
    assert_eq!(Visitor::new(&server).sign_in("owner@example.com", PASSWORD, None).await.0, 401);

    // Four mails to an address, then the next wait, whether somebody is there or not.
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
    post.server.wait_for(4).await;
    drop(server);
    let said = std::fs::read_to_string(&said).expect("a file");
    for secret in post.server.taken().iter().map(link) {
        assert!(!said.contains(&secret), "a link stands in the log");
    }
    assert!(post.server.taken().iter().all(|mail| mail.to == ["owner@example.com"]), "nobody else got one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_may_pass_later_is_sent_again() {
    let (scratch, post) = (scratch(), Post::start(&json!({ "refuse_first": 1 }), false));
    let server = start(&scratch, &post.environment(), &post.directory.path().join("said"));
    Visitor::owner(&server).await;
    assert_eq!(Visitor::new(&server).post("/v1/auth/password/forgot", json!({ "email": "owner@example.com" })).await.0, 200);
    let end = Instant::now() + Duration::from_secs(40);
    while post.server.taken().is_empty() {
        assert!(Instant::now() < end, "it is not sent again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Invites somebody by a mail server that fails, and checks what is said and that nothing was done.
async fn fails(environment: &[(&str, &str)], within: Duration, expected: (u16, &str, &str)) {
    let scratch = scratch();
    let directory = tempfile::tempdir().expect("a directory");
    let server = start(&scratch, environment, &directory.path().join("said"));
    let owner = Visitor::owner(&server).await;
    let path = format!("/v1/organizations/{}/invitations", owner.organization().await);
    let began = Instant::now();
    let (status, answer) = owner.post(&path, json!({ "email": "ada@example.com", "role": "viewer" })).await;
    assert!(began.elapsed() < within, "{:?}", began.elapsed());
    assert_eq!((status, answer["code"].as_str().unwrap_or_default()), (expected.0, expected.1), "{answer}");
    assert!(answer["error"].as_str().is_some_and(|error| error.contains(expected.2)), "{answer}");
    assert_eq!(owner.get(&path).await.1["invitations"], json!([]), "nobody is invited");
    let (_, log) = owner.get("/v1/audit-log?action=invitation.create").await;
    assert_eq!(log["audit_log"], json!([]), "{log}");
    // The command says the same.
    let output = test_mail(environment);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(expected.2), "{said}");
    assert!(!said.contains("p%40ss") && !said.contains(SMTP_PASSWORD), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_refuses_is_told_of_and_nothing_is_half_done() {
    let soon = Duration::from_secs(8);
    let post = Post::start(&json!({ "refuse": "550 5.1.1 no such mailbox http://leak.example/#token=1" }), false);
    fails(&post.environment(), soon, (502, "mail_failed", "the mail server refused the email (SMTP code 550)")).await;
    let post = Post::start(&json!({ "password": "another" }), false);
    fails(&post.environment(), soon, (502, "mail_failed", "refused the user name or the password of smtp_url (SMTP code 535)")).await;
    // Its certificate is of an authority that nobody told us of.
    let [url, from, _] = post.environment();
    fails(&[url, from], soon, (502, "mail_failed", "the TLS connection to the mail server failed")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mail_goes_over_a_connection_that_is_not_encrypted_unless_asked_to() {
    let server = MailServer::start(&json!({}));
    let url = format!("smtp://127.0.0.1:{}", server.port());
    let from = ("HOOKSTREAM_MAIL_FROM", FROM);
    fails(&[("HOOKSTREAM_SMTP_URL", &url), from], Duration::from_secs(8), (502, "mail_failed", "does not offer STARTTLS")).await;
    assert!(server.taken().is_empty());
    let output = test_mail(&[("HOOKSTREAM_SMTP_URL", &format!("{url}?tls=none")), from]);
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("accepted a mail to ada@example.com"),
        "{output:?}"
    );
    let taken = server.wait_for(1).await;
    assert_eq!((taken[0].encrypted, taken[0].header("subject")), (false, Some("A test of Hookstream's mail")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_down_or_slow_holds_nobody_up() {
    let from = ("HOOKSTREAM_MAIL_FROM", FROM);
    fails(&[("HOOKSTREAM_SMTP_URL", "smtp://127.0.0.1:1"), from], Duration::from_secs(8), (502, "mail_failed", "cannot be reached")).await;
    let slow = MailServer::start(&json!({ "slow": 600 }));
    let url = format!("smtp://127.0.0.1:{}", slow.port());
    let (scratch, directory) = (scratch(), tempfile::tempdir().expect("a directory"));
    let environment = [("HOOKSTREAM_SMTP_URL", url.as_str()), from];
    let server = start(&scratch, &environment, &directory.path().join("said"));
    let owner = Visitor::owner(&server).await;
    // Forgetting one's password takes no longer than ever.
    let began = Instant::now();
    for email in ["owner@example.com", "nobody@example.com"] {
        assert_eq!(owner.post("/v1/auth/password/forgot", json!({ "email": email })).await.0, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let path = format!("/v1/organizations/{}/invitations", owner.organization().await);
    let (status, answer) = owner.post(&path, json!({ "email": "ada@example.com", "role": "viewer" })).await;
    assert_eq!((status, &answer["code"]), (502, &json!("mail_failed")), "{answer}");
    assert!(answer["error"].as_str().is_some_and(|error| error.contains("did not answer in time")), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(owner.get(&path).await.1["invitations"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_mail_goes_out_it_is_said_what_to_do() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let owner = Visitor::owner(&server).await;
    let (status, answer) = owner.post("/v1/auth/password/forgot", json!({ "email": "owner@example.com" })).await;
    assert_eq!((status, &answer["code"]), (409, &json!("no_mail")), "{answer}");
    assert!(answer["error"].as_str().is_some_and(|error| error.contains("hookstream admin password-link")), "{answer}");
    drop(server);

    let link = |email: &str| {
        let mut command = hookstream();
        command.args(["admin", "password-link", "--email", email]).env("HOOKSTREAM_PUBLIC_URL", "https://hooks.example.com");
        match &scratch.database {
            None => command.arg("--data-dir").arg(scratch.path()),
            Some(database) => command.args(["--database-url", &database.url()]),
        };
        command.output().expect("it runs")
    };
    let output = link("nobody@example.com");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("there is no user with the address nobody@example.com"), "{said}");
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
