//! The fault `clock`: a node's clock jumps by up to an hour, forward or back, and is put right.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
use hookstream_model::base::time::Timestamp;
use rand::{RngExt, rngs::StdRng};
use tokio::time::{Instant, sleep, timeout};

use super::{
    fault::{Broken, between},
    world::Installation,
};

/// How far a jump goes, in milliseconds.
const JUMP_MS: std::ops::RangeInclusive<i64> = 60_000..=3_600_000;
/// How soon a message must be delivered that is sent while a clock is wrong.
const GOES_ON_WITHIN: Duration = Duration::from_secs(15);
/// How long after a jump a signature may still have the time from before it, and how far one may be off.
const LATE: Duration = Duration::from_secs(2);
const OFF_MS: i64 = 5_000;

/// How the nodes' clocks are turned, by which the receiver can tell whether the time of a signature is right.
#[derive(Debug)]
pub(super) struct Clocks(Mutex<Vec<Turned>>);

#[derive(Debug, Clone, Copy)]
struct Turned {
    ms: i64,
    before: i64,
    since: Instant,
}

impl Clocks {
    /// All of them right.
    pub(super) fn new(nodes: u32) -> Self {
        Self(Mutex::new((0..nodes).map(|_| Turned { ms: 0, before: 0, since: Instant::now() }).collect()))
    }

    /// Whether a node's clock has shown so many seconds of late, now being the true time.
    pub(super) fn have_shown(&self, seconds: i64, now: Timestamp) -> bool {
        self.all().iter().any(|turned| {
            let of_late = turned.since.elapsed() < LATE;
            let fits = |ms: i64| (now.as_millis() + ms - seconds * 1_000).abs() <= OFF_MS;
            fits(turned.ms) || (of_late && fits(turned.before))
        })
    }

    fn turn(&self, node: u32, ms: i64) {
        if let Some(turned) = self.all().get_mut(node as usize) {
            *turned = Turned { ms, before: turned.ms, since: Instant::now() };
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Turned>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Turns the clock of a node once or twice, sees that all goes on meanwhile, and puts it right.
pub(super) async fn inflict(world: &mut Installation, rng: &mut StdRng) -> anyhow::Result<Broken> {
    let node = rng.random_range(0..world.fleet.count());
    for _ in 0..rng.random_range(1..=2) {
        let ms = rng.random_range(JUMP_MS);
        let ms = if rng.random_bool(0.5) { ms } else { -ms };
        turn(world, node, ms)?;
        let ordered = world.ledger.totals().ordered;
        let told = || format!("nothing was delivered within {} s of a jump of the clock by {} s", GOES_ON_WITHIN.as_secs(), ms / 1_000);
        timeout(GOES_ON_WITHIN, world.recovery(Instant::now())).await.with_context(told)??;
        sleep(between(rng, 3_000, 4_000)).await;
        anyhow::ensure!(world.ledger.totals().ordered > ordered, "nothing in order arrived after a jump of the clock by {} s", ms / 1_000);
    }
    turn(world, node, 0)?;
    Ok(Broken { ended: Instant::now(), nodes: 0 })
}

fn turn(world: &mut Installation, node: u32, ms: i64) -> anyhow::Result<()> {
    world.stage.shim()?.turn_clock(node, ms)?;
    world.clocks.turn(node, ms);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_right_that_a_clock_shows_or_has_shown_a_moment_ago() {
        let (clocks, now) = (Clocks::new(1), Timestamp::from_millis(10_000_000));
        let check = |shown: &[i64], not: &[i64]| {
            shown.iter().for_each(|seconds| assert!(clocks.have_shown(*seconds, now), "{seconds}"));
            not.iter().for_each(|seconds| assert!(!clocks.have_shown(*seconds, now), "{seconds}"));
        };
        check(&[10_000, 9_996, 10_004], &[9_990, 10_010, 13_600]);
        clocks.turn(0, 3_600_000);
        check(&[10_000, 13_600], &[6_400]);
        clocks.all()[0].since = Instant::now().checked_sub(LATE).expect("the machine runs for longer");
        check(&[13_600], &[10_000]);
    }
}
