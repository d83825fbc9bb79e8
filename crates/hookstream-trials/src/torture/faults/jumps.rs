//! Fault `clock`: a node's clock jumps by up to an hour, forward or back, and is reset.

use std::time::Duration;

use anyhow::Context;
use rand::{RngExt, rngs::StdRng};
use tokio::time::{Instant, sleep, timeout};

use super::fault::{Broken, between};
use crate::torture::installation::Installation;

/// Size of a jump, in milliseconds.
const JUMP_MS: std::ops::RangeInclusive<i64> = 60_000..=3_600_000;
/// Time limit for the delivery of a message sent while a clock is wrong.
const DELIVERED_WITHIN: Duration = Duration::from_secs(15);

/// Shifts the clock of a node once or twice, checks that deliveries continue, and resets it.
pub(crate) async fn inflict(installation: &mut Installation, rng: &mut StdRng) -> anyhow::Result<Broken> {
    let node = rng.random_range(0..installation.fleet.count());
    for _ in 0..rng.random_range(1..=2) {
        let ms = rng.random_range(JUMP_MS);
        let ms = if rng.random_bool(0.5) { ms } else { -ms };
        shift(installation, node, ms)?;
        let ordered = installation.ledger.totals().ordered;
        let message =
            || format!("nothing was delivered within {} s of a jump of the clock by {} s", DELIVERED_WITHIN.as_secs(), ms / 1_000);
        timeout(DELIVERED_WITHIN, installation.recovery(Instant::now())).await.with_context(message)??;
        sleep(between(rng, 3_000, 4_000)).await;
        anyhow::ensure!(
            installation.ledger.totals().ordered > ordered,
            "nothing in order arrived after a jump of the clock by {} s",
            ms / 1_000
        );
    }
    shift(installation, node, 0)?;
    Ok(Broken { ended: Instant::now(), nodes: 0 })
}

fn shift(installation: &mut Installation, node: u32, ms: i64) -> anyhow::Result<()> {
    installation.test_bed.shim()?.shift_clock(node, ms)?;
    installation.clocks.shift(node, ms);
    Ok(())
}
