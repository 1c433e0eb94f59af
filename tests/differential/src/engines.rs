//! The engines that are held against OPA.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use meshguard_engine::bundle::{RegoVersion, Settings};
use meshguard_engine::internals::{Answer, Input, Policy};

use crate::case::Case;
use crate::outcome::{Outcome, Outcomes};

/// What the clock says to every evaluation.
pub const NOW_NS: i64 = 1_767_225_600_000_000_000;

/// Which engine is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// This project's.
    Ours,
    /// The plain interpreter of regorus, to see that the generator finds what is known to differ there.
    Regorus,
}

/// Why a policy was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// OPA's code, or the engine's own.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A policy that was accepted.
pub enum Program {
    /// By this project's engine.
    Ours(Box<Policy>),
    /// By regorus.
    Regorus(Box<crate::regorus::Interpreter>),
}

impl Engine {
    /// Reads and compiles a case's policy.
    ///
    /// # Errors
    /// It is refused.
    pub fn compile(self, case: &Case) -> Result<Program, Refused> {
        match self {
            Self::Ours => compile(case).map(|policy| Program::Ours(Box::new(policy))),
            Self::Regorus => crate::regorus::Interpreter::new(case).map(|found| Program::Regorus(Box::new(found))),
        }
    }
}

/// The engine's own door.
fn compile(case: &Case) -> Result<Policy, Refused> {
    let mut files: BTreeMap<String, Bytes> =
        case.texts().into_iter().map(|(name, text)| (name, Bytes::from(text))).collect();
    let data = case.data.render();
    if data != "{}" {
        files.insert("data.json".to_owned(), Bytes::from(data));
    }
    let settings = Settings {
        rego: if case.v0 { RegoVersion::V0 } else { RegoVersion::V1 },
        entrypoints: BTreeMap::new(),
        remote_roots: case.remote.iter().map(|remote| remote.root.clone()).collect(),
        ..Settings::default()
    };
    match catch_unwind(AssertUnwindSafe(|| Policy::new(files, settings))) {
        Ok(compiled) => {
            compiled.map_err(|refusal| Refused { code: refusal.code.clone(), message: refusal.to_string() })
        }
        Err(_) => Err(Refused { code: "panic".to_owned(), message: "while compiling".to_owned() }),
    }
}

impl Program {
    /// The answers about one input; an empty text is none.
    pub fn evaluate(&self, query: &str, input: &str) -> Outcomes {
        match self {
            Self::Ours(policy) => evaluate(policy, query, input),
            Self::Regorus(interpreter) => interpreter.evaluate(query, input),
        }
    }
}

fn evaluate(policy: &Policy, query: &str, input: &str) -> Outcomes {
    let read = if input.is_empty() { Ok(None) } else { Input::data(input).map(Some) };
    let input = match read {
        Ok(input) => input,
        Err(why) => {
            let outcome = Outcome::error("bad_input", why);
            return Outcomes { lenient: outcome.clone(), strict: outcome };
        }
    };
    let findings = policy.evaluate(query, input.as_ref(), NOW_NS);
    let lenient = match findings.answer {
        Answer::Value { rego, .. } => Outcome::Value(rego),
        Answer::Undefined => Outcome::Undefined,
        Answer::Unknown { .. } => Outcome::error("unknown", "of data that is held"),
        Answer::Error { code, message } => Outcome::Error { code, message },
    };
    let strict = match findings.swallowed {
        Some((code, message)) => Outcome::Error { code, message },
        None => lenient.clone(),
    };
    Outcomes { lenient, strict }
}
