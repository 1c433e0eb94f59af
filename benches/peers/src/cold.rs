//! From a bundle of one mebibyte to the first decision.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use meshguard_benches::{Case, Interpreter, Publisher, Rvm, acknowledge_all, builder};
use meshguard_engine::{DEFAULT_ENTRYPOINT, Effect, EngineBuilder, Request};
use regorus::Value;
use serde_json::json;

use crate::child::Child;
use crate::contestant::Tools;
use crate::ours;
use crate::row::{Plan, Row};

/// What was started, and how long it took at best; or why it can't be.
pub type Started = (&'static str, Result<Duration, String>);

/// Starts everybody so often, in turn.
///
/// # Errors
/// Ours doesn't start, or decides otherwise than it should.
pub fn measure(tools: &Tools, scratch: &Path, turns: u32) -> anyhow::Result<Vec<Started>> {
    let case = Case::mebibyte()?;
    let inputs = ours::inputs(&case)?;
    let row = Row {
        case,
        flat: vec![],
        cedar: Err(""),
        entities: json!([]),
        agt: Err(""),
        agentmesh: Err(""),
        plan: Plan::default(),
    };
    let (folder, state) = (scratch.join("cold_start"), scratch.join("state"));
    std::fs::create_dir_all(&folder)?;
    row.save(&folder, &inputs)?;
    let case = &row.case;
    let input = inputs.first().map_or("", String::as_str);
    let request = &case.turns()().request;

    let publisher = Publisher::new()?;
    let public = publisher.public()?;
    let kept = builder(public).state_dir(&state).open()?;
    kept.apply(&publisher.publish(&case.bundle)?)?;
    acknowledge_all(&kept)?;
    drop(kept);

    let mut started: Vec<Started> = vec![];
    for _ in 0..turns {
        let turn = [
            (
                "ours, from its store on disk: verify, compile",
                Ok(ours_from(builder(public).state_dir(&state), request)?),
            ),
            (
                "ours, from memory: compile",
                Ok(ours_from(builder(public).unsigned_bundle(case.bundle.clone()), request)?),
            ),
            ("regorus interpreter, from memory", said(interpreter(case, input))),
            ("regorus RVM, from memory", said(machine(case, input))),
            ("OPA (Go), from memory", opa(tools, &folder)),
        ];
        match started.is_empty() {
            true => started.extend(turn),
            false => started.iter_mut().zip(turn).for_each(|(best, now)| keep_better(best, now)),
        }
    }
    Ok(started)
}

fn keep_better(best: &mut Started, now: Started) {
    if let (Ok(best), Ok(now)) = (&mut best.1, now.1) {
        *best = now.min(*best);
    }
}

fn ours_from(prepared: EngineBuilder, request: &Request) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let engine = prepared.open()?;
    let decision = engine.decide(request);
    let took = started.elapsed();
    ensure!(decision.effect() == Effect::Allow, "{decision:?}");
    acknowledge_all(&engine)?;
    Ok(took)
}

fn interpreter(case: &Case, input: &str) -> anyhow::Result<Duration> {
    let input = Value::from_json_str(input)?;
    let started = Instant::now();
    let value = Interpreter::new(&case.bundle)?.ask(input)?;
    allowed(&value, started.elapsed())
}

fn machine(case: &Case, input: &str) -> anyhow::Result<Duration> {
    let input = Value::from_json_str(input)?;
    let started = Instant::now();
    let value = Rvm::new(&case.bundle, DEFAULT_ENTRYPOINT)?.ask(input)?;
    allowed(&value, started.elapsed())
}

fn allowed(value: &Value, took: Duration) -> anyhow::Result<Duration> {
    ensure!(*value == Value::from("allow"), "{value:?}");
    Ok(took)
}

fn opa(tools: &Tools, folder: &Path) -> Result<Duration, String> {
    let program = tools.opa.as_ref().map_err(Clone::clone)?;
    said(Child::start(program, &["parsed"], folder).map(|child| child.first_decision()))
}

fn said<T>(result: anyhow::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{error:#}"))
}
