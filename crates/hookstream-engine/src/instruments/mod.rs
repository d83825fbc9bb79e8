//! Instruments of the engine: messages, deliveries and attempts as they are counted, and the state of the queues.
//!
//! The binary registers them and shows them at `/metrics`. Counters and histograms change with the work; gauges of the
//! queues are read from memory when they are shown ([`Handle::instruments`](crate::Handle::instruments)), and gauges of the
//! whole installation come from a background task ([`installation_task`]). No number needs a query when it is shown.

mod gauges;
pub(crate) mod installation_task;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hookstream_model::{
    base::{
        ids::{MessageId, OriginId},
        time::Timestamp,
    },
    delivery::{attempt::Attempt, timings::Waterfall},
    operations::metrics::error_word,
};
use hookstream_store::delivery::deliveries::Next;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, exemplar::HistogramWithExemplars, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

use self::gauges::{InstallationGauges, NodeGauges};
use crate::{Options, upkeep::metrics::Recorded};

/// Upper bounds of the parts of an attempt, in seconds: from a local receiver to the longest time limit.
const ATTEMPT_SECONDS: [f64; 16] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0];
/// Upper bounds from acceptance to an attempt, in seconds: from a few milliseconds to the end of the retry schedule.
const LATENCY_SECONDS: [f64; 18] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 43_200.0, 345_600.0];
/// Parts of an attempt, in the order of [`parts`].
const PHASES: [&str; 7] = ["dns", "connect", "tls", "write", "first_byte", "read", "total"];
/// Label of applications beyond the number that have series of their own.
const OTHER: &str = "other";

/// Instruments of an engine. Clones count together.
#[derive(Debug, Clone)]
pub struct Instruments {
    messages: Counter,
    deliveries: Counter,
    ended: Family<Ended, Counter>,
    succeeded: Counter,
    attempts: Family<AttemptLabels, Counter>,
    phases: Family<Phase, Histogram>,
    by_phase: [Histogram; PHASES.len()],
    first_attempt: HistogramWithExemplars<MessageLabel>,
    arrival: HistogramWithExemplars<MessageLabel>,
    latency: Family<Until, HistogramWithExemplars<MessageLabel>, fn() -> HistogramWithExemplars<MessageLabel>>,
    applications: Option<ByApplication>,
    pub(crate) node: NodeGauges,
    pub(crate) installation: InstallationGauges,
}

/// Series by application, if the operator asked for them.
#[derive(Debug, Clone)]
struct ByApplication {
    most: usize,
    /// Applications with series of their own.
    known: Arc<Mutex<HashSet<OriginId>>>,
    messages: Family<ApplicationLabel, Counter>,
    attempts: Family<ApplicationOutcome, Counter>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    outcome: &'static str,
    error: String,
    trigger: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Phase {
    phase: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Until {
    until: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageLabel {
    message_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApplicationLabel {
    application: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApplicationOutcome {
    application: String,
    outcome: &'static str,
}

impl Default for Instruments {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Instruments {
    /// Builds instruments with series of their own for at most `applications` applications; the others count as `other`.
    fn new(applications: usize) -> Self {
        let phases = Family::new_with_constructor((|| Histogram::new(ATTEMPT_SECONDS)) as fn() -> Histogram);
        let ended = Family::<Ended, Counter>::default();
        let latency: Family<_, _, fn() -> HistogramWithExemplars<MessageLabel>> =
            Family::new_with_constructor(|| HistogramWithExemplars::new(LATENCY_SECONDS.into_iter()));
        Self {
            messages: Counter::default(),
            deliveries: Counter::default(),
            succeeded: ended.get_or_create_owned(&Ended { outcome: "succeeded" }),
            ended,
            attempts: Family::default(),
            by_phase: PHASES.map(|phase| phases.get_or_create_owned(&Phase { phase })),
            phases,
            first_attempt: latency.get_or_create_owned(&Until { until: "first_attempt" }),
            arrival: latency.get_or_create_owned(&Until { until: "arrival" }),
            latency,
            applications: (applications > 0).then(|| ByApplication {
                most: applications,
                known: Arc::default(),
                messages: Family::default(),
                attempts: Family::default(),
            }),
            node: NodeGauges::default(),
            installation: InstallationGauges::default(),
        }
    }

    /// Builds the instruments of an engine with these options.
    pub(crate) fn of(options: &Options) -> Self {
        Self::new(options.metrics_per_application)
    }

    /// Builds instruments that have a series of each metric, for the reference of the metrics.
    pub fn for_reference() -> Self {
        let all = Self::new(1);
        all.attempts.get_or_create(&AttemptLabels { outcome: "", error: String::new(), trigger: "" }).inc();
        if let Some(applications) = &all.applications {
            applications.messages.get_or_create(&ApplicationLabel { application: String::new() }).inc();
            applications.attempts.get_or_create(&ApplicationOutcome { application: String::new(), outcome: "" }).inc();
        }
        all.node.for_reference();
        all.installation.for_reference();
        all
    }

    /// Adds the instruments to a registry.
    pub fn register(&self, registry: &mut Registry) {
        self.register_counts(registry);
        self.node.register(registry);
        self.installation.register(registry);
    }

    fn register_counts(&self, registry: &mut Registry) {
        registry.register("messages_accepted", "Messages answered 201: stored durably and scheduled", self.messages.clone());
        registry.register("deliveries_accepted", "Deliveries created with their messages", self.deliveries.clone());
        registry.register(
            "deliveries_ended",
            "Deliveries that ended: `succeeded`, `exhausted`, `skipped`, `cancelled`. A resent delivery may end more than once",
            self.ended.clone(),
        );
        registry.register(
            "attempts",
            "Recorded attempts: `success` or `failed`, with the error word of a failure and the trigger",
            self.attempts.clone(),
        );
        registry.register_with_unit(
            "attempt_duration",
            "Duration of an attempt and of its parts; a part that was not needed or not completed is not counted",
            Unit::Seconds,
            self.phases.clone(),
        );
        registry.register_with_unit(
            "delivery_latency",
            "Time from the acceptance of a message to the start of the first attempt, and to the arrival of a delivery that succeeded",
            Unit::Seconds,
            self.latency.clone(),
        );
        if let Some(applications) = &self.applications {
            registry.register(
                "application_messages_accepted",
                "Accepted messages by application (setting metrics_per_application)",
                applications.messages.clone(),
            );
            registry.register(
                "application_attempts",
                "Recorded attempts by application and outcome (setting metrics_per_application)",
                applications.attempts.clone(),
            );
        }
    }

    /// Counts an accepted message with its deliveries, `skipped` of which ended at once.
    pub(crate) fn accepted(&self, origin: OriginId, deliveries: usize, skipped: usize) {
        self.messages.inc();
        self.deliveries.inc_by(number(deliveries));
        if skipped > 0 {
            self.ended.get_or_create(&Ended { outcome: "skipped" }).inc_by(number(skipped));
        }
        if let Some(applications) = &self.applications {
            applications.messages.get_or_create(&ApplicationLabel { application: applications.label(origin) }).inc();
        }
    }

    /// Counts a recorded batch.
    pub(crate) fn recorded<'a>(&self, batch: impl Iterator<Item = Recorded<'a>>) {
        // One exemplar a batch: each costs an allocation.
        let (mut has_first, mut has_arrival) = (false, false);
        for Recorded { subject, attempt, next, .. } in batch {
            match next {
                Next::Succeeded => _ = self.succeeded.inc(),
                Next::Ended(state, _) => _ = self.ended.get_or_create(&Ended { outcome: state.as_str() }).inc(),
                Next::Retry { .. } | Next::Postponed { .. } => {}
            }
            let Some(attempt) = attempt else { continue };
            self.note_attempt(attempt);
            let accepted_at = subject.message.timestamp();
            if attempt.number == 1 {
                note_latency(
                    &self.first_attempt,
                    subject.message,
                    attempt.created_at.since(accepted_at),
                    attempt.created_at,
                    &mut has_first,
                );
            }
            if attempt.succeeded {
                let arrived_at = attempt.created_at + attempt.duration;
                note_latency(&self.arrival, subject.message, arrived_at.since(accepted_at), arrived_at, &mut has_arrival);
            }
            if let Some(applications) = &self.applications {
                let (application, outcome) = (applications.label(subject.origin), outcome_word(attempt));
                applications.attempts.get_or_create(&ApplicationOutcome { application, outcome }).inc();
            }
        }
    }

    fn note_attempt(&self, attempt: &Attempt) {
        let labels = AttemptLabels {
            outcome: outcome_word(attempt),
            error: attempt.error.as_deref().map_or("", error_word).to_owned(),
            trigger: attempt.trigger.as_str(),
        };
        self.attempts.get_or_create(&labels).inc();
        for (histogram, part) in self.by_phase.iter().zip(parts(attempt)) {
            if let Some(part) = part {
                histogram.observe(part.as_secs_f64());
            }
        }
    }
}

impl ByApplication {
    /// Returns the label of an application: its id, or `other` once as many as allowed have series.
    fn label(&self, origin: OriginId) -> String {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&origin) || (known.len() < self.most && known.insert(origin)) { origin.to_string() } else { OTHER.to_owned() }
    }
}

fn note_latency(
    histogram: &HistogramWithExemplars<MessageLabel>,
    message: MessageId,
    latency: Duration,
    at: Timestamp,
    has_exemplar: &mut bool,
) {
    let label = (!std::mem::replace(has_exemplar, true)).then(|| MessageLabel { message_id: message.to_string() });
    let at = label.is_some().then(|| std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(at.as_millis()).unwrap_or(0)));
    histogram.observe(latency.as_secs_f64(), label, at);
}

/// Returns the parts of an attempt, in the order of [`PHASES`].
fn parts(attempt: &Attempt) -> [Option<Duration>; PHASES.len()] {
    let exchange = attempt.waterfall.map(|Waterfall { exchange, .. }| exchange).unwrap_or_default();
    [exchange.dns, exchange.connect, exchange.tls, exchange.write, exchange.first_byte, exchange.read, Some(attempt.duration)]
}

const fn outcome_word(attempt: &Attempt) -> &'static str {
    if attempt.succeeded { "success" } else { "failed" }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
