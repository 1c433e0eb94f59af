//! A bundle's policy, compiled: what is asked for decisions.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::admission::{Admitted, admit, path_of};
use super::builtins::budget::Limits;
use super::machine::{Answer, Entry, Findings, Halt, HaltKind, Known, Query, Swallowed};
use super::plan::Plan;
use super::value::Value;
use crate::bundle::{Bundle, Settings};
use crate::digest::Digest;
use crate::error::Refusal;

/// What one evaluation may take. Time is the thread's own, so that a busy machine doesn't deny; an answer later than that
/// is of no use to anybody. Memory is all that is allocated, freed or not.
const DECISION: Limits = Limits { steps: 5_000_000, bytes: 32 << 20, time: Duration::from_millis(40) };

/// For smoke vectors: nobody waits for them.
const PATIENT: Limits = Limits { steps: 50_000_000, bytes: 32 << 20, time: Duration::from_millis(200) };

/// Data under the remote roots.
#[derive(Debug, Clone, Default)]
pub enum RemoteData {
    /// Not held: what depends on it isn't certain. What an edge has.
    #[default]
    Unheld,
    /// Held, as one JSON object of what lies under `data`. What the control plane has.
    Held(serde_json::Value),
}

/// A bundle compiled. Immutable; any number of threads may evaluate it.
pub(crate) struct Program {
    settings: Settings,
    digest: Digest,
    plan: Plan,
    data: Value,
    entrypoints: BTreeMap<String, Entrypoint>,
    rules: usize,
}

struct Entrypoint {
    entry: Entry,
    reads_time: bool,
}

/// What an evaluation came to.
#[derive(Debug, PartialEq)]
pub(crate) enum Evaluated {
    /// A value.
    Value(Value),
    /// No value for this input.
    Undefined,
    /// The value depends on data that isn't held.
    Unknown {
        /// The first remote root that was read.
        root: String,
        /// The values it may be, if they are known, and whether it may have none.
        candidates: Option<Vec<Value>>,
        undefined: bool,
    },
    /// Two definitions disagree.
    Conflict(String),
    /// OPA has an answer that can't be given here.
    Unsupported(String),
    /// The evaluation took more than it may; what of.
    Budget(String),
    /// The evaluator panicked. Nothing of it is left; the next evaluation starts anew.
    Panic,
}

/// An evaluation, and what was found on the way.
#[derive(Debug)]
pub(crate) struct Evaluation {
    pub(crate) value: Evaluated,
    /// The first error of a builtin that OPA's default mode takes for undefined.
    pub(crate) swallowed: Option<Swallowed>,
    /// Whether errors of builtins, or others, may be raised depending on data that isn't held.
    pub(crate) may_swallow: bool,
    pub(crate) may_halt: bool,
}

impl Program {
    /// Compiles `bundle` and runs its smoke vectors.
    ///
    /// # Errors
    /// Anything that can't be served as OPA would answer it, or could hurt the host, named with its place.
    pub(crate) fn compile(bundle: &Bundle, remote_data: &RemoteData) -> Result<Self, Refusal> {
        #[cfg(test)]
        super::fault::arm(bundle);
        let Admitted { plan, data, rules, entrypoints } = admit(bundle, remote_data)?;
        let entrypoints = entrypoints.into_iter().map(|(dotted, entry, reachable)| {
            let reads_time = reachable.builtins.contains("time.now_ns");
            (dotted, Entrypoint { entry, reads_time })
        });
        let program = Self {
            settings: bundle.settings.clone(),
            digest: bundle.digest(),
            entrypoints: entrypoints.collect(),
            plan,
            data,
            rules,
        };
        program.run_vectors(bundle, remote_data)?;
        Ok(program)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Of everything that decides.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether what `entrypoint` says may depend on what time it is.
    pub(crate) fn reads_time(&self, entrypoint: &str) -> bool {
        self.entrypoints.get(entrypoint).is_none_or(|entrypoint| entrypoint.reads_time)
    }

    /// How many definitions of rules it holds.
    pub(crate) fn rules(&self) -> usize {
        self.rules
    }

    /// Evaluates the document at a dotted path, `data.a.b`.
    pub(crate) fn evaluate(&self, path: &str, input: Option<&Value>, now_ns: i64) -> Evaluation {
        self.run(path, input, now_ns, DECISION)
    }

    /// Evaluates with more time.
    pub(super) fn evaluate_patiently(&self, path: &str, input: &Value, now_ns: i64) -> Evaluation {
        self.run(path, Some(input), now_ns, PATIENT)
    }

    fn run(&self, path: &str, input: Option<&Value>, now_ns: i64, limits: Limits) -> Evaluation {
        let found;
        let entry = match self.entrypoints.get(path) {
            Some(entrypoint) => &entrypoint.entry,
            None => {
                found = Entry::new(&self.plan, &path_of(path));
                &found
            }
        };
        let query = Query { plan: &self.plan, data: &self.data, input, limits, now_ns };
        match catch_unwind(AssertUnwindSafe(|| query.run(entry))) {
            Ok(answer) => self.evaluation(answer),
            Err(_) => Evaluation { value: Evaluated::Panic, swallowed: None, may_swallow: false, may_halt: false },
        }
    }

    fn evaluation(&self, answer: Answer) -> Evaluation {
        let Findings { swallowed, may_swallow, may_halt, remote } = answer.findings;
        let value = match answer.value {
            Known::Value(value) => Evaluated::Value(value),
            Known::Undefined => Evaluated::Undefined,
            Known::Unknown { candidates, undefined } => {
                let root = remote.and_then(|root| self.settings.remote_roots.get(root)).cloned();
                Evaluated::Unknown { root: root.unwrap_or_default(), candidates, undefined }
            }
            Known::Halted(Halt { kind: HaltKind::Conflict, message, location }) => {
                Evaluated::Conflict(format!("line {}: {message}", location.row))
            }
            Known::Halted(Halt { message, location, .. }) => {
                Evaluated::Unsupported(format!("line {}: {message}", location.row))
            }
            Known::Stopped(limit) => Evaluated::Budget(limit.to_string()),
        };
        Evaluation { value, swallowed, may_swallow, may_halt }
    }
}
