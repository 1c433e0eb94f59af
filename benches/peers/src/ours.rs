//! This project's engine, by its public API, with everything that a host pays for.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::ensure;
use meshguard_benches::{Ask, Case, Served};
use meshguard_engine::{Decision, Effect, Outcome, Verdict};

use crate::contestant::{Contestant, Who};

/// An engine that serves the row's bundle, with a journal that is written and shipped meanwhile.
pub struct Ours<'a> {
    served: Served,
    way: Who,
    case: &'a Case,
}

impl<'a> Ours<'a> {
    /// Serves `case`. No request has been asked yet.
    ///
    /// # Errors
    /// The bundle is refused.
    pub fn open(way: Who, case: &'a Case) -> anyhow::Result<Self> {
        let unasked = Case { name: case.name.clone(), bundle: case.bundle.clone(), asks: vec![] };
        Ok(Self { served: Served::open(&unasked)?, way, case })
    }

    fn decide(&self, ask: &Ask) -> Decision {
        match self.way {
            Who::OursJson => self.served.engine().decide_json(&ask.json),
            _ => self.served.engine().decide(&ask.request),
        }
    }

    fn outcome(&self, ask: &Ask) -> Outcome {
        self.served.engine().outcome(&ask.request)
    }
}

/// The documents that policies see as `input`, one for each request. Whatever the row's policy is.
///
/// # Errors
/// A request's context isn't strict JSON.
pub fn inputs(case: &Case) -> anyhow::Result<Vec<String>> {
    let served = Served::open(&Case::constant()?)?;
    let document = |ask: &Ask| Ok(served.engine().input_document(&ask.request)?);
    let inputs = case.asks.iter().map(document).collect();
    served.finish()?;
    inputs
}

/// What a verdict says. One that isn't certain is no answer: it would be deferred.
fn certain(certain: bool, verdict: &Verdict) -> anyhow::Result<Effect> {
    let reasons = || verdict.reasons.iter().map(|reason| format!("{} {}", reason.code.as_str(), reason.message));
    ensure!(certain, "not certain: {}", reasons().collect::<Vec<_>>().join(", "));
    Ok(verdict.effect)
}

impl Contestant for Ours<'_> {
    fn effects(&mut self) -> anyhow::Result<Vec<Effect>> {
        let mut said = vec![];
        if self.way == Who::OursOutcome {
            for ask in &self.case.asks {
                let outcome = self.outcome(ask);
                said.push(certain(outcome.is_certain(), outcome.verdict()));
            }
        } else {
            let mut turn = self.case.turns();
            let note = |_, decision: &Decision| said.push(certain(decision.certain, &decision.verdict));
            self.served.time_each(self.case.asks.len() as u64, || self.decide(turn()), note);
        }
        said.into_iter().collect()
    }

    fn run(&mut self, decisions: u64) -> anyhow::Result<Duration> {
        let mut turn = self.case.turns();
        if self.way == Who::OursOutcome {
            let started = Instant::now();
            for _ in 0..decisions {
                let _ = black_box(self.outcome(turn()));
            }
            return Ok(started.elapsed());
        }
        Ok(self.served.time(decisions, || self.decide(turn())))
    }

    fn each(&mut self, decisions: u64) -> anyhow::Result<Vec<Duration>> {
        let mut turn = self.case.turns();
        let mut latencies = Vec::with_capacity(usize::try_from(decisions)?);
        if self.way == Who::OursOutcome {
            for _ in 0..decisions {
                let started = Instant::now();
                let _ = black_box(self.outcome(turn()));
                latencies.push(started.elapsed());
            }
        } else {
            self.served.time_each(decisions, || self.decide(turn()), |latency, _| latencies.push(latency));
        }
        Ok(latencies)
    }

    fn finish(self: Box<Self>) -> anyhow::Result<u64> {
        self.served.finish()
    }
}
