//! The parent: starts a child for each case, and judges what it says.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;

use crate::case::{Case, Expected};
use crate::child::{NAME, RESULT};

const LOAD_MS: f64 = 1000.0;
const ANSWER_MS: f64 = 100.0;
const GROWN_KIB: u64 = 64 << 10;

#[derive(Debug, Deserialize)]
struct Outcome {
    load_ms: f64,
    grown_kib: u64,
    refused: Option<Refused>,
    answers: Vec<Answer>,
}

#[derive(Debug, Deserialize)]
struct Refused {
    code: String,
    says: String,
}

#[derive(Debug, Deserialize)]
struct Answer {
    ms: f64,
    effect: String,
    reason: String,
    says: String,
}

/// Runs all `cases`, of which there are at least so many.
pub(crate) fn run(what: &str, cases: &[Case], at_least: usize) {
    assert!(cases.len() >= at_least, "{what}: only {} cases", cases.len());
    let (next, worst, failures) = (AtomicUsize::new(0), Mutex::new(Worst::default()), Mutex::new(vec![]));
    let worker = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (outcome, wrong) = tried(case);
            failures.lock().unwrap().extend(wrong.into_iter().map(|wrong| format!("{}: {wrong}", case.name)));
            if let Some(outcome) = outcome {
                worst.lock().unwrap().note(&case.name, &outcome);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(worker);
        }
    });
    println!("{what}: {}; {}", cases.len(), worst.into_inner().unwrap());
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{what}: {} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

/// What came of a case, and what is wrong with that.
fn tried(case: &Case) -> (Option<Outcome>, Vec<String>) {
    match in_a_child(case) {
        Ok(outcome) => {
            let wrong = judge(&outcome, &case.expected);
            (Some(outcome), wrong)
        }
        Err(died) => (None, vec![died]),
    }
}

/// What is wrong with what came of a case.
pub(crate) fn wrongs(case: &Case) -> Vec<String> {
    tried(case).1
}

fn in_a_child(case: &Case) -> Result<Outcome, String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(NAME, &case.name)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match said.lines().find_map(|line| line.split_once(RESULT)) {
        Some((_, result)) if output.status.success() => {
            serde_json::from_str(result).map_err(|e| format!("{e}: {result}"))
        }
        _ => {
            let last: Vec<&str> = complained.lines().rev().filter(|line| !line.is_empty()).take(3).collect();
            Err(format!("the process died ({}): {}", output.status, last.join(" < ")))
        }
    }
}

fn judge(outcome: &Outcome, expected: &Expected) -> Vec<String> {
    let mut wrong = vec![];
    if outcome.load_ms > LOAD_MS {
        wrong.push(format!("decided upon at load after {:.0} ms", outcome.load_ms));
    }
    if outcome.grown_kib > GROWN_KIB {
        wrong.push(format!("grew by {} MiB", outcome.grown_kib >> 10));
    }
    for answer in outcome.answers.iter().filter(|answer| answer.ms > ANSWER_MS) {
        wrong.push(format!("answered after {:.0} ms", answer.ms));
    }
    match (expected, &outcome.refused) {
        (Expected::Refused(code, says), Some(refused)) => {
            if refused.code != *code || !refused.says.contains(says) {
                wrong.push(format!("refused otherwise than by ({code}) {says:?}: {}", cut(&refused.says)));
            }
        }
        (Expected::Refused(..), None) => wrong.push("isn't refused".into()),
        (Expected::Decided, _) => {}
        (_, Some(refused)) => wrong.push(format!("is refused: {}", cut(&refused.says))),
        (expected, None) => {
            wrong.extend(outcome.answers.iter().filter(|answer| !is_right(answer, expected)).map(|answer| {
                format!("{} for {} {:?}, not {expected:?}", answer.effect, answer.reason, cut(&answer.says))
            }));
        }
    }
    wrong
}

fn is_right(answer: &Answer, expected: &Expected) -> bool {
    match expected {
        Expected::Allowed => answer.effect == "allow",
        Expected::Denied(reason, says) => {
            answer.effect == "deny" && answer.reason == *reason && answer.says.contains(says)
        }
        Expected::Failed(code) => answer.effect == "failed" && answer.reason == *code,
        Expected::Decided => true,
        Expected::Refused(..) => false,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(300).collect()
}

/// The largest figures, and whose they are.
#[derive(Default)]
struct Worst {
    load: (f64, String),
    answer: (f64, String),
    grown: (u64, String),
}

impl Worst {
    fn note(&mut self, name: &str, outcome: &Outcome) {
        let named = || name.to_owned();
        if outcome.load_ms > self.load.0 {
            self.load = (outcome.load_ms, named());
        }
        for answer in &outcome.answers {
            if answer.ms > self.answer.0 {
                self.answer = (answer.ms, named());
            }
        }
        if outcome.grown_kib > self.grown.0 {
            self.grown = (outcome.grown_kib, named());
        }
    }
}

impl std::fmt::Display for Worst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { load, answer, grown } = self;
        write!(
            f,
            "slowest load {:.0} ms ({}), slowest answer {:.1} ms ({}), most growth {:.1} MiB ({})",
            load.0,
            load.1,
            answer.0,
            answer.1,
            grown.0 as f64 / 1024.0,
            grown.1
        )
    }
}
