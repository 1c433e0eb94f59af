//! Time comes in through here, so that tests and simulation own it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use rustix::time::{ClockId, clock_getres, clock_gettime};

/// What time it is, three ways.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch. May jump; never trusted alone.
    fn wall_ms(&self) -> i64;

    /// Milliseconds since boot, suspend included. Never goes back while the machine is up.
    fn boot_ms(&self) -> u64;

    /// Nanoseconds since some fixed point, for measuring how long something took.
    fn elapsed_ns(&self) -> u64;

    /// All three, for who needs more than one and is in a hurry.
    fn now(&self) -> Now {
        Now { wall_ms: self.wall_ms(), boot_ms: self.boot_ms(), elapsed_ns: self.elapsed_ns() }
    }
}

/// A moment, by each of a [`Clock`]'s readings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// See [`Clock::wall_ms`].
    pub wall_ms: i64,
    /// See [`Clock::boot_ms`].
    pub boot_ms: u64,
    /// See [`Clock::elapsed_ns`].
    pub elapsed_ns: u64,
}

impl Now {
    /// Nanoseconds since the Unix epoch.
    pub(crate) fn wall_ns(&self) -> i64 {
        self.wall_ms.saturating_mul(1_000_000)
    }
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start_ns: u64,
    /// The wall clock for [`Clock::now`].
    quick_wall: ClockId,
}

/// The coarsest wall clock that is good enough for a decision, in nanoseconds.
const COARSEST_NS: i64 = 10_000_000;

impl SystemClock {
    /// A clock whose `elapsed_ns` starts now.
    pub fn new() -> Self {
        // The coarse clock stands still between two ticks of the kernel, and takes a quarter of the time to read.
        let resolution = clock_getres(ClockId::RealtimeCoarse);
        let is_fine = resolution.tv_sec == 0 && (1..=COARSEST_NS).contains(&resolution.tv_nsec);
        let quick_wall = if is_fine { ClockId::RealtimeCoarse } else { ClockId::Realtime };
        Self { start_ns: boot_ns(), quick_wall }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        wall_ms(ClockId::Realtime)
    }

    fn boot_ms(&self) -> u64 {
        boot_ns() / 1_000_000
    }

    fn elapsed_ns(&self) -> u64 {
        boot_ns().saturating_sub(self.start_ns)
    }

    /// Two readings; the wall clock may be behind [`wall_ms`](Clock::wall_ms) by a tick of the kernel, at most 10 ms.
    fn now(&self) -> Now {
        let boot_ns = boot_ns();
        Now {
            wall_ms: wall_ms(self.quick_wall),
            boot_ms: boot_ns / 1_000_000,
            elapsed_ns: boot_ns.saturating_sub(self.start_ns),
        }
    }
}

fn wall_ms(clock: ClockId) -> i64 {
    let now = clock_gettime(clock);
    now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000)
}

/// Nanoseconds since boot, for five centuries.
fn boot_ns() -> u64 {
    // CLOCK_BOOTTIME counts suspend; `Instant` (CLOCK_MONOTONIC) doesn't, and a laptop that slept a night would
    // wake with a bundle that still looks fresh.
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// A clock that moves only when told to.
///
/// ```
/// use meshguard_engine::{Clock, ManualClock};
///
/// let clock = ManualClock::at(1_700_000_000_000);
/// clock.advance_ms(250);
/// assert_eq!(clock.wall_ms(), 1_700_000_000_250);
/// ```
#[derive(Debug)]
pub struct ManualClock {
    wall_ms: AtomicI64,
    boot_ms: AtomicU64,
}

impl ManualClock {
    /// A clock standing at `wall_ms` since the Unix epoch.
    pub fn at(wall_ms: i64) -> Self {
        Self { wall_ms: AtomicI64::new(wall_ms), boot_ms: AtomicU64::new(1_000) }
    }

    /// Lets `ms` milliseconds pass on every clock.
    pub fn advance_ms(&self, ms: u64) {
        self.boot_ms.fetch_add(ms, Ordering::SeqCst);
        self.step_wall_ms(i64::try_from(ms).unwrap_or(i64::MAX));
    }

    /// Moves the wall clock alone, as an administrator or NTP would.
    pub fn step_wall_ms(&self, ms: i64) {
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall_ms(&self) -> i64 {
        self.wall_ms.load(Ordering::SeqCst)
    }

    fn boot_ms(&self) -> u64 {
        self.boot_ms.load(Ordering::SeqCst)
    }

    fn elapsed_ns(&self) -> u64 {
        self.boot_ms().saturating_mul(1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_agree() {
        let clock = SystemClock::new();
        let before = (clock.wall_ms(), clock.boot_ms(), clock.elapsed_ns());
        let now = clock.now();
        let after = (clock.wall_ms(), clock.boot_ms(), clock.elapsed_ns());
        let coarsest_ms = COARSEST_NS / 1_000_000;
        assert!(before.0 - coarsest_ms <= now.wall_ms && now.wall_ms <= after.0, "{before:?} {now:?} {after:?}");
        assert!(before.1 <= now.boot_ms && now.boot_ms <= after.1, "{before:?} {now:?} {after:?}");
        assert!(before.2 <= now.elapsed_ns && now.elapsed_ns <= after.2, "{before:?} {now:?} {after:?}");
    }

    #[test]
    fn a_manual_clocks_readings_move_together() {
        let clock = ManualClock::at(1_000);
        clock.advance_ms(5);
        let now = clock.now();
        assert_eq!(now, Now { wall_ms: 1_005, boot_ms: clock.boot_ms(), elapsed_ns: clock.elapsed_ns() });
    }
}
