//! What an evaluation may spend: steps, memory and time.

use std::fmt;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Steps between looks at the clock: about 20 µs of the cheapest steps.
const CLOCK_INTERVAL: u64 = 4_096;

/// What ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// More steps than any reasonable policy takes.
    Steps,
    /// More memory than an evaluation may grow by.
    Memory,
    /// More time than an answer is worth.
    Time,
    /// One value too large, too deep or with too many digits.
    Size,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Steps => "too many steps",
            Self::Memory => "too much memory",
            Self::Time => "out of time",
            Self::Size => "a value too large",
        })
    }
}

/// How much an evaluation may spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// A step is an instruction, or about 16 bytes looked at by a builtin.
    pub(crate) steps: u64,
    /// Bytes allocated, whether or not they are freed again.
    pub(crate) bytes: usize,
    /// The thread's own time: one that is kept waiting by others doesn't spend it.
    pub(crate) time: Duration,
}

/// What is left of [`Limits`]. Counted down; no clock is read before the first [`CLOCK_INTERVAL`] steps are spent.
#[derive(Debug)]
pub(crate) struct Budget {
    steps: u64,
    /// Steps at which the clock is looked at next.
    check_at: u64,
    bytes: usize,
    time: Duration,
    /// On the thread's own clock.
    deadline: Option<Duration>,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            steps: limits.steps,
            check_at: limits.steps.saturating_sub(CLOCK_INTERVAL),
            bytes: limits.bytes,
            time: limits.time,
            deadline: None,
        }
    }

    /// Spends `n` steps.
    ///
    /// # Errors
    /// There are none left, or the time is over.
    #[inline]
    pub(crate) fn step(&mut self, n: u64) -> Result<(), Limit> {
        self.steps = self.steps.saturating_sub(n);
        if self.steps <= self.check_at { self.look() } else { Ok(()) }
    }

    /// Steps that are left.
    pub(crate) fn steps_left(&self) -> u64 {
        self.steps
    }

    /// Spends memory, and a step and one for each 16 bytes.
    ///
    /// # Errors
    /// There is none left.
    pub(crate) fn alloc(&mut self, bytes: usize) -> Result<(), Limit> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(Limit::Memory)?;
        // However little it is: there may be many.
        self.step(1 + bytes as u64 / 16)
    }

    /// Spends the steps for looking at `bytes` bytes.
    ///
    /// # Errors
    /// There are none left, or the time is over.
    pub(crate) fn read(&mut self, bytes: usize) -> Result<(), Limit> {
        self.step(bytes as u64 / 16)
    }

    #[cold]
    fn look(&mut self) -> Result<(), Limit> {
        if self.steps == 0 {
            return Err(Limit::Steps);
        }
        self.check_at = self.steps.saturating_sub(CLOCK_INTERVAL);
        let now = thread_time();
        // Whatever went before took less than an interval, so the time may as well begin here.
        let deadline = *self.deadline.get_or_insert_with(|| now.saturating_add(self.time));
        if now >= deadline { Err(Limit::Time) } else { Ok(()) }
    }
}

/// How long this thread has run, waiting not counted.
pub(crate) fn thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(steps: u64, bytes: usize, time: Duration) -> Budget {
        Budget::new(Limits { steps, bytes, time })
    }

    #[test]
    fn steps_end() {
        let mut budget = budget(10_000, 0, Duration::from_secs(60));
        assert_eq!((0..10_000).find_map(|_| budget.step(1).err()), Some(Limit::Steps));
        assert_eq!(budget.step(1), Err(Limit::Steps));
    }

    #[test]
    fn memory_ends_without_wrapping() {
        let mut budget = budget(10_000, 100, Duration::from_secs(60));
        assert_eq!(budget.alloc(60), Ok(()));
        assert_eq!(budget.alloc(60), Err(Limit::Memory));
        assert_eq!(budget.alloc(usize::MAX), Err(Limit::Memory));
    }

    #[test]
    fn time_ends() {
        let mut budget = budget(u64::MAX, 0, Duration::ZERO);
        assert_eq!((0..2 * CLOCK_INTERVAL).find_map(|_| budget.step(1).err()), Some(Limit::Time));
    }
}
