//! Lines of the log about recorded attempts. A budget bounds the successes and the failures of a second, each apart, so that
//! failures are seen beside any number of successes.

use std::{num::NonZeroU32, time::Instant};

use hookstream_model::{
    base::{
        ids::TargetId,
        line_budget::{Line, LineBudget},
    },
    delivery::attempt::Attempt,
    operations::metrics::error_word,
    outbound::message::Message,
};
use hookstream_store::delivery::deliveries::Next;

/// Target of the lines, for filters such as `info,hookstream::attempts=off`.
const TARGET: &str = "hookstream::attempts";

/// Log of attempts.
#[derive(Debug)]
pub(crate) struct AttemptLog {
    succeeded: LineBudget,
    failed: LineBudget,
}

impl AttemptLog {
    /// Builds a log with so many lines of each kind in a second.
    pub(crate) const fn new(lines_per_second: Option<NonZeroU32>) -> Self {
        Self { succeeded: LineBudget::new(lines_per_second), failed: LineBudget::new(lines_per_second) }
    }

    /// Returns whether lines are written at all.
    pub(crate) fn is_on() -> bool {
        tracing::enabled!(target: TARGET, tracing::Level::INFO)
    }

    /// Writes the line of an attempt, unless the lines of this second are used up.
    pub(crate) fn note(&self, target: TargetId, message: &Message, attempt: &Attempt, next: Next) {
        let budget = if attempt.succeeded { &self.succeeded } else { &self.failed };
        let left_out = match budget.decide(Instant::now()) {
            Line::Write { left_out } => left_out,
            Line::LeaveOut => return,
        };
        let outcome = if attempt.succeeded { "success" } else { "failed" };
        if left_out > 0 {
            tracing::info!(target: TARGET, left_out, outcome, "lines of attempts were left out: log_lines_per_second");
        }
        let delivery = match next {
            Next::Succeeded => "succeeded",
            Next::Ended(state, _) => state.as_str(),
            Next::Retry { .. } | Next::Postponed { .. } => "pending",
        };
        // The word alone: the sentence behind it may contain the receiver's words.
        let error = attempt.error.as_deref().map(error_word);
        let duration_ms = f64::from(u32::try_from(attempt.duration.as_micros()).unwrap_or(u32::MAX)) / 1_000.0;
        let trace_id = message.trace.as_ref().filter(|trace| trace.is_sampled()).map(|trace| tracing::field::display(trace.trace()));
        tracing::info!(
            target: TARGET,
            {
                endpoint.id = %target,
                message.id = %message.id,
                attempt.id = %attempt.id,
                attempt = attempt.number,
                trigger = attempt.trigger.as_str(),
                outcome,
                status = attempt.response_status,
                error,
                duration_ms,
                trace_id,
                delivery,
            },
            "attempt"
        );
    }
}
