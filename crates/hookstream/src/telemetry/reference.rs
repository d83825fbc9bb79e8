//! Reference of the metrics, `docs/reference/metrics.md`, derived from the instruments. `UPDATE_DOCS=1 cargo nextest run -p hookstream
//! reference_of_metrics` writes it.

use std::fmt::Write;

use prometheus_client::encoding::text;

use super::exposition::{Build, ConnectionState, Instruments};

const HEAD: &str = "# Metrics for Prometheus

<!-- Derived from the code: `UPDATE_DOCS=1 cargo nextest run -p hookstream reference_of_metrics` -->

`GET /metrics` on the listener of `metrics_listen`, or on the API's listener with an API key that has the scope `operator:metrics`. The
[guide to monitoring](../guides/monitoring.md) has the configuration of Prometheus, a dashboard and alert rules.

The format is OpenMetrics 1.0. Every node counts its own work in memory; nothing is queried when the metrics are asked for. Times are in
seconds, sizes in bytes. No label names a tenant, an endpoint or an address. A counter starts at 0 with the process. Buckets of
`hookstream_delivery_latency_seconds` have the id of a message as exemplar.

\"On one node\" marks gauges of the whole installation. The node that works on the first shard reads them every 15 seconds, and the others leave
them out; use `max`, not `sum`.

`metrics_per_application = N` adds series for the first N applications that are active; the others count together as `other`.
";

/// Returns the metrics of a server that has a series of each.
fn exposed() -> String {
    let instruments = Instruments {
        store: hookstream_store::Instruments::for_reference(),
        destinations: hookstream_destinations::Instruments::for_reference(),
        engine: hookstream_engine::Instruments::for_reference(),
        api: hookstream_api::Instruments::for_reference(),
        directory: Some(std::env::temp_dir()),
        ..Instruments::default()
    };
    instruments.connections.get_or_create(&ConnectionState { state: "" }).set(0);
    let mut exposed = String::new();
    text::encode(&mut exposed, &instruments.registry(Build { version: "", database: "", role: "" })).expect("a string takes any text");
    exposed
}

/// Returns the page.
fn reference() -> String {
    let exposed = exposed();
    let mut page = HEAD.to_owned();
    for (title, prefixes) in SECTIONS {
        write!(page, "\n## {title}\n\n| metric | labels | type | content |\n| --- | --- | --- | --- |\n").expect("a string takes any text");
        for metric in metrics(&exposed).filter(|metric| prefixes.iter().any(|prefix| metric.name.starts_with(prefix))) {
            let Metric { name, labels, kind, help } = metric;
            writeln!(page, "| `{name}` | {labels} | {kind} | {help} |").expect("a string takes any text");
        }
    }
    page
}

/// Sections of the page, with the beginnings of the names in them.
const SECTIONS: [(&str, &[&str]); 6] = [
    (
        "Messages, deliveries, attempts",
        &["hookstream_messages", "hookstream_deliveries", "hookstream_attempt", "hookstream_delivery", "hookstream_application"],
    ),
    (
        "Queues",
        &[
            "hookstream_lanes",
            "hookstream_circuits",
            "hookstream_retry_after",
            "hookstream_oldest",
            "hookstream_jobs",
            "hookstream_address",
        ],
    ),
    ("Store", &["hookstream_store", "hookstream_payload", "hookstream_disk"]),
    ("Nodes", &["hookstream_node", "hookstream_build", "hookstream_log", "hookstream_otlp", "hookstream_backup"]),
    ("API", &["hookstream_http", "hookstream_quota", "hookstream_sdk"]),
    ("Process", &["process_"]),
];

/// Described metric.
struct Metric<'a> {
    name: String,
    /// Names of its labels, as code.
    labels: String,
    kind: &'a str,
    help: &'a str,
}

/// Returns the metrics that a text in the OpenMetrics format describes.
fn metrics(exposed: &str) -> impl Iterator<Item = Metric<'_>> {
    exposed.lines().filter_map(|line| {
        let (name, help) = line.strip_prefix("# HELP ")?.split_once(' ')?;
        let marker = format!("# TYPE {name} ");
        let kind = exposed.lines().find_map(|line| line.strip_prefix(&marker))?;
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        Some(Metric { name: format!("{name}{suffix}"), labels: labels(exposed, name), kind, help: help.trim_end_matches('.') })
    })
}

/// Returns the names of a metric's labels, as its first sample has them.
fn labels(exposed: &str, name: &str) -> String {
    let of_metric = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', '_', ' ']));
    let sample = exposed.lines().find(of_metric).unwrap_or_default();
    let inside = sample.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inside, _)| inside);
    let names = inside.split(',').filter_map(|label| label.split_once('=')).map(|(name, _)| name).filter(|name| *name != "le");
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[test]
fn reference_of_metrics_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/metrics.md");
    let current = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &current).expect("written");
    }
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        stored == current,
        "docs/reference/metrics.md is not current: UPDATE_DOCS=1 cargo nextest run -p hookstream reference_of_metrics"
    );
}

#[test]
fn reference_of_metrics_has_each_metric_once() {
    let (page, exposed) = (reference(), exposed());
    assert!(metrics(&exposed).count() > 30, "{exposed}");
    for metric in metrics(&exposed) {
        assert_eq!(page.matches(&format!("| `{}` |", metric.name)).count(), 1, "{}", metric.name);
    }
    let attempts = "| `hookstream_attempts_total` | `outcome`, `error`, `trigger` | counter |";
    assert!(page.contains(attempts), "{page}");
}
