//! `hookstream applications`, `endpoints`, `messages`, `attempts` and `jobs`: the resources of the public API, for
//! users and scripts.
//!
//! Each command is a client of the API like any other. `--json` prints the API's objects, one per line in lists, so
//! that `jq` can read them.

pub(crate) mod applications;
pub(crate) mod attempts;
pub(crate) mod endpoints;
pub(crate) mod jobs;
pub(crate) mod messages;
pub(crate) mod table;

use std::{collections::HashSet, time::Duration};

use anyhow::Context;
use clap::Args;
use hookstream_cli::{
    api::{ApiClient, path_segment},
    clock::SystemClock,
    say,
};
use hookstream_model::base::time::{Clock, Timestamp};
use serde_json::Value;

use self::table::Columns;

/// Maximum number of objects of a page of the API.
const PAGE: usize = 100;
/// Poll interval of `tail`.
const TAIL: Duration = Duration::from_secs(1);

/// Length and format of a list.
#[derive(Debug, Args)]
pub(crate) struct Listing {
    /// At most so many, newest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = crate::config::whole(1_usize, 100_000))]
    limit: usize,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Query of a request.
#[derive(Debug, Default, Clone)]
pub(crate) struct Query(Vec<(&'static str, String)>);

impl Query {
    fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.0.extend(value.map(|value| (name, value.to_string())));
        self
    }

    fn all(mut self, name: &'static str, values: &[String]) -> Self {
        self.0.extend(values.iter().map(|value| (name, value.clone())));
        self
    }

    /// Returns a path with this query.
    fn of(&self, path: &str) -> String {
        if self.0.is_empty() {
            return path.to_owned();
        }
        let pairs = self.0.iter().map(|(name, value)| (*name, value.as_str()));
        format!("{path}?{}", url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
    }
}

/// Parses a point in time: a time with an offset, or an age such as `30m`, `2h` or `7d`.
fn moment(text: &str) -> Result<Timestamp, String> {
    let problem = || "must be a time such as 2026-12-31T23:59:59Z, or how long ago: 30m, 2h, 7d".to_owned();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "s" => 1_u64,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(problem()),
    };
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).filter(|seconds| *seconds < 1 << 32);
    let before = i64::try_from(seconds.ok_or_else(problem)? * 1_000).map_err(|_| problem())?;
    Ok(Timestamp::from_millis(SystemClock.now().as_millis() - before))
}

/// Follows the pages of a list and prints it.
async fn list(client: &ApiClient, path: &str, plural: &str, query: Query, listing: &Listing, columns: Columns) -> anyhow::Result<()> {
    let mut found: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    while found.len() < listing.limit {
        let page = query.clone().with("limit", Some(PAGE.min(listing.limit - found.len()))).with("cursor", cursor.take());
        let mut answer = client.get(&page.of(path)).await?.accepted()?;
        found.extend(objects(&mut answer, plural)?);
        match answer["cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    if listing.json {
        found.iter().for_each(|object| say!("{object}"));
    } else {
        hookstream_cli::say_part!("{}", table::as_text(&found, columns, true));
    }
    Ok(())
}

/// Prints new objects of a list, oldest first, until the reader is gone or the process is stopped.
async fn tail(client: &ApiClient, path: &str, plural: &str, query: Query, json: bool, columns: Columns) -> anyhow::Result<()> {
    let mut seen: HashSet<String> = HashSet::new();
    let mut is_first = true;
    loop {
        let mut fresh: Vec<Value> = Vec::new();
        let mut cursor: Option<String> = None;
        // Reads up to the known objects; the first poll prints nothing.
        let known = loop {
            let page = query.clone().with("limit", Some(PAGE)).with("cursor", cursor.take());
            let mut answer = client.get(&page.of(path)).await?.accepted()?;
            let objects = objects(&mut answer, plural)?;
            let ids: Vec<String> = objects.iter().filter_map(|object| object["id"].as_str().map(str::to_owned)).collect();
            let is_seen = ids.iter().any(|id| seen.contains(id));
            fresh.extend(objects.into_iter().filter(|object| !object["id"].as_str().is_some_and(|id| seen.contains(id))));
            cursor = answer["cursor"].as_str().map(str::to_owned);
            if is_first || is_seen || seen.is_empty() || cursor.is_none() {
                break ids;
            }
        };
        let ids = fresh.iter().filter_map(|object| object["id"].as_str().map(str::to_owned)).chain(known);
        seen = ids.collect();
        if !is_first {
            fresh.reverse();
            if json {
                fresh.iter().for_each(|object| say!("{object}"));
            } else if !fresh.is_empty() {
                hookstream_cli::say_part!("{}", table::as_text(&fresh, columns, false));
            }
        } else if !json {
            hookstream_cli::note!("waiting for {plural}; Ctrl-C stops");
        }
        is_first = false;
        tokio::select! {
            () = tokio::time::sleep(TAIL) => {}
            () = hookstream_cli::output::closed() => return Ok(()),
        }
    }
}

/// Returns the objects of a page.
fn objects(answer: &mut Value, plural: &str) -> anyhow::Result<Vec<Value>> {
    match answer[plural].take() {
        Value::Array(objects) => Ok(objects),
        _ => anyhow::bail!("the server's answer has no {plural}: is it of another version?"),
    }
}

/// Prints one object: as JSON, or one field per line.
fn show(object: &Value, json: bool) {
    if json {
        say!("{object}");
    } else {
        hookstream_cli::say_part!("{}", table::fields(object));
    }
}

/// Finds the application of a message by the message's id.
///
/// # Errors
/// The message does not exist.
pub(crate) async fn application_of(client: &ApiClient, message: &str) -> anyhow::Result<String> {
    let query = Query::default().with("search", Some(message)).with("limit", Some(1));
    let answer = client.get(&query.of("/messages")).await?;
    if answer.status.is_success() {
        let found = answer.body["messages"].as_array().and_then(|messages| messages.first().cloned()).unwrap_or_default();
        let application = found["application_id"].as_str().filter(|_| found["id"] == message || found["event_id"] == message);
        return application.map(str::to_owned).with_context(|| format!("there is no message {message} in this environment"));
    }
    // A server that cannot list the messages of an environment is asked per application.
    let mut cursor: Option<String> = None;
    loop {
        let page = Query::default().with("limit", Some(PAGE)).with("cursor", cursor.take());
        let mut applications = client.get(&page.of("/applications")).await?.accepted()?;
        for application in objects(&mut applications, "applications")? {
            let id = application["id"].as_str().unwrap_or_default();
            let path = format!("/applications/{}/messages/{}", path_segment(id), path_segment(message));
            if client.get(&path).await?.status.is_success() {
                return Ok(id.to_owned());
            }
        }
        cursor = applications["cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            anyhow::bail!("there is no message {message} in this environment");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_is_encoded() {
        let query =
            Query::default().with("since", Some("2026-11-28T15:00:00+02:00")).with("none", None::<&str>).all("type", &["a b".to_owned()]);
        assert_eq!(query.of("/messages"), "/messages?since=2026-11-28T15%3A00%3A00%2B02%3A00&type=a+b");
        assert_eq!(Query::default().of("/messages"), "/messages");
    }

    #[test]
    fn moment_is_a_time_or_an_age() {
        assert_eq!(moment("2026-12-31T23:59:59Z").map(|at| at.to_string()).as_deref(), Ok("2026-12-31T23:59:59.000Z"));
        let hour_ago = moment("1h").expect("a moment").as_millis();
        assert!((SystemClock.now().as_millis() - hour_ago - 3_600_000).abs() < 60_000);
        for wrong in ["", "yesterday", "h", "-1h", "1w", "1.5h", "99999999999999999999d", "2026-12-31"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
