//! External servers for tests: a mail server and an OpenID Connect provider, each a process on loopback.
//! `scripts/test-services` installs the Python environment that runs them.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use serde_json::Value;

use crate::eventually;

/// Running script; killed when dropped.
struct Script {
    child: Child,
    /// First line of its output.
    greeting: String,
    printed: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is in the workspace");
        let python = std::env::var_os("HOOKSTREAM_TEST_PYTHON").map(PathBuf::from);
        let python = python.unwrap_or_else(|| root.join("target/test-services/bin/python"));
        let mut command = Command::new(&python);
        command.arg(root.join("scripts").join(name)).args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}; run scripts/test-services", python.display()));
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let greeting = lines.next().unwrap_or_else(|| panic!("{name} does not start; run scripts/test-services"));
        let printed: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&printed);
        thread::spawn(move || lines.for_each(|line| kept.lock().unwrap_or_else(PoisonError::into_inner).push(line)));
        Self { child, greeting, printed }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Mail server that records the mails it accepts.
pub struct MailServer(Script);

/// Mail accepted by the server.
#[derive(Debug, Clone)]
pub struct ReceivedMail {
    /// Sender in the envelope.
    pub from: String,
    /// Recipients in the envelope.
    pub to: Vec<String>,
    /// Header lines.
    pub head: Vec<String>,
    /// Body text, with quoted-printable line breaks removed.
    pub text: String,
    /// True if it arrived over TLS.
    pub encrypted: bool,
    /// Authenticated user.
    pub user: Option<String>,
}

impl MailServer {
    /// Starts a server with the options of `scripts/test_smtp.py`.
    pub fn start(options: &Value) -> Self {
        Self(Script::start("test_smtp.py", &[&options.to_string()]))
    }

    /// Port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.0.greeting.parse().expect("the first line is the port")
    }

    /// Mails accepted so far.
    pub fn received(&self) -> Vec<ReceivedMail> {
        self.0.printed.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|line| read(line)).collect()
    }

    /// Waits until `count` mails have been accepted.
    pub async fn wait_for(&self, count: usize) -> Vec<ReceivedMail> {
        eventually(&format!("{count} mails"), async || Some(self.received()).filter(|received| received.len() >= count)).await
    }
}

impl ReceivedMail {
    /// Returns the value of a header that occurs exactly once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.head.iter().filter_map(|line| line.split_once(": ")).filter(|(given, _)| given.eq_ignore_ascii_case(name));
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value)
    }

    /// Returns the line with a link in it.
    pub fn link(&self) -> Option<&str> {
        self.text.lines().find(|line| line.contains("#token="))
    }
}

fn read(line: &str) -> ReceivedMail {
    let mail: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not a mail: {line}"));
    let text = |name: &str| mail[name].as_str().map(str::to_owned);
    let data = text("data").expect("mail data").replace("\r\n", "\n");
    let (head, body) = data.split_once("\n\n").expect("a head and a body");
    let is_quoted = head.contains("quoted-printable");
    ReceivedMail {
        from: text("from").expect("a sender"),
        to: mail["to"].as_array().expect("recipients").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        head: head.replace("\n ", " ").lines().map(str::to_owned).collect(),
        text: if is_quoted { body.replace("=\n", "").replace("=3D", "=") } else { body.to_owned() },
        encrypted: mail["encrypted"] == true,
        user: text("user"),
    }
}

/// OpenID Connect provider.
pub struct Provider(Script);

impl Provider {
    /// Id of its only client.
    pub const CLIENT_ID: &str = "hookstream-tests";
    /// Secret of its client, with characters that must be escaped.
    pub const CLIENT_SECRET: &str = "client-secret+of/the tests%";

    /// Starts a provider.
    pub fn start() -> Self {
        Self(Script::start("test_oidc.py", &[Self::CLIENT_ID, Self::CLIENT_SECRET]))
    }

    /// Issuer of the provider.
    pub fn issuer(&self) -> &str {
        &self.0.greeting
    }
}
