//! The fault `clock`: a node's clock jumps by up to an hour, forward or back, and is put right.

use std::time::Duration;

use anyhow::Context;
use rand::{RngExt, rngs::StdRng};
use tokio::time::{Instant, sleep, timeout};

use super::fault::{Broken, between};
use crate::torture::installation::Installation;

/// How far a jump goes, in milliseconds.
const JUMP_MS: std::ops::RangeInclusive<i64> = 60_000..=3_600_000;
/// How soon a message must be delivered that is sent while a clock is wrong.
const GOES_ON_WITHIN: Duration = Duration::from_secs(15);

/// Turns the clock of a node once or twice, sees that all goes on meanwhile, and puts it right.
pub(crate) async fn inflict(world: &mut Installation, rng: &mut StdRng) -> anyhow::Result<Broken> {
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
