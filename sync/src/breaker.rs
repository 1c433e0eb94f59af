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

/// How the gateway failed to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Miss {
    /// It couldn't be reached.
    Unreachable,
    /// It didn't answer in time, and may be slow.
    Late,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32, miss: Miss },
    Open { until: Instant, miss: Miss },
    HalfOpen { miss: Miss },
}

/// Nothing has failed.
const CLOSED: State = State::Closed { failures: 0, miss: Miss::Unreachable };

impl Breaker {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(CLOSED))
    }

    /// Lets a question be put now; whoever may must say how it went.
    ///
    /// # Errors
    /// It may not, because of how earlier ones failed. Unreachable only if every one of them was: a slow gateway is there,
    /// and what it would have said to this question is not to be replaced by fail-open.
    pub(crate) fn admit(&self, now: Instant) -> Result<(), Miss> {
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => Ok(()),
            State::Open { until, miss } if now >= until => {
                *state = State::HalfOpen { miss };
                Ok(())
            }
            State::Open { miss, .. } | State::HalfOpen { miss } => Err(miss),
        }
    }

    /// The gateway was reached, whatever it said.
    pub(crate) fn reached(&self) {
        *self.lock() = CLOSED;
    }

    /// It wasn't, or not in time.
    pub(crate) fn missed(&self, now: Instant, how: Miss) {
        let mut state = self.lock();
        *state = match *state {
            State::Closed { failures, miss } => {
                let (failures, miss) = (failures + 1, if how == Miss::Late { how } else { miss });
                if failures < MAX_FAILURES {
                    State::Closed { failures, miss }
                } else {
                    State::Open { until: now + OPEN, miss }
                }
            }
            // Questions put before it opened may still be failing; they don't prolong it.
            open @ State::Open { .. } => open,
            State::HalfOpen { .. } => State::Open { until: now + OPEN, miss: how },
        };
    }

    /// Its name in a status.
    pub(crate) fn name(&self) -> &'static str {
        match *self.lock() {
            State::Closed { .. } => "closed",
            State::Open { .. } => "open",
            State::HalfOpen { .. } => "half_open",
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
        let missed = |at| breaker.missed(at, Miss::Unreachable);
        let admits = |at| breaker.admit(at).is_ok();
        for _ in 0..4 {
            assert!(admits(start));
            missed(start);
        }
        breaker.reached();
        for _ in 0..5 {
            assert!(admits(start), "not in succession");
            missed(start);
        }
        assert_eq!(breaker.name(), "open");
        assert!(!admits(start + Duration::from_millis(999)));
        let later = start + OPEN;
        assert!(admits(later), "one tries");
        assert!(!admits(later), "and only one");
        missed(later);
        assert!(!admits(later + Duration::from_millis(999)));
        assert!(admits(later + OPEN));
        breaker.reached();
        assert!(admits(later) && breaker.name() == "closed");
    }

    #[test]
    fn stragglers_do_not_prolong_it() {
        let breaker = Breaker::new();
        let start = Instant::now();
        for _ in 0..5 {
            breaker.missed(start, Miss::Unreachable);
        }
        breaker.missed(start + Duration::from_millis(900), Miss::Late);
        assert_eq!(breaker.admit(start + Duration::from_millis(900)), Err(Miss::Unreachable));
        assert!(breaker.admit(start + OPEN).is_ok());
    }

    #[test]
    fn it_knows_slow_from_gone() {
        let start = Instant::now();
        for late in 0..=5 {
            let breaker = Breaker::new();
            for at in 0..5 {
                breaker.missed(start, if at < late { Miss::Late } else { Miss::Unreachable });
            }
            let expected = if late == 0 { Miss::Unreachable } else { Miss::Late };
            assert_eq!(breaker.admit(start), Err(expected), "{late} of 5 were late");
            // The one that tries again says anew what it is; until it has, what was known holds.
            assert!(breaker.admit(start + OPEN).is_ok());
            assert_eq!(breaker.admit(start + OPEN), Err(expected));
            for miss in [Miss::Unreachable, Miss::Late] {
                breaker.missed(start + OPEN, miss);
                assert_eq!(breaker.admit(start + OPEN), Err(miss));
                assert!(breaker.admit(start + OPEN + OPEN).is_ok());
            }
        }
    }
}
