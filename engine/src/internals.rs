//! The evaluator without an engine around it: for the oracles, fuzzers and benchmarks of this project, which hold its
//! answers against OPA's. Nothing here is promised to anybody else.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::bundle::{BuiltinErrors, Bundle, Settings};
use crate::decision::Verdict;
use crate::error::Refusal;
use crate::eval::{Evaluated, Evaluation, Program, RemoteData, judge, read_data, read_strict};

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
        /// `eval_conflict_error`, `eval_type_error`, `eval_builtin_error`, or ours: `unsupported`, `budget`, `panic`.
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

    /// The document at a dotted path, `data.a.b`.
    pub fn evaluate(&self, path: &str, input: Option<&Input>, now_ns: i64) -> Findings {
        let Evaluation { value, swallowed, may_swallow, may_halt } =
            self.0.evaluate(path, input.map(|input| &input.0), now_ns);
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
        (judged.verdict, judged.certain)
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

/// The variables of a query, in order: those that its solutions give values to.
///
/// # Errors
/// It isn't a query.
pub fn variables(query: &str, v0: bool) -> Result<Vec<String>, String> {
    crate::eval::variables(query, v0)
}
