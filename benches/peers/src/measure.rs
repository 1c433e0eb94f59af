//! Takes the times: first that all agree, then in turn, so that whatever disturbs the machine disturbs everybody.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::contestant::{Contestant, Given, Tools, Who};
use crate::ours;
use crate::row::Row;

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Of how many measurements the best one counts.
    pub turns: u32,
    /// How long one of them takes, about.
    pub turn: Duration,
    /// Decisions of the pinned thread.
    pub pinned: u64,
}

impl Effort {
    /// For figures to be kept.
    pub const FULL: Self = Self { turns: 9, turn: Duration::from_millis(50), pinned: 100_000 };
    /// To see whether everything works.
    pub const QUICK: Self = Self { turns: 3, turn: Duration::from_millis(5), pinned: 5_000 };
}

/// What part of a turn goes before it, untimed.
const WARM_UP: u64 = 10;

/// What was measured of one contestant on one row.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// The best mean of a decision, in nanoseconds.
    pub best_ns: f64,
    /// What each request took by itself, in the row's order.
    pub latencies: Vec<Duration>,
    /// The same of one request asked again and again by a pinned thread.
    pub pinned: Vec<Duration>,
    /// Instructions of a decision.
    pub instructions: Option<u64>,
}

/// One row: what each contestant reached, or why it has no part.
#[derive(Debug)]
pub struct Results {
    /// The row's id.
    pub id: String,
    /// How many requests it has.
    pub requests: usize,
    /// By contestant.
    pub by: BTreeMap<Who, Result<Measured, String>>,
    /// Records that ours left, all of which arrived.
    pub records: u64,
}

impl Measured {
    /// A latency by nearest rank, in nanoseconds; none where none were taken.
    pub fn percentile(latencies: &[Duration], per_mille: usize) -> Option<f64> {
        let mut sorted = latencies.to_vec();
        sorted.sort_unstable();
        let rank = (sorted.len() * per_mille).div_ceil(1_000).saturating_sub(1);
        sorted.get(rank).map(nanos)
    }
}

/// In nanoseconds.
pub fn nanos(duration: &Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

/// Measures `row` by everybody who can serve it.
///
/// # Errors
/// A contestant decides otherwise than the rest, one breaks down on the way, or a record is lost.
pub fn measure(row: &Row, tools: &Tools, scratch: &Path, effort: Effort) -> anyhow::Result<Results> {
    let folder = scratch.join(row.id());
    fs::create_dir_all(&folder)?;
    let inputs = ours::inputs(&row.case)?;
    row.save(&folder, &inputs)?;
    let given = Given { row, inputs: &inputs, folder: &folder, tools };

    let mut results =
        Results { id: row.id().to_owned(), requests: row.case.asks.len(), by: BTreeMap::new(), records: 0 };
    let mut racing = vec![];
    for who in Who::ALL {
        if row.plan.no_interpreter && matches!(who, Who::InterpreterParsed | Who::InterpreterJson) {
            results.by.insert(who, Err("not run: it takes more than a tenth of a second a request".to_owned()));
            continue;
        }
        match agreed(who, &given)? {
            Ok(contestant) => racing.push((who, contestant, Measured::default())),
            Err(why) => _ = results.by.insert(who, Err(why)),
        }
    }
    race(&mut racing, effort)?;
    for (who, mut contestant, mut measured) in racing {
        if row.plan.percentiles {
            measured.latencies = latencies(who, &mut *contestant, &given)?;
        }
        if row.plan.pinned && who.is_ours() {
            measured.pinned = pinned(&mut *contestant, effort.pinned)?;
        }
        results.records += contestant.finish()?;
        results.by.insert(who, Ok(measured));
    }
    Ok(results)
}

/// The contestant, once it has answered every request as it should; or why it can't. Who can't load or evaluate the policy
/// has no part in the row, ours included; but whoever answers otherwise ends the run: a comparison of different answers is none.
fn agreed<'a>(who: Who, given: &Given<'a>) -> anyhow::Result<Result<Box<dyn Contestant + 'a>, String>> {
    let answers = who.open(given).and_then(|mut contestant| Ok((contestant.effects()?, contestant)));
    let (effects, contestant) = match answers {
        Ok(answers) => answers,
        Err(error) => return Ok(Err(format!("{error:#}"))),
    };
    let asks = &given.row.case.asks;
    ensure!(effects.len() == asks.len(), "{}: {who} answered {} of {}", given.row.id(), effects.len(), asks.len());
    for (ask, effect) in asks.iter().zip(effects) {
        let request = String::from_utf8_lossy(&ask.json);
        ensure!(effect == ask.effect, "{}: {who} says {effect} instead of {} to {request}", given.row.id(), ask.effect);
    }
    Ok(Ok(contestant))
}

type Racing<'a> = (Who, Box<dyn Contestant + 'a>, Measured);

/// Everybody in turn, again and again; the best mean of each counts.
fn race(racing: &mut [Racing<'_>], effort: Effort) -> anyhow::Result<()> {
    let mut decisions = BTreeMap::new();
    for (who, contestant, measured) in racing.iter_mut() {
        measured.best_ns = f64::INFINITY;
        decisions.insert(*who, calibrated(&mut **contestant, effort.turn).with_context(|| who.label())?);
    }
    for _ in 0..effort.turns {
        for (who, contestant, measured) in racing.iter_mut() {
            let decisions = decisions.get(who).copied().unwrap_or(1);
            // A contestant has slept since its last turn, and its core may have as well.
            contestant.run(decisions.div_ceil(WARM_UP))?;
            let mean = nanos(&contestant.run(decisions)?) / decisions as f64;
            measured.best_ns = measured.best_ns.min(mean);
        }
        // Whoever comes next finds what the one before left: garbage being collected, records being written.
        racing.rotate_left(1.min(racing.len()));
    }
    Ok(())
}

/// How many decisions take about a turn. Warms up by the way.
fn calibrated(contestant: &mut dyn Contestant, turn: Duration) -> anyhow::Result<u64> {
    const MOST: u64 = 1 << 20;
    let mut decisions = 1;
    loop {
        let took = contestant.run(decisions)?;
        if took * 2 >= turn || decisions >= MOST {
            let wanted = decisions as f64 * turn.as_secs_f64() / took.as_secs_f64().max(1e-9);
            // Saturates, and is bounded anyway.
            return Ok((wanted as u64).clamp(1, MOST));
        }
        decisions *= 2;
    }
}

/// Each request once. Ours is opened anew for it: nothing that was asked before may help, be it remembered or warm.
fn latencies<'a>(who: Who, contestant: &mut dyn Contestant, given: &Given<'a>) -> anyhow::Result<Vec<Duration>> {
    let requests = given.row.case.asks.len() as u64;
    if !who.is_ours() {
        return contestant.each(requests);
    }
    let mut fresh = who.open(given)?;
    let latencies = fresh.each(requests)?;
    fresh.finish()?;
    Ok(latencies)
}

/// Many decisions by this thread on one core. The journal's threads are older, and keep theirs.
fn pinned(contestant: &mut dyn Contestant, decisions: u64) -> anyhow::Result<Vec<Duration>> {
    let before = sched_getaffinity(None)?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|&cpu| before.is_set(cpu)).context("no core to run on")?;
    let mut one = CpuSet::new();
    one.set(last);
    sched_setaffinity(None, &one)?;
    let latencies = contestant.each(decisions);
    sched_setaffinity(None, &before)?;
    latencies
}
