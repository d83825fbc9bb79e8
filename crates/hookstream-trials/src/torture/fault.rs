//! What can be broken, and the doing of it.

use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use rand::{RngExt, rngs::StdRng};
use tokio::time::{Instant, sleep};

use super::{cluster::Stop, jumps, missed, receiver::Mood, world::Installation};

/// How long sends may go on being accepted while the disk is full.
const REFUSED_WITHIN: Duration = Duration::from_secs(60);

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Fault {
    /// A node is killed (SIGKILL) and started again.
    Kill,
    /// A node is stopped (SIGSTOP), on PostgreSQL for longer than its lease, and goes on (SIGCONT).
    Pause,
    /// Every connection to the database is ended by `pg_terminate_backend`.
    Terminate,
    /// Every connection is ended and others take the places until there are none left.
    Connections,
    /// Every table is locked.
    Locks,
    /// PostgreSQL is stopped in fast mode and started again.
    RestartFast,
    /// PostgreSQL is stopped in immediate mode, which is a crash, and started again.
    RestartImmediate,
    /// The primary is stopped in immediate mode and its synchronous replica promoted.
    Failover,
    /// The disk that the database stands on is full.
    DiskFull,
    /// The receiver refuses, resets, hangs, trickles or is not there.
    Receivers,
    /// An endpoint is off for a moment, and the job that sends what it missed is broken midway.
    Jobs,
    /// A node is killed, and its disk has kept what was synced and any part of what was not.
    Power,
    /// A node's clock jumps, and is put right.
    Clock,
}

/// What was broken.
pub(super) struct Broken {
    /// When all was put right again.
    pub(super) ended: Instant,
    /// How many nodes may have lost track of what they had under way.
    pub(super) nodes: u32,
}

impl Fault {
    pub(super) const ALL: [Self; 13] = [
        Self::Kill,
        Self::Pause,
        Self::Terminate,
        Self::Connections,
        Self::Locks,
        Self::RestartFast,
        Self::RestartImmediate,
        Self::Failover,
        Self::DiskFull,
        Self::Receivers,
        Self::Jobs,
        Self::Power,
        Self::Clock,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Terminate => "terminate",
            Self::Connections => "connections",
            Self::Locks => "locks",
            Self::RestartFast => "restart-fast",
            Self::RestartImmediate => "restart-immediate",
            Self::Failover => "failover",
            Self::DiskFull => "disk-full",
            Self::Receivers => "receivers",
            Self::Jobs => "jobs",
            Self::Power => "power",
            Self::Clock => "clock",
        }
    }

    pub(super) fn number(self) -> u8 {
        self as u8
    }

    /// Whether it keeps deliveries from arriving, all of which must arrive in the end: a record of why they did not is
    /// not enough.
    pub(super) fn keeps_from_arriving(self) -> bool {
        matches!(self, Self::Receivers | Self::Jobs | Self::Clock)
    }

    /// Breaks it and puts it right, with the messages coming in all the time.
    pub(super) async fn inflict(self, world: &mut Installation, rng: &mut StdRng) -> anyhow::Result<Broken> {
        let Installation { stage, fleet, ledger, receiver, .. } = world;
        let all = fleet.count();
        let nodes = match self {
            Self::Kill => {
                let node = rng.random_range(0..all);
                fleet.kill(node);
                sleep(between(rng, 0, 300)).await;
                let ended = Instant::now();
                fleet.start(node).await?;
                return Ok(Broken { ended, nodes: 1 });
            }
            Self::Pause => {
                let node = rng.random_range(0..all);
                fleet.pause(node)?;
                sleep(stage.pause(rng)).await;
                fleet.resume(node)?;
                1
            }
            Self::Terminate => {
                stage.psql()?.terminate_others().await?;
                all
            }
            Self::Connections => {
                let psql = stage.psql()?;
                let held = psql.hold_all_connections().await?;
                sleep(between(rng, 2_000, 3_000)).await;
                held.let_go();
                // What is left of them takes places until the server notices.
                psql.until_it_answers().await?;
                all
            }
            Self::Locks => {
                let held = stage.psql()?.lock_all_tables()?;
                sleep(between(rng, 1_000, 3_000)).await;
                held.let_go();
                all
            }
            Self::RestartFast | Self::RestartImmediate => {
                let mode = if self == Self::RestartFast { Stop::Fast } else { Stop::Immediate };
                let cluster = stage.primary()?;
                cluster.stop(mode).await?;
                sleep(between(rng, 0, 1_000)).await;
                cluster.start().await?;
                all
            }
            Self::Failover => {
                stage.fail_over().await?;
                all
            }
            Self::DiskFull => {
                let refused = ledger.refused_with(503);
                stage.disk()?.fill()?;
                let end = Instant::now() + REFUSED_WITHIN;
                while ledger.refused_with(503) == refused {
                    anyhow::ensure!(Instant::now() < end, "no send was refused with 503 while the disk was full");
                    sleep(Duration::from_millis(20)).await;
                }
                sleep(between(rng, 500, 2_000)).await;
                stage.disk()?.make_room().context("could not remove the ballast")?;
                all
            }
            Self::Receivers => {
                for _ in 0..2 {
                    receiver.set(Mood::bad(rng));
                    sleep(between(rng, 500, 2_000)).await;
                }
                receiver.set(Mood::Well);
                all
            }
            Self::Jobs => return missed::inflict(world, rng).await,
            Self::Power => {
                // Another cut soon after the first meets a node that is putting its files in order.
                let cuts = rng.random_range(1..=2);
                for cut in 1..=cuts {
                    fleet.kill(0);
                    stage.shim()?.cut_power(rng).context("could not cut the power")?;
                    if cut < cuts {
                        fleet.start(0).await?;
                        sleep(between(rng, 0, 50)).await;
                    }
                }
                let ended = Instant::now();
                fleet.start(0).await?;
                return Ok(Broken { ended, nodes: cuts });
            }
            Self::Clock => return jumps::inflict(world, rng).await,
        };
        Ok(Broken { ended: Instant::now(), nodes })
    }
}

/// Some milliseconds.
pub(super) fn between(rng: &mut StdRng, least: u64, most: u64) -> Duration {
    Duration::from_millis(rng.random_range(least..=most))
}
