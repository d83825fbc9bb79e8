//! Records outcomes in batches, and applies their effects to the targets.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use hookstream_model::{
    base::time::Timestamp,
    delivery::{attempt::Attempt, state::DisabledReason},
    operations::audit_log::AuditContext,
    outbound::message::Message,
};
use hookstream_store::{
    Error,
    delivery::deliveries::{Next, Owner, Settled},
};
use tokio::sync::mpsc;

use crate::{
    attempts::{
        attempt_log::AttemptLog,
        pending_record::{Effect, PendingRecord},
    },
    core::Core,
    operational::warnings::note_failing,
    queues::schedule::{self, Finished},
    realtime::event::Event,
    routing::route::Route,
    upkeep::{
        hold_writer,
        metrics::{Recorded, Subject},
    },
};

/// Maximum number of outcomes in one commit.
const BATCH: usize = 1_000;
/// Time for which outcomes gather before they are recorded. No one waits for it: sender and receiver have their
/// responses, and a target's next attempt does not depend on it. The wait saves a commit for every few messages; a crash
/// within it costs a second delivery.
const GATHER: Duration = Duration::from_millis(4);
/// Pause after the store refuses.
const REFUSED_PAUSE: Duration = Duration::from_millis(500);
/// Number of retries of a refused batch before a separate task takes it over. The outcomes behind it wait until then,
/// which slows the engine down while the store refuses everything.
const REFUSED_ROUNDS: u32 = 3;

/// Records outcomes until the engine has stopped.
pub(crate) async fn run(core: Arc<Core>, mut outcomes: mpsc::Receiver<PendingRecord>) {
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            _ = outcomes.recv_many(&mut batch, BATCH) => {}
            () = core.finished.cancelled() => return,
        }
        tokio::time::sleep(GATHER).await;
        while batch.len() < BATCH
            && let Ok(recorded) = outcomes.try_recv()
        {
            batch.push(recorded);
        }
        // Usually all have one owner id.
        let mut by_owner: BTreeMap<Owner, Vec<PendingRecord>> = BTreeMap::new();
        for recorded in batch {
            by_owner.entry(recorded.owner).or_default().push(recorded);
        }
        for (owner, batch) in by_owner {
            record(&core, owner, batch).await;
        }
    }
}

/// Outcomes recorded in one commit. A part stays together until its commit is known: if the result of a commit is
/// unknown, one stored attempt proves that all of the part is stored.
struct Part {
    rows: Vec<PendingRecord>,
    /// Whether an earlier commit may have succeeded.
    is_uncertain: bool,
}

impl Part {
    /// Returns whether the part may be split. After an unknown commit, a row without an attempt depends on the attempt
    /// of another row.
    fn may_be_split(&self) -> bool {
        self.rows.len() > 1 && (!self.is_uncertain || self.rows.iter().all(|row| row.settled.attempt.is_some()))
    }
}

/// Records a batch. Retries while the engine runs: an unrecorded outcome keeps its slot, so a refusing store slows the
/// engine down and loses nothing. Rows that the store keeps refusing move to a separate task, so that no other outcome
/// waits for them.
async fn record(core: &Arc<Core>, owner: Owner, batch: Vec<PendingRecord>) {
    let mut refused = settle(core, owner, vec![Part { rows: batch, is_uncertain: false }]).await;
    for _ in 0..REFUSED_ROUNDS {
        if refused.is_empty() || !wait(core).await {
            return;
        }
        refused = settle(core, owner, refused).await;
    }
    if !refused.is_empty() {
        core.tasks.spawn(record_refused(Arc::clone(core), owner, refused));
    }
}

async fn record_refused(core: Arc<Core>, owner: Owner, mut refused: Vec<Part>) {
    while !refused.is_empty() && wait(&core).await {
        refused = settle(&core, owner, refused).await;
    }
}

/// Waits before the next request to the store. Returns whether the engine still runs.
async fn wait(core: &Core) -> bool {
    tokio::select! {
        biased;
        () = core.finished.cancelled() => false,
        () = tokio::time::sleep(REFUSED_PAUSE) => true,
    }
}

/// Settles parts of a batch. Returns the parts that the store refused.
///
/// If the store refuses one part but not everything, the cause may be one row: the part is split until each refused row
/// is alone (invariant 10).
async fn settle(core: &Arc<Core>, owner: Owner, parts: Vec<Part>) -> Vec<Part> {
    let mut waiting = VecDeque::from(parts);
    let mut refused = Vec::new();
    while let Some(Part { rows, is_uncertain }) = waiting.pop_front() {
        let Err((error, rows)) = try_settle(core, owner, rows).await else { continue };
        let is_about_a_row = matches!(error, Error::Failed { .. } | Error::Conflict { .. } | Error::Unreadable { .. });
        let is_uncertain = is_uncertain || matches!(error, Error::Unavailable { .. });
        let mut part = Part { rows, is_uncertain };
        if !is_about_a_row {
            tracing::error!(error = &error as &dyn std::error::Error, "could not record attempts; retrying");
            refused.push(part);
            // The store would refuse the others as well.
            refused.extend(waiting.drain(..));
        } else if part.may_be_split() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                rows = part.rows.len(),
                "the store refused a batch of attempts; splitting it"
            );
            let second = part.rows.split_off(part.rows.len() / 2);
            waiting.push_front(Part { rows: second, is_uncertain });
            waiting.push_front(part);
        } else if part.rows.len() == 1
            && let Some(row) = part.rows.pop()
        {
            if let Err(row) = settle_reduced(core, owner, row).await {
                tracing::error!(error = &error as &dyn std::error::Error, "could not record an attempt; retrying");
                refused.push(Part { rows: vec![row], is_uncertain });
            }
        } else {
            tracing::error!(error = &error as &dyn std::error::Error, "could not record attempts; retrying");
            refused.push(part);
        }
    }
    refused
}

/// Settles deliveries in one commit and applies the effects. If the store refuses, returns the rows.
async fn try_settle(core: &Arc<Core>, owner: Owner, part: Vec<PendingRecord>) -> Result<(), (Error, Vec<PendingRecord>)> {
    let finished: Vec<_> = part.iter().map(finished).collect();
    let next_due = part.iter().filter_map(|recorded| due_at(&recorded.settled)).min();
    let mut settled = Vec::with_capacity(part.len());
    let mut effects = Vec::with_capacity(part.len());
    for PendingRecord { target, backlog, settled: row, message, effect, owner: _ } in part {
        settled.push(row);
        effects.push((target, backlog, message, effect));
    }
    let settled = Arc::new(settled);
    let is_counted = match core.store.settle(owner, Arc::clone(&settled)).await {
        Ok(is_counted) => is_counted,
        Err(error) => {
            let settled = Arc::try_unwrap(settled).unwrap_or_else(|shared| shared.to_vec());
            let back = settled.into_iter().zip(effects);
            let back = back.map(|(settled, (target, backlog, message, effect))| PendingRecord {
                owner,
                target,
                backlog,
                settled,
                message,
                effect,
            });
            return Err((error, back.collect()));
        }
    };
    let rows = settled.iter().zip(&effects).zip(is_counted).filter_map(|(row, is_counted)| is_counted.then_some(row));
    if AttemptLog::is_on() {
        for (settled, (target, _, message, _)) in rows.clone() {
            settled.attempt.iter().for_each(|attempt| core.attempt_log.note(*target, message, attempt, settled.next));
        }
    }
    let rows = rows.map(|(settled, (_, _, message, _))| (settled, &**message));
    core.instruments.recorded(rows.clone().map(|(settled, message)| counted(settled, message)));
    core.metrics.recorded(rows.clone().map(|(settled, message)| counted(settled, message)), core.now());
    for (settled, message) in rows.filter(|(settled, _)| core.realtime.wants(settled.environment_id)) {
        Event::of_settled(settled, message).into_iter().for_each(|event| core.realtime.publish(event));
    }
    for effect in effects.into_iter().filter_map(|(.., effect)| effect) {
        apply(core, effect);
    }
    if settled.iter().any(|settled| settled.event.is_some()) {
        core.told.written.notify_one();
    }
    if let Some(due) = next_due {
        core.note_due(due);
    }
    schedule::finish(core, owner, finished).await;
    Ok(())
}

/// Settles one delivery without the parts of its attempt that the store may have refused: first the response's body and headers, then
/// the text behind the error's code. If the store refuses even that, the cause is elsewhere and the row comes back
/// complete.
async fn settle_reduced(core: &Arc<Core>, owner: Owner, mut row: PendingRecord) -> Result<(), PendingRecord> {
    let (message, target) = (row.settled.message_id, row.target);
    let Some(complete) = row.settled.attempt.clone() else { return Err(row) };
    // Alone and complete first: other rows may have caused the refusal.
    match try_settle_as(core, owner, row, complete.clone()).await {
        Ok(()) => return Ok(()),
        Err(back) => row = back,
    }
    let mut reduced = complete.clone();
    let (body, headers) = (reduced.response_body.take(), reduced.response_headers.take());
    if body.is_some() || headers.is_some() {
        match try_settle_as(core, owner, row, reduced.clone()).await {
            Ok(()) => {
                tracing::warn!(message.id = %message, target.id = %target, "the store refused the response of an attempt; recording the attempt without its body and headers");
                return Ok(());
            }
            Err(back) => row = back,
        }
    }
    if let Some(error) = &mut reduced.error {
        error.truncate(error.find(':').unwrap_or(error.len()));
        match try_settle_as(core, owner, row, reduced).await {
            Ok(()) => {
                tracing::warn!(message.id = %message, target.id = %target, "the store refused the error text of an attempt; recording the attempt without it");
                return Ok(());
            }
            Err(back) => row = back,
        }
    }
    row.settled.attempt = Some(complete);
    Err(row)
}

async fn try_settle_as(core: &Arc<Core>, owner: Owner, mut row: PendingRecord, attempt: Attempt) -> Result<(), PendingRecord> {
    row.settled.attempt = Some(attempt);
    match try_settle(core, owner, vec![row]).await {
        Ok(()) => Ok(()),
        Err((_, mut back)) => Err(back.pop().expect("the refused row comes back")),
    }
}

/// Returns what the metrics count of a settled delivery.
fn counted<'a>(settled: &'a Settled, message: &'a Message) -> Recorded<'a> {
    let Settled { environment_id, route_id, attempt, next, .. } = settled;
    let subject = Subject { environment: *environment_id, origin: message.origin_id, event_type: &message.event_type, message: message.id };
    Recorded { subject, route: *route_id, attempt: attempt.as_ref(), next: *next }
}

/// The deliveries behind one in its backlog wait as long as it does.
fn finished(recorded: &PendingRecord) -> Finished {
    let moves_on = match recorded.settled.next {
        Next::Retry { wait, .. } | Next::Postponed { wait } => !wait.keeps_position,
        Next::Succeeded | Next::Ended(..) => true,
    };
    Finished { target: recorded.target, backlog: recorded.backlog, moves_on }
}

/// Returns the due time of a delivery that stays pending.
fn due_at(settled: &Settled) -> Option<Timestamp> {
    match settled.next {
        Next::Retry { wait, .. } | Next::Postponed { wait } => Some(wait.due_at),
        Next::Succeeded | Next::Ended(..) => None,
    }
}

fn apply(core: &Arc<Core>, effect: Effect) {
    let Effect { outcome, disable, at, route } = effect;
    let kept_failing = core.health().note(&route, outcome.is_accepted(), at, core.options.disable_after);
    let failing_since = core.health().failing_since(&route.target);
    note_failing(core, route.target.key, failing_since, at);
    if let Some(reason) = disable.or(kept_failing) {
        core.tasks.spawn(disable_target(Arc::clone(core), route, reason, at));
    }
}

async fn disable_target(core: Arc<Core>, route: Arc<Route>, reason: DisabledReason, at: Timestamp) {
    let act = AuditContext::of_system(core.new_id(), core.now());
    let key = route.target.key;
    match route.target_state.disable(&act, key, reason, at - core.options.disable_after).await {
        Ok(true) => {
            // Waiting deliveries are skipped, even if they were held.
            hold_writer::refresh(&core, key.origin).await;
            tracing::warn!(endpoint.id = %key.id, application.id = %key.origin, reason = reason.as_str(), "endpoint disabled");
        }
        Ok(false) => {
            if reason == DisabledReason::KeptFailing {
                // Another node has recorded a success or disabled the target: the cached state is out of date.
                core.health().forget(key.id);
                core.origins.forget(key.origin);
            }
        }
        // The next attempt reports the same reason again.
        Err(error) => tracing::error!(error = &error as &dyn std::error::Error, endpoint.id = %key.id, "could not disable an endpoint"),
    }
}
