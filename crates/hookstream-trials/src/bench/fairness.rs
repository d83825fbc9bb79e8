//! `hookstream bench fairness`: the effect of one endpoint or application on the others. Each result stands beside a
//! baseline of the same run without misbehaviour; the two alternate.

use std::time::Duration;

use clap::{Args, ValueEnum};
use hookstream_cli::{duration::parse_duration, say};
use serde_json::json;

use super::{
    Fleet,
    load::Plan,
    report::percentiles,
    stream::{Behaviour, Stream},
};

/// Messages a second of the others.
const RATE: u32 = 100;

/// Time for which an endpoint hangs.
const HANG: Duration = Duration::from_secs(20);

/// Failing endpoints of one application.
const FAILING: u32 = 10_000;

/// Messages of the flood.
const FLOOD: u32 = 200_000;

/// Rate limit of the recovering endpoint.
const LIMIT: u32 = 50;

/// Arguments of `hookstream bench fairness`.
#[derive(Debug, Clone, Args)]
pub(super) struct FairnessArgs {
    /// Scenario to measure [default: all]
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,

    /// Time to send in each part
    #[arg(long, value_name = "D", default_value = "15s", value_parser = parse_duration)]
    duration: Duration,

    /// Number of runs of each scenario and its baseline, in turn
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,

    /// More arguments for the servers
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true, default_value = "")]
    server_args: String,
}

/// Misbehaviour to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// One endpoint hangs for 20 s, at ten times the traffic of the others
    Hang,
    /// 500 of 1,000 endpoints refuse connections
    Dead,
    /// One application has 10,000 endpoints that refuse connections
    Failing,
    /// One application sends 200,000 messages as fast as it can
    Flood,
    /// An endpoint with a rate limit recovers after an outage
    Recovered,
}

/// Measures the chosen scenarios.
pub(super) async fn run(arguments: &FairnessArgs) -> anyhow::Result<()> {
    let chosen = if arguments.scenarios.is_empty() { Scenario::value_variants() } else { &arguments.scenarios };
    for scenario in chosen {
        match scenario {
            Scenario::Hang => compare(arguments, "an endpoint that hangs", Scenario::Hang).await?,
            Scenario::Dead => compare(arguments, "500 dead endpoints of 1,000", Scenario::Dead).await?,
            Scenario::Failing => compare(arguments, "10,000 failing endpoints of one application", Scenario::Failing).await?,
            Scenario::Flood => flood(arguments).await?,
            Scenario::Recovered => recovered(arguments).await?,
        }
    }
    Ok(())
}

/// Runs baseline and scenario in turn, and prints the medians of the others' times.
async fn compare(arguments: &FairnessArgs, title: &str, scenario: Scenario) -> anyhow::Result<()> {
    let (mut baseline, mut disturbed) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        baseline.push(others(arguments, scenario, false).await?);
        disturbed.push(others(arguments, scenario, true).await?);
    }
    say!("{title}: time from send to arrival at the other endpoints, ms");
    for (name, parts) in [("baseline", &baseline), ("scenario", &disturbed)] {
        for [p50, p99, p999, max] in parts {
            say!("  {name}  p50 {p50:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2}");
        }
    }
    let median = |parts: &[[f64; 4]], of: usize| {
        let mut values: Vec<_> = parts.iter().map(|part| part[of]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    for (of, name) in ["p50", "p99"].into_iter().enumerate() {
        let (before, after) = (median(&baseline, of), median(&disturbed, of));
        say!("  median {name}  {before:.2} → {after:.2}  ({:+.0} %)", (after / before - 1.0) * 100.0);
    }
    Ok(())
}

/// Measures the others' times with or without the misbehaviour.
async fn others(arguments: &FairnessArgs, scenario: Scenario, is_disturbed: bool) -> anyhow::Result<[f64; 4]> {
    let scratch = tempfile::tempdir()?;
    let fleet = Fleet::start(scratch.path(), &arguments.server_args).await?;
    let plan = Plan { connections: 16, rate: Some(RATE), payload_bytes: 500, duration: arguments.duration, warmup: Duration::from_secs(2) };
    let (count, one, behaviour) = match scenario {
        Scenario::Hang => (10, Plan { rate: Some(RATE * 10), connections: 32, ..plan }, Behaviour::Hangs(HANG)),
        Scenario::Dead => (500, plan, Behaviour::Gone),
        Scenario::Failing => (10, Plan { rate: Some(1), ..plan }, Behaviour::Gone),
        Scenario::Flood | Scenario::Recovered => anyhow::bail!("this scenario has no baseline"),
    };
    let behaviour = if is_disturbed { behaviour } else { Behaviour::Takes(Duration::ZERO) };
    let of_one = match scenario {
        Scenario::Dead => [500, 1],
        Scenario::Failing => [1, FAILING],
        Scenario::Hang | Scenario::Flood | Scenario::Recovered => [1, 1],
    };
    let many = Stream::make(&fleet, "others", [count, 1], json!({}), Behaviour::Takes(Duration::ZERO), plan.room()).await?;
    let single = Stream::make(&fleet, "one", of_one, json!({}), behaviour, one.room()).await?;
    let (from, sent) = tokio::join!(many.send(&plan, &fleet), single.send(&one, &fleet));
    sent?;
    let from = from?;
    many.run.until_all_arrived(Duration::from_secs(10)).await;
    anyhow::ensure!(many.run.lost() == 0, "{} messages to the other endpoints did not arrive", many.run.lost());
    let seen = percentiles(&many.run.counted(from).arrivals);
    fleet.stop().await;
    Ok(seen)
}

async fn flood(arguments: &FairnessArgs) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let fleet = Fleet::start(scratch.path(), &arguments.server_args).await?;
    // A usual response time, so that most of the flood waits.
    let slow = Behaviour::Takes(Duration::from_millis(50));
    let room = usize::try_from(FLOOD).unwrap_or(usize::MAX);
    let flood = Stream::make(&fleet, "flood", [1, 1], json!({}), slow, room).await?;
    // Sends until there is no room for more.
    let hour = Duration::from_secs(3_600);
    let all = Plan { connections: 64, rate: None, payload_bytes: 500, duration: hour, warmup: Duration::ZERO };
    let single = Plan { connections: 4, rate: Some(10), duration: arguments.duration, ..all };
    let other = Stream::make(&fleet, "other", [1, 1], json!({}), Behaviour::Takes(Duration::ZERO), single.room()).await?;
    let (flooded, sent) = tokio::join!(flood.send(&all, &fleet), other.send(&single, &fleet));
    flooded?;
    let during = percentiles(&other.run.counted(sent?).arrivals);
    let waits = flood.run.accepted() - flood.run.counted(0).arrivals.len() as u64;
    let after = Stream::make(&fleet, "after", [1, 1], json!({}), Behaviour::Takes(Duration::ZERO), single.room()).await?;
    let from = after.send(&single, &fleet).await?;
    after.run.until_all_arrived(Duration::from_secs(10)).await;
    say!("one application sends {} messages: time from send to arrival for another (10/s), ms", flood.run.accepted());
    let after = percentiles(&after.run.counted(from).arrivals);
    for (name, [p50, p99, _, max]) in [("during the flood", during), (&format!("with {waits} pending"), after)] {
        say!("  {name}  p50 {p50:.2}  p99 {p99:.2}  max {max:.2}");
    }
    fleet.stop().await;
    Ok(())
}

async fn recovered(arguments: &FairnessArgs) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let mut arguments = arguments.clone();
    arguments.server_args += " --circuit-breaker-cooldown-s 3 --retry-schedule 1,2,4,8,8,8,8";
    let fleet = Fleet::start(scratch.path(), &arguments.server_args).await?;
    let plan = Plan { connections: 8, rate: Some(100), payload_bytes: 500, duration: arguments.duration, warmup: Duration::ZERO };
    let outage = Behaviour::FailsFor(arguments.duration);
    let stream = Stream::make(&fleet, "recovered", [1, 1], json!({ "rate_limit_per_second": LIMIT }), outage, plan.room()).await?;
    stream.send(&plan, &fleet).await?;
    stream.run.until_all_arrived(Duration::from_secs(180)).await;
    let mut seen = stream.seen_at();
    seen.sort_unstable();
    let most = (0..seen.len()).map(|first| seen[first..].partition_point(|at| *at < seen[first] + 1_000_000)).max().unwrap_or(0);
    say!("an endpoint with a rate limit of {LIMIT}/s recovers after {} s", arguments.duration.as_secs());
    say!("  accepted {}, lost {}, maximum in any second {most}", stream.run.accepted(), stream.run.lost());
    let began = u64::try_from(arguments.duration.as_micros()).unwrap_or(u64::MAX);
    let by_second =
        |second: u64| seen.iter().filter(|at| (began + second * 1_000_000..began + (second + 1) * 1_000_000).contains(at)).count();
    say!("  per second since: {:?}", (0..20).map(by_second).collect::<Vec<_>>());
    fleet.stop().await;
    Ok(())
}
