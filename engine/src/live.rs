//! What changes while a snapshot serves: how long ago the control plane was heard, and whether it withdrew.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use crate::clock::{Clock, Now};

/// Never heard.
const NEVER: i64 = i64::MIN;

/// Read by deciding threads, written by whoever hears the control plane.
pub(crate) struct Live {
    heard_wall_ms: AtomicI64,
    heard_boot_ms: AtomicU64,
    /// Whether it was heard by this process, and not only by an earlier one.
    heard_here: AtomicBool,
    withdrawn: AtomicBool,
}

impl Live {
    pub(crate) fn new(withdrawn: bool) -> Self {
        Self {
            heard_wall_ms: AtomicI64::new(NEVER),
            heard_boot_ms: AtomicU64::new(0),
            heard_here: AtomicBool::new(false),
            withdrawn: AtomicBool::new(withdrawn),
        }
    }

    /// An earlier process heard the control plane confirm what is served, at this wall-clock time.
    pub(crate) fn was_heard_before(&self, heard_wall_ms: i64, clock: &dyn Clock) {
        // Of the time before this process only the wall clock can tell; a wall clock behind it counts as no time.
        let passed = u64::try_from(clock.wall_ms().saturating_sub(heard_wall_ms)).unwrap_or(0);
        self.heard_boot_ms.store(clock.boot_ms().saturating_sub(passed), Ordering::Relaxed);
        self.heard_wall_ms.store(heard_wall_ms, Ordering::Relaxed);
    }

    /// The control plane confirmed what is served. Returns the moment, for keeping.
    pub(crate) fn hear(&self, clock: &dyn Clock) -> i64 {
        let now = clock.wall_ms();
        self.heard_boot_ms.store(clock.boot_ms(), Ordering::Relaxed);
        self.heard_wall_ms.store(now, Ordering::Relaxed);
        self.heard_here.store(true, Ordering::Release);
        self.withdrawn.store(false, Ordering::Release);
        now
    }

    pub(crate) fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Release);
    }

    pub(crate) fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Acquire)
    }

    pub(crate) fn was_heard_here(&self) -> bool {
        self.heard_here.load(Ordering::Acquire)
    }

    /// Milliseconds since the control plane was heard; none if never. The larger of what two clocks say: suspend stops
    /// neither, and setting one back doesn't help.
    pub(crate) fn age_ms(&self, now: &Now) -> Option<u64> {
        let heard_wall = self.heard_wall_ms.load(Ordering::Relaxed);
        if heard_wall == NEVER {
            return None;
        }
        let wall = u64::try_from(now.wall_ms.saturating_sub(heard_wall)).unwrap_or(0);
        let boot = now.boot_ms.saturating_sub(self.heard_boot_ms.load(Ordering::Relaxed));
        Some(wall.max(boot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn age_is_the_larger_of_two_clocks() {
        let clock = ManualClock::at(1_000_000);
        let live = Live::new(false);
        assert_eq!(live.age_ms(&clock.now()), None);
        live.hear(&clock);
        clock.advance_ms(500);
        clock.step_wall_ms(-10_000);
        assert_eq!(live.age_ms(&clock.now()), Some(500));
        clock.step_wall_ms(60_000);
        assert_eq!(live.age_ms(&clock.now()), Some(50_500));
    }

    #[test]
    fn age_goes_on_across_a_restart() {
        let clock = ManualClock::at(1_000_000);
        let live = Live::new(false);
        live.was_heard_before(1_000_000 - 7_000, &clock);
        assert_eq!(live.age_ms(&clock.now()), Some(7_000));
        clock.advance_ms(1_000);
        clock.step_wall_ms(-900_000);
        assert!(live.age_ms(&clock.now()).unwrap() >= 1_000);
        assert!(!live.was_heard_here());
    }
}
