//! Evaluator and recorder without an engine around them: for the oracles, fuzzers and benchmarks of this project. Nothing
//! here is promised to anybody else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::audit::{Asked, JournalLimit, Question, Recorder, Sink};
use crate::bundle::{BuiltinErrors, Bundle, Settings};
use crate::decision::{Decision, DecisionId, Verdict};
use crate::error::{Error, Refusal};
use crate::eval::{Evaluated, Evaluation, Program, RemoteData, agree, judge, read_data, read_strict};
use crate::ids::Ids;
use crate::request::Request;

/// A bundle, admitted and compiled, with its smoke vectors run.
pub struct Policy(Program);

/// A document to evaluate about.
pub struct Input(crate::eval::Value);

/// What an evaluation came to, with values in Rego's own notation, so that sets stay sets and numbers keep their text.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A value, and the same as JSON.
    Value {
        /// In Rego's notation.
        rego: String,
        /// Sets as arrays.
        json: String,
    },
    /// No value.
    Undefined,
    /// It depends on data that isn't held.
    Unknown {
        /// The values it may have, if they are known.
        candidates: Option<Vec<String>>,
        /// Whether it may have none.
        undefined: bool,
    },
    /// An error, with OPA's code where OPA raises it as well.
    Error {
        /// `eval_conflict_error`, `eval_type_error`, `eval_builtin_error`, or ours: `unsupported`, `budget`, `panic`, and
        /// `ways_differ` for our own bugs.
        code: String,
        /// What happened.
        message: String,
    },
}

/// An answer, and what else was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// As OPA answers by default.
    pub answer: Answer,
    /// The first error of a builtin that was taken for undefined: its code and message.
    pub swallowed: Option<(String, String)>,
    /// Whether an error may be raised, or taken for undefined, depending on data that isn't held.
    pub may_raise: bool,
}

impl Policy {
    /// Compiles modules and data, as files of a bundle.
    ///
    /// # Errors
    /// The bundle is refused.
    pub fn new(files: BTreeMap<String, Bytes>, settings: Settings) -> Result<Self, Refusal> {
        let mut bundle = Bundle::from_files(files)?;
        bundle.settings = settings;
        Program::compile(&bundle, &RemoteData::Unheld).map(Self)
    }

    /// The document at a dotted path, `data.a.b`, evaluated with indexes and without. If these differ, the answer is an error
    /// of its own.
    pub fn evaluate(&self, path: &str, input: Option<&Input>, now_ns: i64) -> Findings {
        let evaluated = self.0.evaluate_every_way(path, input.map(|input| &input.0), now_ns);
        let Evaluation { value, swallowed, may_swallow, may_halt } = match evaluated {
            Ok(evaluation) => evaluation,
            Err(message) => {
                let answer = Answer::Error { code: "ways_differ".to_owned(), message };
                return Findings { answer, swallowed: None, may_raise: false };
            }
        };
        let error = |code: &str, message: String| Answer::Error { code: code.to_owned(), message };
        let answer = match value {
            Evaluated::Value(value) => Answer::Value { rego: value.to_string(), json: value.to_json() },
            Evaluated::Undefined => Answer::Undefined,
            Evaluated::Unknown { candidates, undefined, .. } => Answer::Unknown {
                candidates: candidates.map(|values| values.iter().map(ToString::to_string).collect()),
                undefined,
            },
            Evaluated::Conflict(message) => error("eval_conflict_error", message),
            Evaluated::Unsupported(message) => error("unsupported", message),
            Evaluated::Budget(message) => error("budget", message),
            Evaluated::Panic => error("panic", String::new()),
        };
        let swallowed = swallowed.map(|error| (error.code.to_owned(), error.message));
        Findings { answer, swallowed, may_raise: may_swallow || may_halt }
    }

    /// Whether the document at a path has a value that is known. For benchmarks: the evaluation, and nothing more.
    pub fn has_value(&self, path: &str, input: &Input, now_ns: i64) -> bool {
        matches!(self.0.evaluate(path, Some(&input.0), now_ns).value, Evaluated::Value(_))
    }

    /// What it means for a decision, and whether that is certain.
    pub fn judge(&self, path: &str, input: &Input, now_ns: i64, errors: BuiltinErrors) -> (Verdict, bool) {
        let judged = judge(self.0.evaluate(path, Some(&input.0), now_ns), errors);
        (std::sync::Arc::unwrap_or_clone(judged.verdict), judged.certain)
    }
}

impl Input {
    /// Reads a request's document, as strictly as the engine does.
    ///
    /// # Errors
    /// It isn't JSON, or is ambiguous, too deep or too large.
    pub fn strict(json: &str) -> Result<Self, String> {
        read_strict(json).map(Self).map_err(|e| e.to_string())
    }

    /// Reads a document as data is read: as deep as a value may be.
    ///
    /// # Errors
    /// It isn't JSON, or is ambiguous or too deep.
    pub fn data(json: &str) -> Result<Self, String> {
        read_data(json).map(Self)
    }
}

/// Reads `bytes` as a request's document and as a request, in the quick ways that decide and in the slow ways that explain.
///
/// # Errors
/// What the ways differ in.
pub fn readers_agree(bytes: &[u8]) -> Result<(), String> {
    agree::readers(bytes)
}

/// The variables of a query, in order: those that its solutions give values to.
///
/// # Errors
/// It isn't a query.
pub fn variables(query: &str, v0: bool) -> Result<Vec<String>, String> {
    crate::eval::variables(query, v0)
}

/// A recorder without an engine around it, whose records are counted and thrown away.
pub struct Records {
    recorder: Recorder,
    counted: Arc<AtomicU64>,
}

impl Records {
    /// Starts one.
    ///
    /// # Errors
    /// The system gives no randomness or no thread.
    pub fn start() -> Result<Self, Error> {
        let counted = Arc::new(AtomicU64::new(0));
        let sink = Sink::Counter(Arc::clone(&counted));
        let recorder = Recorder::start(sink, "acme".to_owned(), JournalLimit::Deny(u64::MAX), Ids::new()?)?;
        Ok(Self { recorder, counted })
    }

    /// Records a decision upon a request that was built; says whether there was room.
    pub fn record(&self, decision: &Decision, request: &Request) -> bool {
        self.recorder.record(decision, Question::Built(request), &Asked::default()).is_ok()
    }

    /// Records a decision upon a request as JSON; says whether there was room.
    pub fn record_json(&self, decision: &Decision, request: &[u8]) -> bool {
        self.recorder.record(decision, Question::Json(request), &Asked::default()).is_ok()
    }

    /// Names and counts a decision.
    pub fn name_and_count(&self, decision: &Decision) -> DecisionId {
        self.recorder.count(decision.effect(), decision.certain);
        self.recorder.next_id()
    }

    /// How many records arrived, once all have.
    pub fn arrived(&self) -> u64 {
        while !self.recorder.flush(Duration::from_secs(60)) {}
        self.counted.load(Ordering::Relaxed)
    }
}
