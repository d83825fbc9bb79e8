//! Servers of others that tests talk to: a mail server and a provider of OpenID Connect, each a process of its own on
//! loopback. `scripts/test-services` sees to it that there is a Python to run them.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use serde_json::Value;

use crate::eventually;

/// A script that runs; killed when dropped.
struct Script {
    child: Child,
    /// The first line that it printed.
    greeting: String,
    printed: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("it stands in the workspace");
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

/// A mail server, with what it has taken.
pub struct MailServer(Script);

/// A mail as the server took it.
#[derive(Debug, Clone)]
pub struct Taken {
    /// From whom, by the envelope.
    pub from: String,
    /// For whom, by the envelope.
    pub to: Vec<String>,
    /// Its lines, up to the first empty one.
    pub head: Vec<String>,
    /// The lines behind it; those that quoted-printable has broken are whole.
    pub text: String,
    /// Whether it came over TLS.
    pub encrypted: bool,
    /// Who had signed in.
    pub user: Option<String>,
}

impl MailServer {
    /// Starts one with the options of `scripts/test_smtp.py`.
    pub fn start(options: &Value) -> Self {
        Self(Script::start("test_smtp.py", &[&options.to_string()]))
    }

    /// Its port at 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.0.greeting.parse().expect("it prints its port")
    }

    /// What it has taken so far.
    pub fn taken(&self) -> Vec<Taken> {
        self.0.printed.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|line| read(line)).collect()
    }

    /// Waits until it has taken so many mails.
    pub async fn wait_for(&self, count: usize) -> Vec<Taken> {
        eventually(&format!("{count} mails"), async || Some(self.taken()).filter(|taken| taken.len() >= count)).await
    }
}

impl Taken {
    /// What a header says, where it is there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.head.iter().filter_map(|line| line.split_once(": ")).filter(|(given, _)| given.eq_ignore_ascii_case(name));
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value)
    }

    /// The link in it.
    pub fn link(&self) -> Option<&str> {
        self.text.lines().find(|line| line.contains("#token="))
    }
}

fn read(line: &str) -> Taken {
    let mail: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no mail: {line}"));
    let text = |name: &str| mail[name].as_str().map(str::to_owned);
    let data = text("data").expect("its data").replace("\r\n", "\n");
    let (head, body) = data.split_once("\n\n").expect("a head and a body");
    let is_quoted = head.contains("quoted-printable");
    Taken {
        from: text("from").expect("a sender"),
        to: mail["to"].as_array().expect("recipients").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        head: head.replace("\n ", " ").lines().map(str::to_owned).collect(),
        text: if is_quoted { body.replace("=\n", "").replace("=3D", "=") } else { body.to_owned() },
        encrypted: mail["encrypted"] == true,
        user: text("user"),
    }
}

/// A provider of OpenID Connect.
pub struct Provider(Script);

impl Provider {
    /// Who may ask it.
    pub const CLIENT_ID: &str = "hookstream-tests";
    /// With which secret, which has characters that have to be escaped.
    pub const CLIENT_SECRET: &str = "client-secret+of/the tests%";

    /// Starts one.
    pub fn start() -> Self {
        Self(Script::start("test_oidc.py", &[Self::CLIENT_ID, Self::CLIENT_SECRET]))
    }

    /// Its issuer.
    pub fn issuer(&self) -> &str {
        &self.0.greeting
    }
}
