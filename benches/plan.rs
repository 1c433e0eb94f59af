//! The plain plan, without an index or a cache, beside regorus' register machine: both compiled, hot, and given an input
//! that was read before. Ends with an error if the plan is slower on any policy.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use meshguard_benches::{Case, Rvm, Served};
use meshguard_engine::bundle::{Entrypoint, Settings};
use meshguard_engine::internals::{Answer, Input, Policy};
use meshguard_engine::{Bundle, DEFAULT_ENTRYPOINT};
use regorus::Value;

/// The wall clock of every evaluation, in nanoseconds since 1970.
const NOW_NS: i64 = 1_767_225_600_000_000_000;
/// Measurements of each side, taken in turn; the best one counts.
const TURNS: usize = 9;
/// How long one of them takes.
const TURN: Duration = Duration::from_millis(20);

/// One policy with one input.
struct Row {
    name: String,
    bundle: Bundle,
    rule: String,
    input: String,
}

fn main() -> anyhow::Result<()> {
    // `cargo test --benches` and criterion's own arguments are for the others.
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let rows: Vec<Row> = own()?.into_iter().chain(regorus_own()?).filter(|row| row.name.contains(&filter)).collect();
    println!("{:<24}{:>12}{:>12}{:>12}", "", "plan", "rvm", "rvm / plan");
    let mut slower = vec![];
    for row in rows {
        let (plan, rvm) = measure(&row).with_context(|| row.name.clone())?;
        let ratio = rvm.as_secs_f64() / plan.as_secs_f64();
        println!("{:<24}{:>9} ns{:>9} ns{ratio:>12.2}", row.name, plan.as_nanos(), rvm.as_nanos());
        if ratio < 1.0 {
            slower.push(row.name);
        }
    }
    ensure!(slower.is_empty(), "the plan is slower on {}", slower.join(", "));
    Ok(())
}

/// The time of one evaluation here, and of one by regorus.
fn measure(row: &Row) -> anyhow::Result<(Duration, Duration)> {
    let settings = Settings {
        entrypoints: BTreeMap::from([(row.rule.clone(), Entrypoint::default())]),
        ..row.bundle.settings.clone()
    };
    let policy = Policy::new(row.bundle.files.clone(), settings)?;
    let input = Input::data(&row.input).map_err(anyhow::Error::msg)?;
    let mut rvm = Rvm::new(&row.bundle, &row.rule)?;
    let value = Value::from_json_str(&row.input)?;
    check_equal(&policy.evaluate(&row.rule, Some(&input), NOW_NS).answer, &rvm.ask(value.clone())?)?;

    let mut plan = || _ = black_box(policy.has_value(&row.rule, black_box(&input), NOW_NS));
    let mut peer = || _ = black_box(rvm.ask(black_box(&value).clone()));
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..TURNS {
        best = (best.0.min(time(&mut plan)), best.1.min(time(&mut peer)));
    }
    Ok(best)
}

/// A comparison of different answers would be none.
fn check_equal(ours: &Answer, theirs: &Value) -> anyhow::Result<()> {
    let same = match ours {
        Answer::Value { json, .. } => {
            *theirs != Value::Undefined
                && serde_json::from_str::<serde_json::Value>(json)?
                    == serde_json::from_str::<serde_json::Value>(&theirs.to_json_str()?)?
        }
        Answer::Undefined => *theirs == Value::Undefined,
        _ => false,
    };
    ensure!(same, "{ours:?} here, {theirs:?} from regorus");
    Ok(())
}

/// The mean of as many runs as fit into a turn.
fn time(run: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    let mut runs = 0_u32;
    loop {
        for _ in 0..16 {
            run();
        }
        runs += 16;
        let elapsed = start.elapsed();
        if elapsed >= TURN {
            return elapsed / runs;
        }
    }
}

// === Policies ===

fn own() -> anyhow::Result<Vec<Row>> {
    let cases = [Case::small()?, Case::many(10)?, Case::many(100)?, Case::many(1_000)?];
    let row = |case: Case| {
        let ask = case.asks.first().context("a policy that is asked nothing")?;
        let served = Served::open(&case)?;
        let input = served.engine().input_document(&ask.request)?;
        served.finish()?;
        Ok(Row { name: case.name, bundle: case.bundle, rule: DEFAULT_ENTRYPOINT.to_owned(), input })
    };
    cases.into_iter().map(row).collect()
}

/// The nine policies that regorus measures itself with, and their inputs, from its package.
fn regorus_own() -> anyhow::Result<Vec<Row>> {
    let folder = regorus_source()?.join("benches/evaluation/test_data");
    let mut rows = vec![];
    let mut policies: Vec<PathBuf> =
        fs::read_dir(folder.join("policies"))?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    policies.sort();
    ensure!(policies.len() == 9, "regorus has {} policies, not 9", policies.len());
    for path in policies {
        let text = fs::read_to_string(&path)?;
        let package = text.lines().find_map(|line| line.strip_prefix("package ")).context("no package")?.trim();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).context("no name")?.trim_end_matches("_policy");
        for number in ["", "2", "3"] {
            let input = fs::read_to_string(folder.join(format!("inputs/{stem}_input{number}.json")))?;
            let files = BTreeMap::from([("policy.rego".to_owned(), Bytes::from(text.clone()))]);
            rows.push(Row {
                name: format!("{stem}{number}"),
                bundle: Bundle::from_files(files)?,
                rule: format!("data.{package}.allow"),
                input,
            });
        }
    }
    Ok(rows)
}

/// Where Cargo keeps the source of the regorus that is measured here.
fn regorus_source() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = Command::new(cargo).args(["metadata", "--format-version=1", "--locked"]).output()?;
    ensure!(out.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    let packages = metadata.get("packages").and_then(serde_json::Value::as_array).context("no packages")?;
    let manifest = packages
        .iter()
        .find(|package| package.get("name").is_some_and(|name| name == "regorus"))
        .and_then(|package| package.get("manifest_path")?.as_str());
    match manifest.and_then(|path| PathBuf::from(path).parent().map(PathBuf::from)) {
        Some(folder) => Ok(folder),
        None => bail!("cargo doesn't know where regorus is"),
    }
}
