//! From nothing in memory to the first decision, with no network.
#![expect(
    clippy::expect_used,
    reason = "criterion's closures return times, not results; a start that fails ends the run"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use criterion::Criterion;
use meshguard_benches::{Case, Publisher, acknowledge_all, builder};
use meshguard_engine::{Effect, Engine, EngineBuilder, Request};

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    starts(&mut criterion).context("cold_start")?;
    criterion.final_summary();
    Ok(())
}

fn starts(criterion: &mut Criterion) -> anyhow::Result<()> {
    let mut group = criterion.benchmark_group("cold_start");
    group.sample_size(10);
    let case = Case::mebibyte()?;
    let publisher = Publisher::new()?;
    let public = publisher.public()?;
    let request = case.turns()().request.clone();

    let held = tempfile::tempdir()?;
    keep(held.path(), &publisher, &case)?;
    let empty = tempfile::tempdir()?;

    let from_disk = || builder(public).state_dir(held.path());
    let from_memory = || builder(public).unsigned_bundle(case.bundle.clone());
    let from_nothing = || builder(public).state_dir(empty.path());

    group.bench_function("disk", |b| {
        b.iter_custom(|iterations| time(iterations, from_disk, &request, Effect::Allow));
    });
    // Its two parts: compiling alone, and opening a store that holds nothing.
    group.bench_function("compile_only", |b| {
        b.iter_custom(|iterations| time(iterations, from_memory, &request, Effect::Allow));
    });
    group.bench_function("empty_store", |b| {
        b.iter_custom(|iterations| time(iterations, from_nothing, &request, Effect::Deny));
    });
    group.finish();
    Ok(())
}

/// Leaves the bundle in `dir`, as an edge that stops does.
fn keep(dir: &Path, publisher: &Publisher, case: &Case) -> anyhow::Result<()> {
    let engine = builder(publisher.public()?).state_dir(dir).open()?;
    engine.apply(&publisher.publish(&case.bundle)?)?;
    acknowledge_all(&engine)?;
    drop(engine);
    let again = builder(publisher.public()?).state_dir(dir).open()?;
    ensure!(again.status().revision.is_some(), "the bundle wasn't kept");
    Ok(())
}

fn time(iterations: u64, builder: impl Fn() -> EngineBuilder, request: &Request, expected: Effect) -> Duration {
    let mut timed = Duration::ZERO;
    for _ in 0..iterations {
        let prepared = builder();
        let started = Instant::now();
        let engine = prepared.open().expect("opens");
        let decision = engine.decide(request);
        timed += started.elapsed();
        assert_eq!(decision.effect(), expected, "{decision:?}");
        forget_records(&engine);
    }
    timed
}

/// So that a start finds what the one before found, and not a journal that grew.
fn forget_records(engine: &Engine) {
    acknowledge_all(engine).expect("the journal is written");
}
