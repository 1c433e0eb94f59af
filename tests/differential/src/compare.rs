//! One case, asked of an engine and of OPA, and what differs.
//!
//! In the default mode, the value is OPA's, or there is none, or the error is OPA's. Allowed are refusals and errors by
//! which the engine says that it doesn't answer at all; they are counted, and a run allows few of them. In the strict mode
//! an answer may be an error where the other has the default mode's answer: which errors an evaluation meets depends on
//! what it leaves out once nothing can come of it, and that is where engines may differ. These are counted as well.

use std::collections::BTreeMap;
use std::io;

use serde_json::value::RawValue;

use crate::case::Case;
use crate::engines::{Engine, NOW_NS, Refused};
use crate::oracle::{Asked, Failure, Oracle, Question};
use crate::outcome::{Outcome, Outcomes};
use crate::tree::Tree;

/// Codes of what the engine refuses although OPA doesn't: limits, and what can't be answered as OPA answers it. See
/// `engine/REGO.md`.
pub const OWN_CODES: [&str; 13] = [
    "ambiguous",
    "metadata",
    "number_in_path",
    "undefined_head",
    "nesting",
    "size",
    "unsupported",
    "builtin",
    "types_too_complex",
    "impure_builtin",
    "yaml_data",
    "schemas",
    "remote_root",
];

/// Errors of evaluations by which the engine says that it has no answer.
const GIVEN_UP: [&str; 2] = ["unsupported", "budget"];

/// What became of a case.
#[derive(Debug, Default)]
pub struct Compared {
    /// Answers that were compared.
    pub answers: usize,
    /// Kinds of answers by OPA.
    pub kinds: BTreeMap<String, usize>,
    /// Refused by both: OPA's code and message.
    pub refused: Option<Failure>,
    /// Refused by both, and we said another code than OPA: ours, then OPA's.
    pub refused_otherwise: Option<String>,
    /// Refused by the engine alone, with one of its own codes.
    pub unserved: Option<String>,
    /// Answers that the engine gave up on, by reason.
    pub given_up: BTreeMap<String, usize>,
    /// Differences in the strict mode, by kind.
    pub strict: BTreeMap<&'static str, usize>,
    /// What differs and mustn't.
    pub mismatches: Vec<Mismatch>,
    /// OPA gave no answer.
    pub lost: Option<String>,
}

/// A difference.
#[derive(Debug, Clone)]
pub struct Mismatch {
    /// What was asked; where an answer differs, about one input.
    pub case: Case,
    /// Whether errors of builtins were errors.
    pub strict: bool,
    /// The engine's answer.
    pub ours: Said,
    /// OPA's.
    pub opa: Said,
}

/// An answer to a whole case or to one input.
#[derive(Debug, Clone)]
pub enum Said {
    /// The policy is refused.
    Refused {
        /// With this code.
        code: String,
        /// For people.
        message: String,
    },
    /// The policy is accepted; what the first input's answer is, if that was asked for.
    Accepted(Option<Outcome>),
    /// An evaluation's outcome.
    Outcome(Outcome),
}

impl Said {
    /// Which kind of answer it is.
    pub fn kind(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            Self::Accepted(_) => "accepted",
            Self::Outcome(outcome) => outcome.kind(),
        }
    }
}

impl Mismatch {
    /// What differs, in few words: cases of one class are likely to have one cause.
    pub fn class(&self) -> (bool, String, String) {
        (self.strict, self.ours.kind().to_owned(), self.opa.kind().to_owned())
    }
}

/// Asks both.
///
/// # Errors
/// The oracle can't be started.
pub fn compare(engine: Engine, oracle: &mut Oracle, case: &Case) -> io::Result<Compared> {
    let mut compared = Compared::default();
    let question = match question(case) {
        Ok(question) => question,
        Err(why) => {
            compared.lost = Some(why.to_string());
            return Ok(compared);
        }
    };
    let (opa, program) = oracle.ask_during(&question, || engine.compile(case))?;
    match (program, opa) {
        (_, Asked::Lost(why)) => compared.lost = Some(why),
        (Err(ours), Asked::Refused(opa)) => compared.both_refuse(&ours, opa),
        (Err(ours), Asked::Answered(_)) if OWN_CODES.contains(&ours.code.as_str()) => {
            compared.unserved = Some(ours.code);
        }
        (Err(ours), Asked::Answered(outcomes)) => {
            let first = outcomes.into_iter().next().map(|outcomes| outcomes.lenient);
            compared.mismatch(case.clone(), false, ours.into(), Said::Accepted(first));
        }
        (Ok(_), Asked::Refused(opa)) => compared.mismatch(case.clone(), false, Said::Accepted(None), opa.into()),
        (Ok(program), Asked::Answered(outcomes)) => {
            for (input, opa) in case.inputs.iter().zip(&outcomes) {
                let ours = program.evaluate(&case.query, &input.render());
                compared.answer(engine, case, input, &ours, opa);
            }
        }
    }
    Ok(compared)
}

/// The question for the oracle.
///
/// # Errors
/// The data isn't JSON.
pub fn question(case: &Case) -> serde_json::Result<Question> {
    Ok(Question {
        modules: case.texts(),
        v0: case.v0,
        data: Some(RawValue::from_string(case.data.render())?),
        query: case.query.clone(),
        inputs: case.inputs.iter().map(Tree::render).collect(),
        now_ns: NOW_NS,
        ..Question::default()
    })
}

impl Compared {
    fn both_refuse(&mut self, ours: &Refused, opa: Failure) {
        if ours.code != opa.code && !OWN_CODES.contains(&ours.code.as_str()) {
            self.refused_otherwise = Some(format!("{} for {}", ours.code, opa.code));
        }
        self.refused = Some(opa);
    }

    fn answer(&mut self, engine: Engine, case: &Case, input: &Tree, ours: &Outcomes, opa: &Outcomes) {
        self.answers += 1;
        *self.kinds.entry(opa.lenient.kind().to_owned()).or_default() += 1;
        // OPA has no bounds of its own.
        if opa.lenient.is_error("timeout") {
            return;
        }
        if let Outcome::Error { code, message } = &ours.lenient
            && engine == Engine::Ours
            && GIVEN_UP.contains(&code.as_str())
        {
            *self.given_up.entry(format!("{code}: {}", without_place(message))).or_default() += 1;
            return;
        }
        let strict = match (&ours.lenient, &opa.lenient) {
            (ours, opa) if !agree(engine, ours, opa) => false,
            _ if agree(engine, &ours.strict, &opa.strict) => return,
            _ => {
                *self.strict.entry(strict_difference(ours, opa)).or_default() += 1;
                true
            }
        };
        let case = Case { inputs: vec![input.clone()], ..case.clone() };
        let (ours, opa) = if strict { (&ours.strict, &opa.strict) } else { (&ours.lenient, &opa.lenient) };
        self.mismatch(case, strict, Said::Outcome(ours.clone()), Said::Outcome(opa.clone()));
    }

    fn mismatch(&mut self, case: Case, strict: bool, ours: Said, opa: Said) {
        self.mismatches.push(Mismatch { case, strict, ours, opa });
    }
}

/// Answers differ in the strict mode alone: by an error that the default mode swallows.
fn strict_difference(ours: &Outcomes, opa: &Outcomes) -> &'static str {
    let is_error = |outcome: &Outcome| matches!(outcome, Outcome::Error { .. });
    match (is_error(&ours.strict), is_error(&opa.strict)) {
        (true, true) => "errors of different codes",
        (true, false) => "an error of ours alone",
        _ => "an error of OPA's alone",
    }
}

/// What a message says, without file, line and names.
fn without_place(message: &str) -> &str {
    let what = message.split_once(": ").map_or(message, |(_, what)| what);
    what.split(['"', '`']).next().unwrap_or_default()
}

fn agree(engine: Engine, ours: &Outcome, opa: &Outcome) -> bool {
    match (engine, ours, opa) {
        // How it writes a number is no difference, and its errors have no codes.
        (Engine::Regorus, Outcome::Value(ours), Outcome::Value(opa)) => crate::notation::same(ours, opa),
        (Engine::Regorus, Outcome::Error { .. }, Outcome::Error { .. }) => true,
        _ => ours.agrees(opa),
    }
}

impl From<Failure> for Said {
    fn from(failure: Failure) -> Self {
        Self::Refused { code: failure.code, message: failure.message }
    }
}

impl From<Refused> for Said {
    fn from(refused: Refused) -> Self {
        Self::Refused { code: refused.code, message: refused.message }
    }
}
