//! What the host notices of an update: latencies while another thread applies one version after the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use meshguard_benches::{Case, Latencies, Served};
use meshguard_engine::{Bundle, Revision};

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    swaps(&mut criterion).context("swap_under_load")?;
    criterion.final_summary();
    Ok(())
}

fn swaps(criterion: &mut Criterion) -> anyhow::Result<()> {
    let mut group = criterion.benchmark_group("swap_under_load");
    let case = Case::many(100)?;
    let versions = [Case::many(101)?.bundle, case.bundle.clone()];
    let (deciding, other) = (Served::open(&case)?, Served::open(&case)?);

    measure(&mut group, "quiet", &case, &deciding);
    // The same work beside it, of which only the other engine sees the result: what sharing a machine with a compiler costs.
    beside(&other, &versions, || measure(&mut group, "applied_elsewhere", &case, &deciding))?;
    beside(&deciding, &versions, || measure(&mut group, "applied_here", &case, &deciding))?;

    deciding.finish()?;
    other.finish()?;
    group.finish();
    Ok(())
}

/// Measures decisions, and prints what criterion's mean doesn't show. Says whether it did: criterion's filter may leave
/// this row out.
fn measure(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, case: &Case, served: &Served) -> bool {
    let mut latencies = Latencies::new();
    let mut seen = Seen::default();
    let mut turn = case.turns();
    group.bench_function(name, |b| {
        b.iter_custom(|iterations| {
            let decide = || served.engine().decide(&turn().request);
            served.time_each(iterations, decide, |latency, decision| {
                latencies.add(latency);
                seen.not_allowed += u64::from(!decision.is_allowed());
                seen.note(decision.revision);
            })
        });
    });
    let measured = !latencies.is_empty();
    if measured {
        println!("{name}: {latencies}, {seen}\n");
    }
    measured
}

/// Runs `measured` while another thread applies `versions` in turn to `served`, as fast as they compile.
fn beside(served: &Served, versions: &[Bundle], measured: impl FnOnce() -> bool) -> anyhow::Result<()> {
    let stop = AtomicBool::new(false);
    let (was_measured, (count, passed)) = thread::scope(|scope| {
        let applier = scope.spawn(|| apply_until(&stop, served, versions));
        let was_measured = measured();
        stop.store(true, Ordering::Relaxed);
        let applied = applier.join().map_err(|_| anyhow!("the applying thread panicked"))??;
        anyhow::Ok((was_measured, applied))
    })?;
    if was_measured {
        let rate = count as f64 / passed.as_secs_f64();
        println!("{count} versions applied meanwhile, {rate:.0} a second\n");
    }
    Ok(())
}

fn apply_until(stop: &AtomicBool, served: &Served, versions: &[Bundle]) -> anyhow::Result<(u64, Duration)> {
    let started = Instant::now();
    let mut count = 0;
    for version in versions.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        served.apply(version)?;
        count += 1;
    }
    Ok((count, started.elapsed()))
}

// === impl Seen ===

/// What the decisions were made by.
#[derive(Default)]
struct Seen {
    not_allowed: u64,
    revisions: u64,
    last: Option<Revision>,
}

impl Seen {
    fn note(&mut self, revision: Option<Revision>) {
        let order = |revision: Option<Revision>| revision.map(|revision| revision.order());
        assert!(order(self.last) <= order(revision), "a decision by an older version");
        if self.last != revision {
            self.revisions += 1;
            self.last = revision;
        }
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} not allowed, {} revisions seen", self.not_allowed, self.revisions)
    }
}
