//! Many cases with data that isn't held.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::case::Case;
use crate::generate::{Options, generate};
use crate::oracle::Oracle;
use crate::pool::Pool;
use crate::unknowns::{Checked, Uncertain, check, smallest};

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many oracles run.
    pub oracles: usize,
    /// What the policies' own seeds follow from.
    pub seed: u64,
    /// Certain answers to check.
    pub certain: usize,
    /// Inputs for each policy.
    pub inputs: usize,
    /// Documents that the data may turn out to be, for each policy.
    pub completions: usize,
    /// Mismatches to make small.
    pub shrunk: usize,
    /// Tries for each of them.
    pub tries: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Summary {
    /// Policies that were made, and of them refused ones.
    pub policies: usize,
    /// See `policies`.
    pub refused: usize,
    /// The sum of what became of each.
    pub checked: Checked,
    /// Policies that OPA gave no answer to.
    pub lost: Vec<String>,
    /// Policies of which an answer wasn't as certain as the engine says.
    pub mismatched: usize,
    /// Some of them, made small.
    pub mismatches: Vec<Found>,
}

/// A mismatch with the seed that it came of.
#[derive(Debug)]
pub struct Found {
    /// The policy's own seed.
    pub seed: u64,
    /// What differs.
    pub mismatch: Uncertain,
}

/// Runs a plan; `tell` hears of each mismatch when it is small.
///
/// # Errors
/// The oracle can't be started.
pub fn run(plan: &Plan, tell: &(dyn Fn(&Found) + Sync)) -> io::Result<Summary> {
    let shared = Shared { plan, summary: Mutex::new(Summary::default()), tell };
    let pool = Pool { oracles: plan.oracles, seed: plan.seed };
    pool.run(&|seed, oracle| shared.work(seed, oracle))?;
    Ok(shared.summary.into_inner().unwrap_or_else(PoisonError::into_inner))
}

struct Shared<'a> {
    plan: &'a Plan,
    summary: Mutex<Summary>,
    tell: &'a (dyn Fn(&Found) + Sync),
}

impl Shared<'_> {
    fn work(&self, seed: u64, oracle: &mut Oracle) -> io::Result<bool> {
        let Plan { inputs, completions, .. } = *self.plan;
        let case = generate(seed, Options { inputs, completions, decisions: true });
        if !asks_for_it(&case) {
            return Ok(false);
        }
        let mut checked = check(oracle, &case)?;
        if !checked.mismatches.is_empty() {
            oracle.restart();
            checked = check(oracle, &case)?;
        }
        let mismatch = std::mem::take(&mut checked.mismatches).into_iter().next();
        let (enough, room) = {
            let mut summary = self.summary();
            summary.count(seed, &checked, mismatch.is_some());
            (summary.checked.certain >= self.plan.certain, summary.mismatched <= self.plan.shrunk)
        };
        if let Some(mismatch) = mismatch.filter(|_| room) {
            let found = Found { seed, mismatch: smallest(oracle, mismatch, self.plan.tries)? };
            (self.tell)(&found);
            self.summary().mismatches.push(found);
        }
        Ok(enough)
    }

    fn summary(&self) -> MutexGuard<'_, Summary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the policy mentions what isn't held; certain answers of others would be no feat.
fn asks_for_it(case: &Case) -> bool {
    let names = case.remote.iter().filter_map(|remote| remote.root.rsplit('.').next());
    let texts = case.texts();
    names.into_iter().any(|name| texts.values().any(|text| text.contains(name)))
}

impl Summary {
    fn count(&mut self, seed: u64, checked: &Checked, mismatched: bool) {
        self.policies += 1;
        self.refused += usize::from(checked.refused);
        self.mismatched += usize::from(mismatched);
        self.lost.extend(checked.lost.as_ref().map(|why| format!("policy seed {seed}: {why}")));
        let sum = &mut self.checked;
        sum.certain += checked.certain;
        sum.beside_uncertain += checked.beside_uncertain;
        sum.uncertain += checked.uncertain;
        sum.narrowed += checked.narrowed;
        sum.sampled += checked.sampled;
        sum.needless += checked.needless;
        sum.strict += checked.strict;
        sum.timeouts += checked.timeouts;
    }
}
