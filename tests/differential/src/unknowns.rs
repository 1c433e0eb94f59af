//! Data that isn't held: what the engine is certain of must be so whatever that data turns out to be.
//!
//! The engine compiles a policy with a remote root and nothing under it. For each input that it has a certain answer to, OPA
//! is asked the same about hundreds of documents that may be under the root: each must give that answer. An answer that
//! the engine narrows down to a few values must be one of these.

use std::io;

use meshguard_engine::Effect;
use meshguard_engine::bundle::BuiltinErrors;
use meshguard_engine::internals::{Answer, Findings, Input};
use serde_json::value::RawValue;

use crate::case::Case;
use crate::compare::question;
use crate::engines::{Engine, NOW_NS, Program};
use crate::oracle::{Asked, Oracle};
use crate::outcome::{CONFLICT, Outcome, Outcomes};
use crate::shrink::shrink;
use crate::tree::{Tree, text};

/// Of so many uncertain answers, one is asked about as well, to see whether it had to be uncertain.
const SAMPLED: usize = 8;

/// What became of a case.
#[derive(Debug, Default)]
pub struct Checked {
    /// Certain answers, each held against all completions.
    pub certain: usize,
    /// Of these, answers of policies in which some other input's answer was uncertain: the data matters there.
    pub beside_uncertain: usize,
    /// Answers that depend on what isn't held.
    pub uncertain: usize,
    /// Uncertain answers that named what they may be, and were held against that.
    pub narrowed: usize,
    /// Uncertain answers that were looked at closer, and of these those where all completions agreed.
    pub sampled: usize,
    /// See `sampled`.
    pub needless: usize,
    /// Completions with which we deny for an error that OPA, in its strict mode, looks past.
    pub strict: usize,
    /// Completions that OPA didn't evaluate in time.
    pub timeouts: usize,
    /// The policy was refused, by either.
    pub refused: bool,
    /// OPA gave no answer.
    pub lost: Option<String>,
    /// What isn't as certain as the engine says.
    pub mismatches: Vec<Uncertain>,
}

/// A completion that gives another answer.
#[derive(Debug, Clone)]
pub struct Uncertain {
    /// With one input and one completion.
    pub case: Case,
    /// What the engine is certain of.
    pub ours: String,
    /// What OPA answers.
    pub opa: Outcomes,
}

/// What an answer leaves open.
#[derive(Debug, Clone)]
enum Claim {
    /// One outcome; with `or_error`, or an error.
    Certain { outcome: Outcome, or_error: bool },
    /// One of these.
    Narrowed { values: Vec<String>, undefined: bool, or_error: bool },
    /// Anything.
    Open,
}

/// What a verdict claims.
#[derive(Debug, Clone, Copy)]
struct Verdicts {
    /// If builtins' errors are as in OPA.
    opa: Option<Effect>,
    /// If an allow doesn't stand on one.
    deny: Option<Effect>,
}

/// Asks about one case.
///
/// # Errors
/// The oracle can't be started.
pub fn check(oracle: &mut Oracle, case: &Case) -> io::Result<Checked> {
    let mut checked = Checked::default();
    let Ok(Program::Ours(policy)) = Engine::Ours.compile(case) else {
        checked.refused = true;
        return Ok(checked);
    };
    let mut asked: Vec<(usize, Claim, Verdicts)> = vec![];
    for (at, input) in case.inputs.iter().enumerate() {
        let input = input.render();
        let Ok(read) = Input::data(&input) else { continue };
        let claim = claim(policy.evaluate(&case.query, Some(&read), NOW_NS));
        let effect = |errors| {
            let (verdict, certain) = policy.judge(&case.query, &read, NOW_NS, errors);
            certain.then_some(verdict.effect)
        };
        let verdicts = Verdicts { opa: effect(BuiltinErrors::Opa), deny: effect(BuiltinErrors::Deny) };
        match &claim {
            Claim::Certain { .. } => checked.certain += 1,
            Claim::Narrowed { .. } => checked.uncertain += 1,
            Claim::Open => {
                checked.uncertain += 1;
                if checked.uncertain % SAMPLED != 0 && verdicts.opa.is_none() {
                    continue;
                }
            }
        }
        asked.push((at, claim, verdicts));
    }
    if checked.uncertain > 0 {
        checked.beside_uncertain = checked.certain;
    }
    let outcomes = match ask(oracle, case, asked.iter().map(|(at, ..)| *at))? {
        Asked::Answered(outcomes) => outcomes,
        Asked::Refused(failure) => {
            checked.lost = Some(format!("{}: {}", failure.code, failure.message));
            return Ok(checked);
        }
        Asked::Lost(why) => {
            checked.lost = Some(why);
            return Ok(checked);
        }
    };
    let completions = completions(case);
    for (number, (at, claim, verdicts)) in asked.iter().enumerate() {
        let outcomes = outcomes.iter().skip(number * completions.len()).take(completions.len());
        checked.sample(claim, outcomes.clone());
        for (completion, opa) in completions.iter().zip(outcomes) {
            if opa.lenient.is_error("timeout") {
                checked.timeouts += 1;
                continue;
            }
            let input = case.inputs.get(*at);
            let broken = claim.broken_by(&opa.lenient).or_else(|| verdicts.opa_broken_by(&opa.lenient));
            let broken = broken.or_else(|| {
                let claimed = verdicts.deny_broken_by(opa)?;
                // In this mode OPA may look past an error that we don't; then we don't with that data, either.
                let same = decided(case, completion, input?) == verdicts.deny;
                checked.strict += usize::from(same);
                (!same).then_some(claimed)
            });
            let Some(ours) = broken else { continue };
            let mut small = case.clone();
            small.inputs = input.cloned().into_iter().collect();
            if let Some(remote) = small.remote.first_mut() {
                remote.completions = vec![completion.clone()];
            }
            checked.mismatches.push(Uncertain { case: small, ours, opa: opa.clone() });
            break;
        }
    }
    Ok(checked)
}

/// The smallest case in which a completion breaks the same claim.
///
/// # Errors
/// The oracle can't be started.
pub fn smallest(oracle: &mut Oracle, found: Uncertain, tries: usize) -> io::Result<Uncertain> {
    let kind = |found: &Uncertain| found.opa.lenient.kind().to_owned();
    let wanted = kind(&found);
    let mut shows = |case: &Case| -> io::Result<Option<Uncertain>> {
        Ok(check(oracle, case)?.mismatches.into_iter().find(|other| kind(other) == wanted))
    };
    let small = shrink(&found.case, tries, &mut |case| Ok(shows(case)?.is_some()))?;
    Ok(shows(&small)?.unwrap_or(found))
}

/// Asks about these inputs with every completion.
fn ask(oracle: &mut Oracle, case: &Case, inputs: impl Iterator<Item = usize>) -> io::Result<Asked> {
    let Ok(mut question) = question(case) else { return Ok(Asked::Lost("data isn't JSON".to_owned())) };
    let completions = completions(case);
    let datas: Vec<Box<RawValue>> = completions.iter().filter_map(|completion| data(case, completion)).collect();
    if datas.len() != completions.len() {
        return Ok(Asked::Lost("a completion isn't JSON".to_owned()));
    }
    question.inputs.clear();
    for at in inputs {
        let input = case.inputs.get(at).map(Tree::render).unwrap_or_default();
        for data in &datas {
            question.inputs.push(input.clone());
            question.datas.push(data.clone());
        }
    }
    if question.inputs.is_empty() {
        return Ok(Asked::Answered(vec![]));
    }
    oracle.ask(&question)
}

fn completions(case: &Case) -> Vec<Tree> {
    match case.remote.first() {
        Some(remote) if !remote.completions.is_empty() => remote.completions.clone(),
        _ => vec![text("")],
    }
}

/// The data with a completion in its place.
fn data(case: &Case, completion: &Tree) -> Option<Box<RawValue>> {
    let base = case.data.render();
    let completion = completion.render();
    let remote = case.remote.first().filter(|_| !completion.is_empty());
    let Some(remote) = remote else { return RawValue::from_string(base).ok() };
    // Nothing of the base data lies on the way to the root.
    let (first, below) = remote
        .root
        .strip_prefix("data.")?
        .split_once('.')
        .unwrap_or_else(|| (remote.root.trim_start_matches("data."), ""));
    let inner = below
        .split('.')
        .filter(|part| !part.is_empty())
        .rev()
        .fold(completion, |inner, part| format!("{{\"{part}\": {inner}}}"));
    let rest = base.trim().strip_prefix('{')?;
    let comma = if rest.trim() == "}" { "" } else { ", " };
    RawValue::from_string(format!("{{\"{first}\": {inner}{comma}{rest}")).ok()
}

fn claim(findings: Findings) -> Claim {
    let or_error = findings.may_raise;
    match findings.answer {
        Answer::Value { rego, .. } => Claim::Certain { outcome: Outcome::Value(rego), or_error },
        Answer::Undefined => Claim::Certain { outcome: Outcome::Undefined, or_error },
        Answer::Unknown { candidates: Some(values), undefined } => Claim::Narrowed { values, undefined, or_error },
        Answer::Unknown { candidates: None, .. } => Claim::Open,
        Answer::Error { code, message } if code == CONFLICT => {
            Claim::Certain { outcome: Outcome::error(&code, message), or_error: false }
        }
        // A budget, or what isn't supported: no claim about OPA.
        Answer::Error { .. } => Claim::Open,
    }
}

impl Claim {
    /// The claim, if the answer isn't what it says.
    fn broken_by(&self, opa: &Outcome) -> Option<String> {
        let is_error = matches!(opa, Outcome::Error { .. });
        match self {
            Self::Certain { outcome, or_error } => {
                let holds = outcome.agrees(opa) || *or_error && is_error;
                (!holds).then(|| format!("certain: {outcome}{}", if *or_error { ", or an error" } else { "" }))
            }
            Self::Narrowed { values, undefined, or_error } => {
                let holds = match opa {
                    Outcome::Value(value) => values.contains(value),
                    Outcome::Undefined => *undefined,
                    Outcome::Error { .. } => *or_error,
                };
                let or = if *undefined { " or undefined" } else { "" };
                (!holds).then(|| format!("one of {}{or}", values.join(" | ")))
            }
            Self::Open => None,
        }
    }
}

impl Verdicts {
    fn opa_broken_by(self, opa: &Outcome) -> Option<String> {
        self.opa.filter(|ours| *ours != effect(opa)).map(|ours| format!("certain to {ours}"))
    }

    fn deny_broken_by(self, opa: &Outcomes) -> Option<String> {
        let theirs = match (&opa.strict, effect(&opa.lenient)) {
            (Outcome::Error { .. }, Effect::Allow) => Effect::Deny,
            (_, effect) => effect,
        };
        self.deny.filter(|ours| *ours != theirs).map(|ours| format!("certain to {ours} where an error denies"))
    }
}

/// What the engine itself decides when it has the data, if an allow doesn't stand on an error.
fn decided(case: &Case, completion: &Tree, input: &Tree) -> Option<Effect> {
    let data = text(data(case, completion)?.get().to_owned());
    let Ok(Program::Ours(policy)) = Engine::Ours.compile(&Case { data, remote: vec![], ..case.clone() }) else {
        return None;
    };
    let input = Input::data(&input.render()).ok()?;
    Some(policy.judge(&case.query, &input, NOW_NS, BuiltinErrors::Deny).0.effect)
}

/// What OPA's answer means for a decision.
fn effect(outcome: &Outcome) -> Effect {
    let Outcome::Value(value) = outcome else { return Effect::Deny };
    let Ok(value) = serde_json::from_str::<serde_json::Value>(value) else { return Effect::Deny };
    match &value {
        serde_json::Value::Bool(true) => Effect::Allow,
        serde_json::Value::String(text) => named(text),
        serde_json::Value::Object(fields) => {
            // What isn't well-formed denies; the generator's decisions are, unless a part is of another type.
            let known = ["effect", "reason", "rule", "alert", "approval", "obligations"];
            let well_formed = fields.iter().all(|(key, value)| match key.as_str() {
                "reason" => value.is_string(),
                "approval" => {
                    value["approvers"].as_array().is_some_and(|all| all.iter().all(serde_json::Value::is_string))
                }
                key => known.contains(&key),
            });
            match fields.get("effect").and_then(serde_json::Value::as_str) {
                Some(effect) if well_formed => named(effect),
                _ => Effect::Deny,
            }
        }
        _ => Effect::Deny,
    }
}

fn named(effect: &str) -> Effect {
    match effect {
        "allow" => Effect::Allow,
        "require_approval" => Effect::RequireApproval,
        _ => Effect::Deny,
    }
}

impl Checked {
    fn sample<'a>(&mut self, claim: &Claim, mut outcomes: impl Iterator<Item = &'a Outcomes>) {
        match claim {
            Claim::Certain { .. } => return,
            Claim::Narrowed { .. } => self.narrowed += 1,
            Claim::Open => {}
        }
        let Some(first) = outcomes.next() else { return };
        self.sampled += 1;
        self.needless += usize::from(outcomes.all(|other| other.lenient.agrees(&first.lenient)));
    }
}
