//! A whole decision, as a host asks for it: state checks, evaluation, id, and the record on its way to the journal.

use anyhow::Context;
use criterion::{BenchmarkId, Criterion};
use meshguard_benches::{Case, Served};

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    decide(&mut criterion).context("decide")?;
    criterion.final_summary();
    Ok(())
}

fn decide(criterion: &mut Criterion) -> anyhow::Result<()> {
    let mut group = criterion.benchmark_group("decide");
    for case in Case::all()? {
        let served = Served::open(&case)?;
        let engine = served.engine();
        group.bench_function(BenchmarkId::new("built", &case.name), |b| {
            let mut turn = case.turns();
            b.iter_custom(|iterations| served.time(iterations, || engine.decide(&turn().request)));
        });
        group.bench_function(BenchmarkId::new("json", &case.name), |b| {
            let mut turn = case.turns();
            b.iter_custom(|iterations| served.time(iterations, || engine.decide_json(&turn().json)));
        });
        served.finish()?;
    }
    group.finish();
    Ok(())
}
