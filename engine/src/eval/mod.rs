//! Deciding: a bundle compiled, an input, a value, a verdict. The only user of `regorus`.
//!
//! `regorus` parses and evaluates; what surrounds it makes the answer safe to act on: [`syntax`] reads what a policy
//! touches, [`compile`] refuses what can't be served, [`input`] refuses what can't be read, and [`verdict`] maps a value
//! to an effect, where everything that isn't plainly an allow is a deny.

mod admission;
mod compile;
mod input;
mod pool;
mod remote;
mod syntax;
mod vectors;
mod verdict;

use std::panic::{AssertUnwindSafe, catch_unwind};

use regorus::{LimitError, Value};

pub(crate) use self::input::{document, read_strict};
use self::pool::Pool;
pub(crate) use self::verdict::verdict;
use crate::bundle::{BuiltinErrors, Settings};
use crate::digest::Digest;

/// Data under the remote roots.
#[derive(Debug, Clone, Default)]
pub enum RemoteData {
    /// Not held: reading it makes the answer uncertain. What an edge has.
    #[default]
    Unheld,
    /// Held, as one JSON object of what lies under `data`. What the control plane has.
    Held(serde_json::Value),
}

/// A bundle compiled. Immutable; any number of threads may evaluate it.
pub(crate) struct Program {
    settings: Settings,
    digest: Digest,
    /// Evaluates with errors raised, for decisions.
    strict: Pool,
    /// Evaluates as OPA does by default, where an error in a builtin makes its statement undefined.
    lenient: Pool,
    reads_time: bool,
    rules: usize,
}

/// What an evaluation came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Evaluated {
    /// A value.
    Value(Value),
    /// No value for this input.
    Undefined,
    /// Data that isn't held was read, so the value isn't known.
    Unknown {
        /// The remote root.
        root: String,
    },
    /// Two complete definitions disagree.
    Conflict(String),
    /// The evaluation raised an error.
    Error(String),
    /// The evaluation ran out of time.
    Budget,
    /// The evaluator panicked. Its instance is gone; the next evaluation uses another.
    Panic,
}

impl Program {
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Of everything that decides.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether any rule asks what time it is.
    pub(crate) fn reads_time(&self) -> bool {
        self.reads_time
    }

    /// How many definitions of rules it holds.
    pub(crate) fn rules(&self) -> usize {
        self.rules
    }

    /// Evaluates an entrypoint for a decision: errors are raised unless the entrypoint says otherwise.
    pub(crate) fn decide(&self, entrypoint: &str, errors: BuiltinErrors, input: Value) -> Evaluated {
        // Time is the wall's: a thread that was kept waiting gets a second chance, and a policy that is too slow doesn't
        // get a third.
        match self.evaluate(entrypoint, errors, input.clone()) {
            Evaluated::Budget => self.evaluate(entrypoint, errors, input),
            other => other,
        }
    }

    /// Evaluates any rule by path, for its value.
    pub(crate) fn evaluate(&self, path: &str, errors: BuiltinErrors, input: Value) -> Evaluated {
        let pool = self.pool(errors);
        let mut engine = pool.take();
        match run(&mut engine, path, input) {
            evaluated @ (Evaluated::Value(_) | Evaluated::Undefined) => {
                pool.give_back(engine);
                evaluated
            }
            // What panicked is in an unknown state: it isn't dropped where a second panic would abort.
            Evaluated::Panic => {
                std::mem::forget(engine);
                Evaluated::Panic
            }
            // An interpreter that failed keeps half-popped contexts (regorus 0.14.1, interpreter.rs): it isn't used again.
            failed => failed,
        }
    }

    /// Evaluates an entrypoint as for a decision, with more time.
    fn evaluate_patiently(&self, entrypoint: &str, errors: BuiltinErrors, input: Value) -> Evaluated {
        run(&mut self.pool(errors).patient(compile::PATIENT_BUDGET), entrypoint, input)
    }

    fn pool(&self, errors: BuiltinErrors) -> &Pool {
        match errors {
            BuiltinErrors::Deny => &self.strict,
            BuiltinErrors::Opa => &self.lenient,
        }
    }
}

fn run(engine: &mut regorus::Engine, path: &str, input: Value) -> Evaluated {
    remote::forget();
    engine.set_input(input);
    let Ok(result) = catch_unwind(AssertUnwindSafe(|| engine.eval_rule(path.to_owned()))) else {
        return Evaluated::Panic;
    };
    // Whatever was made of it: a value that rests on unheld data isn't known.
    if let Some(root) = remote::touched() {
        return Evaluated::Unknown { root };
    }
    match result {
        Ok(Value::Undefined) => Evaluated::Undefined,
        Ok(value) => Evaluated::Value(value),
        Err(error) => match error.downcast_ref::<LimitError>() {
            Some(LimitError::TimeLimitExceeded { .. } | LimitError::MemoryLimitExceeded { .. }) => Evaluated::Budget,
            _ => {
                let text = format!("{error:#}");
                let conflict = ["multiple outputs", "rule conflicts with"].iter().any(|sign| text.contains(sign));
                if conflict { Evaluated::Conflict(text) } else { Evaluated::Error(text) }
            }
        },
    }
}
