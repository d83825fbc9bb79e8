//! Command line and environment. Each flag that names a variable takes its value from the variable, unless the flag
//! is given.
//!
//! This file reads the variables instead of clap, so that all follow the same rules: blanks and line ends around a
//! value do not count, an empty variable counts as unset, a flag wins over a variable that contradicts it, and an
//! error names the variable, its value and the allowed values.

use std::{error::Error as _, ffi::OsString};

use clap::{
    Arg, Command,
    builder::Resettable,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Variable that Kubernetes sets to an address if a service is named `hookstream`.
const KUBERNETES_PORT: &str = "HOOKSTREAM_PORT";

/// Reason to refuse a command line.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// clap's own output: help, the version, or an error in the arguments.
    Usage(clap::Error),
    /// A variable with a value that is not allowed.
    Variable(String),
}

/// Reads the arguments of a command, its subcommands included; the environment supplies the missing ones.
///
/// # Errors
/// Help and the version count as errors, as with clap.
pub(crate) fn parse(command: Command, arguments: &[OsString], environment: &[(String, OsString)]) -> Result<clap::ArgMatches, Refusal> {
    let (leaf, begin) = leaf_of(&command, arguments);
    let set = variables_for(leaf, &arguments[begin..], environment);
    let mut all = arguments[..begin].to_vec();
    all.extend(set.iter().map(|variable| variable.argument.clone()));
    all.extend_from_slice(&arguments[begin..]);
    without_variables(command).try_get_matches_from(all).map_err(|error| match about_variable(&error, &set) {
        Some(text) => Refusal::Variable(text),
        None => Refusal::Usage(error),
    })
}

/// Variable that applies, in the form of its argument.
struct Variable {
    name: String,
    flag: String,
    is_secret: bool,
    argument: OsString,
}

/// Parses what was typed, without the environment. Returns the matches of the subcommand.
///
/// # Errors
/// The arguments are invalid, or name no subcommand.
pub(crate) fn typed(command: Command, arguments: &[OsString]) -> Result<clap::ArgMatches, clap::Error> {
    let mut matches = without_variables(command).try_get_matches_from(arguments)?;
    while let Some((_, inner)) = matches.remove_subcommand() {
        matches = inner;
    }
    Ok(matches)
}

/// Returns the subcommand that the arguments name, and the index where its own arguments begin.
fn leaf_of<'a>(command: &'a Command, arguments: &[OsString]) -> (&'a Command, usize) {
    let mut leaf = command;
    let mut begin = arguments.len().min(1);
    while let Some(next) = arguments.get(begin).and_then(|word| leaf.find_subcommand(word)) {
        leaf = next;
        begin += 1;
    }
    (leaf, begin)
}

fn variables_for(leaf: &Command, given: &[OsString], environment: &[(String, OsString)]) -> Vec<Variable> {
    let value_of = |argument: &Arg| {
        let name = argument.get_env()?.to_str()?;
        let (_, value) = environment.iter().find(|(candidate, _)| candidate == name)?;
        let value = trimmed(value)?;
        (name != KUBERNETES_PORT || !value.to_string_lossy().contains("://")).then_some((name.to_owned(), value))
    };
    let conflicts = |argument: &Arg| leaf.get_arg_conflicts_with(argument);
    let given: Vec<&Arg> = leaf.get_arguments().filter(|argument| is_given(argument, given)).collect();
    let is_set = |argument: &Arg| given.iter().any(|other| other.get_id() == argument.get_id()) || value_of(argument).is_some();
    let counts = |argument: &&Arg| {
        let is_overruled = given.iter().any(|other| conflicts(other).iter().any(|id| id.get_id() == argument.get_id()));
        let is_itself = given.iter().any(|other| other.get_id() == argument.get_id());
        !is_itself && !is_overruled && !conflicts(argument).into_iter().any(is_set)
    };
    let arguments = leaf.get_arguments().filter(counts);
    let variable = |argument: &Arg| {
        let (name, value) = value_of(argument)?;
        let flag = format!("--{}", argument.get_long()?);
        let mut text = OsString::from(format!("{flag}="));
        text.push(value);
        Some(Variable { name, flag, is_secret: argument.is_hide_env_values_set(), argument: text })
    };
    arguments.filter_map(variable).collect()
}

/// Returns true if an argument was typed, by its long name or an alias.
fn is_given(argument: &Arg, given: &[OsString]) -> bool {
    let names: Vec<&str> = argument.get_long_and_visible_aliases().unwrap_or_default();
    let flags = given.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--");
    let mut flags = flags.filter_map(|word| word.strip_prefix("--")).map(|word| word.split_once('=').map_or(word, |(name, _)| name));
    flags.any(|flag| names.contains(&flag))
}

/// Returns a value without blanks and line ends around it; `None` if nothing remains.
fn trimmed(value: &OsString) -> Option<OsString> {
    match value.to_str() {
        Some(text) => Some(text.trim()).filter(|text| !text.is_empty()).map(OsString::from),
        None => Some(value.clone()),
    }
}

/// Returns the command with its variables removed, so that clap reads none; the help still names them.
fn without_variables(command: Command) -> Command {
    let command = command.mut_args(|argument| {
        let Some(name) = argument.get_env().map(|name| name.to_string_lossy().into_owned()) else { return argument };
        let help = argument.get_help().map_or_else(String::new, |help| format!("{help} "));
        argument.env(Resettable::Reset).help(format!("{help}[env: {name}]"))
    });
    command.mut_subcommands(without_variables)
}

/// Returns the message for an error that is about a variable.
fn about_variable(error: &clap::Error, set: &[Variable]) -> Option<String> {
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        return None;
    }
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return None };
    let flag = argument.split([' ', '=', '[']).next()?;
    let variable = set.iter().find(|variable| variable.flag == flag)?;
    let problem = problem_of(error);
    let name = &variable.name;
    match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) if !variable.is_secret => Some(sentence(&format!("{name} is {value:?}"), &problem)),
        _ => Some(sentence(name, &problem)),
    }
}

/// Returns the message of a value parser. All parsers of this crate begin it with `must be`.
pub(crate) fn problem_of(error: &clap::Error) -> String {
    if let Some(source) = error.source() {
        return source.to_string();
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(allowed)) if !allowed.is_empty() => format!("must be one of {}", allowed.join(", ")),
        _ => "is not allowed".to_owned(),
    }
}

/// Returns a sentence of a subject and a parser's message about its value.
pub(crate) fn sentence(subject: &str, problem: &str) -> String {
    if problem.starts_with("must ") && subject.contains(" is ") {
        format!("{subject}; it {problem}")
    } else {
        format!("{subject} {problem}")
    }
}

/// Returns the known name that is most similar to `given`, if any is similar.
pub(crate) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.map(|name| (strsim::jaro_winkler(given, name), name));
    scored.filter(|(likeness, _)| *likeness > 0.8).max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(subcommand)]
        command: Word,
    }

    #[derive(Debug, Subcommand)]
    enum Word {
        Work(Work),
    }

    #[derive(Debug, Args)]
    struct Work {
        #[arg(long, env = "HOOKSTREAM_DAYS", value_parser = crate::config::whole(1_u32, 9))]
        days: Option<u32>,
        #[arg(long, env = "HOOKSTREAM_DIR", conflicts_with = "url")]
        dir: Option<String>,
        #[arg(long, env = "HOOKSTREAM_FROM")]
        url: Option<String>,
        #[arg(long, env = "HOOKSTREAM_PORT")]
        port: Option<u16>,
        #[arg(long, env = "HOOKSTREAM_PIN", hide_env_values = true, value_parser = crate::config::whole(1_u32, 9))]
        pin: Option<u32>,
    }

    fn work(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Work, String> {
        let arguments: Vec<OsString> = [&["program", "work"], arguments].concat().into_iter().map(OsString::from).collect();
        let environment: Vec<_> = environment.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
        let matches = parse(Program::command(), &arguments, &environment).map_err(|refusal| match refusal {
            Refusal::Usage(error) => error.to_string(),
            Refusal::Variable(text) => text,
        })?;
        let Program { command: Word::Work(work) } = Program::from_arg_matches(&matches).expect("the arguments were checked");
        Ok(work)
    }

    #[test]
    fn variable_sets_its_flag_and_the_flag_wins() {
        assert_eq!(work(&[], &[("HOOKSTREAM_DAYS", "7")]).expect("taken").days, Some(7));
        assert_eq!(work(&["--days", "3"], &[("HOOKSTREAM_DAYS", "7")]).expect("taken").days, Some(3));
        assert_eq!(work(&["--days=3"], &[("HOOKSTREAM_DAYS", "junk")]).expect("taken").days, Some(3));
    }

    #[test]
    fn blanks_are_trimmed_and_empty_variable_is_unset() {
        assert_eq!(work(&[], &[("HOOKSTREAM_DAYS", " 7\r\n")]).expect("taken").days, Some(7));
        assert_eq!(work(&[], &[("HOOKSTREAM_FROM", "a b\n")]).expect("taken").url.as_deref(), Some("a b"));
        for empty in ["", " ", "\n"] {
            let work = work(&[], &[("HOOKSTREAM_DAYS", empty), ("HOOKSTREAM_DIR", empty), ("HOOKSTREAM_PIN", empty)]).expect("taken");
            assert!(work.days.is_none() && work.dir.is_none() && work.pin.is_none());
        }
    }

    #[test]
    fn typed_argument_wins_over_conflicting_variable() {
        let both = [("HOOKSTREAM_DIR", "d"), ("HOOKSTREAM_FROM", "u")];
        assert_eq!(work(&["--dir", "x"], &both).expect("taken").url, None);
        assert_eq!(work(&["--url", "x"], &both).expect("taken").dir, None);
        let alone = work(&[], &both).expect("taken");
        assert_eq!((alone.dir, alone.url.as_deref()), (None, Some("u")));
        assert!(work(&["--dir", "x", "--url", "y"], &[]).is_err());
    }

    #[test]
    fn error_names_variable_value_and_allowed_range() {
        let sentence = work(&[], &[("HOOKSTREAM_DAYS", "ever")]).expect_err("refused");
        assert_eq!(sentence, "HOOKSTREAM_DAYS is \"ever\"; it must be a whole number from 1 to 9");
        let sentence = work(&[], &[("HOOKSTREAM_PIN", "1234567")]).expect_err("refused");
        assert_eq!(sentence, "HOOKSTREAM_PIN must be a whole number from 1 to 9");
        let sentence = work(&["--days", "10"], &[]).expect_err("refused");
        assert!(sentence.contains("'10' for '--days <DAYS>': must be a whole number from 1 to 9"), "{sentence}");
    }

    #[test]
    fn kubernetes_port_variable_is_ignored() {
        assert_eq!(work(&[], &[("HOOKSTREAM_PORT", "tcp://10.0.0.1:8484")]).expect("taken").port, None);
        assert_eq!(work(&[], &[("HOOKSTREAM_PORT", "9999")]).expect("taken").port, Some(9999));
    }

    #[test]
    fn help_names_variables_without_their_values() {
        let help = work(&["--help"], &[("HOOKSTREAM_FROM", "hunter2")]).expect_err("it is the help");
        assert!(help.contains("[env: HOOKSTREAM_FROM]") && !help.contains("hunter2"), "{help}");
    }

    #[test]
    fn nearest_name_is_similar() {
        let nearest = |given| nearest(given, ["retention_days", "listen", "log"].into_iter());
        assert_eq!((nearest("retention_day"), nearest("lisen"), nearest("zzz")), (Some("retention_days"), Some("listen"), None));
    }
}
