//! Measures ours beside its peers, and writes `RESULTS.md` and `results.svg`. See `benches/README.md`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use clap::Parser;
use peers::atr::Atr;
use peers::contestant::Tools;
use peers::measure::{Effort, Results};
use peers::report::{Run, markdown};
use peers::rows::IDS;
use peers::threads::Threads;
use peers::{bars, chart, cold, counts, machine, measure, rows};

/// Measures ours beside its peers.
#[derive(Parser)]
struct Arguments {
    /// Fewer and shorter measurements; printed instead of kept.
    #[arg(long)]
    quick: bool,
    /// Only rows whose id holds this; printed instead of kept.
    #[arg(long, value_name = "TEXT")]
    rows: Option<String>,
    /// Where RESULTS.md and results.svg are written.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The folder of outside data, with AGT's policy.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The program built from opa/.
    #[arg(long, value_name = "FILE")]
    opa: Option<PathBuf>,
    /// A Python that has AGT's package.
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// The program built from agentmesh/.
    #[arg(long, value_name = "FILE")]
    agentmesh: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let effort = if arguments.quick { Effort::QUICK } else { Effort::FULL };
    let tools = tools(&arguments);
    let scratch = tempfile::tempdir()?;
    let scratch = scratch.path();
    let atr = match &arguments.data {
        Some(data) => Atr::read(data, |patterns| refused(patterns, &tools)).map_err(|error| format!("{error:#}")),
        None => Err("no folder of outside data".to_owned()),
    };
    let wanted = |id: &str| arguments.rows.as_ref().is_none_or(|text| id.contains(text));

    let uncounted = if arguments.quick { Some("a quick run".to_owned()) } else { counts::missing() };
    let mut results = vec![];
    for id in IDS.into_iter().filter(|id| wanted(id)) {
        let Some(row) = rows::by_id(id, arguments.quick, atr.as_ref().ok())? else { continue };
        eprintln!("measuring {id}");
        let mut measured = measure::measure(&row, &tools, scratch, effort).with_context(|| id.to_owned())?;
        if row.plan.counted && uncounted.is_none() {
            count(&mut measured, scratch).with_context(|| format!("counting the instructions of {id}"))?;
        }
        results.push(measured);
    }
    let threads = if wanted("two_threads") {
        eprintln!("measuring two_threads");
        let row = rows::by_id("many_1000", arguments.quick, None)?.context("no row for two threads")?;
        Some(Threads::measure(&row.case, effort.turns)?)
    } else {
        None
    };
    let cold = if wanted("cold_start") {
        eprintln!("measuring cold_start");
        cold::measure(&tools, scratch, effort.turns)?
    } else {
        vec![]
    };

    let bars = bars::bars(&results, threads);
    let run = Run {
        machine: machine::Machine::here(),
        effort,
        results: &results,
        bars: &bars,
        atr: atr.as_ref().map_err(Clone::clone),
        threads,
        cold: &cold,
        uncounted,
    };
    let text = markdown(&run);
    let partial = arguments.quick || arguments.rows.is_some();
    match arguments.out {
        None if partial => print!("{text}"),
        out => {
            let out = out.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
            fs::create_dir_all(&out)?;
            fs::write(out.join("RESULTS.md"), text)?;
            if let Some(drawn) = chart::svg(&results) {
                fs::write(out.join("results.svg"), drawn)?;
            }
            eprintln!("wrote RESULTS.md and results.svg in {}", out.display());
        }
    }
    Ok(())
}

fn tools(arguments: &Arguments) -> Tools {
    let given = |path: &Option<PathBuf>| path.clone().ok_or_else(|| "not set up on this machine".to_owned());
    Tools { opa: given(&arguments.opa), python: given(&arguments.python), agentmesh: given(&arguments.agentmesh) }
}

fn count(results: &mut Results, scratch: &Path) -> anyhow::Result<()> {
    let counted = std::env::current_exe()?.with_file_name("counted");
    for who in counts::COUNTED {
        if let Some(Ok(measured)) = results.by.get_mut(&who) {
            measured.instructions = Some(counts::count(&counted, &results.id, who, scratch)?);
        }
    }
    Ok(())
}

/// For each pattern, why not everybody can take it. Go is RE2's syntax; the crate `regex` is regorus'.
fn refused(patterns: &[&str], tools: &Tools) -> anyhow::Result<Vec<Option<String>>> {
    let rust = patterns.iter().map(|pattern| peers::atr::refused(pattern));
    let Ok(opa) = &tools.opa else { return Ok(rust.collect()) };
    let mut go = Command::new(opa).arg("patterns").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    go.stdin.take().context("no pipe")?.write_all(&serde_json::to_vec(patterns)?)?;
    let out = go.wait_with_output()?;
    ensure!(out.status.success(), "OPA's program can't check patterns");
    let go: Vec<Option<String>> = serde_json::from_slice(&out.stdout)?;
    Ok(go.into_iter().zip(rust).map(|(go, rust)| go.or(rust)).collect())
}
