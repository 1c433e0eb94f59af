//! An evaluation beside regorus' interpreter, from the same input, and what a decision adds to it.

use std::hint::black_box;

use anyhow::{Context, ensure};
use criterion::{BenchmarkId, Criterion};
use meshguard_benches::{Case, Interpreter, Served};
use meshguard_engine::bundle::BuiltinErrors;
use meshguard_engine::{DEFAULT_ENTRYPOINT, Engine};
use regorus::Value;

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    evaluate(&mut criterion).context("evaluate")?;
    criterion.final_summary();
    Ok(())
}

fn evaluate(criterion: &mut Criterion) -> anyhow::Result<()> {
    let mut group = criterion.benchmark_group("evaluate");
    for case in Case::all()? {
        let served = Served::open(&case)?;
        let engine = served.engine();
        let mut peer = Interpreter::new(&case.bundle)?;
        // Both read the document that a decision is made upon.
        let asks = case.asks.iter();
        let texts: Vec<String> = asks.map(|ask| engine.input_document(&ask.request)).collect::<Result<_, _>>()?;
        let values: Vec<Value> = texts.iter().map(|text| Value::from_json_str(text)).collect::<Result<_, _>>()?;
        check_equal(engine, &mut peer, &texts).context(case.name.clone())?;

        group.bench_function(BenchmarkId::new("regorus_parsed", &case.name), |b| {
            let mut inputs = values.iter().cycle();
            b.iter(|| inputs.next().map(|input| peer.ask(input.clone())));
        });
        group.bench_function(BenchmarkId::new("regorus_json", &case.name), |b| {
            let mut inputs = texts.iter().cycle();
            b.iter(|| {
                let input = inputs.next().map(|text| Value::from_json_str(black_box(text)));
                input.map(|input| peer.ask(input?))
            });
        });
        group.bench_function(BenchmarkId::new("evaluate", &case.name), |b| {
            let mut inputs = texts.iter().cycle();
            b.iter(|| inputs.next().map(|text| ask_engine(engine, black_box(text))));
        });
        group.bench_function(BenchmarkId::new("decide", &case.name), |b| {
            let mut turn = case.turns();
            b.iter_custom(|iterations| served.time(iterations, || engine.decide(&turn().request)));
        });
        served.finish()?;
    }
    group.finish();
    Ok(())
}

fn ask_engine(engine: &Engine, input: &str) -> Result<meshguard_engine::Evaluation, meshguard_engine::Error> {
    engine.evaluate(DEFAULT_ENTRYPOINT, input, BuiltinErrors::Deny)
}

/// A comparison of different answers would be none.
fn check_equal(engine: &Engine, peer: &mut Interpreter, inputs: &[String]) -> anyhow::Result<()> {
    for input in inputs {
        let theirs = peer.ask(Value::from_json_str(input)?)?.to_json_str()?;
        let theirs: serde_json::Value = serde_json::from_str(&theirs)?;
        let ours = ask_engine(engine, input)?.value;
        let same = match &ours {
            Some(ours) => serde_json::from_str::<serde_json::Value>(ours.get())? == theirs,
            None => false,
        };
        ensure!(same, "{input}: {ours:?} here, {theirs} from regorus");
    }
    Ok(())
}
