//! Two threads that share an engine, beside two that each have their own.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use anyhow::anyhow;
use meshguard_benches::{Case, Served};

/// Decisions of each thread in one go: both together are what the journal's queue is emptied after.
const DECISIONS: u64 = 4_096;

/// The best time of both ways, for the same number of decisions.
#[derive(Debug, Clone, Copy)]
pub struct Threads {
    /// Both ask one engine.
    pub shared: Duration,
    /// Each asks its own.
    pub apart: Duration,
}

impl Threads {
    /// Takes both ways in turn, each so often.
    ///
    /// # Errors
    /// The bundle is refused, or a record is lost.
    pub fn measure(case: &Case, turns: u32) -> anyhow::Result<Self> {
        let engines = [Served::open(case)?, Served::open(case)?, Served::open(case)?];
        let [shared, one, other] = &engines;
        let mut best = Self { shared: Duration::MAX, apart: Duration::MAX };
        // The first turn warms up.
        for turn in 0..=turns {
            let now = Self { shared: both(case, [shared, shared])?, apart: both(case, [one, other])? };
            if turn > 0 {
                best = Self { shared: best.shared.min(now.shared), apart: best.apart.min(now.apart) };
            }
        }
        for served in engines {
            served.finish()?;
        }
        Ok(best)
    }

    /// Throughput of the shared engine, as a part of that of the others.
    pub fn ratio(self) -> f64 {
        self.apart.as_secs_f64() / self.shared.as_secs_f64()
    }
}

/// How long the slower of two threads takes that start together.
fn both(case: &Case, engines: [&Served; 2]) -> anyhow::Result<Duration> {
    let start = Barrier::new(2);
    let decide = |served: &Served| {
        let mut turn = case.turns();
        start.wait();
        served.time(DECISIONS, || served.engine().decide(&turn().request))
    };
    let times = thread::scope(|scope| engines.map(|served| scope.spawn(move || decide(served))).map(|t| t.join()));
    let [one, other] = times;
    let panicked = |_| anyhow!("a deciding thread panicked");
    Ok(one.map_err(panicked)?.max(other.map_err(panicked)?))
}
