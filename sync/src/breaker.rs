//! Spares decisions the wait for a gateway that is known not to answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures in succession after which no more questions are put.
const MAX_FAILURES: u32 = 5;
/// For how long, before one question tries again.
const OPEN: Duration = Duration::from_secs(1);

/// Whether questions are put.
#[derive(Debug)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State::Closed { failures: 0 }))
    }

    /// Whether a question may be put now. Whoever gets a yes must say how it went.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => true,
            State::Open { until } if now >= until => {
                *state = State::HalfOpen;
                true
            }
            State::Open { .. } | State::HalfOpen => false,
        }
    }

    /// The gateway was reached, whatever it said.
    pub(crate) fn reached(&self) {
        *self.lock() = State::Closed { failures: 0 };
    }

    /// It wasn't, or not in time.
    pub(crate) fn missed(&self, now: Instant) {
        let mut state = self.lock();
        *state = match *state {
            State::Closed { failures } if failures + 1 < MAX_FAILURES => State::Closed { failures: failures + 1 },
            // Questions put before it opened may still be failing; they don't prolong it.
            State::Open { until } => State::Open { until },
            State::Closed { .. } | State::HalfOpen => State::Open { until: now + OPEN },
        };
    }

    /// Its name in a status.
    pub(crate) fn name(&self) -> &'static str {
        match *self.lock() {
            State::Closed { .. } => "closed",
            State::Open { .. } => "open",
            State::HalfOpen => "half_open",
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_after_five_failures_in_succession_and_tries_once_a_second() {
        let breaker = Breaker::new();
        let start = Instant::now();
        for _ in 0..4 {
            assert!(breaker.admits(start));
            breaker.missed(start);
        }
        breaker.reached();
        for _ in 0..5 {
            assert!(breaker.admits(start), "not in succession");
            breaker.missed(start);
        }
        assert_eq!(breaker.name(), "open");
        assert!(!breaker.admits(start + Duration::from_millis(999)));
        let later = start + OPEN;
        assert!(breaker.admits(later), "one tries");
        assert!(!breaker.admits(later), "and only one");
        breaker.missed(later);
        assert!(!breaker.admits(later + Duration::from_millis(999)));
        assert!(breaker.admits(later + OPEN));
        breaker.reached();
        assert!(breaker.admits(later) && breaker.name() == "closed");
    }

    #[test]
    fn stragglers_do_not_prolong_it() {
        let breaker = Breaker::new();
        let start = Instant::now();
        for _ in 0..5 {
            breaker.missed(start);
        }
        breaker.missed(start + Duration::from_millis(900));
        assert!(breaker.admits(start + OPEN));
    }
}
