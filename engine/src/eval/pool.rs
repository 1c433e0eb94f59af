//! Interpreters, lent to deciding threads.

use std::sync::{Mutex, PoisonError};

use crossbeam_queue::ArrayQueue;
use regorus::Engine;
use regorus::utils::limits::ExecutionTimerConfig;

/// How many idle interpreters are kept: enough for the threads that decide at once, few enough to forget about.
const SPARES: usize = 64;

/// A prepared interpreter and its idle copies.
///
/// Evaluating needs an interpreter of one's own. Copies live here and not in thread-local storage, so that they die with
/// their program, on the reaper thread, and not inside somebody's decision.
pub(super) struct Pool {
    prepared: Mutex<Engine>,
    spares: ArrayQueue<Engine>,
}

impl Pool {
    pub(super) fn new(prepared: Engine) -> Self {
        Self { prepared: Mutex::new(prepared), spares: ArrayQueue::new(SPARES) }
    }

    pub(super) fn take(&self) -> Engine {
        // The lock is only reached by a thread's first decision and after a failed one; a copy shares all that is large.
        self.spares.pop().unwrap_or_else(|| self.prepared.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// One with more time, for what isn't a decision. Not to be given back.
    pub(super) fn patient(&self, budget: ExecutionTimerConfig) -> Engine {
        let mut engine = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        engine.set_execution_timer_config(budget);
        engine
    }

    pub(super) fn give_back(&self, engine: Engine) {
        // Over the limit it is dropped: it holds nothing large of its own.
        let _ = self.spares.push(engine);
    }
}
