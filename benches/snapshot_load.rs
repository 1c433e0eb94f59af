//! What a decision does besides evaluating: from the bare load of the snapshot to the record on its way.

use std::hint::black_box;

use anyhow::{Context, ensure};
use criterion::{BenchmarkId, Criterion};
use meshguard_benches::{Case, Interpreter, Served};
use meshguard_engine::{ReasonCode, Request};
use regorus::Value;

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    steps(&mut criterion).context("snapshot_load")?;
    criterion.final_summary();
    Ok(())
}

fn steps(criterion: &mut Criterion) -> anyhow::Result<()> {
    let mut group = criterion.benchmark_group("snapshot_load");

    // A rule that the bundle doesn't offer: checks, clocks and the load, and nothing is evaluated.
    for case in [Case::constant()?, Case::many(1_000)?] {
        let served = Served::open(&case)?;
        let engine = served.engine();
        let nowhere = Request::new("agent-7", "act:0").entrypoint("data.meshguard.nowhere");
        let reasons = engine.outcome(&nowhere).verdict().reasons.clone();
        ensure!(reasons == [ReasonCode::UnknownEntrypoint.into()], "{reasons:?} isn't what is measured");
        group.bench_function(BenchmarkId::new("load", &case.name), |b| {
            b.iter(|| engine.outcome(black_box(&nowhere)));
        });
        served.finish()?;
    }

    // From the evaluation by itself to the whole decision. On slower policies too: between their records the journal's
    // thread may come to rest, and what it costs to record may not be the same.
    for case in [Case::constant()?, Case::many(100)?, Case::agent_tools()?] {
        let served = Served::open(&case)?;
        let engine = served.engine();
        let mut peer = Interpreter::new(&case.bundle)?;
        let texts = case.asks.iter().map(|ask| engine.input_document(&ask.request));
        let inputs: Vec<Value> =
            texts.map(|text| Value::from_json_str(&text?)).collect::<Result<_, anyhow::Error>>()?;
        group.bench_function(BenchmarkId::new("regorus_parsed", &case.name), |b| {
            let mut inputs = inputs.iter().cycle();
            b.iter(|| inputs.next().map(|input| peer.ask(input.clone())));
        });
        group.bench_function(BenchmarkId::new("outcome", &case.name), |b| {
            let mut turn = case.turns();
            b.iter(|| engine.outcome(&turn().request));
        });
        group.bench_function(BenchmarkId::new("decide", &case.name), |b| {
            let mut turn = case.turns();
            b.iter_custom(|iterations| served.time(iterations, || engine.decide(&turn().request)));
        });
        served.finish()?;
    }

    let case = Case::constant()?;
    let served = Served::open(&case)?;
    let engine = served.engine();
    // Without pauses, the journal's thread sets the pace once its queue is full.
    group.bench_function(BenchmarkId::new("sustained", &case.name), |b| {
        let mut turn = case.turns();
        b.iter(|| assert!(engine.decide(&turn().request).recorded, "a decision wasn't recorded"));
    });
    served.finish()?;
    group.finish();
    Ok(())
}
