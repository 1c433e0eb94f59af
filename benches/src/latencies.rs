//! How long each of many decisions took: criterion gives means, and a swap shows in the tail.

use std::fmt;
use std::time::Duration;

/// Every latency measured, kept whole.
#[derive(Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn add(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    /// Whether there is none: criterion's filter left the measurement out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Percentiles by nearest rank, in microseconds.
impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        for (name, per_mille) in [("p50", 500), ("p99", 990), ("p99.9", 999), ("max", 1_000)] {
            let rank = (sorted.len() * per_mille).div_ceil(1_000).saturating_sub(1);
            let latency = sorted.get(rank).copied().unwrap_or_default();
            write!(f, "{name} {:.1} µs, ", latency.as_secs_f64() * 1e6)?;
        }
        write!(f, "{} decisions", sorted.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank() {
        let latencies = Latencies((1..=1_000).rev().map(Duration::from_micros).collect());
        assert_eq!(latencies.to_string(), "p50 500.0 µs, p99 990.0 µs, p99.9 999.0 µs, max 1000.0 µs, 1000 decisions");
    }
}
