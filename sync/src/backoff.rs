//! How long to wait before the next attempt: full jitter under a bound that doubles.

use std::time::Duration;

use fastrand::Rng;

use crate::config::Reconnect;

/// Doublings after which any bound has reached its cap.
const MAX_DOUBLINGS: u32 = 31;

/// One sequence of attempts.
#[derive(Debug)]
pub(crate) struct Backoff {
    pace: Reconnect,
    failures: u32,
    rng: Rng,
}

impl Backoff {
    pub(crate) fn new(pace: Reconnect, rng: Rng) -> Self {
        Self { pace, failures: 0, rng }
    }

    /// How long to wait, after an attempt that lasted so long; none for one that never began. A clean end counts like any
    /// other: whatever closes thousands of streams at once closes them cleanly.
    pub(crate) fn next(&mut self, lasted: Option<Duration>) -> Duration {
        let bound = if lasted.is_some_and(|lasted| self.is_healthy(lasted)) {
            self.failures = 0;
            self.pace.first.min(self.pace.cap)
        } else {
            let bound = self.pace.base.saturating_mul(1 << self.failures.min(MAX_DOUBLINGS)).min(self.pace.cap);
            self.failures = self.failures.saturating_add(1);
            bound
        };
        self.within(bound).max(self.pace.floor)
    }

    /// Whether a stream that lasted so long counts as healthy.
    pub(crate) fn is_healthy(&self, lasted: Duration) -> bool {
        lasted >= self.pace.healthy_after
    }

    /// It works again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The longest wait there is, whoever asks for it.
    pub(crate) fn cap(&self) -> Duration {
        self.pace.cap
    }

    /// The shortest wait there is.
    pub(crate) fn floor(&self) -> Duration {
        self.pace.floor
    }

    /// A random time up to `bound`.
    pub(crate) fn within(&mut self, bound: Duration) -> Duration {
        bound.mul_f64(self.rng.f64())
    }

    /// `time`, give or take a fifth.
    pub(crate) fn about(&mut self, time: Duration) -> Duration {
        time.mul_f64(0.8 + 0.4 * self.rng.f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(seed: u64) -> Backoff {
        Backoff::new(Reconnect::default(), Rng::with_seed(seed))
    }

    #[test]
    fn waits_fill_the_whole_range_and_stay_inside() {
        for failures in 0..12 {
            let bound = Duration::from_millis(250 * (1 << failures)).min(Duration::from_secs(30));
            let mut quarters = [0_u32; 4];
            for seed in 0..2000 {
                let mut backoff = backoff(seed);
                backoff.failures = failures;
                let wait = backoff.next(None);
                assert!(wait <= bound && wait >= Duration::from_millis(50), "{wait:?} after {failures} failures");
                let quarter = (wait.as_secs_f64() / bound.as_secs_f64() * 4.0) as usize;
                quarters[quarter.min(3)] += 1;
            }
            // The floor lifts the lowest waits of the first bounds, still within their quarter of at least 62 ms.
            assert!(quarters.iter().all(|count| (400..600).contains(count)), "{failures}: {quarters:?}");
        }
    }

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let longest = |failures: u32| {
            (0..500)
                .map(|seed| {
                    let mut backoff = backoff(seed);
                    backoff.failures = failures;
                    backoff.next(None)
                })
                .max()
                .unwrap()
        };
        assert!(longest(1) > longest(0) && longest(3) > longest(2));
        assert!(longest(40) <= Duration::from_secs(30) && longest(u32::MAX) > Duration::from_secs(29));
    }

    #[test]
    fn only_a_healthy_stream_resets_and_spreads_wider() {
        let mut backoff = backoff(1);
        for _ in 0..9 {
            backoff.next(None);
        }
        backoff.next(Some(Duration::from_secs(59)));
        assert_eq!(backoff.failures, 10, "a short stream is one more failure");
        let spread: Vec<Duration> = (0..500).map(|_| backoff.next(Some(Duration::from_secs(60)))).collect();
        assert_eq!(backoff.failures, 0);
        assert!(spread.iter().all(|wait| *wait <= Duration::from_secs(5)));
        assert!(spread.iter().any(|wait| *wait > Duration::from_secs(4)));
    }

    #[test]
    fn one_seed_one_sequence() {
        let sequence = |seed| {
            let mut backoff = backoff(seed);
            (0..20).map(|_| backoff.next(None)).collect::<Vec<_>>()
        };
        assert_eq!(sequence(7), sequence(7));
        assert_ne!(sequence(7), sequence(8));
    }

    #[test]
    fn about_is_within_a_fifth() {
        let mut backoff = backoff(3);
        for _ in 0..1000 {
            let time = backoff.about(Duration::from_secs(60)).as_secs_f64();
            assert!((48.0..=72.0).contains(&time), "{time}");
        }
    }
}
