//! AGT's Rust crate as a contestant: its policy engine by itself, without trust, identity and audit.
//!
//! `agentmesh-peer FOLDER` loads `agentmesh.yaml` and `flat.jsonl`, then answers orders from standard input, a line each.
//! The words on the pipe are those of `../src/child.rs`.

use std::hint::black_box;
use std::io::{Write, stdin, stdout};
use std::path::Path;
use std::time::Instant;

use agentmesh::{PolicyDecision, PolicyEngine};
use anyhow::Context;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Order {
    Effects,
    Run { decisions: usize },
    Each { decisions: usize },
}

#[derive(Default, Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    first_decision_ns: u64,
    effects: Vec<&'static str>,
    ns: u64,
    latencies_ns: Vec<u64>,
}

fn main() -> anyhow::Result<()> {
    let folder = std::env::args().nth(1).context("usage: agentmesh-peer FOLDER")?;
    let (engine, actions, first_decision_ns) = match load(Path::new(&folder)) {
        Ok(loaded) => loaded,
        Err(error) => return say(&Report { error: Some(format!("{error:#}")), ..Report::default() }),
    };
    say(&Report { first_decision_ns, ..Report::default() })?;
    for order in serde_json::Deserializer::from_reader(stdin()).into_iter() {
        say(&follow(&order?, &engine, &actions))?;
    }
    Ok(())
}

fn load(folder: &Path) -> anyhow::Result<(PolicyEngine, Vec<String>, u64)> {
    let policy = std::fs::read_to_string(folder.join("agentmesh.yaml"))?;
    let fields = std::fs::read_to_string(folder.join("flat.jsonl"))?;
    let action = |line: &str| -> anyhow::Result<String> {
        let fields: serde_json::Value = serde_json::from_str(line)?;
        Ok(fields.get("action").and_then(serde_json::Value::as_str).context("no action")?.to_owned())
    };
    let actions = fields.lines().map(action).collect::<anyhow::Result<Vec<_>>>()?;
    let started = Instant::now();
    let engine = PolicyEngine::new();
    engine.load_from_yaml(&policy)?;
    black_box(engine.evaluate(actions.first().context("no requests")?, None));
    Ok((engine, actions, nanos(started)))
}

fn follow(order: &Order, engine: &PolicyEngine, actions: &[String]) -> Report {
    let turns = |decisions: &usize| actions.iter().cycle().take(*decisions);
    match order {
        Order::Effects => {
            let effect = |action: &String| match engine.evaluate(action, None) {
                PolicyDecision::Allow => "allow",
                _ => "deny",
            };
            Report { effects: actions.iter().map(effect).collect(), ..Report::default() }
        }
        Order::Run { decisions } => {
            let started = Instant::now();
            for action in turns(decisions) {
                black_box(engine.evaluate(black_box(action), None));
            }
            Report { ns: nanos(started), ..Report::default() }
        }
        Order::Each { decisions } => {
            let one = |action: &String| {
                let started = Instant::now();
                black_box(engine.evaluate(black_box(action), None));
                nanos(started)
            };
            Report { latencies_ns: turns(decisions).map(one).collect(), ..Report::default() }
        }
    }
}

fn nanos(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn say(report: &Report) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    serde_json::to_writer(&mut out, report)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}
