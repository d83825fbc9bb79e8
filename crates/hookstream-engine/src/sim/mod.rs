//! A simulation of the engine: the real engine on the real SQLite in memory, in a world that is drawn from a
//! seed and goes wrong in every way that the seed says.
//!
//! Time is the runtime's paused time and moves only where everything waits; there is one thread, and every
//! choice is drawn from the seed. So a seed is a history: the same one, each time. A [world] has everything in
//! it, and its [acts] are what happens. The [gate], the [store], the [hub] and the [receivers] are what a node
//! sees of the world, and where it is killed, frozen and lied to. The [oracle] judges the [history].
//!
//! A seed that fails is printed with what repeats it:
//! `HOOKSTREAM_SEED=17 cargo nextest run -p hookstream-engine a_seed_that_is_asked_for`. Some seeds are asked for
//! as in `200..400`, and `HOOKSTREAM_TRACE=1000` prints so many lines of what happened.

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
