//! Settings in force: each with its value as text, and where the value comes from. `hookstream config` prints them, and a
//! reload compares them.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Args, CommandFactory};
use hookstream_model::base::secret::{HIDDEN, Secret};

use super::{
    Settings, file,
    without_flag::{WITHOUT_FLAG, variable},
};

/// Origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Flag of the command line.
    Flag(String),
    /// Environment variable.
    Variable(String),
    /// Line of the configuration file, from 1.
    File(PathBuf, usize),
    Default,
}

/// Setting in force.
#[derive(Debug, Clone)]
pub(crate) struct InForce {
    pub(crate) name: String,
    /// Value for people: secrets are hidden, and a default is described as in the help.
    pub(crate) shown: String,
    pub(crate) is_secret: bool,
    pub(crate) origin: Origin,
    /// Value as given; `None` for the default.
    given: Option<Secret>,
}

impl InForce {
    /// Returns whether two settings have the same value, wherever it comes from.
    pub(crate) fn has_value_of(&self, other: &Self) -> bool {
        self.given == other.given
    }
}

/// Returns the settings in force for a command line, an environment without empty values, and the file that these name.
///
/// # Errors
/// The command has no settings of the server, or the file cannot be read. Values are not checked.
pub(crate) fn list(arguments: &[OsString], environment: &[(String, String)]) -> anyhow::Result<Vec<InForce>> {
    let typed = crate::arguments::typed(crate::Cli::command(), arguments).context("the arguments are those of this process")?;
    let text_of = |name: &str| -> Option<String> {
        let mut values = typed.try_get_raw(name).ok()??;
        Some(values.next()?.to_string_lossy().into_owned())
    };
    let of_environment = |name: &str| environment.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
    let path = text_of("config").or_else(|| of_environment("HOOKSTREAM_CONFIG")).map(PathBuf::from);
    let entries = match &path {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            file::entries(&text.with_context(|| format!("could not read the configuration file {}", path.display()))?)
        }
        None => Vec::new(),
    };
    let in_file = |name: &str| {
        let (_, line, value) = entries.iter().find(|(key, _, value)| key == name && value.as_str() != Some(""))?;
        Some((Origin::File(path.clone()?, *line), file::as_text(value).unwrap_or_else(|| value.to_string())))
    };
    let find = |name: &str, variable: &str| {
        let typed = text_of(name).map(|text| (Origin::Flag(format!("--{}", name.replace('_', "-"))), text));
        let set = || of_environment(variable).filter(|text| !is_of_kubernetes(variable, text));
        typed.or_else(|| set().map(|text| (Origin::Variable(variable.to_owned()), text))).or_else(|| in_file(name))
    };
    let command = Settings::augment_args(clap::Command::new("settings"));
    let with_flag = command.get_arguments().map(|argument| {
        let name = argument.get_id().to_string();
        let found = find(&name, &argument.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default());
        in_force(name, found, default_of(argument), argument.is_hide_env_values_set())
    });
    let others = WITHOUT_FLAG.iter().map(|name| in_force((*name).to_owned(), find(name, &variable(name)), "none".to_owned(), true));
    let mut all: Vec<_> = with_flag.chain(others).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

/// Returns whether a variable is one that Kubernetes sets for a service named `hookstream`.
fn is_of_kubernetes(name: &str, text: &str) -> bool {
    name == "HOOKSTREAM_PORT" && text.contains("://")
}

fn in_force(name: String, found: Option<(Origin, String)>, default: String, is_secret: bool) -> InForce {
    match found {
        Some((origin, text)) => {
            let shown = if is_secret { masked(&name, &text) } else { text.clone() };
            InForce { shown, is_secret, origin, given: Some(Secret::new(text)), name }
        }
        None => InForce { shown: default, is_secret, origin: Origin::Default, given: None, name },
    }
}

/// Returns the default of a setting as its help describes it: the text after `[default: `.
fn default_of(argument: &clap::Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let text = help.rsplit_once("[default: ").and_then(|(_, text)| text.split_once(']')).map(|(text, _)| text.to_owned());
    text.unwrap_or_else(|| "none".to_owned())
}

/// Returns a secret value for people: a URL without its password, the names of identity providers, else nothing of it.
fn masked(name: &str, text: &str) -> String {
    if name == "oidc_providers" {
        return names_of_providers(text);
    }
    let Some(mut url) = url::Url::parse(text).ok().filter(url::Url::has_host) else { return HIDDEN.to_owned() };
    if url.password().is_some() && url.set_password(Some(HIDDEN)).is_err() {
        return HIDDEN.to_owned();
    }
    let pairs: Vec<_> = url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
    if pairs.iter().any(|(key, _)| key.contains("password")) {
        let hide = |(key, value): (String, String)| if key.contains("password") { (key, HIDDEN.to_owned()) } else { (key, value) };
        url.query_pairs_mut().clear().extend_pairs(pairs.into_iter().map(hide));
    }
    url.to_string()
}

/// Returns the names of identity providers, in JSON or TOML.
fn names_of_providers(text: &str) -> String {
    let names = |value: &serde_json::Value| -> Option<Vec<String>> {
        value.as_array()?.iter().map(|provider| Some(provider["name"].as_str()?.to_owned())).collect()
    };
    let of_json = serde_json::from_str(text).ok();
    let of_toml = || {
        let table: toml::Table = toml::from_str(&format!("providers = {text}")).ok()?;
        serde_json::to_value(table).ok().map(|value| value["providers"].clone())
    };
    of_json.or_else(of_toml).as_ref().and_then(names).map_or_else(|| HIDDEN.to_owned(), |names| names.join(","))
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File(path, line) => write!(f, "file {}:{line}", Path::display(path)),
            Self::Default => f.write_str("default"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(arguments: &[&str], environment: &[(&str, &str)]) -> Vec<InForce> {
        let arguments: Vec<_> = [&["hookstream", "serve"], arguments].concat().iter().map(OsString::from).collect();
        let environment: Vec<_> = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        list(&arguments, &environment).expect("settings")
    }

    fn one<'a>(all: &'a [InForce], name: &str) -> &'a InForce {
        all.iter().find(|setting| setting.name == name).expect("a setting")
    }

    #[test]
    fn value_comes_from_flag_then_variable_then_file_then_default() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("h.toml");
        std::fs::write(&path, "# settings\nretention_days = 7\nlog = \"warn\"\nallow_targets = [\"10.0.0.0/8\", \"::1\"]\nlisten = \":1\"")
            .expect("written");
        let file = path.to_str().expect("text");
        let environment =
            [("HOOKSTREAM_CONFIG", file), ("HOOKSTREAM_LISTEN", ":2"), ("HOOKSTREAM_LOG", "debug"), ("HOOKSTREAM_PORT", "tcp://h:1")];
        let all = listed(&["--listen", ":3"], &environment);
        let check = |name: &str, shown: &str, origin: Origin| {
            let found = one(&all, name);
            assert_eq!((found.shown.as_str(), &found.origin), (shown, &origin), "{name}");
        };
        check("listen", ":3", Origin::Flag("--listen".to_owned()));
        check("log", "debug", Origin::Variable("HOOKSTREAM_LOG".to_owned()));
        check("retention_days", "7", Origin::File(path.clone(), 2));
        check("allow_targets", "10.0.0.0/8,::1", Origin::File(path.clone(), 4));
        check("timeout_ms", "20000", Origin::Default);
        check("port", "none", Origin::Default);
        check("smtp_url", "none", Origin::Default);
    }

    #[test]
    fn secrets_are_masked() {
        let providers = r#"[{"name": "google", "client_secret": "hunter2"}]"#;
        let environment = [
            ("HOOKSTREAM_DATABASE_URL", "postgres://ada:hunter2@db/hooks?sslpassword=hunter2&sslmode=require"),
            ("HOOKSTREAM_SMTP_URL", "smtp://ada:hunter2@mail.example.com:587"),
            ("HOOKSTREAM_ENCRYPTION_KEY", "hunter2"),
            ("HOOKSTREAM_BOOTSTRAP_API_KEY", "hs_live_hunter2"),
            ("HOOKSTREAM_OIDC_PROVIDERS", providers),
        ];
        let all = listed(&[], &environment);
        assert_eq!(one(&all, "database_url").shown, "postgres://ada:***@db/hooks?sslpassword=***&sslmode=require");
        assert_eq!(one(&all, "smtp_url").shown, "smtp://ada:***@mail.example.com:587");
        assert_eq!((one(&all, "encryption_key").shown.as_str(), one(&all, "oidc_providers").shown.as_str()), ("***", "google"));
        assert!(!format!("{all:?}").contains("hunter2"));
        assert_eq!(masked("database_url", "host=db password=hunter2"), "***");
    }

    #[test]
    fn table_of_the_documentation_has_each_setting_with_its_default() {
        let text = include_str!("../../../../docs/reference/configuration.md");
        let rows = text
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| line.split(" | ").collect::<Vec<_>>())
            .filter(|row| row.len() >= 4);
        let mut described = std::collections::BTreeMap::new();
        for row in rows {
            let plain = |text: &str| text.trim_matches(['|', ' ']).replace('`', "");
            for name in plain(row[0]).split(", ") {
                assert!(described.insert(name.to_owned(), plain(row[1])).is_none(), "{name} is described twice");
            }
        }
        for setting in listed(&[], &[]) {
            let default =
                described.remove(&setting.name).unwrap_or_else(|| panic!("{} is not in docs/reference/configuration.md", setting.name));
            let numeric = setting.shown.chars().all(|c| c.is_ascii_digit() || c == ',');
            assert!(
                !numeric || default.starts_with(&setting.shown),
                "{}: the help says {}, the documentation {default}",
                setting.name,
                setting.shown
            );
        }
        assert!(described.is_empty(), "docs/reference/configuration.md describes settings that do not exist: {described:?}");
    }
}
