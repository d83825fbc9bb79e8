//! Condition of an alert rule: its `rule_type` and `rule_config`, and the decision whether numbers meet it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{alert::Subject, quiet_hours::QuietHours};
use crate::{
    InvalidField,
    base::{text::got, time::Timestamp},
    operations::{
        metrics::Stats,
        problems::{Kind as ProblemKind, Severity},
    },
};

/// Windows in minutes that a rule may look at: minutes of metrics are kept for 48 hours, and a drop is measured against the day
/// before.
const WINDOW_MINUTES: (u32, u32) = (1, 24 * 60);
/// Default window of rates and latencies, in minutes.
const WINDOW_DEFAULT: u32 = 15;
/// Default window of volumes, in minutes.
const VOLUME_WINDOW_DEFAULT: u32 = 60;
/// Default of `min_attempts`: from so few attempts a share says little.
const MIN_ATTEMPTS: u32 = 10;
/// Default of `min_messages`.
const MIN_MESSAGES: u32 = 20;
/// Default number of days whose exhausted deliveries count.
const EXHAUSTED_DAYS: u32 = 7;
/// Largest number that a field takes.
const NUMBER_MAX: u32 = 1_000_000_000;

/// Kind of condition: the `rule_type` of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleType {
    /// Share of attempts that fail.
    FailureRate,
    /// Percentile of the attempts' latency.
    Latency,
    /// Fewer messages than at the same time of the day before.
    VolumeDrop,
    /// Exhausted deliveries that are kept.
    Exhausted,
    /// Age of the oldest pending delivery.
    BacklogAge,
    /// Days until the storage budget, or the disk, is full.
    DiskForecast,
    /// Problems of the environment.
    Problem,
}

impl RuleType {
    /// All kinds.
    pub const ALL: [Self; 7] =
        [Self::FailureRate, Self::Latency, Self::VolumeDrop, Self::Exhausted, Self::BacklogAge, Self::DiskForecast, Self::Problem];

    /// Word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FailureRate => "failure_rate",
            Self::Latency => "latency",
            Self::VolumeDrop => "volume_drop",
            Self::Exhausted => "dlq",
            Self::BacklogAge => "backlog_age",
            Self::DiskForecast => "disk_forecast",
            Self::Problem => "problem",
        }
    }

    /// Parses the word.
    ///
    /// # Errors
    /// Lists the allowed words.
    pub fn parse(word: &str) -> Result<Self, InvalidField> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == word);
        found.ok_or_else(|| {
            InvalidField::new("rule_type", format!("must be one of {}{}", Self::ALL.map(Self::as_str).join(", "), got(word)))
        })
    }

    /// Returns whether the condition can be asked of a single application or endpoint.
    pub const fn has_subjects(self) -> bool {
        match self {
            Self::FailureRate | Self::Latency | Self::VolumeDrop | Self::BacklogAge => true,
            Self::Exhausted | Self::DiskForecast | Self::Problem => false,
        }
    }

    /// Names of the fields of `rule_config`, besides `quiet_hours`.
    const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::FailureRate => &["threshold", "window_minutes", "min_attempts", "per"],
            Self::Latency => &["threshold_ms", "percentile_target", "window_minutes", "min_attempts", "per"],
            Self::VolumeDrop => &["threshold", "window_minutes", "min_messages", "per"],
            Self::Exhausted => &["threshold", "within_days"],
            Self::BacklogAge => &["threshold_minutes", "per"],
            Self::DiskForecast => &["threshold_days"],
            Self::Problem => &["kinds", "severity"],
        }
    }
}

/// Subjects that a rule looks at one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Per {
    /// The environment, or the application or endpoint of the rule, as one.
    #[default]
    Environment,
    /// Each application by itself.
    Application,
    /// Each endpoint by itself.
    Endpoint,
}

impl Per {
    const ALL: [Self; 3] = [Self::Environment, Self::Application, Self::Endpoint];

    /// Word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Application => "application",
            Self::Endpoint => "endpoint",
        }
    }
}

/// Test of a condition, with its threshold.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// At least this share of the attempts fails.
    FailureRate {
        /// Share, above 0 and at most 1.
        threshold: f64,
        /// Attempts below which nothing is concluded.
        min_attempts: u32,
    },
    /// The percentile of the latencies is at least this long.
    Latency {
        /// Milliseconds.
        threshold_ms: u32,
        /// Percentile, above 0 and below 100.
        percentile: f64,
        /// Attempts below which nothing is concluded.
        min_attempts: u32,
    },
    /// The messages of the window are fewer than those of the same window a day before, by at least this share.
    VolumeDrop {
        /// Share, above 0 and at most 1.
        threshold: f64,
        /// Messages a day before, below which nothing is concluded.
        min_messages: u32,
    },
    /// At least so many deliveries of the last days are exhausted and were not recovered.
    Exhausted {
        /// Deliveries.
        threshold: u32,
        /// Days, today included.
        within_days: u32,
    },
    /// The oldest pending delivery is at least this old.
    BacklogAge {
        /// Minutes.
        threshold_minutes: u32,
    },
    /// The storage budget of the environment, or the disk of the installation, is full in at most so many days.
    DiskForecast {
        /// Days.
        threshold_days: u32,
    },
    /// There is a problem of these kinds, of this severity or worse.
    Problem {
        /// Kinds; empty for all.
        kinds: Vec<ProblemKind>,
        /// Least severity.
        severity: Severity,
    },
}

/// Condition of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Test.
    pub test: Test,
    /// Window of the numbers; not used by every test.
    pub window: Duration,
    /// Subjects that are looked at one by one.
    pub per: Per,
    /// Part of the day in which nothing is told.
    pub quiet_hours: Option<QuietHours>,
}

/// Something that meets a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Subject.
    pub subject: Subject,
    /// How bad it is.
    pub severity: Severity,
    /// Finding, as a sentence.
    pub summary: String,
}

impl Condition {
    /// Reads `rule_config` of a kind. Missing fields get their defaults; an unknown field is refused.
    ///
    /// # Errors
    /// Names the field and the rule that it breaks.
    pub fn read(kind: RuleType, config: &Map<String, Value>) -> Result<Self, InvalidField> {
        let fields = kind.fields();
        if let Some(unknown) = config.keys().find(|name| *name != "quiet_hours" && !fields.contains(&name.as_str())) {
            let fields = fields.join(", ");
            let problem = format!("has an unknown field{}; the fields of `{}` are {fields}, quiet_hours", got(unknown), kind.as_str());
            return Err(InvalidField::new("rule_config", problem));
        }
        let input = Input(config);
        let window = match kind {
            RuleType::VolumeDrop => input.whole("window_minutes", WINDOW_MINUTES, Some(VOLUME_WINDOW_DEFAULT))?,
            _ => input.whole("window_minutes", WINDOW_MINUTES, Some(WINDOW_DEFAULT))?,
        };
        let test = match kind {
            RuleType::FailureRate => Test::FailureRate {
                threshold: input.share("threshold")?,
                min_attempts: input.whole("min_attempts", (1, NUMBER_MAX), Some(MIN_ATTEMPTS))?,
            },
            RuleType::Latency => Test::Latency {
                threshold_ms: input.milliseconds()?,
                percentile: input.percentile()?,
                min_attempts: input.whole("min_attempts", (1, NUMBER_MAX), Some(MIN_ATTEMPTS))?,
            },
            RuleType::VolumeDrop => Test::VolumeDrop {
                threshold: input.share("threshold")?,
                min_messages: input.whole("min_messages", (1, NUMBER_MAX), Some(MIN_MESSAGES))?,
            },
            RuleType::Exhausted => Test::Exhausted {
                threshold: input.whole("threshold", (1, NUMBER_MAX), Some(1))?,
                within_days: input.whole("within_days", (1, 365), Some(EXHAUSTED_DAYS))?,
            },
            RuleType::BacklogAge => Test::BacklogAge { threshold_minutes: input.whole("threshold_minutes", (1, 43_200), None)? },
            RuleType::DiskForecast => Test::DiskForecast { threshold_days: input.whole("threshold_days", (1, 365), None)? },
            RuleType::Problem => Test::Problem { kinds: input.kinds()?, severity: input.severity()? },
        };
        let quiet_hours = config.get("quiet_hours").filter(|value| !value.is_null()).map(QuietHours::read).transpose()?;
        Ok(Self { test, window: minutes(window), per: input.per(kind)?, quiet_hours })
    }

    /// Kind of condition.
    pub const fn kind(&self) -> RuleType {
        match &self.test {
            Test::FailureRate { .. } => RuleType::FailureRate,
            Test::Latency { .. } => RuleType::Latency,
            Test::VolumeDrop { .. } => RuleType::VolumeDrop,
            Test::Exhausted { .. } => RuleType::Exhausted,
            Test::BacklogAge { .. } => RuleType::BacklogAge,
            Test::DiskForecast { .. } => RuleType::DiskForecast,
            Test::Problem { .. } => RuleType::Problem,
        }
    }

    /// Returns `rule_config` with all fields, as the API shows it and [`Self::read`] reads it.
    pub fn to_json(&self) -> Map<String, Value> {
        let window = self.window.as_secs() / 60;
        let per = self.per.as_str();
        let fields = match &self.test {
            Test::FailureRate { threshold, min_attempts } => {
                json!({ "threshold": threshold, "window_minutes": window, "min_attempts": min_attempts, "per": per })
            }
            Test::Latency { threshold_ms, percentile, min_attempts } => json!({
                "threshold_ms": threshold_ms, "percentile_target": percentile, "window_minutes": window, "min_attempts": min_attempts, "per": per,
            }),
            Test::VolumeDrop { threshold, min_messages } => {
                json!({ "threshold": threshold, "window_minutes": window, "min_messages": min_messages, "per": per })
            }
            Test::Exhausted { threshold, within_days } => json!({ "threshold": threshold, "within_days": within_days }),
            Test::BacklogAge { threshold_minutes } => json!({ "threshold_minutes": threshold_minutes, "per": per }),
            Test::DiskForecast { threshold_days } => json!({ "threshold_days": threshold_days }),
            Test::Problem { kinds, severity } => {
                json!({ "kinds": kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(), "severity": severity.as_str() })
            }
        };
        let mut fields = fields.as_object().cloned().unwrap_or_default();
        if let Some(quiet) = &self.quiet_hours {
            fields.insert("quiet_hours".to_owned(), quiet.to_json());
        }
        fields
    }

    /// Tests the numbers of the window, and those of the same window a day before. Returns what was found, if they meet the condition.
    pub fn of_numbers(&self, window: &Stats, day_before: &Stats) -> Option<(Severity, String)> {
        let window_text = span(self.window);
        match &self.test {
            Test::FailureRate { threshold, min_attempts } => {
                let (failed, all) = (window.failed, window.attempts());
                let share = failed as f64 / all.max(1) as f64;
                let severity = if failed == all { Severity::Critical } else { Severity::Warning };
                let text = || {
                    let (share, threshold) = (percent(share), percent(*threshold));
                    format!("{failed} of {all} attempts failed in the last {window_text} ({share}; threshold {threshold}).")
                };
                (all >= i64::from(*min_attempts) && share >= *threshold).then(|| (severity, text()))
            }
            Test::Latency { threshold_ms, percentile, min_attempts } => {
                let latency = window.latencies.percentile_ms(percentile / 100.0)?;
                let text = || {
                    let count = window.latencies.count();
                    format!(
                        "p{percentile} of the latency is {latency:.0} ms over {count} attempts in the last {window_text} (threshold {threshold_ms} ms)."
                    )
                };
                let is_met = window.latencies.count() >= i64::from(*min_attempts) && latency >= f64::from(*threshold_ms);
                is_met.then(|| (Severity::Warning, text()))
            }
            Test::VolumeDrop { threshold, min_messages } => {
                let (now, before) = (window.accepted_or_messages(), day_before.accepted_or_messages());
                let drop = (before - now) as f64 / before.max(1) as f64;
                let severity = if now == 0 { Severity::Critical } else { Severity::Warning };
                let text = || {
                    let (drop, threshold) = (percent(drop), percent(*threshold));
                    format!("{now} in the last {window_text}, {before} at the same time a day before ({drop} less; threshold {threshold}).")
                };
                (before >= i64::from(*min_messages) && drop >= *threshold).then(|| (severity, text()))
            }
            Test::Exhausted { .. } | Test::BacklogAge { .. } | Test::DiskForecast { .. } | Test::Problem { .. } => None,
        }
    }

    /// Tests the time at which the oldest pending delivery fell due.
    pub fn of_oldest(&self, oldest: Option<Timestamp>, pending: i64, now: Timestamp) -> Option<(Severity, String)> {
        let Test::BacklogAge { threshold_minutes } = self.test else { return None };
        let age = now.since(oldest?);
        let of = if pending == 1 { "The only pending delivery".to_owned() } else { format!("The oldest of {pending} pending deliveries") };
        let text = || format!("{of} fell due {} ago (threshold {threshold_minutes} min).", ago(age));
        (age >= minutes(threshold_minutes)).then(|| (Severity::Warning, text()))
    }

    /// Tests the number of exhausted deliveries of the last days.
    pub fn of_exhausted(&self, exhausted: i64) -> Option<(Severity, String)> {
        let Test::Exhausted { threshold, within_days } = self.test else { return None };
        let text = || {
            let days = if within_days == 1 { "today".to_owned() } else { format!("the last {within_days} days") };
            let what = if exhausted == 1 { "1 delivery" } else { &format!("{exhausted} deliveries") };
            let verb = if exhausted == 1 { "is" } else { "are" };
            format!("{what} of {days} {verb} exhausted and not recovered (threshold {threshold}).")
        };
        (exhausted >= i64::from(threshold)).then(|| (Severity::Warning, text()))
    }

    /// Tests the days until `what` is full.
    pub fn of_days_left(&self, what: &str, days: Option<u32>) -> Option<(Severity, String)> {
        let Test::DiskForecast { threshold_days } = self.test else { return None };
        let days = days?;
        let severity = if days <= 1 { Severity::Critical } else { Severity::Warning };
        let when = match days {
            0 => "within a day".to_owned(),
            1 => "in 1 day".to_owned(),
            days => format!("in {days} days"),
        };
        (days <= threshold_days)
            .then(|| (severity, format!("At the present rate {what} is full {when} (threshold {threshold_days} days).")))
    }

    /// Tests a problem.
    pub fn of_problem(&self, kind: ProblemKind, severity: Severity) -> bool {
        match &self.test {
            Test::Problem { kinds, severity: least } => (kinds.is_empty() || kinds.contains(&kind)) && severity <= *least,
            _ => false,
        }
    }
}

impl Stats {
    /// Messages of an environment, an application or an event type; deliveries of an endpoint, whose messages are not counted.
    fn accepted_or_messages(&self) -> i64 {
        if self.messages > 0 { self.messages } else { self.accepted }
    }
}

/// Fields of `rule_config`.
struct Input<'a>(&'a Map<String, Value>);

impl Input<'_> {
    fn given(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn whole(&self, name: &'static str, (least, most): (u32, u32), default: Option<u32>) -> Result<u32, InvalidField> {
        let Some(value) = self.given(name) else { return default.ok_or_else(|| field(name, "is required")) };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| field(name, &format!("must be a whole number from {least} to {most}")))
    }

    fn number(&self, name: &'static str) -> Result<Option<f64>, InvalidField> {
        let Some(value) = self.given(name) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| field(name, "must be a number"))
    }

    /// Reads a share: 0.1 is 10 %, and so is 10.
    fn share(&self, name: &'static str) -> Result<f64, InvalidField> {
        let number = self.number(name)?.ok_or_else(|| field(name, "is required"))?;
        let share = if number > 1.0 { number / 100.0 } else { number };
        if share > 0.0 && share <= 1.0 {
            return Ok(share);
        }
        Err(field(name, "must be a share above 0 and at most 1, such as 0.1, or a percentage above 1 and at most 100, such as 10"))
    }

    /// Reads the limit of a latency: `threshold_ms`.
    fn milliseconds(&self) -> Result<u32, InvalidField> {
        self.whole("threshold_ms", (1, 600_000), None)
    }

    fn percentile(&self) -> Result<f64, InvalidField> {
        let name = "percentile_target";
        let number = match self.given(name) {
            Some(Value::String(text)) => text.trim_start_matches('p').parse().ok(),
            _ => Some(self.number(name)?.unwrap_or(95.0)),
        };
        // 0.95 is 95.
        let number = number.map(|number: f64| if number > 0.0 && number < 1.0 { number * 100.0 } else { number });
        number
            .filter(|number| *number > 0.0 && *number < 100.0)
            .ok_or_else(|| field(name, "must be a percentile above 0 and below 100, such as 95"))
    }

    fn per(&self, kind: RuleType) -> Result<Per, InvalidField> {
        if !kind.has_subjects() {
            return Ok(Per::Environment);
        }
        let Some(value) = self.given("per") else { return Ok(Per::default()) };
        let found = Per::ALL.into_iter().find(|per| Some(per.as_str()) == value.as_str());
        found.ok_or_else(|| field("per", "must be `environment`, `application` or `endpoint`"))
    }

    fn kinds(&self) -> Result<Vec<ProblemKind>, InvalidField> {
        let allowed = || format!("must be a list of {}", ProblemKind::ALL.map(ProblemKind::as_str).join(", "));
        let Some(value) = self.given("kinds") else { return Ok(Vec::new()) };
        let find = |word: &Value| ProblemKind::ALL.into_iter().find(|kind| Some(kind.as_str()) == word.as_str());
        let kinds = value.as_array().and_then(|words| words.iter().map(find).collect::<Option<Vec<_>>>());
        kinds.ok_or_else(|| field("kinds", &allowed()))
    }

    fn severity(&self) -> Result<Severity, InvalidField> {
        let Some(value) = self.given("severity") else { return Ok(Severity::Warning) };
        value.as_str().and_then(Severity::parse).ok_or_else(|| field("severity", "must be `critical`, `warning` or `notice`"))
    }
}

fn field(name: &str, problem: &str) -> InvalidField {
    InvalidField::new("rule_config", format!("has `{name}`, which {problem}"))
}

const fn minutes(number: u32) -> Duration {
    Duration::from_secs(number as u64 * 60)
}

/// Returns the length of a window: whole hours from two of them on, else minutes.
fn span(window: Duration) -> String {
    let minutes = window.as_secs() / 60;
    if minutes >= 120 && minutes.is_multiple_of(60) { format!("{} h", minutes / 60) } else { format!("{minutes} min") }
}

/// Returns a share in percent, with a decimal where it matters.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 || percent.fract() == 0.0 { format!("{percent:.0} %") } else { format!("{percent:.1} %") }
}

/// Returns a time in its largest units.
fn ago(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    match (minutes / (24 * 60), minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: RuleType, config: &Value) -> Result<Condition, InvalidField> {
        Condition::read(kind, config.as_object().expect("an object"))
    }

    fn condition(kind: RuleType, config: &Value) -> Condition {
        read(kind, config).expect("accepted")
    }

    #[test]
    fn config_is_shown_with_its_defaults_and_read_again() {
        for (kind, config, expected) in [
            (
                RuleType::FailureRate,
                json!({ "threshold": 10 }),
                json!({ "threshold": 0.1, "window_minutes": 15, "min_attempts": 10, "per": "environment" }),
            ),
            (
                RuleType::Latency,
                json!({ "threshold_ms": 2000, "percentile_target": 0.99, "per": "endpoint" }),
                json!({ "threshold_ms": 2000, "percentile_target": 99.0, "window_minutes": 15, "min_attempts": 10, "per": "endpoint" }),
            ),
            (
                RuleType::VolumeDrop,
                json!({ "threshold": 0.5 }),
                json!({ "threshold": 0.5, "window_minutes": 60, "min_messages": 20, "per": "environment" }),
            ),
            (RuleType::Exhausted, json!({}), json!({ "threshold": 1, "within_days": 7 })),
            (RuleType::BacklogAge, json!({ "threshold_minutes": 30 }), json!({ "threshold_minutes": 30, "per": "environment" })),
            (RuleType::DiskForecast, json!({ "threshold_days": 3 }), json!({ "threshold_days": 3 })),
            (RuleType::Problem, json!({ "kinds": ["disk_full"] }), json!({ "kinds": ["disk_full"], "severity": "warning" })),
        ] {
            let condition = condition(kind, &config);
            assert_eq!((condition.kind(), Value::Object(condition.to_json())), (kind, expected.clone()));
            assert_eq!(read(kind, &expected), Ok(condition));
            assert_eq!(RuleType::parse(kind.as_str()), Ok(kind));
        }
    }

    #[test]
    fn mistakes_in_a_config_are_named() {
        for (kind, config, expected) in [
            (RuleType::FailureRate, json!({}), "`threshold`, which is required"),
            (RuleType::FailureRate, json!({ "threshold": 0 }), "share above 0"),
            (RuleType::FailureRate, json!({ "threshold": 101 }), "at most 100"),
            (RuleType::FailureRate, json!({ "threshold": "much" }), "must be a number"),
            (RuleType::FailureRate, json!({ "threshold": 0.1, "window_minutes": 0 }), "whole number from 1 to 1440"),
            (RuleType::FailureRate, json!({ "threshold": 0.1, "per": "customer" }), "`environment`, `application` or `endpoint`"),
            (RuleType::FailureRate, json!({ "limit": 1 }), "unknown field; got \"limit\""),
            (RuleType::Latency, json!({ "threshold_ms": 100, "percentile_target": 100 }), "below 100"),
            (RuleType::BacklogAge, json!({}), "`threshold_minutes`, which is required"),
            (RuleType::Problem, json!({ "kinds": ["rain"] }), "must be a list of endpoint_disabled"),
            (RuleType::Problem, json!({ "severity": "bad" }), "`critical`"),
        ] {
            let problem = read(kind, &config).expect_err("refused").to_string();
            assert!(problem.contains(expected), "{config}: {problem}");
        }
        let unknown = RuleType::parse("issue").expect_err("unknown").to_string();
        assert!(unknown.contains("failure_rate, latency, volume_drop, dlq") && unknown.contains("issue"), "{unknown}");
    }

    #[test]
    fn failure_rate_needs_enough_attempts() {
        let condition = condition(RuleType::FailureRate, &json!({ "threshold": 0.25, "min_attempts": 8 }));
        let found = |failed, succeeded| condition.of_numbers(&Stats { failed, succeeded, ..Stats::default() }, &Stats::default());
        assert_eq!(found(7, 0), None);
        assert_eq!(found(1, 7), None);
        let text = "2 of 8 attempts failed in the last 15 min (25 %; threshold 25 %).".to_owned();
        assert_eq!(found(2, 6), Some((Severity::Warning, text)));
        assert_eq!(found(8, 0).map(|(severity, _)| severity), Some(Severity::Critical));
        assert_eq!([15, 60, 90, 120, 1_440].map(|number| span(minutes(number))), ["15 min", "60 min", "90 min", "2 h", "24 h"]);
    }

    #[test]
    fn latency_is_the_percentile_of_enough_attempts() {
        let condition = condition(RuleType::Latency, &json!({ "threshold_ms": 1000, "percentile_target": "p50", "min_attempts": 3 }));
        let found = |latencies: &[u64]| {
            let mut stats = Stats::default();
            latencies.iter().for_each(|ms| stats.latencies.note(Duration::from_millis(*ms)));
            condition.of_numbers(&stats, &Stats::default()).is_some()
        };
        assert!(!found(&[5_000, 5_000]));
        assert!(!found(&[10, 10, 5_000]));
        assert!(found(&[10, 5_000, 5_000]));
    }

    #[test]
    fn volume_is_compared_with_the_day_before() {
        let condition = condition(RuleType::VolumeDrop, &json!({ "threshold": 0.5, "min_messages": 10 }));
        let of = |messages| Stats { messages, ..Stats::default() };
        let found = |now, before| condition.of_numbers(&of(now), &of(before)).map(|(severity, _)| severity);
        assert_eq!(found(0, 9), None);
        assert_eq!(found(6, 10), None);
        assert_eq!(found(5, 10), Some(Severity::Warning));
        assert_eq!(found(0, 10), Some(Severity::Critical));
        assert_eq!(found(20, 10), None);
    }

    #[test]
    fn other_tests_compare_with_their_threshold() {
        let now: Timestamp = "2027-01-31T12:00:00Z".parse().expect("a time");
        let age = condition(RuleType::BacklogAge, &json!({ "threshold_minutes": 90 }));
        let oldest = |minutes: u64| age.of_oldest(Some(now - Duration::from_secs(minutes * 60)), 7, now).map(|(_, text)| text);
        assert_eq!((age.of_oldest(None, 0, now), oldest(89)), (None, None));
        let text = "The oldest of 7 pending deliveries fell due 1 h 30 min ago (threshold 90 min).";
        assert_eq!(oldest(90).as_deref(), Some(text));
        let exhausted = condition(RuleType::Exhausted, &json!({ "threshold": 5, "within_days": 1 }));
        assert_eq!((exhausted.of_exhausted(4), exhausted.of_exhausted(5).is_some()), (None, true));
        let disk = condition(RuleType::DiskForecast, &json!({ "threshold_days": 3 }));
        let left = |days| disk.of_days_left("the disk", days).map(|(severity, _)| severity);
        assert_eq!(
            (left(None), left(Some(4)), left(Some(3)), left(Some(0))),
            (None, None, Some(Severity::Warning), Some(Severity::Critical))
        );
        let problem = condition(RuleType::Problem, &json!({ "kinds": ["quota"], "severity": "critical" }));
        assert!(problem.of_problem(ProblemKind::Quota, Severity::Critical));
        assert!(!problem.of_problem(ProblemKind::Quota, Severity::Warning));
        assert!(!problem.of_problem(ProblemKind::DiskFull, Severity::Critical));
    }
}
