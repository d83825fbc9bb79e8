//! `hookstream problems`: what is wrong now, with the cause and what helps.

use clap::Args;
use hookstream_cli::{say, say_part};
use serde_json::Value;

use super::{access::Access, resources::table::plain};

/// Command that lists problems.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream problems --json | jq 'select(.severity == \"critical\")'")]
pub(crate) struct ProblemsArgs {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    access: Access,
}

/// Asks the server and prints its response.
pub(crate) async fn run(arguments: ProblemsArgs) -> anyhow::Result<()> {
    let answer = arguments.access.client()?.get("/problems").await?.accepted()?;
    let Value::Array(problems) = &answer["problems"] else {
        anyhow::bail!("the server's answer has no problems: is it of another version?");
    };
    if arguments.json {
        problems.iter().for_each(|problem| say!("{problem}"));
    } else if problems.is_empty() {
        say!("Nothing is wrong: {} endpoints.", answer["endpoints"]);
    } else {
        problems.iter().for_each(|problem| say_part!("{}", as_text(problem)));
    }
    Ok(())
}

/// Returns a problem as lines of text: what and where, why and since when, what helps.
fn as_text(problem: &Value) -> String {
    let text = |value: &Value| value.as_str().map(plain).unwrap_or_default();
    let of = |pointer: &str| problem.pointer(pointer).map(text).filter(|text| !text.is_empty());
    let subject: Vec<_> = ["/subject/kind", "/subject/name", "/subject/application_name"].into_iter().filter_map(of).collect();
    let mut lines = vec![format!("{}  {}  {}", text(&problem["severity"]), text(&problem["kind"]), subject.join("  "))];
    lines.extend(of("/cause/sentence"));
    let waiting = problem["waiting"].as_i64().filter(|waiting| *waiting > 0).map(|waiting| format!("deliveries: {waiting}"));
    let dated = |label: &str, pointer| of(pointer).map(|at| format!("{label} {at}"));
    let facts = [dated("since", "/since"), waiting, dated("oldest", "/oldest_at"), dated("disabled at", "/disables_at")];
    let facts: Vec<_> = facts.into_iter().flatten().collect();
    if !facts.is_empty() {
        lines.push(facts.join(", "));
    }
    let remedy: Vec<_> = ["/remedy/action", "/remedy/request"].into_iter().filter_map(of).collect();
    lines.push(format!("remedy: {}", remedy.join(", ")));
    format!("{}\n\n", lines.join("\n  "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn problem_is_shown_with_cause_facts_and_remedy() {
        let problem = json!({
            "severity": "critical", "kind": "circuit_open", "since": "2027-01-31T12:00:00.000Z", "waiting": 3, "oldest_at": null,
            "disables_at": "2027-02-05T12:00:00.000Z",
            "subject": { "kind": "endpoint", "name": "https://example.com/\u{1b}", "application_name": "Acme" },
            "cause": { "code": "http_status", "params": {}, "sentence": "The receiver answers 503." },
            "remedy": { "action": "probe_now", "operation": "resetCircuit", "request": "POST /v1/x" },
        });
        let expected = "critical  circuit_open  endpoint  https://example.com/\u{fffd}  Acme\n  The receiver answers 503.\n  \
            since 2027-01-31T12:00:00.000Z, deliveries: 3, disabled at 2027-02-05T12:00:00.000Z\n  remedy: probe_now, POST /v1/x\n\n";
        assert_eq!(as_text(&problem), expected);
        let quota = json!({
            "severity": "notice", "kind": "quota", "since": null, "waiting": 0, "subject": { "kind": "organization", "name": null },
            "cause": { "sentence": "90 of 100 events of this month are used." }, "remedy": { "action": "raise_quota", "request": null },
        });
        let expected = "notice  quota  organization\n  90 of 100 events of this month are used.\n  remedy: raise_quota\n\n";
        assert_eq!(as_text(&quota), expected);
    }
}
