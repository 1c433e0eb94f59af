//! All cases through one engine.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::case::Case;
use crate::ours;
use crate::verdict::{Verdict, judge};

/// What the engine makes of each case, in the order of the cases.
pub fn ours(cases: &[Case]) -> Vec<(&Case, Verdict)> {
    let next = AtomicUsize::new(0);
    let work = || {
        let turns = std::iter::from_fn(|| {
            let index = next.fetch_add(1, Ordering::Relaxed);
            cases.get(index).map(|case| (index, case, ours_of(case)))
        });
        turns.collect::<Vec<_>>()
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut results: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let results = workers.into_iter().filter_map(|worker| worker.join().ok());
        results.flatten().collect()
    });
    results.sort_by_key(|(index, ..)| *index);
    results.into_iter().map(|(_, case, verdict)| (case, verdict)).collect()
}

fn ours_of(case: &Case) -> Verdict {
    match catch_unwind(AssertUnwindSafe(|| ours::observe(case))) {
        Ok(observed) => judge(case, observed),
        Err(_) => Verdict::Wrong("panicked".to_owned()),
    }
}
