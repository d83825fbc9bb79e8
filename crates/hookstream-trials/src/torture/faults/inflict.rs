//! Effects of the faults, and their repair.

use std::time::Duration;

use anyhow::Context;
use rand::{RngExt, rngs::StdRng};
use tokio::time::{Instant, sleep};

use super::{
    fault::{Broken, Fault, between},
    jumps, missed,
};
use crate::torture::{database::cluster::Stop, installation::Installation, traffic::receiver::Behaviour};

/// Time within which a send must be refused after the disk is full.
const REFUSED_WITHIN: Duration = Duration::from_secs(60);

/// Inflicts a fault and ends it while messages come in.
pub(crate) async fn inflict(fault: Fault, installation: &mut Installation, rng: &mut StdRng) -> anyhow::Result<Broken> {
    let Installation { test_bed, fleet, ledger, receiver, .. } = installation;
    let all = fleet.count();
    let nodes = match fault {
        Fault::Kill => {
            let node = rng.random_range(0..all);
            fleet.kill(node);
            sleep(between(rng, 0, 300)).await;
            let ended = Instant::now();
            fleet.start(node).await?;
            return Ok(Broken { ended, nodes: 1 });
        }
        Fault::Pause => {
            let node = rng.random_range(0..all);
            fleet.pause(node)?;
            sleep(test_bed.pause(rng)).await;
            fleet.resume(node)?;
            1
        }
        Fault::Terminate => {
            test_bed.psql()?.terminate_others().await?;
            all
        }
        Fault::Connections => {
            let psql = test_bed.psql()?;
            let held = psql.hold_all_connections().await?;
            sleep(between(rng, 2_000, 3_000)).await;
            held.release();
            // The rest of them take slots until the server notices.
            psql.until_reachable().await?;
            all
        }
        Fault::Locks => {
            let held = test_bed.psql()?.lock_all_tables()?;
            sleep(between(rng, 1_000, 3_000)).await;
            held.release();
            all
        }
        Fault::RestartFast | Fault::RestartImmediate => {
            let mode = if fault == Fault::RestartFast { Stop::Fast } else { Stop::Immediate };
            let cluster = test_bed.primary()?;
            cluster.stop(mode).await?;
            sleep(between(rng, 0, 1_000)).await;
            cluster.start().await?;
            all
        }
        Fault::Failover => {
            test_bed.fail_over().await?;
            all
        }
        Fault::DiskFull => {
            let refused = ledger.refused_with(503);
            test_bed.disk()?.fill()?;
            let end = Instant::now() + REFUSED_WITHIN;
            while ledger.refused_with(503) == refused {
                anyhow::ensure!(Instant::now() < end, "no send was refused with 503 while the disk was full");
                sleep(Duration::from_millis(20)).await;
            }
            sleep(between(rng, 500, 2_000)).await;
            test_bed.disk()?.make_room().context("could not remove the ballast")?;
            all
        }
        Fault::Receivers => {
            for _ in 0..2 {
                receiver.set(Behaviour::bad(rng));
                sleep(between(rng, 500, 2_000)).await;
            }
            receiver.set(Behaviour::Accepts);
            all
        }
        Fault::Jobs => return missed::inflict(installation, rng).await,
        Fault::Power => {
            // A cut soon after another meets a node during recovery.
            let cuts = rng.random_range(1..=2);
            for cut in 1..=cuts {
                fleet.kill(0);
                test_bed.shim()?.cut_power(rng).context("could not cut the power")?;
                if cut < cuts {
                    fleet.start(0).await?;
                    sleep(between(rng, 0, 50)).await;
                }
            }
            let ended = Instant::now();
            fleet.start(0).await?;
            return Ok(Broken { ended, nodes: cuts });
        }
        Fault::Clock => return jumps::inflict(installation, rng).await,
    };
    Ok(Broken { ended: Instant::now(), nodes })
}
