//! Time comes in through here, so that tests and simulation own it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// What time it is, three ways.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch. May jump; never trusted alone.
    fn wall_ms(&self) -> i64;

    /// Milliseconds since boot, suspend included. Never goes back while the machine is up.
    fn boot_ms(&self) -> u64;

    /// Nanoseconds since some fixed point, for measuring how long something took.
    fn elapsed_ns(&self) -> u64;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose `elapsed_ns` starts now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        let now = clock_gettime(ClockId::Realtime);
        now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000)
    }

    fn boot_ms(&self) -> u64 {
        // CLOCK_BOOTTIME counts suspend; `Instant` (CLOCK_MONOTONIC) doesn't, and a laptop that slept a night would
        // wake with a bundle that still looks fresh.
        let now = clock_gettime(ClockId::Boottime);
        u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec / 1_000_000).unwrap_or(0)
    }

    fn elapsed_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
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
