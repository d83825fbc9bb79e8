//! Simulation of the engine: the real engine on the real SQLite in memory, in a world drawn from a seed, with faults
//! drawn from the same seed.
//!
//! Time is the runtime's paused time and advances only when every task waits; there is one thread, and every choice is
//! drawn from the seed. A seed therefore always gives the same history. A [world] holds everything, and its [acts] are
//! the steps. The [gate], the [store], the [hub] and the [receivers] are a node's view of the world, and the places
//! where it is killed, frozen and given faults. The [oracle] judges the [history].
//!
//! A failed seed is printed with the command that repeats it:
//! `HOOKSTREAM_SEED=17 cargo nextest run -p hookstream-engine requested_seeds_hold`. `HOOKSTREAM_SEED` also takes a
//! range such as `200..400`, and `HOOKSTREAM_TRACE=1000` prints that many lines of the trace.

mod acts;
mod clock;
mod gate;
mod history;
mod hub;
mod oracle;
mod planted;
mod receivers;
mod store;
mod tests;
mod world;
