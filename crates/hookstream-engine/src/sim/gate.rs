//! Gate between a node and the world: every request of a node to its store or to a receiver passes it.
//!
//! A node behind a permanently closed gate is dead, even if its tasks still run: none of its requests get out. A node
//! behind a temporarily closed gate is frozen in the middle of its work, as by SIGSTOP.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use tokio::sync::Notify;

use super::history::{History, Loss};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Frozen,
    Dead,
}

#[derive(Debug)]
pub(super) struct Gate {
    pub(super) node: u32,
    state: Mutex<State>,
    /// Wakes waiters in their order, unlike a watch.
    moved: Notify,
    /// Number of passes until the node dies; below 1 it lives on.
    passes_left: AtomicI64,
    history: Arc<History>,
}

impl Gate {
    pub(super) fn new(node: u32, history: Arc<History>) -> Self {
        Self { node, state: Mutex::new(State::Open), moved: Notify::new(), passes_left: AtomicI64::new(0), history }
    }

    /// Passes the gate, or waits. The state of the world may have changed afterwards.
    pub(super) async fn pass(&self) {
        if self.passes_left.load(Ordering::SeqCst) > 0 && self.passes_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.kill();
        }
        self.history.passed();
        loop {
            let moved = self.moved.notified();
            match self.state() {
                State::Open => return,
                State::Frozen => moved.await,
                State::Dead => std::future::pending().await,
            }
        }
    }

    /// Kills the node after this many passes.
    pub(super) fn kill_after(&self, passes: i64) {
        self.passes_left.store(passes, Ordering::SeqCst);
    }

    pub(super) fn kill(&self) {
        if !self.is_dead() {
            self.set(State::Dead);
            self.lost(Loss::Ended);
        }
    }

    pub(super) fn freeze(&self) {
        if !self.is_dead() {
            self.set(State::Frozen);
            self.history.note(format_args!("node {} freezes", self.node));
        }
    }

    pub(super) fn thaw(&self) {
        if self.state() == State::Frozen {
            self.lost(Loss::Thawed);
            self.set(State::Open);
        }
    }

    pub(super) fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        self.moved.notify_waiters();
    }

    pub(super) fn is_dead(&self) -> bool {
        self.state() == State::Dead
    }

    /// Notes that the node lost track of its deliveries or their ownership.
    pub(super) fn lost(&self, loss: Loss) {
        self.history.note(format_args!("node {} is lost: {loss:?}", self.node));
        self.history.change(|past, now| past.losses.push((now, self.node, loss)));
    }
}
