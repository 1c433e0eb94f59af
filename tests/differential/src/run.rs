//! Many cases, and what came of them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::case::Case;
use crate::compare::{Compared, Mismatch, compare};
use crate::engines::Engine;
use crate::generate::{Options, generate};
use crate::oracle::Oracle;
use crate::pool::Pool;
use crate::shrink::shrink;

/// Mismatches of one class that are made small; each is another policy's.
const OF_ONE_CLASS: usize = 4;

type Class = (bool, String, String);

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The engine that is held against OPA.
    pub engine: Engine,
    /// How many oracles run.
    pub oracles: usize,
    /// What the policies' own seeds follow from.
    pub seed: u64,
    /// Answers to compare.
    pub evaluations: usize,
    /// Inputs for each policy.
    pub inputs: usize,
    /// Whether a difference in the strict mode is a mismatch as well.
    pub strict: bool,
    /// Mismatches to make small; more, or more of the same class, are only counted.
    pub shrunk: usize,
    /// Tries for each of them.
    pub tries: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Summary {
    /// Policies that were made.
    pub policies: usize,
    /// Answers that were compared.
    pub evaluations: usize,
    /// OPA's answers by kind.
    pub kinds: BTreeMap<String, usize>,
    /// Policies refused by both, by OPA's code.
    pub refused: BTreeMap<String, usize>,
    /// What OPA says of them, without names and places; how often, and the seed of the first.
    pub reasons: BTreeMap<String, (usize, u64)>,
    /// Of these, where we said another code: ours, then OPA's; how often, and the seed of the first.
    pub refused_otherwise: BTreeMap<String, (usize, u64)>,
    /// Policies that OPA takes and the engine refuses, by its code.
    pub unserved: BTreeMap<String, usize>,
    /// Answers that the engine gave up on, by reason.
    pub given_up: BTreeMap<String, usize>,
    /// Differences in the strict mode, by kind.
    pub strict: BTreeMap<&'static str, usize>,
    /// Policies that OPA answered otherwise when it was asked again, by itself.
    pub unstable: usize,
    /// Policies that OPA gave no answer to.
    pub lost: Vec<String>,
    /// Policies in which something differs.
    pub mismatched: usize,
    /// A few of each class, made small.
    pub mismatches: Vec<Found>,
}

impl Summary {
    /// Why the run isn't as it should be; nothing if it is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = vec![];
        if self.mismatched > 0 {
            problems.push(format!("mismatches in {} policies", self.mismatched));
        }
        let mut few = |what: &str, count: usize, of: usize, percent: usize| {
            if count * 100 > of * percent {
                problems.push(format!("{count} of {of} {what}: more than {percent} %"));
            }
        };
        few("policies are refused by us alone", self.unserved.values().sum(), self.policies, 3);
        few("answers are given up", self.given_up.values().sum(), self.evaluations, 1);
        few("answers took OPA too long", self.kinds.get("timeout").copied().unwrap_or_default(), self.evaluations, 1);
        few("policies got no answer of OPA", self.lost.len(), self.policies, 1);
        few("policies got another answer of OPA later", self.unstable, self.policies, 1);
        problems
    }
}

/// A mismatch with the seed that it came of.
#[derive(Debug)]
pub struct Found {
    /// The policy's own seed.
    pub seed: u64,
    /// What differs.
    pub mismatch: Mismatch,
}

/// Runs a plan; `tell` hears of each mismatch when it is small.
///
/// # Errors
/// The oracle can't be started.
pub fn run(plan: &Plan, tell: &(dyn Fn(&Found) + Sync)) -> io::Result<Summary> {
    let shared = Shared { plan, summary: Mutex::new(Summary::default()), classes: Mutex::new(HashMap::new()), tell };
    let pool = Pool { oracles: plan.oracles, seed: plan.seed };
    pool.run(&|seed, oracle| shared.work(seed, oracle))?;
    Ok(shared.summary.into_inner().unwrap_or_else(PoisonError::into_inner))
}

struct Shared<'a> {
    plan: &'a Plan,
    summary: Mutex<Summary>,
    classes: Mutex<HashMap<Class, usize>>,
    tell: &'a (dyn Fn(&Found) + Sync),
}

impl Shared<'_> {
    fn work(&self, seed: u64, oracle: &mut Oracle) -> io::Result<bool> {
        let options = Options { inputs: self.plan.inputs, completions: 0, decisions: false };
        let case = generate(seed, options);
        let mut compared = self.compare(oracle, &case)?;
        if !compared.mismatches.is_empty() {
            // OPA's type checker has been seen to answer otherwise after other policies: a difference counts if it is there
            // when OPA is asked nothing else.
            oracle.restart();
            compared = self.compare(oracle, &case)?;
            self.summary().unstable += usize::from(compared.mismatches.is_empty());
        }
        let mismatch = std::mem::take(&mut compared.mismatches).into_iter().next();
        let enough = self.count(seed, compared, mismatch.is_some());
        if let Some(mismatch) = mismatch {
            self.found(seed, mismatch, oracle)?;
        }
        Ok(enough)
    }

    fn compare(&self, oracle: &mut Oracle, case: &Case) -> io::Result<Compared> {
        let mut compared = compare(self.plan.engine, oracle, case)?;
        compared.mismatches.retain(|mismatch| self.plan.strict || !mismatch.strict);
        Ok(compared)
    }

    fn summary(&self) -> MutexGuard<'_, Summary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, seed: u64, compared: Compared, mismatched: bool) -> bool {
        let mut summary = self.summary();
        summary.policies += 1;
        summary.evaluations += compared.answers;
        summary.mismatched += usize::from(mismatched);
        add(&mut summary.kinds, compared.kinds);
        add(&mut summary.given_up, compared.given_up);
        add(&mut summary.strict, compared.strict);
        add(&mut summary.unserved, compared.unserved.map(|code| (code, 1)));
        if let Some(codes) = compared.refused_otherwise {
            summary.refused_otherwise.entry(codes).or_insert((0, seed)).0 += 1;
        }
        if let Some(refused) = compared.refused {
            summary.reasons.entry(reason(&refused.message)).or_insert((0, seed)).0 += 1;
            add(&mut summary.refused, [(refused.code, 1)]);
        }
        if let Some(why) = compared.lost {
            summary.lost.push(format!("policy seed {seed}: {why}"));
        }
        summary.evaluations >= self.plan.evaluations
    }

    /// Makes the first ones of a class small.
    fn found(&self, seed: u64, mismatch: Mismatch, oracle: &mut Oracle) -> io::Result<()> {
        {
            let mut classes = self.classes.lock().unwrap_or_else(PoisonError::into_inner);
            let room = classes.values().sum::<usize>() < self.plan.shrunk;
            let seen = classes.entry(mismatch.class()).or_default();
            if !room || *seen == OF_ONE_CLASS {
                return Ok(());
            }
            *seen += 1;
        }
        let found = Found { seed, mismatch: smallest(self.plan.engine, oracle, mismatch, self.plan.tries)? };
        (self.tell)(&found);
        self.summary().mismatches.push(found);
        Ok(())
    }
}

fn add<K: Ord>(counts: &mut BTreeMap<K, usize>, more: impl IntoIterator<Item = (K, usize)>) {
    for (name, count) in more {
        *counts.entry(name).or_default() += count;
    }
}

/// The smallest case that shows a mismatch of the same class.
///
/// # Errors
/// The oracle can't be started.
pub fn smallest(engine: Engine, oracle: &mut Oracle, mismatch: Mismatch, tries: usize) -> io::Result<Mismatch> {
    let class = mismatch.class();
    let mut last = mismatch.clone();
    let mut case = mismatch.case;
    // One input is enough, and none if the policy itself is what differs.
    case.inputs.truncate(1);
    let mut same = |case: &Case| -> io::Result<Option<Mismatch>> {
        let compared = compare(engine, oracle, case)?;
        Ok(compared.mismatches.into_iter().find(|mismatch| mismatch.class() == class))
    };
    let small = shrink(&case, tries, &mut |case| Ok(same(case)?.is_some()))?;
    if let Some(mismatch) = same(&small)? {
        last = mismatch;
    }
    Ok(last)
}

/// The first line of a message that says what is wrong, without variables' numbers.
fn reason(message: &str) -> String {
    let line = message.lines().find(|line| line.contains(": rego_")).unwrap_or(message);
    line.split_once("rego_").map_or(line, |(_, rest)| rest).chars().filter(|c| !c.is_ascii_digit()).take(80).collect()
}
