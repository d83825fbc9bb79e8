//! Configuration as an operator checks it: `hookstream config`, `serve --check`, the manual pages.

use std::{
    net::TcpListener,
    process::{Command, Output},
};

use hookstream_testkit::services::{MailServer, Provider};
use serde_json::{Value, json};

use crate::support::{Server, hookstream, scratch};

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn config_shows_values_and_origins_without_secrets() {
    let scratch = scratch();
    let path = scratch.files.path().join("hookstream.toml");
    std::fs::write(&path, "# hooks\nretention_days = 7\nsmtp_url = \"smtp://ada:hunter2@mail.example.com\"\nmail_from = \"a@example.com\"")
        .expect("written");
    let run = |arguments: &[&str]| {
        let mut command = hookstream();
        command.args(["config", "--listen", ":9000", "--config"]).arg(&path).args(arguments).env("HOOKSTREAM_LOG", "debug");
        command.output().expect("the command runs")
    };
    let text = stdout(&run(&[]));
    let line = |name: &str| {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap_or_else(|| panic!("no {name}: {text}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let file = path.display();
    assert_eq!(line("listen"), "listen :9000 flag --listen");
    assert_eq!(line("log"), "log debug variable HOOKSTREAM_LOG");
    assert_eq!(line("retention_days"), format!("retention_days 7 file {file}:2"));
    assert_eq!(line("smtp_url"), format!("smtp_url smtp://ada:***@mail.example.com file {file}:3"));
    assert_eq!(line("timeout_ms"), "timeout_ms 20000 default");
    let all: Value = serde_json::from_str(&stdout(&run(&["--json"]))).expect("JSON");
    let found = all["settings"].as_array().and_then(|all| all.iter().find(|setting| setting["name"] == "smtp_url")).expect("a setting");
    let expected = json!({
        "name": "smtp_url", "value": "smtp://ada:***@mail.example.com", "source": "file", "place": format!("{file}:3"), "secret": true,
    });
    assert_eq!(*found, expected);
    let refused = run(&["--retention-days", "0"]);
    assert!(!refused.status.success(), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_each_part_and_changes_nothing() {
    let scratch = scratch();
    let data = scratch.files.path().join("data");
    let provider = Provider::start();
    let mail = MailServer::start(&json!({}));
    let providers = |issuer: &str| {
        json!([{ "name": "acme", "issuer": issuer, "client_id": Provider::CLIENT_ID, "client_secret": Provider::CLIENT_SECRET }])
            .to_string()
    };
    let check = |data: &std::path::Path, listen: &str, mail_port: u16, issuer: &str| {
        let mut command: Command = hookstream();
        command.args(["serve", "--check", "--listen", listen, "--data-dir"]).arg(data);
        command.env("HOOKSTREAM_SMTP_URL", format!("smtp://127.0.0.1:{mail_port}?tls=none")).env("HOOKSTREAM_MAIL_FROM", "a@example.com");
        command.env("HOOKSTREAM_OIDC_PROVIDERS", providers(issuer)).output().expect("the command runs")
    };
    let good = check(&data, "127.0.0.1:0", mail.port(), provider.issuer());
    let text = stdout(&good);
    assert!(good.status.success() && text.matches("ok      ").count() == 5, "{good:?}");
    for part in ["settings", "data directory", "listen 127.0.0.1:0: free", "mail server: it greets", "identity provider acme: http"] {
        assert!(text.contains(&format!("ok      {part}")), "{part}: {text}");
    }
    assert!(!data.exists(), "nothing was created");
    assert!(mail.received().is_empty(), "no mail was sent");

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let address = taken.local_addr().expect("an address").to_string();
    let bad = check(std::path::Path::new("/proc/hookstream"), &address, closed, &format!("http://127.0.0.1:{closed}"));
    let text = stdout(&bad);
    assert_eq!((bad.status.code(), text.matches("failed  ").count()), (Some(1), 4), "{text}");
    assert!(text.contains("set another address or port in listen") && text.contains("name another in data_dir"), "{text}");
    assert!(String::from_utf8_lossy(&bad.stderr).contains("4 checks failed"), "{bad:?}");

    let server = Server::start(&scratch, &[]);
    let beside = check(scratch.path(), &server.address(), mail.port(), provider.issuer());
    let text = stdout(&beside);
    assert!(beside.status.success() && text.contains("a server uses it now") && text.contains("most likely by the server"), "{text}");
}

#[test]
fn manual_has_a_page_for_each_command() {
    let directory = tempfile::tempdir().expect("a directory");
    let output = hookstream().arg("man").arg(directory.path()).output().expect("the command runs");
    assert!(output.status.success(), "{output:?}");
    let page = |name: &str| std::fs::read_to_string(directory.path().join(format!("{name}.1"))).expect(name);
    assert!(page("hookstream").contains(".TH hookstream 1") && page("hookstream-serve").contains("shutdown\\-drain\\-s"));
    assert!(page("hookstream-admin-rotate-key").contains("rotate\\-key"));
    assert!(!directory.path().join("hookstream-man.1").exists(), "hidden commands have no page");
}
